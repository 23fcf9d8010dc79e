// SPDX-License-Identifier: Apache-2.0
/*
 * One capture from beginning to end. The parts do the work; here is the order of the steps, what
 * bounds each, and what is undone when one fails.
 *
 *     open      /proc/PID, is it the process that was meant
 *     seize     every thread in a ptrace stop (tracer thread)            -> SEIZED
 *     plan      registers' sizes, stack pointers, maps, layout
 *     create    the bundle, the core at its full length (unless it is compressed), headers and
 * notes with all registers copy      workers copy memory; meanwhile this thread reads the flags of
 * the mappings, the tracer copies what only a tracer may read, and the files beside the core are
 * taken end       segments that were not reached lose their room           -> COPIED release ptrace
 * lets go                                           -> DETACHED settle    our note says what became
 * of it, fdatasync
 *
 * After `create` there is a valid core on disk at every moment: whatever stops us, the deadline, a
 * full disk, SIGKILL, what has been copied by then can be opened. A failure before that leaves
 * nothing on disk. The threads are let go on every path, by one function, and if this process dies
 * the kernel does it.
 *
 * Memory: everything is allocated by capture_new(), with the default limits 22 MiB: buffers 5.6,
 * the table of 131,072 mappings 6.0, that of segments 5.3, names 4.0, stack pointers and threads
 * 0.6, the bitmap of thread ids 0.5. Of the tables, which are made for what no kernel allows by
 * default (vm.max_map_count is 65,530), as much is touched as a large service needs, and a sidecar
 * keeps the rest of its limit for who enters it (a runtime's exec takes 20 MiB there). For larger
 * ones, and by hand for all, the tables take pages as they fill. capture_run() allocates nothing
 * else, with one exception after the target has been let go or killed: a new tracer thread, where
 * a thread of the target could not be stopped, or was to be killed.
 *
 * Refuses: 32-bit programs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fault.h"
#include "base/str.h"
#include "capture/budget.h"
#include "capture/run.h"
#include "capture/settle.h"
#include "capture/writer.h"
#include "os/clock.h"
#include "os/tracer.h"

#define RELEASE_TIMEOUT_NS (5 * NS_PER_S)

const struct capture_limits capture_limits_default = {
	.max_threads = 32768,
	.max_mappings = 131072,
	.copy_threads = 2,
	.buffer_bytes = 512U << 10,
	.touch_threads = 2048,
	.touch_mappings = 8192,
};

const char *capture_status_name(enum capture_status status)
{
	static const char *const names[CAPTURE_STATUS_COUNT] = {
		[CAPTURE_OK] = "ok",
		[CAPTURE_PARTIAL] = "partial",
		[CAPTURE_GONE] = "gone",
		[CAPTURE_DENIED] = "denied",
		[CAPTURE_BUSY] = "busy",
		[CAPTURE_NO_SPACE] = "no-space",
		[CAPTURE_BAD_PLACE] = "bad-place",
		[CAPTURE_FAILED] = "failed",
	};

	return (unsigned int)status < CAPTURE_STATUS_COUNT ? names[status] : "?";
}

/*
 * A target that stands still waits for us: on a busy machine the copy took twice as long at the
 * priority of everybody else. Only where nobody has chosen another one; the threads inherit it. It
 * counts within our session only, for which the caller has process_prefer_session().
 */
static void hurry(void)
{
	errno = 0;
	if (getpriority(PRIO_PROCESS, 0) == 0 && errno == 0)
		(void)setpriority(PRIO_PROCESS, 0, -20); /* no right: then as it is */
}

/* Whether a tracer that was given up still works for an earlier core. */
static bool is_lost(struct capture *c)
{
	c->lost = c->lost && tracer_still_runs(c->tracer);
	return c->lost;
}

