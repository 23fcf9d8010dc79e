/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that leak and then stay. See worker.c.
 */
#ifndef OOMSNAP_LEAKER_WORKER_H
#define OOMSNAP_LEAKER_WORKER_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct leak;
struct workers;

/* Must end with workers_park(): the thread belongs to what was leaked. */
typedef void worker_fn(struct leak *leak, uint64_t bytes);

struct worker {
	struct workers *workers;
	struct leak *leak;
	worker_fn *fn;
	uint64_t bytes;
};

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned working; /* threads that have not parked yet */
	unsigned parked;
	unsigned used; /* slots handed out since the last release */
	int release_fd;
	struct worker *slots; /* PATTERN_THREADS_MAX of them */
};

/* 0 or a negative errno. */
int workers_init(struct workers *w);

/*
 * Starts a thread with at least STACK_BYTES of stack that runs fn(leak, bytes).
 * 0, or a negative errno: that of pthread_create(), or -EAGAIN when PATTERN_THREADS_MAX are there.
 */
int workers_spawn(
	struct workers *w, struct leak *leak, worker_fn *fn, uint64_t bytes, size_t stack_bytes);

/* On a worker: says that the work is done, and sleeps until workers_release(). */
void workers_park(struct workers *w);

/* Waits until every worker has parked: as long as the work takes, which leak_stop() can cut short.
 */
void workers_wait(struct workers *w);

/* Lets every parked thread go and waits until they have left their functions. */
void workers_release(struct workers *w);

#endif
