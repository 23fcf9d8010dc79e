// SPDX-License-Identifier: Apache-2.0
/*
 * Lines of maps and smaps: those of real processes, and those of a process that wants to confuse
 * its reader.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse/maps.h"

static bool parse(const char *line, struct maps_entry *ret)
{
	return maps_line(line, strlen(line), ret);
}

static void assert_name(const struct maps_entry *e, const char *name)
{
	assert_int_equal(strlen(name), e->name_len);
	assert_memory_equal(name, e->name, e->name_len);
}

static void test_plain(void **state)
{
	struct maps_entry e;

	(void)state;
	assert_true(parse("7f7c7947e000-7f7c794d5000 r-xs 0001c000 fe:0a 1234567890123           "
			  "         /usr/lib/a b.so",
		&e));
	assert_int_equal(0x7f7c7947e000, e.start);
	assert_int_equal(0x7f7c794d5000, e.end);
	assert_int_equal(MAPS_READ | MAPS_EXEC | MAPS_SHARED, e.prot);
	assert_int_equal(0x1c000, e.offset_bytes);
	assert_int_equal(0xfe, e.major);
	assert_int_equal(0x0a, e.minor);
	assert_int_equal(1234567890123, e.inode);
	assert_false(e.deleted);
	assert_name(&e, "/usr/lib/a b.so");
}

static void test_names(void **state)
{
	struct maps_entry e;
	char name[64];

	(void)state;
	assert_true(parse("1000-2000 ---p 00000000 00:00 0 ", &e));
	assert_name(&e, "");
	assert_true(parse("1000-2000 rw-p 00000000 00:00 0", &e));
	assert_name(&e, "");
	assert_true(parse("1000-2000 rw-s 00000000 00:01 7    /memfd:x (deleted)", &e));
	assert_true(e.deleted);
	assert_name(&e, "/memfd:x");
	assert_true(parse("1000-2000 rw-s 00000000 00:01 7    /a (deleted) (deleted)", &e));
	assert_name(&e, "/a (deleted)");
	/* A name alone is not the mark. */
	assert_true(parse("1000-2000 rw-p 00000000 00:00 0  (deleted)", &e));
	assert_false(e.deleted);
	assert_true(parse("1000-2000 r--p 00000000 08:01 7 /tmp/a\\0121000-2000 rwxp", &e));
	assert_name(&e, "/tmp/a\\0121000-2000 rwxp");
	assert_int_equal(21, maps_name(e.name, e.name_len, name, sizeof(name)));
	assert_string_equal("/tmp/a\n1000-2000 rwxp", name);
	assert_int_equal(3, maps_name("abcdef", 6, name, 4));
	assert_string_equal("abc", name);
}

static void test_extremes(void **state)
{
	struct maps_entry e;
	char *line = malloc(70000);

	(void)state;
	assert_true(
		parse("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]", &e));
	assert_int_equal(0xffffffffff601000, e.end);
	assert_non_null(line);
	memset(line, 'x', 70000);
	memcpy(line, "1000-2000 r--p 00000000 08:01 7 /", 33);
	assert_true(maps_line(line, 70000, &e));
	assert_int_equal(70000 - 32, e.name_len);
	free(line);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"1000",
		"1000-2000",
		"2000-1000 r--p 00000000 08:01 7",
		"1000-1000 r--p 00000000 08:01 7",
		"1000-2000 r--q 00000000 08:01 7",
		"1000-2000 w--p 00000000 08:01 7",
		"1000-2000 r-- 00000000 08:01 7",
		"1000-2000 r--p  08:01 7",
		"1000-2000 r--p 00000000 08:01 ",
		"1000-2000 r--p 00000000 08:01 x",
		"1000-2000 r--p 00000000 08:01 7x",
		"1000-2000 r--p 00000000 0801 7",
		"1000-2000 r--p 00000000 100000000:01 7",
		"10000000000000000-20000000000000000 r--p 00000000 08:01 7",
		"1000-2000 r--p 00000000 08:01 99999999999999999999999",
		" 1000-2000 r--p 00000000 08:01 7",
		"Size:                  4 kB",
	};
	struct maps_entry e = {.start = 42};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse(bad[i], &e))
			fail_msg("accepted: %s", bad[i]);
	assert_int_equal(42, e.start);
}

static void test_vmflags(void **state)
{
	static const char line[] = "VmFlags: rd wr mr mw me dd ac sd ";
	uint32_t flags = 99;

	(void)state;
	assert_false(maps_vmflags("Size: 4 kB", 10, &flags));
	assert_false(maps_vmflags("VmFl", 4, &flags));
	assert_int_equal(99, flags);
	assert_true(maps_vmflags(line, strlen(line), &flags));
	assert_int_equal(MAPS_VM_DONTDUMP, flags);
	assert_true(maps_vmflags("VmFlags: io pf ht", 17, &flags));
	assert_int_equal(MAPS_VM_IO | MAPS_VM_PFNMAP | MAPS_VM_HUGETLB, flags);
	assert_true(maps_vmflags("VmFlags: ddx d dd", 17, &flags));
	assert_int_equal(MAPS_VM_DONTDUMP, flags);
	assert_true(maps_vmflags("VmFlags:", 8, &flags));
	assert_int_equal(0, flags);
}

static void test_sizes(void **state)
{
	uint64_t bytes = 99;

	(void)state;
	assert_true(maps_size("Rss:                  12 kB", 27, "Rss", &bytes));
	assert_int_equal(12 * 1024, bytes);
	assert_false(maps_size("RssAnon:              12 kB", 27, "Rss", &bytes));
	assert_false(maps_size("Rss:", 4, "Rss", &bytes));
	assert_false(maps_size("Rss", 3, "Rss", &bytes));
	assert_false(maps_size("Rss: 12", 7, "Rss", &bytes));
	assert_false(maps_size("Rss: 99999999999999999999 kB", 28, "Rss", &bytes));
	assert_int_equal(12 * 1024, bytes);
}

/* Whatever this process has mapped is read, in order and without overlap. */
static void test_own(void **state)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[MAPS_LINE_MAX];
	uint64_t before = 0;
	int count = 0;

	(void)state;
	assert_non_null(maps);
	for (; fgets(line, sizeof(line), maps); count++) {
		struct maps_entry e;

		assert_true(maps_line(line, strcspn(line, "\n"), &e));
		assert_true(e.start >= before);
		before = e.end;
	}
	assert_true(count > 5);
	(void)fclose(maps);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_vmflags),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_own),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
