// SPDX-License-Identifier: Apache-2.0
/*
 * What of files goes into a core for the sake of a runtime's reader.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "capture/reader.h"

struct row {
	const char *line;
	bool dotnet;
	bool wanted;
};

static const struct row rows[] = {
	{"1000-2000 r--p 0 08:01 5  /d/libcoreclr.so", true, true},
	{"1000-2000 r--p 9000 08:01 5  /d/libcoreclr.so", true, false},
	{"1000-2000 r-xp 0 08:01 5  /d/libcoreclr.so", true, false},
	{"1000-2000 rw-p 0 08:01 5  /d/libcoreclr.so", true, false},
	{"1000-2000 rw-s 0 00:01 5  /memfd:doublemapper (deleted)", true, false},
	{"1000-2000 rw-s 0 00:01 5  /memfd:other (deleted)", false, false},
	{"1000-2000 rw-p 0 00:00 0 ", false, false},
	{"1000-2000 r--p 0 08:01 5  /d/libcoreclr.so.dbg", false, false},
	{"1000-2000 r--p 2000 08:01 5  /app/A.dll", false, true},
	{"1000-2000 r--s 0 08:01 5  /app/A.dll", false, true},
	{"1000-2000 r-xp 2000 08:01 5  /app/A.dll", false, false},
	{"1000-2000 rw-s 0 08:01 5  /app/A.dll", false, false},
	{"1000-2000 r--p 0 08:01 5  /lib/libc.so.6", false, false},
};

static void test_rows(void **state)
{
	struct maps_entry e;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(maps_line(rows[i].line, strlen(rows[i].line), &e));
		if (reader_is_dotnet(&e) != rows[i].dotnet || reader_wants(&e) != rows[i].wanted)
			fail_msg("%s", rows[i].line);
	}
}

static void test_takes(void **state)
{
	struct region program = {
		.inode = 5, .major = 8, .minor = 1, .prot = MAPS_READ, .flags = REGION_HAS_FILE};
	struct region r = program;

	(void)state;
	assert_true(reader_takes(&r, &program)); /* a part of the program's file */
	assert_false(reader_takes(&r, NULL));
	r.prot |= MAPS_EXEC;
	assert_true(reader_takes(&r, &program));
	r.prot = MAPS_READ | MAPS_WRITE; /* is in the core in any case */
	assert_false(reader_takes(&r, &program));
	r.prot = MAPS_READ;
	r.minor = 2;
	assert_false(reader_takes(&r, &program));
	r.flags |= REGION_READER;
	assert_true(reader_takes(&r, &program));
	assert_true(reader_takes(&r, NULL));
	r.flags = REGION_READER; /* no file */
	assert_false(reader_takes(&r, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_takes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
