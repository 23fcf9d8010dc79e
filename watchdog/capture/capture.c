// SPDX-License-Identifier: Apache-2.0
/*
 * One capture from beginning to end. The parts do the work; here is the order of the steps, what
 * bounds each, and what is undone when one fails.
 *
 *     open      /proc/PID, is it the process that was meant
 *     seize     every thread in a ptrace stop (tracer thread)            -> SEIZED
 *     plan      registers' sizes, stack pointers, maps, layout
 *     create    the bundle, the core at its full length, headers and notes with all registers
 *     copy      workers copy memory; meanwhile this thread reads the flags of the mappings, the
 *               tracer copies what only a tracer may read, and the files beside the core are taken
 *     end       segments that were not reached lose their room           -> COPIED
 *     release   ptrace lets go                                           -> DETACHED
 *     settle    our note says what became of it, fdatasync
 *
 * After `create` there is a valid core on disk at every moment: whatever stops us, the deadline, a
 * full disk, SIGKILL, what has been copied by then can be opened. A failure before that leaves
 * nothing on disk. The threads are let go on every path, by one function, and if this process dies
 * the kernel does it.
 *
 * Memory: everything is allocated and touched by capture_new(): with the default limits 20 MiB, of
 * which the table of 131,072 mappings is 6.0, that of segments 5.3, names 4.0, buffers 1.1, stack
 * pointers and threads 0.6, the bitmap of thread ids 0.5. capture_run() allocates nothing, with one
 * exception after the target has been let go: a new tracer thread, where a thread of the target
 * could not be stopped.
 *
 * Refuses: 32-bit programs; compression (COMPRESS_ZSTD), which has its seam in head_write()'s put
 * and in sink.c and is not built.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/str.h"
#include "capture/flags.h"
#include "capture/head.h"
#include "capture/internal.h"
#include "capture/place.h"
#include "capture/plan.h"
#include "capture/writer.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/proc.h"
#include "os/tracer.h"

#define PF_EXITING 0x4U			     /* include/linux/sched.h; field 9 of stat */
#define SEIZE_TIMEOUT_NS (2 * NS_PER_S)	     /* where the request names none */
#define TRACER_GRACE_NS (1 * NS_PER_S)	     /* beyond the deadline of what it was asked to do */
#define REGISTERS_TIMEOUT_NS (10 * NS_PER_S) /* 32,768 threads take one */
#define WORKER_GRACE_NS (2 * NS_PER_S)	     /* for a worker in a system call to come back */
#define TICK_NS (20 * NS_PER_MS)	     /* between two looks of the waiting thread */
#define CACHE_SHARE 4 /* of MemAvailable: a quarter may become page cache of the core */
#define CACHE_MIN_BYTES (64ULL << 20) /* where the kernel does not tell */
#define RELEASE_TIMEOUT_NS (5 * NS_PER_S)

