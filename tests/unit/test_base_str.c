// SPDX-License-Identifier: Apache-2.0
/*
 * Bounded strings: what does not fit is cut and said to be, and hostile bytes come out harmless.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/checked.h"
#include "base/str.h"

static void test_build(void **state)
{
	char memory[32];
	struct str s;

	(void)state;
	str_init(&s, memory, sizeof(memory));
	assert_string_equal("", s.text);
	assert_true(str_add(&s, "ab"));
	assert_true(str_add_char(&s, ':'));
	assert_true(str_add_u64(&s, 0));
	assert_true(str_addf(&s, "%s-%d", "x", -7));
	assert_string_equal("ab:0x--7", s.text);
	assert_int_equal(8, s.len);
	assert_false(s.cut);
	str_init(&s, memory, sizeof(memory));
	assert_true(str_add_u64(&s, UINT64_MAX));
	assert_string_equal("18446744073709551615", s.text);
}

static void test_cut(void **state)
{
	char memory[8];
	struct str s;

	(void)state;
	memset(memory, '#', sizeof(memory));
	str_init(&s, memory, 5);
	assert_true(str_add(&s, "abcd"));
	assert_false(str_add_char(&s, 'e'));
	assert_string_equal("abcd", s.text);
	assert_true(s.cut);
	assert_false(str_add(&s, "")); /* something is missing still */
	assert_int_equal('#', memory[5]);
	str_init(&s, memory, 5);
	assert_false(str_add(&s, "abcdefgh"));
	assert_string_equal("abcd", s.text);
	str_init(&s, memory, 5);
	assert_true(str_addf(&s, "%d", 1234));
	assert_false(str_addf(&s, "%d", 5));
	assert_string_equal("1234", s.text);
	assert_int_equal(4, s.len);
	str_init(&s, memory, 5);
	assert_false(str_addf(&s, "%s", "abcdefgh"));
	assert_string_equal("abcd", s.text);
	assert_int_equal(4, s.len);
	str_init(&s, memory, 1);
	assert_true(str_add(&s, ""));
	assert_false(str_add_u64(&s, 1));
	assert_string_equal("", s.text);
	assert_int_equal('#', memory[5]);
}

static void test_copy(void **state)
{
	char memory[4];

	(void)state;
	assert_true(str_copy(memory, sizeof(memory), "abc"));
	assert_string_equal("abc", memory);
	assert_false(str_copy(memory, sizeof(memory), "wxyz"));
	assert_string_equal("wxy", memory);
	assert_true(str_copy(memory, sizeof(memory), ""));
	assert_string_equal("", memory);
}

static void test_utf8(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} cases[] = {{"", 0}, {"a", 1}, {"\x7f", 1}, {"\xc2\x80", 2}, {"\xdf\xbf", 2},
		{"\xe0\xa0\x80", 3}, {"\xed\x9f\xbf", 3}, {"\xee\x80\x80", 3},
		{"\xf0\x90\x80\x80", 4}, {"\xf4\x8f\xbf\xbf", 4},
		/* continuation, overlong, cut, surrogate, too large */
		{"\x80", 0}, {"\xc0\x80", 0}, {"\xc1\xbf", 0}, {"\xe0\x9f\xbf", 0},
		{"\xf0\x8f\xbf\xbf", 0}, {"\xc2", 0}, {"\xe2\x82", 0}, {"\xf0\x90\x80", 0},
		{"\xc2x", 0}, {"\xe2\x82x", 0}, {"\xed\xa0\x80", 0}, {"\xf4\x90\x80\x80", 0},
		{"\xf5\x80\x80\x80", 0}, {"\xff", 0}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (str_utf8_len(cases[i].bytes, strlen(cases[i].bytes)) != cases[i].len)
			fail_msg("case %zu is not %zu long", i, cases[i].len);
	assert_int_equal(1, str_utf8_len("", 1)); /* NUL is a character */
}

static void assert_json(const char *bytes, size_t len, const char *expected)
{
	char memory[128];
	struct str s;

	str_init(&s, memory, sizeof(memory));
	assert_true(str_add_json(&s, bytes, len));
	assert_string_equal(expected, s.text);
}

