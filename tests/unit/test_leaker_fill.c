// SPDX-License-Identifier: Apache-2.0
/*
 * The fill: what is written is what is checked, at any alignment, and every kind of damage shows.
 */
#include "leaker/fill.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define SEED UINT64_C(0x1234)
#define ADDRESS UINT64_C(0x7f0000001000)
#define LEN 8192u

static unsigned char *filled(uint64_t address, size_t len)
{
	unsigned char *memory = calloc(1, len + 1); /* one more, to see that it is left alone */

	assert_non_null(memory);
	fill_write(SEED, address, memory, len);
	assert_int_equal(memory[len], 0);
	return memory;
}

/* Values computed once, outside this program, from the definition: cores of one version are judged
 * by another. */
static void test_words_never_change(void **state)
{
	(void)state;
	assert_int_equal(fill_word(0, 0), UINT64_C(0x0));
	assert_int_equal(fill_word(1, 0x1000), UINT64_C(0x3a0b83bf6a1db49d));
	assert_int_equal(fill_word(UINT64_MAX, UINT64_MAX - 7), UINT64_C(0xefe1efa856e6949e));
	assert_int_equal(fill_byte(1, 0x1003), (UINT64_C(0x3a0b83bf6a1db49d) >> 24) & 0xff);
}

static void test_any_alignment(void **state)
{
	(void)state;
	for (uint64_t shift = 0; shift < 9; shift++) {
		for (size_t len = 0; len < 40; len++) {
			unsigned char *memory = filled(ADDRESS + shift, len);
			size_t first;

			for (size_t i = 0; i < len; i++)
				assert_int_equal(memory[i], fill_byte(SEED, ADDRESS + shift + i));
			assert_int_equal(
				fill_check(SEED, ADDRESS + shift, memory, len, FILL_EXACT, &first),
				0);
			free(memory);
		}
	}
}

/* Each byte in turn: the count and the place are right. */
static void test_one_wrong_byte(void **state)
{
	unsigned char *memory = filled(ADDRESS + 3, 1100);

	(void)state;
	for (size_t i = 0; i < 1100; i++) {
		size_t first = 0;

		memory[i] ^= 0x40;
		assert_int_equal(
			fill_check(SEED, ADDRESS + 3, memory, 1100, FILL_EXACT, &first), 1);
		assert_int_equal(first, i);
		memory[i] ^= 0x40;
	}
	free(memory);
}

static void test_first_of_many_is_reported(void **state)
{
	unsigned char *memory = filled(ADDRESS, LEN);
	size_t first = 0;

	(void)state;
	memory[700] ^= 1;
	memory[2000] ^= 1;
	memory[LEN - 1] ^= 1;
	assert_int_equal(fill_check(SEED, ADDRESS, memory, LEN, FILL_EXACT, &first), 3);
	assert_int_equal(first, 700);
	free(memory);
}

/* Zeros, another seed, the next page and a shift by one word are all told from the right bytes. */
static void test_what_is_not_the_fill(void **state)
{
	unsigned char *memory = filled(ADDRESS, LEN);
	unsigned char *zeros = calloc(1, LEN);
	size_t first;

	(void)state;
	assert_non_null(zeros);
	assert_true(fill_check(SEED, ADDRESS, zeros, LEN, FILL_EXACT, &first) > LEN * 9 / 10);
	assert_true(fill_check(SEED + 1, ADDRESS, memory, LEN, FILL_EXACT, &first) > LEN * 9 / 10);
	assert_true(
		fill_check(SEED, ADDRESS + 4096, memory, LEN, FILL_EXACT, &first) > LEN * 9 / 10);
	assert_true(fill_check(SEED, ADDRESS + 8, memory, LEN, FILL_EXACT, &first) > LEN * 9 / 10);
	free(memory);
	free(zeros);
}

static void test_or_zero(void **state)
{
	unsigned char *memory = filled(ADDRESS, LEN);
	size_t first = 0;

	(void)state;
	memset(memory + 4096, 0, 4096);
	assert_int_equal(fill_check(SEED, ADDRESS, memory, LEN, FILL_OR_ZERO, &first), 0);
	memory[5000] = (unsigned char)(fill_byte(SEED, ADDRESS + 5000) ^ 0xff);
	if (memory[5000] == 0)
		memory[5000] = 1;
	assert_int_equal(fill_check(SEED, ADDRESS, memory, LEN, FILL_OR_ZERO, &first), 1);
	assert_int_equal(first, 5000);
	free(memory);
}

static void test_secret(void **state)
{
	unsigned char memory[3 * FILL_SECRET_BYTES + 5], other[FILL_SECRET_BYTES];

	(void)state;
	fill_secret_write(SEED, memory, sizeof(memory));
	fill_secret_write(SEED + 1, other, sizeof(other));
	assert_memory_equal(memory, "SECRET-", 7);
	assert_memory_equal(memory, memory + FILL_SECRET_BYTES, FILL_SECRET_BYTES);
	assert_memory_not_equal(memory, other, FILL_SECRET_BYTES);
	assert_int_equal(memory[FILL_SECRET_BYTES - 1], '\n');
	for (size_t i = 0; i < sizeof(memory); i++)
		assert_int_equal(memory[i], fill_secret_byte(SEED, i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words_never_change),
		cmocka_unit_test(test_any_alignment),
		cmocka_unit_test(test_one_wrong_byte),
		cmocka_unit_test(test_first_of_many_is_reported),
		cmocka_unit_test(test_what_is_not_the_fill),
		cmocka_unit_test(test_or_zero),
		cmocka_unit_test(test_secret),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("leaker_fill", tests, NULL, NULL);
}
