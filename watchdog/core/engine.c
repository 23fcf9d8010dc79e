// SPDX-License-Identifier: Apache-2.0
/*
 * The incident state machine of one target. See engine.h for events and actions.
 *
 *            APPEARED            used >= arm              trips
 *     GONE -----------> WATCHING -----------> ARMED ---------------> HOLDING
 *       ^                 ^  |  <-----------    |                      |  SEIZED
 *       |  VANISHED       |  |   used < disarm  |  VANISHED            v
 *       +-----------------|--+------------------+                  CAPTURING
 *       |                 |                                            |  COPIED, FAILED,
 *       |            TICK |      RELEASED ok             RELEASE       v  deadline
 *       +------------- COOLDOWN <------------ RELEASING <--------------+
 *
 * WATCHING may trip without arming when a single step crosses both thresholds. Every way out of
 * HOLDING and CAPTURING is end_incident(): abort what is still running, release, and RELEASING,
 * which repeats the undo until nothing of it is left. VANISHED and SHUTDOWN during an incident end
 * it in the same way; what they ask for follows once the target is released.
 *
 * The engine decides and nothing else: no clock, no I/O, no memory of its own beyond struct engine,
 * so that a recorded trace replays to the same actions.
 */
#include "core/engine.h"

#include <string.h>

#include "base/checked.h"

#define NAMES(function, type, LIST, COUNT)                                       \
	const char *function(enum type v)                                        \
	{                                                                        \
		static const char *const names[] = {LIST(NAME_OF)};              \
                                                                                 \
		return (unsigned int)v < (unsigned int)(COUNT) ? names[v] : "?"; \
	}
#define NAME_OF(id, name) name,
NAMES(engine_state_name, engine_state_id, ENGINE_STATES, ENGINE_STATE_COUNT)
NAMES(engine_event_name, engine_event_kind, ENGINE_EVENTS, ENGINE_EVENT_COUNT)
NAMES(engine_action_name, engine_action_kind, ENGINE_ACTIONS, ENGINE_ACTION_COUNT)
NAMES(engine_report_name, engine_report, ENGINE_REPORTS, ENGINE_REPORT_COUNT)

/* What a step works on; lives on the stack of engine_step(). */
struct step {
	struct engine *e;
	const struct policy *policy;
	const struct engine_event *event;
	uint64_t now_ns;
	bool killed; /* somebody of the target, since the sample before */
	struct engine_actions *out;
};

static struct engine_action *add(struct step *s, enum engine_action_kind kind)
{
	/* A full list would drop a release: the longest list is shorter, and a test walks them all.
	 */
	struct engine_action *a =
		&s->out->action[s->out->count < ENGINE_ACTIONS_MAX ? s->out->count++
								   : ENGINE_ACTIONS_MAX - 1];

	memset(a, 0, sizeof(*a));
	a->kind = kind;
	return a;
}

static void report(struct step *s, enum engine_report what)
{
	struct engine_action *a = add(s, ENGINE_ACTION_REPORT);

	a->report = what;
	a->reason = s->e->reason;
}

static void report_old_limit(struct step *s, uint64_t old_bytes)
{
	struct engine_action *a = add(s, ENGINE_ACTION_REPORT);

	a->report = ENGINE_REPORT_LIMIT_CHANGED;
	a->reason = s->e->reason;
	a->bytes = old_bytes;
}

static void timer(struct step *s, uint64_t until_ns)
{
	add(s, ENGINE_ACTION_TIMER)->until_ns = until_ns;
}

static void set_state(struct step *s, enum engine_state_id to)
{
	struct engine_action *a = add(s, ENGINE_ACTION_STATE);

	a->from = s->e->state;
	a->to = to;
	a->reason = s->e->reason;
	s->e->state = to;
	s->e->since_ns = s->now_ns;
}

