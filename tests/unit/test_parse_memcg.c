// SPDX-License-Identifier: Apache-2.0
/*
 * Numbers of cgroup and pressure files: as kernels write them, and as nobody should.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "parse/memcg.h"

/* Runs on a copy that ends at the last byte, so that a sanitizer sees a read behind it. */
static char *exact(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, text, len);
	return copy;
}

static bool value(const char *text, uint64_t *ret)
{
	char *copy = exact(text, strlen(text));
	bool ok = parse_memcg_value(copy, strlen(text), ret);

	free(copy);
	return ok;
}

static void test_value(void **state)
{
	static const char *const bad[] = {"", "\n", "max\n\n", "maxx", "ma", "1\n\n", " 1", "1 ",
		"-1", "+1", "0x10", "1k", "1 2", "18446744073709551616", "99999999999999999999999"};
	uint64_t v = 42;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (value(bad[i], &v))
			fail_msg("accepted: %s", bad[i]);
	assert_int_equal(42, v);
	assert_true(value("0\n", &v));
	assert_int_equal(0, v);
	assert_true(value("1073741824", &v));
	assert_int_equal(1073741824, v);
	assert_true(value("max\n", &v));
	assert_int_equal(UINT64_MAX, v);
	assert_true(value("max", &v));
	assert_int_equal(UINT64_MAX, v);
	v = 0;
	assert_true(value("9223372036854771712\n", &v)); /* no limit on v1 with 4 KiB pages */
	assert_int_equal(UINT64_MAX, v);
	v = 0;
	assert_true(value("18446744073709551615\n", &v));
	assert_int_equal(UINT64_MAX, v);
	assert_true(value("9223372036853727231\n", &v));
	assert_int_equal(MEMCG_V1_UNLIMITED - 1, v);
}

static bool keyed(const char *text, const char *key, uint64_t *ret)
{
	char *copy = exact(text, strlen(text));
	bool ok = parse_keyed_u64(copy, strlen(text), key, ret);

	free(copy);
	return ok;
}

static void test_keyed(void **state)
{
	static const char events[] = "low 0\nhigh 12\nmax 3\noom 4\noom_kill 5\noom_group_kill 6\n";
	uint64_t v = 42;

	(void)state;
	assert_true(keyed(events, "oom", &v));
	assert_int_equal(4, v);
	assert_true(keyed(events, "oom_kill", &v));
	assert_int_equal(5, v);
	assert_true(keyed(events, "low", &v));
	assert_int_equal(0, v);
	assert_true(keyed(events, "oom_group_kill", &v));
	assert_int_equal(6, v);
	v = 42;
	assert_false(keyed(events, "kill", &v));
	assert_false(keyed(events, "oom_", &v));
	assert_false(keyed("", "oom", &v));
	assert_false(keyed("oom", "oom", &v));
	assert_false(keyed("oom ", "oom", &v));
	assert_false(keyed("oom \n", "oom", &v));
	assert_false(keyed("oom x\n", "oom", &v));
	assert_false(keyed("oom 1x\n", "oom", &v));
	assert_false(keyed("oom 1 \n", "oom", &v));
	assert_false(keyed("oom -1\n", "oom", &v));
	assert_false(keyed("oom  1\n", "oom", &v));
	assert_false(keyed("oom\t1\n", "oom", &v));
	assert_false(keyed("xoom 1\n", "oom", &v));
	assert_false(keyed("oom 18446744073709551616\n", "oom", &v));
	assert_int_equal(42, v);
	assert_true(keyed("x 1\noom 7", "oom", &v)); /* the last newline may be missing */
	assert_int_equal(7, v);
	assert_true(keyed("\n\noom 18446744073709551615\n", "oom", &v));
	assert_int_equal(UINT64_MAX, v);
}

