// SPDX-License-Identifier: Apache-2.0
/*
 * The copy workers.
 *
 * Each takes units, stretches of at most UNIT_BYTES of one segment, from a shared queue until
 * nothing is left. The queue is not built: it is one cursor per class of value over the table of
 * segments, and a unit is what the cursor of the most valuable class with something left points at.
 * So stacks are copied before heaps, and a core that is cut off has what is needed to read the rest
 * of it.
 *
 * A segment may only be taken when the flags of its mapping are known (flags.c reads them while
 * the workers run). A worker that finds the next segment of a class unknown tries the next class;
 * when no class has anything known it waits. Where not everything fits on the disk, it waits for
 * the flags of stacks and runtime data, too, rather than fill the room with heaps.
 *
 * Every worker reads into its own buffer and writes with pwrite to places that no other writes to,
 * so they share nothing but the cursors and the counters. Two are enough: two cores copy 13 GiB/s,
 * no disk takes more.
 *
 * Deadlines are kept by the caller's thread, which waits with a timeout and asks for a stop; a
 * worker looks at that between two batches. One that is caught in a system call (a dead file
 * server) does not come back; the caller goes on without it, the worker does nothing more when it
 * returns, and until then no new capture can begin.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/checked.h"
#include "capture/writer.h"
#include "parse/maps.h"

#define UNIT_BYTES                                                                     \
	(16ULL << 20) /* 2-3 ms of copying: small against a core, large against a lock \
		       */
#define STACK_BYTES (128U << 10)

struct cursor {
	uint32_t segment;
	uint64_t done_bytes; /* of it, given out */
};

struct capture_writer {
	pthread_mutex_t lock;
	pthread_cond_t work; /* a round has begun, more is known, or quit */
	pthread_cond_t done; /* a worker has become idle */
	pthread_t threads[WRITER_THREADS_MAX];
	struct copier copiers[WRITER_THREADS_MAX];
	struct copier tracer; /* for writer_copy_protected() */
	unsigned char *buffers;
	uint32_t count;
	uint32_t active; /* workers in the running round */
	uint32_t round;	 /* grows by one with each */
	bool quit;
	struct copy_job job;
	struct core_sink sink;
	struct cursor cursors[REGION_CLASS_COUNT];
	uint64_t known;
	bool tight; /* there may be less room than memory */
};

struct worker_start {
	struct capture_writer *writer;
	struct copier *copier;
};

/* --- the queue ----------------------------------------------------------------------------- */

static bool is_protected(const struct region *r)
{
	return !(r->prot & MAPS_READ) && r->source == REGION_PAGES;
}

/* Whether a worker has to do with this segment at all; its region is known. */
static bool wanted(const struct capture_writer *w, const struct segment *s, const struct region *r)
{
	if (!s->file_bytes || r->flags & REGION_LEFT_OUT || is_protected(r))
		return false;
	return !w->job.swap_too || r->flags & REGION_SWAPPED;
}

struct unit {
	uint32_t segment;
	uint64_t from;
	uint64_t to;
};

enum next { NEXT_UNIT, NEXT_UNKNOWN, NEXT_NONE };

static enum next next_of_class(struct capture_writer *w, uint32_t class, struct unit *ret)
{
	const struct capture_plan *plan = w->job.plan;
	struct cursor *c = &w->cursors[class];

	for (; c->segment < plan->segment_count; c->segment++, c->done_bytes = 0) {
		const struct segment *s = &plan->segments[c->segment];
		const struct region *r = &plan->regions[s->region];

		if (r->class != class)
			continue;
		if (r->end > w->known)
			return NEXT_UNKNOWN;
		if (!wanted(w, s, r) || c->done_bytes == s->file_bytes)
			continue;
		ret->segment = c->segment;
		ret->from = s->start + c->done_bytes;
		ret->to = s->start + min_u64(s->file_bytes, c->done_bytes + UNIT_BYTES);
		c->done_bytes = ret->to - s->start;
		return NEXT_UNIT;
	}
	return NEXT_NONE;
}