const struct capture_limits capture_limits_default = {
	.max_threads = 32768,
	.max_mappings = 131072,
	.copy_threads = 2,
	.buffer_bytes = 256U << 10,
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

int capture_new(const struct capture_limits *limits, struct capture **ret)
{
	struct capture *c = calloc(1, sizeof(*c));
	int r = -ENOMEM;

	if (!c)
		return r;
	c->limits = *limits;
	capture_place_init(&c->place);
	c->scratch = aligned_alloc(4096, CAPTURE_SCRATCH_BYTES);
	if (c->scratch) {
		memset(c->scratch, 0, CAPTURE_SCRATCH_BYTES);
		r = plan_new(limits, &c->plan);
	}
	if (r == 0)
		r = writer_new(limits, &c->writer);
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
	tracer_free(c->tracer);
	writer_free(c->writer);
	plan_free(c->plan);
	free(c->scratch);
	free(c);
}

/* --- one run ------------------------------------------------------------------------------- */

/* What is known of one capture_run(), on its stack. */
struct run {
	struct capture *c;
	struct capture_plan *plan;
	struct capture_result *result; /* c->result */
	capture_callback *callback;
	void *user;
	char *why;
	size_t why_size;
	uint64_t deadline_ns; /* UINT64_MAX: none */
	uint64_t realtime_ns;
	uint64_t room_bytes;
	uint64_t cache_bytes;
	uint64_t put_offset; /* head_write() has come so far */
	uint64_t seize_until_ns;
	int flags_error;
	bool threads_late;
};

__attribute__((format(printf, 3, 4))) static int fail(
	struct run *run, int status, const char *format, ...)
{
	va_list args;
	struct str s;

	if (!run->why_size)
		return status;
	str_init(&s, run->why, run->why_size);
	va_start(args, format);
	(void)str_addv(&s, format, args); /* a cut sentence is still the best there is */
	va_end(args);
	return status;
}

static int fail_errno(struct run *run, int error, const char *doing)
{
	run->result->error = error;
	return fail(run, error == -ENOSPC || error == -EDQUOT ? CAPTURE_NO_SPACE : CAPTURE_FAILED,
		"process %d: cannot %s: %s", run->c->request.pid, doing, strerrordesc_np(-error));
}

/* A status or -errno of plan.c as one sentence. */
static int fail_plan(struct run *run, int r, const char *doing)
{
	pid_t pid = run->c->request.pid;

	switch (r) {
	case CAPTURE_GONE:
		return fail(run, r, "process %d has ended, or another has its number now", pid);
	case CAPTURE_DENIED:
		return fail(run, r,
			"process %d: no right to %s; run as its user, or with CAP_SYS_PTRACE", pid,
			doing);
	case -ENOTSUP:
		run->result->error = r;
		return fail(
			run, CAPTURE_FAILED, "process %d is a 32-bit program: not supported", pid);
	default:
		return fail_errno(run, r, doing);
	}
}

static bool tell(struct run *run, enum capture_moment moment)
{
	return !run->callback || run->callback(run->user, moment, run->result);
}

static uint64_t realtime_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* --- seize --------------------------------------------------------------------------------- */

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
		return fail_errno(run, r, "start another tracer thread");
	return ptrace_list(&plan->set, plan->proc_fd)
		? fail_plan(run, CAPTURE_GONE, "list its threads")
		: 0;
}

static int seize(struct run *run)
{
	struct capture_plan *plan = run->plan;
	uint64_t timeout = run->c->request.seize_timeout_ns;
	pid_t pid = run->c->request.pid;
	int r;

	plan->set.cancel = &plan->cancels[plan->cancel];
	run->seize_until_ns =
		min_u64(add_sat(run->result->begin_ns, timeout ? timeout : SEIZE_TIMEOUT_NS),
			run->deadline_ns);
	if (tracer_call(run->c->tracer, call_stop, run,
		    add_sat(run->seize_until_ns, TRACER_GRACE_NS), &r)) {
		run->threads_late = true;
		return give_tracer_up(run);
	}
	switch (r) {
	case PTRACE_LATE:
		run->threads_late = true;
		return 0;
	case PTRACE_GONE:
		return fail_plan(run, CAPTURE_GONE, "trace it");
	case PTRACE_DENIED:
		return fail_plan(run, CAPTURE_DENIED, "trace it");
	case PTRACE_BUSY:
		return fail(run, CAPTURE_BUSY, "process %d is traced by another program", pid);
	default:
		return r ? fail_errno(run, r, "trace it") : 0;
	}
}

/* --- plan ---------------------------------------------------------------------------------- */

static int call_registers(void *arg)
{
	return plan_registers(((struct run *)arg)->plan);
}

