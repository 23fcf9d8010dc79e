// SPDX-License-Identifier: Apache-2.0
/*
 * Carries out what the engine decides, and returns each outcome to it as an event.
 *
 * Every intervention goes the same way: plan it (which file, which value now), note its undo in the
 * ledger, make it. What fails is taken back at once, so that the ledger never speaks of something
 * half done. Releasing is the reverse, in the ledger's order: limits and memory.high first, then
 * the shield, then whatever keeps the target from running; a limit that cannot be lowered yet stays
 * noted and is tried again, and never keeps the target stopped.
 *
 * Nothing here allocates, forks or waits; files of cgroups are opened and closed. act_pretend() is
 * the same interface for --dry-run: it answers what a host that allows everything would answer.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/str.h"
#include "command.h"
#include "core/rank.h"
#include "os/process.h"
#include "os/stop.h"
#include "watch.h"
#include "wiring.h"

void act_note_at(struct target *t, enum intervention what, uint64_t at_ns, uint64_t used_bytes)
{
	struct incident_record *r = &t->record;

	if (r->timeline_count == TIMELINE_MAX)
		return;
	r->timeline[r->timeline_count++] =
		(struct timeline_entry){.at_ns = at_ns, .used_bytes = used_bytes, .what = what};
}

void act_note(struct target *t, enum intervention what)
{
	act_note_at(t, what, t->watch->now_ns, sample_used(&t->engine.last));
}

/* Notes and makes planned changes; on a failure all of this kind are undone. 0, CGROUP_*, -errno.
 */
static int apply(struct target *t, enum ledger_kind kind, const struct cgroup_change *changes,
	uint32_t count)
{
	struct ledger *l = &t->watch->ledger;
	int r = 0;

	for (uint32_t i = 0; i < count && r == 0; i++) {
		r = ledger_note_file(l, t->index, kind, changes[i].path, changes[i].old_value);
		if (r != 0)
			break;
		if (kind == LEDGER_SHIELD)
			FAULT_POINT(SHIELD_NOTED); // NOLINT(bugprone-branch-clone): not in tests
		else if (kind == LEDGER_LEASE)
			FAULT_POINT(LEASE_NOTED);
		else if (kind == LEDGER_FREEZE)
			FAULT_POINT(HOLD_NOTED);
		r = cgroup_apply(&changes[i]);
	}
	if (r != 0)
		(void)ledger_undo(l, t->index, LEDGER_BIT(kind), NULL);
	return r;
}

static void do_shield(struct target *t)
{
	struct cgroup_change changes[CGROUP_CHANGES_MAX];
	struct stop_result result = {0};
	uint32_t count = 0;
	int r;

	if (cgroup_shields_processes(&t->cgroup)) {
		r = shield_processes(&t->cgroup, &t->watch->ledger, t->index, &result);
		if (r == 0 && result.failed)
			r = result.error;
	} else {
		r = cgroup_plan_shield(&t->cgroup, t->engine.last.level, changes, &count);
		if (r == 0)
			r = apply(t, LEDGER_SHIELD, changes, count);
	}
	FAULT_POINT(SHIELD_ON);
	if (r == 0) {
		t->record.shielded = true;
		act_note(t, INTERVENTION_SHIELD);
	} else if (r != CGROUP_GONE) {
		tell_degraded(t, "shield", r, "the guarantee is best-effort for this incident");
	}
}

static void do_undo(struct target *t, uint32_t kinds, enum intervention what)
{
	int error = 0;

	if (ledger_undo(&t->watch->ledger, t->index, kinds, &error))
		tell_error(t, "undo", error, "an intervention stays in the ledger for now");
	act_note(t, what);
}

static void do_brake(struct target *t)
{
	struct cgroup_change changes[CGROUP_CHANGES_MAX];
	uint64_t bytes = share_bp(t->engine.last.limit_bytes, (uint32_t)t->config->policy.brake_bp);
	uint32_t count;
	int r = cgroup_plan_brake(&t->cgroup, bytes, changes, &count);

	if (r == 0)
		r = apply(t, LEDGER_BRAKE, changes, count);
	if (r == 0)
		act_note(t, INTERVENTION_BRAKE);
	else if (r != CGROUP_GONE)
		tell_degraded(t, "brake", r, "memory.high of the target must be writable");
}

