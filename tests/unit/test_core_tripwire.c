// SPDX-License-Identifier: Apache-2.0
/*
 * Tests of what core/ decides about the tripwire: when it is to be in force, whether a stop of it
 * was too early, and what the engine does then.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/checked.h"
#include "core/engine.h"
#include "core/policy.h"

#define MIB UINT64_C(1048576)

static struct thresholds of(uint64_t limit_bytes)
{
	struct policy p = {.trip_kind = TRIP_AUTO, .arm_bp = 8000};
	struct thresholds t;

	policy_thresholds(&p, limit_bytes, SIZE_UNLIMITED, &t);
	return t;
}

/* In force from 1 GiB before the trip on, and until 2 GiB are left. */
static void test_wants_tripwire(void **state)
{
	struct policy p = {.trip_kind = TRIP_AUTO, .arm_bp = 8000, .tripwire = true};
	struct thresholds t = of(10000 * MIB);
	struct sample s = {.current_bytes = 7975 * MIB, .limit_bytes = 10000 * MIB};

	(void)state;
	assert_false(policy_wants_tripwire(&p, &t, &s, false));
	assert_true(policy_wants_tripwire(&p, &t, &s, true));
	s.current_bytes = 7976 * MIB;
	assert_true(policy_wants_tripwire(&p, &t, &s, false));
	s.inactive_file_bytes = MIB;
	assert_false(policy_wants_tripwire(&p, &t, &s, false));
	s.current_bytes = 6952 * MIB;
	assert_false(policy_wants_tripwire(&p, &t, &s, true));
	s.current_bytes = 9999 * MIB; /* beyond the trip */
	assert_true(policy_wants_tripwire(&p, &t, &s, false));
	p.tripwire = false;
	assert_false(policy_wants_tripwire(&p, &t, &s, true));
	p.tripwire = true;
	t = of(SIZE_UNLIMITED);
	assert_false(policy_wants_tripwire(&p, &t, &s, false));
}

/* Too early is what a sample of afterwards shows below the trip, by 1/64 of it and 1 MiB at least.
 */
static void test_stopped_early(void **state)
{
	struct thresholds t = of(6400 * MIB); /* trip at 5760, less 90 */
	struct sample s = {.current_bytes = 5670 * MIB, .limit_bytes = 6400 * MIB};

	(void)state;
	assert_false(policy_stopped_early(&t, &s));
	s.inactive_file_bytes = 1;
	assert_true(policy_stopped_early(&t, &s));
	s.under_oom = true;
	assert_false(policy_stopped_early(&t, &s));
	t = of(20 * MIB); /* 18 */
	s = (struct sample){.current_bytes = 17 * MIB, .limit_bytes = 20 * MIB};
	assert_false(policy_stopped_early(&t, &s));
	s.current_bytes--;
	assert_true(policy_stopped_early(&t, &s));
}

/* --- the engine ---------------------------------------------------------------------------- */

struct rig {
	struct engine engine;
	struct engine_actions actions; /* of the last step */
	uint64_t oom_kills;	       /* that its samples tell of */
};

static void step(struct rig *r, enum engine_event_kind kind, uint64_t used_bytes, bool under_oom)
{
	static const struct policy p = {.trip_kind = TRIP_AUTO,
		.arm_bp = 8000,
		.hold_timeout_ns = NS_PER_S,
		.deadline_ns = NS_PER_S,
		.hold = HOLD_STOP};
	struct engine_event e = {.kind = kind, .ok = true, .auto_bytes = SIZE_UNLIMITED};

	e.sample.now_ns = NS_PER_S;
	e.sample.limit_bytes = 1000 * MIB;
	e.sample.current_bytes = used_bytes;
	e.sample.under_oom = under_oom;
	e.sample.oom_kills = r->oom_kills;
	engine_step(&r->engine, &p, &e, NS_PER_S, &r->actions);
}

static bool does(const struct rig *r, enum engine_action_kind kind)
{
	for (uint32_t i = 0; i < r->actions.count; i++)
		if (r->actions.action[i].kind == kind)
			return true;
	return false;
}

