// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as what a process says of its runtime: environment, command line, settings, counters,
 * section names. Whatever is taken gives a rule that the thresholds can live with.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/policy.h"
#include "core/runtime.h"
#include "parse/hsperf.h"
#include "parse/runtime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what)
{
	if (holds)
		return;
	(void)fprintf(stderr, "fuzz_runtime: %s\n", what);
	abort();
}

static void check_facts(struct runtime_facts *facts)
{
	const uint64_t limit = 1000U << 20;
	struct policy policy = {.trip_kind = TRIP_AUTO, .arm_bp = 7500};
	struct runtime_rule rule;
	struct thresholds t;

	demand(facts->heap_bp <= 10000, "a share above one");
	demand(facts->source < RUNTIME_SOURCE_COUNT, "an unknown source");
	facts->start_limit_bytes = limit;
	runtime_rule(facts, limit / 2, &rule);
	policy_thresholds(&policy, limit, rule.trip_bytes, &t);
	demand(t.arm_bytes <= t.trip_bytes && t.trip_bytes <= limit, "thresholds out of order");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *found;
	uint64_t offset;
	uint64_t bytes;
	size_t len;

	for (int kind = 0; kind < RUNTIME_KIND_COUNT; kind++) {
		struct runtime_facts facts = {.kind = (enum runtime_kind)kind};

		runtime_take_environ(text, size, &facts);
		runtime_take_settings(text, size, &facts);
		runtime_take_cmdline(text, size, &facts);
		check_facts(&facts);
		facts = (struct runtime_facts){.kind = (enum runtime_kind)kind};
		if (hsperf_take(data, size, &facts))
			demand(facts.old_max_bytes != 0, "counters without a generation");
		check_facts(&facts);
	}
	for (uint32_t n = 0; runtime_argument(text, size, ".dll", n, &found, &len); n++)
		demand(found >= text && found + len <= text + size, "an argument outside");
	demand(runtime_of_mapping(text, size) < RUNTIME_KIND_COUNT, "an unknown runtime");
	(void)runtime_of_sections(text, size);
	if (runtime_elf_section(data, size, &offset))
		demand(offset <= INT64_MAX, "an offset that no file has");
	if (runtime_elf_names(data, size, &offset, &bytes))
		demand(bytes != 0, "names without bytes");
	return 0;
}