/* As of arm: one of the largest is likely to be the leaker. */
static void largest(const struct target *t, struct rank_top *top)
{
	for (uint32_t i = 0; i < t->candidate_count; i++)
		rank_top_add(top, t->candidates[i].pid, t->candidates[i].rss_bytes);
}

static int do_hold(struct target *t, enum hold_method method)
{
	struct cgroup_change changes[CGROUP_CHANGES_MAX];
	struct stop_result result;
	struct rank_top first = {.max = RANK_TOP_MAX};
	uint32_t count;
	int r = 0;

	switch (method) {
	case HOLD_FREEZE:
		r = cgroup_plan_freeze(&t->cgroup, changes, &count);
		if (r == 0)
			r = apply(t, LEDGER_FREEZE, changes, count);
		break;
	case HOLD_STOP:
		largest(t, &first);
		r = stop_processes(&t->cgroup, t->only, first.pid, first.count, &t->watch->ledger,
			t->index, &result);
		if (r == 0 && result.failed && result.done == 0)
			r = result.error;
		break;
	case HOLD_PTRACE:
		largest(t, &first);
		r = hold_seize(t, &first);
		if (r != 0) /* the last method: the capturer then seizes by itself */
			tell_degraded(t, "hold", r, "only the captured process is stopped");
		r = 0;
		break;
	case HOLD_AUTO:
	case HOLD_COUNT:
		break;
	}
	FAULT_POINT(HOLD_ON);
	t->record.hold = method;
	if (r == 0)
		act_note(t, INTERVENTION_HOLD);
	return r;
}

static void do_lease(struct target *t, uint64_t bytes)
{
	struct cgroup_change changes[CGROUP_CHANGES_MAX];
	uint32_t count;
	int r;

	/* A lease may outlive the incident: what it puts back must not be the brake's value. */
	(void)ledger_undo(&t->watch->ledger, t->index, LEDGER_BIT(LEDGER_BRAKE),
		NULL); /* what fails stays noted: the release tries again */
	r = cgroup_plan_lease(&t->cgroup, t->engine.last.level, bytes, changes, &count);
	if (r == 0)
		r = apply(t, LEDGER_LEASE, changes, count);
	FAULT_POINT(LEASE_ON);
	if (r == 0) {
		t->record.leased = true;
		act_note(t, INTERVENTION_LEASE);
	} else if (r != CGROUP_GONE) {
		tell_degraded(t, "lease", r, "the limit of the target must be writable");
	}
}

/* What each process held at the last look, for the growth by which the leaker is told. */
static uint64_t rss_before(const struct target *t, pid_t pid, uint64_t now)
{
	for (uint32_t i = 0; i < t->candidate_count; i++)
		if (t->candidates[i].pid == pid)
			return t->candidates[i].rss_bytes;
	return now;
}

static uint32_t list_pids(struct target *t)
{
	uint32_t count = 0;
	int r;

	if (t->only) {
		t->pids[0] = t->only;
		return 1;
	}
	r = cgroup_pids(&t->cgroup, t->pids, WATCH_PIDS_MAX, &count);
	return r == 0 || r == -E2BIG ? count : 0;
}

/* Fills t->candidates with the processes that are there and what they hold. */
static void look_at_processes(struct target *t)
{
	static struct rank_candidate fresh[WATCH_PIDS_MAX]; /* the loop is one thread */
	uint32_t listed = list_pids(t);
	uint32_t count = 0;

	for (uint32_t i = 0; i < listed; i++) {
		uint64_t rss;

		if (process_rss(t->pids[i], &rss) != 0)
			continue;
		fresh[count].pid = t->pids[i];
		fresh[count].rss_bytes = rss;
		fresh[count].rss_before_bytes = rss_before(t, t->pids[i], rss);
		count++;
	}
	memcpy(t->candidates, fresh, count * sizeof(fresh[0]));
	t->candidate_count = count;
}

/* Which process has that pid now: 64 captures later it may be another's. 0: it is gone. */
static uint64_t start_time(pid_t pid)
{
	struct procstat stat;

	return process_look(pid, &stat) == 0 ? stat.start_time_ticks : 0;
}

