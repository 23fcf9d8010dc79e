# SPDX-License-Identifier: Apache-2.0
"""Common ground of the benchmarks: control groups, a watchdog under measurement, waiting, tables.

Every benchmark makes its own processes and groups and ends exactly those: Bench is a context that
undoes all of it, also after SIGTERM, Ctrl-C or an exception. Groups are called oomsnap-bench-PID-N,
on cgroup v1 (memory and freezer) or v2, whichever has the memory controller here. Dumps go to a
directory below /var/tmp, which must be a disk: oomsnap refuses memory, and what others write there
would be measured as memory too.

Nothing here waits by sleeping for a guessed time: wait_until() polls a condition and fails at its
deadline; the watchdog's events are read from its pipe as they come.
"""
import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("BUILD") or TOP / "build").resolve()
QUICK = bool(os.environ.get("QUICK"))
OOMSNAP = BUILD / "oomsnap"
LEAKER = BUILD / "leaker"
CORECHECK = BUILD / "tool" / "corecheck"
MIB = 1 << 20
# How much longer everything takes where every instruction is emulated (tests/vm).
SLOW = 10 if os.environ.get("OOMSNAP_LANE", "host").startswith("vm") else 1

_controllers = pathlib.Path("/sys/fs/cgroup/cgroup.controllers")
V2 = _controllers.exists() and "memory" in _controllers.read_text().split()
ROOT = pathlib.Path("/sys/fs/cgroup" if V2 else "/sys/fs/cgroup/memory")
FREEZER = pathlib.Path("/sys/fs/cgroup/freezer")

NOBODY = 65534  # the user of a watchdog that is not root

UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Failed(Exception):
    """Something that the benchmark relies on did not happen."""


def size(text):
    """Bytes of "64M", "2G" or "4096"."""
    return int(text[:-1]) * UNITS[text[-1]] if text[-1] in UNITS else int(text)


def wait_until(seconds, condition, what, step=0.002):
    """The condition's first true value; Failed when the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(step)


def state(pid):
    """The letter of a process's state, or None when there is none."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rsplit(")", 1)[1].split()[0]


def is_gone(pid):
    return state(pid) in (None, "Z", "X")


class Group:
    """One control group with a limit in bytes (None: no limit)."""

    def __init__(self, path, freezer, limit):
        self.path, self.freezer = path, freezer
        if V2:
            (ROOT / "cgroup.subtree_control").write_text("+memory")
        elif freezer:
            freezer.mkdir()
        path.mkdir()
        self.set_limit(limit)

    def _file(self, v1, v2):
        return self.path / (v2 if V2 else v1)

    def set_limit(self, limit):
        if limit is not None:
            self._file("memory.limit_in_bytes", "memory.max").write_text(str(limit))

    def limit(self):
        return int(self._file("memory.limit_in_bytes", "memory.max").read_text())

    def usage(self):
        return int(self._file("memory.usage_in_bytes", "memory.current").read_text())

    def peak(self):
        return int(self._file("memory.max_usage_in_bytes", "memory.peak").read_text())

    def oom_kills(self):
        text = self._file("memory.oom_control", "memory.events").read_text()
        return int(dict(line.split() for line in text.splitlines())["oom_kill"])

    def shielded(self, pid):
        """Whether the OOM killer would pass over that process of the group."""
        if V2:
            return pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "-1000"
        return "oom_kill_disable 1" in (self.path / "memory.oom_control").read_text()

    def processes(self):
        return [int(word) for word in (self.path / "cgroup.procs").read_text().split()]

    def enter(self):
        """For the child between fork and exec."""
        for directory in (self.freezer, self.path):
            if directory:
                (directory / "cgroup.procs").write_text(str(os.getpid()))

    def spawn(self, command, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL,
                   "stderr": subprocess.DEVNULL, **options}
        return subprocess.Popen([str(word) for word in command], preexec_fn=self.enter, **options)

    def kill(self):
        """SIGKILL to all that is in it, until it is empty."""
        def emptied():
            if V2:
                (self.path / "cgroup.freeze").write_text("0")
            elif self.freezer:
                (self.freezer / "freezer.state").write_text("THAWED")
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not self.processes()
        wait_until(30, emptied, f"the processes of {self.path} end", 0.01)

    def remove(self):
        def removed():
            try:
                for directory in (self.freezer, self.path):
                    if directory and directory.exists():
                        directory.rmdir()
                return True
            except OSError:
                return False
        self.kill()
        wait_until(20, removed, f"{self.path} can be removed", 0.01)