static int plan(struct run *run)
{
	struct capture_result *result = run->result;
	int r;

	if (tracer_call(
		    run->c->tracer, call_registers, run, clock_now_ns() + REGISTERS_TIMEOUT_NS, &r))
		return fail_errno(run, -ETIME, "read its registers");
	if (r == 0)
		r = plan_process(run->plan, &run->c->request);
	if (r)
		return fail_plan(run, r, "read its registers");
	r = plan_mappings(run->plan, run->c->request.kind);
	if (r)
		return fail_plan(run, r, "read its mappings");
	r = head_plan(run->plan);
	if (r)
		return fail_errno(run, r, "lay out its core");
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
	const char *at = bytes;

	while (len) {
		ssize_t n = pwrite(run->c->place.core_fd, at, len, (off_t)run->put_offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		at += n;
		len -= (size_t)n;
		run->put_offset += (uint64_t)n;
	}
	return 0;
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
		return fail(run, CAPTURE_NO_SPACE,
			"process %d: its core spans %" PRIu64
			" bytes with holes, more than the file "
			"size limit (RLIMIT_FSIZE) of %" PRIu64 "; raise it (LimitFSIZE=)",
			run->c->request.pid, length, (uint64_t)limit.rlim_cur);
	if (ftruncate(run->c->place.core_fd, (off_t)length) < 0)
		return fail_errno(run, -errno, "make the core's file long enough");
	return 0;
}

static int create(struct run *run)
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
		return fail(run, CAPTURE_NO_SPACE,
			"process %d: not even headers and stacks fit into the %" PRIu64
			" bytes that may be written",
			c->request.pid, run->room_bytes);
	r = set_length(run);
	if (r)
		return r;
	if (tracer_call(c->tracer, call_head, run, clock_now_ns() + REGISTERS_TIMEOUT_NS, &r))
		return fail_errno(run, -ETIME, "write its registers");
	if (r)
		return fail_errno(run, r, "write the core's headers");
	run->result->threads_without_registers =
		run->plan->threads_without_registers + run->plan->set.unlisted;
	FAULT_POINT(CAPTURE_HEADERS);
	return 0;
}

/* --- copy ---------------------------------------------------------------------------------- */

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
		if (!stopped && (now >= run->deadline_ns || !tell(run, CAPTURE_PROGRESS))) {
			writer_stop(w, CAPTURE_MISSING_DEADLINE);
			give_up_ns = now + WORKER_GRACE_NS;
		}
	}
}

static bool has_swapped(const struct capture_plan *plan)
{
	for (uint32_t i = 0; i < plan->region_count; i++)
		if (plan->regions[i].flags & REGION_SWAPPED)
			return true;
	return false;
}

/* What was not begun loses its room, and reads as missing instead of as zeros. */
static void drop_untouched(struct run *run)
{
	struct capture_plan *plan = run->plan;

	for (uint32_t i = 0; i < plan->segment_count; i++) {
		uint64_t bytes = plan->segments[i].file_bytes;

		if (!bytes || !writer_untouched(run->c->writer, i))
			continue;
		run->result->skipped_bytes += bytes;
		(void)head_cut_segment(plan, run->c->place.core_fd, i, 0); /* else: zeros */
	}
}