/* Decides which processes this incident captures, and in which order: t->pids, t->pid_count. */
static void choose_processes(struct target *t)
{
	enum rank_reason reason;
	uint32_t count;

	look_at_processes(t);
	count = t->candidate_count;
	t->pid_next = 0;
	t->pid_count = 0;
	t->pid_over = 0;
	while (count) {
		int leaker = rank_leaker(t->candidates, count, &reason);

		t->pids[t->pid_count] = t->candidates[leaker].pid;
		t->start_times[t->pid_count] = start_time(t->pids[t->pid_count]);
		t->pid_count++;
		if (t->config->policy.processes != PROCESSES_ALL)
			break;
		t->candidates[leaker] = t->candidates[--count];
		if (t->pid_count == CAPTURE_ASIDE_MAX) {
			t->pid_over = count;
			break;
		}
	}
}

/* The largest process, for on_arm: nobody has grown since the base line was taken just now. */
static pid_t leaker_pid(const struct target *t)
{
	enum rank_reason reason;

	return t->candidates[rank_leaker(t->candidates, t->candidate_count, &reason)].pid;
}

/* Why the target's next process was not given to a capturer. */
static const char *capture_error(const struct target *t, int error)
{
	if (error == -ESRCH)
		return "the target has no process any more";
	if (error == -ECHILD)
		return "no capturer is running: the last one died, and a new one could not be "
		       "started yet";
	if (error != -EBUSY)
		return "the capturer cannot be reached";
	if (t->pid_next && t->record.hold == HOLD_PTRACE)
		return "the capturer holds another process of the target by ptrace until the "
		       "verdict; CAP_KILL, or its user and group, lets it be held otherwise";
	return "every capturer is busy with an earlier capture";
}

/* Of the processes that were to be captured, those whose turn has not come. */
static uint32_t rest(const struct target *t)
{
	return t->pid_count - t->pid_next + t->pid_over;
}

static void forget_rest(struct target *t)
{
	t->pid_next = t->pid_count;
	t->pid_over = 0;
}

static void tell_not_captured(struct target *t, int error)
{
	pid_t pid = t->pid_next < t->pid_count ? t->pids[t->pid_next] : 0;
	char why[CAPTURER_WHY_MAX];
	struct str s;

	str_init(&s, why, sizeof(why));
	(void)str_add(&s, capture_error(t, error)); /* fits, with what follows */
	if (rest(t) > 1)
		(void)str_addf(&s, "; nor were %u more processes captured", rest(t) - 1);
	tell_capture_failed(t, t->record.incident, pid, why);
	forget_rest(t);
}

/* At the end of an incident: nobody is left out silently. */
static void tell_rest(struct target *t)
{
	char why[CAPTURER_WHY_MAX];
	struct str s;

	if (!t->pid_next || !rest(t))
		return;
	str_init(&s, why, sizeof(why));
	(void)str_addf(&s, "%u more processes: ", rest(t)); /* fits, with what follows */
	if (t->pid_over)
		(void)str_addf(&s, "an incident captures at most %u", CAPTURE_ASIDE_MAX);
	else
		(void)str_add(&s, "the incident ended before their turn came; see deadline");
	tell_capture_failed(t, t->record.incident, 0, why);
	forget_rest(t);
}

static bool do_capture(struct target *t, uint64_t until_ns, struct engine_event *ret_outcome)
{
	int r;

	if (t->pid_next == 0)
		choose_processes(t);
	r = t->pid_next < t->pid_count ? crew_capture(t, until_ns) : -ESRCH;
	FAULT_POINT(CAPTURE_SENT);
	if (r == 0)
		return false;
	tell_not_captured(t, r);
	ret_outcome->kind = ENGINE_EVENT_FAILED;
	ret_outcome->more = false;
	return true;
}

static void kill_all(struct target *t)
{
	uint32_t count;

	/* Linux 6.1's cgroup.kill passes over a process whose first thread has ended: both, then.
	 */
	if (!t->only)
		(void)cgroup_kill(&t->cgroup);
	count = list_pids(t);
	for (uint32_t i = 0; i < count; i++) {
		_cleanup_close_ int fd = -1;

		if (process_open(t->pids[i], 0, &fd) == 0)
			(void)process_signal(fd, SIGKILL); /* gone is what was wanted */
	}
}

static void measure_end(struct target *t)
{
	struct sample s;

	if (!t->open || cgroup_sample(&t->cgroup, t->watch->now_ns, 0, &s) != 0)
		return;
	t->record.headroom_end_bytes = sample_headroom(&s);
	t->record.oom_events_after = s.oom_events;
	t->record.oom_kills_after = s.oom_kills;
}

