// SPDX-License-Identifier: Apache-2.0
/*
 * The hold by ptrace, where the watchdog may neither send a signal nor write a freezer.
 *
 * The watchdog sees the trip, so it seizes by itself, at once: every thread of every process of the
 * target (os/seize.c). All of them are held until the release. Only a tracer reads registers, so it
 * reads those of whom a capturer is to capture, into memory that both see (os/registers.h); for the
 * memory of the process that one needs no more than the right to trace it.
 *
 * There is room for REGISTERS_THREADS_MAX threads; those of 32,768 would take 110 MiB. A process of
 * more is handed over to the capturer thread by thread (os/handover.h), which then holds it until
 * the verdict. Each thread runs for a moment there: 64 that leaked at full speed were lost by it in
 * 12 of 14 trials. The same is done where a verdict of kill could not be carried out from here,
 * before Linux 5.19.
 *
 * ptrace has its undo in the kernel, which lets go of whom a dead tracer held: if the watchdog
 * dies, nothing is left to do. One that hangs has to die first, so the hold stands in the ledger
 * (LEDGER_SEIZE) from before the first thread is seized until the last one is let go; with it the
 * guardian ends a watchdog that gives no sign of life.
 *
 * A thread that sleeps in the kernel, uninterruptibly, does not stop and cannot be let go of: it
 * stops as soon as it wakes up, and is let go then, by a timer. One that was killed has to be
 * waited for, or its parent could not.
 *
 * Nothing here allocates after hold_open(). The loop is kept busy for HOLD_SETTLE_NS at the trip,
 * for 8 us for each thread whose registers are read, for HAND_OVER_IDLE_NS and a little for each
 * thread at a handover, and for HOLD_RELEASE_NS at the release, at most.
 */
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "os/clock.h"
#include "os/handover.h"
#include "os/privilege.h"
#include "os/proc.h"
#include "os/ptrace.h"
#include "os/registers.h"
#include "os/seize.h"
#include "watch.h"

#define HOLD_THREADS_MAX 32768U		    /* of all targets together; as a capture's */
#define HOLD_SETTLE_NS (5 * NS_PER_MS)	    /* until all stand; who does not is looked at again */
#define HOLD_NEW_NS (50 * NS_PER_MS)	    /* between two looks for processes that moved in */
#define HOLD_RELEASE_NS (10 * NS_PER_MS)    /* for those that cannot be let go at once */
#define HOLD_LEFT_NS (5 * NS_PER_MS)	    /* between further tries for these, growing */
#define HOLD_LEFT_MAX_NS (50 * NS_PER_MS)   /* to this: half of what a target may stand on */
#define HAND_OVER_IDLE_NS (100 * NS_PER_MS) /* without a thread that changes hands */
#define HAND_OVER_BY 2U /* part of the time for the hold, after which who stands is enough */
#define HAND_OVER_NS (1 * NS_PER_S)	   /* 32,768 threads take 0.5 s */
#define HAND_OVER_TRY_NS (200 * NS_PER_US) /* for who takes to be seen at it */
#define TURNS 64 /* then whoever waits for our processor may need it for us to go on */

struct hold {
	struct ptrace_set set;
	atomic_bool cancel;		     /* never set: the set asks for one */
	bool unsettled[CONFIG_TARGETS_MAX];  /* held, and not yet all of it stands */
	uint64_t due_ns[CONFIG_TARGETS_MAX]; /* next look for who has come since; 0: not held */
	bool released[CONFIG_TARGETS_MAX];   /* with a rest that is still to be let go */
	bool may_kill;
	struct ptrace_thread threads[HOLD_THREADS_MAX];
	uint8_t seen[PTRACE_BITMAP_BYTES];
	struct handover handover[WATCH_CREW_MAX];
	struct registers *registers[WATCH_CREW_MAX]; /* NULL: whoever is asked for is handed over */
};

static int on_rest(sd_event_source *source, uint64_t usec, void *user);

/* Whether the hold will be ptrace at all: who may signal anybody has a better one. */
static bool is_wanted(const struct config *config)
{
	bool wanted = !privilege_has(CAP_KILL);

	for (uint32_t i = 0; i < config->target_count; i++)
		wanted |= config->targets[i].policy.hold == HOLD_PTRACE;
	return wanted;
}

/* Shared with the capturers; its begin touched now, as a plain sidecar may not lock anything. */
static void *share(size_t bytes, size_t touched)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (at != MAP_FAILED)
		memset(at, 0, touched);
	return at;
}

int hold_open(struct watch *w)
{
	struct hold *h = share(sizeof(*h), sizeof(*h));
	int r;

	if (h == MAP_FAILED)
		return -errno;
	for (uint32_t i = 0; is_wanted(w->config) && i < crew_wanted(w->config); i++) {
		h->registers[i] = share(sizeof(*h->registers[i]), REGISTERS_TOUCH_BYTES);
		if (h->registers[i] == MAP_FAILED)
			return -errno;
	}
	ptrace_set_init(&h->set, h->threads, HOLD_THREADS_MAX, h->seen);
	h->set.cancel = &h->cancel;
	h->may_kill = ptrace_may_kill();
	w->hold = h;
	r = sd_event_add_time(
		w->event, &w->hold_rest, CLOCK_MONOTONIC, UINT64_MAX / 2, 1, on_rest, w);
	return r < 0 ? r : sd_event_source_set_enabled(w->hold_rest, SD_EVENT_OFF);
}

