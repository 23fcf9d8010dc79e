// SPDX-License-Identifier: Apache-2.0
/*
 * The tripwire in the watchdog. See wiring.h for the contract, os/bpf.h for the tripwire itself.
 *
 * In force means: the target's cgroup stands in the tripwire with the trip as its threshold, and
 * any of its processes may be stopped inside the kernel from now on. That is an intervention like
 * any other: before it the ledger gets a note whose undo is "every stopped process of this cgroup
 * goes on, but those that others had stopped". Whom others stop and continue while it is in force
 * is looked for every STOPPED_NS. While one of ours lives, it is undone more exactly than that, as
 * the tripwire itself notes whom it stops, in memory that all of ours share: here at the release,
 * in the guardian, in a capturer that stands in for it.
 *
 * A stop comes as an event. It is noted in the ledger like a SIGSTOP of our own, the target is
 * looked at, and the engine trips on it, or finds that it was too early: the tripwire counts the
 * target's own cgroup alone, less its own inactive page cache, and knows neither the cache of
 * cgroups below it nor what is on its way to the disk. Then the process goes on, and the threshold
 * is higher by what was wrong for EXTRA_NS. Where the limit is a parent's, what the parent's other
 * members hold is taken off the threshold at each look; as they may grow between two looks, no
 * guarantee is built on that.
 *
 * Below the trip it tells once that arm is reached, so that the shield does not wait for a look.
 *
 * It is in force while the target is watched or armed, near the trip (policy_wants_tripwire()), and
 * during a hold, where it stops processes that were born too late for the hold. From the release to
 * the end of the cooldown it is not, as nobody could capture then.
 *
 * The brake needs no tripwire of its own (TRIPWIRE_ON_RECLAIM): memory.high below the trip would
 * stop the target before its trip, and at the trip the charge stops it already.
 *
 * Limits: the ring of events is bounded. A stop is never lost; lost records of new processes are
 * answered by listing all of them, and told.
 */
#include "wiring.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/checked.h"
#include "base/fault.h"
#include "base/str.h"
#include "os/bpf.h"
#include "watch.h"

#define NOTICE_LEAST_BYTES (1ULL << 20) /* on the way to one: page cache may come and go there */
#define EXTRA_NS (100 * NS_PER_MS)	/* how long a correction of the threshold is believed */
#define STOPPED_NS (5 * NS_PER_S) /* between looks for who was stopped, or continued, by others */
#define REST_NS (60 * NS_PER_S)	  /* a target that starts again finds the programs attached */
#define VICTIM_MS 5 /* between the kernel's count of a kill and its word of the victim */
#define STOPS_FIRST (SD_EVENT_PRIORITY_IMPORTANT - 10) /* before looks: they tell the cause */
#define OOM_HOOK_FLAGS (TRIPWIRE_ON_CHARGE | TRIPWIRE_ON_OOM)

/* --- loading ------------------------------------------------------------------------------- */

static bool wanted(const struct watch *w)
{
	for (uint32_t i = 0; i < w->config->target_count; i++)
		if (w->config->targets[i].policy.tripwire)
			return true;
	return false;
}

void wiring_open(struct watch *w)
{
	int r;

	w->tripwire = NULL;
	w->tripwire_why[0] = '\0';
	if (!wanted(w)) {
		(void)strcpy(w->tripwire_why, // NOLINT: fits
			"no target asked for it when oomsnap started: restart oomsnap");
		return;
	}
	r = tripwire_open(&w->tripwire, w->tripwire_why, sizeof(w->tripwire_why));
	if (r < 0)
		(void)strcpy(w->tripwire_why, "there is no memory for it"); // NOLINT: fits
	(void)malloc_trim(0); /* the kernel's types took some 20 MB while it was loaded */
}

void wiring_close(struct watch *w)
{
	w->tripwire_io = sd_event_source_disable_unref(w->tripwire_io);
	w->tripwire_later = sd_event_source_disable_unref(w->tripwire_later);
	tripwire_close(w->tripwire);
	w->tripwire = NULL;
}

/* --- what it may be used for ---------------------------------------------------------------- */

/* What keeps it from being used at all; NULL: nothing does. */
static const char *unusable(const struct target *t, const char **ret_mend)
{
	*ret_mend = "";
	if (!t->config->policy.tripwire) {
		*ret_mend = "set tripwire = on";
		return "it is switched off";
	}
	if (!t->watch->tripwire)
		return t->watch->tripwire_why;
	if (t->only) {
		*ret_mend = "name its cgroup instead of the process";
		return "it stops any process of a cgroup, and one alone was named";
	}
	if (!t->means.stop) {
		*ret_mend = "grant CAP_KILL, or run under the target's uid";
		return "its processes take no signal of ours, so a stop could not be undone";
	}
	return NULL;
}

