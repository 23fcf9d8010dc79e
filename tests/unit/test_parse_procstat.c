// SPDX-License-Identifier: Apache-2.0
/*
 * stat, status and syscall of a process: names that try to look like fields, namespaces, cut texts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "parse/procstat.h"

#define STAT_REST                                                                    \
	" S 1 77 66 0 -1 4194304 5 6 7 8 11 12 13 14 20 -5 3 0 123456 8192 250 "     \
	"18446744073709551615 1 2 140737488350000 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 " \
	"1 2 3 4 5 6 7 20\n"

static void check_stat(const char *comm, const char *expected)
{
	char text[1024];
	struct procstat s;

	(void)snprintf(text, sizeof(text), "42 (%s)%s", comm, STAT_REST);
	assert_true(procstat_parse(text, strlen(text), &s));
	assert_string_equal(expected, s.comm);
	assert_int_equal(42, s.pid);
	assert_int_equal('S', s.state);
	assert_int_equal(1, s.ppid);
	assert_int_equal(77, s.pgrp);
	assert_int_equal(66, s.session);
	assert_int_equal(4194304, s.flags);
	assert_int_equal(11, s.utime_ticks);
	assert_int_equal(14, s.cstime_ticks);
	assert_int_equal(-5, s.nice);
	assert_int_equal(3, s.threads);
	assert_int_equal(123456, s.start_time_ticks);
	assert_int_equal(250, s.rss_pages);
	assert_int_equal(140737488350000, s.stack_start);
	assert_int_equal(20, s.exit_code);
}

static void test_stat(void **state)
{
	char huge[200];

	(void)state;
	check_stat("sleep", "sleep");
	check_stat("", "");
	check_stat("a) R 9 9 9 (b", "a) R 9 9 9 (b");
	check_stat(")))", ")))");
	check_stat("new\nline \xff", "new\nline \xff");
	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	{
		char expected[PROCSTAT_COMM_MAX];

		memset(expected, 'x', sizeof(expected) - 1);
		expected[sizeof(expected) - 1] = '\0';
		check_stat(huge, expected);
	}
}

/* Every prefix that lacks a field is refused; none is half believed. */
static void test_stat_cut(void **state)
{
	static const char text[] = "42 (x)" STAT_REST;
	size_t whole = (size_t)(strstr(text, "140737488350000") - text);
	struct procstat s = {.pid = -1};

	(void)state;
	for (size_t len = 0; len <= whole; len++)
		assert_false(procstat_parse(text, len, &s));
	assert_int_equal(-1, s.pid);
	/* What comes behind them may be missing. */
	assert_true(procstat_parse(text, strlen(text) - 3, &s));
	assert_int_equal(0, s.exit_code);
	assert_false(procstat_parse("x (y)" STAT_REST, strlen("x (y)" STAT_REST), &s));
	assert_false(procstat_parse("42 y" STAT_REST, strlen("42 y" STAT_REST), &s));
}

static const char status_text[] = "Name:\ta\\nTracerPid:\\t9\n"
				  "Umask:\t0022\n"
				  "State:\tt (tracing stop)\n"
				  "Tgid:\t4000\n"
				  "Ngid:\t0\n"
				  "Pid:\t4001\n"
				  "PPid:\t1\n"
				  "TracerPid:\t77\n"
				  "Uid:\t1001\t1002\t1003\t1004\n"
				  "Gid:\t501\t502\t503\t504\n"
				  "FDSize:\t64\n"
				  "Groups:\t1 2 3 \n"
				  "NStgid:\t4000\t7\n"
				  "NSpid:\t4001\t8\n"
				  "NSpgid:\t4000\t7\n"
				  "NSsid:\t4000\t1\n"
				  "VmRSS:\t  1024 kB\n"
				  "VmSwap:\t     12 kB\n"
				  "Threads:\t2\n"
				  "SigPnd:\t0000000000000100\n"
				  "SigBlk:\tffffffff00000000\n";

static void test_status(void **state)
{
	struct procstatus s;

	(void)state;
	assert_true(procstatus_parse(status_text, strlen(status_text), &s));
	assert_int_equal('t', s.state);
	assert_int_equal(4000, s.tgid);
	assert_int_equal(77, s.tracer_pid);
	assert_int_equal(8, s.ns_pid);
	assert_int_equal(7, s.ns_pgid);
	assert_int_equal(1, s.ns_sid);
	assert_int_equal(2, s.ns_levels);
	assert_int_equal(1001, s.uid);
	assert_int_equal(501, s.gid);
	assert_int_equal(2, s.threads);
	assert_int_equal(1024 * 1024, s.rss_bytes);
	assert_int_equal(12 * 1024, s.swap_bytes);
	assert_int_equal(0x100, s.signals_pending);
	assert_int_equal(0xffffffff00000000, s.signals_blocked);
}

static void test_status_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"State:\tS\nTgid:\t1\nUid:\t0\n",
		"State:\t\nTgid:\t1\nUid:\t0\nGid:\t0\n",
		"State:\tS\nTgid:\tx\nUid:\t0\nGid:\t0\n",
		"State:\tS\nTgid:\t99999999999\nUid:\t0\nGid:\t0\n",
		"State:\tS\nTgid:\t1\nUid:\t0\nGid:\t0\nVmSwap:\t99999999999999999999 kB\n",
		"State:\tS\nTgid:\t1\nUid:\t0\nGid:\t0\nNSpid:\t\n",
	};
	struct procstatus s = {.tgid = -1};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (procstatus_parse(bad[i], strlen(bad[i]), &s))
			fail_msg("accepted: %s", bad[i]);
	assert_int_equal(-1, s.tgid);
}

static void test_syscall(void **state)
{
	static const char in_call[] =
		"230 0x0 0x0 0x7ffd 0x7ffe 0x7fff 0x0 0x7ffd2001cd98 0x7f7c795ae503\n";
	static const char *const bad[] = {"", "\n", "run", "230 0x0 0x0 0x7ffd 0x1 0x2",
		"-1 7ffd 0x7f", "-1 0x1 0x2 0x3", "-1 0x1 0x11111111111111111"};
	struct procsyscall s;

	(void)state;
	assert_true(procsyscall_parse(in_call, strlen(in_call), &s));
	assert_false(s.running);
	assert_int_equal(0x7ffd2001cd98, s.sp);
	assert_int_equal(0x7f7c795ae503, s.pc);
	assert_true(procsyscall_parse("running\n", 8, &s));
	assert_true(s.running);
	assert_true(procsyscall_parse("-1 0x10 0x20", 12, &s));
	assert_int_equal(0x10, s.sp);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (procsyscall_parse(bad[i], strlen(bad[i]), &s))
			fail_msg("accepted: %s", bad[i]);
}

static size_t read_own(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, text, size);
	assert_true(n > 0);
	(void)close(fd);
	return (size_t)n;
}

static void test_own(void **state)
{
	char text[8192];
	struct procstat stat;
	struct procstatus status;
	size_t len = read_own("/proc/self/stat", text, sizeof(text));

	(void)state;
	assert_true(procstat_parse(text, len, &stat));
	assert_int_equal(getpid(), stat.pid);
	len = read_own("/proc/self/status", text, sizeof(text));
	assert_true(procstatus_parse(text, len, &status));
	assert_int_equal(getpid(), status.tgid);
	assert_int_equal(getuid(), status.uid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stat),
		cmocka_unit_test(test_stat_cut),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_status_refused),
		cmocka_unit_test(test_syscall),
		cmocka_unit_test(test_own),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
