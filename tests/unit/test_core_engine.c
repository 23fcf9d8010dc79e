// SPDX-License-Identifier: Apache-2.0
/*
 * The incident state machine: what every state makes of every event, and the rules that hold across
 * them.
 *
 * The table next_state says where each (state, event) pair leads; a new state or event without a
 * row fails the walk. Each state is reached by the events that lead there in life, never by writing
 * into struct engine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/checked.h"
#include "core/engine.h"

#define MIB UINT64_C(1048576)
#define LIMIT (1000 * MIB)

#define W ENGINE_WATCHING
#define A ENGINE_ARMED
#define H ENGINE_HOLDING
#define C ENGINE_CAPTURING
#define R ENGINE_RELEASING
#define D ENGINE_COOLDOWN
#define G ENGINE_GONE

/* Where a pair leads with .ok true, .more false and a sample far below every threshold. */
static const enum engine_state_id next_state[ENGINE_EVENT_COUNT][ENGINE_STATE_COUNT] = {
	[ENGINE_EVENT_APPEARED] = {W, A, H, C, R, D, W},
	[ENGINE_EVENT_SAMPLE] = {W, W, H, C, R, D, G},
	[ENGINE_EVENT_KERNEL_STOP] = {W, A, H, C, R, D, G}, /* too early, as the sample shows */
	[ENGINE_EVENT_HELD] = {W, A, H, C, R, D, G},
	[ENGINE_EVENT_SEIZED] = {W, A, C, C, R, D, G},
	[ENGINE_EVENT_COPIED] = {W, A, R, R, R, D, G},
	[ENGINE_EVENT_FAILED] = {W, A, R, R, R, D, G},
	[ENGINE_EVENT_RELEASED] = {W, A, H, C, D, D, G},
	[ENGINE_EVENT_TICK] = {W, A, R, R, R, W, G},
	[ENGINE_EVENT_VANISHED] = {G, G, R, R, R, G, G},
	[ENGINE_EVENT_NODE_SHORT] = {W, A, H, C, R, D, G},
	[ENGINE_EVENT_SHUTDOWN] = {G, G, R, R, R, G, G},
};

struct rig {
	struct engine engine;
	struct policy policy;
	struct engine_means means;
	struct engine_actions actions; /* of the last step */
	uint64_t now_ns;
};

static void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	r->policy = (struct policy){
		.trip_kind = TRIP_AUTO,
		.arm_bp = 8000,
		.brake_bp = 9500,
		.hold_timeout_ns = 2 * NS_PER_S,
		.deadline_ns = 30 * NS_PER_S,
		.cooldown_ns = 60 * NS_PER_S,
		.shield = SHIELD_ARMED,
		.hold = HOLD_AUTO,
		.verdict = VERDICT_OOM,
	};
	r->means =
		(struct engine_means){.shield = true, .brake = true, .freeze = true, .stop = true};
	r->now_ns = 10 * NS_PER_S;
	engine_init(&r->engine, &r->means);
}

static void step(struct rig *r, const struct engine_event *event)
{
	memset(&r->actions, 0xa5, sizeof(r->actions));
	engine_step(&r->engine, &r->policy, event, r->now_ns, &r->actions);
	assert_true(r->actions.count <= ENGINE_ACTIONS_MAX);
	for (uint32_t i = 0; i < r->actions.count; i++)
		assert_true((unsigned int)r->actions.action[i].kind < ENGINE_ACTION_COUNT);
	assert_true((unsigned int)r->engine.state < ENGINE_STATE_COUNT);
}

static void send(struct rig *r, enum engine_event_kind kind, bool ok)
{
	struct engine_event event = {.kind = kind, .ok = ok};

	r->now_ns += NS_PER_MS;
	step(r, &event);
}

static struct engine_event sample_of(struct rig *r, uint64_t used_bytes)
{
	struct engine_event event = {.kind = ENGINE_EVENT_SAMPLE, .auto_bytes = SIZE_UNLIMITED};

	r->now_ns += 100 * NS_PER_MS;
	event.sample.now_ns = r->now_ns;
	event.sample.current_bytes = used_bytes;
	event.sample.limit_bytes = LIMIT;
	return event;
}

static void sample(struct rig *r, uint64_t used_bytes)
{
	struct engine_event event = sample_of(r, used_bytes);

	step(r, &event);
}

static const struct engine_action *find_from(
	const struct rig *r, enum engine_action_kind kind, uint32_t from)
{
	for (uint32_t i = from; i < r->actions.count; i++)
		if (r->actions.action[i].kind == kind)
			return &r->actions.action[i];
	return NULL;
}

