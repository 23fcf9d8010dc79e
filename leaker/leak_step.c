// SPDX-License-Identifier: Apache-2.0
/*
 * The steps of which every pattern is made: claim bytes of the total, wait until they are due, get
 * memory, publish it, fill it.
 *
 * Filling is where the time goes, so it is the only hot loop: one page is written, then `filled` of
 * its entry is stored with release order, which on x86 is an ordinary store. Sums are shared
 * between threads and therefore updated once a STEP_BYTES, and the clock is read once a PACE_BYTES.
 *
 * Waits end when the leak is stopped: they poll the eventfd that leak_stop() writes to. Forked
 * children inherit that descriptor, and the page of shared counters, so one stop reaches them all.
 *
 * Failing is part of the job. An allocation that is refused is logged and tried again, for ever:
 * the program that this one imitates goes on until somebody kills it.
 */
#include "leak.h"

#include "fill.h"
#include "log.h"
#include "size.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE_BYTES UINT64_C(4096)
#define STEP_BYTES (UINT64_C(64) << 10) /* between updates of the shared sums */
#define PACE_BYTES SIZE_MB		/* between looks at the clock */

#define RETRY_NS UINT64_C(100000000)	 /* after a failed allocation */
#define COMPLAIN_NS UINT64_C(1000000000) /* between two lines about failed allocations */
#define PROGRESS_NS UINT64_C(50000000)	 /* between two lines of progress: 20 a second are plenty */

static uint64_t now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
	return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

/* Sleeps. False when the leak is being stopped. */
static bool wait_ns(struct leak *leak, uint64_t ns)
{
	struct pollfd stop = {.fd = leak->stop_fd, .events = POLLIN};
	struct timespec ts = {
		.tv_sec = (time_t)(ns / 1000000000),
		.tv_nsec = (long)(ns % 1000000000),
	};

	/* EINTR cannot come (every signal is blocked), and would only make this step early */
	if (ns > 0 && ppoll(&stop, 1, &ts, NULL) > 0)
		return false;
	return !leak_stopping(leak);
}

uint64_t leak_claim(struct leak *leak, uint64_t want)
{
	uint64_t claimed = atomic_load(&leak->claimed_bytes), grant;

	do {
		uint64_t left = leak->plan.total_bytes - claimed;

		grant = want < left ? want : left;
		if (grant == 0 || leak_stopping(leak))
			return 0;
	} while (!atomic_compare_exchange_weak(&leak->claimed_bytes, &claimed, claimed + grant));
	return grant;
}

void leak_unclaim(struct leak *leak, uint64_t bytes)
{
	atomic_fetch_sub(&leak->claimed_bytes, bytes);
}

bool leak_pace(struct leak *leak, uint64_t bytes)
{
	if (leak->pace.rate_bytes_s == SIZE_RATE_MAX)
		return !leak_stopping(leak);
	return wait_ns(leak, pace_take(&leak->pace, bytes, now_ns()));
}

bool leak_failed(struct leak *leak, const char *what, uint64_t bytes, int error)
{
	uint64_t now = now_ns(), last = atomic_load(&leak->complained_ns);

	atomic_fetch_add(&leak->shared->failures, 1);
	if ((last == 0 || now - last >= COMPLAIN_NS) &&
		atomic_compare_exchange_strong(&leak->complained_ns, &last, now))
		log_line("Memory allocation failed: %s of %" PRIu64 " bytes: %s", what, bytes,
			strerror(error));
	return wait_ns(leak, RETRY_NS);
}

void *leak_map(struct leak *leak, void *at, uint64_t bytes, int prot, int flags, int fd)
{
	for (;;) {
		void *memory = mmap(at, bytes, prot, flags, fd, 0);

		if (memory != MAP_FAILED)
			return memory;
		if (!leak_failed(leak, "mmap", bytes, errno))
			return NULL;
	}
}

struct manifest_entry *leak_publish(
	struct leak *leak, void *memory, uint64_t bytes, enum manifest_kind kind, uint32_t flags)
{
	if (kind != MANIFEST_HOLE)
		atomic_fetch_add(&leak->shared->allocated_bytes, bytes);
	return manifest_publish(&leak->manifest, (uint64_t)(uintptr_t)memory, bytes, kind, flags);
}

void leak_retract(struct leak *leak, struct manifest_entry *entry, uint64_t bytes)
{
	atomic_fetch_sub(&leak->shared->allocated_bytes, bytes);
	manifest_retract(&leak->manifest, entry);
}

/* Logs the MB filled since the last time, when there are enough of them and some time has passed.
 */
static void log_progress(struct leak *leak)
{
	struct leak_shared *s = leak->shared;
	uint64_t filled = atomic_load_explicit(&s->filled_bytes, memory_order_relaxed);
	uint64_t logged = atomic_load_explicit(&s->logged_bytes, memory_order_relaxed);
	uint64_t round_mb, now;

	if (filled < logged || filled - logged < leak->log_step_bytes)
		return;
	now = now_ns();
	if (now - atomic_load(&s->logged_ns) < PROGRESS_NS)
		return;
	round_mb = (filled - logged) / SIZE_MB;
	if (!atomic_compare_exchange_strong(&s->logged_bytes, &logged, logged + round_mb * SIZE_MB))
		return; /* another thread logs it */
	atomic_store(&s->logged_ns, now);
	log_line("Allocated %" PRIu64 " MB this round, Total: %" PRIu64 " MB", round_mb,
		(logged + round_mb * SIZE_MB) / SIZE_MB);
}

/* One step: at most STEP_BYTES, page by page. */
static void fill_step(struct leak *leak, struct manifest_entry *entry, unsigned char *memory,
	uint64_t from, uint64_t to)
{
	uint64_t seed = leak->manifest.header->seed;

	for (uint64_t done = from; done < to;) {
		uint64_t page = to - done < PAGE_BYTES ? to - done : PAGE_BYTES;

		fill_write(seed, (uint64_t)(uintptr_t)(memory + done), memory + done, page);
		done += page;
		if (entry)
			manifest_set_filled(entry, done);
	}
	if (entry)
		manifest_add_filled(&leak->manifest, to - from);
	atomic_fetch_add_explicit(&leak->shared->filled_bytes, to - from, memory_order_relaxed);
}

void leak_fill(
	struct leak *leak, struct manifest_entry *entry, void *memory, uint64_t bytes, bool paced)
{
	for (uint64_t done = 0; done < bytes;) {
		uint64_t step = bytes - done < STEP_BYTES ? bytes - done : STEP_BYTES;

		if (done % PACE_BYTES == 0) {
			uint64_t due = bytes - done < PACE_BYTES ? bytes - done : PACE_BYTES;

			if (paced ? !leak_pace(leak, due) : leak_stopping(leak))
				return;
		}
		fill_step(leak, entry, memory, done, done + step);
		done += step;
		log_progress(leak);
	}
}

void leak_count(struct leak *leak, uint64_t bytes)
{
	atomic_fetch_add(&leak->shared->allocated_bytes, bytes);
	atomic_fetch_add(&leak->shared->filled_bytes, bytes);
	log_progress(leak);
}

void leak_after_fork(struct leak *leak, uint64_t share_bytes, uint64_t rate_bytes_s)
{
	manifest_after_fork(&leak->manifest);
	pace_init(&leak->pace, rate_bytes_s);
	leak->plan.total_bytes = share_bytes;
	atomic_store(&leak->claimed_bytes, 0);
}