static void shield(struct step *s)
{
	if (s->e->shielded || !s->e->means.shield || s->policy->shield == SHIELD_OFF ||
		s->e->node_short)
		return;
	s->e->shielded = true;
	add(s, ENGINE_ACTION_SHIELD);
}

static void unshield(struct step *s)
{
	if (!s->e->shielded)
		return;
	s->e->shielded = false;
	add(s, ENGINE_ACTION_UNSHIELD);
}

static void arm(struct step *s)
{
	shield(s);
	if (s->policy->brake_bp && s->e->means.brake && !s->e->braked) {
		s->e->braked = true;
		add(s, ENGINE_ACTION_BRAKE);
	}
	set_state(s, ENGINE_ARMED);
	report(s, ENGINE_REPORT_ARMED);
	add(s, ENGINE_ACTION_ON_ARM);
}

static void disarm(struct step *s)
{
	if (s->e->braked) {
		s->e->braked = false;
		add(s, ENGINE_ACTION_UNBRAKE);
	}
	if (s->policy->shield != SHIELD_ALWAYS)
		unshield(s);
}

/* The method to try first, or after the one that failed; HOLD_PTRACE needs nothing and ends the
 * row. */
static enum hold_method next_method(
	const struct engine *e, const struct policy *policy, enum hold_method failed)
{
	bool first = failed == HOLD_AUTO;
	bool automatic = policy->hold == HOLD_AUTO;

	if (e->means.freeze && first && (automatic || policy->hold == HOLD_FREEZE))
		return HOLD_FREEZE;
	if (e->means.stop &&
		(first ? automatic || policy->hold == HOLD_STOP
		       : automatic && failed == HOLD_FREEZE))
		return HOLD_STOP;
	return HOLD_PTRACE;
}

static void kick(struct step *s)
{
	if (!s->e->shielded || s->e->kicks >= ENGINE_KICKS_MAX)
		return;
	s->e->kicks++;
	add(s, ENGINE_ACTION_LEASE)->bytes = ENGINE_KICK_BYTES;
}

/* The bounded raise that the user allowed. */
static void lease(struct step *s)
{
	uint64_t bytes = s->policy->lease_bytes;

	if (s->policy->lease_bp && s->e->limit_bytes != SIZE_UNLIMITED)
		bytes = share_bp(s->e->limit_bytes, s->policy->lease_bp);
	if (bytes)
		add(s, ENGINE_ACTION_LEASE)->bytes = bytes;
}

static void hold(struct step *s, enum hold_method method)
{
	s->e->method = method;
	add(s, ENGINE_ACTION_HOLD)->method = method;
}

static void trip(struct step *s, enum trip_reason reason)
{
	s->e->reason = reason;
	s->e->kicks = 0;
	s->e->captured = false;
	s->e->capture_until_ns = 0;
	s->e->vanished = false;
	shield(s);
	set_state(s, ENGINE_HOLDING);
	hold(s, next_method(s->e, s->policy, HOLD_AUTO));
	timer(s, add_sat(s->now_ns, add_sat(s->policy->hold_timeout_ns, ENGINE_GRACE_NS)));
	s->e->look_after_ns = ENGINE_HOLD_LOOK_NS;
	report(s, ENGINE_REPORT_TRIPPED);
}

/* The one end of an incident, whatever happened: nothing of ours stays in force. */
static void end_incident(struct step *s, bool abort)
{
	struct engine_action *a;
	enum verdict verdict = s->policy->verdict;

	/* Nothing was captured, or nobody is there to see it through: the target just goes on. */
	if (!s->e->captured || s->e->shutdown || s->e->vanished)
		verdict = VERDICT_RESUME;
	if (abort)
		add(s, ENGINE_ACTION_ABORT);
	s->e->shielded = false;
	s->e->braked = false;
	set_state(s, ENGINE_RELEASING);
	timer(s, 0);
	a = add(s, ENGINE_ACTION_RELEASE);
	a->verdict = verdict;
}

