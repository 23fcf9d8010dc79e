/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tripwire: BPF programs (bpf/tripwire.bpf.c) that stop a process of a target in its own
 * context, inside the kernel, when the memory charged to the target's cgroup reaches a threshold.
 *
 * Who undoes a stop. The programs note each process in memory that is mapped shared, before they
 * send SIGSTOP; open the tripwire before the guardian and the capturers are forked, and they have
 * that memory too. Then:
 *  - the watchdog notes an entry "tripwire armed" for the cgroup in the ledger before
 *    tripwire_arm(), and each TRIPWIRE_STOPPED process (LEDGER_STOP, tgid, start_time_ticks) when
 *    it is told of it; at the release: tripwire_disarm(), the ledger's undo (SIGCONT),
 *    tripwire_continue(). In that order, or the process is stopped again at its next page;
 *  - the guardian, once the watchdog is gone: tripwire_shut(), tripwire_undo(), and after
 *    TRIPWIRE_SETTLE_NS tripwire_undo() once more, for a program that was just running;
 *  - a next start that finds "tripwire armed" in a ledger whose three processes all died has no
 *    such memory: every process of that cgroup in state T may be one.
 * The process that calls tripwire_open() is the watchdog. Forked children call tripwire_leave(), so
 * that no descriptor of theirs keeps a program alive. Nothing is pinned: programs, links and maps
 * go with the watchdog, and should a child still hold them they are inert, as one of the programs
 * watches the watchdog's own exit.
 *
 * Memory is bounded (WIRE_*_MAX in bpf/wire.h); nothing is allocated after tripwire_open(). One
 * thread; no function but tripwire_open() blocks for longer than the kernel needs to attach a
 * probe.
 */
#ifndef OOMSNAP_OS_BPF_H
#define OOMSNAP_OS_BPF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tripwire;

/* Positive returns of the functions below. */
enum tripwire_result {
	TRIPWIRE_UNAVAILABLE = 1, /* this host, or we with our rights, cannot have it */
	TRIPWIRE_FULL,		  /* there is room for WIRE_TARGETS_MAX targets */
	TRIPWIRE_UNKNOWN,	  /* no such target was added */
	TRIPWIRE_NO_HOOK,	  /* what a flag asks for does not exist here: tripwire_can() */
};

/* When a target trips, and what is done then. */
#define TRIPWIRE_STOP 0x02U	  /* SIGSTOP; without it the event TRIPWIRE_REACHED alone, once */
#define TRIPWIRE_ON_CHARGE 0x04U  /* at the threshold; always possible */
#define TRIPWIRE_ON_RECLAIM 0x08U /* at the first reclaim: over memory.high, the brake */
#define TRIPWIRE_ON_OOM 0x10U	  /* when the OOM killer begins: with a shield, the last line */
#define TRIPWIRE_USED 0x20U /* the threshold is of usage less the cgroup's own inactive cache */
#define TRIPWIRE_PROCESSES 0x40U /* tell of new processes, armed or not, for the shield */

enum tripwire_event_kind {
	TRIPWIRE_STOPPED = 1,
	TRIPWIRE_REACHED, /* tripwire_notice(), or it would have stopped, but for the flag */
	TRIPWIRE_VICTIM,  /* the OOM killer has chosen this process */
	TRIPWIRE_FORKED,  /* tgid is a new process of the target */
	TRIPWIRE_EXECED,
	TRIPWIRE_MOVED, /* into the target, or between cgroups within it */
};

struct tripwire_event {
	enum tripwire_event_kind kind;
	const char *hook;     /* where in the kernel; static text */
	uint64_t time_ns;     /* CLOCK_MONOTONIC */
	uint64_t cgroup_id;   /* 0: not known, tgid counts in the initial pid namespace (VICTIM on
				 kernels before 6.9) */
	uint64_t usage_bytes; /* of the target's cgroup; 0 for the last four kinds */
	uint64_t start_time_ticks; /* of the process, as field 22 of /proc/PID/stat */
	uint64_t ip;		   /* user mode instruction pointer, 0: unknown */
	pid_t pid;		   /* thread; both in our own pid namespace, 0: not in it */
	pid_t tgid;		   /* process */
};

/* Since tripwire_open(). Every one of the latter is something that was not done, or not told. */
struct tripwire_counters {
	uint64_t stops;
	uint64_t repeats;      /* charges of a process after it was stopped */
	uint64_t records_lost; /* a stop is told all the same, other kinds are not: list again */
	uint64_t no_place;     /* not stopped: too many stopped already */
	uint64_t unseen;       /* not stopped: outside our pid namespace, so nobody could undo it */
	uint64_t signal_busy;  /* tried again at the next charge */
	uint64_t signal_refused;
	uint64_t after_end; /* seen by programs of a watchdog that had ended */
};

#define TRIPWIRE_WHY_MAX 256
#define TRIPWIRE_SETTLE_NS 10000000ULL /* far longer than a program runs */