static const struct engine_action *find(const struct rig *r, enum engine_action_kind kind)
{
	return find_from(r, kind, 0);
}

static bool reported(const struct rig *r, enum engine_report report)
{
	for (uint32_t i = 0; i < r->actions.count; i++)
		if (r->actions.action[i].kind == ENGINE_ACTION_REPORT &&
			r->actions.action[i].report == report)
			return true;
	return false;
}

/* Leads a fresh engine into a state the way life does. */
static void reach(struct rig *r, enum engine_state_id state)
{
	if (state != ENGINE_GONE) {
		send(r, ENGINE_EVENT_APPEARED, true);
		sample(r, 100 * MIB);
	}
	if (state != ENGINE_GONE && state != ENGINE_WATCHING)
		sample(r, 850 * MIB);
	if (state == ENGINE_HOLDING || state == ENGINE_CAPTURING || state == ENGINE_RELEASING ||
		state == ENGINE_COOLDOWN) {
		sample(r, 950 * MIB);
		if (state != ENGINE_HOLDING) {
			send(r, ENGINE_EVENT_HELD, true);
			send(r, ENGINE_EVENT_SEIZED, true);
		}
	}
	if (state == ENGINE_RELEASING || state == ENGINE_COOLDOWN)
		send(r, ENGINE_EVENT_COPIED, true);
	if (state == ENGINE_COOLDOWN)
		send(r, ENGINE_EVENT_RELEASED, true);
	assert_int_equal(state, r->engine.state);
}

/* --- every pair ---------------------------------------------------------------------------- */

static void test_next_state(void **state)
{
	(void)state;
	for (int s = 0; s < ENGINE_STATE_COUNT; s++) {
		for (int e = 0; e < ENGINE_EVENT_COUNT; e++) {
			struct rig r;
			struct engine_event event;

			rig_init(&r);
			reach(&r, (enum engine_state_id)s);
			event = sample_of(&r, 100 * MIB);
			event.kind = (enum engine_event_kind)e;
			event.ok = true;
			step(&r, &event);
			if (r.engine.state != next_state[e][s])
				fail_msg("%s on %s leads to %s, not to %s",
					engine_event_name(event.kind),
					engine_state_name((enum engine_state_id)s),
					engine_state_name(r.engine.state),
					engine_state_name(next_state[e][s]));
		}
	}
}

/* A change of state is always told, with where it came from, and only a change is. */
static void assert_state_told(const struct rig *r, enum engine_state_id before)
{
	enum engine_state_id at = before;

	for (uint32_t i = 0; i < r->actions.count; i++) {
		const struct engine_action *a = &r->actions.action[i];

		if (a->kind != ENGINE_ACTION_STATE)
			continue;
		assert_int_equal(at, a->from);
		assert_int_not_equal(a->from, a->to);
		at = a->to;
	}
	assert_int_equal(at, r->engine.state);
}

static void assert_pair(const struct rig *reached, const struct engine_event *event)
{
	struct rig r = *reached;
	struct rig again = *reached;
	enum engine_state_id before = r.engine.state;
	bool held = before == ENGINE_HOLDING || before == ENGINE_CAPTURING;

	step(&r, event);
	step(&again, event);
	assert_memory_equal(&r.actions, &again.actions, sizeof(r.actions));
	assert_memory_equal(&r.engine, &again.engine, sizeof(r.engine));
	assert_state_told(&r, before);
	/* Nothing but a release leads out of a hold. */
	if (held && r.engine.state != ENGINE_HOLDING && r.engine.state != ENGINE_CAPTURING) {
		assert_int_equal(ENGINE_RELEASING, r.engine.state);
		assert_non_null(find(&r, ENGINE_ACTION_RELEASE));
	}
	if (held &&
		(event->kind == ENGINE_EVENT_TICK || event->kind == ENGINE_EVENT_VANISHED ||
			event->kind == ENGINE_EVENT_SHUTDOWN)) {
		assert_non_null(find(&r, ENGINE_ACTION_ABORT));
		assert_non_null(find(&r, ENGINE_ACTION_RELEASE));
	}
	if (held && (event->kind == ENGINE_EVENT_COPIED || event->kind == ENGINE_EVENT_FAILED)) {
		assert_null(find(&r, ENGINE_ACTION_ABORT));
		assert_true(event->more == (find(&r, ENGINE_ACTION_CAPTURE) != NULL));
		assert_true(event->more == (find(&r, ENGINE_ACTION_RELEASE) == NULL));
	}
	if (before == ENGINE_COOLDOWN)
		assert_null(find(&r, ENGINE_ACTION_HOLD));
}