static void test_json(void **state)
{
	(void)state;
	assert_json("", 0, "");
	assert_json("a\"b\\c/d", 7, "a\\\"b\\\\c/d");
	assert_json("\n\t\x1f\x7f\0x", 6, "\\u000a\\u0009\\u001f\\u007f\\u0000x");
	assert_json("\xe2\x82\xac", 3, "\xe2\x82\xac");
	assert_json("\xc2\x80\xc2\x9b\xc2\xa0", 6, "\\u0080\\u009b\xc2\xa0"); /* C1, and a space */
	assert_json("\xff\xe2\x82!", 4, "\\ufffd\\ufffd\\ufffd!");
}

/* However short the memory: what is there is a beginning of whole escapes and characters. */
static void test_json_cut(void **state)
{
	static const char bytes[] = "a\"\n\xe2\x82\xac\xff";
	static const size_t whole[] = {0, 1, 3, 9, 12, 18};

	(void)state;
	for (size_t size = 1; size < 24; size++) {
		char memory[24];
		struct str s;
		size_t expected = 0;
		bool fits;

		str_init(&s, memory, size);
		fits = str_add_json(&s, bytes, sizeof(bytes) - 1);
		for (size_t i = 0; i < ARRAY_LEN(whole) && whole[i] < size; i++)
			expected = whole[i];
		assert_int_equal(expected, s.len);
		assert_int_equal(size > 18, fits);
		assert_int_equal(!fits, s.cut);
	}
}

static void assert_safe(const char *bytes, size_t len, const char *expected)
{
	char memory[128];
	struct str s;

	str_init(&s, memory, sizeof(memory));
	assert_true(str_add_safe(&s, bytes, len));
	assert_string_equal(expected, s.text);
}

static void test_safe(void **state)
{
	char memory[6];
	struct str s;

	(void)state;
	assert_safe("a\\b\"c", 5, "a\\b\"c");
	assert_safe("\x1b[2J\n\0", 6, "\\x1b[2J\\x0a\\x00");
	assert_safe("\x7f\xff\xe2\x82\xac", 5, "\\x7f\\xff\xe2\x82\xac");
	assert_safe("\xc2\x9b\xc2\xa0", 4, "\\xc2\\x9b\xc2\xa0"); /* CSI in UTF-8, and a space */
	/* Nothing is cut in the middle. */
	str_init(&s, memory, sizeof(memory));
	assert_false(str_add_safe(&s, "ab\n", 3));
	assert_string_equal("ab", s.text);
	str_init(&s, memory, sizeof(memory));
	assert_false(str_add_safe(&s, "abc\xe2\x82\xac", 6));
	assert_string_equal("abc", s.text);
	str_init(&s, memory, sizeof(memory));
	assert_true(str_add_safe(&s, "ab\xe2\x82\xac", 5));
	assert_false(s.cut);
}

static void test_to_u64(void **state)
{
	static const char *const bad[] = {"", " ", "-1", "+1", " 1", "1 ", "1\n", "0x1", "1.0",
		"18446744073709551616", "184467440737095516150", "a"};
	uint64_t v = 42;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (str_to_u64(bad[i], &v))
			fail_msg("accepted: %s", bad[i]);
	assert_int_equal(42, v);
	assert_true(str_to_u64("0", &v));
	assert_int_equal(0, v);
	assert_true(str_to_u64("007", &v));
	assert_int_equal(7, v);
	assert_true(str_to_u64("18446744073709551615", &v));
	assert_int_equal(UINT64_MAX, v);
}

static void test_affixes(void **state)
{
	(void)state;
	assert_true(str_has_prefix("abc", "ab"));
	assert_true(str_has_prefix("abc", ""));
	assert_true(str_has_prefix("abc", "abc"));
	assert_false(str_has_prefix("abc", "abcd"));
	assert_false(str_has_prefix("abc", "b"));
	assert_true(str_has_suffix("abc", "bc"));
	assert_true(str_has_suffix("abc", ""));
	assert_true(str_has_suffix("abc", "abc"));
	assert_false(str_has_suffix("abc", "xabc"));
	assert_false(str_has_suffix("abc", "b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_build),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_cut),
		cmocka_unit_test(test_safe),
		cmocka_unit_test(test_to_u64),
		cmocka_unit_test(test_affixes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
