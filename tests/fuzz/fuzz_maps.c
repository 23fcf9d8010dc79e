// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as lines of maps and smaps: what is accepted keeps within its line and its types.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/region.h"
#include "parse/maps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what)
{
	if (holds)
		return;
	(void)fprintf(stderr, "fuzz_maps: %s\n", what);
	abort();
}

static void check_entry(const char *line, size_t len, const struct maps_entry *e)
{
	struct region_facts facts = {.entry = e};
	struct region_choice choice;
	char name[256];
	size_t n;

	demand(e->start < e->end, "an empty mapping");
	demand(e->prot < 16, "unknown protection bits");
	demand(e->name >= line && e->name + e->name_len <= line + len, "a name outside its line");
	n = maps_name(e->name, e->name_len, name, sizeof(name));
	demand(n < sizeof(name) && name[n] == '\0' && n <= e->name_len, "a name's copy");
	facts.has_anon = region_wants_anon(e) && e->inode % 2;
	facts.has_sp = e->start % 3 == 0;
	for (int kind = 0; kind < CAPTURE_KIND_COUNT; kind++) {
		region_choose(&facts, (enum capture_kind)kind, 4096, &choice);
		demand(choice.from >= e->start && choice.to <= e->end && choice.from <= choice.to,
			"a part outside its mapping");
		demand((choice.source == REGION_NOTHING) == (choice.from == choice.to),
			"a source without bytes, or bytes without a source");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *line = (const char *)data;
	const char *end = line + size;

	while (line < end) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		size_t len = (size_t)((newline ? newline : end) - line);
		struct maps_entry e;
		uint32_t flags = UINT32_MAX;

		if (maps_line(line, len, &e))
			check_entry(line, len, &e);
		if (maps_vmflags(line, len, &flags))
			demand(flags < 16, "unknown flag bits");
		line += len + 1;
	}
	return 0;
}
