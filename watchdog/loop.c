// SPDX-License-Identifier: Apache-2.0
/*
 * The watchdog's loop: sd-event sources in, engine steps, actions out.
 *
 * A wakeup reads the clock once (watch->now_ns) and hands it to everything below. Each target has a
 * timer for its next sample, whose distance its own engine chose, and one for the engine's
 * deadlines; kernel notices and the crew's messages come in between. An event is given to the
 * engine, its actions are carried out in order, their outcomes are fed back in the same wakeup, and
 * what there is to say is said last: nothing is formatted while a target waits to be stopped.
 *
 * The loop never blocks: it reads cgroup and proc files, writes single values, and sends datagrams
 * to sockets that do not wait. One exception: the search for a target that is named by its unit
 * asks systemd and may wait UNIT_WAIT_US for an answer. It is put off while another target is in an
 * incident, and for PUT_OFF_NS while one is armed: a target may be armed for days.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "command.h"
#include "event.h"
#include "exit_code.h"
#include "guardian.h"
#include "os/clock.h"
#include "os/node.h"
#include "os/stop.h"
#include "watch.h"
#include "wiring.h"

#define OUTCOMES_MAX 8 /* one action list gives at most two; they cannot pile up beyond this */
#define REPORTS_MAX 32
#define TIMER_ACCURACY_US 1
#define HISTORY_STEP_NS (250 * NS_PER_MS) /* between points while nothing happens */
#define COOLDOWN_STEP_NS (20 * NS_PER_MS) /* while there is nobody to capture it again */
#define COOLDOWN_TOLD_NS (2 * NS_PER_S)	  /* of that: a core of some GiB is on disk by then */
#define PUT_OFF_NS (10 * NS_PER_S)	  /* of a search, while another target is armed */
#define STOP_WITHIN_NS (5 * NS_PER_S)	  /* an orderly end; the guardian does the rest */

/* --- one step ------------------------------------------------------------------------------ */

void watch_step(struct target *t, struct engine_event *event)
{
	struct engine_event queue[OUTCOMES_MAX] = {*event};
	struct engine_action reports[REPORTS_MAX];
	uint32_t report_count = 0;
	uint32_t queued = 1;

	for (uint32_t i = 0; i < queued; i++) {
		struct engine_actions actions;

		engine_step(&t->engine, &t->config->policy, &queue[i], t->watch->now_ns, &actions);
		for (uint32_t k = 0; k < actions.count; k++) {
			const struct engine_action *a = &actions.action[k];
			struct engine_event outcome = {0};

			if (a->kind == ENGINE_ACTION_REPORT && report_count < REPORTS_MAX) {
				reports[report_count++] = *a;
				continue;
			}
			if ((t->watch->dry_run ? act_pretend : act_perform)(t, a, &outcome) &&
				queued < OUTCOMES_MAX)
				queue[queued++] = outcome;
		}
	}
	for (uint32_t i = 0; i < report_count; i++)
		(void)act_perform(t, &reports[i], &queue[0]); /* a report has no outcome */
	show_target(t);
}

static void record_history(struct target *t)
{
	const struct engine *e = &t->engine;
	struct history_point p = {.at_ns = e->last.now_ns,
		.used_bytes = sample_used(&e->last),
		.limit_bytes = e->last.limit_bytes,
		.rate_bytes_s = e->rate_bytes_s,
		.psi_some_bp = e->last.psi_some_bp,
		.psi_full_bp = e->last.psi_full_bp};

	if (t->history_is_old && !crew_busy_with(t)) {
		history_drop_before(t->history, t->found_ns);
		t->history_is_old = false;
	}
	if (e->state == ENGINE_WATCHING && p.at_ns < t->recorded_ns + HISTORY_STEP_NS)
		return;
	if (p.at_ns < t->recorded_ns + NS_PER_MS)
		return;
	t->recorded_ns = p.at_ns;
	history_add(t->history, &p);
}

/*
 * The next look, after_ns from the begin of this one. Looks come before most other sources, and one
 * at many processes may take longer than after_ns: then the others get as much time as it took.
 */
