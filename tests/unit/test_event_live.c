// SPDX-License-Identifier: Apache-2.0
/*
 * Sends through the journal of the machine and reads back what it stored, where there is one that
 * we may read; tests/system/events.bats starts one and runs this program again. With an argument,
 * sends a record for coredumpctl: PID, executable and core, for the same file.
 */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"
#include "event.h"
#include "event_coredump.h"

#define WAIT_US 10000000ULL

/* The value of a field of the current entry, terminated, or "". */
static const char *value_of(sd_journal *j, const char *name)
{
	static char value[2048];
	size_t skip = strlen(name) + 1;
	const void *data;
	size_t len;

	value[0] = '\0';
	if (sd_journal_get_data(j, name, &data, &len) == 0 && len >= skip &&
		len - skip < sizeof(value)) {
		memcpy(value, (const char *)data + skip, len - skip);
		value[len - skip] = '\0';
	}
	return value;
}

static uint64_t monotonic_us(void)
{
	struct timespec now;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Waits until an entry with that target is stored. */
static void find(sd_journal *j, const char *target)
{
	uint64_t deadline = monotonic_us() + WAIT_US;
	char match[128];

	(void)snprintf(match, sizeof(match), "OOMSNAP_TARGET=%s", target);
	assert_int_equal(sd_journal_add_match(j, match, 0), 0);
	for (;;) {
		uint64_t now = monotonic_us();

		assert_int_equal(sd_journal_seek_head(j), 0);
		if (sd_journal_next(j) > 0)
			return;
		if (now >= deadline)
			fail_msg("the entry of %s did not arrive", target);
		assert_true(sd_journal_wait(j, deadline - now) >= 0);
	}
}

static void test_what_the_journal_stored(void **state)
{
	const struct event_options o = {.sink = EVENT_SINK_JOURNAL, .fd = STDERR_FILENO};
	char target[64];
	char pid[16];
	struct event_message *m;
	sd_journal *j = NULL;
	int r = event_open(&o);

	(void)state;
	if (r == -ENOENT || r == -ECONNREFUSED || geteuid() != 0) {
		print_message("# no journal here that we may read; the system scenario has one\n");
		skip();
	}
	assert_int_equal(r, 0);
	(void)snprintf(target, sizeof(target), "live-%d", (int)getpid());
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	m = event_begin(EVENT_LOST, target);
	event_field_str(m, EVENT_FIELD_COMM, "two\nlines");
	event_field_u64(m, EVENT_FIELD_OOM_KILLS, 1);
	event_send(m, "the kernel killed %s", "it");
	event_close();
	assert_int_equal(event_dropped(), 0);
	assert_true(sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY) >= 0);
	find(j, target);
	assert_string_equal(value_of(j, "MESSAGE"), "the kernel killed it");
	assert_string_equal(value_of(j, "MESSAGE_ID"), event_message_id(EVENT_LOST));
	assert_string_equal(value_of(j, "PRIORITY"), "2");
	assert_string_equal(value_of(j, "OOMSNAP_EVENT"), "lost");
	assert_string_equal(value_of(j, "OOMSNAP_COMM"), "two\\x0alines");
	assert_string_equal(value_of(j, "OOMSNAP_OOM_KILLS"), "1");
	assert_string_equal(value_of(j, "_PID"), pid);
	sd_journal_close(j);
}

/* coredump PID EXE CORE [partial]: what the system scenario asks coredumpctl about. */
static int send_coredump(int argc, char **argv)
{
	static char maps[600000]; /* more than a datagram takes */
	struct capture_result result = {.uid = 1001, .gid = 1001, .comm = "leaker"};
	struct event_coredump facts = {.result = &result,
		.target = "web",
		.cmdline = "leaker --pattern touch",
		.unit = "web.service",
		.proc_maps = {maps, sizeof(maps)}};

	if (argc < 5)
		return 2;
	memset(maps, 'm', sizeof(maps));
	result.status = argc > 5 ? CAPTURE_PARTIAL : CAPTURE_OK;
	result.pid = (pid_t)strtol(argv[2], NULL, 10);
	facts.exe = argv[3];
	(void)str_copy(result.core_path, sizeof(result.core_path), argv[4]);
	(void)str_copy(result.path, sizeof(result.path), argv[4]);
	return event_coredump(&facts, NULL) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_the_journal_stored),
	};

	if (argc > 1 && strcmp(argv[1], "coredump") == 0)
		return send_coredump(argc, argv);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