/* Every pair with everything that an event may carry, under every shield, verdict and reach. */
static void test_every_pair(void **state)
{
	static const uint64_t used[] = {0, 100 * MIB, 850 * MIB, 950 * MIB, LIMIT, UINT64_MAX};
	uint32_t walked = 0;

	(void)state;
	for (unsigned int variant = 0; variant < 24; variant++) {
		for (int s = 0; s < ENGINE_STATE_COUNT; s++) {
			struct rig r;

			rig_init(&r);
			r.policy.shield = (enum shield_mode)(variant % SHIELD_COUNT);
			r.policy.verdict = (enum verdict)(variant % VERDICT_COUNT);
			r.policy.lease_bytes = variant & 1 ? 64 * MIB : 0;
			r.policy.brake_bp = variant & 2 ? 9500 : 0;
			r.means.shield = variant & 4;
			engine_init(&r.engine, &r.means);
			reach(&r, (enum engine_state_id)s);
			for (unsigned int n = 0; n < ENGINE_EVENT_COUNT * 8 * ARRAY_LEN(used);
				n++) {
				struct rig from = r;
				struct engine_event e =
					sample_of(&from, used[n / 8 % ARRAY_LEN(used)]);

				e.kind = (enum engine_event_kind)(n / 8 / ARRAY_LEN(used));
				e.ok = n & 1;
				e.more = n & 2;
				e.sample.under_oom = n & 4;
				e.sample.oom_kills = n % 3;
				e.sample.oom_events = n % 5;
				assert_pair(&from, &e);
				walked++;
			}
		}
	}
	assert_int_equal(24 * ENGINE_STATE_COUNT * ENGINE_EVENT_COUNT * 48, walked);
}

static void test_unknown_event(void **state)
{
	(void)state;
	for (int s = 0; s < ENGINE_STATE_COUNT; s++) {
		struct rig r;

		rig_init(&r);
		reach(&r, (enum engine_state_id)s);
		send(&r, ENGINE_EVENT_COUNT, true);
		assert_int_equal(0, r.actions.count);
		assert_int_equal(s, r.engine.state);
	}
}

static void test_names(void **state)
{
	(void)state;
	for (int i = 0; i < ENGINE_STATE_COUNT; i++)
		assert_string_not_equal("?", engine_state_name((enum engine_state_id)i));
	for (int i = 0; i < ENGINE_EVENT_COUNT; i++)
		assert_string_not_equal("?", engine_event_name((enum engine_event_kind)i));
	for (int i = 0; i < ENGINE_ACTION_COUNT; i++)
		assert_string_not_equal("?", engine_action_name((enum engine_action_kind)i));
	for (int i = 0; i < ENGINE_REPORT_COUNT; i++)
		assert_string_not_equal("?", engine_report_name((enum engine_report)i));
	assert_string_equal("?", engine_state_name(ENGINE_STATE_COUNT));
	assert_string_equal("?", engine_event_name((enum engine_event_kind) - 1));
	assert_string_equal("holding", engine_state_name(ENGINE_HOLDING));
	assert_string_equal("kernel-stop", engine_event_name(ENGINE_EVENT_KERNEL_STOP));
}

/* --- arming -------------------------------------------------------------------------------- */

static void test_arm_and_disarm(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	reach(&r, ENGINE_ARMED);
	assert_non_null(find(&r, ENGINE_ACTION_SHIELD));
	assert_non_null(find(&r, ENGINE_ACTION_BRAKE));
	assert_non_null(find(&r, ENGINE_ACTION_ON_ARM));
	assert_true(reported(&r, ENGINE_REPORT_ARMED));
	/* Between disarm (75%) and arm (80%) nothing happens. */
	sample(&r, 760 * MIB);
	assert_int_equal(0, r.actions.count);
	sample(&r, 749 * MIB);
	assert_int_equal(ENGINE_WATCHING, r.engine.state);
	assert_non_null(find(&r, ENGINE_ACTION_UNSHIELD));
	assert_non_null(find(&r, ENGINE_ACTION_UNBRAKE));
	assert_true(reported(&r, ENGINE_REPORT_DISARMED));
}

