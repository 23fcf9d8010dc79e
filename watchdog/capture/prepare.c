// SPDX-License-Identifier: Apache-2.0
/*
 * The first half of a capture: from a running process to a core that has everything but the memory.
 *
 * What touches ptrace runs on the tracer thread, and this one waits for it with a deadline. A
 * tracer that does not come back (PTRACE_SEIZE of a SIGSTOPped thread in a v1 freezer sleeps until
 * the thaw) is given up: another takes its place, all threads count as refused, and their stack
 * pointers and program counters are what /proc tells. The capture of the memory does not suffer
 * from it.
 *
 * The file is made its full length at once, so headers written next are those of a valid core; a
 * compressed one grows.
 */
#include <errno.h>
#include <inttypes.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fault.h"
#include "base/str.h"
#include "capture/head.h"
#include "capture/place.h"
#include "capture/run.h"
#include "os/clock.h"
#include "os/handover.h"
#include "os/registers.h"
#include "os/tracer.h"

#define SEIZE_TIMEOUT_NS (2 * NS_PER_S)	     /* where the request names none */
#define TRACER_GRACE_NS (1 * NS_PER_S)	     /* beyond the deadline of what it was asked to do */
#define REGISTERS_TIMEOUT_NS (10 * NS_PER_S) /* 32,768 threads take one */
#define ANSWER_NS (50 * NS_PER_US)	     /* between looks for that of who holds the process */

static int call_stop(void *arg)
{
	struct run *run = arg;

	return ptrace_stop(
		&run->plan->set, run->plan->proc_fd, run->seize_until_ns, run->seize_until_ns);
}

/* The tracer sleeps in PTRACE_SEIZE and cannot be woken: on without it, and without registers. */
static int give_tracer_up(struct run *run)
{
	struct capture_plan *plan = run->plan;
	int r;

	atomic_store(plan->set.cancel, true);
	if (plan->cancel + 1 < PLAN_CANCELS)
		plan->cancel++;
	r = tracer_renew(run->c->tracer); /* allocates; there is no other way on */
	if (r)
		return why_errno(run, r, "start another tracer thread");
	return ptrace_list(&plan->set, plan->proc_fd)
		? why_process(run, CAPTURE_GONE, "list its threads")
		: 0;
}

/*
 * Whether who holds the process has read its registers, and keeps it: then nobody is seized. It is
 * decided here, once: an answer that comes later finds that no one waits for it.
 */
static bool is_read(struct run *run)
{
	const struct timespec look = {.tv_nsec = (long)ANSWER_NS};
	struct handover *h = run->c->handover;
	uint32_t stage = HANDOVER_AHEAD;

	/* Called off, or no answer: it is seized by us, as far as that goes. SEIZED will tell. */
	if (run_tell(run, CAPTURE_SEIZING))
		while (atomic_load(&h->stage) == HANDOVER_AHEAD &&
			clock_now_ns() < run->seize_until_ns && run_tell(run, CAPTURE_PROGRESS))
			(void)nanosleep(&look, NULL); /* woken early: one look more */
	(void)atomic_compare_exchange_strong(&h->stage, &stage, HANDOVER_CLOSED);
	return stage == HANDOVER_READ;
}

/* Every thread, also of a process that another of ours holds. As tracer_call(). */
static int stop_all(struct run *run, int *ret)
{
	struct handover *handover = run->c->handover;
	int r;

	run->plan->set.handover = handover;
	if (handover && is_read(run)) {
		*ret = registers_list(run->c->registers, &run->plan->set);
		return 0;
	}
	r = tracer_call(
		run->c->tracer, call_stop, run, add_sat(run->seize_until_ns, TRACER_GRACE_NS), ret);
	if (handover)
		atomic_store(&handover->done, 1);
	return r;
}

