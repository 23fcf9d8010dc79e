#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Whether a core holds what tests/tool/hard.c said that it must.

usage: hardcheck.py CORE LINES
Exit status: 0, or 1 with the first lines that are not so.
"""
import sys

from elfcore import Core

PAGE = 4096


def place(core, address):
    """Where the page at an address lies in the file, or None where the core has none."""
    for load in core.loads:
        at = address - load.vaddr
        if 0 <= at < load.memsz:
            return load.offset + at if at + PAGE <= load.filesz else None
    return None


def content(core, address):
    """The page at an address, or None."""
    at = place(core, address)
    return None if at is None else core.at(at, PAGE)


def is_so(core, words):
    if words[0] == "same":
        at = place(core, int(words[1], 16))
        return at is not None and at == place(core, int(words[2], 16))
    page = content(core, int(words[1], 16))
    if words[0] == "page":
        return page == bytes([int(words[2], 16)]) * PAGE
    if words[0] == "hole":
        return page is None or not any(page)
    return page is None  # none


def main():
    core = Core(sys.argv[1])
    with open(sys.argv[2], encoding="ascii") as file:
        lines = [line.split() for line in file if len(line.split()) > 1]
    wrong = [line for line in lines if not is_so(core, line)]
    print(f"{len(lines)} looked at, {len(wrong)} not so")
    for line in wrong[:5]:
        print(" ".join(line))
    return 1 if wrong or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