static void test_shield_modes(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.policy.shield = SHIELD_ALWAYS;
	send(&r, ENGINE_EVENT_APPEARED, true);
	assert_non_null(find(&r, ENGINE_ACTION_SHIELD));
	sample(&r, 850 * MIB);
	assert_null(find(&r, ENGINE_ACTION_SHIELD)); /* up already */
	sample(&r, 100 * MIB);
	assert_null(find(&r, ENGINE_ACTION_UNSHIELD));

	rig_init(&r);
	r.policy.shield = SHIELD_OFF;
	reach(&r, ENGINE_ARMED);
	assert_null(find(&r, ENGINE_ACTION_SHIELD));

	rig_init(&r);
	r.engine.means.shield = false;
	reach(&r, ENGINE_ARMED);
	assert_null(find(&r, ENGINE_ACTION_SHIELD));
}

static void test_node_short(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	reach(&r, ENGINE_ARMED);
	send(&r, ENGINE_EVENT_NODE_SHORT, false);
	assert_non_null(find(&r, ENGINE_ACTION_UNSHIELD));
	assert_true(reported(&r, ENGINE_REPORT_NODE_SHORT));
	send(&r, ENGINE_EVENT_NODE_SHORT, false); /* said once */
	assert_int_equal(0, r.actions.count);
	sample(&r, 850 * MIB);
	assert_null(find(&r, ENGINE_ACTION_SHIELD));
	send(&r, ENGINE_EVENT_NODE_SHORT, true);
	sample(&r, 850 * MIB);
	assert_non_null(find(&r, ENGINE_ACTION_SHIELD));
}

/* A shield that is to stand always stands again once the node is at ease, armed or not. */
static void test_node_short_always(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.policy.shield = SHIELD_ALWAYS;
	reach(&r, ENGINE_WATCHING);
	send(&r, ENGINE_EVENT_NODE_SHORT, false);
	assert_non_null(find(&r, ENGINE_ACTION_UNSHIELD));
	sample(&r, 100 * MIB);
	assert_null(find(&r, ENGINE_ACTION_SHIELD));
	send(&r, ENGINE_EVENT_NODE_SHORT, true);
	sample(&r, 100 * MIB);
	assert_non_null(find(&r, ENGINE_ACTION_SHIELD));
}

/* --- holding ------------------------------------------------------------------------------- */

static enum hold_method next_hold(struct rig *r)
{
	const struct engine_action *a;

	send(r, ENGINE_EVENT_HELD, false);
	assert_true(reported(r, ENGINE_REPORT_HOLD_FAILED));
	assert_int_equal(ENGINE_HOLDING, r->engine.state);
	a = find(r, ENGINE_ACTION_HOLD);
	assert_non_null(a);
	assert_int_equal(a->method, r->engine.method);
	return a->method;
}

static enum hold_method first_hold(
	struct rig *r, enum hold_method wanted, bool can_freeze, bool can_stop)
{
	const struct engine_action *a;

	rig_init(r);
	r->policy.hold = wanted;
	r->engine.means.freeze = can_freeze;
	r->engine.means.stop = can_stop;
	reach(r, ENGINE_HOLDING);
	a = find(r, ENGINE_ACTION_HOLD);
	assert_non_null(a);
	return a->method;
}

static void test_hold_fails_over(void **state)
{
	struct rig r;

	(void)state;
	assert_int_equal(HOLD_FREEZE, first_hold(&r, HOLD_AUTO, true, true));
	assert_int_equal(HOLD_STOP, next_hold(&r));
	assert_int_equal(HOLD_PTRACE, next_hold(&r));
	assert_int_equal(HOLD_PTRACE, next_hold(&r));
	assert_int_equal(HOLD_STOP, first_hold(&r, HOLD_AUTO, false, true));
	assert_int_equal(HOLD_PTRACE, next_hold(&r));
	assert_int_equal(HOLD_FREEZE, first_hold(&r, HOLD_AUTO, true, false));
	assert_int_equal(HOLD_PTRACE, next_hold(&r));
	assert_int_equal(HOLD_PTRACE, first_hold(&r, HOLD_AUTO, false, false));
	/* What the user named is tried, and then only what needs nothing. */
	assert_int_equal(HOLD_FREEZE, first_hold(&r, HOLD_FREEZE, true, true));
	assert_int_equal(HOLD_PTRACE, next_hold(&r));
	assert_int_equal(HOLD_STOP, first_hold(&r, HOLD_STOP, true, true));
	assert_int_equal(HOLD_PTRACE, next_hold(&r));
	assert_int_equal(HOLD_PTRACE, first_hold(&r, HOLD_PTRACE, true, true));
	assert_int_equal(HOLD_PTRACE, first_hold(&r, HOLD_FREEZE, false, true));
}