int prepare_seize(struct run *run)
{
	struct capture_plan *plan = run->plan;
	uint64_t timeout = run->c->request.seize_timeout_ns;
	pid_t pid = run->c->request.pid;
	int r;

	plan->set.cancel = &plan->cancels[plan->cancel];
	run->seize_until_ns =
		min_u64(add_sat(run->result->begin_ns, timeout ? timeout : SEIZE_TIMEOUT_NS),
			run->deadline_ns);
	if (stop_all(run, &r)) {
		run->threads_late = true;
		return give_tracer_up(run);
	}
	switch (r) {
	case PTRACE_LATE:
		run->threads_late = true;
		return 0;
	case PTRACE_GONE:
		return why_process(run, CAPTURE_GONE, "trace it");
	case PTRACE_DENIED:
		return why_process(run, CAPTURE_DENIED, "trace it");
	case PTRACE_BUSY:
		return why_fail(run, CAPTURE_BUSY, "process %d is traced by another program", pid);
	default:
		return r ? why_errno(run, r, "trace it") : 0;
	}
}

/* --- plan ---------------------------------------------------------------------------------- */

static int call_registers(void *arg)
{
	return plan_registers(((struct run *)arg)->plan);
}

int prepare_plan(struct run *run)
{
	struct capture_result *result = run->result;
	int r;

	if (tracer_call(
		    run->c->tracer, call_registers, run, clock_now_ns() + REGISTERS_TIMEOUT_NS, &r))
		return why_errno(run, -ETIME, "read its registers");
	if (r == 0)
		r = plan_process(run->plan, &run->c->request);
	if (r)
		return why_process(run, r, "read its registers");
	r = plan_mappings(run->plan, run->c->request.kind);
	if (r)
		return why_process(run, r, "read its mappings");
	r = head_plan(run->plan);
	if (r)
		return why_errno(run, r, "lay out its core");
	result->threads = plan_thread_count(run->plan) + run->plan->set.unlisted;
	result->mappings = run->plan->region_count + run->plan->regions_lost;
	result->pid_in_namespace = run->plan->status.ns_pid;
	result->uid = run->plan->status.uid;
	result->gid = run->plan->status.gid;
	(void)str_copy(result->comm, sizeof(result->comm), run->plan->stat.comm); /* cut at 15 */
	return 0;
}

/* --- create -------------------------------------------------------------------------------- */

static int put_head(void *user, const void *bytes, size_t len)
{
	struct run *run = user;
	int r = head_write_at(run->plan, run->c->place.core_fd, bytes, len, run->put_offset);

	run->put_offset += len;
	return r;
}

static int call_head(void *arg)
{
	struct run *run = arg;
	struct core_note note;

	head_note(run->plan, run->result, run->realtime_ns, &note);
	return head_write(run->plan, &note, put_head, run);
}

/* The file at its full length; what is not written reads as zeros. */
static int set_length(struct run *run)
{
	uint64_t length = run->plan->layout.file_bytes;
	struct rlimit limit;

	/* Beyond it ftruncate(2) sends SIGXFSZ. */
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < length)
		return why_fail(run, CAPTURE_NO_SPACE,
			"process %d: its core spans %" PRIu64
			" bytes with holes, more than the file "
			"size limit (RLIMIT_FSIZE) of %" PRIu64 "; raise it (LimitFSIZE=)",
			run->c->request.pid, length, (uint64_t)limit.rlim_cur);
	if (ftruncate(run->c->place.core_fd, (off_t)length) < 0)
		return why_errno(run, -errno, "make the core's file long enough");
	return 0;
}

int prepare_create(struct run *run)
{
	struct capture *c = run->c;
	uint64_t head_bytes = run->plan->layout.data_offset;
	int r = capture_place_create(c, &c->request, run->why, run->why_size);

	if (r)
		return r;
	FAULT_POINT(CAPTURE_OPENED);
	r = capture_place_room(c, &c->request, &run->room_bytes, run->why, run->why_size);
	if (r)
		return r;
	if (run->room_bytes < add_sat(head_bytes, PLACE_LEAST_BYTES))
		return why_fail(run, CAPTURE_NO_SPACE,
			"process %d: not even headers and stacks fit into the %" PRIu64
			" bytes that may be written",
			c->request.pid, run->room_bytes);
	r = run->plan->packed ? 0 : set_length(run);
	if (r)
		return r;
	if (tracer_call(c->tracer, call_head, run, clock_now_ns() + REGISTERS_TIMEOUT_NS, &r))
		return why_errno(run, -ETIME, "write its registers");
	if (r)
		return why_errno(run, r, "write the core's headers");
	run->result->threads_without_registers =
		run->plan->threads_without_registers + run->plan->set.unlisted;
	FAULT_POINT(CAPTURE_HEADERS);
	return 0;
}
