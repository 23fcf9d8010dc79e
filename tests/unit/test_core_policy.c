// SPDX-License-Identifier: Apache-2.0
/*
 * Thresholds, trips and the distance of the next look, at their edges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/checked.h"
#include "core/policy.h"

#define MIB UINT64_C(1048576)
#define LIMIT (1000 * MIB)

static struct thresholds of(const struct policy *p, uint64_t limit, uint64_t auto_bytes)
{
	struct thresholds t = {1, 2, 3};

	policy_thresholds(p, limit, auto_bytes, &t);
	assert_true(t.disarm_bytes <= t.arm_bytes);
	assert_true(t.arm_bytes <= t.trip_bytes);
	if (limit != SIZE_UNLIMITED)
		assert_true(t.trip_bytes <= sub_floor(limit, POLICY_TRIP_MARGIN_BYTES));
	return t;
}

static void test_auto(void **state)
{
	struct policy p = {.trip_kind = TRIP_AUTO, .arm_bp = 8000};
	struct thresholds t = of(&p, LIMIT, SIZE_UNLIMITED);

	(void)state;
	assert_int_equal(900 * MIB, t.trip_bytes);
	assert_int_equal(800 * MIB, t.arm_bytes);
	assert_int_equal(750 * MIB, t.disarm_bytes);
	assert_int_equal(700 * MIB, of(&p, LIMIT, 700 * MIB).trip_bytes);
	assert_int_equal(560 * MIB, of(&p, LIMIT, 630 * MIB).arm_bytes); /* 80% of 700 */
	assert_int_equal(510 * MIB, of(&p, LIMIT, 630 * MIB).disarm_bytes);
	assert_int_equal(900 * MIB, of(&p, LIMIT, 950 * MIB).trip_bytes);
	assert_int_equal(700 * MIB, of(&p, SIZE_UNLIMITED, 700 * MIB).trip_bytes);
}

static void test_kinds(void **state)
{
	struct policy p = {.arm_bp = 8000};

	(void)state;
	p.trip_kind = TRIP_SHARE;
	p.trip_bp = 9500;
	assert_int_equal(950 * MIB, of(&p, LIMIT, 10 * MIB).trip_bytes); /* auto alone asks it */
	p.trip_bp = 10000;
	assert_int_equal(LIMIT - POLICY_TRIP_MARGIN_BYTES, of(&p, LIMIT, 0).trip_bytes);
	p.trip_kind = TRIP_USED;
	p.trip_bytes = 300 * MIB;
	assert_int_equal(300 * MIB, of(&p, LIMIT, 0).trip_bytes);
	assert_int_equal(300 * MIB, of(&p, LIMIT, 0).arm_bytes);
	assert_int_equal(250 * MIB, of(&p, LIMIT, 0).disarm_bytes);
	p.trip_bytes = 2 * LIMIT;
	assert_int_equal(LIMIT - POLICY_TRIP_MARGIN_BYTES, of(&p, LIMIT, 0).trip_bytes);
	p.trip_kind = TRIP_HEADROOM;
	p.trip_bytes = 64 * MIB;
	assert_int_equal(936 * MIB, of(&p, LIMIT, 0).trip_bytes);
	p.trip_bytes = 2 * LIMIT;
	assert_int_equal(0, of(&p, LIMIT, 0).trip_bytes);
	p.trip_bytes = 0;
	assert_int_equal(LIMIT - POLICY_TRIP_MARGIN_BYTES, of(&p, LIMIT, 0).trip_bytes);
}

static void test_unlimited(void **state)
{
	struct policy p = {.trip_kind = TRIP_AUTO, .trip_bp = 9000, .arm_bp = 8000};
	static const enum trip_kind kinds[] = {TRIP_AUTO, TRIP_SHARE, TRIP_HEADROOM};
	struct thresholds t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		p.trip_kind = kinds[i];
		t = of(&p, SIZE_UNLIMITED, SIZE_UNLIMITED);
		assert_int_equal(SIZE_UNLIMITED, t.trip_bytes);
		assert_int_equal(SIZE_UNLIMITED, t.arm_bytes);
		assert_int_equal(SIZE_UNLIMITED, t.disarm_bytes);
	}
	/* A number of bytes needs no limit: the shares are of that number then. */
	p.trip_kind = TRIP_USED;
	p.trip_bytes = LIMIT;
	t = of(&p, SIZE_UNLIMITED, SIZE_UNLIMITED);
	assert_int_equal(LIMIT, t.trip_bytes);
	assert_int_equal(800 * MIB, t.arm_bytes);
	assert_int_equal(750 * MIB, t.disarm_bytes);
}

/* The order disarm <= arm <= trip <= limit - margin, which of() checks, for odd numbers. */
static void test_order(void **state)
{
	static const uint64_t limits[] = {0, 1, 4096, POLICY_TRIP_MARGIN_BYTES, 524289, 10 * MIB,
		LIMIT, UINT64_MAX / 2, UINT64_MAX - 1, SIZE_UNLIMITED};
	static const uint32_t shares[] = {0, 1, 5000, 9999, 10000};

	(void)state;
	for (int kind = 0; kind < TRIP_KIND_COUNT; kind++)
		for (size_t i = 0; i < ARRAY_LEN(limits); i++)
			for (size_t j = 0; j < ARRAY_LEN(limits); j++)
				for (size_t k = 0; k < 25; k++) {
					struct policy p = {.trip_kind = (enum trip_kind)kind,
						.trip_bp = shares[k % 5],
						.arm_bp = shares[k / 5],
						.trip_bytes = limits[j]};

					(void)of(&p, limits[i], limits[j]);
				}
}