/*
 * The tripwire counts the target's own cgroup at that instant; what is read afterwards over all
 * levels, with page cache that is on its way to the disk, may show that it was too early. Then the
 * process has stood still for as long as it takes to read that, and goes on. Where somebody was
 * killed meanwhile, it is his memory that is no longer there, and nothing was early.
 */
static void kernel_stop(struct step *s)
{
	const struct sample *now = &s->event->sample;
	uint64_t trip_bytes = s->e->thresholds.trip_bytes;

	if (s->event->ok && policy_stopped_early(&s->e->thresholds, now))
		add(s, ENGINE_ACTION_CONTINUE)->bytes =
			s->killed ? 0 : sub_floor(trip_bytes, sample_used(now));
	else
		trip(s, TRIP_REASON_TRIPWIRE);
}

static void capture(struct step *s)
{
	if (!s->e->capture_until_ns)
		s->e->capture_until_ns = add_sat(s->now_ns, s->policy->deadline_ns);
	add(s, ENGINE_ACTION_CAPTURE)->until_ns = s->e->capture_until_ns;
}

static void gone(struct step *s)
{
	s->e->seen = false;
	predict_reset(&s->e->predict);
	set_state(s, ENGINE_GONE);
	timer(s, 0);
}

/* Everything off and out, from a state in which the target runs. */
static void leave(struct step *s)
{
	s->e->shielded = false;
	s->e->braked = false;
	add(s, ENGINE_ACTION_RELEASE)->verdict = VERDICT_RESUME;
	gone(s);
}

/* What every sample teaches, in every state. */
static void observe(struct step *s)
{
	struct engine *e = s->e;
	const struct sample *now = &s->event->sample;

	predict_add(&e->predict, now->now_ns, sample_used(now));
	e->rate_bytes_s = predict_rate_bytes_s(&e->predict);
	policy_thresholds(s->policy, now->limit_bytes, s->event->auto_bytes, &e->thresholds);
	e->look_after_ns =
		policy_next_look_ns(&e->thresholds, now, e->rate_bytes_s, e->means.kernel_notice);
	if (e->seen) {
		s->killed = now->oom_kills > e->last.oom_kills;
		if (s->killed)
			report(s, ENGINE_REPORT_LOST);
		if (now->oom_events > e->last.oom_events && now->oom_kills == e->last.oom_kills)
			report(s, ENGINE_REPORT_AT_LIMIT);
		if (now->limit_bytes != e->limit_bytes && !engine_in_incident(e))
			report_old_limit(s, e->limit_bytes);
	}
	if (!engine_in_incident(e))
		e->limit_bytes = now->limit_bytes;
	e->last = *now;
	e->seen = true;
}

static void node_short(struct step *s)
{
	s->e->node_short = !s->event->ok;
	if (!s->e->node_short)
		return;
	if (s->e->shielded)
		report(s, ENGINE_REPORT_NODE_SHORT);
	unshield(s);
}

static void in_watching(struct step *s)
{
	enum trip_reason reason;

	switch (s->event->kind) {
	case ENGINE_EVENT_SAMPLE:
		reason = policy_trips(
			s->policy, &s->e->thresholds, &s->event->sample, s->e->rate_bytes_s);
		if (reason != TRIP_REASON_NONE)
			trip(s, reason);
		else if (sample_used(&s->event->sample) >= s->e->thresholds.arm_bytes)
			arm(s);
		else if (s->policy->shield == SHIELD_ALWAYS)
			shield(s); /* again, once the node is no longer short */
		break;
	case ENGINE_EVENT_KERNEL_STOP:
		kernel_stop(s);
		break;
	case ENGINE_EVENT_VANISHED:
	case ENGINE_EVENT_SHUTDOWN:
		leave(s);
		break;
	case ENGINE_EVENT_NODE_SHORT:
		node_short(s);
		break;
	case ENGINE_EVENT_APPEARED: /* a second look at what we watch already */
	case ENGINE_EVENT_HELD:	    /* outcomes that come late: the incident is over */
	case ENGINE_EVENT_SEIZED:
	case ENGINE_EVENT_COPIED:
	case ENGINE_EVENT_FAILED:
	case ENGINE_EVENT_RELEASED:
	case ENGINE_EVENT_TICK:
	case ENGINE_EVENT_COUNT:
		break;
	}
}