static uint32_t count_leases(const struct rig *r, uint64_t bytes)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < r->actions.count; i++)
		count += r->actions.action[i].kind == ENGINE_ACTION_LEASE &&
			r->actions.action[i].bytes == bytes;
	return count;
}

static void test_kicks(void **state)
{
	struct rig r;
	uint32_t kicks = 0;

	(void)state;
	rig_init(&r);
	reach(&r, ENGINE_HOLDING);
	for (int i = 0; i < 20; i++) {
		struct engine_event e = sample_of(&r, LIMIT);

		e.sample.under_oom = true;
		step(&r, &e);
		kicks += count_leases(&r, ENGINE_KICK_BYTES);
	}
	assert_int_equal(ENGINE_KICKS_MAX, kicks);
	/* The bound is of the hold, capture included. */
	send(&r, ENGINE_EVENT_HELD, true);
	assert_int_equal(0, count_leases(&r, ENGINE_KICK_BYTES));
	assert_non_null(find(&r, ENGINE_ACTION_CAPTURE));
	send(&r, ENGINE_EVENT_SEIZED, true);
	for (int i = 0; i < 3; i++) {
		struct engine_event e = sample_of(&r, LIMIT);

		e.sample.under_oom = true;
		step(&r, &e);
		assert_null(find(&r, ENGINE_ACTION_LEASE));
	}
	/* Without a shield nobody waits at the limit: no kick. */
	rig_init(&r);
	r.policy.shield = SHIELD_OFF;
	reach(&r, ENGINE_HOLDING);
	for (int i = 0; i < 3; i++) {
		struct engine_event e = sample_of(&r, LIMIT);

		e.sample.under_oom = true;
		step(&r, &e);
		assert_null(find(&r, ENGINE_ACTION_LEASE));
	}
}

static void test_held_while_under_oom(void **state)
{
	struct rig r;
	struct engine_event e;

	(void)state;
	rig_init(&r);
	reach(&r, ENGINE_ARMED);
	e = sample_of(&r, LIMIT);
	e.sample.under_oom = true;
	step(&r, &e);
	assert_int_equal(ENGINE_HOLDING, r.engine.state);
	assert_int_equal(TRIP_REASON_LIMIT, r.engine.reason);
	send(&r, ENGINE_EVENT_HELD, true);
	assert_int_equal(1, count_leases(&r, ENGINE_KICK_BYTES));
}

/* The bounded raise of the limit, as bytes or as a share of the limit, comes before the capture. */
static void test_lease(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	r.policy.lease_bytes = 64 * MIB;
	reach(&r, ENGINE_HOLDING);
	send(&r, ENGINE_EVENT_HELD, true);
	assert_int_equal(1, count_leases(&r, 64 * MIB));
	assert_true(find(&r, ENGINE_ACTION_LEASE) < find(&r, ENGINE_ACTION_CAPTURE));

	rig_init(&r);
	r.policy.lease_bp = 2500;
	reach(&r, ENGINE_HOLDING);
	send(&r, ENGINE_EVENT_HELD, true);
	assert_int_equal(1, count_leases(&r, 250 * MIB));

	rig_init(&r);
	reach(&r, ENGINE_HOLDING);
	send(&r, ENGINE_EVENT_HELD, true);
	assert_null(find(&r, ENGINE_ACTION_LEASE));
}

static void test_deadlines(void **state)
{
	struct rig r;
	const struct engine_action *a;

	(void)state;
	rig_init(&r);
	reach(&r, ENGINE_HOLDING);
	a = find(&r, ENGINE_ACTION_TIMER);
	assert_non_null(a);
	assert_int_equal(r.now_ns + r.policy.hold_timeout_ns + ENGINE_GRACE_NS, a->until_ns);
	send(&r, ENGINE_EVENT_HELD, true);
	a = find(&r, ENGINE_ACTION_CAPTURE);
	assert_non_null(a);
	assert_int_equal(r.now_ns + r.policy.deadline_ns, a->until_ns);
	send(&r, ENGINE_EVENT_SEIZED, true);
	assert_true(reported(&r, ENGINE_REPORT_HELD));
	a = find(&r, ENGINE_ACTION_TIMER);
	assert_non_null(a);
	assert_int_equal(r.now_ns + r.policy.deadline_ns + ENGINE_COPY_GRACE_NS, a->until_ns);
	send(&r, ENGINE_EVENT_TICK, true);
	assert_true(reported(&r, ENGINE_REPORT_OVERDUE));
	a = find(&r, ENGINE_ACTION_TIMER);
	assert_non_null(a);
	assert_int_equal(0, a->until_ns); /* off */
	/* A deadline without end does not wrap to the past. */
	rig_init(&r);
	r.policy.hold_timeout_ns = UINT64_MAX;
	reach(&r, ENGINE_HOLDING);
	assert_int_equal(UINT64_MAX, find(&r, ENGINE_ACTION_TIMER)->until_ns);
}

