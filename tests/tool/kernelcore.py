#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the kernel write its own core of a stopped process, at the very instruction it stands at.

usage: kernelcore.py PID

The process must be stopped by SIGSTOP. SIGCONT would let every thread go, and those that do not
take the signal run on until the dump has collected them: registers and memory change. So all of
them are held by ptrace, and only the first is let go, to take a SIGABRT: it goes from its stop
straight into the dump, and the dump collects the others from theirs. core_pattern and RLIMIT_CORE
are the caller's. Exit status 0: the process ended with a core; 1: not so; 2: usage.
"""
import ctypes
import os
import pathlib
import signal
import sys
import time

PTRACE_CONT, PTRACE_SEIZE = 7, 0x4206
WALL = 0x40000000  # __WALL: threads, too
LIMIT_S = 20

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
LIBC.ptrace.restype = ctypes.c_long


def ptrace(request, tid, data=0):
    if LIBC.ptrace(request, tid, None, data) == -1:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of {tid}")


def wait_for(tid):
    """The next state that the thread reports."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        found, status = os.waitpid(tid, WALL | os.WNOHANG)
        if found:
            return status
        time.sleep(0.002)
    raise TimeoutError(f"thread {tid} reported nothing within {LIMIT_S} s")


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    pid = int(sys.argv[1])
    for entry in pathlib.Path(f"/proc/{pid}/task").iterdir():
        ptrace(PTRACE_SEIZE, int(entry.name))
        wait_for(int(entry.name))
    LIBC.tgkill(pid, pid, signal.SIGABRT)
    ptrace(PTRACE_CONT, pid)
    status = wait_for(pid)
    if not os.WIFSTOPPED(status) or os.WSTOPSIG(status) != signal.SIGABRT:
        print(f"not at its SIGABRT, but {status:#x}", file=sys.stderr)
        return 1
    ptrace(PTRACE_CONT, pid, signal.SIGABRT)
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        # The leader is last: the others are reaped, or it could not end.
        found, status = os.waitpid(-1, WALL | os.WNOHANG)
        if found == pid:
            return 0 if os.WIFSIGNALED(status) and os.WCOREDUMP(status) else 1
        if not found:
            time.sleep(0.002)
    print(f"no end within {LIMIT_S} s", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