const char *wiring_obstacle(const struct target *t, unsigned int level, const char **ret_mend)
{
	const char *why = unusable(t, ret_mend);

	if (why || level == 0)
		return why;
	*ret_mend = "set a memory limit on the target's own cgroup";
	return "the limit stands on a parent cgroup, and it counts the target's own alone";
}

const char *wiring_text(const struct target *t, char *memory, size_t size)
{
	struct str s;
	const char *mend;
	const char *why = unusable(t, &mend);
	const char *hook = why ? "none" : tripwire_hook_name(t->watch->tripwire);

	str_init(&s, memory, size);
	if (!why && t->engine.last.level > 0)
		why = wiring_obstacle(t, t->engine.last.level, &mend);
	(void)str_add(&s, hook);
	if (why)
		(void)str_addf(&s, " (%s%s%s)", why, mend[0] ? "; to mend it: " : "", mend);
	return hook;
}

/* --- in force, and not --------------------------------------------------------------------- */

static uint32_t flags_for(const struct target *t)
{
	const struct tripwire *wire = t->watch->tripwire;
	uint32_t flags = TRIPWIRE_STOP | TRIPWIRE_ON_CHARGE | TRIPWIRE_USED;

	if (!t->means.shield || t->config->policy.shield == SHIELD_OFF)
		return flags;
	if (tripwire_can(wire, OOM_HOOK_FLAGS))
		flags |= TRIPWIRE_ON_OOM;
	if (cgroup_shields_processes(&t->cgroup) && tripwire_can(wire, TRIPWIRE_PROCESSES))
		flags |= TRIPWIRE_PROCESSES;
	return flags;
}

/* The trip, as the target's own cgroup counts. */
static uint64_t threshold(struct target *t)
{
	const struct engine *e = &t->engine;
	struct wiring *wi = &t->wiring;
	uint64_t bytes = e->thresholds.trip_bytes;
	uint64_t own;

	if (t->watch->now_ns >= wi->extra_until_ns)
		wi->extra_bytes = 0;
	if (e->last.level > 0 && cgroup_read_own(&t->cgroup, &own) == 0)
		bytes = sub_floor(bytes, sub_floor(e->last.current_bytes, own));
	return add_sat(bytes, wi->extra_bytes);
}

static int set(struct target *t)
{
	struct wiring *wi = &t->wiring;
	uint64_t bytes = threshold(t);
	uint32_t flags = flags_for(t);
	int r;

	if (wi->added && bytes == wi->threshold_bytes && flags == wi->flags)
		return 0;
	r = tripwire_add(t->watch->tripwire, t->cgroup.id, bytes, /* reclaim_bytes= */ 0, flags);
	if (r != 0)
		return r;
	wi->added = true;
	wi->threshold_bytes = bytes;
	wi->flags = flags;
	return 0;
}

/* Notes it and puts it in force. 0, TRIPWIRE_*, -errno. */
static int arm(struct target *t)
{
	struct watch *w = t->watch;
	uint32_t count = 0;
	int r = tripwire_prepare(w->tripwire, t->cgroup.id);

	if (r != 0)
		return r;
	/* What takes its time is done; from here on something is in force. */
	r = cgroup_pids(&t->cgroup, t->pids, WATCH_PIDS_MAX, &count);
	if (r != 0 && r != -E2BIG)
		return r == CGROUP_GONE ? 0 : r; /* the next look sees that */
	r = ledger_note_tripwire(&w->ledger, t->index, t->cgroup.level[0].path, t->pids, count);
	if (r != 0)
		return r;
	FAULT_POINT(TRIPWIRE_NOTED);
	r = tripwire_arm(w->tripwire, t->cgroup.id);
	FAULT_POINT(TRIPWIRE_ON);
	t->wiring.armed = r == 0;
	if (r != 0)
		ledger_strike_tripwire(&w->ledger, t->index);
	return r;
}

static bool is_ours(pid_t pid, uint64_t start_time, void *user)
{
	return tripwire_has_stopped(user, pid, start_time);
}

void wiring_note_stopped(struct target *t)
{
	struct watch *w = t->watch;
	uint32_t count = 0;
	int r;

	if (!w->tripwire || !t->wiring.armed || engine_in_incident(&t->engine) ||
		w->now_ns < t->wiring.stopped_due_ns)
		return; /* t->pids is the incident's while there is one */
	t->wiring.stopped_due_ns = w->now_ns + STOPPED_NS;
	r = cgroup_pids(&t->cgroup, t->pids, WATCH_PIDS_MAX, &count);
	if (r == 0 || r == -E2BIG)
		(void)ledger_note_stopped(&w->ledger, t->index, t->pids, count, is_ours,
			w->tripwire); /* what finds no room is continued, as it was before */
}

