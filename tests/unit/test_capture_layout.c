// SPDX-License-Identifier: Apache-2.0
/*
 * The layout of a core: offsets, the limit of e_phnum, and files beyond what can be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "capture/layout.h"
#include "parse/elfcore.h"
#include "parse/maps.h"

#define PAGE 4096U

static void test_offsets(void **state)
{
	struct segment s[3] = {
		{.start = 0x1000, .mem_bytes = 2 * PAGE, .file_bytes = 2 * PAGE, .prot = MAPS_READ},
		{.start = 0x8000, .mem_bytes = 64 * PAGE},
		{.start = 0x90000, .mem_bytes = 3 * PAGE, .file_bytes = PAGE, .offset = 2 * PAGE},
	};
	struct layout l;
	Elf64_Phdr p;

	(void)state;
	assert_int_equal(0, layout_plan(s, 3, 3 * PAGE, 1000, PAGE, &l));
	assert_false(l.extended);
	assert_int_equal(64, l.header_bytes);
	assert_int_equal(64 + 4 * 56, l.notes_offset);
	assert_int_equal(PAGE, l.data_offset);
	assert_int_equal(PAGE, s[0].offset);
	assert_int_equal(3 * PAGE, s[2].offset);
	assert_int_equal(4 * PAGE, l.file_bytes);
	layout_phdr(&l, s, PAGE, 0, &p);
	assert_int_equal(PT_NOTE, p.p_type);
	assert_int_equal(l.notes_offset, p.p_offset);
	assert_int_equal(1000, p.p_filesz);
	layout_phdr(&l, s, PAGE, 1, &p);
	assert_int_equal(PT_LOAD, p.p_type);
	assert_int_equal(PF_R, p.p_flags);
	assert_int_equal(2 * PAGE, p.p_filesz);
	layout_phdr(&l, s, PAGE, 2, &p);
	assert_int_equal(0, p.p_filesz);
	assert_int_equal(64 * PAGE, p.p_memsz);
	assert_int_equal(64 + 3 * 56, layout_phdr_offset(&l, 3));
}

/* A whole head of count segments, and what an independent reader finds in it. */
static void check_count(uint32_t count, bool extended)
{
	struct segment *s = calloc(count, sizeof(*s));
	struct elfcore core;
	struct elfcore_segment found;
	struct layout l;
	unsigned char *file;

	assert_non_null(s);
	for (uint32_t i = 0; i < count; i++)
		s[i] = (struct segment){.start = 0x10000 + (uint64_t)i * 2 * PAGE,
			.mem_bytes = PAGE,
			.file_bytes = i % 2 ? PAGE : 0,
			.offset = (uint64_t)(i / 2) * PAGE};
	assert_int_equal(0, layout_plan(s, count, (uint64_t)(count / 2) * PAGE, 64, PAGE, &l));
	assert_int_equal(extended, l.extended);
	file = calloc(1, l.data_offset);
	assert_non_null(file);
	assert_int_equal(l.header_bytes, layout_header(&l, EM_X86_64, file));
	for (uint32_t i = 0; i <= count; i++) {
		Elf64_Phdr p;

		layout_phdr(&l, s, PAGE, i, &p);
		memcpy(file + layout_phdr_offset(&l, i), &p, sizeof(p));
	}
	assert_int_equal(ELFCORE_OK, elfcore_open(file, l.data_offset, l.file_bytes, &core));
	assert_int_equal(count + 1, core.phnum);
	assert_true(elfcore_segment(&core, count, &found));
	assert_int_equal(s[count - 1].start, found.vaddr);
	assert_int_equal(s[count - 1].offset, found.offset);
	assert_false(elfcore_segment(&core, count + 1, &found));
	free(file);
	free(s);
}

static void test_many(void **state)
{
	(void)state;
	check_count(1, false);
	check_count(PN_XNUM - 2, false); /* with PT_NOTE 65,534: the last that fits */
	check_count(PN_XNUM - 1, true);
	check_count(131072, true);
}

static void test_too_large(void **state)
{
	struct segment s[2] = {
		{.start = 0, .mem_bytes = 1ULL << 62, .file_bytes = 1ULL << 62},
		{.start = 1ULL << 62, .mem_bytes = 1ULL << 62, .file_bytes = 1ULL << 62},
	};
	struct layout l = {.segments = 77};

	(void)state;
	assert_int_equal(LAYOUT_TOO_LARGE, layout_plan(s, 2, 1ULL << 63, 64, PAGE, &l));
	assert_int_equal(LAYOUT_TOO_LARGE, layout_plan(s, 1, 0, UINT64_MAX - 10, PAGE, &l));
	assert_int_equal(77, l.segments);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offsets),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_too_large),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