static void test_cache(void **state)
{
	static const struct memcg_cache_keys keys = {
		"inactive_file", "active_file", "file_dirty", "file_writeback"};
	static const struct {
		const char *text;
		uint64_t expected;
	} cases[] = {
		{"inactive_file 7\n", 7},
		/* In use: stays used. */
		{"inactive_file 7\nactive_file 100\nfile_dirty 0\nfile_writeback 0\n", 7},
		/* A file written at full speed in a group of 64: seen on 6.18, for 15 ms. */
		{"inactive_file 2\nactive_file 57\nfile_dirty 0\nfile_writeback 60\n", 59},
		{"inactive_file 40\nactive_file 20\nfile_dirty 3\nfile_writeback 4\n", 47},
		{"inactive_file 40\nactive_file 20\nfile_dirty 20\nfile_writeback 20\n", 60},
		{"inactive_file 1\nactive_file 5\nfile_dirty 18446744073709551615\n"
		 "file_writeback 18446744073709551615\n",
			6},
		{"inactive_file 18446744073709551615\nactive_file 5\nfile_dirty 5\n"
		 "file_writeback 0\n",
			UINT64_MAX},
	};
	uint64_t v = 42;

	(void)state;
	assert_false(parse_memcg_cache("active_file 5\n", 14, &keys, &v));
	assert_int_equal(42, v);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *copy = exact(cases[i].text, strlen(cases[i].text));

		assert_true(parse_memcg_cache(copy, strlen(cases[i].text), &keys, &v));
		assert_int_equal(cases[i].expected, v);
		free(copy);
	}
}

static bool psi(const char *text, struct psi_averages *ret)
{
	char *copy = exact(text, strlen(text));
	bool ok = parse_psi(copy, strlen(text), ret);

	free(copy);
	return ok;
}

static void test_psi(void **state)
{
	struct psi_averages p = {1, 2};

	(void)state;
	assert_true(psi("some avg10=12.34 avg60=0.00 avg300=0.00 total=1\n"
			"full avg10=0.05 avg60=0.00 avg300=0.00 total=1\n",
		&p));
	assert_int_equal(1234, p.some_avg10_bp);
	assert_int_equal(5, p.full_avg10_bp);
	assert_true(psi("full avg10=100.00 avg60=0.00\nsome avg10=99.99 avg60=0.00\n", &p));
	assert_int_equal(9999, p.some_avg10_bp);
	assert_int_equal(10000, p.full_avg10_bp);
	assert_true(psi("some avg10=3.00", &p)); /* as /proc/pressure/cpu of old */
	assert_int_equal(300, p.some_avg10_bp);
	assert_int_equal(0, p.full_avg10_bp);
}

static void test_psi_refused(void **state)
{
	static const char *const bad[] = {"", "\n", "some", "some avg10=", "some avg10=1",
		"some avg10=1.", "some avg10=1.2", "some avg10=.12", "some avg10=x.00",
		"some avg10=-1.00", "some avg10=101.00", "some avg10=100.01 avg60=0.00",
		"some avg10=1.234 avg60=0.00", "some avg10=1.2x", "some  avg10=1.00",
		"some avg60=1.00 avg10=1.00", "xsome avg10=1.00", "full avg10=1.00\n",
		"some avg10=18446744073709551617.00"};
	struct psi_averages p = {1, 2};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (psi(bad[i], &p))
			fail_msg("accepted: %s", bad[i]);
	assert_int_equal(1, p.some_avg10_bp);
	assert_int_equal(2, p.full_avg10_bp);
}

/* Pids of text until the first refusal. */
static uint32_t pids(const char *text, int *ret, uint32_t max)
{
	char *copy = exact(text, strlen(text));
	const char *cursor = copy;
	const char *end = copy + strlen(text);
	uint32_t count = 0;

	while (count < max && parse_next_pid(&cursor, end, &ret[count]))
		count++;
	free(copy);
	return count;
}

static void test_pids(void **state)
{
	int p[8] = {0};

	(void)state;
	assert_int_equal(3, pids("1\n2147483647\n30\n", p, 8));
	assert_int_equal(1, p[0]);
	assert_int_equal(INT_MAX, p[1]);
	assert_int_equal(30, p[2]);
	assert_int_equal(1, pids("10\n20", p, 8)); /* 20 may be the beginning of 2048 */
	assert_int_equal(0, pids("", p, 8));
	assert_int_equal(0, pids("\n", p, 8));
	assert_int_equal(0, pids("0\n", p, 8)); /* a process of a namespace that we do not see */
	assert_int_equal(0, pids("-1\n", p, 8));
	assert_int_equal(0, pids("2147483648\n", p, 8));
	assert_int_equal(0, pids("99999999999999999999\n", p, 8));
	assert_int_equal(1, pids("7\n8 \n9\n", p, 8));
	assert_int_equal(7, p[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_value),
		cmocka_unit_test(test_keyed),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_psi),
		cmocka_unit_test(test_psi_refused),
		cmocka_unit_test(test_pids),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