unsigned int wiring_release(struct target *t)
{
	struct watch *w = t->watch;
	unsigned int left;

	if (!w->tripwire || !t->wiring.added)
		return 0;
	(void)tripwire_disarm(w->tripwire, t->cgroup.id); /* unknown is as good */
	left = tripwire_continue(w->tripwire, t->cgroup.id);
	t->wiring.armed = false;
	if (left == 0)
		ledger_strike_tripwire(&w->ledger, t->index);
	return left;
}

/* The means are not what they were when it was promised: once, until the target is found anew. */
static void give_up(struct target *t, int error)
{
	(void)wiring_release(t);
	t->wiring.failed = true;
	tell_degraded(t, "tripwire", error < 0 ? error : CGROUP_UNSUPPORTED,
		"this target is watched without it");
}

/*
 * Has the crossing of arm told, for the shield: on v2 nobody else does, and one system call may
 * take all of a small limit between two looks. What the next look finds is asked for anew then.
 */
static void ask_for_notice(struct target *t)
{
	const struct engine *e = &t->engine;
	uint64_t way = sub_floor(e->thresholds.arm_bytes, sample_used(&e->last));
	uint64_t bytes = UINT64_MAX;

	if (e->state == ENGINE_WATCHING && e->last.level == 0)
		bytes = add_sat(e->last.current_bytes, max_u64(way, NOTICE_LEAST_BYTES));
	(void)tripwire_notice(t->watch->tripwire, t->cgroup.id, bytes); /* it is known */
}

void wiring_follow(struct target *t)
{
	const struct engine *e = &t->engine;
	const char *mend;
	int r;

	if (!t->watch->tripwire || !t->open || t->watch->dry_run || t->wiring.failed)
		return;
	if (e->state == ENGINE_COOLDOWN)
		(void)wiring_release(t); /* for a program that was just running at the release */
	if ((e->state != ENGINE_WATCHING && e->state != ENGINE_ARMED) || unusable(t, &mend))
		return;
	if (!policy_wants_tripwire(&t->config->policy, &e->thresholds, &e->last, t->wiring.armed)) {
		if (t->wiring.armed)
			(void)wiring_release(t);
		return;
	}
	r = set(t);
	if (r == 0 && !t->wiring.armed)
		r = arm(t);
	if (r != 0)
		give_up(t, r);
	else
		ask_for_notice(t);
}

void wiring_rest(struct watch *w)
{
	if (!w->tripwire)
		return;
	for (uint32_t i = 0; i < w->target_count; i++) {
		const struct target *t = &w->target[i];

		if (t->wiring.armed || engine_in_incident(&t->engine) ||
			t->engine.state == ENGINE_ARMED || t->engine.state == ENGINE_COOLDOWN)
			w->tripwire_rest_ns = w->now_ns + REST_NS;
	}
	if (w->now_ns >= w->tripwire_rest_ns)
		tripwire_rest(w->tripwire);
}

void wiring_continue(struct target *t, uint64_t early_bytes)
{
	struct wiring *wi = &t->wiring;

	if (!t->watch->tripwire || !wi->added)
		return;
	if (wi->armed && early_bytes) {
		wi->extra_bytes = add_sat(wi->extra_bytes, early_bytes);
		wi->extra_until_ns = t->watch->now_ns + EXTRA_NS;
		(void)set(t); /* of a target that is there */
	}
	(void)ledger_undo(&t->watch->ledger, t->index, LEDGER_BIT(LEDGER_STOP),
		NULL); /* what fails stays noted: the next beat tries again */
	(void)tripwire_continue(t->watch->tripwire, t->cgroup.id);
	if (early_bytes && wi->early++ == 0)
		tell_stopped_early(t);
}

void wiring_leave(struct target *t)
{
	if (!t->watch->tripwire || !t->open)
		return;
	(void)wiring_release(t);
	/* Where adding it failed half-way, it is known there and not here. */
	(void)tripwire_remove(t->watch->tripwire, t->cgroup.id);
	t->wiring = (struct wiring){0};
}

/* --- events -------------------------------------------------------------------------------- */

static struct target *find(struct watch *w, uint64_t cgroup_id)
{
	for (uint32_t i = 0; i < w->target_count; i++)
		if (w->target[i].wiring.added && w->target[i].cgroup.id == cgroup_id)
			return &w->target[i];
	return NULL;
}

