#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the memory of a running leaker must hold, at addresses spread over what it leaked.

usage: leaked.py READY_FILE COUNT

READY_FILE is the leaker's --ready-file. Prints COUNT lines "ADDRESS WORD", both in hexadecimal, the
word 64 bits wide. The addresses come from the leaker's manifest (leaker/manifest.h), the words are
computed from its seed alone (leaker/fill.h, written down here a second time on purpose), not read
from its memory.
"""
import re
import struct
import sys

HEADER = "<16sIIIiQQQQQ"  # up to the address of the entries
MASK = (1 << 64) - 1


def word(seed, address):
    key = ((seed ^ (seed >> 30)) * 0x6a3b9d5f82c1e74b) & MASK
    value = ((address + (key ^ (key >> 33))) * 0xd1b54a32d192ed03) & MASK
    value ^= value >> 31
    value = (value * 0x8cb92ba72f3d8dd7) & MASK
    return value ^ (value >> 29)


def main():
    path, count = sys.argv[1], int(sys.argv[2])
    ready = open(path, encoding="ascii").read()
    pid, manifest = re.search(r"pid=(\d+) manifest=(0x[0-9a-f]+)", ready).groups()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        def at(address, length):
            memory.seek(address)
            return memory.read(length)
        *_, seed, _, entries, table = struct.unpack(
            HEADER, at(int(manifest, 16), struct.calcsize(HEADER)))
        filled = []  # (address, words)
        for i in range(entries):
            address, _, length = struct.unpack("<QQQ", at(table + 32 * i, 24))
            if length >= 8 and address % 8 == 0:
                filled.append((address, length // 8))
    words = sum(length for _, length in filled)
    for i in range(count):
        at_word = i * words // count + i % 7
        for address, length in filled:
            if at_word < length:
                break
            at_word -= length
        print(f"{address + 8 * at_word:#x} {word(seed, address + 8 * at_word):#018x}")


if __name__ == "__main__":
    main()