/* The most valuable unit that may be taken; waits while there are only unknown ones. */
static bool next_unit(struct capture_writer *w, struct unit *ret)
{
	for (;;) {
		bool unknown = false;

		if (atomic_load(&w->job.stop))
			return false;
		for (uint32_t class = 0; class < REGION_CLASS_COUNT; class ++) {
			enum next next = next_of_class(w, class, ret);

			if (next == NEXT_UNIT)
				return true;
			unknown |= next == NEXT_UNKNOWN;
			if (unknown && w->tight && class == REGION_RUNTIME)
				break;
		}
		if (!unknown)
			return false;
		(void)pthread_cond_wait(&w->work, &w->lock);
	}
}

static void *serve(void *user)
{
	struct worker_start start = *(struct worker_start *)user;
	struct capture_writer *w = start.writer;
	uint32_t round = 0;
	struct unit unit;

	free(user);
	(void)pthread_mutex_lock(&w->lock);
	for (;;) {
		while (w->round == round && !w->quit)
			(void)pthread_cond_wait(&w->work, &w->lock);
		if (w->quit)
			break;
		round = w->round;
		copy_begin(start.copier, &w->job, /* protected= */ false);
		while (next_unit(w, &unit)) {
			bool more;

			(void)pthread_mutex_unlock(&w->lock);
			more = copy_unit(start.copier, unit.segment, unit.from, unit.to);
			(void)pthread_mutex_lock(&w->lock);
			if (!more)
				break;
		}
		(void)pthread_mutex_unlock(&w->lock);
		copy_end(start.copier);
		(void)pthread_mutex_lock(&w->lock);
		w->active--;
		(void)pthread_cond_broadcast(&w->done);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* --- life ---------------------------------------------------------------------------------- */

static int start_worker(struct capture_writer *w, uint32_t i)
{
	struct worker_start *start = malloc(sizeof(*start));
	pthread_attr_t attr;
	sigset_t all;
	sigset_t old;
	int r;

	if (!start)
		return -ENOMEM;
	*start = (struct worker_start){.writer = w, .copier = &w->copiers[i]};
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	(void)sigfillset(&all);
	(void)pthread_sigmask(
		SIG_SETMASK, &all, &old); /* handlers belong to the caller's threads */
	r = pthread_create(&w->threads[i], &attr, serve, start);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)pthread_attr_destroy(&attr);
	if (r)
		free(start);
	return -r;
}

int writer_new(const struct capture_limits *limits, struct capture_writer **ret)
{
	size_t copiers = (size_t)limits->copy_threads + 1;
	struct capture_writer *w;
	pthread_condattr_t attr;
	int r = 0;

	if (!limits->copy_threads || limits->copy_threads > WRITER_THREADS_MAX ||
		limits->buffer_bytes < (64U << 10) || limits->buffer_bytes % (64U << 10))
		return -EINVAL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->buffers = aligned_alloc(4096, copiers * limits->buffer_bytes);
	if (!w->buffers) {
		free(w);
		return -ENOMEM;
	}
	memset(w->buffers, 0, copiers * limits->buffer_bytes);
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&w->work, NULL);
	(void)pthread_cond_init(&w->done, &attr);
	(void)pthread_condattr_destroy(&attr);
	copy_init(&w->tracer, w->buffers, limits->buffer_bytes);
	for (uint32_t i = 0; i < limits->copy_threads && r == 0; i++) {
		copy_init(&w->copiers[i], w->buffers + (size_t)(i + 1) * limits->buffer_bytes,
			limits->buffer_bytes);
		r = start_worker(w, i);
		if (r == 0)
			w->count++;
	}
	if (r) {
		writer_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

void writer_free(struct capture_writer *w)
{
	bool stuck;

	if (!w)
		return;
	(void)pthread_mutex_lock(&w->lock);
	w->quit = true;
	stuck = w->active != 0;
	(void)pthread_cond_broadcast(&w->work);
	(void)pthread_mutex_unlock(&w->lock);
	if (stuck)
		return; /* a worker in the kernel still has all of this in its hands */
	for (uint32_t i = 0; i < w->count; i++)
		(void)pthread_join(w->threads[i], NULL);
	(void)pthread_cond_destroy(&w->work);
	(void)pthread_cond_destroy(&w->done);
	(void)pthread_mutex_destroy(&w->lock);
	free(w->buffers);
	free(w);
}

bool writer_busy(struct capture_writer *w)
{
	bool busy;

	(void)pthread_mutex_lock(&w->lock);
	busy = w->active != 0;
	(void)pthread_mutex_unlock(&w->lock);
	return busy;
}

/* --- a capture ----------------------------------------------------------------------------- */

static void begin_round(struct capture_writer *w)
{
	memset(w->cursors, 0, sizeof(w->cursors));
	w->active = w->count;
	w->round++;
	(void)pthread_cond_broadcast(&w->work);
}

void writer_begin(struct capture_writer *w, struct capture_plan *plan, int fd, uint64_t room_bytes,
	uint64_t cache_bytes)
{
	(void)pthread_mutex_lock(&w->lock);
	memset(&w->job, 0, sizeof(w->job));
	sink_init(&w->sink, fd, room_bytes, cache_bytes, w->count);
	w->tight = room_bytes < plan->layout.file_bytes;
	w->job.plan = plan;
	w->job.sink = &w->sink;
	w->known = 0;
	begin_round(w);
	(void)pthread_mutex_unlock(&w->lock);
}

void writer_known(struct capture_writer *w, uint64_t address)
{
	(void)pthread_mutex_lock(&w->lock);
	w->known = address;
	(void)pthread_cond_broadcast(&w->work);
	(void)pthread_mutex_unlock(&w->lock);
}

void writer_stop(struct capture_writer *w, unsigned int missing)
{
	(void)pthread_mutex_lock(&w->lock);
	(void)atomic_fetch_or(&w->job.stop, missing | COPY_STOP);
	(void)pthread_cond_broadcast(&w->work);
	(void)pthread_mutex_unlock(&w->lock);
}

enum writer_result writer_wait(struct capture_writer *w, uint64_t until_ns)
{
	struct timespec until = {.tv_sec = (time_t)min_u64(until_ns / NS_PER_S, INT32_MAX),
		.tv_nsec = (long)(until_ns % NS_PER_S)};
	int r = 0;
	bool idle;

	(void)pthread_mutex_lock(&w->lock);
	while (w->active && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&w->done, &w->lock, &until);
	idle = w->active == 0;
	(void)pthread_mutex_unlock(&w->lock);
	return idle ? WRITER_DONE : WRITER_TIMEOUT;
}

void writer_begin_swap(struct capture_writer *w)
{
	(void)pthread_mutex_lock(&w->lock);
	w->job.swap_too = true;
	begin_round(w);
	(void)pthread_mutex_unlock(&w->lock);
}

void writer_copy_protected(struct capture_writer *w)
{
	const struct capture_plan *plan = w->job.plan;
	bool more = true;

	copy_begin(&w->tracer, &w->job, /* protected= */ true);
	for (uint32_t i = 0; i < plan->segment_count && more; i++) {
		const struct segment *s = &plan->segments[i];
		const struct region *r = &plan->regions[s->region];

		if (s->file_bytes && is_protected(r) && !(r->flags & REGION_LEFT_OUT))
			more = copy_unit(&w->tracer, i, s->start, s->start + s->file_bytes);
	}
	copy_end(&w->tracer);
}

void writer_counts(struct capture_writer *w, struct capture_result *ret)
{
	struct copy_job *job = &w->job;

	ret->memory_bytes = atomic_load(&job->memory_bytes);
	ret->zero_bytes = atomic_load(&job->zero_bytes);
	ret->skipped_bytes = atomic_load(&job->skipped_bytes);
	ret->swap_bytes = atomic_load(&job->swap_bytes);
	ret->missing |= atomic_load(&job->missing) | (atomic_load(&job->stop) & ~COPY_STOP);
	if (!ret->error)
		ret->error = atomic_load(&job->error);
}

bool writer_untouched(struct capture_writer *w, uint32_t segment)
{
	const struct capture_plan *plan = w->job.plan;
	const struct region *r = &plan->regions[plan->segments[segment].region];
	const struct cursor *c = &w->cursors[r->class];

	if (is_protected(r))
		return false;
	return segment > c->segment || (segment == c->segment && !c->done_bytes);
}
