// SPDX-License-Identifier: Apache-2.0
/*
 * The life of a leak.
 *
 *     idle --start--> running --end or stop--> held --start--> running
 *       ^                                        |
 *       +--------------- freeing <-----free------+
 *
 * One thread per process runs the patterns, one run at a time, and it stays for as long as the
 * process does: forked children are told of the death of the thread that made them, not of the
 * process, so this thread must not end while they hold memory. Callers only set what they want and
 * wait for the state to change, with a deadline; a leak that sits in a system call, or asleep at
 * the limit of its cgroup, cannot be hurried.
 *
 * Giving memory back walks the manifest, which knows every region and its kind; what was leaked
 * after the manifest had run full stays leaked. The manifest's sums and `filled` go down first, so
 * that a core taken in the middle of it claims too little, never too much.
 */
#include "leak.h"

#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Enough for logging and for every pattern function; small, as mlockall makes all of it resident.
 */
#define STACK_BYTES ((size_t)256 << 10)

const char *leak_state_name(enum leak_state state)
{
	static const char *const names[] = {
#define LEAK_STATE_NAME(name, text) text,
		LEAK_STATES(LEAK_STATE_NAME)
#undef LEAK_STATE_NAME
	};

	return names[state];
}

static void log_end(struct leak *leak, enum pattern_result result)
{
	uint64_t held = atomic_load(&leak->shared->filled_bytes);

	if (result == PATTERN_DONE && leak_stopping(leak))
		log_line("leaker: stopped, %" PRIu64 " bytes filled", held);
	else if (result == PATTERN_DONE)
		log_line("leaker: total reached, %" PRIu64 " bytes filled", held);
	else
		log_line("leaker: ended before its total, %" PRIu64 " bytes filled", held);
}

/* Closes what holds page cache, and kills the children, whose own children die with them. */
static void release_fds(struct leak *leak)
{
	while (leak->fd_count > 0)
		(void)close(leak->fds[--leak->fd_count]); /* unlinked files: nothing to lose */
	while (leak->child_count > 0) {
		int fd = leak->children[--leak->child_count];

		/* through the system call: the wrapper is younger than the C libraries we build on
		 */
		(void)syscall(
			SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0); /* ESRCH: dead already */
		(void)close(fd);
	}
}

static void release_memory(struct leak *leak)
{
	struct manifest *m = &leak->manifest;
	uint64_t count = atomic_load(&m->header->count);

	for (uint64_t i = m->kept; i < count; i++) {
		struct manifest_entry *e = &m->entries[i];
		void *memory =
			(void *)(uintptr_t)e->address; /* NOLINT(performance-no-int-to-ptr) */

		switch ((enum manifest_kind)e->kind) {
		case MANIFEST_PRIVATE:
		case MANIFEST_SHARED:
		case MANIFEST_HOLE:
			(void)munmap(memory, e->length); /* whole mappings of ours: cannot fail */
			break;
		case MANIFEST_HEAP:
			free(memory);
			break;
		case MANIFEST_STACK: /* went with its thread */
		case MANIFEST_GONE:
		case MANIFEST_PROTNONE:
		case MANIFEST_KIND_COUNT:
			break;
		}
	}
}

static void release_all(struct leak *leak)
{
	uint64_t held = atomic_exchange(&leak->shared->filled_bytes, 0);

	atomic_store(&leak->shared->allocated_bytes, 0);
	atomic_store(&leak->shared->logged_bytes, 0);
	/* First the claims, then the memory; the entries are read once more for their addresses. */
	manifest_disclaim(&leak->manifest);
	workers_release(&leak->workers);
	release_fds(leak);
	release_memory(leak);
	manifest_truncate(&leak->manifest);
	(void)munlockall(); /* what `mlockall` asked for must not outlive its memory */
	log_line("leaker: freed %" PRIu64 " bytes", held);
}

static void set_state(struct leak *leak, enum leak_state state)
{
	leak->state = state;
	(void)pthread_cond_broadcast(&leak->changed);
}

static void *thread_main(void *arg)
{
	struct leak *leak = arg;

	(void)pthread_mutex_lock(&leak->lock);
	for (;;) {
		enum leak_state wanted = leak->wanted;

		if (wanted == LEAK_IDLE) {
			(void)pthread_cond_wait(&leak->changed, &leak->lock);
			continue;
		}
		leak->wanted = LEAK_IDLE;
		(void)pthread_mutex_unlock(&leak->lock);
		if (wanted == LEAK_RUNNING) {
			enum pattern_result result = leak->plan.pattern->run(leak);

			log_end(leak, result);
			if (leak->on_end)
				leak->on_end(leak->on_end_arg, result);
		} else {
			release_all(leak);
		}
		(void)pthread_mutex_lock(&leak->lock);
		set_state(leak, wanted == LEAK_RUNNING ? LEAK_HELD : LEAK_IDLE);
	}
	return NULL;
}

