#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Compares oomsnap's core of a stopped process with the kernel's own core of the same process.

usage: corediff.py OURS KERNEL

Every note and every PT_LOAD, byte for byte. NOTES and MEMORY below are the whole list of what may
differ, each with its reason; a difference that no row explains fails, and so does a row of which
the run saw nothing although it says "always": then the reason has become wrong. Exit status 0: all
explained, 1: not, 2: usage.
"""
import collections
import struct
import sys

from elfcore import NT_NAMES, Core

# (note, field, offset, length, why): what may differ within a note of both cores.
NOTES = [
    ("PRSTATUS", "pr_info", 0, 12, "always: ours names SIGKILL, the kernel the SIGABRT that it took"),
    ("PRSTATUS", "pr_cursig", 12, 2, "always: the same signal again"),
    ("PRSTATUS", "pr_utime, pr_stime", 48, 32, "the time that the two dumps themselves took of it"),
    ("PRPSINFO", "pr_state, pr_sname, pr_zomb", 0, 3,
     "always: it was stopped for us and is dumping core, uninterruptible, for the kernel"),
    ("PRPSINFO", "pr_flag", 8, 8, "always: the kernel's PF_DUMPCORE and PF_SIGNALED are set by then"),
    ("SIGINFO", "all", 0, 128, "always: ours is an empty SIGKILL, the kernel's the SIGABRT with its sender"),
]
# (owner, type, which core, why): notes that only one of the cores has.
EXTRA_NOTES = [
    ("oomsnap", None, "ours", "always: what is complete and what is missing"),
    ("LINUX", "X86_XSAVE_LAYOUT", "kernel", "Linux 6.12 and later; the layout of XSAVE"),
    ("LINUX", "ARM_HW_BREAK", "kernel", "breakpoints: a debugger's, they say nothing of the program"),
    ("LINUX", "ARM_HW_WATCH", "kernel", "watchpoints: the same"),
    ("LINUX", "ARM_PACA_KEYS", "kernel", "keys that sign pointers: secrets, which no reader needs"),
    ("LINUX", "ARM_PACG_KEYS", "kernel", "the same"),
]
# (first address, last address, which core, why): memory that only one of the cores has.
MEMORY = [
    (0xffffffffff600000, 0xffffffffff601000, "kernel",
     "the vsyscall page: the same in every process, and not in its page tables"),
]
# The same for bytes of memory that both name, relative to the vdso.
AT_SYSINFO_EHDR = 33
VVAR = (-0x10000, 0, "kernel", "vvar: the kernel's clocks, which go on; a mapping of device memory")
TIDY = 64  # differences that are printed


class Report:
    def __init__(self):
        self.explained, self.failures = collections.Counter(), []

    def fail(self, text):
        self.failures.append(text)


def explain_note(report, name, where, ours, kernel):
    if len(ours) != len(kernel):
        return report.fail(f"{where}: {len(ours)} bytes, the kernel has {len(kernel)}")
    rows = [row for row in NOTES if row[0] == name]
    for i in range(len(ours)):
        if ours[i] == kernel[i]:
            continue
        row = next((r for r in rows if r[2] <= i < r[2] + r[3]), None)
        if row:
            report.explained[f"{name}.{row[1]}: {row[4]}"] += 1
        else:
            report.fail(f"{where}: byte {i} is {ours[i]:#04x}, the kernel has {kernel[i]:#04x}")


def compare_notes(report, ours, kernel):
    for kind in (3, 6, 0x53494749, 0x46494c45):
        explain_note(report, NT_NAMES[kind], NT_NAMES[kind], ours.note(kind), kernel.note(kind))
    mine, theirs = ours.threads(), kernel.threads()
    if set(mine) != set(theirs):
        report.fail(f"threads {sorted(mine)}, the kernel has {sorted(theirs)}")
    for tid in set(mine) & set(theirs):
        notes = [{NT_NAMES[kind] for kind in of} for of in (mine[tid], theirs[tid])]
        extra = {row[1] for row in EXTRA_NOTES}
        if notes[0] - extra != notes[1] - extra:
            report.fail(f"thread {tid}: notes {sorted(notes[0])}, the kernel has {sorted(notes[1])}")
        for kind in set(mine[tid]) & set(theirs[tid]):
            explain_note(report, NT_NAMES[kind], f"thread {tid} {NT_NAMES[kind]}",
                         mine[tid][kind], theirs[tid][kind])
    for which, core, other in ("ours", ours, kernel), ("kernel", kernel, ours):
        both = {(n.owner, n.type) for n in other.notes}
        for note in core.notes:
            name = NT_NAMES.get(note.type)
            if (note.owner, note.type) in both:
                continue
            row = next((r for r in EXTRA_NOTES if (r[0], r[2]) == (note.owner, which)
                        and r[1] in (None, name)), None)
            if row:
                report.explained[f"note {note.owner} {name or ''}: {row[3]}"] += 1
            else:
                report.fail(f"a note {note.owner} {note.type:#x} is only in {which}")


def pieces(*cores):
    """The address ranges over which no segment of either core begins or ends."""
    edges = sorted({edge for core in cores for s in core.loads
                    for edge in (s.vaddr, s.vaddr + s.filesz, s.vaddr + s.memsz)})
    return zip(edges, edges[1:])


def segment(core, address):
    return next((s for s in core.loads if s.vaddr <= address < s.vaddr + s.memsz), None)


def vdso(core):
    """Where it lies, by the auxiliary vector."""
    words = struct.unpack(f"<{len(core.note(6)) // 8}Q", core.note(6))
    return dict(zip(words[::2], words[1::2]))[AT_SYSINFO_EHDR]


def compare_memory(report, ours, kernel):
    """Returns the bytes compared."""
    compared, base = 0, vdso(ours)
    for start, end in pieces(ours, kernel):
        mine, theirs = segment(ours, start), segment(kernel, start)
        if not mine and not theirs:
            continue
        where = f"{start:#x}-{end:#x}"
        if not mine or not theirs:
            which = "ours" if mine else "kernel"
            row = next((r for r in MEMORY if r[0] <= start and end <= r[1] and r[2] == which), None)
            if row:
                report.explained[f"memory {where}: {row[3]}"] += 1
            else:
                report.fail(f"{where} is only in {which}")
            continue
        if mine.flags != theirs.flags:
            report.fail(f"{where}: flags {mine.flags}, the kernel has {theirs.flags}")
        held = [core.read(start, end - start) for core in (ours, kernel)]
        if held[0] == held[1]:
            compared += end - start if held[0] is not None else 0
        elif held[0] is None and base + VVAR[0] <= start and end <= base + VVAR[1]:
            report.explained[f"bytes below the vdso only in the {VVAR[2]}'s: {VVAR[3]}"] += 1
        elif None in held:
            which = "ours" if held[1] is None else "the kernel's"
            report.fail(f"the bytes of {where} are only in {which}")
        else:
            first = next(i for i in range(end - start) if held[0][i] != held[1][i])
            report.fail(f"{where} differs from {start + first:#x} on")
    return compared


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    ours, kernel = Core(sys.argv[1]), Core(sys.argv[2])
    report = Report()
    compare_notes(report, ours, kernel)
    compared = compare_memory(report, ours, kernel)
    # What a row promises must be seen.
    for text in [f"{r[0]}.{r[1]}: {r[4]}" for r in NOTES] + \
            [f"note {r[0]} {r[1] or ''}: {r[3]}" for r in EXTRA_NOTES]:
        if ": always" in text and text not in report.explained:
            report.fail(f"no longer so: {text}")
    for text, count in report.explained.items():
        print(f"explained, {count} x: {text}")
    for text in report.failures[:TIDY]:
        print(f"NOT EXPLAINED: {text}")
    print(f"{len(ours.notes)} notes, {compared} bytes of memory are the same, "
          f"{len(report.failures)} differences not explained")
    if not compared:
        print("no memory was compared")
        return 1
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
