// SPDX-License-Identifier: Apache-2.0
/*
 * Worker threads of the patterns that have several.
 *
 * A worker leaks its part, parks, and stays parked for as long as the memory is held: a capture of
 * the process then finds the threads as well, with stacks and registers of their own. Parked
 * threads sleep on an eventfd that nobody reads, so one write lets all of them go.
 *
 * Slots live in a mapping made at the start, because a thread that frees its argument would make
 * glibc give it a malloc arena, and thousands of arenas are not what was asked for. Threads are
 * detached: nobody joins them, they are counted.
 */
#include "worker.h"

#include "pattern.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

/* What a worker's own calls need beyond the stack that it was asked to use: logging, poll, clocks.
 */
#define OWN_STACK_BYTES ((size_t)64 << 10)

int workers_init(struct workers *w)
{
	void *slots = mmap(NULL, PATTERN_THREADS_MAX * sizeof(struct worker),
		PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (slots == MAP_FAILED)
		return -errno;
	w->release_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->release_fd < 0) {
		int r = -errno;

		(void)munmap(
			slots, PATTERN_THREADS_MAX * sizeof(struct worker)); /* our own mapping */
		return r;
	}
	w->slots = slots;
	w->working = 0;
	w->parked = 0;
	w->used = 0;
	(void)pthread_mutex_init(&w->lock, NULL);   /* neither can fail with */
	(void)pthread_cond_init(&w->changed, NULL); /* default attributes */
	return 0;
}

/* The C library refuses less than its own minimum: 16 KiB on x86-64, 128 KiB on arm64. */
static size_t stack_of(size_t asked)
{
	long least = sysconf(_SC_THREAD_STACK_MIN);
	size_t bytes = asked + OWN_STACK_BYTES;

	return least > 0 && (size_t)least > bytes ? (size_t)least : bytes;
}

static void *run(void *arg)
{
	struct worker *worker = arg;

	worker->fn(worker->leak, worker->bytes);
	return NULL;
}

int workers_spawn(
	struct workers *w, struct leak *leak, worker_fn *fn, uint64_t bytes, size_t stack_bytes)
{
	struct worker *worker;
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	if (w->used == PATTERN_THREADS_MAX)
		return -EAGAIN;
	worker = &w->slots[w->used];
	*worker = (struct worker){.workers = w, .leak = leak, .fn = fn, .bytes = bytes};
	r = pthread_attr_init(&attr);
	if (r != 0)
		return -r;
	r = pthread_attr_setstacksize(&attr, stack_of(stack_bytes));
	if (r == 0)
		r = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	(void)pthread_mutex_lock(&w->lock);
	w->working++;
	(void)pthread_mutex_unlock(&w->lock);
	if (r == 0)
		r = pthread_create(&thread, &attr, run, worker);
	(void)pthread_attr_destroy(&attr); /* has nothing to fail at */
	if (r != 0) {
		(void)pthread_mutex_lock(&w->lock);
		w->working--;
		(void)pthread_mutex_unlock(&w->lock);
		return -r;
	}
	w->used++;
	return 0;
}

void workers_park(struct workers *w)
{
	struct pollfd released = {.fd = w->release_fd, .events = POLLIN};

	(void)pthread_mutex_lock(&w->lock);
	w->working--;
	w->parked++;
	(void)pthread_cond_broadcast(&w->changed);
	(void)pthread_mutex_unlock(&w->lock);
	/* no deadline: to stay until released, or until the process ends, is what it is for */
	while (poll(&released, 1, -1) < 0 && errno == EINTR)
		;
	(void)pthread_mutex_lock(&w->lock);
	w->parked--;
	(void)pthread_cond_broadcast(&w->changed);
	(void)pthread_mutex_unlock(&w->lock);
}

void workers_wait(struct workers *w)
{
	(void)pthread_mutex_lock(&w->lock);
	while (w->working > 0)
		(void)pthread_cond_wait(&w->changed, &w->lock);
	(void)pthread_mutex_unlock(&w->lock);
}

void workers_release(struct workers *w)
{
	uint64_t one = 1, drained;

	/* An eventfd can refuse neither: the counter is far from full, and non-zero afterwards. */
	(void)!write(w->release_fd, &one, sizeof(one));
	(void)pthread_mutex_lock(&w->lock);
	while (w->parked > 0)
		(void)pthread_cond_wait(&w->changed, &w->lock);
	(void)pthread_mutex_unlock(&w->lock);
	(void)!read(w->release_fd, &drained, sizeof(drained));
	w->used = 0;
}