static void in_armed(struct step *s)
{
	enum trip_reason reason;

	switch (s->event->kind) {
	case ENGINE_EVENT_SAMPLE:
		reason = policy_trips(
			s->policy, &s->e->thresholds, &s->event->sample, s->e->rate_bytes_s);
		if (reason != TRIP_REASON_NONE) {
			trip(s, reason);
		} else if (sample_used(&s->event->sample) < s->e->thresholds.disarm_bytes) {
			disarm(s);
			set_state(s, ENGINE_WATCHING);
			report(s, ENGINE_REPORT_DISARMED);
		} else {
			shield(s); /* again, once the node is no longer short */
		}
		break;
	case ENGINE_EVENT_KERNEL_STOP:
		kernel_stop(s);
		break;
	case ENGINE_EVENT_VANISHED:
	case ENGINE_EVENT_SHUTDOWN:
		leave(s);
		break;
	case ENGINE_EVENT_NODE_SHORT:
		node_short(s);
		break;
	case ENGINE_EVENT_APPEARED:
	case ENGINE_EVENT_HELD:
	case ENGINE_EVENT_SEIZED:
	case ENGINE_EVENT_COPIED:
	case ENGINE_EVENT_FAILED:
	case ENGINE_EVENT_RELEASED:
	case ENGINE_EVENT_TICK:
	case ENGINE_EVENT_COUNT:
		break;
	}
}

/* VANISHED and SHUTDOWN during an incident: remembered, and the incident ended. */
static void cut_short(struct step *s)
{
	if (s->event->kind == ENGINE_EVENT_VANISHED)
		s->e->vanished = true;
	else
		s->e->shutdown = true;
	end_incident(s, /* abort= */ true);
}

/* COPIED or FAILED: on to the next process, or out. The target stands still for all of them, so
 * that one deadline is theirs together. */
static void capture_ended(struct step *s)
{
	if (s->event->kind == ENGINE_EVENT_COPIED)
		s->e->captured = true;
	if (s->event->more && (!s->e->capture_until_ns || s->now_ns < s->e->capture_until_ns))
		capture(s);
	else
		end_incident(s, /* abort= */ false);
}

static void in_holding(struct step *s)
{
	switch (s->event->kind) {
	case ENGINE_EVENT_KERNEL_STOP: /* a further process of the same target */
	case ENGINE_EVENT_SAMPLE:
		s->e->look_after_ns = ENGINE_HOLD_LOOK_NS;
		if (s->e->last.under_oom)
			kick(s);
		break;
	case ENGINE_EVENT_HELD:
		if (!s->event->ok) {
			report(s, ENGINE_REPORT_HOLD_FAILED);
			hold(s, next_method(s->e, s->policy, s->e->method));
			break;
		}
		lease(s);
		if (s->e->last.under_oom)
			kick(s);
		capture(s);
		break;
	case ENGINE_EVENT_SEIZED:
		set_state(s, ENGINE_CAPTURING);
		timer(s, add_sat(s->now_ns, add_sat(s->policy->deadline_ns, ENGINE_COPY_GRACE_NS)));
		report(s, ENGINE_REPORT_HELD);
		break;
	case ENGINE_EVENT_COPIED: /* a capture so small that SEIZED was overtaken */
	case ENGINE_EVENT_FAILED:
		capture_ended(s);
		break;
	case ENGINE_EVENT_TICK:
		report(s, ENGINE_REPORT_OVERDUE);
		end_incident(s, /* abort= */ true);
		break;
	case ENGINE_EVENT_VANISHED:
	case ENGINE_EVENT_SHUTDOWN:
		cut_short(s);
		break;
	case ENGINE_EVENT_NODE_SHORT: /* the target stands still: it takes no more memory */
		s->e->node_short = !s->event->ok;
		break;
	case ENGINE_EVENT_APPEARED:
	case ENGINE_EVENT_RELEASED:
	case ENGINE_EVENT_COUNT:
		break;
	}
}

