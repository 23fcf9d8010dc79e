// SPDX-License-Identifier: Apache-2.0
/*
 * Which mapping goes into which kind of core: one row per kind of mapping that processes have.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "capture/region.h"

#define PAGE 4096U

/* n nothing, p pages, o overlay, O object, w whole; and how many pages, 0: all. */
struct expected {
	char source;
	uint32_t pages;
};

struct row {
	const char *line;
	bool has_sp;
	bool has_anon;
	struct expected kinds[CAPTURE_KIND_COUNT]; /* full, heap, mini */
	enum region_class class;		   /* in a full core */
};

static const struct row rows[] = {
	{"100000-200000 rw-p 0 00:00 0 ", 0, 0, {{'p', 0}, {'p', 0}, {'n', 0}}, REGION_ANON},
	{"100000-110000 rw-p 0 00:00 0 ", 0, 0, {{'p', 0}, {'p', 0}, {'p', 0}}, REGION_RUNTIME},
	{"100000-900000 rw-p 0 00:00 0 ", 1, 0, {{'p', 0}, {'p', 0}, {'p', 0}}, REGION_STACK},
	{"100000-9000000 rw-p 0 00:00 0 ", 1, 0, {{'p', 0}, {'p', 0}, {'p', 0}}, REGION_ANON},
	{"100000-200000 ---p 0 00:00 0 ", 0, 0, {{'p', 0}, {'p', 0}, {'n', 0}}, REGION_ANON},
	{"100000-900000 rw-p 0 00:00 0  [heap]", 0, 0, {{'p', 0}, {'p', 0}, {'p', 256}},
		REGION_ANON},
	{"100000-900000 rw-p 0 00:00 0  [stack]", 0, 0, {{'p', 0}, {'p', 0}, {'p', 0}},
		REGION_STACK},
	{"100000-102000 r-xp 0 00:00 0  [vdso]", 0, 0, {{'w', 0}, {'w', 0}, {'w', 0}},
		REGION_RUNTIME},
	{"100000-104000 r--p 0 00:00 0  [vvar]", 0, 0, {{'n', 0}, {'n', 0}, {'n', 0}}, 0},
	{"100000-104000 r--p 0 00:00 0  [vvar_vclock]", 0, 0, {{'n', 0}, {'n', 0}, {'n', 0}}, 0},
	/* Files, private. */
	{"100000-200000 r-xp 1000 08:01 5  /bin/x", 0, 0, {{'n', 0}, {'n', 0}, {'n', 0}}, 0},
	{"100000-200000 r--p 0 08:01 5  /bin/x", 0, 0, {{'o', 1}, {'o', 1}, {'o', 1}},
		REGION_RUNTIME},
	{"100000-200000 r--p 9000 08:01 5  /bin/x", 0, 1, {{'o', 0}, {'o', 0}, {'o', 0}},
		REGION_RUNTIME},
	{"100000-200000 rw-p 9000 08:01 5  /bin/x", 0, 0, {{'o', 0}, {'o', 0}, {'o', 0}},
		REGION_RUNTIME},
	{"100000-200000 r-xp 1000 08:01 5  /bin/x (deleted)", 0, 0, {{'o', 0}, {'o', 0}, {'n', 0}},
		REGION_FILE},
	{"100000-200000 r--p 0 08:01 5  /bin/x (deleted)", 0, 0, {{'o', 0}, {'o', 0}, {'o', 1}},
		REGION_FILE},
	{"100000000-110001000 r--p 1000 08:01 5  /db (deleted)", 0, 0,
		{{'n', 0}, {'n', 0}, {'n', 0}}, 0},
	{"100000-200000 r--p 2000 08:01 5  /app/A.dll", 0, 0, {{'n', 0}, {'n', 0}, {'n', 0}}, 0},
	{"100000-200000 r--s 0 08:01 5  /app/A.dll", 0, 0, {{'n', 0}, {'n', 0}, {'n', 0}}, 0},
	{"100000-200000 rw-s 0 08:01 5  /app/A.dll", 0, 0, {{'n', 0}, {'n', 0}, {'n', 0}}, 0},
	/* Shared memory. */
	{"100000-200000 rw-s 0 00:01 5  /memfd:heap (deleted)", 0, 0,
		{{'O', 0}, {'O', 0}, {'n', 0}}, REGION_SHARED},
	{"100000-200000 rw-s 0 00:01 5  /dev/zero (deleted)", 0, 0, {{'O', 0}, {'O', 0}, {'n', 0}},
		REGION_SHARED},
	{"100000-102000 rw-s 0 00:10 7  /[aio] (deleted)", 0, 0, {{'p', 0}, {'p', 0}, {'p', 0}},
		REGION_RUNTIME},
	{"100000-200000 rw-s 0 00:01 5  /SYSV00000000 (deleted)", 0, 0,
		{{'O', 0}, {'O', 0}, {'n', 0}}, REGION_SHARED},
	{"100000-200000 rw-s 0 00:15 5  /dev/shm/pool", 0, 0, {{'O', 0}, {'n', 0}, {'n', 0}},
		REGION_SHARED},
	{"100000-200000 rw-s 0 08:01 5  /var/db/file", 0, 0, {{'n', 0}, {'n', 0}, {'n', 0}}, 0},
	/* No memory at all. */
	{"100000-200000 rw-s 0 00:06 5  /dev/nvidia0", 0, 0, {{'n', 0}, {'n', 0}, {'n', 0}}, 0},
	{"100000-200000 rw-p 0 00:06 5  /dev/mem", 0, 0, {{'n', 0}, {'n', 0}, {'n', 0}}, 0},
	{"100000-200000 rw-s 0 00:0e 5  anon_inode:[io_uring]", 0, 0,
		{{'n', 0}, {'n', 0}, {'n', 0}}, 0},
	{"100000-200000 rw-s 0 00:08 5  socket:[77]", 0, 0, {{'n', 0}, {'n', 0}, {'n', 0}}, 0},
};

