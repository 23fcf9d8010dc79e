/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that all ptrace calls of a capture are made on.
 *
 * It is a thread of its own for two reasons. PTRACE_SEIZE of a SIGSTOPped thread in a v1 freezer
 * sleeps until the thaw, and nothing but a kill wakes it: the capture gives it up and goes on. And
 * a seized thread that has not stopped cannot be detached from, but the kernel lets go of it when
 * its tracer thread ends.
 */
#ifndef OOMSNAP_OS_TRACER_H
#define OOMSNAP_OS_TRACER_H

#include <stdbool.h>
#include <stdint.h>

struct tracer;

enum tracer_result {
	TRACER_STUCK = 1, /* the deadline passed; what was called may still be running */
};

/* Starts the thread. 0, -ENOMEM, -EAGAIN. tracer_free() accepts NULL and lets a stuck thread be. */
int tracer_new(struct tracer **ret);
void tracer_free(struct tracer *t);

/*
 * Runs call(arg) on the tracer thread and waits for its return, until deadline_ns
 * (CLOCK_MONOTONIC). 0 with *ret filled, or TRACER_STUCK: then arg must stay valid, and until
 * tracer_renew() every further call is refused with the same.
 */
int tracer_call(
	struct tracer *t, int (*call)(void *arg), void *arg, uint64_t deadline_ns, int *ret);

/* The same in two steps: tracer_start() does not wait. After it, tracer_wait() must follow. */
void tracer_start(struct tracer *t, int (*call)(void *arg), void *arg);
int tracer_wait(struct tracer *t, uint64_t deadline_ns, int *ret);

/*
 * Ends the thread, so that the kernel lets go of all that it traces, and starts another. One that
 * is stuck ends by itself once its call returns. The only function here that may allocate: call it
 * when the target has been let go. 0 or -EAGAIN.
 */
int tracer_renew(struct tracer *t);

/* Whether what the thread given up last was called for still runs, with what it was given. */
bool tracer_still_runs(struct tracer *t);

#endif