static struct sample sample_of(uint64_t used)
{
	return (struct sample){.current_bytes = used, .limit_bytes = LIMIT};
}

static void test_trips_used(void **state)
{
	struct policy p = {.trip_kind = TRIP_AUTO, .arm_bp = 8000};
	struct thresholds t = of(&p, LIMIT, SIZE_UNLIMITED);
	struct sample s = sample_of(900 * MIB - 1);

	(void)state;
	assert_int_equal(TRIP_REASON_NONE, policy_trips(&p, &t, &s, UINT64_MAX));
	s.current_bytes++;
	assert_int_equal(TRIP_REASON_USED, policy_trips(&p, &t, &s, 0));
	s.inactive_file_bytes = 1; /* what can be dropped does not count */
	assert_int_equal(TRIP_REASON_NONE, policy_trips(&p, &t, &s, 0));
	s.inactive_file_bytes = UINT64_MAX; /* older than current: never a wrap */
	assert_int_equal(TRIP_REASON_NONE, policy_trips(&p, &t, &s, 0));
	s.under_oom = true; /* whatever the numbers say */
	assert_int_equal(TRIP_REASON_LIMIT, policy_trips(&p, &t, &s, 0));
}

static void test_trips_eta_and_psi(void **state)
{
	struct policy p = {.trip_kind = TRIP_AUTO,
		.arm_bp = 8000,
		.trip_eta_ns = 2 * NS_PER_S,
		.trip_psi_bp = 3000};
	struct thresholds t = of(&p, LIMIT, SIZE_UNLIMITED);
	struct sample s = sample_of(800 * MIB);

	(void)state;
	/* 200 MiB left: at 100 MiB/s that is the 2 s, not nearer. */
	assert_int_equal(TRIP_REASON_NONE, policy_trips(&p, &t, &s, 100 * MIB));
	assert_int_equal(TRIP_REASON_ETA, policy_trips(&p, &t, &s, 100 * MIB + 1));
	s.psi_full_bp = 2999;
	assert_int_equal(TRIP_REASON_NONE, policy_trips(&p, &t, &s, 0));
	s.psi_full_bp = 3000;
	assert_int_equal(TRIP_REASON_PSI, policy_trips(&p, &t, &s, 0));
	s.psi_some_bp = 10000;
	s.psi_full_bp = 0;
	assert_int_equal(TRIP_REASON_NONE, policy_trips(&p, &t, &s, 0));
	/* Below arm neither counts. */
	s = sample_of(800 * MIB - 1);
	s.psi_full_bp = 10000;
	assert_int_equal(TRIP_REASON_NONE, policy_trips(&p, &t, &s, UINT64_MAX));
	/* Switched off they never do. */
	p.trip_eta_ns = 0;
	p.trip_psi_bp = 0;
	s = sample_of(899 * MIB);
	s.psi_full_bp = 10000;
	assert_int_equal(TRIP_REASON_NONE, policy_trips(&p, &t, &s, UINT64_MAX));
}

static void test_next_look(void **state)
{
	struct policy p = {.trip_kind = TRIP_AUTO, .arm_bp = 8000};
	struct thresholds t = of(&p, LIMIT, SIZE_UNLIMITED);
	struct sample s = sample_of(100 * MIB);

	(void)state;
	/* 800 MiB to go at 6 GiB/s, growing or not. */
	assert_int_equal(130208333, policy_next_look_ns(&t, &s, 0, false));
	assert_int_equal(130208333, policy_next_look_ns(&t, &s, MIB, false));
	/* The kernel wakes us: the measured rate alone counts, within its bounds. */
	assert_int_equal(POLICY_LOOK_MAX_NS, policy_next_look_ns(&t, &s, 0, true));
	assert_int_equal(POLICY_LOOK_IDLE_MAX_NS, policy_next_look_ns(&t, &s, 1, true));
	assert_int_equal(200000000, policy_next_look_ns(&t, &s, 1000 * MIB, true));
	/* But where page cache holds current above the notice's threshold it does not come. */
	s.current_bytes = 850 * MIB;
	s.inactive_file_bytes = 750 * MIB;
	assert_int_equal(130208333, policy_next_look_ns(&t, &s, 0, true));
	/* Armed, the next notice is that of the trip. */
	s = sample_of(860 * MIB);
	assert_int_equal(6510416, policy_next_look_ns(&t, &s, 0, false));
	assert_int_equal(POLICY_LOOK_ARMED_MAX_NS, policy_next_look_ns(&t, &s, 0, true));
	assert_int_equal(10000000, policy_next_look_ns(&t, &s, 1000 * MIB, true));
	s.current_bytes += 100 * MIB;
	s.inactive_file_bytes = 100 * MIB;
	assert_int_equal(6510416, policy_next_look_ns(&t, &s, 0, true));
	s = sample_of(900 * MIB);
	assert_int_equal(POLICY_LOOK_MIN_NS, policy_next_look_ns(&t, &s, 0, false));
	s.limit_bytes = POLICY_SMALL_LIMIT_BYTES;
	assert_int_equal(POLICY_LOOK_SMALL_NS, policy_next_look_ns(&t, &s, 0, false));
	/* Without a threshold there is nothing to come before. */
	t = of(&p, SIZE_UNLIMITED, SIZE_UNLIMITED);
	s = sample_of(900 * MIB);
	s.limit_bytes = SIZE_UNLIMITED;
	assert_int_equal(POLICY_LOOK_MAX_NS, policy_next_look_ns(&t, &s, 0, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_auto),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_unlimited),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_trips_used),
		cmocka_unit_test(test_trips_eta_and_psi),
		cmocka_unit_test(test_next_look),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
