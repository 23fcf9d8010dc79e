// SPDX-License-Identifier: Apache-2.0
/*
 * The copy workers.
 *
 * Each takes pieces of the core from a shared queue (queue.c) until nothing is left: most valuable
 * first, so stacks are copied before heaps, and a core that is cut off has what is needed to read
 * the rest of it.
 *
 * Every worker reads into its own buffers and writes to places that no other writes to, so they
 * share nothing but the cursors and the counters. They fill the page cache first, where there is
 * enough of it (sink.c), and write past it from there on (direct.c). Where so much is dirty on the
 * machine that the kernel would hold buffered writers back, the first one writes past it from the
 * beginning; a queue that is shared gives more to whichever gets on better, so a slow disk or a
 * held-back writer costs no more than its share. Two are enough: two cores copy 13 GiB/s, no disk
 * takes more. A compressed core has an order: its pieces are packed side by side and appended in
 * turn (pack.c), and the tracer, once the workers are done, appends what only it may read.
 *
 * Deadlines are kept by the caller's thread, which waits with a timeout and asks for a stop; a
 * worker looks at that between two batches. One that is caught in a system call (a dead file
 * server) does not come back; the caller goes on without it, the worker does nothing more when it
 * returns but end the call that it was in, on descriptors that are kept for it, and until then no
 * new capture can begin.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "capture/frame.h"
#include "capture/pack.h"
#include "capture/queue.h"
#include "capture/writer.h"

#define STACK_BYTES (128U << 10)
/*
 * Buffers of a worker: of the first one, which may go past the page cache from the beginning, and
 * of the others. What the disk takes grows with how much is on its way: measured on a virtual one,
 * 0.6 GB/s by 1 MiB, 1.0 by 2, 1.3 by 4.
 */
#define DIRECT_SLOTS 6U
#define CACHE_SLOTS 3U
#define CACHE_LEAST_BYTES (256ULL << 20) /* with less page cache to fill nobody fills it first */

struct capture_writer {
	pthread_mutex_t lock;
	pthread_cond_t work; /* a round has begun, more is known, or quit */
	pthread_cond_t done; /* a worker has become idle */
	pthread_t threads[WRITER_THREADS_MAX];
	struct copier copiers[WRITER_THREADS_MAX];
	struct direct *directs[WRITER_THREADS_MAX];
	struct copier tracer;	       /* for writer_copy_protected() */
	_Atomic uint64_t protected_to; /* of the file: so far the tracer has copied its own */
	unsigned char *buffers;
	int direct_fd; /* of the running capture, or of one that a worker did not come back from */
	int kept_fd;   /* the core of one that a worker or the tracer did not come back from */
	uint32_t count;
	uint32_t active; /* workers in the running round */
	uint32_t round;	 /* grows by one with each */
	bool quit;
	struct copy_job job;
	struct core_sink sink;
	struct pack *pack;
	struct queue queue;
};

struct worker_start {
	struct capture_writer *writer;
	struct copier *copier;
	uint32_t lane;
};

/* --- pieces -------------------------------------------------------------------------------- */

/* The next piece; waits while there are only unknown ones. False: none, or stopped. */
static bool next_piece(struct capture_writer *w, struct queue_piece *ret)
{
	for (;;) {
		enum queue_next next;

		if (atomic_load(&w->job.stop))
			return false;
		next = queue_next(&w->queue, ORDER_PROTECTED, ret);
		if (next != QUEUE_UNKNOWN)
			return next == QUEUE_PIECE;
		(void)pthread_cond_wait(&w->work, &w->lock);
	}
}

/* How far a unit that begins in the segment at position i may go in the file, at most to `to`. */
static uint64_t end_of_unit(struct capture_writer *w, uint32_t i, uint64_t to)
{
	const struct capture_plan *plan = w->job.plan;
	uint32_t first = plan->order[i];
	const struct segment *s = &plan->segments[first];
	uint64_t end = s->offset + s->file_bytes;

	for (i++; end < to && i < plan->order_first[s->rank + 1]; i++) {
		const struct segment *next = &plan->segments[plan->order[i]];

		if (next->offset != end || !queue_wants(&w->queue, next) ||
			!copy_goes_on(plan, first, plan->order[i]))
			break;
		end += next->file_bytes;
	}
	return min_u64(end, to);
}