/* The same for what nobody let us see. */
static void drop_unseen(struct run *run)
{
	struct capture_plan *plan = run->plan;

	for (uint32_t i = 0; i < plan->segment_count; i++)
		if (plan->segments[i].file_bytes &&
			plan->regions[plan->segments[i].region].flags & REGION_UNSEEN)
			(void)head_cut_segment(plan, run->c->place.core_fd, i, 0); /* else: zeros */
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

/* How much page cache the core may take: a share of what the machine can spare. */
static uint64_t cache_budget(void)
{
	static const char key[] = "MemAvailable:";
	_cleanup_close_ int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	uint64_t kib = 0;
	char text[512]; /* the third line */
	const char *at;
	ssize_t n = fd < 0 ? -1 : fd_read_text(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return CACHE_MIN_BYTES;
	text[n] = '\0';
	at = strstr(text, key);
	if (!at)
		return CACHE_MIN_BYTES;
	for (at += sizeof(key) - 1; *at == ' '; at++)
		;
	for (; *at >= '0' && *at <= '9' && kib < UINT64_MAX / 20480; at++)
		kib = kib * 10 + (uint64_t)(*at - '0');
	return max_u64(kib * 1024 / CACHE_SHARE, CACHE_MIN_BYTES);
}

static void copy(struct run *run)
{
	struct capture *c = run->c;
	struct capture_result *result = run->result;
	uint64_t unknown_bytes = 0;
	bool done;
	int ignored;

	writer_begin(c->writer, run->plan, c->place.core_fd,
		sub_floor(run->room_bytes, run->plan->layout.data_offset), run->cache_bytes);
	run->flags_error = flags_read(run->plan, c->writer, c->place.core_fd, c->request.all_pages,
		run->deadline_ns, &result->dontdump_bytes, &unknown_bytes);
	tracer_start(c->tracer, call_protected, run);
	(void)bundle_snapshot(c, run->plan->mm_fd); /* the core does not depend on it */
	done = wait_round(run);
	/* Whatever stopped the workers stops it, too. */
	if (tracer_wait(c->tracer, min_u64(run->deadline_ns, clock_now_ns() + NS_PER_S * 3600),
		    &ignored)) {
		writer_stop(c->writer, CAPTURE_MISSING_DEADLINE);
		done = false;
		if (tracer_wait(c->tracer, clock_now_ns() + WORKER_GRACE_NS, &ignored))
			result->missing |= CAPTURE_MISSING_READ; /* it ends in release() */
	}
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
	if (!(result->missing &
		    (CAPTURE_MISSING_DEADLINE | CAPTURE_MISSING_SPACE | CAPTURE_MISSING_IO |
			    CAPTURE_MISSING_EXITED)) &&
		done && has_swapped(run->plan)) {
		if (c->request.swap == SWAP_LAST) {
			writer_begin_swap(c->writer);
			(void)wait_round(run);
			writer_counts(c->writer, result);
			result->skipped_bytes += unknown_bytes;
		} else {
			result->missing |= CAPTURE_MISSING_SWAP;
		}
	} else if (!writer_busy(c->writer)) {
		drop_untouched(run);
	}
	result->mappings_written = mappings_written(run->plan);
	if (result->threads_without_registers)
		result->missing |= CAPTURE_MISSING_THREADS;
	if (run->plan->regions_lost)
		result->missing |= CAPTURE_MISSING_MAPPINGS;
	result->copied_ns = clock_now_ns();
}

/* --- release and settle -------------------------------------------------------------------- */

static int call_release(void *arg)
{
	return (int)ptrace_release(&((struct run *)arg)->plan->set);
}

/* Lets go of every thread; on every path out of capture_run(). */
static void release(struct run *run)
{
	struct tracer *tracer = run->c->tracer;
	int left;

	if (tracer_call(tracer, call_release, run, clock_now_ns() + RELEASE_TIMEOUT_NS, &left) ||
		left)
		(void)tracer_renew(
			tracer); /* the thread's end lets go; -EAGAIN fails the next run */
	run->result->detached_ns = clock_now_ns();
}

static void settle(struct run *run)
{
	struct capture_result *result = run->result;
	int fd = run->c->place.core_fd;
	struct core_note note;
	struct stat st;
	int error;

	head_note(run->plan, result, run->realtime_ns, &note);
	error = head_patch_note(run->plan, fd, &note);
	if (error == 0)
		error = FAULT_ERRNO(CAPTURE_SYNC);
	if (error == 0 && fdatasync(fd) < 0)
		error = -errno;
	if (error) {
		result->missing |= CAPTURE_MISSING_IO;
		result->error = result->error ? result->error : error;
		head_note(run->plan, result, run->realtime_ns, &note);
		(void)head_patch_note(run->plan, fd, &note); /* as well as this disk can */
	}
	result->durable_ns = clock_now_ns();
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	result->core_bytes = run->plan->layout.file_bytes;
	if (fstat(fd, &st) == 0)
		result->file_bytes = (uint64_t)st.st_blocks * 512;
	result->status = result->missing ? CAPTURE_PARTIAL : CAPTURE_OK;
}

static void explain(struct run *run)
{
	static const struct {
		uint32_t bit;
		const char *text;
	} reasons[] = {
		{CAPTURE_MISSING_DEADLINE, "the deadline passed"},
		{CAPTURE_MISSING_SPACE, "the disk, or what may be used of it, is full"},
		{CAPTURE_MISSING_IO, "writing failed"},
		{CAPTURE_MISSING_READ, "some pages could not be read"},
		{CAPTURE_MISSING_THREADS, "some threads have no registers"},
		{CAPTURE_MISSING_MAPPINGS, "it has more mappings than the table holds"},
		{CAPTURE_MISSING_EXITED, "the process ended meanwhile"},
		{CAPTURE_MISSING_SHARED, "no right to see all of its shared memory"},
		{CAPTURE_MISSING_SWAP, "swapped pages were left out"},
	};
	const char *separator = "";
	struct str s;

	if (!run->why_size || !run->result->missing)
		return;
	str_init(&s, run->why, run->why_size);
	(void)str_addf(&s, "the core of process %d is partial: ", run->c->request.pid);
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (run->result->missing & reasons[i].bit) {
			(void)str_addf(&s, "%s%s", separator, reasons[i].text);
			separator = ", ";
		}
	if (run->result->error)
		(void)str_addf(&s, " (%s)", strerrordesc_np(-run->result->error));
}

static int begin(struct run *run)
{
	struct capture *c = run->c;
	int r;

	memset(&c->result, 0, sizeof(c->result));
	c->result.pid = c->request.pid;
	c->result.begin_ns = clock_now_ns();
	run->realtime_ns = realtime_ns();
	run->cache_bytes = cache_budget();
	FAULT_POINT(CAPTURE_START);
	if (c->request.compress != COMPRESS_NONE)
		return fail(run, CAPTURE_FAILED, "compressed cores are not supported yet");
	if (writer_busy(c->writer))
		return fail(run, CAPTURE_FAILED,
			"a copy worker of an earlier capture still waits for a disk or a file "
			"server");
	r = plan_open(run->plan, &c->request);
	return r ? fail_plan(run, r, "look at it") : 0;
}

/* Everything while threads are held; 0 with a core on disk, else a status with nothing there. */
static int held(struct run *run)
{
	struct capture *c = run->c;
	int r = seize(run);

	if (r)
		return r;
	run->result->seized_ns = clock_now_ns();
	FAULT_POINT(CAPTURE_SEIZED);
	if (!tell(run, CAPTURE_SEIZED))
		return fail(run, CAPTURE_FAILED, "the capture was called off");
	r = plan(run);
	if (r == 0) {
		r = create(run);
		if (r)
			capture_place_abandon(c);
	}
	if (r)
		return r;
	copy(run);
	if (run->result->missing & CAPTURE_MISSING_EXITED && !run->result->memory_bytes) {
		capture_place_abandon(c);
		return fail_plan(run, CAPTURE_GONE, "read its memory");
	}
	FAULT_POINT(CAPTURE_COPIED);
	(void)tell(run, CAPTURE_COPIED);
	return 0;
}

int capture_run(struct capture *c, const struct capture_request *request,
	capture_callback *callback, void *user, struct capture_result *ret, char *why,
	size_t why_size)
{
	struct run run = {.c = c,
		.plan = c->plan,
		.result = &c->result,
		.callback = callback,
		.user = user,
		.why = why,
		.why_size = why_size,
		.deadline_ns = request->deadline_ns ? request->deadline_ns : UINT64_MAX};
	int r;

	if (why_size)
		why[0] = '\0';
	c->request = *request;
	r = begin(&run);
	if (r == 0) {
		r = held(&run);
		release(&run);
		FAULT_POINT(CAPTURE_DETACHED);
	}
	if (r == 0) {
		(void)tell(&run, CAPTURE_DETACHED);
		settle(&run);
		explain(&run);
	} else {
		c->result.status = (enum capture_status)r;
	}
	plan_close(c->plan);
	*ret = c->result;
	return r;
}
