// SPDX-License-Identifier: Apache-2.0
/*
 * The chart's points: in order, bounded, the newest exact, the beginning never lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/history.h"

static struct history h; /* 48 KiB */

static void add(uint64_t at_ns)
{
	struct history_point p = {.at_ns = at_ns, .used_bytes = at_ns * 3};

	history_add(&h, &p);
}

static void assert_whole(uint64_t first, uint64_t last)
{
	assert_in_range(h.count, 1, HISTORY_MAX);
	assert_int_equal(first, h.point[0].at_ns);
	assert_int_equal(last, h.point[h.count - 1].at_ns);
	for (uint32_t i = 0; i < h.count; i++) {
		assert_int_equal(h.point[i].at_ns * 3, h.point[i].used_bytes);
		if (i > 0)
			assert_true(h.point[i].at_ns > h.point[i - 1].at_ns);
	}
}

static void test_until_full(void **state)
{
	(void)state;
	memset(&h, 0, sizeof(h));
	for (uint64_t i = 1; i <= HISTORY_MAX; i++) {
		add(i);
		assert_int_equal(i, h.count);
		assert_whole(1, i);
	}
	/* 384 of the older 768 go, and the new one comes. */
	add(HISTORY_MAX + 1);
	assert_int_equal(HISTORY_MAX - 384 + 1, h.count);
	assert_whole(1, HISTORY_MAX + 1);
	assert_int_equal(3, h.point[1].at_ns);
}

static void test_what_was_before(void **state)
{
	(void)state;
	memset(&h, 0, sizeof(h));
	history_drop_before(&h, 1);
	assert_int_equal(0, h.count);
	for (uint64_t i = 1; i <= 10; i++)
		add(i);
	history_drop_before(&h, 4);
	assert_int_equal(7, h.count);
	assert_whole(4, 10);
	history_drop_before(&h, 11);
	assert_int_equal(0, h.count);
	h.count = HISTORY_MAX + 1;
	history_drop_before(&h, 1);
	assert_int_equal(0, h.count);
}

static void test_long(void **state)
{
	uint64_t last = 100000;

	(void)state;
	memset(&h, 0, sizeof(h));
	for (uint64_t i = 1; i <= last; i++) {
		add(i);
		/* The newest quarter has every point. */
		for (uint32_t back = 1; back < HISTORY_MAX / 4 && back < h.count; back += 51)
			assert_int_equal(i - back, h.point[h.count - 1 - back].at_ns);
	}
	assert_whole(1, last);
	assert_true(h.count > HISTORY_MAX / 2);
}

static void test_not_newer(void **state)
{
	(void)state;
	memset(&h, 0, sizeof(h));
	add(10);
	add(10);
	add(9);
	assert_int_equal(1, h.count);
	add(11);
	assert_int_equal(2, h.count);
}

/* It lies in shared memory: a count that is not ours must not be believed. */
static void test_spoilt_count(void **state)
{
	(void)state;
	memset(&h, 0, sizeof(h));
	add(10);
	h.count = HISTORY_MAX + 1;
	add(20);
	assert_int_equal(1, h.count);
	assert_whole(20, 20);
	h.count = UINT32_MAX;
	add(30);
	assert_whole(30, 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_until_full),
		cmocka_unit_test(test_what_was_before),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_not_newer),
		cmocka_unit_test(test_spoilt_count),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