static void watch(struct rig *r, uint64_t used_bytes)
{
	const struct engine_means means = {.stop = true};

	engine_init(&r->engine, &means);
	r->oom_kills = 0;
	step(r, ENGINE_EVENT_APPEARED, 0, false);
	step(r, ENGINE_EVENT_SAMPLE, used_bytes, false);
}

/* Too early, it goes on, and is watched as before; at the trip it is held. */
static void test_kernel_stop(void **state)
{
	struct rig r;

	(void)state;
	for (int armed = 0; armed < 2; armed++) {
		watch(&r, armed ? 850 * MIB : 100 * MIB);
		step(&r, ENGINE_EVENT_KERNEL_STOP, 880 * MIB, false);
		assert_int_equal(armed ? ENGINE_ARMED : ENGINE_WATCHING, r.engine.state);
		assert_true(does(&r, ENGINE_ACTION_CONTINUE));
		assert_false(does(&r, ENGINE_ACTION_HOLD));
		assert_int_equal(880 * MIB, sample_used(&r.engine.last));
		step(&r, ENGINE_EVENT_KERNEL_STOP, 890 * MIB, false);
		assert_int_equal(ENGINE_HOLDING, r.engine.state);
		assert_int_equal(TRIP_REASON_TRIPWIRE, r.engine.reason);
		assert_true(does(&r, ENGINE_ACTION_HOLD));
		assert_false(does(&r, ENGINE_ACTION_CONTINUE));
		/* A further process of it belongs to the hold. */
		step(&r, ENGINE_EVENT_KERNEL_STOP, 800 * MIB, false);
		assert_int_equal(ENGINE_HOLDING, r.engine.state);
		assert_false(does(&r, ENGINE_ACTION_CONTINUE));
	}
}

/* Who was killed has given his memory back: not too early, and the kill is told. */
static void test_kernel_stop_and_a_kill(void **state)
{
	struct rig r;

	(void)state;
	watch(&r, 100 * MIB);
	step(&r, ENGINE_EVENT_KERNEL_STOP, 700 * MIB, false);
	assert_int_equal(ENGINE_ACTION_CONTINUE, r.actions.action[0].kind);
	assert_int_equal(r.engine.thresholds.trip_bytes - 700 * MIB, r.actions.action[0].bytes);
	r.oom_kills++;
	step(&r, ENGINE_EVENT_KERNEL_STOP, 10 * MIB, false);
	assert_int_equal(2, r.actions.count);
	assert_int_equal(ENGINE_REPORT_LOST, r.actions.action[0].report);
	assert_int_equal(ENGINE_ACTION_CONTINUE, r.actions.action[1].kind);
	assert_int_equal(0, r.actions.action[1].bytes);
}

/* Tasks that wait at the limit count, whatever is used. */
static void test_kernel_stop_at_the_limit(void **state)
{
	struct rig r;

	(void)state;
	watch(&r, 100 * MIB);
	step(&r, ENGINE_EVENT_KERNEL_STOP, 500 * MIB, true);
	assert_int_equal(ENGINE_HOLDING, r.engine.state);
}

/* One that comes while a release is repeated is let go of at once. */
static void test_kernel_stop_while_releasing(void **state)
{
	struct rig r;

	(void)state;
	watch(&r, 100 * MIB);
	step(&r, ENGINE_EVENT_KERNEL_STOP, 950 * MIB, false);
	step(&r, ENGINE_EVENT_FAILED, 0, false);
	assert_int_equal(ENGINE_RELEASING, r.engine.state);
	step(&r, ENGINE_EVENT_KERNEL_STOP, 950 * MIB, false);
	assert_int_equal(ENGINE_RELEASING, r.engine.state);
	assert_int_equal(ENGINE_ACTION_CONTINUE, r.actions.action[0].kind);
	assert_int_equal(0, r.actions.action[0].bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wants_tripwire),
		cmocka_unit_test(test_stopped_early),
		cmocka_unit_test(test_kernel_stop),
		cmocka_unit_test(test_kernel_stop_and_a_kill),
		cmocka_unit_test(test_kernel_stop_at_the_limit),
		cmocka_unit_test(test_kernel_stop_while_releasing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