/* --- the end ------------------------------------------------------------------------------- */

static enum verdict end_with(struct rig *r, const struct engine_event *event)
{
	const struct engine_action *a;

	step(r, event);
	a = find(r, ENGINE_ACTION_RELEASE);
	assert_non_null(a);
	assert_null(find_from(
		r, ENGINE_ACTION_RELEASE, (uint32_t)(a - r->actions.action) + 1)); /* one only */
	return a->verdict;
}

static void test_verdicts(void **state)
{
	static const struct {
		enum engine_event_kind end;
		bool carried_out;
	} ends[] = {
		{ENGINE_EVENT_COPIED, true},
		{ENGINE_EVENT_FAILED, false},
		{ENGINE_EVENT_TICK, false},
		{ENGINE_EVENT_VANISHED, false},
		{ENGINE_EVENT_SHUTDOWN, false},
	};

	(void)state;
	for (int v = 0; v < VERDICT_COUNT; v++) {
		for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
			for (int s = ENGINE_HOLDING; s <= ENGINE_CAPTURING; s++) {
				struct engine_event e = {.kind = ends[i].end};
				struct rig r;

				rig_init(&r);
				r.policy.verdict = (enum verdict)v;
				reach(&r, (enum engine_state_id)s);
				assert_int_equal(
					ends[i].carried_out ? v : VERDICT_RESUME, end_with(&r, &e));
			}
		}
	}
}

/* One of several processes was captured before the rest failed: the verdict holds. But not where
 * the target is gone, or we are asked to go, by then. */
static void test_verdict_after_a_part(void **state)
{
	struct engine_event more = {.kind = ENGINE_EVENT_COPIED, .more = true};
	struct engine_event failed = {.kind = ENGINE_EVENT_FAILED};
	struct engine_event overdue = {.kind = ENGINE_EVENT_TICK};
	struct engine_event shutdown = {.kind = ENGINE_EVENT_SHUTDOWN};
	struct engine_event vanished = {.kind = ENGINE_EVENT_VANISHED};
	const struct engine_event *const ends[] = {&failed, &overdue, &shutdown, &vanished};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct rig r;

		rig_init(&r);
		r.policy.verdict = VERDICT_KILL;
		reach(&r, ENGINE_CAPTURING);
		step(&r, &more);
		assert_non_null(find(&r, ENGINE_ACTION_CAPTURE));
		assert_int_equal(i < 2 ? VERDICT_KILL : VERDICT_RESUME, end_with(&r, ends[i]));
	}
}

/* The target stands still for all of its processes: they share one deadline. */
static void test_deadline_of_several(void **state)
{
	struct engine_event more = {.kind = ENGINE_EVENT_COPIED, .more = true};
	struct rig r;
	uint64_t until_ns;

	(void)state;
	rig_init(&r);
	reach(&r, ENGINE_HOLDING);
	send(&r, ENGINE_EVENT_HELD, true);
	until_ns = find(&r, ENGINE_ACTION_CAPTURE)->until_ns;
	assert_int_equal(r.now_ns + r.policy.deadline_ns, until_ns);
	send(&r, ENGINE_EVENT_SEIZED, true);
	r.now_ns = until_ns - 1;
	step(&r, &more);
	assert_int_equal(until_ns, find(&r, ENGINE_ACTION_CAPTURE)->until_ns);
	r.now_ns = until_ns;
	step(&r, &more);
	assert_null(find(&r, ENGINE_ACTION_CAPTURE));
	assert_non_null(find(&r, ENGINE_ACTION_RELEASE));
}

/* What one incident captured says nothing about the next one. */
static void test_next_incident_is_fresh(void **state)
{
	struct rig r;
	struct engine_event failed = {.kind = ENGINE_EVENT_FAILED};

	(void)state;
	rig_init(&r);
	r.policy.verdict = VERDICT_KILL;
	reach(&r, ENGINE_COOLDOWN);
	send(&r, ENGINE_EVENT_TICK, true);
	sample(&r, 950 * MIB);
	assert_int_equal(ENGINE_HOLDING, r.engine.state);
	assert_non_null(find(&r, ENGINE_ACTION_SHIELD)); /* the release took the last one down */
	assert_int_equal(VERDICT_RESUME, end_with(&r, &failed));
}

