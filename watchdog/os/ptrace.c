// SPDX-License-Identifier: Apache-2.0
/*
 * Stopping all threads of a process by ptrace(2).
 *
 * PTRACE_SEIZE takes hold without sending a signal and PTRACE_INTERRUPT stops, also a thread that
 * is SIGSTOPped or in a frozen cgroup (v2); PTRACE_ATTACH would wait for ever there, and leave the
 * process in state T behind. Threads are found in /proc/PID/task; a thread that was not yet seized
 * may create others, so the list is read again until a pass over it, made while all known threads
 * stood, shows no new one.
 *
 * A thread may be caught just when a signal was about to be delivered. That stop is as good as any,
 * and the signal is passed on when the thread is let go: none is lost, and none is added. Options
 * are not set: if we die, the kernel lets the threads go. One exception: PTRACE_O_EXITKILL, when
 * the process is to be killed and nothing but that is left to do. A signal that is given to
 * PTRACE_DETACH would be lost: the kernel takes it only where the thread stopped with one.
 *
 * Waiting is done thread by thread with waitpid(tid, WNOHANG), which leaves the caller's other
 * children alone, in steps of 50 us growing to 1 ms: the stop itself takes some microseconds, and
 * no event tells a thread that is not the one sent SIGCHLD. A traced thread that dies is a zombie
 * until its tracer has waited for it, and the process cannot be reaped before; ptrace_release()
 * does so, for at most REAP_WAIT_NS.
 *
 * Limits: system calls that the kernel cannot restart (epoll_wait and a few more, signal(7)) return
 * EINTR to a program that is interrupted in them, as after any SIGSTOP and SIGCONT. An execve() by
 * a thread between two passes may end the set's threads under our hands; they show as gone.
 */
#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#include "os/clock.h"
#include "os/handover.h"
#include "os/proc.h"
#include "os/ptrace.h"

#define STEP_MIN_NS (50 * NS_PER_US) /* the default timer slack; less would not be kept */
#define STEP_MAX_NS (1 * NS_PER_MS)
#define STOP_WAIT_NS (50 * NS_PER_MS) /* for the last ones to stop, which takes microseconds */
#define REAP_WAIT_NS (1 * NS_PER_S)   /* for threads killed while we held them, to finish dying */
#define TRIES_PER_TURN 64	      /* then who gives may need our processor */
#define KEPT (-1)		      /* of take_over(), beside errnos */
#define PASSES_MAX                                                                    \
	64 /* of the task list; a program that outruns these creates threads for ever \
	    */

void ptrace_set_init(
	struct ptrace_set *set, struct ptrace_thread *threads, uint32_t max, uint8_t *seen)
{
	memset(set, 0, sizeof(*set));
	set->threads = threads;
	set->max = max;
	set->seen = seen;
}

static bool seen(const struct ptrace_set *set, pid_t tid)
{
	return set->seen[(uint32_t)tid / 8] >> (tid % 8) & 1;
}

static void nap(uint64_t ns)
{
	struct timespec ts = {.tv_nsec = (long)ns};

	(void)nanosleep(&ts, NULL); /* woken early: the caller looks again */
}

/* --- seizing ------------------------------------------------------------------------------- */

struct pass {
	struct ptrace_set *set;
	atomic_bool *cancel; /* of this call; the set may be in other hands when it is set */
	int proc_fd;
	pid_t pid;
	uint16_t mark;
	uint64_t deadline_ns; /* for whom another of us holds */
	uint32_t found;	      /* threads not known before */
};

/* A thread that has exited and waits for its process to end (state Z) cannot be seized: EPERM. */
static bool has_ended(int proc_fd, pid_t tid)
{
	struct procstat stat;
	int r = proc_stat(proc_fd, tid, &stat);

	return r == PROC_GONE || (r == 0 && (stat.state == 'Z' || stat.state == 'X'));
}

/*
 * Asks until the giver, which holds that thread, lets it go. 0, the errno of PTRACE_SEIZE, or KEPT.
 */