/* Copies what the segments have in a piece. */
static bool copy_segments(
	struct capture_writer *w, struct copier *c, const struct queue_piece *piece)
{
	const struct capture_plan *plan = w->job.plan;
	uint64_t at = piece->from;

	for (uint32_t i = piece->position; at < piece->to && i < plan->order_first[ORDER_RANKS];
		i++) {
		const struct segment *s = &plan->segments[plan->order[i]];
		uint64_t from = max_u64(at, s->offset);
		uint64_t to;

		if (s->offset >= piece->to)
			break;
		if (from >= s->offset + s->file_bytes || !queue_wants(&w->queue, s))
			continue;
		to = end_of_unit(w, i, piece->to);
		if (!copy_unit(c, plan->order[i], s->start + (from - s->offset),
			    s->start + (to - s->offset)))
			return false;
		at = to;
	}
	return true;
}

/* Copies a piece to its place in the file, or packs and appends it. False: end. */
static bool copy_piece(
	struct capture_writer *w, struct copier *c, uint32_t lane, const struct queue_piece *piece)
{
	struct pack_piece packed = {.number = piece->number,
		.from = piece->from,
		.to = piece->to,
		.zeros = piece->zeros};
	bool more = true;
	int r;

	if (!w->job.plan->packed)
		return copy_segments(w, c, piece);
	c->image = pack_image(w->pack, lane);
	c->image_from = piece->from;
	c->image_used = false;
	if (!piece->zeros)
		more = copy_segments(w, c, piece);
	packed.zeros |= !c->image_used;
	if (more) {
		r = pack_put(w->pack, lane, &packed, c->buffer, c->buffer_bytes, &c->window);
		more = r == -ECANCELED ? false : copy_wrote(c, r);
	}
	if (!more)
		pack_wake(w->pack); /* the other waits for its turn, which does not come */
	return more;
}

