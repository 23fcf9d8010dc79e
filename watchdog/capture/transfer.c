// SPDX-License-Identifier: Apache-2.0
/*
 * The second half of a capture: the memory.
 *
 * The workers copy; meanwhile this thread reads the flags of the mappings, which lets the workers
 * have them one by one, then takes the files beside the core, and waits. The tracer copies mappings
 * that only a tracer may read. This thread keeps the deadline for all of them and tells of
 * progress; workers and tracer look at one flag between two batches.
 *
 * At the end the truth is put into the file: what was not copied, and what could not be seen, loses
 * its room and reads as missing instead of as zeros.
 *
 * Limits: a target that is killed under the copy is noticed at the end, by its own state: page
 * tables that went away read as empty. What was copied before is kept.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "capture/budget.h"
#include "capture/flags.h"
#include "capture/head.h"
#include "capture/run.h"
#include "capture/writer.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/proc.h"
#include "os/tracer.h"

/* Why a round came to its end before it was done. */
#define MISSING_CUT                                                              \
	(CAPTURE_MISSING_DEADLINE | CAPTURE_MISSING_SPACE | CAPTURE_MISSING_IO | \
		CAPTURE_MISSING_EXITED)
#define PF_EXITING 0x4U		       /* include/linux/sched.h; field 9 of stat */
#define WORKER_GRACE_NS (2 * NS_PER_S) /* for a worker in a system call to come back */
#define TICK_NS (5 * NS_PER_MS)	       /* between two looks: the guardian waits for four */

static int call_protected(void *arg)
{
	writer_copy_protected(((struct run *)arg)->c->writer);
	return 0;
}

/* Waits for the end of a round, tells of progress, and keeps the deadline. False: end it all. */
static bool wait_round(struct run *run)
{
	struct capture_writer *w = run->c->writer;
	uint64_t give_up_ns = UINT64_MAX;

	for (;;) {
		uint64_t now = clock_now_ns();
		bool stopped = give_up_ns != UINT64_MAX;

		if (writer_wait(w,
			    min_u64(add_sat(now, TICK_NS),
				    stopped ? give_up_ns : run->deadline_ns)) == WRITER_DONE)
			return !stopped;
		now = clock_now_ns();
		writer_counts(w, run->result);
		if (now >= give_up_ns)
			return false;
		if (!stopped && (now >= run->deadline_ns || !run_tell(run, CAPTURE_PROGRESS))) {
			writer_stop(w, CAPTURE_MISSING_DEADLINE);
			give_up_ns = now + WORKER_GRACE_NS;
		}
	}
}

/* Waits for the tracer in the same way; it looks at what stops the workers. False: end it all. */
static bool wait_protected(struct run *run)
{
	struct tracer *tracer = run->c->tracer;
	int ignored;

	for (;;) {
		uint64_t now = clock_now_ns();

		if (tracer_wait(tracer, min_u64(add_sat(now, TICK_NS), run->deadline_ns),
			    &ignored) == 0)
			return true;
		now = clock_now_ns();
		writer_counts(run->c->writer, run->result);
		if (now >= run->deadline_ns || !run_tell(run, CAPTURE_PROGRESS))
			break;
	}
	writer_stop(run->c->writer, CAPTURE_MISSING_DEADLINE);
	run->tracer_late = tracer_wait(tracer, clock_now_ns() + WORKER_GRACE_NS, &ignored) != 0;
	if (run->tracer_late)
		run->result->missing |= CAPTURE_MISSING_READ; /* it ends in release() */
	return false;
}

static bool has_swapped(const struct capture_plan *plan)
{
	for (uint32_t i = 0; i < plan->region_count; i++)
		if ((plan->regions[i].flags & (REGION_SWAPPED | REGION_LEFT_OUT)) == REGION_SWAPPED)
			return true;
	return false;
}

/* Whether swapped pages may be read now: it was asked for, and the target's limit bears them. */
static bool takes_swapped(struct run *run)
{
	uint64_t bytes = add_sat(run->plan->status.swap_bytes, run->plan->object_swap_bytes);

	if (run->c->request.swap != SWAP_LAST)
		return false;
	run->swap_has_no_room =
		bytes && !budget_swap_fits(bytes, budget_target_room(run->c->request.pid));
	return !run->swap_has_no_room;
}

/* What was not copied loses its room, and reads as missing instead of as zeros. */
static void cut_uncopied(struct run *run)
{
	struct capture_plan *plan = run->plan;

	for (uint32_t i = 0; i < plan->segment_count; i++) {
		uint64_t bytes = plan->segments[i].file_bytes;
		uint64_t copied = bytes ? writer_copied_bytes(run->c->writer, i) : 0;

		if (copied == bytes)
			continue;
		run->result->skipped_bytes += bytes - copied;
		head_cut_segment(plan, run->c->place.core_fd, i, copied);
	}
}

/* The same for a compressed core, which ends with its last whole frame. */
static void cut_packed(struct run *run)
{
	struct capture_plan *plan = run->plan;
	int fd = run->c->place.core_fd;
	uint64_t file_bytes;
	uint64_t core_bytes;

	writer_packed_end(run->c->writer, &file_bytes, &core_bytes);
	if (core_bytes == plan->layout.file_bytes)
		return;
	if (ftruncate(fd, (off_t)file_bytes) < 0 && !run->result->error)
		run->result->error = -errno; /* the reader meets a broken frame at its end */
	for (uint32_t i = 0; i < plan->segment_count; i++) {
		uint64_t bytes = plan->segments[i].file_bytes;
		uint64_t copied = min_u64(bytes, sub_floor(core_bytes, plan->segments[i].offset));

		if (copied == bytes)
			continue;
		run->result->skipped_bytes += bytes - copied;
		head_cut_segment(plan, fd, i, copied);
	}
	plan->layout.file_bytes = core_bytes;
}