static void schedule_look(struct target *t, uint64_t after_ns)
{
	uint64_t now_ns = clock_now_ns();
	uint64_t took_ns = sub_floor(now_ns, t->watch->now_ns);

	(void)sd_event_source_set_time(t->look,
		max_u64(t->watch->now_ns + after_ns, now_ns + min_u64(took_ns, after_ns)) /
			NS_PER_US);
	(void)sd_event_source_set_enabled(t->look, SD_EVENT_ONESHOT);
}

/* From which usage on memory.stat is read: where something may be decided by it. */
static uint64_t stat_from(struct target *t)
{
	const struct engine *e = &t->engine;

	if (!e->seen || e->state != ENGINE_ARMED)
		return e->thresholds.arm_bytes;
	if (t->watch->now_ns >= t->stat_due_ns) {
		t->stat_due_ns = t->watch->now_ns + WATCH_STAT_NS;
		return e->thresholds.arm_bytes;
	}
	return e->thresholds.trip_bytes;
}

static void leave(struct target *t)
{
	if (ending_unseen_kill(t))
		tell_unseen_kill(t);
	tell_gone(t);
	target_close(t);
	schedule_look(t, WATCH_FIND_NS);
}

static void vanish(struct target *t)
{
	struct engine_event event = {.kind = ENGINE_EVENT_VANISHED};

	watch_step(t, &event);
	if (t->engine.state != ENGINE_GONE)
		return; /* an undo is still due: the engine's timer goes on with it */
	leave(t);
}

/*
 * Processes that came since the shield went up (v2). A child has inherited it already; what is late
 * here is who moved in, or set its own value.
 */
static void shield_new_processes(struct target *t)
{
	struct stop_result result;

	if (t->watch->now_ns < t->shield_due_ns)
		return;
	t->shield_due_ns = t->watch->now_ns + WATCH_SHIELD_NS;
	if (t->engine.shielded && !t->watch->dry_run && cgroup_shields_processes(&t->cgroup))
		(void)shield_processes(&t->cgroup, &t->watch->ledger, t->index,
			&result); /* what failed was told when the shield went up */
}

/* The stop becomes the first moment of an incident, unless one is on already. */
static void note_stop(struct target *t)
{
	const struct tripwire_event *stop = &t->wiring.stop;

	if (!engine_in_incident(&t->engine))
		act_note_at(t, INTERVENTION_KERNEL_STOP, stop->time_ns, stop->usage_bytes);
}

/*
 * Whether the tripwire stopped a process before this sample was taken. What it told came after we
 * woke up then, and it is the reason of the trip, whoever sees the sample first.
 */
static bool was_stopped(struct target *t, const struct sample *s)
{
	if (engine_in_incident(&t->engine) || sample_used(s) < t->engine.thresholds.trip_bytes ||
		!wiring_was_told(t))
		return false;
	note_stop(t);
	return true;
}

/*
 * Its files are there and could not be read: the kernel had no memory for it, say. What is in force
 * stays so, and the next look reads them again. Whom the tripwire has stopped is captured all the
 * same: it has counted by itself.
 */
static void miss(struct target *t, enum engine_event_kind kind, int error)
{
	struct engine_event event = {.kind = kind, .ok = false};

	target_tell_unreadable(t, error);
	if (kind == ENGINE_EVENT_KERNEL_STOP)
		watch_step(t, &event);
	hold_settle(t);
	shield_new_processes(t);
	schedule_look(t, t->engine.look_after_ns);
}

/* Samples it and steps on that by an event of this kind. */
static void look(struct target *t, enum engine_event_kind kind)
{
	struct engine_event event = {.kind = kind, .ok = true, .auto_bytes = SIZE_UNLIMITED};
	int r;

	if (!t->open)
		return;
	FAULT_POINT(LOOK);
	r = cgroup_sample(&t->cgroup, t->watch->now_ns, stat_from(t), &event.sample);
	if (r == CGROUP_GONE) {
		vanish(t);
		return;
	}
	if (r != 0) {
		miss(t, kind, r);
		return;
	}
	event.auto_bytes = managed_look(t, sample_used(&event.sample));
	if (kind == ENGINE_EVENT_SAMPLE && was_stopped(t, &event.sample))
		event.kind = ENGINE_EVENT_KERNEL_STOP;
	watch_step(t, &event);
	if (t->managed.untold)
		tell_runtime_found(t);
	t->managed.untold = false;
	hold_settle(t);
	shield_new_processes(t);
	wiring_follow(t);
	record_history(t);
	if (t->engine.state == ENGINE_WATCHING || t->engine.state == ENGINE_ARMED)
		target_register_notices(t);
	managed_search_again(t);
	schedule_look(t, managed_look_after(t, t->engine.look_after_ns));
}

