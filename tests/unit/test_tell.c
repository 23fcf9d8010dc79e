// SPDX-License-Identifier: Apache-2.0
/*
 * What the watchdog says, against what the catalog promises: every field that an entry of
 * conf/oomsnap.catalog names (@OOMSNAP_X@) is one that its event is sent with. Each function of
 * tell.c speaks once about a made-up target, in each of its forms, as JSON lines into a file, from
 * which the fields of each event are collected.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "event.h"
#include "os/cgroup_ops.h"
#include "watch.h"

#define CATALOG "conf/oomsnap.catalog"
#define TEXT_MAX (1 << 18)

static struct watch watch;
static struct config config;
static char said[TEXT_MAX]; /* JSON lines */
static char catalog[TEXT_MAX];

static void read_all(int fd, char *text)
{
	ssize_t n = pread(fd, text, TEXT_MAX - 1, 0);

	assert_true(n > 0);
	text[n] = '\0';
}

static void make_target(struct target *t, struct config_target *c)
{
	t->watch = &watch;
	t->config = c;
	(void)strcpy(c->name, "web");
	c->selector.kind = SELECTOR_UNIT;
	(void)strcpy(c->selector.value, "web.service");
	t->open = true;
	t->cgroup.ops = &cgroup_v2_ops;
	t->cgroup.levels = 1;
	(void)strcpy(t->cgroup.level[0].path, "/sys/fs/cgroup/web");
	t->pressure.source = PSI_TARGET;
	t->engine.last.limit_bytes = 64 << 20;
	t->engine.last.current_bytes = 60 << 20;
	t->engine.thresholds.arm_bytes = 48 << 20;
	t->engine.thresholds.trip_bytes = 58 << 20;
	t->guarantee.guarantee = GUARANTEE_BEST_EFFORT;
	t->guarantee.why = "why";
	t->guarantee.mend = "mend";
	t->record.trip_ns = 1;
	t->record.held_ns = 2;
	t->record.released_ns = 3;
	t->hold_error = -EPERM;
}

static void speak_of_the_target(struct target *t)
{
	struct engine_action action = {.kind = ENGINE_ACTION_REPORT, .bytes = 32 << 20};

	tell_found(t);
	t->pressure = (struct psi_trigger){.source = PSI_NONE, .error = -EPERM};
	tell_found(t);
	tell_guarantee(t);
	for (int i = 0; i < ENGINE_REPORT_COUNT; i++) {
		action.report = (enum engine_report)i;
		tell_report(t, &action);
	}
	t->engine.captured = true; /* killed, and not lost */
	action.report = ENGINE_REPORT_LOST;
	tell_report(t, &action);
	tell_capture_failed(t, 1, 7, "no room");
	tell_degraded(t, "memory.high", -EROFS, "mend it");
	tell_degraded(NULL, "journal", CGROUP_UNSUPPORTED, "mend it");
	tell_place_refused("/var/lib/oomsnap", "/var/lib/oomsnap is writable by others");
	tell_error(t, "cgroup files", -EIO, "they cannot be read");
	tell_command(t, "on_arm", 7, 0);
	tell_command(t, "on_arm", 7, -SIGKILL);
	tell_prolonged(t);
	tell_stopped_early(t);
	tell_records_lost(7);
	tell_gone(t);
}

/* Where these stand in the ledger after a release that had that error. */
static void speak_of_what_is_left(struct target *t, uint32_t kinds, int error)
{
	struct engine_action action = {
		.kind = ENGINE_ACTION_REPORT, .report = ENGINE_REPORT_UNDO_PENDING};
	struct ledger *l = &t->watch->ledger;
	char path[64];

	for (int kind = 0; kind < LEDGER_KIND_COUNT; kind++) {
		(void)snprintf(path, sizeof(path), "/tmp/test_tell.none/%d", kind);
		if (kinds & LEDGER_BIT(kind))
			assert_int_equal(ledger_note_file(l, t->index, kind, path, "0"), 0);
	}
	t->undo_error = error;
	tell_report(t, &action);
	(void)ledger_undo(l, t->index, LEDGER_EVERYTHING, NULL); /* none of them is there */
	assert_int_equal(ledger_count(l, t->index, LEDGER_EVERYTHING), 0);
}