static void test_undo_is_repeated(void **state)
{
	struct rig r;
	struct engine_event e = {.kind = ENGINE_EVENT_COPIED};
	struct engine_event outcome = {.kind = ENGINE_EVENT_RELEASED, .ok = false};
	const struct engine_action *a;

	(void)state;
	rig_init(&r);
	r.policy.verdict = VERDICT_KILL;
	reach(&r, ENGINE_CAPTURING);
	assert_int_equal(VERDICT_KILL, end_with(&r, &e));
	step(&r, &outcome); /* in the same wakeup */
	assert_true(reported(&r, ENGINE_REPORT_UNDO_PENDING));
	for (int i = 0; i < 5; i++) {
		a = find(&r, ENGINE_ACTION_TIMER);
		assert_non_null(a);
		assert_int_equal(r.now_ns + ENGINE_RETRY_NS, a->until_ns);
		r.now_ns = a->until_ns;
		e.kind = ENGINE_EVENT_TICK;
		assert_int_equal(VERDICT_RESUME, end_with(&r, &e)); /* killed once */
		step(&r, &outcome);
		assert_false(reported(&r, ENGINE_REPORT_UNDO_PENDING));
	}
	send(&r, ENGINE_EVENT_RELEASED, true);
	assert_true(reported(&r, ENGINE_REPORT_RELEASED));
	assert_int_equal(ENGINE_COOLDOWN, r.engine.state);
	a = find(&r, ENGINE_ACTION_TIMER);
	assert_non_null(a);
	assert_int_equal(r.now_ns + r.policy.cooldown_ns, a->until_ns);
}

static void test_gone_after_release(void **state)
{
	static const enum engine_event_kind ends[] = {ENGINE_EVENT_VANISHED, ENGINE_EVENT_SHUTDOWN};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		for (int s = ENGINE_HOLDING; s <= ENGINE_RELEASING; s++) {
			struct rig r;

			rig_init(&r);
			reach(&r, (enum engine_state_id)s);
			send(&r, ends[i], true);
			assert_int_equal(ENGINE_RELEASING, r.engine.state);
			send(&r, ENGINE_EVENT_RELEASED, false);
			assert_int_equal(ENGINE_RELEASING, r.engine.state);
			send(&r, ENGINE_EVENT_RELEASED, true);
			assert_int_equal(ENGINE_GONE, r.engine.state);
			/* And it may come back. */
			send(&r, ENGINE_EVENT_APPEARED, true);
			assert_int_equal(ENGINE_WATCHING, r.engine.state);
			sample(&r, 950 * MIB);
			send(&r, ENGINE_EVENT_COPIED, true);
			send(&r, ENGINE_EVENT_RELEASED, true);
			assert_int_equal(ENGINE_COOLDOWN, r.engine.state);
		}
	}
}

static void test_cooldown_has_no_trip(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	reach(&r, ENGINE_COOLDOWN);
	for (int i = 0; i < 10; i++) {
		struct engine_event e = sample_of(&r, LIMIT);

		e.sample.under_oom = true;
		step(&r, &e);
		assert_int_equal(ENGINE_COOLDOWN, r.engine.state);
		assert_null(find(&r, ENGINE_ACTION_HOLD));
		assert_null(find(&r, ENGINE_ACTION_SHIELD));
	}
	send(&r, ENGINE_EVENT_KERNEL_STOP, true); /* nobody stays stopped for it */
	assert_non_null(find(&r, ENGINE_ACTION_CONTINUE));
	assert_int_equal(ENGINE_COOLDOWN, r.engine.state);
	send(&r, ENGINE_EVENT_TICK, true);
	assert_int_equal(ENGINE_WATCHING, r.engine.state);
	sample(&r, 950 * MIB);
	assert_int_equal(ENGINE_HOLDING, r.engine.state);
}

/* --- what samples tell --------------------------------------------------------------------- */

