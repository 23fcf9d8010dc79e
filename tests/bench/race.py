# SPDX-License-Identifier: Apache-2.0
"""One trial of the race against the OOM killer: the cells of the matrix, and what passes.

A trial is one leaking process. It passes only if its core is complete, compared byte for byte with
what the leaker must hold (tests/tool/corecheck.c), if nothing was OOM-killed, and if the target was
let go as the verdict says: killed, or running on, unshielded, under its old limit. Page cache that
can be reclaimed is no leak: there a trial passes if nothing was tripped or killed. With the tools
of today, which run beside it for comparison, a complete core is enough.

bench-matrix decides which cells run how often; here is how one runs.
"""
import collections
import contextlib
import os
import random
import shutil
import subprocess
import time

import bench as b

Cell = collections.namedtuple("Cell", "pattern rate threads limit level verdict quick",
                              defaults=("kill", False))

LEVELS = {
    "guaranteed": {"shield": "armed", "tripwire": "on"},
    "always": {"shield": "always", "tripwire": "on"},
    "kernel-stop": {"shield": "off", "tripwire": "on"},
    "best-effort": {"shield": "off", "tripwire": "off"},
    "sidecar": {"hold": "ptrace"},
}
# What watch calls a level, where that is another word.
TOLD = {"always": "guaranteed", "sidecar": "best-effort"}
# The plain sidecar: another user with CAP_SYS_PTRACE alone, without shield, tripwire, notices of the
# kernel or any priority, and without the right to send a signal.
RIGHTS = "-all,+sys_ptrace"
PREFIX = {"sidecar": ["setpriv", "--reuid", b.NOBODY, "--regid", b.NOBODY, "--clear-groups",
                      "--inh-caps", RIGHTS, "--ambient-caps", RIGHTS, "--bounding-set", RIGHTS]}
TODAY = ("poll-1s-gcore", "poll-100ms-gcore", "procdump")

# One system call, or one after the other without a fault in user mode, takes these to the limit.
SINGLE_CALL = ("populate", "read", "mlockall")
SHARED = ("mmap-shared", "memfd", "sysv-shm")  # a sidecar has no right to see all of it
# "crowd" and "storm" leak like "touch", with company in the group.
COMPANY = {"crowd": "touch", "storm": "touch"}
CROWD = 200
QUICK = (("touch", 1), ("threads", 64), ("fork", 4), ("populate", 1), ("filecache", 1))
STORM = "while :; do (:); done"

OUTCOMES = ("captured", "capture-partial", "capture-failed", "lost")
TRIP = 0.9  # of the limit, oomsnap's own default; for the scripts of today
BEST_EFFORT_FROM = 128 * b.MIB  # the least limit at which best-effort promises anything
MAX_RATE = 1500 * b.MIB  # about what "max" comes to here, for the cost of a trial


def cells():
    """The matrix: what differs by level is which patterns are promised anything."""
    faults = [("touch", 1), ("threads", 4), ("threads", 64), ("malloc", 1), ("thp", 1),
              ("mmap-shared", 1), ("fork", 4), ("vmas", 1), ("stacks", 64), ("memfd", 1),
              ("sysv-shm", 1)]
    calls = [("populate", 1), ("read", 1), ("mlockall", 1)]
    cache = [("filecache", 1)]
    result = []
    for pattern, threads in faults + calls + cache:
        result.append(Cell(pattern, "max", threads, "64M", "guaranteed",
                           quick=(pattern, threads) in QUICK))
    for pattern, threads in calls + faults[-2:] + cache:
        result.append(Cell(pattern, "max", threads, "64M", "always"))
    for level in "guaranteed", "kernel-stop":
        for pattern in "crowd", "storm":
            result.append(Cell(pattern, "max", 1, "256M", level))
            result.append(Cell(pattern, "100", 1, "256M", level))
    for level in "guaranteed", "kernel-stop", "best-effort":
        for rate in "10", "100", "1000":
            result.append(Cell("touch", rate, 1, "64M", level,
                               quick=(rate, level) == ("1000", "best-effort")))
        result.append(Cell("threads", "1000", 4, "128M", level))
        result.append(Cell("touch", "100", 1, "64M", level, "resume",
                           level == "guaranteed"))
        for limit in "128M", "512M", "1G", "4G":
            result.append(Cell("touch", "max", 1, limit, level))
            result.append(Cell("threads", "max", 4, limit, level))
    for pattern, threads in faults:
        result.append(Cell(pattern, "max", threads, "64M", "kernel-stop",
                           quick=threads == 4 and pattern == "threads"))
        result.append(Cell(pattern, "max", threads, "64M", "best-effort"))
        if (pattern, threads) not in (("touch", 1), ("threads", 4)):
            result.append(Cell(pattern, "max", threads, "128M", "best-effort"))
    for pattern, threads in calls:
        result.append(Cell(pattern, "max", threads, "128M", "kernel-stop"))
        result.append(Cell(pattern, "max", threads, "128M", "best-effort"))
    for rate in "10", "100", "1000":
        result.append(Cell("touch", rate, 1, "128M", "best-effort"))
    for limit in "32M", "96M":
        for pattern, threads in ("touch", 1), ("threads", 4):
            result.append(Cell(pattern, "max", threads, limit, "best-effort"))
    result += [cell._replace(level="sidecar", quick=False) for cell in result
               if cell.level == "best-effort" and cell.verdict == "kill"
               and cell.pattern not in SHARED]
    for level in TODAY:
        for rate in "10", "100", "1000", "max":
            limit = "64M" if rate == "10" else "512M"
            result.append(Cell("touch", rate, 1, limit, level,
                               quick=rate == "1000" and level == "poll-1s-gcore"))
    return result


