# SPDX-License-Identifier: Apache-2.0
"""ELF64 cores for test tools: segments and notes, read with nothing but struct.

It shares no code with the program under test. Anything that is not what the ELF specification and
the kernel's fs/binfmt_elf.c write raises ValueError.
"""
import collections
import struct

NT_NAMES = {1: "PRSTATUS", 2: "PRFPREG", 3: "PRPSINFO", 6: "AUXV", 0x202: "X86_XSTATE",
            0x205: "X86_XSAVE_LAYOUT", 0x53494749: "SIGINFO", 0x46494c45: "FILE",
            0x401: "ARM_TLS", 0x402: "ARM_HW_BREAK", 0x403: "ARM_HW_WATCH",
            0x404: "ARM_SYSTEM_CALL", 0x405: "ARM_SVE", 0x406: "ARM_PAC_MASK",
            0x407: "ARM_PACA_KEYS", 0x408: "ARM_PACG_KEYS", 0x409: "ARM_TAGGED_ADDR_CTRL",
            0x40a: "ARM_PAC_ENABLED_KEYS", 0x40b: "ARM_SSVE", 0x40c: "ARM_ZA", 0x40d: "ARM_ZT",
            0x40e: "ARM_FPMR", 0x40f: "ARM_POE", 0x410: "ARM_GCS"}
PT_LOAD, PT_NOTE, PN_XNUM = 1, 4, 0xffff

Segment = collections.namedtuple("Segment", "flags offset vaddr filesz memsz")
Note = collections.namedtuple("Note", "owner type data")


class Core:
    def __init__(self, path):
        self.file = open(path, "rb")
        head = self.at(0, 64)
        if head[:6] != b"\x7fELF\x02\x01":
            raise ValueError("not a little-endian ELF64 file")
        (self.kind, self.machine, _, _, phoff, shoff, _, _, phentsize, phnum, _, _, _) = \
            struct.unpack_from("<HHIQQQIHHHHHH", head, 16)
        if self.kind != 4 or phentsize != 56:
            raise ValueError("not a core")
        if phnum == PN_XNUM:
            phnum = struct.unpack_from("<I", self.at(shoff, 64), 44)[0]
        self.loads, self.notes = [], []
        table = self.at(phoff, phnum * 56)
        for i in range(phnum):
            kind, flags, offset, vaddr, _, filesz, memsz, _ = \
                struct.unpack_from("<IIQQQQQQ", table, i * 56)
            if kind == PT_LOAD:
                self.loads.append(Segment(flags, offset, vaddr, filesz, memsz))
            elif kind == PT_NOTE:
                self._read_notes(self.at(offset, filesz))
        self.loads.sort(key=lambda s: s.vaddr)

    def at(self, offset, length):
        self.file.seek(offset)
        data = self.file.read(length)
        if len(data) != length:
            raise ValueError(f"the file ends before {offset + length:#x}")
        return data

    def _read_notes(self, data):
        at = 0
        while at < len(data):
            namesz, descsz, kind = struct.unpack_from("<III", data, at)
            at += 12
            owner = data[at:at + namesz].rstrip(b"\0").decode()
            at += namesz + -namesz % 4
            self.notes.append(Note(owner, kind, data[at:at + descsz]))
            at += descsz + -descsz % 4

    def note(self, kind):
        """The one note of that type."""
        found = [n.data for n in self.notes if n.type == kind]
        if len(found) != 1:
            raise ValueError(f"{len(found)} notes of type {kind:#x}")
        return found[0]

    def threads(self):
        """{tid: {type: data}}: a PRSTATUS begins a thread, what follows belongs to it."""
        result, current = {}, None
        for note in self.notes:
            if note.type == 1:
                current = result.setdefault(struct.unpack_from("<i", note.data, 32)[0], {})
            if current is not None and (note.type in (1, 2, 0x202) or 0x400 < note.type < 0x500):
                current[note.type] = note.data
        return result

    def files(self):
        """NT_FILE: [(start, end, page offset, path)]."""
        data = self.note(0x46494c45)
        count, page = struct.unpack_from("<QQ", data)
        names = data[16 + 24 * count:].split(b"\0")
        return [(*struct.unpack_from("<QQ", data, 16 + 24 * i),
                 struct.unpack_from("<Q", data, 32 + 24 * i)[0] * page, names[i].decode())
                for i in range(count)]

    def read(self, address, length):
        """The bytes at that address, or None where the file does not hold all of them."""
        for s in self.loads:
            if s.vaddr <= address and address + length <= s.vaddr + s.filesz:
                return self.at(s.offset + address - s.vaddr, length)
        return None
