// SPDX-License-Identifier: Apache-2.0
/*
 * Whether the machine is short of memory: the two thresholds, and texts that say nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "os/node.h"

static bool is_short(const char *meminfo, const char *pressure)
{
	size_t m = strlen(meminfo);
	size_t p = pressure ? strlen(pressure) : 0;
	char *copy = malloc(m ? m : 1); /* not terminated, so that a sanitizer sees an overrun */
	bool answer;

	assert_non_null(copy);
	memcpy(copy, meminfo, m);
	answer = node_is_short_in(copy, m, pressure, p);
	free(copy);
	return answer;
}

#define AT_EASE                         \
	"MemTotal:       10000000 kB\n" \
	"MemFree:            1000 kB\n" \
	"MemAvailable:    5000000 kB\n" \
	"Buffers:               0 kB\n"
#define PRESSURE(full)                                      \
	"some avg10=99.00 avg60=0.00 avg300=0.00 total=1\n" \
	"full avg10=" full " avg60=0.00 avg300=0.00 total=1\n"

static void test_available(void **state)
{
	(void)state;
	assert_false(is_short(AT_EASE, NULL));
	/* 2% of 10,000,000 kB. */
	assert_false(is_short("MemTotal: 10000000 kB\nMemAvailable: 200000 kB\n", NULL));
	assert_true(is_short("MemTotal: 10000000 kB\nMemAvailable: 199999 kB\n", NULL));
	assert_true(is_short("MemAvailable: 0 kB\nMemTotal: 10000000 kB\n", NULL));
}

static void test_pressure(void **state)
{
	(void)state;
	assert_false(is_short(AT_EASE, PRESSURE("39.99")));
	assert_true(is_short(AT_EASE, PRESSURE("40.00")));
	assert_true(is_short("", PRESSURE("40.00")));
	assert_true(is_short("MemTotal: 10000000 kB\nMemAvailable: 1 kB\n", PRESSURE("0.00")));
}

/* What cannot be read is no shortage: the shield would go down for nothing. */
static void test_unreadable(void **state)
{
	(void)state;
	assert_false(is_short("", NULL));
	assert_false(is_short("", ""));
	assert_false(is_short("MemTotal: 10000000 kB\n", NULL));
	assert_false(is_short("MemAvailable: 1 kB\n", NULL));
	assert_false(is_short("XMemTotal: 10000000 kB\nXMemAvailable: 1 kB\n", NULL));
	assert_false(is_short("MemTotal:", NULL));
	assert_false(is_short("MemTotal: 10000000 kB\nMemAvailable:", NULL));
	assert_false(is_short("MemTotal: 10000000 kB\nMemAvailable: kB\n", NULL));
	assert_false(is_short(AT_EASE, "some avg10=99.00\n"));
	assert_false(is_short(AT_EASE, "nonsense"));
}

static void test_extremes(void **state)
{
	(void)state;
	assert_true(
		is_short("MemTotal: 99999999999999999999999 kB\nMemAvailable: 1000000 kB\n", NULL));
	assert_false(is_short(
		"MemTotal: 10000000 kB\nMemAvailable: 99999999999999999999999 kB\n", NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_available),
		cmocka_unit_test(test_pressure),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_extremes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
