/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger: every intervention in force, with how to undo it, written before it is applied.
 *
 * It lives in shared memory backed by a file below the runtime directory, so that four readers can
 * put things back: the watchdog itself, the guardian and the capturer (which inherit the mapping),
 * and the next start (which finds the file). The file is locked (flock) as long as any of the three
 * lives. Undoing is idempotent: two at once, or one that is repeated, do no harm.
 *
 * Nothing here allocates after ledger_open().
 */
#ifndef OOMSNAP_OS_LEDGER_H
#define OOMSNAP_OS_LEDGER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/cgroup.h"

#define LEDGER_FILES_MAX 256
#define LEDGER_PROCESSES_MAX 16384
#define LEDGER_CAPTURERS_MAX 4
#define LEDGER_ALL_TARGETS UINT32_MAX

/*
 * Kinds, in the order in which they are undone: limits and memory.high go back while the target
 * still stands, then the shield, and what lets it run again comes last. SEIZE needs no undo but the
 * watchdog's end, and stands last for the files that older versions wrote.
 */
#define LEDGER_KINDS(X)                                                                         \
	X(LEASE, "lease")   /* file: a raised limit */                                          \
	X(BRAKE, "brake")   /* file: memory.high */                                             \
	X(SHIELD, "shield") /* file: v1 memory.oom_control */                                   \
	X(SHIELD_GROUP,                                                                         \
		"shield-group") /* v2: processes that were born shielded, below a cgroup */     \
	X(SHIELD_PROCESS, "shield-process") /* v2: oom_score_adj of a process */                \
	X(FREEZE, "freeze")		    /* file: cgroup.freeze */                           \
	X(STOP, "stop")			    /* SIGSTOP to a process, undone by SIGCONT */       \
	X(TRIPWIRE, "tripwire")		    /* processes below a cgroup may stop at any page */ \
	X(SEIZE, "seize") /* the watchdog holds processes below a cgroup by ptrace */
#define X(id, name) LEDGER_##id,
enum ledger_kind { LEDGER_KINDS(X) LEDGER_KIND_COUNT };
#undef X
#define LEDGER_BIT(kind) (1U << (kind))
#define LEDGER_SHIELDS                                                 \
	(LEDGER_BIT(LEDGER_SHIELD) | LEDGER_BIT(LEDGER_SHIELD_GROUP) | \
		LEDGER_BIT(LEDGER_SHIELD_PROCESS))
#define LEDGER_EVERYTHING ((1U << LEDGER_KIND_COUNT) - 1U)

struct ledger_map; /* the shared memory */

struct ledger {
	struct ledger_map *map;
	int fd; /* owned; holds the lock */
	char path[TARGET_PATH_MAX];
	bool persistent; /* false: no usable directory, lost when all three processes die */
};

/*
 * Creates DIR (0700) and in it a fresh ledger of this process, locked and touched. Where that is
 * not possible the ledger is memory alone (persistent false) and *ret_why holds the negative errno.
 * 0 or -errno where there is not even memory.
 */
int ledger_open(const char *dir, struct ledger *ret, int *ret_why);

/* Unmaps; removes the file if the ledger is empty. For the watchdog's orderly end. */
void ledger_close(struct ledger *l);

/*
 * Undoes every ledger in DIR that no living process holds and removes what became empty. One whose
 * watchdog is dead and that is held all the same is waited for as long as something of it is in
 * force, at most ten seconds for all of them: its other processes are undoing it, or are dying too;
 * where that is a raised limit alone, half a second. Counts the
 * entries that were undone and those still in force, held ones included. 0 or -errno of the
 * directory (none: 0).
 */
int ledger_recover(const char *dir, uint32_t *ret_undone, uint32_t *ret_left);

/*
 * Notes, before the change is made. Where a note of that change to that file stands already, the
 * value is ours: of this target, that one does; of another (the limit of a parent that they share),
 * its old value is the one to put back, by whoever lets go of it last. 0; -ENOSPC when the ledger
 * is full (then the intervention must not be made).
 */