class Watchdog:
    """oomsnap watch on some groups; its events as they come, newest last."""

    def __init__(self, groups, scratch, settings, prefix=()):
        self.dumps, runtime = scratch / "dumps", scratch / "run"
        if prefix:  # another user's: what it writes to is made for it
            shutil.rmtree(runtime, ignore_errors=True)
            for path in self.dumps, runtime:
                path.mkdir(mode=0o700, exist_ok=True)
                os.chown(path, NOBODY, NOBODY)
            scratch.chmod(0o711)
        command = [*prefix, OOMSNAP, "watch", "--json", "--runtime-dir", runtime]
        for group in groups:
            command += ["--cgroup", group.path]
        for key, value in {"directory": self.dumps, **settings}.items():
            command += ["--set", f"{key}={value}"]
        self.events, self._rest, self._alive = [], b"", True
        # As in a container, which is a session of its own: the scheduler shares the processors out
        # between sessions first (sched(7), autogroup), as it does between containers.
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        start_new_session=bool(prefix))
        os.set_blocking(self.process.stderr.fileno(), False)
        try:
            since = 0
            for _ in groups:
                self.guarantee = self.wait(
                    20 * SLOW, lambda e: e["OOMSNAP_EVENT"] == "guarantee", since)
                since = self.events.index(self.guarantee) + 1
        except Failed:
            self.stop()
            raise

    def _read(self, seconds):
        pipe = self.process.stderr.fileno()
        if not self._alive or not select.select([pipe], [], [], max(seconds, 0))[0]:
            return
        data = os.read(pipe, 1 << 16)
        self._alive = bool(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"{"):
                self.events.append(json.loads(line))
            elif line:
                raise Failed(f"the watchdog said: {line.decode(errors='replace')}")

    def wait(self, seconds, matches, since=0, until=lambda: False):
        """
        The first event from number SINCE on that matches, or None once UNTIL says that none is to
        be expected any more and what was still in the pipe has been read.
        """
        deadline = time.monotonic() + seconds
        while True:
            over = until()
            for event in self.events[since:]:
                if matches(event):
                    return event
            since = len(self.events)
            left = deadline - time.monotonic()
            if left <= 0 or not self._alive:
                raise Failed("no such event; the last were "
                             + "; ".join(e["MESSAGE"] for e in self.events[-6:]))
            self._read(min(left, 0.02))
            if over and since == len(self.events):
                return None

    def settle(self, seconds):
        """Reads on until nothing has come for so long."""
        seen = -1
        while self._alive and seen != len(self.events):
            seen = len(self.events)
            self._read(seconds)

    def stop(self):
        """SIGTERM; returns the exit status once it ended."""
        self.process.terminate()
        deadline = time.monotonic() + 30 * SLOW
        while self._alive and time.monotonic() < deadline:
            self._read(0.1)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed("the watchdog did not end within 30 s of SIGTERM") from None
        finally:
            self.process.stderr.close()


class Bench:
    """A benchmark's surroundings: with Bench("name") as bench: ..."""

    def __init__(self, name):
        self.name = name
        self.scratch = pathlib.Path(f"/var/tmp/oomsnap-bench-{os.getpid()}")
        self._groups = []
        self._undo = contextlib.ExitStack()

    def __enter__(self):
        if os.geteuid():
            sys.exit(f"bench-{self.name}: it makes control groups: run it as root")
        self.scratch.mkdir(mode=0o700)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return self

    def __exit__(self, *_):
        try:
            self._undo.close()
        finally:
            for group in self._groups:
                group.remove()
            shutil.rmtree(self.scratch, ignore_errors=True)

    def defer(self, function, *arguments):
        """Calls it at the end, whatever happens; the last deferred first."""
        self._undo.callback(function, *arguments)

    def group(self, limit=None):
        name = f"oomsnap-bench-{os.getpid()}-{len(self._groups)}"
        group = Group(ROOT / name, None if V2 else FREEZER / name, limit)
        self._groups.append(group)
        return group

    @contextlib.contextmanager
    def watchdog(self, settings, *groups, prefix=()):
        watchdog = Watchdog(groups, self.scratch, settings, prefix)
        try:
            yield watchdog
        finally:
            watchdog.stop()

    def write(self, result):
        """The result as $BUILD/bench/NAME.json; never half a file."""
        directory = BUILD / "bench"
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.name}.json"
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps({"machine": machine(), **result}, indent=1) + "\n")
        partial.rename(path)
        print(f"{os.path.relpath(path)}")


def machine():
    with open("/proc/meminfo", encoding="ascii") as file:
        memory_kib = int(file.readline().split()[1])
    return {"kernel": os.uname().release, "cpus": os.cpu_count(), "memory_mib": memory_kib >> 10,
            "cgroup": 2 if V2 else 1, "load": round(os.getloadavg()[0], 1),
            "quick": QUICK, "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def machine_line():
    m = machine()
    return (f"Linux {m['kernel']}, cgroup v{m['cgroup']}, {m['cpus']} CPUs, "
            f"{m['memory_mib']} MiB, load {m['load']}")


def table(head, rows):
    """Prints rows under a head; what is a number stands on the right, None is a dash."""
    cells = [[("-" if cell is None else str(cell)) for cell in row] for row in rows]
    widths = [max(len(head[i]), *(len(row[i]) for row in cells)) if cells else len(head[i])
              for i in range(len(head))]
    right = [all(row[i] is None or isinstance(row[i], (int, float)) for row in rows)
             for i in range(len(head))]
    for row in [list(head)] + cells:
        print("  ".join(text.rjust(width) if at_right else text.ljust(width)
                        for text, width, at_right in zip(row, widths, right)).rstrip())
