// SPDX-License-Identifier: Apache-2.0
/*
 * Replays every tests/sim/NAME.trace through the engine and compares what it does with NAME.expect
 * beside it: for each event that leads to actions, the event without its sample and then the
 * actions, in the format of core/trace.h. Comments of either file say what is to be seen there and
 * are not compared.
 *
 * usage: sim_trace [DIR]   (default: tests/sim below the working directory)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/trace.h"

#define LINE_MAX_BYTES 1024
#define TEXT_MAX 65536
#define TRACES_MAX 64

/* Appends a line and its newline. */
static void put(struct str *s, const struct trace_line *line)
{
	assert_true(trace_write(s, line));
	assert_true(str_add_char(s, '\n'));
}

static void replay_event(struct engine *e, const struct policy *policy,
	const struct trace_line *line, struct str *out)
{
	struct trace_line head = {.kind = TRACE_EVENT, .at_ns = line->at_ns};
	struct engine_actions actions;

	engine_step(e, policy, &line->event, line->at_ns, &actions);
	if (actions.count == 0)
		return;
	head.event.kind = line->event.kind;
	head.event.ok = line->event.ok;
	head.event.more = line->event.more;
	head.event.auto_bytes = SIZE_UNLIMITED;
	head.event.sample.limit_bytes = SIZE_UNLIMITED;
	put(out, &head);
	for (uint32_t i = 0; i < actions.count; i++) {
		struct trace_line l = {.kind = TRACE_ACTION};

		l.action = actions.action[i];
		put(out, &l);
	}
}

static bool next_line(FILE *file, const char *path, struct trace_line *ret)
{
	static unsigned int number;
	char text[LINE_MAX_BYTES];
	int r;

	if (ftell(file) == 0)
		number = 0;
	while (fgets(text, sizeof(text), file)) {
		number++;
		r = trace_read(text, strcspn(text, "\n"), ret);
		if (r == TRACE_BAD)
			fail_msg("%s:%u: not a line of a trace: %s", path, number, text);
		if (r == 0)
			return true;
	}
	assert_false(ferror(file));
	return false;
}

static void replay(const char *path, struct str *out)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	struct trace_line line;
	struct policy policy = {0};
	struct engine e;
	bool begun = false;
	bool has_policy = false;
	uint64_t last_ns = 0;

	assert_non_null(file);
	while (next_line(file, path, &line)) {
		switch (line.kind) {
		case TRACE_POLICY:
			policy = line.policy;
			has_policy = true;
			break;
		case TRACE_MEANS:
			engine_init(&e, &line.means);
			begun = true;
			break;
		case TRACE_EVENT:
			if (!begun || !has_policy || line.at_ns < last_ns)
				fail_msg("%s: an event before means and policy, or before the "
					 "last one",
					path);
			last_ns = line.at_ns;
			replay_event(&e, &policy, &line, out);
			break;
		case TRACE_ACTION:
		case TRACE_KIND_COUNT:
			fail_msg("%s: an action is no input", path);
		}
	}
	assert_true(last_ns > 0);
}

/* The lines of an expectation, in one spelling. */
static void read_expected(const char *path, struct str *out)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	struct trace_line line;

	if (!file)
		return; /* then nothing is expected, and what came is printed */
	while (next_line(file, path, &line))
		put(out, &line);
}

/* Prints both where they part, and all that came. */
static void complain(const char *path, const char *expected, const char *got)
{
	size_t same = 0;
	size_t line = 0;

	for (; expected[same] && expected[same] == got[same]; same++)
		if (got[same] == '\n')
			line = same + 1;
	print_message("# expected: %.*s\n", (int)strcspn(expected + line, "\n"), expected + line);
	print_message("# got:      %.*s\n", (int)strcspn(got + line, "\n"), got + line);
	for (const char *l = got; *l; l += strcspn(l, "\n") + 1)
		print_message("#| %.*s\n", (int)strcspn(l, "\n"), l);
	fail_msg("%s: the engine does something else than expected", path);
}

static void test_trace(void **state)
{
	static char got[TEXT_MAX];
	static char expected[TEXT_MAX];
	const char *path = *state;
	char expect[LINE_MAX_BYTES];
	struct str g;
	struct str x;

	str_init(&g, got, sizeof(got));
	str_init(&x, expected, sizeof(expected));
	(void)snprintf(expect, sizeof(expect), "%.*s.expect",
		(int)(strlen(path) - strlen(".trace")), path);
	replay(path, &g);
	read_expected(expect, &x);
	if (g.len == 0 || strcmp(got, expected) != 0)
		complain(path, expected, got);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[TRACES_MAX];
	char pattern[LINE_MAX_BYTES];
	glob_t found;
	size_t count;
	int failed;

	cmocka_set_message_output(CM_OUTPUT_TAP);
	(void)snprintf(pattern, sizeof(pattern), "%s/*.trace", argc > 1 ? argv[1] : "tests/sim");
	if (glob(pattern, 0, NULL, &found) != 0) {
		(void)printf("Bail out! no traces: %s\n", pattern);
		return 1;
	}
	count = found.gl_pathc;
	if (count > TRACES_MAX) {
		(void)printf("Bail out! more than %d traces\n", TRACES_MAX);
		return 1;
	}
	for (size_t i = 0; i < count; i++)
		tests[i] = (struct CMUnitTest){.name = found.gl_pathv[i],
			.test_func = test_trace,
			.initial_state = found.gl_pathv[i]};
	failed = _cmocka_run_group_tests("traces", tests, count, NULL, NULL);
	globfree(&found);
	return failed;
}