int ledger_note_file(struct ledger *l, uint32_t target, enum ledger_kind kind, const char *path,
	const char *old_value);
int ledger_note_process(struct ledger *l, uint32_t target, enum ledger_kind kind, pid_t pid,
	uint64_t start_time, int old_value);

/*
 * The tripwire is to be put in force for the cgroup at that path: from then on any process below it
 * may be stopped inside the kernel before we are told. Notes the cgroup (LEDGER_TRIPWIRE), and of
 * the processes listed those that stand stopped already, by somebody else: they are not continued
 * by its undo. That undo is the next start's: every other process below the cgroup goes on that a
 * SIGSTOP has stopped (whom a terminal stops is told apart, where the kernel lets us see it). While
 * one of our processes lives, os/bpf.h knows exactly which were stopped; it continues those, and
 * then takes the note back by ledger_strike_tripwire(). 0, -ENOSPC and nothing is noted.
 */
int ledger_note_tripwire(
	struct ledger *l, uint32_t target, const char *path, const pid_t *pids, uint32_t count);
/*
 * The same for who was stopped or continued by others since: of the processes listed, notes those
 * that stand stopped and are neither noted as LEDGER_STOP nor is_ours() (NULL: nobody is), and
 * strikes the notes of who runs again. 0, -ENOSPC where not all could be noted.
 */
typedef bool ledger_is_ours_fn(pid_t pid, uint64_t start_time, void *user);
int ledger_note_stopped(struct ledger *l, uint32_t target, const pid_t *pids, uint32_t count,
	ledger_is_ours_fn *is_ours, void *user);
/* Whether that process is noted as one that others have stopped. */
bool ledger_is_noted_stopped(const struct ledger *l, pid_t pid);
/* Takes the note of a target back, or of LEDGER_ALL_TARGETS. */
void ledger_strike_tripwire(struct ledger *l, uint32_t target);

/* Whether that process is noted under that kind. */
bool ledger_has_process(
	const struct ledger *l, enum ledger_kind kind, pid_t pid, uint64_t start_time);
/* old_value of a noted process; false where there is none. */
bool ledger_process_value(
	const struct ledger *l, enum ledger_kind kind, pid_t pid, int *ret_old_value);

/* Takes a note back whose intervention was not made after all. */
void ledger_strike_process(struct ledger *l, enum ledger_kind kind, pid_t pid);

/*
 * Undoes the entries of a target (or LEDGER_ALL_TARGETS) whose kind is in the mask, and strikes
 * those that succeeded or whose object is gone. Returns the number still in force; *ret_error (may
 * be NULL) then holds the negative errno of the last failure.
 */
uint32_t ledger_undo(struct ledger *l, uint32_t target, uint32_t kinds, int *ret_error);

/* Entries in force, of a target and mask as above. */
uint32_t ledger_count(const struct ledger *l, uint32_t target, uint32_t kinds);

/* Who takes part: read by the guardian. A pid of 0 clears the place. */
void ledger_set_capturer(struct ledger *l, uint32_t place, pid_t pid);
pid_t ledger_capturer(const struct ledger *l, uint32_t place);

/* Whether that capturer holds threads by ptrace at the moment; set by the capturer. */
void ledger_set_tracing(struct ledger *l, uint32_t place, bool tracing);
bool ledger_tracing(const struct ledger *l, uint32_t place);

/*
 * The watchdog's sign of life, once per wakeup (CLOCK_MONOTONIC), at least once a second while
 * anything is in force. The guardian takes a watchdog for hung that has been silent for
 * LEDGER_HUNG_NS with entries in force, while the guardian itself ran, and ends it.
 */
#define LEDGER_HUNG_NS 5000000000ULL
void ledger_beat(struct ledger *l, uint64_t now_ns);
uint64_t ledger_last_beat(const struct ledger *l);

const char *ledger_kind_name(enum ledger_kind kind);

#endif