struct handover *hold_handover(struct watch *w, uint32_t place)
{
	return &w->hold->handover[place];
}

struct registers *hold_registers(struct watch *w, uint32_t place)
{
	return w->hold->registers[place];
}

/* --- taking -------------------------------------------------------------------------------- */

static void sweep(struct target *t, const struct rank_top *first, uint64_t settle_ns)
{
	struct watch *w = t->watch;
	pid_t skip[WATCH_CREW_MAX];
	struct seize_order order = {.cg = &t->cgroup,
		.only = t->only,
		.first = first->pid,
		.first_count = first->count,
		.skip = skip,
		.mark = (uint16_t)t->index};

	for (uint32_t i = 0; i < w->crew_size; i++)
		if (w->crew[i].target == t && w->crew[i].holds)
			skip[order.skip_count++] = w->crew[i].result.pid;
	w->hold->unsettled[t->index] =
		!seize_processes(&w->hold->set, &order, clock_now_ns() + settle_ns);
	w->hold->due_ns[t->index] = w->now_ns + HOLD_NEW_NS;
}

int hold_seize(struct target *t, const struct rank_top *first)
{
	struct watch *w = t->watch;

	if (!ledger_count(&w->ledger, t->index, LEDGER_BIT(LEDGER_SEIZE))) {
		int r = ledger_note_file(
			&w->ledger, t->index, LEDGER_SEIZE, t->cgroup.level[0].path, "");

		if (r != 0)
			return r;
	}
	w->hold->released[t->index] = false;
	FAULT_POINT(SEIZE_NOTED);
	sweep(t, first, HOLD_SETTLE_NS);
	return 0;
}

/* --- registers ----------------------------------------------------------------------------- */

/* Whether that process can stay in our hands: nobody else can let go of it, or kill it. */
static bool may_keep(const struct crew_member *m)
{
	const struct hold *h = m->watch->hold;
	const struct target *t = m->target;

	return h->registers[m->place] &&
		(h->may_kill || t->config->policy.verdict != VERDICT_KILL) &&
		ptrace_holds(&h->set, (uint16_t)t->index, m->result.pid) > 0;
}

/*
 * Looks for threads of it once more: one that still ran at the last pass may have made others. True
 * if all are known; *ret_new is how many were not. False too where it has more than the set holds.
 */
static bool is_listed(const struct crew_member *m, uint32_t *ret_new)
{
	struct ptrace_set *set = &m->watch->hold->set;
	_cleanup_close_ int proc = -1;

	*ret_new = set->unlisted = 0;
	return proc_open(m->result.pid, &proc) == 0 &&
		ptrace_ask(set, proc, m->result.pid, (uint16_t)m->target->index, ret_new) == 0 &&
		set->unlisted == 0;
}

/*
 * Reads the registers for that capturer, which may have given up waiting meanwhile: then it goes on
 * without. False: it has to take the process over.
 */
static bool keep(struct crew_member *m)
{
	struct hold *h = m->watch->hold;
	uint32_t ahead = HANDOVER_AHEAD;

	if (registers_read(h->registers[m->place], &h->set, (uint16_t)m->target->index,
		    m->result.pid) != 0)
		return false;
	FAULT_POINT(REGISTERS_READ);
	if (atomic_compare_exchange_strong(&h->handover[m->place].stage, &ahead, HANDOVER_READ))
		m->holds = false; /* we go on to */
	return true;
}

/* --- handing over -------------------------------------------------------------------------- */

/* Waits until who takes has asked once more: then it runs at this very moment. */
static void see_it_try(const struct handover *h)
{
	uint64_t until_ns = clock_now_ns() + HAND_OVER_TRY_NS;
	uint32_t tries = atomic_load(&h->tries);

	for (uint32_t n = 1; atomic_load(&h->tries) == tries && clock_now_ns() < until_ns; n++)
		if (n % TURNS == 0)
			(void)sched_yield();
}

/* True if that thread is dealt with: let go, or not ours. */
static bool give(struct ptrace_set *set, struct handover *h, pid_t tid)
{
	int r;

	see_it_try(h);
	r = ptrace_give(set, tid);
	if (r == PTRACE_GONE)
		atomic_store(&h->denied, (int32_t)tid);
	return r != PTRACE_LATE;
}

static bool is_dead(const struct crew_member *m)
{
	struct pollfd p = {.fd = m->pidfd, .events = POLLIN};

	return poll(&p, 1, 0) > 0;
}

