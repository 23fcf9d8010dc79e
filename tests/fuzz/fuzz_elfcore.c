// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as a core file: whatever elfcore_open() accepts can be walked to its end, stays inside
 * the bytes, and gives terminated strings. The first byte says how long the file pretends to be.
 */
#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "parse/elfcore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what)
{
	if (holds)
		return;
	(void)fprintf(stderr, "fuzz_elfcore: %s\n", what);
	abort();
}

static void check_segments(const struct elfcore *core)
{
	struct elfcore_segment segment;
	uint32_t loads = 0;
	uint32_t i = 0;

	for (; elfcore_segment(core, i, &segment); i++) {
		uint64_t present = elfcore_segment_present(core, &segment);

		loads += segment.type == PT_LOAD;
		demand(present <= segment.file_bytes, "more present than claimed");
		demand(!present || segment.offset + present <= core->file_len,
			"present beyond the end");
	}
	demand(i == core->phnum && loads == core->segments, "the number of segments");
}

static void check_notes(const struct elfcore *core)
{
	const uint8_t *begin = core->bytes + core->notes_offset;
	struct elfcore_process process;
	struct elfcore_thread thread;
	struct elfcore_files files;
	struct elfcore_file file;
	struct elfcore_note note;
	uint64_t cursor = 0;
	uint64_t before = 0;

	while (elfcore_note(core, &cursor, &note)) {
		demand(cursor > before && cursor <= core->notes_len, "a cursor that goes astray");
		demand(note.desc >= begin && note.desc + note.desc_len <= begin + core->notes_len,
			"a note outside of the notes");
		before = cursor;
	}
	cursor = 0;
	while (elfcore_thread(core, &cursor, &thread))
		demand(cursor <= core->notes_len, "a thread outside of the notes");
	if (elfcore_process(core, &process))
		demand(strlen(process.comm) < sizeof(process.comm) &&
				strlen(process.args) < sizeof(process.args),
			"a string without end");
	if (elfcore_files(core, &files))
		while (elfcore_file(&files, &file))
			demand(file.name + strlen(file.name) < files.end, "a name without end");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elfcore core;
	uint64_t file_len;

	if (size < 1)
		return 0;
	file_len = (uint64_t)(size - 1) << (data[0] % 48);
	if (elfcore_open(data + 1, size - 1, file_len, &core) != ELFCORE_OK) {
		demand(core.headers_len > 0, "nothing needed at all");
		return 0;
	}
	demand(core.headers_len <= size - 1, "headers beyond the bytes");
	check_segments(&core);
	check_notes(&core);
	return 0;
}