static void check(const struct row *row, enum capture_kind kind)
{
	static const char letters[REGION_SOURCE_COUNT] = "npoOw";
	const struct expected *x = &row->kinds[kind];
	struct maps_entry e;
	struct region_facts facts = {
		.entry = &e, .has_sp = row->has_sp, .has_anon = row->has_anon, .sees_file = true};
	struct region_choice c;
	uint64_t bytes;

	assert_true(maps_line(row->line, strlen(row->line), &e));
	region_choose(&facts, kind, PAGE, &c);
	if (letters[c.source] != x->source)
		fail_msg("%s: kind %d: source %c, not %c", row->line, kind, letters[c.source],
			x->source);
	bytes = x->source == 'n' ? 0 : x->pages ? (uint64_t)x->pages * PAGE : e.end - e.start;
	if (c.to - c.from != bytes)
		fail_msg("%s: kind %d: %llu bytes", row->line, kind,
			(unsigned long long)(c.to - c.from));
	assert_true(c.from >= e.start && c.to <= e.end);
	if (kind == CAPTURE_FULL && x->source != 'n' && c.class != row->class)
		fail_msg("%s: class %d, not %d", row->line, c.class, row->class);
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int kind = 0; kind < CAPTURE_KIND_COUNT; kind++)
			check(&rows[i], (enum capture_kind)kind);
}

/* A deleted file that we may not see: as little as of one that is there. */
static void test_unseen(void **state)
{
	static const char line[] = "100000-200000 r-xp 1000 08:01 5  /bin/x (deleted)";
	struct maps_entry e;
	struct region_facts facts = {.entry = &e};
	struct region_choice c;

	(void)state;
	assert_true(maps_line(line, strlen(line), &e));
	assert_true(region_wants_file(&e));
	region_choose(&facts, CAPTURE_FULL, PAGE, &c);
	assert_int_equal(REGION_NOTHING, c.source);
	e.offset_bytes = 0;
	region_choose(&facts, CAPTURE_FULL, PAGE, &c);
	assert_int_equal(REGION_OVERLAY, c.source);
	assert_int_equal(PAGE, c.to - c.from);
	e.deleted = false;
	assert_false(region_wants_file(&e));
}

static void test_questions(void **state)
{
	static const char *const wants[] = {
		"1000-2000 r--p 0 08:01 5  /x", "1000-2000 r-xp 0 08:01 5  /x"};
	static const char *const not [] = {"1000-2000 rw-p 0 08:01 5  /x",
		"1000-2000 r--s 0 08:01 5  /x", "1000-2000 r--p 0 00:00 0 ",
		"1000-2000 r--p 0 00:06 5  /dev/mem"};
	struct maps_entry e;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_true(maps_line(wants[i], strlen(wants[i]), &e));
		assert_true(region_wants_anon(&e));
	}
	for (size_t i = 0; i < 4; i++) {
		assert_true(maps_line(not [i], strlen(not [i]), &e));
		assert_false(region_wants_anon(&e));
	}
	assert_true(maps_line("1000-2000 --xp 0 00:00 0  [vsyscall]", 36, &e));
	assert_false(region_listed(&e));
	assert_false(region_has_file(&e));
	/* A file may be called so; then it is one. */
	assert_true(maps_line("1000-2000 r--p 0 08:01 9  /[vsyscall]", 37, &e));
	assert_true(region_listed(&e));
	assert_true(region_has_file(&e));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_unseen),
		cmocka_unit_test(test_questions),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