static void in_capturing(struct step *s)
{
	switch (s->event->kind) {
	case ENGINE_EVENT_KERNEL_STOP:
	case ENGINE_EVENT_SAMPLE:
		s->e->look_after_ns = ENGINE_CAPTURE_LOOK_NS;
		if (s->e->last.under_oom)
			kick(s); /* a process that is not being captured waits at the limit */
		break;
	case ENGINE_EVENT_COPIED:
	case ENGINE_EVENT_FAILED:
		capture_ended(s);
		break;
	case ENGINE_EVENT_TICK:
		report(s, ENGINE_REPORT_OVERDUE);
		end_incident(s, /* abort= */ true);
		break;
	case ENGINE_EVENT_VANISHED:
	case ENGINE_EVENT_SHUTDOWN:
		cut_short(s);
		break;
	case ENGINE_EVENT_NODE_SHORT:
		s->e->node_short = !s->event->ok;
		break;
	case ENGINE_EVENT_SEIZED: /* of the next process */
	case ENGINE_EVENT_APPEARED:
	case ENGINE_EVENT_HELD:
	case ENGINE_EVENT_RELEASED:
	case ENGINE_EVENT_COUNT:
		break;
	}
}

/*
 * What ends at once, as there is nobody to capture it or nobody to be captured, would trip again in
 * the same instant: thousands of stops a second, and no time left for anything else.
 */
static uint64_t cooldown_ns(const struct step *s)
{
	return s->e->captured ? s->policy->cooldown_ns
			      : max_u64(s->policy->cooldown_ns, ENGINE_FAILED_NS);
}

static void in_releasing(struct step *s)
{
	switch (s->event->kind) {
	case ENGINE_EVENT_RELEASED:
		if (!s->event->ok) {
			if (s->e->since_ns == s->now_ns)
				report(s, ENGINE_REPORT_UNDO_PENDING);
			timer(s, add_sat(s->now_ns, ENGINE_RETRY_NS));
			break;
		}
		report(s, ENGINE_REPORT_RELEASED);
		if (s->e->vanished || s->e->shutdown) {
			gone(s);
			break;
		}
		set_state(s, ENGINE_COOLDOWN);
		timer(s, add_sat(s->now_ns, cooldown_ns(s)));
		break;
	case ENGINE_EVENT_TICK: {
		struct engine_action *a = add(s, ENGINE_ACTION_RELEASE);

		a->verdict = VERDICT_RESUME; /* the verdict itself was carried out before */
		break;
	}
	case ENGINE_EVENT_VANISHED:
		s->e->vanished = true;
		add(s, ENGINE_ACTION_RELEASE)->verdict = VERDICT_RESUME;
		break;
	case ENGINE_EVENT_SHUTDOWN:
		s->e->shutdown = true;
		add(s, ENGINE_ACTION_RELEASE)->verdict = VERDICT_RESUME;
		break;
	case ENGINE_EVENT_NODE_SHORT:
		s->e->node_short = !s->event->ok;
		break;
	case ENGINE_EVENT_KERNEL_STOP: /* one that was on its way when the release came */
		add(s, ENGINE_ACTION_CONTINUE);
		break;
	case ENGINE_EVENT_SAMPLE:
	case ENGINE_EVENT_APPEARED:
	case ENGINE_EVENT_HELD:
	case ENGINE_EVENT_SEIZED:
	case ENGINE_EVENT_COPIED:
	case ENGINE_EVENT_FAILED:
	case ENGINE_EVENT_COUNT:
		break;
	}
}

