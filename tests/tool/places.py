#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
How often a core has what is mapped of one file or memory object.

usage: places.py CORE NAME      NAME: a part of the file's name in NT_FILE
Prints the segments that show it, their bytes, and the bytes of the core's file that they take.
"""
import sys

from elfcore import Core


def main():
    core = Core(sys.argv[1])
    files = [(start, end) for start, end, _, path in core.files() if sys.argv[2] in path]
    loads = [load for load in core.loads if load.filesz
             and any(start <= load.vaddr < end for start, end in files)]
    taken = end = 0
    for offset, filesz in sorted((load.offset, load.filesz) for load in loads):
        taken += max(0, offset + filesz - max(offset, end))
        end = max(end, offset + filesz)
    print(len(loads), sum(load.filesz for load in loads), taken)


if __name__ == "__main__":
    main()