void watch_look(struct target *t)
{
	look(t, ENGINE_EVENT_SAMPLE);
}

void watch_kernel_stop(struct target *t)
{
	uint32_t told = t->record.timeline_count;

	note_stop(t);
	look(t, ENGINE_EVENT_KERNEL_STOP);
	if (!engine_in_incident(&t->engine))
		t->record.timeline_count = told; /* nothing came of it: it was too early */
}

/* --- sources ------------------------------------------------------------------------------- */

bool watch_in_incident(const struct watch *w)
{
	for (uint32_t i = 0; i < w->target_count; i++)
		if (engine_in_incident(&w->target[i].engine))
			return true;
	return false;
}

void watch_wake(struct watch *w)
{
	w->now_ns = clock_now_ns();
	ledger_beat(&w->ledger, w->now_ns);
}

/* Whether a search has to wait, as another target may need us within milliseconds. */
static bool put_off(struct target *t)
{
	const struct watch *w = t->watch;
	bool incident = false;
	bool armed = false;

	if (t->config->selector.kind != SELECTOR_UNIT && containers_places(t->config) == 1)
		return false; /* the others only read a few files */
	for (uint32_t i = 0; i < w->target_count; i++) {
		incident = incident || engine_in_incident(&w->target[i].engine);
		armed = armed || w->target[i].engine.state == ENGINE_ARMED;
	}
	if (!incident && !armed)
		t->put_off_ns = 0;
	else if (!t->put_off_ns)
		t->put_off_ns = w->now_ns;
	return incident || (armed && w->now_ns < t->put_off_ns + PUT_OFF_NS);
}

/*
 * Two watchdogs at one target would undo each other's interventions, and note each other's as what
 * was there before: a limit that one of them raised would stay. So it is left to the first, and
 * searched for again. Selectors of containers are not asked: a place that waits for its container
 * would keep the others from theirs.
 */
static bool has_rival(struct target *t)
{
	int told = t->rival;

	if (t->watch->dry_run || containers_places(t->asked) != 1)
		return false;
	t->rival = board_rival(t->watch->runtime_dir, t->cgroup.level[0].path);
	if (!t->rival)
		return false;
	target_close(t);
	if (t->rival != told)
		tell_rival(t);
	return true;
}

static void search(struct target *t)
{
	struct engine_event appeared = {.kind = ENGINE_EVENT_APPEARED};

	if (t->watch->stopping || put_off(t) || !target_find(t) || has_rival(t)) {
		schedule_look(t, WATCH_FIND_NS);
		return;
	}
	t->put_off_ns = 0;
	t->engine.means = t->means;
	/* The report of a core that is still being finished goes by the history before. */
	t->found_ns = t->watch->now_ns;
	t->history_is_old = crew_busy_with(t);
	if (!t->history_is_old)
		t->history->count = 0;
	t->record = (struct incident_record){0};
	pressure_start(t);
	tell_found(t);
	watch_step(t, &appeared);
	watch_look(t);
	if (t->open)
		tell_guarantee(t);
}

static int on_look(sd_event_source *source, uint64_t usec, void *user)
{
	struct target *t = user;

	(void)source;
	(void)usec;
	watch_wake(t->watch);
	if (t->open)
		watch_look(t);
	else
		search(t);
	return 0;
}