static void speak_of_the_runtime(struct target *t)
{
	int aborted = SIGABRT;
	int status = 3 << 8; /* exit(3) */

	t->managed.facts = (struct runtime_facts){.kind = RUNTIME_DOTNET, .pid = 9};
	t->managed.rule = (struct runtime_rule){
		.heap_bytes = 48 << 20, .trip_bytes = 45 << 20, .why = "a rule"};
	t->managed.used_bytes = 49 << 20;
	tell_runtime_found(t);
	tell_runtime_died(t, &aborted);
	tell_runtime_died(t, &status);
	tell_runtime_died(t, NULL);
}

static void speak_of_ourselves(void)
{
	struct crew_member m = {.watch = &watch, .target = &watch.target[0], .pid = 8};

	tell_started(&watch);
	(void)strcpy(m.record.target, "web");
	(void)strcpy(m.result.path, "/var/lib/oomsnap/web");
	(void)strcpy(m.result.core_path, "/var/lib/oomsnap/web/core");
	(void)strcpy(m.result.comm, "web");
	(void)strcpy(m.why, "space");
	m.result.pid = 7;
	m.result.skipped_bytes = 4096;
	m.result.status = CAPTURE_OK;
	tell_captured(&m);
	m.result.status = CAPTURE_PARTIAL;
	tell_captured(&m);
	tell_crew_restarted(&m, "it crashed");
	tell_guardian_restarted(&watch);
	tell_recovered(2, 0);
	tell_recovered(1, 1);
	(void)strcpy(config.path, "/etc/oomsnap/oomsnap.ini");
	tell_reload(&watch, NULL);
	tell_reload(&watch, "/etc/oomsnap/oomsnap.ini:3: bad");
	tell_stopping(&watch);
}