def label(cell):
    return f"{cell.pattern}/{cell.rate}/{cell.threads}/{cell.limit}/{cell.level}/{cell.verdict}"


def words(cell):
    """The same for people."""
    rate = "full speed" if cell.rate == "max" else f"{cell.rate} MB/s"
    threads = f"{cell.threads} thread" + "s" * (cell.threads != 1)
    return f"{cell.pattern}, {rate}, {threads}, limit {cell.limit}, {cell.level}"


def cost_s(cell):
    """About how long one trial takes, in seconds."""
    limit = b.size(cell.limit)
    rate = MAX_RATE if cell.rate == "max" else float(cell.rate) * b.MIB
    return 0.5 + limit / rate + limit / (400 * b.MIB) + (1 if cell.pattern in COMPANY else 0)


def promise(cell):
    """What was promised for it: the name of a group of cells, and whether a loss there is a bug."""
    if cell.level in TODAY:
        return cell.level, False
    if cell.level in ("guaranteed", "always"):
        return cell.level, True
    if cell.pattern in SINGLE_CALL:
        return f"{cell.level}, {cell.pattern} (one system call)", False
    if cell.level == "kernel-stop":
        return "kernel-stop, faults from user mode", True
    if cell.level == "sidecar":
        return f"sidecar, faults from user mode, {cell.limit}", False
    if b.size(cell.limit) >= BEST_EFFORT_FROM:
        return f"{cell.level}, faults from user mode, 128M and more", True
    return f"{cell.level}, faults from user mode, {cell.limit}", False


def margin(events):
    """Figures of one incident, also of one that was lost."""
    found = {}
    for event in events:
        kind = event["OOMSNAP_EVENT"]
        if kind == "held" and "OOMSNAP_HEADROOM_HOLD_BYTES" in event:
            used = event["OOMSNAP_LIMIT_BYTES"] - event["OOMSNAP_HEADROOM_HOLD_BYTES"]
            trip = next(e["OOMSNAP_TRIP_BYTES"] for e in events if e["OOMSNAP_EVENT"] == "tripped")
            found["over_kib"] = max(0, used - trip) >> 10
            found["stop_us"] = event["OOMSNAP_HOLD_DELAY_NS"] // 1000
        elif kind == "released" and "OOMSNAP_HEADROOM_END_BYTES" in event:
            found["end_bytes"] = event["OOMSNAP_HEADROOM_END_BYTES"]
            found["held_ms"] = event.get("OOMSNAP_HELD_NS", 0) // 1000000
    return found