/* The cooldown is over, and goes on: an incident now would end without a capture. */
static void prolong_cooldown(struct target *t)
{
	uint64_t now_ns = t->watch->now_ns;

	if (!t->prolonged_ns)
		t->prolonged_ns = now_ns;
	if (!t->prolonged_told && now_ns - t->prolonged_ns >= COOLDOWN_TOLD_NS) {
		tell_prolonged(t);
		t->prolonged_told = true;
	}
	(void)sd_event_source_set_time(t->timer, (now_ns + COOLDOWN_STEP_NS) / NS_PER_US);
	(void)sd_event_source_set_enabled(t->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *user)
{
	struct target *t = user;
	struct engine_event event = {.kind = ENGINE_EVENT_TICK};

	(void)source;
	(void)usec;
	watch_wake(t->watch);
	if (t->engine.state == ENGINE_COOLDOWN && !crew_is_ready(t)) {
		prolong_cooldown(t);
		return 0;
	}
	t->prolonged_ns = 0;
	t->prolonged_told = false;
	watch_step(t, &event);
	if (t->open && t->engine.state == ENGINE_GONE)
		leave(t);
	else if (t->engine.state == ENGINE_WATCHING)
		watch_look(t); /* the cooldown is over: it may be near its limit already */
	return 0;
}

/* A shielded leaker must never take the node down. */
static void watch_node(struct watch *w)
{
	struct engine_event event = {.kind = ENGINE_EVENT_NODE_SHORT};
	bool is_short = node_is_short();

	if (is_short == w->node_short)
		return;
	w->node_short = is_short;
	event.ok = !is_short;
	for (uint32_t i = 0; i < w->target_count; i++)
		watch_step(&w->target[i], &event);
}

/* What should not be in force for a target in its present state; its engine has let go of it. */
static uint32_t stale_kinds(const struct target *t)
{
	uint32_t kinds = LEDGER_BIT(LEDGER_FREEZE) | LEDGER_BIT(LEDGER_STOP);

	if (engine_in_incident(&t->engine))
		return 0; /* the engine repeats its release by itself */
	if (!t->engine.shielded)
		kinds |= LEDGER_SHIELDS;
	if (!t->engine.braked)
		kinds |= LEDGER_BIT(LEDGER_BRAKE);
	if (t->engine.state == ENGINE_GONE || !t->leased)
		kinds |= LEDGER_BIT(LEDGER_LEASE);
	return kinds;
}

/*
 * Undoes again what could not be undone when its target was left, disarmed or dropped by a reload:
 * a limit of cgroup v1 cannot be lowered while more is used. Places of the ledger that have no
 * target any more belong to a configuration that is gone.
 */
static void undo_leftovers(struct watch *w)
{
	for (uint32_t i = 0; i < CONFIG_TARGETS_MAX; i++) {
		uint32_t kinds =
			i < w->target_count ? stale_kinds(&w->target[i]) : LEDGER_EVERYTHING;

		kinds &= ~LEDGER_BIT(LEDGER_SEIZE); /* hold.c strikes it when nobody is held */
		if (kinds && ledger_count(&w->ledger, i, kinds))
			(void)ledger_undo(
				&w->ledger, i, kinds, NULL); /* the next beat tries again */
	}
}

static int on_beat(sd_event_source *source, uint64_t usec, void *user)
{
	struct watch *w = user;

	(void)usec;
	watch_wake(w);
	watch_node(w);
	undo_leftovers(w);
	for (uint32_t i = 0; i < w->target_count; i++)
		wiring_note_stopped(&w->target[i]);
	wiring_rest(w);
	crew_beat(w);
	(void)sd_event_source_set_time(source, (w->now_ns + WATCH_BEAT_NS) / NS_PER_US);
	(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

static int start_guardian(struct watch *w);

static int on_guardian_death(sd_event_source *source, const siginfo_t *info, void *user)
{
	struct watch *w = user;
	int r;

	(void)source;
	(void)info;
	watch_wake(w);
	w->guardian_death = sd_event_source_disable_unref(w->guardian_death);
	cleanup_close(&w->guardian_pidfd);
	if (w->stopping)
		return 0;
	r = start_guardian(w);
	if (r < 0)
		tell_error(NULL, "guardian", r,
			"it died and cannot be started: nobody undoes our interventions if we die");
	else
		tell_guardian_restarted(w);
	return 0;
}

static int start_guardian(struct watch *w)
{
	int r = guardian_start(
		&w->ledger, w->tripwire, w->self_pidfd, &w->guardian_pid, &w->guardian_pidfd);

	if (r < 0)
		return r;
	r = sd_event_add_child_pidfd(
		w->event, &w->guardian_death, w->guardian_pidfd, WEXITED, on_guardian_death, w);
	/* A capturer that died together with it comes first: its target is to go on. */
	if (r >= 0)
		r = sd_event_source_set_priority(w->guardian_death, SD_EVENT_PRIORITY_NORMAL + 1);
	return r;
}

/* --- reloading and ending ------------------------------------------------------------------ */

static bool all_quiet(const struct watch *w)
{
	for (uint32_t i = 0; i < w->target_count; i++)
		if (w->target[i].engine.state != ENGINE_GONE)
			return false;
	return true;
}

static void finish_if_quiet(struct watch *w)
{
	if (all_quiet(w) || w->now_ns >= w->stop_by_ns)
		(void)sd_event_exit(w->event, EXIT_CODE_OK);
}

static int on_stop_check(sd_event_source *source, uint64_t usec, void *user)
{
	struct watch *w = user;

	(void)usec;
	watch_wake(w);
	finish_if_quiet(w);
	(void)sd_event_source_set_time(source, (w->now_ns + 20 * NS_PER_MS) / NS_PER_US);
	(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	return 0;
}

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *user)
{
	struct watch *w = user;
	struct engine_event event = {.kind = ENGINE_EVENT_SHUTDOWN};

	(void)source;
	(void)info;
	watch_wake(w);
	if (w->stopping)
		return 0;
	w->stopping = true;
	w->stop_by_ns = w->now_ns + STOP_WITHIN_NS;
	(void)sd_notify(/* unset_environment= */ 0, "STOPPING=1");
	for (uint32_t i = 0; i < w->target_count; i++)
		watch_step(&w->target[i], &event);
	finish_if_quiet(w);
	(void)sd_event_add_time(w->event, NULL, CLOCK_MONOTONIC, w->now_ns / NS_PER_US,
		TIMER_ACCURACY_US, on_stop_check, w); /* floating; without it we end at once */
	return 0;
}

static int start_targets(struct watch *w);

/* Lets go of every target of the old configuration. Only outside of incidents. */
static void drop_targets(struct watch *w)
{
	struct engine_event event = {.kind = ENGINE_EVENT_SHUTDOWN};

	for (uint32_t i = 0; i < w->target_count; i++) {
		struct target *t = &w->target[i];

		watch_step(t, &event);
		target_close(t);
		command_stop(t);
		t->look = sd_event_source_disable_unref(t->look);
		t->timer = sd_event_source_disable_unref(t->timer);
		cleanup_free(&t->pids);
		cleanup_free(&t->candidates);
	}
	w->target_count = 0;
	board_resize(&w->board, 0);
}

/* Whether an incident, or what is left to do of one, needs the configuration as it is. */
static bool needs_config(const struct watch *w)
{
	if (watch_in_incident(w))
		return true;
	for (uint32_t i = 0; i < w->crew_size; i++)
		if (w->crew[i].state == CREW_COPYING || w->crew[i].state == CREW_FINISHING)
			return true;
	return false;
}

static int on_reload_time(sd_event_source *source, uint64_t usec, void *user)
{
	struct watch *w = user;
	struct config_error error;
	struct config *fresh = NULL;
	int r;

	(void)usec;
	watch_wake(w);
	if (needs_config(w)) { /* a target keeps the policy with which its incident began */
		(void)sd_event_source_set_time(source, (w->now_ns + 50 * NS_PER_MS) / NS_PER_US);
		(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
		return 0;
	}
	(void)sd_event_source_unref(source);
	r = config_load(w->options, &fresh, &error);
	if (r != 0) {
		tell_reload(w, r > 0 ? error.text : "no memory for a new configuration");
	} else {
		drop_targets(w);
		config_free(w->config);
		w->config = fresh;
		r = start_targets(w);
		if (r < 0)
			tell_error(NULL, "reload", r, "the targets cannot be set up");
		tell_reload(w, NULL);
	}
	(void)sd_notify(0, "READY=1");
	return 0;
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *user)
{
	struct watch *w = user;
	sd_event_source *when = NULL;

	(void)source;
	(void)info;
	watch_wake(w);
	if (sd_event_add_time(w->event, &when, CLOCK_MONOTONIC, w->now_ns / NS_PER_US,
		    TIMER_ACCURACY_US, on_reload_time, w) < 0)
		tell_reload(w, "no memory for a new configuration");
	return 0;
}

/* --- setting up ---------------------------------------------------------------------------- */

static int add_timer(struct watch *w, sd_event_source **source, uint64_t at_ns,
	sd_event_time_handler_t handler, void *user)
{
	int r = sd_event_add_time(w->event, source, CLOCK_MONOTONIC, at_ns / NS_PER_US,
		TIMER_ACCURACY_US, handler, user);

	if (r >= 0)
		r = sd_event_source_set_priority(*source, SD_EVENT_PRIORITY_IMPORTANT);
	return r;
}

static int start_target(struct watch *w, uint32_t i, const struct config_target *config)
{
	struct target *t = &w->target[i];
	int r;

	memset(t, 0, sizeof(*t));
	t->watch = w;
	t->index = i;
	t->config = config;
	t->asked = config;
	t->history = &w->histories[i];
	t->pids = calloc(WATCH_PIDS_MAX, sizeof(*t->pids));
	t->candidates = calloc(WATCH_PIDS_MAX, sizeof(*t->candidates));
	if (!t->pids || !t->candidates)
		return -ENOMEM;
	engine_init(&t->engine, &t->means);
	r = add_timer(w, &t->look, w->now_ns, on_look, t);
	if (r >= 0)
		r = add_timer(w, &t->timer, UINT64_MAX / 2, on_timer, t);
	if (r >= 0)
		r = sd_event_source_set_enabled(t->timer, SD_EVENT_OFF);
	return r;
}

static int start_targets(struct watch *w)
{
	for (uint32_t i = 0; i < w->config->target_count; i++) {
		const struct config_target *config = &w->config->targets[i];
		uint32_t places = containers_places(config);

		for (uint32_t k = 0; k < places && w->target_count < CONFIG_TARGETS_MAX; k++) {
			int r = start_target(w, w->target_count++, config);

			if (r < 0)
				return r;
		}
	}
	board_resize(&w->board, w->target_count);
	for (uint32_t i = 0; i < w->target_count; i++)
		show_target(&w->target[i]);
	return 0;
}

static int add_sources(struct watch *w)
{
	int r = add_timer(w, &w->beat, w->now_ns, on_beat, w);

	if (r >= 0)
		r = sd_event_add_signal(w->event, NULL, SIGTERM, on_stop, w);
	if (r >= 0)
		r = sd_event_add_signal(w->event, NULL, SIGINT, on_stop, w);
	if (r >= 0)
		r = sd_event_add_signal(w->event, NULL, SIGHUP, on_reload, w);
	if (r >= 0)
		r = wiring_start(w);
	if (r >= 0)
		r = sd_event_set_watchdog(w->event, 1);
	return r;
}

int watch_run(struct watch *w)
{
	int r;

	watch_wake(w);
	r = start_guardian(w);
	if (r < 0) {
		tell_error(NULL, "guardian", r, "it cannot be started");
		return EXIT_CODE_FAILED;
	}
	r = crew_start(w);
	if (r >= 0)
		r = add_sources(w);
	if (r >= 0)
		r = start_targets(w);
	if (r < 0) {
		tell_error(NULL, "watch", r, "the loop cannot be set up");
		crew_stop(w);
		return EXIT_CODE_FAILED;
	}
	tell_started(w);
	(void)sd_notifyf(0, "READY=1\nSTATUS=watching %u targets", w->target_count);
	r = sd_event_loop(w->event);
	tell_stopping(w);
	drop_targets(w);
	crew_stop(w);
	return r < 0 ? EXIT_CODE_FAILED : r;
}