static int set_up(void **state)
{
	_cleanup_close_ int lines = memfd_create("events", MFD_CLOEXEC);
	_cleanup_close_ int file = open(CATALOG, O_RDONLY | O_CLOEXEC);
	static struct config_target targets[1];
	struct event_options o = {.sink = EVENT_SINK_JSON, .fd = lines};
	char dir[] = "/tmp/test_tell.XXXXXX";
	int why;

	(void)state;
	assert_true(file >= 0); /* run from the top of the repository */
	read_all(file, catalog);
	assert_non_null(mkdtemp(dir));
	assert_int_equal(ledger_open(dir, &watch.ledger, &why), 0);
	watch.config = &config;
	watch.target_count = 1;
	make_target(&watch.target[0], &targets[0]);
	assert_int_equal(event_open(&o), 0);
	speak_of_the_target(&watch.target[0]);
	speak_of_what_is_left(&watch.target[0], LEDGER_BIT(LEDGER_LEASE), -EBUSY);
	speak_of_what_is_left(&watch.target[0], LEDGER_BIT(LEDGER_LEASE), -EROFS);
	speak_of_what_is_left(
		&watch.target[0], LEDGER_BIT(LEDGER_LEASE) | LEDGER_BIT(LEDGER_FREEZE), -EIO);
	watch.target[0].leased = true; /* the lease is to stay */
	speak_of_what_is_left(
		&watch.target[0], LEDGER_BIT(LEDGER_LEASE) | LEDGER_BIT(LEDGER_SHIELD), -EIO);
	watch.target[0].leased = false;
	speak_of_the_runtime(&watch.target[0]);
	speak_of_ourselves();
	event_close();
	read_all(lines, said);
	ledger_close(&watch.ledger);
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

/* Whether some line of that event holds "NAME": with something in it. */
static bool was_sent(enum event_id id, const char *name)
{
	char event[96];
	char field[96];

	(void)snprintf(event, sizeof(event), "\"OOMSNAP_EVENT\":\"%s\"", event_name(id));
	(void)snprintf(field, sizeof(field), "\"%s\":", name);
	for (const char *line = said; *line;) {
		const char *end = strchr(line, '\n');
		const char *is_event = strstr(line, event);
		const char *has = strstr(line, field);

		assert_non_null(end);
		if (is_event && is_event < end && has && has < end)
			return true;
		line = end + 1;
	}
	return false;
}

static void test_every_event_is_sent(void **state)
{
	(void)state;
	for (int i = 0; i < EVENT_COUNT; i++) {
		if (!was_sent((enum event_id)i, "MESSAGE"))
			fail_msg("%s is not sent", event_name((enum event_id)i));
	}
}

/* The fields that the entry of an event names; returns how many. */
static int check_entry(enum event_id id)
{
	char head[64];
	const char *at;
	const char *end;
	int count = 0;

	(void)snprintf(head, sizeof(head), "\n-- %s\n", event_message_id(id));
	at = strstr(catalog, head);
	assert_non_null(at);
	at += strlen(head);
	end = strstr(at, "\n-- ");
	if (!end)
		end = at + strlen(at);
	while ((at = strchr(at, '@')) != NULL && at < end) {
		const char *close = strchr(at + 1, '@');
		char name[64];

		assert_non_null(close);
		assert_true(close < end && close - at - 1 < (ptrdiff_t)sizeof(name));
		memcpy(name, at + 1, (size_t)(close - at - 1));
		name[close - at - 1] = '\0';
		if (!was_sent(id, name))
			fail_msg(CATALOG ": %s names %s, which it is not sent with", event_name(id),
				name);
		at = close + 1;
		count++;
	}
	return count;
}

static void test_the_catalog_names_what_is_sent(void **state)
{
	int count = 0;

	(void)state;
	for (int i = 0; i < EVENT_COUNT; i++)
		count += check_entry((enum event_id)i);
	assert_true(count > 30); /* or the catalog was not understood */
}

static void test_a_limit_that_changed_has_both(void **state)
{
	(void)state;
	assert_non_null(strstr(said, "\"OOMSNAP_OLD_LIMIT_BYTES\":33554432"));
	assert_non_null(strstr(said, "the effective limit is 64 MiB now, after 32 MiB"));
}

/* The ways in which the kernel's pressure can fail to call are told with their errno. */
static void test_which_pressure_is_told(void **state)
{
	(void)state;
	assert_non_null(strstr(said, "\"OOMSNAP_PRESSURE\":\"target\""));
	assert_non_null(strstr(said, "\"OOMSNAP_PRESSURE\":\"none\",\"OOMSNAP_ERRNO\":1"));
}

/* Of a limit alone nothing stands still; else what is left is named, and what that means. */
static void test_what_could_not_be_undone(void **state)
{
	(void)state;
	assert_non_null(strstr(said, "\"a raised limit cannot be lowered yet, as more is used: "));
	assert_non_null(strstr(said, "lowered (Read-only file system): the target runs, "));
	assert_non_null(strstr(said,
		"not undone yet: lease, freeze (Input/output error): the target may stand "
		"still, "));
	assert_non_null(
		strstr(said, "not undone yet: shield (Input/output error): the target runs, "));
	assert_non_null(strstr(said, "\"OOMSNAP_OBJECT\":\"lease, freeze\""));
}

static void test_how_a_runtime_ended(void **state)
{
	(void)state;
	assert_non_null(strstr(said, "\"OOMSNAP_EXIT_STATUS\":-6"));
	assert_non_null(strstr(said, "dotnet ended by signal 6 (exit code 134) at its own limit"));
	assert_non_null(strstr(said, "with exit code 3"));
	assert_non_null(strstr(said, "with a status that this kernel does not tell"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_event_is_sent),
		cmocka_unit_test(test_the_catalog_names_what_is_sent),
		cmocka_unit_test(test_a_limit_that_changed_has_both),
		cmocka_unit_test(test_which_pressure_is_told),
		cmocka_unit_test(test_what_could_not_be_undone),
		cmocka_unit_test(test_how_a_runtime_ended),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, NULL);
}