static void test_reports_of_samples(void **state)
{
	struct rig r;
	struct engine_event e;

	(void)state;
	rig_init(&r);
	send(&r, ENGINE_EVENT_APPEARED, true);
	e = sample_of(&r, 100 * MIB);
	e.sample.oom_kills = 7; /* of a time before us */
	e.sample.oom_events = 9;
	step(&r, &e);
	assert_int_equal(0, r.actions.count);
	e.sample.oom_events++;
	step(&r, &e);
	assert_true(reported(&r, ENGINE_REPORT_AT_LIMIT));
	assert_false(reported(&r, ENGINE_REPORT_LOST));
	e.sample.oom_events++;
	e.sample.oom_kills++;
	step(&r, &e);
	assert_true(reported(&r, ENGINE_REPORT_LOST));
	assert_false(reported(&r, ENGINE_REPORT_AT_LIMIT));
	step(&r, &e);
	assert_int_equal(0, r.actions.count);
	e.sample.limit_bytes = 2 * LIMIT;
	step(&r, &e);
	assert_true(reported(&r, ENGINE_REPORT_LIMIT_CHANGED));
	/* In an incident it is we who change it. */
	rig_init(&r);
	reach(&r, ENGINE_HOLDING);
	e = sample_of(&r, 950 * MIB);
	e.sample.limit_bytes = LIMIT + ENGINE_KICK_BYTES;
	step(&r, &e);
	assert_false(reported(&r, ENGINE_REPORT_LIMIT_CHANGED));
	e.sample.oom_kills = 1;
	step(&r, &e);
	assert_true(reported(&r, ENGINE_REPORT_LOST));
	send(&r, ENGINE_EVENT_COPIED, true);
	send(&r, ENGINE_EVENT_RELEASED, true);
	e.sample.limit_bytes = LIMIT; /* put back: as before, so no news */
	step(&r, &e);
	assert_int_equal(0, r.actions.count);
	e.sample.limit_bytes = 2 * LIMIT;
	step(&r, &e);
	assert_true(reported(&r, ENGINE_REPORT_LIMIT_CHANGED));
	/* A target that comes back is another one. */
	rig_init(&r);
	reach(&r, ENGINE_WATCHING);
	send(&r, ENGINE_EVENT_VANISHED, true);
	send(&r, ENGINE_EVENT_APPEARED, true);
	e = sample_of(&r, 100 * MIB);
	e.sample.oom_kills = 3;
	e.sample.limit_bytes = 2 * LIMIT;
	step(&r, &e);
	assert_int_equal(0, r.actions.count);
}

static void test_trip_reasons(void **state)
{
	struct rig r;

	(void)state;
	rig_init(&r);
	reach(&r, ENGINE_WATCHING);
	sample(&r, 901 * MIB); /* both thresholds in one step */
	assert_int_equal(ENGINE_HOLDING, r.engine.state);
	assert_int_equal(TRIP_REASON_USED, r.engine.reason);
	assert_non_null(find(&r, ENGINE_ACTION_SHIELD));
	assert_true(find(&r, ENGINE_ACTION_SHIELD) < find(&r, ENGINE_ACTION_HOLD));
	assert_true(reported(&r, ENGINE_REPORT_TRIPPED));
	rig_init(&r);
	reach(&r, ENGINE_WATCHING);
	send(&r, ENGINE_EVENT_KERNEL_STOP, false);
	assert_int_equal(TRIP_REASON_TRIPWIRE, r.engine.reason);
	/* The runtime's own end comes first. */
	rig_init(&r);
	reach(&r, ENGINE_WATCHING);
	for (int i = 0; i < 2; i++) {
		struct engine_event e = sample_of(&r, 500 * MIB);

		e.auto_bytes = i ? 500 * MIB : 501 * MIB;
		step(&r, &e);
		assert_int_equal(i == 1, r.engine.state == ENGINE_HOLDING);
	}
}

static void test_in_incident(void **state)
{
	(void)state;
	for (int s = 0; s < ENGINE_STATE_COUNT; s++) {
		struct rig r;

		rig_init(&r);
		reach(&r, (enum engine_state_id)s);
		assert_int_equal(s == H || s == C || s == R, engine_in_incident(&r.engine));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next_state),
		cmocka_unit_test(test_every_pair),
		cmocka_unit_test(test_unknown_event),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_arm_and_disarm),
		cmocka_unit_test(test_shield_modes),
		cmocka_unit_test(test_node_short),
		cmocka_unit_test(test_node_short_always),
		cmocka_unit_test(test_hold_fails_over),
		cmocka_unit_test(test_kicks),
		cmocka_unit_test(test_held_while_under_oom),
		cmocka_unit_test(test_lease),
		cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_verdict_after_a_part),
		cmocka_unit_test(test_deadline_of_several),
		cmocka_unit_test(test_next_incident_is_fresh),
		cmocka_unit_test(test_undo_is_repeated),
		cmocka_unit_test(test_gone_after_release),
		cmocka_unit_test(test_cooldown_has_no_trip),
		cmocka_unit_test(test_reports_of_samples),
		cmocka_unit_test(test_trip_reasons),
		cmocka_unit_test(test_in_incident),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
