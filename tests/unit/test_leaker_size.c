// SPDX-License-Identifier: Apache-2.0
/*
 * Numbers, sizes and rates: what is taken, what is refused, and where the edges are.
 */
#include "leaker/size.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define UNTOUCHED UINT64_C(0xabcdef)

struct row {
	const char *text;
	int result;
	uint64_t value;
};

static void check(int (*parse)(const char *, uint64_t *), const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t value = UNTOUCHED;
		int r = parse(rows[i].text, &value);

		if (r != rows[i].result)
			fail_msg("\"%s\": %d, not %d", rows[i].text, r, rows[i].result);
		assert_int_equal(value, r == SIZE_OK ? rows[i].value : UNTOUCHED);
	}
}

#define CHECK(parse, rows) check(parse, rows, sizeof(rows) / sizeof((rows)[0]))

static void test_number(void **state)
{
	static const struct row rows[] = {
		{"0", SIZE_OK, 0},
		{"007", SIZE_OK, 7},
		{"18446744073709551615", SIZE_OK, UINT64_MAX},
		{"18446744073709551616", SIZE_TOO_BIG, 0},
		{"99999999999999999999999", SIZE_TOO_BIG, 0},
		{"0x10", SIZE_OK, 16},
		{"0Xff", SIZE_OK, 255},
		{"0xFFFFFFFFFFFFFFFF", SIZE_OK, UINT64_MAX},
		{"0x10000000000000000", SIZE_TOO_BIG, 0},
		{"", SIZE_MALFORMED, 0},
		{"0x", SIZE_MALFORMED, 0},
		{"-1", SIZE_MALFORMED, 0},
		{"+1", SIZE_MALFORMED, 0},
		{" 1", SIZE_MALFORMED, 0},
		{"1 ", SIZE_MALFORMED, 0},
		{"1K", SIZE_MALFORMED, 0},
		{"a", SIZE_MALFORMED, 0},
	};

	(void)state;
	CHECK(size_parse_number, rows);
}

static void test_size(void **state)
{
	static const struct row rows[] = {
		{"0", SIZE_OK, 0},
		{"4096", SIZE_OK, 4096},
		{"4K", SIZE_OK, 4096},
		{"4k", SIZE_OK, 4096},
		{"64M", SIZE_OK, UINT64_C(64) << 20},
		{"3g", SIZE_OK, UINT64_C(3) << 30},
		{"64T", SIZE_OK, UINT64_C(64) << 40},
		{"16777215T", SIZE_OK, UINT64_C(16777215) << 40},
		{"16777216T", SIZE_TOO_BIG, 0},
		{"18446744073709551616K", SIZE_TOO_BIG, 0},
		{"", SIZE_MALFORMED, 0},
		{"M", SIZE_MALFORMED, 0},
		{"1MB", SIZE_MALFORMED, 0},
		{"1 M", SIZE_MALFORMED, 0},
		{"1P", SIZE_MALFORMED, 0},
		{"1.5G", SIZE_MALFORMED, 0},
		{"0x10", SIZE_MALFORMED, 0},
		{"-4K", SIZE_MALFORMED, 0},
	};

	(void)state;
	CHECK(size_parse, rows);
}

static void test_rate(void **state)
{
	static const struct row rows[] = {
		{"max", SIZE_OK, SIZE_RATE_MAX},
		{"10", SIZE_OK, 10 * SIZE_MB},
		{"0.5", SIZE_OK, SIZE_MB / 2},
		{"0.25", SIZE_OK, SIZE_MB / 4},
		{"2.125", SIZE_OK, 2 * SIZE_MB + SIZE_MB / 8},
		{"0.001", SIZE_OK, SIZE_MB / 1000},
		{"1000000", SIZE_OK, 1000000 * SIZE_MB},
		{"1000001", SIZE_TOO_BIG, 0},
		{"99999999999999999999", SIZE_TOO_BIG, 0},
		{"0", SIZE_MALFORMED, 0},
		{"0.0", SIZE_MALFORMED, 0},
		{"", SIZE_MALFORMED, 0},
		{".5", SIZE_MALFORMED, 0},
		{"1.", SIZE_MALFORMED, 0},
		{"1.0001", SIZE_MALFORMED, 0},
		{"1.5M", SIZE_MALFORMED, 0},
		{"10MB", SIZE_MALFORMED, 0},
		{"MAX", SIZE_MALFORMED, 0},
		{"maximum", SIZE_MALFORMED, 0},
		{"-1", SIZE_MALFORMED, 0},
		{"1e3", SIZE_MALFORMED, 0},
	};

	(void)state;
	CHECK(size_parse_rate, rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_rate),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("leaker_size", tests, NULL, NULL);
}