static void *serve(void *user)
{
	struct worker_start start = *(struct worker_start *)user;
	struct capture_writer *w = start.writer;
	uint32_t round = 0;
	struct queue_piece piece;

	free(user);
	(void)pthread_mutex_lock(&w->lock);
	for (;;) {
		while (w->round == round && !w->quit)
			(void)pthread_cond_wait(&w->work, &w->lock);
		if (w->quit)
			break;
		round = w->round;
		copy_begin(start.copier, &w->job, /* protected= */ false);
		while (next_piece(w, &piece)) {
			bool more;

			(void)pthread_mutex_unlock(&w->lock);
			more = copy_piece(w, start.copier, start.lane, &piece);
			(void)pthread_mutex_lock(&w->lock);
			if (!more) {
				queue_broken(&w->queue, &piece);
				break;
			}
		}
		(void)pthread_mutex_unlock(&w->lock);
		copy_end(start.copier);
		(void)pthread_mutex_lock(&w->lock);
		if (start.copier->failed_from != UINT64_MAX)
			queue_failed(&w->queue, start.copier->failed_from);
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
	*start = (struct worker_start){.writer = w, .copier = &w->copiers[i], .lane = i};
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

static uint32_t slots_of(uint32_t lane)
{
	return lane ? CACHE_SLOTS : DIRECT_SLOTS;
}

int writer_new(const struct capture_limits *limits, struct capture_writer **ret)
{
	size_t all_bytes = 0;
	unsigned char *buffers;
	struct capture_writer *w;
	pthread_condattr_t attr;
	int r = 0;

	if (!limits->copy_threads || limits->copy_threads > WRITER_THREADS_MAX ||
		limits->buffer_bytes < FRAME_BYTES || limits->buffer_bytes % (64U << 10))
		return -EINVAL;
	all_bytes = limits->buffer_bytes;
	for (uint32_t i = 0; i < limits->copy_threads; i++)
		all_bytes += (size_t)slots_of(i) * limits->buffer_bytes;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->direct_fd = w->kept_fd = -1;
	w->buffers = aligned_alloc(4096, all_bytes);
	if (!w->buffers) {
		free(w);
		return -ENOMEM;
	}
	memset(w->buffers, 0, all_bytes);
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&w->work, NULL);
	(void)pthread_cond_init(&w->done, &attr);
	(void)pthread_condattr_destroy(&attr);
	copy_init(&w->tracer, /* direct= */ NULL, w->buffers, limits->buffer_bytes);
	r = pack_new(limits->copy_threads, &w->pack);
	buffers = w->buffers + limits->buffer_bytes;
	for (uint32_t i = 0; i < limits->copy_threads && r == 0; i++) {
		r = direct_new(buffers, slots_of(i), limits->buffer_bytes, &w->directs[i]);
		if (r == 0) {
			copy_init(&w->copiers[i], w->directs[i], buffers, limits->buffer_bytes);
			r = start_worker(w, i);
		}
		if (r == 0)
			w->count++;
		buffers += (size_t)slots_of(i) * limits->buffer_bytes;
	}
	if (r) {
		writer_free(w);
		return r;
	}
	*ret = w;
	return 0;
}

static void close_direct(struct capture_writer *w)
{
	if (w->direct_fd >= 0)
		(void)close(w->direct_fd); /* what was written has been waited for */
	w->direct_fd = -1;
}

/* Nobody works any more. */
static void close_all(struct capture_writer *w)
{
	close_direct(w);
	if (w->kept_fd >= 0)
		(void)close(w->kept_fd); /* the caller's own one tells what fails */
	w->kept_fd = -1;
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
	for (uint32_t i = 0; i < WRITER_THREADS_MAX; i++)
		direct_free(w->directs[i]);
	close_all(w);
	pack_free(w->pack);
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

int writer_end(struct capture_writer *w, bool tracer_late, int *fd)
{
	bool busy = writer_busy(w);
	int other;

	if (!busy)
		close_direct(w);
	if (!busy && !tracer_late)
		return 0;
	other = fcntl(*fd, F_DUPFD_CLOEXEC, 0);
	if (other < 0)
		return -errno;
	w->kept_fd = *fd;
	*fd = other;
	return 0;
}

static void begin_round(struct capture_writer *w)
{
	w->active = w->count;
	w->round++;
	(void)pthread_cond_broadcast(&w->work);
}

void writer_begin(struct capture_writer *w, struct capture_plan *plan, int fd, uint64_t room_bytes,
	uint64_t cache_bytes, bool cache_first)
{
	uint64_t head_bytes = plan->layout.data_offset;

	(void)pthread_mutex_lock(&w->lock);
	memset(&w->job, 0, sizeof(w->job));
	close_all(w);
	w->direct_fd = plan->packed ? -1 : direct_open(fd);
	sink_init(&w->sink, fd, w->direct_fd, room_bytes, cache_bytes, w->count);
	for (uint32_t i = 0; i < w->count; i++) {
		w->copiers[i].fills_cache = cache_bytes >= CACHE_LEAST_BYTES;
		w->copiers[i].prefers_cache = w->copiers[i].fills_cache && (i || cache_first);
	}
	w->job.plan = plan;
	w->job.sink = &w->sink;
	w->job.swap = COPY_SWAP_LATER;
	atomic_store(&w->protected_to, 0);
	queue_begin(&w->queue, plan, room_bytes < plan->layout.file_bytes, /* swapped= */ false);
	if (plan->packed)
		pack_begin(
			w->pack, &w->sink, &w->job.stop, frame_head_size(head_bytes), head_bytes);
	begin_round(w);
	(void)pthread_mutex_unlock(&w->lock);
}

void writer_known(struct capture_writer *w, uint64_t address)
{
	(void)pthread_mutex_lock(&w->lock);
	w->queue.known = address;
	(void)pthread_cond_broadcast(&w->work);
	(void)pthread_mutex_unlock(&w->lock);
}

void writer_known_all(struct capture_writer *w, bool swap_too)
{
	(void)pthread_mutex_lock(&w->lock);
	if (swap_too) /* nobody has copied anything yet */
		w->job.swap = COPY_SWAP_TOO;
	w->queue.known = UINT64_MAX;
	(void)pthread_cond_broadcast(&w->work);
	(void)pthread_mutex_unlock(&w->lock);
}

void writer_stop(struct capture_writer *w, unsigned int missing)
{
	(void)pthread_mutex_lock(&w->lock);
	(void)atomic_fetch_or(&w->job.stop, missing | COPY_STOP);
	(void)pthread_cond_broadcast(&w->work);
	(void)pthread_mutex_unlock(&w->lock);
	pack_wake(w->pack);
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

bool writer_stopped(struct capture_writer *w)
{
	return atomic_load(&w->job.stop) != 0;
}

void writer_begin_swap(struct capture_writer *w)
{
	(void)pthread_mutex_lock(&w->lock);
	w->job.swap = COPY_SWAP_ONLY;
	queue_begin(&w->queue, w->job.plan, /* tight= */ false, /* swapped= */ true);
	begin_round(w);
	(void)pthread_mutex_unlock(&w->lock);
}

/* Of a compressed core: the rest of the file, from where the workers came to. */
static void append_protected(struct capture_writer *w)
{
	struct queue_piece piece;

	while (!atomic_load(&w->job.stop) &&
		queue_next(&w->queue, ORDER_RANKS, &piece) == QUEUE_PIECE &&
		copy_piece(w, &w->tracer, /* lane= */ 0, &piece))
		;
}

void writer_copy_protected(struct capture_writer *w)
{
	const struct capture_plan *plan = w->job.plan;
	bool more = !plan->packed;

	copy_begin(&w->tracer, &w->job, /* protected= */ true);
	if (plan->packed)
		append_protected(w);
	for (uint32_t i = plan->order_first[ORDER_PROTECTED];
		i < plan->order_first[ORDER_RANKS] && more; i++) {
		const struct segment *s = &plan->segments[plan->order[i]];

		if (!queue_wants(&w->queue, s))
			continue;
		more = copy_unit(&w->tracer, plan->order[i], s->start, s->start + s->file_bytes);
		if (more)
			atomic_store(&w->protected_to, s->offset + s->file_bytes);
	}
	copy_end(&w->tracer);
}

void writer_counts(struct capture_writer *w, struct capture_result *ret)
{
	struct copy_job *job = &w->job;
	int lost = atomic_load(&w->sink.lost);

	ret->memory_bytes = atomic_load(&job->tally.memory_bytes);
	ret->zero_bytes = atomic_load(&job->tally.zero_bytes);
	if (job->swap != COPY_SWAP_ONLY) { /* else they are copied and counted again */
		ret->memory_bytes += atomic_load(&job->object_tally.memory_bytes);
		ret->zero_bytes += atomic_load(&job->object_tally.zero_bytes);
	}
	ret->skipped_bytes = atomic_load(&job->skipped_bytes);
	ret->swap_bytes = atomic_load(&job->swap_bytes);
	ret->missing |= atomic_load(&job->missing) | (atomic_load(&job->stop) & ~COPY_STOP);
	if (lost)
		ret->missing |= CAPTURE_MISSING_IO;
	if (!ret->error)
		ret->error = lost ? lost : atomic_load(&job->error);
}

uint64_t writer_copied_bytes(struct capture_writer *w, uint32_t segment)
{
	const struct segment *s = &w->job.plan->segments[segment];

	/* The tracer goes through its own without the queue, each as a whole. */
	return s->rank == ORDER_PROTECTED
		? min_u64(s->file_bytes, sub_floor(atomic_load(&w->protected_to), s->offset))
		: queue_copied_bytes(&w->queue, s);
}

void writer_packed_end(struct capture_writer *w, uint64_t *ret_file, uint64_t *ret_core)
{
	pack_end(w->pack, ret_file, ret_core);
}
