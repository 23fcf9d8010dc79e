// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as a trace: a line that is read is written as one that reads the same, and whatever
 * events it holds drive the engine, whose actions fit and can be told.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/engine.h"
#include "core/trace.h"

#define LINE_MAX 2048

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what)
{
	if (holds)
		return;
	(void)fprintf(stderr, "fuzz_trace: %s\n", what);
	abort();
}

static void check_again(const struct trace_line *line)
{
	struct trace_line again;
	char first[LINE_MAX];
	char second[LINE_MAX];
	struct str s;

	str_init(&s, first, sizeof(first));
	demand(trace_write(&s, line), "what was read cannot be written");
	demand(trace_read(first, s.len, &again) == 0, "what was written cannot be read");
	str_init(&s, second, sizeof(second));
	demand(trace_write(&s, &again), "what was read again cannot be written");
	demand(strcmp(first, second) == 0, "a line changes when it is read again");
}

static void check_actions(const struct engine_actions *actions)
{
	demand(actions->count <= ENGINE_ACTIONS_MAX, "too many actions");
	for (uint32_t i = 0; i < actions->count; i++) {
		const struct trace_line line = {.kind = TRACE_ACTION, .action = actions->action[i]};

		check_again(&line);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct engine_means none = {.shield = false};
	const char *text = (const char *)data;
	const char *end = text + size;
	struct engine_actions actions;
	struct policy policy = {.trip_kind = TRIP_AUTO};
	struct engine engine;

	engine_init(&engine, &none);
	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t len = (size_t)((newline ? newline : end) - text);
		struct trace_line line;

		if (trace_read(text, len, &line) == 0) {
			check_again(&line);
			switch (line.kind) {
			case TRACE_POLICY:
				policy = line.policy;
				break;
			case TRACE_MEANS:
				engine_init(&engine, &line.means);
				break;
			case TRACE_EVENT:
				engine_step(&engine, &policy, &line.event, line.at_ns, &actions);
				check_actions(&actions);
				break;
			case TRACE_ACTION:
			case TRACE_KIND_COUNT:
				break;
			}
		}
		text += len + 1;
	}
	return 0;
}
