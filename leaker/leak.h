/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A leak: its thread, its state, and what every pattern needs. See leak.c and leak_step.c.
 */
#ifndef OOMSNAP_LEAKER_LEAK_H
#define OOMSNAP_LEAKER_LEAK_H

#include "manifest.h"
#include "pace.h"
#include "pattern.h"
#include "worker.h"

#include <stdbool.h>
#include <sys/types.h>

/* X(NAME, text): what the leak is doing. */
#define LEAK_STATES(X)        \
	X(IDLE, "idle")       \
	X(RUNNING, "running") \
	X(HELD, "held")       \
	X(FREEING, "freeing")

enum leak_state {
#define LEAK_STATE_ENUM(name, text) LEAK_##name,
	LEAK_STATES(LEAK_STATE_ENUM)
#undef LEAK_STATE_ENUM
		LEAK_STATE_COUNT,
};

/* What the calls below can answer beside 0. */
enum leak_error {
	LEAK_OK,
	LEAK_BUSY, /* it already runs */
	LEAK_LATE, /* the deadline passed first; a stop stands, a release has to be asked for again
		    */
	LEAK_ERROR_COUNT,
};

#define LEAK_FDS_MAX 16u      /* files that hold page cache, one a run of `filecache` */
#define LEAK_CHILDREN_MAX 64u /* direct children, two a run of `fork` */

/* Shared with forked children, once there are any: leak_share(). */
struct leak_shared {
	_Atomic int stop;
	_Atomic unsigned finished;	  /* children that reached their share */
	_Atomic unsigned failures;	  /* failed allocations, each retried */
	_Atomic uint64_t allocated_bytes; /* everything held, of all runs and processes */
	_Atomic uint64_t filled_bytes;
	_Atomic uint64_t logged_bytes; /* filled_bytes when progress was last logged */
	_Atomic uint64_t logged_ns;
};

struct leak {
	struct manifest manifest;
	struct leak_shared *shared;
	bool is_shared; /* whether children would see it */
	struct workers workers;
	struct pace pace;
	struct pattern_plan plan;	/* of the run */
	uint64_t log_step_bytes;	/* of the run */
	_Atomic uint64_t claimed_bytes; /* of the run, in this process */
	_Atomic uint64_t complained_ns; /* when a failed allocation was last logged */
	int stop_fd;			/* readable while the run is being stopped */

	pthread_t thread;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t changed;
	enum leak_state state;
	enum leak_state wanted; /* RUNNING or FREEING asks the thread to begin */
	void (*on_end)(void *arg, enum pattern_result result);
	void *on_end_arg;

	int fds[LEAK_FDS_MAX]; /* owned; the thread's own from here on */
	unsigned fd_count;
	int children[LEAK_CHILDREN_MAX]; /* pidfds, owned */
	unsigned child_count;
};

/* --- for whoever runs the program: leak.c ------------------------------------------------------
 */

/*
 * Prepares a leak and starts its thread, idle. on_end (may be NULL) is called on that thread after
 * each run. 0 or a negative errno.
 */
int leak_init(struct leak *leak, uint64_t seed, void (*on_end)(void *, enum pattern_result),
	void *on_end_arg);

/*
 * Starts a run; returns at once. The plan has been through pattern_plan(). Memory held from earlier
 * runs stays. 0 or LEAK_BUSY.
 */
int leak_start(struct leak *leak, const struct pattern_plan *plan, uint64_t log_step_bytes);

/* Stops the run, if any, and keeps the memory. 0, or LEAK_LATE after DEADLINE_MS. */
int leak_stop(struct leak *leak, int deadline_ms);

/* Stops the run, if any, and gives back everything leaked. 0, or LEAK_LATE after DEADLINE_MS. */
int leak_free(struct leak *leak, int deadline_ms);

enum leak_state leak_state(struct leak *leak);
const char *leak_state_name(enum leak_state state);

/* --- for the patterns: leak_step.c -------------------------------------------------------------
 */

static inline bool leak_stopping(const struct leak *leak)
{
	return atomic_load_explicit(&leak->shared->stop, memory_order_relaxed) != 0;
}

/*
 * Makes the counters shared memory, for the children that the caller, a pattern, is about to fork.
 * Not before: shared memory without a file cannot be captured from another container without
 * CAP_CHECKPOINT_RESTORE, and every core of a leaker in a pod would lack this page. 0 or a negative
 * errno; once shared they stay so.
 */
int leak_share(struct leak *leak);

/* Grants the next bytes, at most WANT: 0 when the total is reached or the leak is being stopped. */
uint64_t leak_claim(struct leak *leak, uint64_t want);

/* Gives back claimed bytes that could not be used. */
void leak_unclaim(struct leak *leak, uint64_t bytes);

/* Waits until BYTES more are due. False when the leak is being stopped. */
bool leak_pace(struct leak *leak, uint64_t bytes);

/*
 * Counts and logs a failed allocation ("Memory allocation failed: WHAT of N bytes: ...", at most
 * once a second) and waits a moment. True to try again, false when the leak is being stopped.
 */
bool leak_failed(struct leak *leak, const char *what, uint64_t bytes, int error);

/* mmap() that is retried until it works. NULL when the leak is being stopped. */
void *leak_map(struct leak *leak, void *at, uint64_t bytes, int prot, int flags, int fd);

/* manifest_publish() and the totals. May return NULL; the functions below accept that. */
struct manifest_entry *leak_publish(
	struct leak *leak, void *memory, uint64_t bytes, enum manifest_kind kind, uint32_t flags);

/* Undoes leak_publish() of memory that could not be had. */
void leak_retract(struct leak *leak, struct manifest_entry *entry, uint64_t bytes);

/*
 * Writes the fill over MEMORY, page by page, and keeps the entry, the totals and the log up to
 * date. With PACED it keeps to the rate as well. Returns early when the leak is being stopped.
 */
void leak_fill(
	struct leak *leak, struct manifest_entry *entry, void *memory, uint64_t bytes, bool paced);

/* Counts memory that is not the process's own (page cache) as allocated and filled. */
void leak_count(struct leak *leak, uint64_t bytes);

/* In a forked child: one thread, nothing leaked yet, SHARE of the total and of the rate. */
void leak_after_fork(struct leak *leak, uint64_t share_bytes, uint64_t rate_bytes_s);

#endif
