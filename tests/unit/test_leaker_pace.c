// SPDX-License-Identifier: Apache-2.0
/*
 * The rate: exact on average, and never caught up on after a stop. Time is a number here.
 */
#include "leaker/pace.h"
#include "leaker/size.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define MS UINT64_C(1000000)
#define START (UINT64_C(5000) * MS)

static void test_max_never_waits(void **state)
{
	struct pace pace;

	(void)state;
	pace_init(&pace, SIZE_RATE_MAX);
	for (int i = 0; i < 100; i++)
		assert_int_equal(pace_take(&pace, UINT64_C(1) << 40, START), 0);
}

/* 10 MB/s in steps of 1 MB: the first at once, then one every 100 ms. */
static void test_steps_are_due_in_turn(void **state)
{
	struct pace pace;
	uint64_t now = START;

	(void)state;
	pace_init(&pace, 10 * SIZE_MB);
	assert_int_equal(pace_take(&pace, SIZE_MB, now), 0);
	for (int i = 0; i < 50; i++) {
		uint64_t wait = pace_take(&pace, SIZE_MB, now);

		assert_int_equal(wait, 100 * MS);
		now += wait;
	}
}

/* A wake-up that is a little late does not shift the steps after it. */
static void test_lateness_does_not_add_up(void **state)
{
	struct pace pace;
	uint64_t now = START;

	(void)state;
	pace_init(&pace, 10 * SIZE_MB);
	(void)pace_take(&pace, SIZE_MB, now);
	for (int i = 0; i < 50; i++)
		now += pace_take(&pace, SIZE_MB, now) + 3 * MS;
	assert_int_equal(now, START + UINT64_C(50) * 100 * MS + 3 * MS);
}

/* Stopped for 30 s: it goes on at its rate, with no burst. */
static void test_no_burst_after_a_stop(void **state)
{
	struct pace pace;
	uint64_t now = START;

	(void)state;
	pace_init(&pace, 10 * SIZE_MB);
	(void)pace_take(&pace, SIZE_MB, now);
	now += 30000 * MS;
	assert_int_equal(pace_take(&pace, SIZE_MB, now), 0);
	assert_int_equal(pace_take(&pace, SIZE_MB, now), 100 * MS);
}

/* Callers that ask at the same moment are queued: together they keep to the rate. */
static void test_callers_share_the_rate(void **state)
{
	struct pace pace;

	(void)state;
	pace_init(&pace, 100 * SIZE_MB);
	for (uint64_t i = 0; i < 8; i++)
		assert_int_equal(pace_take(&pace, SIZE_MB, START), i * 10 * MS);
}

/* The extremes do not overflow: a slow rate with a big step, a fast one with a huge step. */
static void test_extremes(void **state)
{
	struct pace pace;

	(void)state;
	pace_init(&pace, SIZE_MB / 1000);
	(void)pace_take(&pace, SIZE_MB / 1000 * 7, START);
	assert_int_equal(pace_take(&pace, 1, START), 7000 * MS);
	pace_init(&pace, 1000000 * SIZE_MB);
	(void)pace_take(&pace, (UINT64_C(1000000) * SIZE_MB) / 2, START);
	assert_in_range(pace_take(&pace, 1, START), 499 * MS, 501 * MS);
	pace_init(&pace, 1000000 * SIZE_MB);
	(void)pace_take(&pace, UINT64_C(1000000) * SIZE_MB * 3, START);
	assert_int_equal(pace_take(&pace, 1, START), 3000 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_max_never_waits),
		cmocka_unit_test(test_steps_are_due_in_turn),
		cmocka_unit_test(test_lateness_does_not_add_up),
		cmocka_unit_test(test_no_burst_after_a_stop),
		cmocka_unit_test(test_callers_share_the_rate),
		cmocka_unit_test(test_extremes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("leaker_pace", tests, NULL, NULL);
}
