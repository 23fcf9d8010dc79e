// SPDX-License-Identifier: Apache-2.0
/* What --since takes, and the answers of `oomsnap events` that need no journal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/checked.h"
#include "cmd.h"
#include "cmd_events.h"
#include "exit_code.h"

#define NOW_US 1800000000000000ULL
#define UNTOUCHED 12345U

static void test_since(void **state)
{
	static const struct {
		const char *text;
		uint64_t us; /* UNTOUCHED: refused */
	} examples[] = {
		{"90s", NOW_US - 90000000},
		{"30m", NOW_US - 1800000000ULL},
		{"2h", NOW_US - 7200000000ULL},
		{"7d", NOW_US - 604800000000ULL},
		{"0s", NOW_US},
		{"@1700000000", 1700000000000000ULL},
		{"@0", 0},
		{"2026-01-31", 1769817600000000ULL},
		{"2026-01-31 13:30", 1769866200000000ULL},
		{"2026-01-31T13:30:05", 1769866205000000ULL},
		{"", UNTOUCHED},
		{"m", UNTOUCHED},
		{"30", UNTOUCHED},
		{"30min", UNTOUCHED},
		{"-30m", UNTOUCHED},
		{"999999999d", UNTOUCHED},
		{"99999999999999999999999999d", UNTOUCHED},
		{"@", UNTOUCHED},
		{"@99999999999999", UNTOUCHED},
		{"@-1", UNTOUCHED},
		{"1960-01-01", UNTOUCHED},
		{"2026-13-31", UNTOUCHED},
		{"2026-01-31 13:30 x", UNTOUCHED},
		{"yesterday", UNTOUCHED},
	};

	(void)state;
	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	tzset();
	for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
		uint64_t us = UNTOUCHED;
		bool taken = cmd_events_since(examples[i].text, NOW_US, &us);

		if (taken != (examples[i].us != UNTOUCHED) || us != examples[i].us)
			fail_msg("%s: %llu", examples[i].text, (unsigned long long)us);
	}
	/* A date is local time. */
	uint64_t us = 0;

	assert_int_equal(setenv("TZ", "UTC-2", 1), 0);
	tzset();
	assert_true(cmd_events_since("2026-01-31 13:30", NOW_US, &us));
	assert_true(us == 1769866200000000ULL - 7200000000ULL);
}

static int run(char *a, char *b)
{
	char name[] = "events";
	char *argv[] = {name, a, b, NULL};

	optind = 0; /* getopt(3): begin anew */
	return cmd_events(b ? 3 : a ? 2 : 1, argv);
}

static void test_usage(void **state)
{
	char since[] = "--since";
	char bad[] = "soon";
	char odd[] = "web";
	char option[] = "--nonsense";
	char directory[] = "-D";
	char nowhere[] = "/nonexistent/journal";
	char help[] = "--help";

	(void)state;
	assert_int_equal(run(since, bad), EXIT_CODE_USAGE);
	assert_int_equal(run(odd, NULL), EXIT_CODE_USAGE);
	assert_int_equal(run(option, NULL), EXIT_CODE_USAGE);
	assert_int_equal(run(directory, nowhere), EXIT_CODE_NO_TARGET);
	assert_int_equal(run(help, NULL), EXIT_CODE_OK);
}

/* A directory without journal files is told as such, not as an empty journal. */
static void test_no_journal_files(void **state)
{
	char directory[] = "/tmp/oomsnap-test-events-XXXXXX";
	char option[] = "-D";

	(void)state;
	assert_non_null(mkdtemp(directory));
	assert_int_equal(run(option, directory), EXIT_CODE_NO_TARGET);
	assert_int_equal(rmdir(directory), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_since),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_no_journal_files),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
