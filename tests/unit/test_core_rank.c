// SPDX-License-Identifier: Apache-2.0
/*
 * Which process leaks, and why it is said to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/checked.h"
#include "core/rank.h"

#define MIB UINT64_C(1048576)

static void assert_rank(
	const struct rank_candidate *c, uint32_t count, int pid, enum rank_reason reason)
{
	enum rank_reason got = RANK_REASON_COUNT;
	int i = rank_leaker(c, count, &got);

	assert_int_equal(reason, got);
	assert_in_range(i, 0, count - 1);
	assert_int_equal(pid, c[i].pid);
}

static void test_none_and_one(void **state)
{
	const struct rank_candidate c = {7, 0, MIB};
	enum rank_reason reason = RANK_REASON_COUNT;

	(void)state;
	assert_int_equal(-1, rank_leaker(&c, 0, &reason));
	assert_int_equal(RANK_NONE, reason);
	assert_int_equal(-1, rank_leaker(NULL, 0, &reason));
	assert_rank(&c, 1, 7, RANK_ONLY);
}

/* A large cache that stands still is not the leak; a small process that grows is. */
static void test_growth(void **state)
{
	const struct rank_candidate c[] = {
		{10, 900 * MIB, 900 * MIB},
		{11, 20 * MIB, 10 * MIB},
		{12, 60 * MIB, 55 * MIB},
	};

	(void)state;
	assert_rank(c, 3, 11, RANK_GROWTH);
}

static void test_growth_edge(void **state)
{
	struct rank_candidate c[] = {
		{10, 900 * MIB, 950 * MIB}, /* shrinks */
		{11, RANK_GROWTH_MIN_BYTES, 0},
	};

	(void)state;
	assert_rank(c, 2, 11, RANK_GROWTH);
	c[1].rss_bytes--;
	assert_rank(c, 2, 10, RANK_SIZE);
}

static void test_equals(void **state)
{
	const struct rank_candidate size[] = {{30, MIB, MIB}, {20, MIB, MIB}, {25, MIB, MIB}};
	const struct rank_candidate growth[] = {
		{30, 9 * MIB, 0}, {20, 99 * MIB, 90 * MIB}, {25, 9 * MIB, 0}};

	(void)state;
	assert_rank(size, 3, 20, RANK_SIZE);
	assert_rank(growth, 3, 20, RANK_GROWTH);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal("none", rank_reason_name(RANK_NONE));
	assert_string_equal("growth", rank_reason_name(RANK_GROWTH));
	assert_string_equal("size", rank_reason_name(RANK_SIZE));
	assert_string_equal("?", rank_reason_name(RANK_REASON_COUNT));
	assert_string_equal("?", rank_reason_name((enum rank_reason) - 1));
}

static void test_top(void **state)
{
	static const uint64_t sizes[] = {5, 9, 9, 1, 7, 9};
	struct rank_top top = {.max = 3};
	struct rank_top none = {.max = 0};

	(void)state;
	for (uint32_t i = 0; i < ARRAY_LEN(sizes); i++) {
		rank_top_add(&top, (int)i, sizes[i]);
		rank_top_add(&none, (int)i, sizes[i]);
	}
	assert_int_equal(0, none.count);
	assert_int_equal(3, top.count);
	assert_int_equal(1, top.pid[0]);
	assert_int_equal(2, top.pid[1]);
	assert_int_equal(5, top.pid[2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none_and_one),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_growth_edge),
		cmocka_unit_test(test_equals),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_top),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