static int take_over(const struct pass *p, pid_t tid)
{
	struct handover *h = p->set->handover;

	atomic_store(&h->want, (int32_t)tid);
	for (uint32_t n = 1;; n++) {
		uint32_t stage = atomic_load(&h->stage); /* before the try that it speaks of */

		if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) == 0)
			return 0;
		if (errno != EPERM)
			return errno;
		(void)atomic_fetch_add(&h->tries, 1);
		if (atomic_load(&h->denied) == (int32_t)tid)
			return EPERM;
		if (atomic_load(&h->kept) == (int32_t)tid || stage == HANDOVER_CLOSED ||
			clock_now_ns() >= p->deadline_ns || atomic_load(p->cancel))
			return KEPT;
		if (stage == HANDOVER_AHEAD)
			nap(STEP_MIN_NS);
		else if (n % TRIES_PER_TURN == 0)
			(void)sched_yield();
	}
}

static int seize_now(const struct pass *p, pid_t tid)
{
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) == 0)
		return 0;
	if (errno == EPERM && p->set->handover && !has_ended(p->proc_fd, tid))
		return take_over(p, tid);
	return errno;
}

static enum ptrace_thread_state seize(struct pass *p, pid_t tid)
{
	int error = seize_now(p, tid);

	if (error) {
		if (atomic_load(p->cancel))
			return PTRACE_THREAD_REFUSED;
		if (error == ESRCH || has_ended(p->proc_fd, tid))
			return PTRACE_THREAD_GONE;
		if (error == KEPT)
			p->set->kept = true;
		else
			p->set->refusal = error;
		return PTRACE_THREAD_REFUSED;
	}
	/* Fails with ESRCH for a thread that just died, which the wait will tell. */
	(void)ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
	return PTRACE_THREAD_WAITING;
}

static bool on_task(void *user, pid_t tid)
{
	struct pass *p = user;
	struct ptrace_set *set = p->set;
	enum ptrace_thread_state state;

	if (atomic_load(p->cancel))
		return false;
	if ((uint32_t)tid >= PTRACE_TID_LIMIT || seen(set, tid))
		return true;
	if (set->count == set->max) {
		set->unlisted++;
		return true;
	}
	state = seize(p, tid);
	if (atomic_load(p->cancel))
		return false; /* may have been a long time: the set is no longer ours to write */
	set->seen[(uint32_t)tid / 8] |= (uint8_t)(1U << (tid % 8));
	set->threads[set->count++] = (struct ptrace_thread){
		.tid = tid, .pid = p->pid, .mark = p->mark, .state = (uint8_t)state};
	if (state == PTRACE_THREAD_WAITING)
		set->waiting++;
	p->found++;
	return true;
}

/* --- waiting ------------------------------------------------------------------------------- */

static void on_wait_status(struct ptrace_thread *t, int status)
{
	if (!WIFSTOPPED(status)) {
		t->state = PTRACE_THREAD_GONE;
		return;
	}
	t->state = PTRACE_THREAD_STOPPED;
	/* An event in the upper bits is our own interruption; none means a signal on its way. */
	t->signal = status >> 16 ? 0 : (uint8_t)WSTOPSIG(status);
}

/* One look at every waiting thread; how many have stopped or gone. */
static uint32_t collect(struct ptrace_set *set)
{
	uint32_t settled = 0;

	for (uint32_t i = 0; i < set->count && set->waiting; i++) {
		struct ptrace_thread *t = &set->threads[i];
		int status;
		pid_t r;

		if (t->state != PTRACE_THREAD_WAITING)
			continue;
		r = waitpid(t->tid, &status, __WALL | WNOHANG);
		if (r == 0 || (r < 0 && errno == EINTR))
			continue;
		if (r < 0)
			t->state = PTRACE_THREAD_GONE; /* ECHILD: not ours any more */
		else
			on_wait_status(t, status);
		set->waiting--;
		settled++;
	}
	return settled;
}