static bool do_release(struct target *t, enum verdict verdict, struct engine_event *ret_outcome)
{
	struct ledger *l = &t->watch->ledger;
	bool first = t->record.released_ns == 0;
	uint32_t leases = 0;
	uint32_t left;
	int lease_error = 0;
	int error = 0;

	FAULT_POINT(RELEASE_BEFORE);
	if (first) {
		measure_end(t);
		t->record.verdict = verdict;
	}
	/* A release that is repeated keeps what the verdict left in force. */
	if (first || t->engine.vanished || t->engine.shutdown || !engine_in_incident(&t->engine))
		t->leased = verdict == VERDICT_LEASE;
	left = ledger_undo(l, t->index, LEDGER_BIT(LEDGER_BRAKE), &error);
	if (!t->leased)
		leases = ledger_undo(l, t->index, LEDGER_BIT(LEDGER_LEASE), &lease_error);
	if (verdict == VERDICT_KILL) {
		crew_let_go(t, /* kill= */ true);
		hold_kill(t);
		kill_all(t);
	}
	left += ledger_undo(l, t->index, LEDGER_SHIELDS, &error);
	FAULT_POINT(RELEASE_MID);
	left += wiring_release(t); /* before the rest runs: nobody is to be stopped again */
	left += ledger_undo(
		l, t->index, LEDGER_BIT(LEDGER_FREEZE) | LEDGER_BIT(LEDGER_STOP), &error);
	crew_let_go(t, /* kill= */ false);
	hold_release(t);
	FAULT_POINT(RELEASED);
	t->undo_error = left ? error : lease_error;
	/* From the second time on a limit that cannot be lowered yet holds nobody up: the beat goes
	 * on with it, and the target is watched meanwhile. */
	if (first) {
		left += leases;
		t->record.released_ns = t->watch->now_ns;
		act_note(t, INTERVENTION_RELEASE);
		crew_released(t);
		tell_rest(t);
	}
	ret_outcome->kind = ENGINE_EVENT_RELEASED;
	ret_outcome->ok = left == 0;
	return true;
}

/* A new incident's record, at the trip; its timeline began when the target was armed. */
static void begin_record(struct target *t, enum trip_reason reason)
{
	const struct engine *e = &t->engine;
	struct incident_record *r = &t->record;

	(void)strcpy(r->target, t->config->name);	  // NOLINT: same size by type
	(void)strcpy(r->cgroup, t->cgroup.level[0].path); // NOLINT: same size by type
	r->incident = ++t->watch->incidents;
	r->trip_ns = t->watch->now_ns;
	r->limit_bytes = e->last.limit_bytes;
	r->trip_threshold_bytes = e->thresholds.trip_bytes;
	r->used_at_trip_bytes = sample_used(&e->last);
	r->headroom_trip_bytes = sample_headroom(&e->last);
	r->headroom_hold_bytes = SIZE_UNLIMITED; /* not known, until it stands and can be read */
	r->headroom_end_bytes = SIZE_UNLIMITED;
	r->rate_bytes_s = e->rate_bytes_s;
	r->oom_kills_before = e->last.oom_kills;
	r->oom_events_before = e->last.oom_events;
	r->oom_kills_after = r->oom_kills_before;
	r->oom_events_after = r->oom_events_before;
	r->guarantee = t->guarantee.guarantee;
	r->reason = reason;
	r->shielded = ledger_count(&t->watch->ledger, t->index, LEDGER_SHIELDS) > 0;
	t->pid_next = 0;
	act_note(t, INTERVENTION_TRIP);
}

static void do_state(struct target *t, const struct engine_action *action)
{
	if (action->to == ENGINE_HOLDING) {
		FAULT_POINT(TRIP);
		begin_record(t, action->reason);
	} else if (action->to == ENGINE_WATCHING) {
		memset(&t->record, 0, sizeof(t->record)); /* what was told is told */
	} else if (action->to == ENGINE_ARMED) {
		act_note(t, INTERVENTION_ARM);
		look_at_processes(t); /* the base line of growth */
		if (t->candidate_count)
			ending_watch(t, leaker_pid(t));
	} else if (action->to == ENGINE_CAPTURING) {
		struct sample s;

		t->record.held_ns = t->watch->now_ns;
		if (cgroup_sample(&t->cgroup, t->watch->now_ns, 0, &s) == 0)
			t->record.headroom_hold_bytes = sample_headroom(&s);
		act_note(t, INTERVENTION_SEIZED);
	}
}