def leaker_command(cell, seed):
    pattern = COMPANY.get(cell.pattern, cell.pattern)
    total = b.size(cell.limit) * (97 if cell.verdict == "resume" else 400) // 100
    if cell.verdict == "resume":
        total -= 2 * b.MIB  # what the process itself needs
    command = [b.LEAKER, "--pattern", pattern, "--rate", cell.rate, "--threads", cell.threads,
               "--total", total, "--seed", seed, "--dir", "/var/tmp",
               "--hold", "no" if pattern == "filecache" else "yes"]
    if pattern == "stacks":  # enough of each stack that all of them together pass the limit
        command += ["--chunk", 2 * b.size(cell.limit) // cell.threads]
    return command


def company(cell, group):
    if cell.pattern == "crowd":
        for _ in range(CROWD - len(group.processes())):
            group.spawn(["sleep", "3600"])
    elif cell.pattern == "storm" and not group.processes():
        group.spawn(["bash", "-c", STORM])


def check_core(cell, core):
    """What is wrong with it, or None."""
    least = 0
    if cell.pattern not in SINGLE_CALL + ("fork", "crowd", "storm"):
        least = b.size(cell.limit) // 2
    if cell.pattern == "memfd":
        least = 0  # half of it are holes; it is the check of the bytes that counts
    done = subprocess.run([b.CORECHECK, core, "--min-filled", str(least)], text=True,
                          capture_output=True, check=False)
    if done.returncode:
        return f"core: corecheck {done.returncode}", done.stdout + done.stderr
    return None, ""


def check_verdict(cell, group, leaker):
    if cell.verdict == "kill":
        b.wait_until(10 * b.SLOW, lambda: leaker.poll() is not None, "the leaker is killed")
        return None if leaker.returncode == -9 else f"verdict kill: it ended {leaker.returncode}"
    try:
        b.wait_until(2 * b.SLOW, lambda: b.state(leaker.pid) in ("R", "S", "D"),
                     "the leaker runs on")
        b.wait_until(2 * b.SLOW, lambda: not group.shielded(leaker.pid), "the shield is down")
    except b.Failed as failed:
        return f"verdict resume: {failed}"
    return None if group.limit() == b.size(cell.limit) else "verdict resume: another limit"


def trial(cell, group, dog, seed):
    """Why it was lost (None: it was not), more about it, and its margin() where there is one."""
    company(cell, group)
    since, kills = len(dog.events), group.oom_kills()
    earlier = max((e.get("OOMSNAP_INCIDENT", 0) for e in dog.events), default=0)
    leaker = group.spawn(leaker_command(cell, seed))
    ended = None

    def of(*names):
        return lambda e: (e["OOMSNAP_EVENT"] in names
                          and e.get("OOMSNAP_INCIDENT", earlier + 1) == earlier + 1)

    def of_any(_):
        return True

    def incidents(*names):
        return {e.get("OOMSNAP_INCIDENT") for e in dog.events[since:]
                if e["OOMSNAP_EVENT"] in names}

    def quiet(_=None):
        over = incidents("released")
        if not incidents("lost"):
            over &= incidents(*OUTCOMES)
        return incidents("tripped") <= over

    def hopeless():
        # It is gone, and so is the time in which a capture of it could still be told.
        nonlocal ended
        if leaker.poll() is None:
            return False
        ended = ended or time.monotonic()
        patience = (0.2 if cell.pattern == "filecache" else 5) * b.SLOW
        return time.monotonic() - ended > patience

    try:
        outcome = dog.wait(120 * b.SLOW, of(*OUTCOMES), since, hopeless)
        killed = group.oom_kills() - kills
        if cell.pattern == "filecache":
            told = [e["OOMSNAP_EVENT"] for e in dog.events[since:]]
            if killed or outcome or leaker.returncode:
                return "page cache was taken for a leak", f"{killed} killed, {told}", {}
            return None, "", {}
        if outcome is None:
            return f"no capture, {killed} killed", "", {}
        if dog.wait(20 * b.SLOW, of("released"), since, hopeless) is None:
            return "not released", "", {}
        verdict = check_verdict(cell, group, leaker)
        figures = margin([e for e in dog.events[since:]
                          if e.get("OOMSNAP_INCIDENT") == outcome.get("OOMSNAP_INCIDENT")])
        killed = group.oom_kills() - kills
        if outcome["OOMSNAP_EVENT"] != "captured" or killed:
            return f"{outcome['OOMSNAP_EVENT']}, {killed} killed", "", figures
        wrong, detail = check_core(cell, outcome["OOMSNAP_CORE"])
        return wrong or verdict, detail, figures
    except b.Failed as failed:
        return "timeout", str(failed), {}
    finally:
        if cell.verdict != "kill" or leaker.poll() is None or cell.pattern == "fork":
            group.kill()
        leaker.wait()
        # While it dies the target may trip once more, the cooldown being next to nothing: that
        # incident is over, and told, before the next trial begins.
        with contextlib.suppress(b.Failed):
            dog.settle(0.05 * b.SLOW)
            while not quiet():
                dog.wait(20 * b.SLOW, of_any, len(dog.events))
        for path in dog.dumps.glob("*"):
            shutil.rmtree(path, ignore_errors=True)


def today(cell, group, scratch, seed):
    """One trial with the tools of today: why it was lost, or None."""
    trip = int(b.size(cell.limit) * TRIP)
    core, kills = scratch / "core", group.oom_kills()
    leaker = group.spawn(leaker_command(cell, seed))
    tool = None
    try:
        if cell.level == "procdump":
            tool = subprocess.Popen(["procdump", "-M", str(trip // b.MIB), "-o", str(core),
                                     "-p", str(leaker.pid)], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            b.wait_until(120, lambda: tool.poll() is not None or leaker.poll() is not None,
                         "procdump ends", 0.05)
        else:
            period = 1.0 if cell.level == "poll-1s-gcore" else 0.1
            # The leak begins anywhere between two looks.
            time.sleep(period * random.Random(seed).random())
            while leaker.poll() is None and group.usage() < trip:
                time.sleep(period)
            if leaker.poll() is None:
                subprocess.run(["gcore", "-o", str(core), str(leaker.pid)], check=False,
                               stdin=subprocess.DEVNULL, capture_output=True)
        found = list(scratch.glob("core*"))
        if not found:
            return f"no core, {group.oom_kills() - kills} killed"
        return check_core(cell, found[0])[0]
    finally:
        if tool:
            tool.kill()
            tool.wait()
        group.kill()
        leaker.wait()
        for path in scratch.glob("core*"):
            path.unlink()