static int wait_for_all(struct ptrace_set *set, uint64_t deadline_ns, uint64_t patience_ns)
{
	uint64_t step = STEP_MIN_NS;
	uint64_t progress = clock_now_ns();

	while (set->waiting) {
		uint64_t now;

		if (atomic_load(set->cancel))
			return PTRACE_CANCELLED;
		if (collect(set)) {
			progress = clock_now_ns();
			step = STEP_MIN_NS;
			continue;
		}
		now = clock_now_ns();
		if (now >= deadline_ns || now - progress >= patience_ns)
			return PTRACE_LATE;
		nap(step);
		step = min_u64(step * 2, STEP_MAX_NS);
	}
	return 0;
}

/* What it means that not one thread is held. */
static int nobody(const struct ptrace_set *set, int proc_fd)
{
	struct procstatus status;

	if (set->kept)
		return PTRACE_LATE;
	if (!set->refusal)
		return PTRACE_GONE;
	for (uint32_t i = 0; i < set->count; i++)
		if (set->threads[i].state == PTRACE_THREAD_REFUSED &&
			proc_status(proc_fd, set->threads[i].tid, &status) == 0 &&
			status.tracer_pid)
			return PTRACE_BUSY;
	return set->refusal == EPERM || set->refusal == EACCES ? PTRACE_DENIED : -set->refusal;
}

static bool is_held(const struct ptrace_thread *t)
{
	return t->state == PTRACE_THREAD_WAITING || t->state == PTRACE_THREAD_STOPPED;
}

static uint32_t held(const struct ptrace_set *set)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < set->count; i++)
		n += is_held(&set->threads[i]);
	return n;
}

int ptrace_stop(struct ptrace_set *set, int proc_fd, uint64_t deadline_ns, uint64_t patience_ns)
{
	atomic_bool *cancel = set->cancel;
	bool all_seen = false;
	int late = 0;

	for (int i = 0; i < PASSES_MAX; i++) {
		struct pass p = {.set = set,
			.cancel = cancel,
			.proc_fd = proc_fd,
			.deadline_ns = deadline_ns};
		int r;

		set->unlisted = 0;
		r = proc_tasks(proc_fd, on_task, &p);
		if (atomic_load(cancel))
			return PTRACE_CANCELLED;
		if (r == PROC_GONE)
			return PTRACE_GONE;
		if (r)
			return r == PROC_DENIED ? PTRACE_DENIED : r;
		all_seen = !p.found;
		if (all_seen)
			break;
		late = wait_for_all(set, deadline_ns, patience_ns);
		if (late == PTRACE_CANCELLED || clock_now_ns() >= deadline_ns)
			break;
	}
	if (late == PTRACE_CANCELLED)
		return late;
	if (!all_seen && !set->unlisted)
		set->unlisted = 1; /* or more: nobody has looked who was born meanwhile */
	if (!held(set))
		return nobody(set, proc_fd);
	return set->kept ? PTRACE_LATE : late;
}

/* --- several processes --------------------------------------------------------------------- */

int ptrace_ask(struct ptrace_set *set, int proc_fd, pid_t pid, uint16_t mark, uint32_t *ret_new)
{
	struct pass p = {
		.set = set, .cancel = set->cancel, .proc_fd = proc_fd, .pid = pid, .mark = mark};
	int r = proc_tasks(proc_fd, on_task, &p);

	*ret_new = p.found;
	return r == PROC_GONE ? PTRACE_GONE : r == PROC_DENIED ? PTRACE_DENIED : r;
}

uint32_t ptrace_look(struct ptrace_set *set)
{
	(void)collect(set);
	return set->waiting;
}

static bool is_meant(const struct ptrace_thread *t, uint16_t mark, pid_t pid)
{
	return t->mark == mark && (pid == 0 || t->pid == pid);
}