/*
 * Loads the programs and finds out which can be attached. Some 100 ms; 0 and *ret (to be given to
 * tripwire_close()), TRIPWIRE_UNAVAILABLE with a sentence in why (size at least TRIPWIRE_WHY_MAX)
 * that says the reason and how to mend it, -ENOMEM.
 */
int tripwire_open(struct tripwire **ret, char *why, size_t size);

/* Detaches and frees everything. NULL is fine. Stopped processes stay stopped: undo first. */
void tripwire_close(struct tripwire *t);

/* In a forked child: closes its copies of all descriptors. Only shut and undo may follow. */
void tripwire_leave(struct tripwire *t);

/* Of the charges: "fexit/page_counter_try_charge", or what this host allows instead. */
const char *tripwire_hook_name(const struct tripwire *t);
/*
 * Watches charges at another one, while no target is armed: for tests, and for a kernel on which
 * the first proves useless. 0, TRIPWIRE_NO_HOOK if this host does not have that one.
 */
int tripwire_use_hook(struct tripwire *t, const char *name);
/* Whether every one of these TRIPWIRE_ flags can be had. */
bool tripwire_can(const struct tripwire *t, uint32_t flags);
/* Whether TRIPWIRE_VICTIM is told. */
bool tripwire_sees_victims(const struct tripwire *t);

/*
 * Adds a target, or changes threshold and flags of one that is there (an armed one stays armed).
 * cgroup_id is struct cgroup's id. reclaim_bytes: least usage for TRIPWIRE_ON_RECLAIM. 0,
 * TRIPWIRE_FULL, TRIPWIRE_NO_HOOK, -errno.
 */
int tripwire_add(struct tripwire *t, uint64_t cgroup_id, uint64_t threshold_bytes,
	uint64_t reclaim_bytes, uint32_t flags);
/* Disarms and removes it and forgets its stops. 0, TRIPWIRE_UNKNOWN. */
int tripwire_remove(struct tripwire *t, uint64_t cgroup_id);

/*
 * Arming attaches the programs that are not yet; where tripwire_prepare() has done that it is a
 * store. Arming anew forgets the target's stops. 0, TRIPWIRE_UNKNOWN, -errno of attaching, and then
 * the target is not armed. Disarming takes effect at once, leaves the programs attached, where they
 * look at a flag and do nothing, and cannot fail.
 */
int tripwire_arm(struct tripwire *t, uint64_t cgroup_id);
int tripwire_disarm(struct tripwire *t, uint64_t cgroup_id);
/*
 * prepare: attaches what arming that target will need; nobody is stopped yet. 0, TRIPWIRE_UNKNOWN,
 * -errno. rest: detaches what no target needs as they are now, but for programs at functions, which
 * the kernel waits for (bpf.c says why): those come with tripwire_open(), and do nothing meanwhile.
 */
int tripwire_prepare(struct tripwire *t, uint64_t cgroup_id);
void tripwire_rest(struct tripwire *t);
/*
 * One TRIPWIRE_REACHED once that much is charged to the target's cgroup, while it is armed;
 * UINT64_MAX: none. Each call asks for one more. Nobody is stopped by it, and a store is all it
 * takes. 0, TRIPWIRE_UNKNOWN.
 */
int tripwire_notice(struct tripwire *t, uint64_t cgroup_id, uint64_t charged_bytes);
bool tripwire_is_armed(const struct tripwire *t, uint64_t cgroup_id);

/* Readable when there are events. Owned by the tripwire. */
int tripwire_fd(const struct tripwire *t);

typedef void tripwire_event_fn(const struct tripwire_event *event, void *user);

/*
 * Hands all waiting events to fn, which must not call tripwire_consume(). The number, or -errno.
 * A stop whose record found the ring full is handed over as well.
 */
int tripwire_consume(struct tripwire *t, tripwire_event_fn *fn, void *user);

/*
 * Frees the places of a target's stops once they are undone; they may be stopped again then. One
 * that was noted this instant is forgotten too, stopped as it is: where programs may be running,
 * tripwire_continue().
 */
void tripwire_forget(struct tripwire *t, uint64_t cgroup_id);

/*
 * SIGCONT to each process of a target that was stopped and not forgotten since, told of or not, and
 * its place is free again. Disarm first, or it is stopped again at its next page. How many could
 * not be continued; those stand in the table still.
 */
uint32_t tripwire_continue(struct tripwire *t, uint64_t cgroup_id);

/* Whether that process was stopped by it and not continued or forgotten since. */
bool tripwire_has_stopped(const struct tripwire *t, pid_t pid, uint64_t start_time_ticks);

/*
 * For whoever is left when the watchdog is gone. shut: every program does nothing any more, for
 * good. undo: SIGCONT to each process that was stopped and not forgotten since; returns how many
 * could not be continued (to be tried again); *ret_done counts the others. System calls alone.
 */
void tripwire_shut(struct tripwire *t);
uint32_t tripwire_undo(struct tripwire *t, uint32_t *ret_done);

void tripwire_count(const struct tripwire *t, struct tripwire_counters *ret);

const char *tripwire_event_kind_name(enum tripwire_event_kind v);

#endif
