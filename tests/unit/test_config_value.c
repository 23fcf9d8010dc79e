// SPDX-License-Identifier: Apache-2.0
/* Sizes, shares, times, switches and near names: what is taken, and what is refused as what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/checked.h"
#include "config_value.h"

#define UNTOUCHED 0xdeadbeefU

struct example {
	const char *text;
	uint64_t value;
	enum config_value_status status;
};

static void test_size(void **state)
{
	static const struct example examples[] = {
		{"0", 0, CONFIG_VALUE_OK},
		{"482344960", 482344960, CONFIG_VALUE_OK},
		{"1K", 1024, CONFIG_VALUE_OK},
		{"460M", 460ULL << 20, CONFIG_VALUE_OK},
		{"460Mi", 460ULL << 20, CONFIG_VALUE_OK},
		{"2G", 2ULL << 30, CONFIG_VALUE_OK},
		{"1.5G", 3ULL << 29, CONFIG_VALUE_OK},
		{"0.001K", 1, CONFIG_VALUE_OK},
		{"18014398509481M", 18014398509481ULL << 20, CONFIG_VALUE_TOO_LARGE},
		{"17179869183G", 17179869183ULL << 30, CONFIG_VALUE_OK},
		{"18446744073709551", 18446744073709551ULL, CONFIG_VALUE_OK},
		{"17179869184G", 0, CONFIG_VALUE_TOO_LARGE},
		{"18446744073709551616", 0, CONFIG_VALUE_TOO_LARGE},
		{"99999999999999999999999", 0, CONFIG_VALUE_TOO_LARGE},
		{"", 0, CONFIG_VALUE_NO_NUMBER},
		{"M", 0, CONFIG_VALUE_NO_NUMBER},
		{"-1M", 0, CONFIG_VALUE_NO_NUMBER},
		{"+1M", 0, CONFIG_VALUE_NO_NUMBER},
		{" 1M", 0, CONFIG_VALUE_NO_NUMBER},
		{".5G", 0, CONFIG_VALUE_NO_NUMBER},
		{"1.G", 0, CONFIG_VALUE_NO_NUMBER},
		{"1.2345G", 0, CONFIG_VALUE_TOO_PRECISE},
		{"1 M", 0, CONFIG_VALUE_BAD_UNIT},
		{"1MB", 0, CONFIG_VALUE_BAD_UNIT},
		{"1m", 0, CONFIG_VALUE_BAD_UNIT},
		{"1T", 0, CONFIG_VALUE_BAD_UNIT},
		{"1Mib", 0, CONFIG_VALUE_BAD_UNIT},
		{"1e3", 0, CONFIG_VALUE_BAD_UNIT},
		{"0x10", 0, CONFIG_VALUE_BAD_UNIT},
		{"90%", 0, CONFIG_VALUE_BAD_UNIT},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
		const struct example *e = &examples[i];
		uint64_t value = UNTOUCHED;
		enum config_value_status status = config_value_size(e->text, &value);

		if (status != e->status ||
			value != (e->status == CONFIG_VALUE_OK ? e->value : UNTOUCHED))
			fail_msg("%s: status %d, value %llu", e->text, status,
				(unsigned long long)value);
	}
}

static void test_share(void **state)
{
	static const struct example examples[] = {
		{"0%", 0, CONFIG_VALUE_OK},
		{"90%", 9000, CONFIG_VALUE_OK},
		{"92.5%", 9250, CONFIG_VALUE_OK},
		{"0.01%", 1, CONFIG_VALUE_OK},
		{"250%", 25000, CONFIG_VALUE_OK},
		{"1000000%", 100000000, CONFIG_VALUE_OK},
		{"1000001%", 0, CONFIG_VALUE_TOO_LARGE},
		{"99999999999999999%", 0, CONFIG_VALUE_TOO_LARGE},
		{"92.555%", 0, CONFIG_VALUE_TOO_PRECISE},
		{"90", 0, CONFIG_VALUE_NO_UNIT},
		{"90M", 0, CONFIG_VALUE_BAD_UNIT},
		{"90%%", 0, CONFIG_VALUE_BAD_UNIT},
		{"90 %", 0, CONFIG_VALUE_BAD_UNIT},
		{"%", 0, CONFIG_VALUE_NO_NUMBER},
		{"", 0, CONFIG_VALUE_NO_NUMBER},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
		const struct example *e = &examples[i];
		uint32_t value = UNTOUCHED;
		enum config_value_status status = config_value_share(e->text, &value);

		if (status != e->status ||
			value != (e->status == CONFIG_VALUE_OK ? e->value : UNTOUCHED))
			fail_msg("%s: status %d, value %u", e->text, status, value);
	}
}

static void test_time(void **state)
{
	static const struct example examples[] = {
		{"0", 0, CONFIG_VALUE_OK},
		{"0s", 0, CONFIG_VALUE_OK},
		{"250ms", 250 * NS_PER_MS, CONFIG_VALUE_OK},
		{"2s", 2 * NS_PER_S, CONFIG_VALUE_OK},
		{"1.5s", 1500 * NS_PER_MS, CONFIG_VALUE_OK},
		{"60m", 3600 * NS_PER_S, CONFIG_VALUE_OK},
		{"0.001ms", 1000, CONFIG_VALUE_OK},
		{"10", 0, CONFIG_VALUE_NO_UNIT},
		{"0.5", 0, CONFIG_VALUE_NO_UNIT},
		{"1h", 0, CONFIG_VALUE_BAD_UNIT},
		{"1min", 0, CONFIG_VALUE_BAD_UNIT},
		{"1S", 0, CONFIG_VALUE_BAD_UNIT},
		{"1us", 0, CONFIG_VALUE_BAD_UNIT},
		{"s", 0, CONFIG_VALUE_NO_NUMBER},
		{"-1s", 0, CONFIG_VALUE_NO_NUMBER},
		{"1.2345s", 0, CONFIG_VALUE_TOO_PRECISE},
		{"18446744073s", 18446744073ULL * NS_PER_S, CONFIG_VALUE_OK},
		{"18446744074s", 0, CONFIG_VALUE_TOO_LARGE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
		const struct example *e = &examples[i];
		uint64_t value = UNTOUCHED;
		enum config_value_status status = config_value_time(e->text, &value);

		if (status != e->status ||
			value != (e->status == CONFIG_VALUE_OK ? e->value : UNTOUCHED))
			fail_msg("%s: status %d, value %llu", e->text, status,
				(unsigned long long)value);
	}
}

static void test_switch(void **state)
{
	bool on = false;

	(void)state;
	assert_true(config_value_switch("on", &on) && on);
	assert_true(config_value_switch("off", &on) && !on);
	assert_true(config_value_switch("yes", &on) && on);
	assert_true(config_value_switch("no", &on) && !on);
	assert_true(config_value_switch("true", &on) && on);
	assert_true(config_value_switch("false", &on) && !on);
	on = true;
	assert_false(config_value_switch("1", &on));
	assert_false(config_value_switch("ON", &on));
	assert_false(config_value_switch("", &on));
	assert_true(on);
}

static void test_hints_are_words(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < CONFIG_VALUE_STATUS_COUNT; i++)
		assert_true(strlen(config_value_hint((enum config_value_status)i)) > 5);
	assert_string_equal(config_value_hint(CONFIG_VALUE_STATUS_COUNT), "?");
}

/* What is written back means the same when it is read again. */
static void test_written_back(void **state)
{
	static const uint64_t values[] = {0, 1, 1000, 1023, 1024, 1536, 1048576, 3ULL << 30,
		5ULL << 40, 60000000000ULL, 1500000000ULL, 90000000ULL};
	static const uint32_t shares[] = {0, 1, 10, 50, 99, 100, 9000, 9250, 9999, 10000};
	char text[32];
	struct str s;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		uint64_t value = UNTOUCHED;

		str_init(&s, text, sizeof(text));
		config_value_put_size(&s, values[i]);
		assert_int_equal(config_value_size(text, &value), CONFIG_VALUE_OK);
		assert_int_equal(value, values[i]);
		str_init(&s, text, sizeof(text));
		config_value_put_time(&s, values[i] * NS_PER_MS);
		assert_int_equal(config_value_time(text, &value), CONFIG_VALUE_OK);
		assert_int_equal(value, values[i] * NS_PER_MS);
	}
	for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
		uint32_t value = UNTOUCHED;

		str_init(&s, text, sizeof(text));
		config_value_put_share(&s, shares[i]);
		assert_int_equal(config_value_share(text, &value), CONFIG_VALUE_OK);
		assert_int_equal(value, shares[i]);
	}
	str_init(&s, text, sizeof(text));
	config_value_put_size(&s, SIZE_UNLIMITED);
	assert_string_equal(text, "unlimited");
	str_init(&s, text, sizeof(text));
	config_value_put_size(&s, 460ULL << 20);
	assert_string_equal(text, "460M");
	str_init(&s, text, sizeof(text));
	config_value_put_time(&s, 90 * NS_PER_S);
	assert_string_equal(text, "90s");
}

static void test_nearest(void **state)
{
	static const char *const names[] = {
		"trip", "trip_eta", "arm", "keep", "keep_free", "verdict"};
	static const struct {
		const char *word;
		const char *nearest;
	} examples[] = {
		{"tirp", "trip"},
		{"trip-eta", "trip_eta"},
		{"tripeta", "trip_eta"},
		{"TRIP", "trip"},
		{"keepfree", "keep_free"},
		{"veridct", "verdict"},
		{"kep", "keep"},
		{"arms", "arm"},
		{"xyz", NULL},
		{"", NULL},
		{"a_word_that_is_far_too_long_to_be_any_of_the_names_here", NULL},
		{"directory", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
		const char *got = config_value_nearest(examples[i].word, names, ARRAY_LEN(names));

		if (examples[i].nearest)
			assert_string_equal(got ? got : "(none)", examples[i].nearest);
		else if (got)
			fail_msg("%s is near %s?", examples[i].word, got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_share),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_switch),
		cmocka_unit_test(test_hints_are_words),
		cmocka_unit_test(test_written_back),
		cmocka_unit_test(test_nearest),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