int capture_new(const struct capture_limits *limits, struct capture **ret)
{
	struct capture *c = calloc(1, sizeof(*c));
	int r = -ENOMEM;

	if (!c)
		return r;
	c->limits = *limits;
	hurry();
	capture_place_init(&c->place);
	c->run = calloc(1, sizeof(*c->run));
	c->scratch = aligned_alloc(4096, CAPTURE_SCRATCH_BYTES);
	if (c->scratch && c->run) {
		memset(c->scratch, 0, CAPTURE_SCRATCH_BYTES);
		r = plan_new(limits, &c->plan);
	}
	if (r == 0)
		r = writer_new(limits, &c->writer);
	if (r == 0)
		r = settle_new(&c->settle);
	if (r == 0)
		r = tracer_new(&c->tracer);
	if (r) {
		capture_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void capture_free(struct capture *c)
{
	if (!c)
		return;
	capture_place_close(c);
	if (is_lost(c))
		return; /* it still has all of this in its hands */
	tracer_free(c->tracer);
	writer_free(c->writer);
	settle_free(c->settle);
	plan_free(c->plan);
	free(c->scratch);
	free(c->run);
	free(c);
}

/* --- one run ------------------------------------------------------------------------------- */

static uint64_t realtime_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* --- release ------------------------------------------------------------------------------- */

static int call_release(void *arg)
{
	return (int)ptrace_release(&((struct run *)arg)->plan->set);
}

static int call_end(void *arg)
{
	return (int)ptrace_end_with_us(&((struct run *)arg)->plan->set);
}

/* True if the process was killed: by the end of the thread that held it. */
static bool end_process(struct run *run)
{
	struct tracer *tracer = run->c->tracer;
	int count;

	if (!run->c->ends)
		return false;
	FAULT_POINT(VERDICT_KILL);
	return tracer_call(tracer, call_end, run, clock_now_ns() + RELEASE_TIMEOUT_NS, &count) ==
		0 &&
		count && tracer_renew(tracer) == 0;
}

void capture_set_handover(
	struct capture *c, struct handover *handover, const struct registers *registers)
{
	c->handover = handover;
	c->registers = registers;
}

void capture_end_process(struct capture *c)
{
	c->ends = true;
}

/* Lets go of every thread; on every path out of capture_run(). */
static void release(struct run *run)
{
	struct tracer *tracer = run->c->tracer;
	int left = 0;
	int r;

	/* After its end, too: the set is to be empty. */
	(void)end_process(run);
	r = tracer_call(tracer, call_release, run, clock_now_ns() + RELEASE_TIMEOUT_NS, &left);
	if (r || left)
		(void)tracer_renew(
			tracer); /* the thread's end lets go; -EAGAIN fails the next run */
	run->c->lost = r != 0; /* in a disk or a file server: it lets go as soon as that answers */
	run->result->detached_ns = clock_now_ns();
}

static int begin(struct run *run)
{
	struct capture *c = run->c;
	int r;

	memset(&c->result, 0, sizeof(c->result));
	c->result.pid = c->request.pid;
	c->result.begin_ns = clock_now_ns();
	run->realtime_ns = realtime_ns();
	FAULT_POINT(CAPTURE_START);
	if (writer_busy(c->writer))
		return why_fail(run, CAPTURE_FAILED,
			"a copy worker of an earlier capture still waits for a disk or a file "
			"server");
	r = plan_open(run->plan, &c->request);
	return r ? why_process(run, r, "look at it") : 0;
}

/* Everything while threads are held; 0 with a core on disk, else a status with nothing there. */
static int held(struct run *run)
{
	struct capture *c = run->c;
	int r = prepare_seize(run);

	if (r)
		return r;
	run->result->seized_ns = clock_now_ns();
	FAULT_POINT(CAPTURE_SEIZED);
	if (!run_tell(run, CAPTURE_SEIZED))
		return why_fail(run, CAPTURE_FAILED, "the capture was called off");
	budget_look(c->request.pid, run->result);
	r = prepare_plan(run);
	if (r == 0) {
		r = prepare_create(run);
		if (r)
			capture_place_abandon(c);
	}
	if (r)
		return r;
	transfer(run);
	if (run->result->missing & CAPTURE_MISSING_EXITED && !run->result->memory_bytes) {
		capture_place_abandon(c);
		return why_process(run, CAPTURE_GONE, "read its memory");
	}
	/* Not we hold it: if who does is gone, some of this was copied from a process that ran. */
	if (run->plan->set.registers && !run_tell(run, CAPTURE_PROGRESS))
		run->result->missing |= CAPTURE_MISSING_DEADLINE;
	FAULT_POINT(CAPTURE_COPIED);
	(void)run_tell(run, CAPTURE_COPIED);
	return 0;
}

int capture_run(struct capture *c, const struct capture_request *request,
	capture_callback *callback, void *user, struct capture_result *ret, char *why,
	size_t why_size)
{
	struct run *run = c->run;
	int r;

	if (why_size)
		why[0] = '\0';
	if (is_lost(c)) {
		(void)str_copy(why, why_size,
			"the tracer of an earlier capture still waits for a disk or a file server; "
			"it holds its process until that answers");
		*ret = (struct capture_result){.pid = request->pid, .status = CAPTURE_FAILED};
		return CAPTURE_FAILED;
	}
	*run = (struct run){.c = c,
		.plan = c->plan,
		.result = &c->result,
		.callback = callback,
		.user = user,
		.why = why,
		.why_size = why_size,
		.deadline_ns = request->deadline_ns ? request->deadline_ns : UINT64_MAX};
	c->request = *request;
	c->ends = false;
	r = begin(run);
	if (r == 0) {
		r = held(run);
		if (r)
			c->ends = false; /* nothing was captured */
		release(run);
		FAULT_POINT(CAPTURE_DETACHED);
	}
	if (r == 0) {
		(void)run_tell(run, CAPTURE_DETACHED);
		settle(run);
		why_partial(run);
	} else {
		c->result.status = (enum capture_status)r;
	}
	plan_close(c->plan);
	*ret = c->result;
	return r;
}