static int start_thread(struct leak *leak)
{
	pthread_condattr_t condattr;
	pthread_attr_t attr;
	int r;

	(void)pthread_condattr_init(&condattr); /* neither can fail: the clock is a known one */
	(void)pthread_condattr_setclock(&condattr, CLOCK_MONOTONIC);
	(void)pthread_mutex_init(&leak->lock, NULL);
	(void)pthread_cond_init(&leak->changed, &condattr);
	(void)pthread_condattr_destroy(&condattr);
	r = pthread_attr_init(&attr);
	if (r != 0)
		return -r;
	r = pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (r == 0)
		r = pthread_create(&leak->thread, &attr, thread_main, leak);
	(void)pthread_attr_destroy(&attr); /* has nothing to fail at */
	return -r;
}

static void *counters_map(int how)
{
	return mmap(NULL, sizeof(struct leak_shared), PROT_READ | PROT_WRITE, how | MAP_ANONYMOUS,
		-1, 0);
}

int leak_share(struct leak *leak)
{
	void *page;
	int r = 0;

	if (leak->is_shared)
		return 0;
	page = counters_map(MAP_SHARED);
	if (page == MAP_FAILED)
		return -errno;
	/* With the lock held nobody stores: not a stop, and no run but the caller's. Who reads
	 * without it sees the one page or the other, and both say the same. */
	(void)pthread_mutex_lock(&leak->lock);
	memcpy(page, leak->shared, sizeof(*leak->shared));
	if (mremap(page, sizeof(*leak->shared), sizeof(*leak->shared),
		    MREMAP_MAYMOVE | MREMAP_FIXED, leak->shared) == MAP_FAILED)
		r = -errno;
	(void)pthread_mutex_unlock(&leak->lock);
	if (r < 0)
		(void)munmap(page, sizeof(*leak->shared));
	leak->is_shared = r == 0;
	return r;
}

int leak_init(struct leak *leak, uint64_t seed, void (*on_end)(void *, enum pattern_result),
	void *on_end_arg)
{
	int r;

	memset(leak, 0, sizeof(*leak));
	leak->on_end = on_end;
	leak->on_end_arg = on_end_arg;
	leak->shared = counters_map(MAP_PRIVATE);
	if (leak->shared == MAP_FAILED)
		return -errno;
	leak->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (leak->stop_fd < 0)
		return -errno; /* the caller ends the process: nothing is undone by hand */
	r = workers_init(&leak->workers);
	if (r == 0)
		r = manifest_init(&leak->manifest, seed);
	return r == 0 ? start_thread(leak) : r;
}

int leak_start(struct leak *leak, const struct pattern_plan *plan, uint64_t log_step_bytes)
{
	uint64_t drained;
	int r = LEAK_BUSY;

	(void)pthread_mutex_lock(&leak->lock);
	if (leak->state == LEAK_IDLE || leak->state == LEAK_HELD) {
		leak->plan = *plan;
		leak->log_step_bytes = log_step_bytes;
		pace_init(&leak->pace, plan->rate_bytes_s);
		atomic_store(&leak->claimed_bytes, 0);
		atomic_store(&leak->complained_ns, 0);
		atomic_store(&leak->shared->stop, 0);
		(void)!read(leak->stop_fd, &drained, sizeof(drained)); /* EAGAIN: it was not set */
		leak->wanted = LEAK_RUNNING;
		set_state(leak, LEAK_RUNNING);
		r = LEAK_OK;
	}
	(void)pthread_mutex_unlock(&leak->lock);
	return r;
}

/* Waits, with the lock held, until no run and no freeing is under way. 0 or LEAK_LATE. */
static int wait_settled(struct leak *leak, const struct timespec *deadline)
{
	while (leak->state == LEAK_RUNNING || leak->state == LEAK_FREEING) {
		if (pthread_cond_timedwait(&leak->changed, &leak->lock, deadline) == ETIMEDOUT)
			return LEAK_LATE;
	}
	return LEAK_OK;
}

static struct timespec deadline_in(int ms)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (long)(ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
	return ts;
}

/* With the lock held. */
static int stop_locked(struct leak *leak, const struct timespec *deadline)
{
	uint64_t one = 1;

	if (leak->state == LEAK_RUNNING) {
		atomic_store(&leak->shared->stop, 1);
		(void)!write(leak->stop_fd, &one, sizeof(one)); /* the counter is far from full */
	}
	return wait_settled(leak, deadline);
}

int leak_stop(struct leak *leak, int deadline_ms)
{
	struct timespec deadline = deadline_in(deadline_ms);
	int r;

	(void)pthread_mutex_lock(&leak->lock);
	r = stop_locked(leak, &deadline);
	(void)pthread_mutex_unlock(&leak->lock);
	return r;
}

int leak_free(struct leak *leak, int deadline_ms)
{
	struct timespec deadline = deadline_in(deadline_ms);
	int r;

	(void)pthread_mutex_lock(&leak->lock);
	r = stop_locked(leak, &deadline);
	if (r == LEAK_OK && leak->state == LEAK_HELD) {
		leak->wanted = LEAK_FREEING;
		set_state(leak, LEAK_FREEING);
		r = wait_settled(leak, &deadline);
	}
	(void)pthread_mutex_unlock(&leak->lock);
	return r;
}

enum leak_state leak_state(struct leak *leak)
{
	enum leak_state state;

	(void)pthread_mutex_lock(&leak->lock);
	state = leak->state;
	(void)pthread_mutex_unlock(&leak->lock);
	return state;
}