uint32_t ptrace_look_at(struct ptrace_set *set, uint16_t mark, pid_t pid)
{
	uint32_t waiting = 0;

	(void)collect(set);
	for (uint32_t i = 0; i < set->count; i++)
		waiting += is_meant(&set->threads[i], mark, pid) &&
			set->threads[i].state == PTRACE_THREAD_WAITING;
	return waiting;
}

uint32_t ptrace_holds(const struct ptrace_set *set, uint16_t mark, pid_t pid)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < set->count; i++)
		n += is_meant(&set->threads[i], mark, pid) && is_held(&set->threads[i]);
	return n;
}

/* The thread of that id. They are mostly asked for in the order in which they were found. */
static struct ptrace_thread *find(struct ptrace_set *set, pid_t tid)
{
	for (uint32_t n = 0; n < set->count; n++) {
		uint32_t i = (set->last + n) % set->count;

		if (set->threads[i].tid != tid)
			continue;
		set->last = i;
		return &set->threads[i];
	}
	return NULL;
}

int ptrace_give(struct ptrace_set *set, pid_t tid)
{
	struct ptrace_thread *t = find(set, tid);

	if (t && t->state == PTRACE_THREAD_WAITING)
		(void)collect(set);
	if (!t || t->state == PTRACE_THREAD_REFUSED || t->state == PTRACE_THREAD_GONE)
		return PTRACE_GONE;
	if (t->state == PTRACE_THREAD_WAITING ||
		ptrace(PTRACE_DETACH, tid, NULL, (void *)(uintptr_t)t->signal) < 0)
		return PTRACE_LATE;
	t->state = PTRACE_THREAD_GONE;
	return 0;
}

bool ptrace_may_kill(void)
{
	struct utsname name;
	int major;
	int minor;

	// NOLINTNEXTLINE(cert-err34-c): numbers of the kernel's own
	return uname(&name) == 0 && sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
		(major > 5 || (major == 5 && minor >= 19));
}

void ptrace_kill(struct ptrace_set *set, uint16_t mark)
{
	pid_t done = 0;

	for (uint32_t i = 0; i < set->count; i++) {
		const struct ptrace_thread *t = &set->threads[i];

		if (t->mark != mark || t->pid == done || !is_held(t))
			continue;
		if (ptrace(PTRACE_KILL, t->tid, NULL, NULL) == 0)
			done = t->pid; /* one thread's is all's */
	}
}

static bool on_listed(void *user, pid_t tid)
{
	struct ptrace_set *set = user;

	if ((uint32_t)tid >= PTRACE_TID_LIMIT || seen(set, tid))
		return true;
	if (set->count == set->max) {
		set->unlisted++;
		return true;
	}
	set->seen[(uint32_t)tid / 8] |= (uint8_t)(1U << (tid % 8));
	set->threads[set->count++] =
		(struct ptrace_thread){.tid = tid, .state = PTRACE_THREAD_REFUSED};
	return true;
}

int ptrace_list(struct ptrace_set *set, int proc_fd)
{
	set->unlisted = set->waiting = 0;
	for (uint32_t i = 0; i < set->count; i++)
		if (set->threads[i].state != PTRACE_THREAD_GONE)
			set->threads[i].state = PTRACE_THREAD_REFUSED;
	return proc_tasks(proc_fd, on_listed, set) ? PTRACE_GONE : 0;
}

int ptrace_registers(pid_t tid, uint32_t type, void *buffer, size_t size, size_t *ret_len)
{
	struct iovec iov = {.iov_base = buffer, .iov_len = size};

	if (ptrace(PTRACE_GETREGSET, tid, (void *)(uintptr_t)type, &iov) < 0)
		return errno == ESRCH ? PTRACE_GONE : -errno;
	*ret_len = iov.iov_len;
	return 0;
}

int ptrace_blocked(pid_t tid, uint64_t *ret)
{
	uint64_t set;

	if (ptrace(PTRACE_GETSIGMASK, tid, (void *)sizeof(set), &set) < 0)
		return errno == ESRCH ? PTRACE_GONE : -errno;
	*ret = set;
	return 0;
}

