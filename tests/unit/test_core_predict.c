// SPDX-License-Identifier: Apache-2.0
/*
 * Growth and ETA: slow leaks, bursts, looks that come too close together, and clocks that stand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/checked.h"
#include "core/predict.h"

#define MIB UINT64_C(1048576)

static void test_too_few(void **state)
{
	struct predict p = {0};

	(void)state;
	assert_int_equal(0, predict_rate_bytes_s(&p));
	predict_add(&p, NS_PER_S, 100 * MIB);
	assert_int_equal(0, predict_rate_bytes_s(&p));
	predict_add(&p, 2 * NS_PER_S, 110 * MIB);
	assert_int_equal(10 * MIB, predict_rate_bytes_s(&p));
	predict_reset(&p);
	assert_int_equal(0, predict_rate_bytes_s(&p));
	predict_add(&p, 3 * NS_PER_S, 900 * MIB);
	assert_int_equal(0, predict_rate_bytes_s(&p));
}

static void test_steady(void **state)
{
	struct predict p = {0};

	(void)state;
	for (uint64_t i = 0; i < 100; i++)
		predict_add(&p, i * 100 * NS_PER_MS, i * MIB);
	assert_int_equal(10 * MIB, predict_rate_bytes_s(&p));
	for (uint64_t i = 100; i < 200; i++)
		predict_add(&p, i * 100 * NS_PER_MS, 100 * MIB);
	assert_int_equal(0, predict_rate_bytes_s(&p));
	for (uint64_t i = 200; i < 220; i++)
		predict_add(&p, i * 100 * NS_PER_MS, (300 - i) * MIB);
	assert_int_equal(0, predict_rate_bytes_s(&p)); /* shrinking */
}

/* One quiet step does not hide a leak, and an average does not hide a burst. */
static void test_larger_of_the_two(void **state)
{
	struct predict p = {0};

	(void)state;
	for (uint64_t i = 0; i < 10; i++)
		predict_add(&p, i * 100 * NS_PER_MS, i * MIB);
	predict_add(&p, NS_PER_S, 9 * MIB);
	assert_int_equal(9 * MIB, predict_rate_bytes_s(&p));
	predict_add(&p, NS_PER_S + 10 * NS_PER_MS, 29 * MIB);
	assert_int_equal(2000 * MIB, predict_rate_bytes_s(&p));
}

static void test_window(void **state)
{
	struct predict p = {0};

	(void)state;
	predict_add(&p, 0, 0);
	predict_add(&p, NS_PER_S, 1000 * MIB);
	predict_add(&p, NS_PER_S + PREDICT_WINDOW_NS, 1000 * MIB);
	assert_int_equal(0, predict_rate_bytes_s(&p)); /* the jump is older than the window */
	predict_reset(&p);
	predict_add(&p, 0, 0);
	predict_add(&p, 10 * NS_PER_S, 10 * MIB); /* one step longer than the window */
	assert_int_equal(MIB, predict_rate_bytes_s(&p));
}

static void test_old_news(void **state)
{
	struct predict p = {0};

	(void)state;
	predict_add(&p, NS_PER_S, 10 * MIB);
	predict_add(&p, 2 * NS_PER_S, 20 * MIB);
	predict_add(&p, 2 * NS_PER_S, 500 * MIB);
	predict_add(&p, NS_PER_S, 500 * MIB);
	assert_int_equal(10 * MIB, predict_rate_bytes_s(&p));
}

/* A charge batch (256 KiB) that shows between two looks 10 us apart is no burst of 25 GiB/s. */
static void test_close_looks(void **state)
{
	struct predict p = {0};
	uint64_t base;

	(void)state;
	for (uint64_t i = 0; i <= 10; i++)
		predict_add(&p, i * NS_PER_MS, 100 * MIB);
	predict_add(&p, 10 * NS_PER_MS + 10 * NS_PER_US, 100 * MIB + MIB / 4);
	assert_true(predict_rate_bytes_s(&p) <= 256 * MIB);
	predict_reset(&p);
	predict_add(&p, NS_PER_S, 100 * MIB);
	predict_add(&p, NS_PER_S + 10 * NS_PER_US, 101 * MIB);
	assert_int_equal(0, predict_rate_bytes_s(&p)); /* too short to tell */
	predict_add(&p, NS_PER_S + 500 * NS_PER_US, 101 * MIB);
	assert_int_equal(2000 * MIB, predict_rate_bytes_s(&p));
	/* Looks that are always close still add up to a history of more than one step. */
	predict_reset(&p);
	base = 5 * NS_PER_S;
	for (uint64_t i = 0; i < 1000; i++)
		predict_add(&p, base + i * 100 * NS_PER_US, i * MIB / 100);
	assert_int_equal(PREDICT_POINTS, p.count);
	assert_in_range(predict_rate_bytes_s(&p), 90 * MIB, 110 * MIB);
}

static void test_extremes(void **state)
{
	struct predict p = {0};

	(void)state;
	predict_add(&p, 0, 0);
	predict_add(&p, NS_PER_MS, UINT64_MAX);
	assert_int_equal(UINT64_MAX, predict_rate_bytes_s(&p));
	predict_add(&p, UINT64_MAX, 0);
	assert_int_equal(0, predict_rate_bytes_s(&p));
}

static void test_eta(void **state)
{
	(void)state;
	assert_int_equal(UINT64_MAX, predict_eta_ns(0, 0));
	assert_int_equal(0, predict_eta_ns(0, 1));
	assert_int_equal(2 * NS_PER_S, predict_eta_ns(20 * MIB, 10 * MIB));
	assert_int_equal(0, predict_eta_ns(1, UINT64_MAX));
	assert_int_equal(UINT64_MAX, predict_eta_ns(UINT64_MAX, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_too_few),
		cmocka_unit_test(test_steady),
		cmocka_unit_test(test_larger_of_the_two),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_old_news),
		cmocka_unit_test(test_close_looks),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_eta),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