static void on_stop(struct target *t, const struct tripwire_event *event)
{
	struct ledger *l = &t->watch->ledger;

	FAULT_POINT(TRIPWIRE_TOLD);
	/* A full ledger is no harm: the tripwire has its own note of it. */
	if (!ledger_has_process(l, LEDGER_STOP, event->tgid, event->start_time_ticks))
		(void)ledger_note_process(
			l, t->index, LEDGER_STOP, event->tgid, event->start_time_ticks, 0);
	if (!t->wiring.stopped)
		t->wiring.stop = *event;
	t->wiring.stopped = true;
}

/* Processes are there that may be without a shield. */
static void look_for_new(struct target *t)
{
	t->shield_due_ns = 0;
	t->wiring.look = true;
}

/* Called by tripwire_consume(): takes down what there is to do, and does nothing yet. */
static void on_event(const struct tripwire_event *event, void *user)
{
	struct watch *w = user;
	struct target *t = find(w, event->cgroup_id);

	switch (event->kind) {
	case TRIPWIRE_STOPPED:
		if (t)
			on_stop(t, event);
		break;
	case TRIPWIRE_VICTIM: /* before Linux 6.9 it is not said of which target */
		for (uint32_t i = 0; i < w->target_count; i++) {
			if (t && t != &w->target[i])
				continue;
			w->target[i].wiring.victim = event->tgid;
			w->target[i].wiring.look = true;
		}
		break;
	case TRIPWIRE_MOVED:
		if (t)
			look_for_new(t);
		break;
	case TRIPWIRE_REACHED: /* arm */
		if (t)
			t->wiring.look = true;
		break;
	case TRIPWIRE_FORKED: /* has inherited the shield; the looks note it in their time */
	case TRIPWIRE_EXECED: /* has kept it */
		break;
	}
}

/* Records that found the ring full: processes may be there that nobody told us of. */
static void look_for_lost(struct watch *w)
{
	struct tripwire_counters counters;

	tripwire_count(w->tripwire, &counters);
	if (counters.records_lost == w->tripwire_lost)
		return;
	tell_records_lost(counters.records_lost - w->tripwire_lost);
	w->tripwire_lost = counters.records_lost;
	for (uint32_t i = 0; i < w->target_count; i++)
		look_for_new(&w->target[i]);
}

static void act_on(struct target *t)
{
	if (t->wiring.stopped) {
		t->wiring.stopped = false;
		t->wiring.look = false;
		watch_kernel_stop(t);
	} else if (t->wiring.look) {
		t->wiring.look = false;
		watch_look(t);
	}
}

static int on_events(sd_event_source *source, int fd, uint32_t events, void *user)
{
	struct watch *w = user;

	(void)source;
	(void)fd;
	(void)events;
	watch_wake(w);
	(void)tripwire_consume(w->tripwire, on_event, w); /* stops stand in its table besides */
	look_for_lost(w);
	for (uint32_t i = 0; i < w->target_count; i++)
		act_on(&w->target[i]);
	return 0;
}

static int on_later(sd_event_source *source, void *user)
{
	struct watch *w = user;

	(void)source;
	watch_wake(w);
	for (uint32_t i = 0; i < w->target_count; i++)
		act_on(&w->target[i]);
	return 0;
}

/* Reads what is there outside of the ring's own source; what it sets off is done next. */
static void read_ring(struct watch *w)
{
	(void)tripwire_consume(w->tripwire, on_event, w);
	look_for_lost(w);
	(void)sd_event_source_set_enabled(w->tripwire_later, SD_EVENT_ONESHOT);
}

bool wiring_was_told(struct target *t)
{
	bool stopped;

	if (!t->watch->tripwire || !t->wiring.armed)
		return false;
	read_ring(t->watch);
	stopped = t->wiring.stopped;
	t->wiring.stopped = false;
	return stopped;
}

void wiring_await_victim(struct target *t)
{
	struct watch *w = t->watch;
	struct pollfd p = {.events = POLLIN};

	if (!w->tripwire || !t->wiring.armed || t->wiring.victim)
		return;
	p.fd = tripwire_fd(w->tripwire);
	if (poll(&p, 1, VICTIM_MS) <= 0)
		return;
	read_ring(w);
}

int wiring_start(struct watch *w)
{
	int r;

	if (!w->tripwire)
		return 0;
	r = sd_event_add_defer(w->event, &w->tripwire_later, on_later, w);
	if (r >= 0)
		r = sd_event_source_set_enabled(w->tripwire_later, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_source_set_priority(w->tripwire_later, STOPS_FIRST);
	if (r < 0)
		return r;
	r = sd_event_add_io(
		w->event, &w->tripwire_io, tripwire_fd(w->tripwire), EPOLLIN, on_events, w);
	if (r >= 0)
		r = sd_event_source_set_priority(w->tripwire_io, STOPS_FIRST);
	return r;
}