/* The same for what nobody let us see. */
static void drop_unseen(struct run *run)
{
	struct capture_plan *plan = run->plan;

	for (uint32_t i = 0; i < plan->segment_count; i++)
		if (plan->segments[i].file_bytes &&
			plan->regions[plan->segments[i].region].flags & REGION_UNSEEN)
			head_cut_segment(plan, run->c->place.core_fd, i, 0);
}

/*
 * Whether the memory may have gone away under the copy: the page tables of a process that has been
 * killed read as empty, which looks like success.
 */
static bool has_ended(const struct capture_plan *plan)
{
	struct procstat stat;

	return proc_stat(plan->mm_fd, 0, &stat) || stat.flags & PF_EXITING || stat.state == 'Z' ||
		stat.state == 'X';
}

/* What should have lost its room and could not reads as zeros: the core is not what it says. */
static void tell_uncut(struct run *run)
{
	int error = run->plan->cut_error;

	if (!error)
		return;
	run->result->missing |= error == -ENOSPC ? CAPTURE_MISSING_SPACE : CAPTURE_MISSING_IO;
	if (!run->result->error)
		run->result->error = error;
}

static uint32_t mappings_written(const struct capture_plan *plan)
{
	uint32_t last = UINT32_MAX;
	uint32_t n = 0;

	for (uint32_t i = 0; i < plan->segment_count; i++)
		if (plan->segments[i].file_bytes && plan->segments[i].region != last) {
			last = plan->segments[i].region;
			n++;
		}
	return n;
}

/* The second round. base_bytes: of what was skipped, what the writer does not know of. */
static void transfer_swapped(struct run *run, uint64_t base_bytes)
{
	struct capture_result *result = run->result;

	FAULT_POINT(CAPTURE_SWAP);
	writer_begin_swap(run->c->writer);
	tracer_start(run->c->tracer, call_protected, run);
	(void)wait_round(run);
	(void)wait_protected(run);
	writer_counts(run->c->writer, result);
	result->skipped_bytes += base_bytes;
	if (has_ended(run->plan))
		result->missing |= CAPTURE_MISSING_EXITED;
	if (result->missing & MISSING_CUT) /* what it did not reach reads as zeros */
		result->missing |= CAPTURE_MISSING_SWAP;
}

void transfer(struct run *run)
{
	struct capture *c = run->c;
	struct capture_result *result = run->result;
	uint64_t unknown_bytes = 0;
	bool done;

	writer_begin(c->writer, run->plan, c->place.core_fd,
		sub_floor(run->room_bytes, run->plan->layout.data_offset), result->cache_bytes,
		result->freerun_bytes >=
			min_u64(run->plan->layout.file_bytes, result->cache_bytes / 2));
	run->flags_error = flags_read(run->plan, c->writer, c->place.core_fd, c->request.all_pages,
		run->deadline_ns, &result->dontdump_bytes, &unknown_bytes);
	writer_known_all(c->writer, run->plan->packed && takes_swapped(run));
	if (!run->plan->packed)
		tracer_start(c->tracer, call_protected, run);
	(void)bundle_snapshot(c, run->plan->mm_fd); /* the core does not depend on it */
	done = wait_round(run);
	if (run->plan->packed && done)
		tracer_start(c->tracer, call_protected, run);
	if ((!run->plan->packed || done) && !wait_protected(run))
		done = false;
	writer_counts(c->writer, result);
	result->skipped_bytes += unknown_bytes;
	if (unknown_bytes)
		result->missing |= run->flags_error == -ETIME ? CAPTURE_MISSING_DEADLINE
							      : CAPTURE_MISSING_READ;
	if (run->flags_error && run->flags_error != -ENOENT && run->flags_error != -ETIME &&
		!result->error)
		result->error = run->flags_error;
	if (result->missing & CAPTURE_MISSING_SHARED && !writer_busy(c->writer))
		drop_unseen(run);
	if (run->plan->blind_bytes) {
		result->missing |= CAPTURE_MISSING_READ;
		result->skipped_bytes += run->plan->blind_bytes;
	}
	if (has_ended(run->plan))
		result->missing |= CAPTURE_MISSING_EXITED;
	if (!(result->missing & MISSING_CUT) && done && !writer_stopped(c->writer) &&
		has_swapped(run->plan)) {
		if (!run->plan->packed && takes_swapped(run))
			transfer_swapped(run, unknown_bytes + run->plan->blind_bytes);
		else
			result->missing |= CAPTURE_MISSING_SWAP;
	} else if (!run->plan->packed && !writer_busy(c->writer)) {
		cut_uncopied(run);
	}
	if (run->plan->packed)
		cut_packed(run);
	tell_uncut(run);
	result->mappings_written = mappings_written(run->plan);
	if (result->threads_without_registers)
		result->missing |= CAPTURE_MISSING_THREADS;
	if (run->plan->regions_lost)
		result->missing |= CAPTURE_MISSING_MAPPINGS;
	(void)writer_end(c->writer, run->tracer_late,
		&c->place.core_fd); /* else: as long as it is open it is the core's */
	result->copied_ns = clock_now_ns();
}