static void in_cooldown(struct step *s)
{
	switch (s->event->kind) {
	case ENGINE_EVENT_TICK:
		set_state(s, ENGINE_WATCHING);
		if (s->policy->shield == SHIELD_ALWAYS)
			shield(s);
		break;
	case ENGINE_EVENT_VANISHED:
	case ENGINE_EVENT_SHUTDOWN:
		leave(s);
		break;
	case ENGINE_EVENT_KERNEL_STOP: /* a stop that was on its way: let the process go on */
		add(s, ENGINE_ACTION_CONTINUE);
		break;
	case ENGINE_EVENT_NODE_SHORT:
		node_short(s);
		break;
	case ENGINE_EVENT_SAMPLE:
		s->e->look_after_ns = max_u64(s->e->look_after_ns, ENGINE_COOLDOWN_LOOK_NS);
		break;
	case ENGINE_EVENT_APPEARED:
	case ENGINE_EVENT_HELD:
	case ENGINE_EVENT_SEIZED:
	case ENGINE_EVENT_COPIED:
	case ENGINE_EVENT_FAILED:
	case ENGINE_EVENT_RELEASED:
	case ENGINE_EVENT_COUNT:
		break;
	}
}

static void in_gone(struct step *s)
{
	switch (s->event->kind) {
	case ENGINE_EVENT_APPEARED:
		s->e->vanished = false;
		s->e->shutdown = false;
		s->e->reason = TRIP_REASON_NONE;
		set_state(s, ENGINE_WATCHING);
		if (s->policy->shield == SHIELD_ALWAYS)
			shield(s);
		break;
	case ENGINE_EVENT_NODE_SHORT:
		s->e->node_short = !s->event->ok;
		break;
	case ENGINE_EVENT_KERNEL_STOP: /* nobody is to stay stopped on our account */
		add(s, ENGINE_ACTION_RELEASE)->verdict = VERDICT_RESUME;
		break;
	case ENGINE_EVENT_SAMPLE:
	case ENGINE_EVENT_HELD:
	case ENGINE_EVENT_SEIZED:
	case ENGINE_EVENT_COPIED:
	case ENGINE_EVENT_FAILED:
	case ENGINE_EVENT_RELEASED:
	case ENGINE_EVENT_TICK:
	case ENGINE_EVENT_VANISHED:
	case ENGINE_EVENT_SHUTDOWN:
	case ENGINE_EVENT_COUNT:
		break;
	}
}

void engine_init(struct engine *e, const struct engine_means *means)
{
	memset(e, 0, sizeof(*e));
	e->state = ENGINE_GONE;
	e->means = *means;
	e->look_after_ns = POLICY_LOOK_MAX_NS;
}

bool engine_in_incident(const struct engine *e)
{
	return e->state == ENGINE_HOLDING || e->state == ENGINE_CAPTURING ||
		e->state == ENGINE_RELEASING;
}

void engine_step(struct engine *e, const struct policy *policy, const struct engine_event *event,
	uint64_t now_ns, struct engine_actions *ret)
{
	struct step s = {.e = e, .policy = policy, .event = event, .now_ns = now_ns, .out = ret};

	ret->count = 0;
	if ((event->kind == ENGINE_EVENT_SAMPLE ||
		    (event->kind == ENGINE_EVENT_KERNEL_STOP && event->ok)) &&
		e->state != ENGINE_GONE)
		observe(&s);
	switch (e->state) {
	case ENGINE_WATCHING:
		in_watching(&s);
		break;
	case ENGINE_ARMED:
		in_armed(&s);
		break;
	case ENGINE_HOLDING:
		in_holding(&s);
		break;
	case ENGINE_CAPTURING:
		in_capturing(&s);
		break;
	case ENGINE_RELEASING:
		in_releasing(&s);
		break;
	case ENGINE_COOLDOWN:
		in_cooldown(&s);
		break;
	case ENGINE_GONE:
		in_gone(&s);
		break;
	case ENGINE_STATE_COUNT:
		break;
	}
}
