// SPDX-License-Identifier: Apache-2.0
/*
 * Sorting in place: numbers and indices, of every length around the gaps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/sort.h"

#define MOST 200U

static bool is_less(const void *a, const void *b, const void *user)
{
	(void)user;
	return *(const uint64_t *)a < *(const uint64_t *)b;
}

/* Indices by what they point to, the largest first. */
static bool is_greater_there(const void *a, const void *b, const void *user)
{
	const uint64_t *there = user;

	return there[*(const uint32_t *)a] > there[*(const uint32_t *)b];
}

/* The same numbers each time (Numerical Recipes' generator), some of them twice. */
static uint64_t next(uint64_t *state)
{
	*state = *state * 1664525U + 1013904223U;
	return *state >> 8 & 0x7f;
}

static void test_every_length(void **state)
{
	uint64_t seed = 7;

	(void)state;
	for (uint32_t n = 0; n <= MOST; n++) {
		uint64_t values[MOST] = {0};
		uint32_t order[MOST];
		uint32_t seen[0x80] = {0};

		for (uint32_t i = 0; i < n; i++) {
			values[i] = next(&seed);
			seen[values[i]]++;
			order[i] = i;
		}
		sort_in_place(order, n, sizeof(order[0]), is_greater_there, values);
		for (uint32_t i = 1; i < n; i++)
			assert_true(values[order[i - 1]] >= values[order[i]]);
		sort_in_place(values, n, sizeof(values[0]), is_less, NULL);
		for (uint32_t i = 1; i < n; i++)
			assert_true(values[i - 1] <= values[i]);
		for (uint32_t i = 0; i < n; i++)
			assert_true(seen[values[i]]-- > 0);
	}
}

static void test_many(void **state)
{
	static uint64_t values[70000];
	uint32_t n = sizeof(values) / sizeof(values[0]);

	(void)state;
	for (uint32_t i = 0; i < n; i++)
		values[i] = n - i;
	sort_in_place(values, n, sizeof(values[0]), is_less, NULL);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(i + 1, values[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_length),
		cmocka_unit_test(test_many),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