static void hand_over(struct crew_member *m)
{
	struct hold *hold = m->watch->hold;
	struct handover *h = &hold->handover[m->place];
	uint64_t now_ns = clock_now_ns();
	uint64_t until_ns = now_ns + HAND_OVER_NS;
	uint64_t moved_ns = now_ns;
	pid_t given = 0;
	uint32_t ahead = HANDOVER_AHEAD;

	if (!atomic_compare_exchange_strong(&h->stage, &ahead, HANDOVER_OPEN))
		return; /* it waits no longer: nobody is let go for nothing */
	for (uint32_t n = 1; !atomic_load(&h->done) && now_ns < until_ns; n++) {
		pid_t tid = atomic_load(&h->want);

		if (tid && tid != given && give(&hold->set, h, tid)) {
			given = tid;
			moved_ns = now_ns;
			FAULT_POINT(HAND_OVER);
		} else if (now_ns - moved_ns >= HAND_OVER_IDLE_NS) {
			if (!tid || tid == given)
				break; /* nobody is there who takes */
			atomic_store(&h->kept, (int32_t)tid);
			given = tid;
			moved_ns = now_ns;
		} else if (n % TURNS == 0) {
			if (is_dead(m))
				break;
			(void)sched_yield();
		}
		now_ns = clock_now_ns();
	}
	/* What is left of it: to be seized as a process is that nobody holds. */
	if (!atomic_load(&h->done))
		(void)ptrace_let_go(&hold->set, (uint16_t)m->target->index, m->result.pid, 0);
	atomic_store(&h->stage, HANDOVER_CLOSED);
}

/*
 * Not before all of it stands: who has not stopped cannot be let go, and has no registers. On a
 * busy machine that takes as long as it takes to be given a processor. The list is read after that
 * look: a thread that is not in it yet is born of one that still ran then.
 */
static void answer(struct crew_member *m)
{
	struct target *t = m->target;
	struct ptrace_set *set = &m->watch->hold->set;
	uint64_t until_ns =
		add_sat(t->record.trip_ns, t->config->policy.hold_timeout_ns / HAND_OVER_BY);
	bool kept = may_keep(m);
	bool stood = ptrace_look_at(set, (uint16_t)t->index, m->result.pid) == 0;
	uint32_t fresh = 0;

	if (kept)
		kept = is_listed(m, &fresh);
	if ((!stood || (kept && fresh)) && clock_now_ns() < until_ns)
		return;
	(void)ptrace_look_at(set, (uint16_t)t->index, m->result.pid); /* who has stopped since */
	m->asks = false;
	if (!kept || !keep(m))
		hand_over(m);
}

void hold_answer(struct crew_member *m)
{
	m->asks = true;
	answer(m);
}

void hold_settle(struct target *t)
{
	const struct rank_top nobody = {0};
	struct watch *w = t->watch;

	if (w->hold->due_ns[t->index] &&
		(w->hold->unsettled[t->index] || w->now_ns >= w->hold->due_ns[t->index]))
		sweep(t, &nobody, 0);
	for (uint32_t i = 0; i < w->crew_size; i++)
		if (w->crew[i].target == t && w->crew[i].state == CREW_COPYING && w->crew[i].asks)
			answer(&w->crew[i]);
}

/* --- letting go ---------------------------------------------------------------------------- */

/* Those that are left of released targets; true if there are none. */
static bool let_rest_go(struct watch *w)
{
	bool none = true;

	for (uint32_t i = 0; i < CONFIG_TARGETS_MAX; i++) {
		if (!w->hold->released[i])
			continue;
		if (ptrace_let_go(&w->hold->set, (uint16_t)i, 0, 0)) {
			none = false;
			continue;
		}
		w->hold->released[i] = false;
		(void)ledger_undo(&w->ledger, i, LEDGER_BIT(LEDGER_SEIZE), NULL); /* a note alone */
	}
	return none;
}

static int on_rest(sd_event_source *source, uint64_t usec, void *user)
{
	struct watch *w = user;

	(void)usec;
	watch_wake(w);
	if (let_rest_go(w))
		return 0;
	w->hold_rest_ns = min_u64(w->hold_rest_ns * 2, HOLD_LEFT_MAX_NS);
	(void)sd_event_source_set_time(source, (w->now_ns + w->hold_rest_ns) / NS_PER_US);
	(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

void hold_kill(struct target *t)
{
	if (t->watch->hold->may_kill)
		ptrace_kill(&t->watch->hold->set, (uint16_t)t->index);
}

void hold_release(struct target *t)
{
	struct watch *w = t->watch;

	if (!ledger_count(&w->ledger, t->index, LEDGER_BIT(LEDGER_SEIZE)))
		return;
	w->hold->unsettled[t->index] = false;
	w->hold->due_ns[t->index] = 0;
	w->hold->released[t->index] = true;
	(void)ptrace_let_go(&w->hold->set, (uint16_t)t->index, 0, HOLD_RELEASE_NS);
	if (let_rest_go(w))
		return;
	w->hold_rest_ns = HOLD_LEFT_NS;
	(void)sd_event_source_set_time(w->hold_rest, (clock_now_ns() + HOLD_LEFT_NS) / NS_PER_US);
	(void)sd_event_source_set_enabled(w->hold_rest, SD_EVENT_ONESHOT);
}