static void do_report(struct target *t, const struct engine_action *action)
{
	if (action->report == ENGINE_REPORT_LOST && engine_in_incident(&t->engine)) {
		t->record.lost = true;
		act_note(t, INTERVENTION_LOST);
	}
	if (action->report == ENGINE_REPORT_LOST)
		wiring_await_victim(t);
	tell_report(t, action);
	if (action->report == ENGINE_REPORT_LOST)
		t->wiring.victim = 0; /* told; the next one is another */
}

static void set_timer(struct target *t, uint64_t until_ns)
{
	if (!until_ns) {
		(void)sd_event_source_set_enabled(t->timer, SD_EVENT_OFF);
		return;
	}
	(void)sd_event_source_set_time(t->timer, until_ns / NS_PER_US);
	(void)sd_event_source_set_enabled(t->timer, SD_EVENT_ONESHOT);
}

bool act_perform(
	struct target *t, const struct engine_action *action, struct engine_event *ret_outcome)
{
	int r;

	switch (action->kind) {
	case ENGINE_ACTION_STATE:
		do_state(t, action);
		return false;
	case ENGINE_ACTION_SHIELD:
		FAULT_POINT(ARM_BEFORE);
		do_shield(t);
		return false;
	case ENGINE_ACTION_UNSHIELD:
		t->record.shielded = false;
		do_undo(t, LEDGER_SHIELDS, INTERVENTION_UNSHIELD);
		return false;
	case ENGINE_ACTION_BRAKE:
		do_brake(t);
		return false;
	case ENGINE_ACTION_UNBRAKE:
		do_undo(t, LEDGER_BIT(LEDGER_BRAKE), INTERVENTION_RELEASE);
		return false;
	case ENGINE_ACTION_ON_ARM:
		command_start(t, COMMAND_ON_ARM, t->candidate_count ? leaker_pid(t) : 0, NULL);
		return false;
	case ENGINE_ACTION_HOLD:
		r = do_hold(t, action->method);
		t->hold_error = r;
		ret_outcome->kind = ENGINE_EVENT_HELD;
		ret_outcome->ok = r == 0;
		return true;
	case ENGINE_ACTION_LEASE:
		do_lease(t, action->bytes);
		return false;
	case ENGINE_ACTION_CAPTURE:
		return do_capture(t, action->until_ns, ret_outcome);
	case ENGINE_ACTION_ABORT:
		crew_abort(t);
		return false;
	case ENGINE_ACTION_CONTINUE:
		wiring_continue(t, action->bytes);
		return false;
	case ENGINE_ACTION_RELEASE:
		return do_release(t, action->verdict, ret_outcome);
	case ENGINE_ACTION_TIMER:
		set_timer(t, action->until_ns);
		return false;
	case ENGINE_ACTION_REPORT:
		do_report(t, action);
		return false;
	case ENGINE_ACTION_COUNT:
		break;
	}
	return false;
}

bool act_pretend(
	struct target *t, const struct engine_action *action, struct engine_event *ret_outcome)
{
	switch (action->kind) {
	case ENGINE_ACTION_STATE:
	case ENGINE_ACTION_TIMER:
	case ENGINE_ACTION_REPORT:
		return act_perform(t, action, ret_outcome);
	case ENGINE_ACTION_HOLD:
		t->record.hold = action->method;
		ret_outcome->kind = ENGINE_EVENT_HELD;
		ret_outcome->ok = true;
		return true;
	case ENGINE_ACTION_CAPTURE:
		ret_outcome->kind = ENGINE_EVENT_COPIED;
		ret_outcome->more = false;
		return true;
	case ENGINE_ACTION_RELEASE:
		measure_end(t);
		t->record.verdict = action->verdict;
		t->record.released_ns = t->watch->now_ns;
		ret_outcome->kind = ENGINE_EVENT_RELEASED;
		ret_outcome->ok = true;
		return true;
	case ENGINE_ACTION_SHIELD:
	case ENGINE_ACTION_UNSHIELD:
	case ENGINE_ACTION_BRAKE:
	case ENGINE_ACTION_UNBRAKE:
	case ENGINE_ACTION_ON_ARM:
	case ENGINE_ACTION_LEASE:
	case ENGINE_ACTION_ABORT:
	case ENGINE_ACTION_CONTINUE:
	case ENGINE_ACTION_COUNT:
		break;
	}
	return false;
}