/* --- letting go ---------------------------------------------------------------------------- */

uint32_t ptrace_end_with_us(struct ptrace_set *set)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < set->count; i++)
		if (set->threads[i].state == PTRACE_THREAD_STOPPED &&
			ptrace(PTRACE_SETOPTIONS, set->threads[i].tid, NULL,
				(void *)(uintptr_t)PTRACE_O_EXITKILL) == 0)
			count++; /* else: it has just died */
	return count;
}

/* True once nothing of ours is left on this thread. */
static bool let_go(struct ptrace_thread *t) // NOLINT(misc-no-recursion): once for each wait status
{
	int status;
	pid_t r;

	if (t->state == PTRACE_THREAD_REFUSED || t->state == PTRACE_THREAD_GONE)
		return true;
	if (t->state == PTRACE_THREAD_STOPPED &&
		ptrace(PTRACE_DETACH, t->tid, NULL, (void *)(uintptr_t)t->signal) == 0) {
		t->state = PTRACE_THREAD_GONE;
		return true;
	}
	/* Not stopped yet, or killed while it was: the wait tells which. */
	r = waitpid(t->tid, &status, __WALL | WNOHANG);
	if (r == 0)
		return false;
	if (r < 0) {
		t->state = PTRACE_THREAD_GONE;
		return errno != EINTR;
	}
	on_wait_status(t, status);
	return t->state == PTRACE_THREAD_GONE || let_go(t);
}

/*
 * Until all are let go that are meant; waits wait_ns for one that sleeps in the kernel and may not
 * stop, dying_ns for a killed one, which needs us to be reaped. How many are left.
 */
static uint32_t let_all_go(
	struct ptrace_set *set, uint16_t mark, pid_t pid, uint64_t wait_ns, uint64_t dying_ns)
{
	uint64_t step = STEP_MIN_NS;
	uint64_t until = 0;

	for (;;) {
		bool dying = false;
		uint32_t left = 0;

		for (uint32_t i = 0; i < set->count; i++) {
			struct ptrace_thread *t = &set->threads[i];
			bool was_stopped = t->state == PTRACE_THREAD_STOPPED;

			if (!is_meant(t, mark, pid) || let_go(t))
				continue;
			left++;
			dying |= was_stopped;
		}
		if (!left)
			return 0;
		if (!until)
			until = clock_now_ns() + (dying ? dying_ns : wait_ns);
		if (clock_now_ns() >= until)
			return left;
		nap(step);
		step = min_u64(step * 2, STEP_MAX_NS);
	}
}

uint32_t ptrace_release(struct ptrace_set *set)
{
	uint32_t left = set->registers ? 0 : let_all_go(set, 0, 0, STOP_WAIT_NS, REAP_WAIT_NS);

	for (uint32_t i = 0; i < set->count; i++)
		set->seen[(uint32_t)set->threads[i].tid / 8] = 0;
	set->count = set->waiting = set->unlisted = 0;
	set->refusal = 0;
	set->kept = false;
	set->registers = NULL;
	return left;
}

uint32_t ptrace_let_go(struct ptrace_set *set, uint16_t mark, pid_t pid, uint64_t wait_ns)
{
	uint32_t left = let_all_go(set, mark, pid, wait_ns, wait_ns);
	uint32_t kept = 0;

	set->waiting = 0;
	for (uint32_t i = 0; i < set->count; i++) {
		const struct ptrace_thread t = set->threads[i];

		if (is_meant(&t, mark, pid) && !is_held(&t)) {
			set->seen[(uint32_t)t.tid / 8] &= (uint8_t) ~(1U << (t.tid % 8));
			continue;
		}
		set->threads[kept++] = t;
		set->waiting += t.state == PTRACE_THREAD_WAITING;
	}
	set->count = kept;
	set->last = 0;
	return left;
}
