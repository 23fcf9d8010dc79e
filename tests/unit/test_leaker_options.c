// SPDX-License-Identifier: Apache-2.0
/*
 * The command line, the plan that comes of it, and listening addresses.
 */
#include "leaker/options.h"
#include "leaker/size.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define ARGS_MAX 16

static char error[OPTIONS_ERROR_BYTES];

/* Parses "leaker ARGS", the arguments being separated by single blanks. */
static enum options_result parse(const char *args, struct options *o)
{
	static char words[512]; /* options borrow from it */
	char *argv[ARGS_MAX + 2] = {(char[]){"leaker"}};
	int argc = 1;
	char *save;

	assert_true(strlen(args) < sizeof(words));
	(void)snprintf(words, sizeof(words), "%s", args);
	for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		assert_true(argc <= ARGS_MAX);
		argv[argc++] = w;
	}
	error[0] = '\0';
	return options_parse(argc, argv, o, error);
}

static void test_nothing_means_http(void **state)
{
	char text[LISTEN_TEXT_BYTES];
	struct options o;

	(void)state;
	assert_int_equal(parse("", &o), OPTIONS_RUN);
	assert_true(o.serve_http);
	assert_false(o.leak_at_once);
	listen_format(&o.listen, text);
	assert_string_equal(text, "127.0.0.1:8080");
	assert_string_equal(o.plan.pattern->name, "touch");
	assert_int_equal(o.plan.rate_bytes_s, 10 * SIZE_MB);
	assert_string_equal(o.plan.dir, "/var/tmp");
	assert_true(o.hold);
	assert_int_equal(o.ready_fd, -1);
}

static void test_everything(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse("--pattern threads --rate max --threads 8 --total 3G --chunk 5000 "
			       "--seed 0xff --hold no --start-paused",
				 &o),
		OPTIONS_RUN);
	assert_false(o.serve_http);
	assert_true(o.leak_at_once);
	assert_string_equal(o.plan.pattern->name, "threads");
	assert_int_equal(o.plan.rate_bytes_s, SIZE_RATE_MAX);
	assert_int_equal(o.plan.threads, 8);
	assert_int_equal(o.plan.total_bytes, UINT64_C(3) << 30);
	assert_int_equal(o.plan.chunk_bytes, 8192);
	assert_int_equal(o.seed, 255);
	assert_false(o.hold);
	assert_true(o.start_paused);
	assert_int_equal(parse("--listen [::1]:0 --ready-fd 3 --ready-file /tmp/r --main-exits "
			       "--dontdump 1M --protnone 2M --reserve 64T --dir /x",
				 &o),
		OPTIONS_RUN);
	assert_true(o.serve_http);
	assert_int_equal(o.ready_fd, 3);
	assert_string_equal(o.ready_file, "/tmp/r");
	assert_true(o.main_exits);
	assert_int_equal(o.regions.dontdump_bytes, UINT64_C(1) << 20);
	assert_int_equal(o.regions.protnone_bytes, UINT64_C(2) << 20);
	assert_int_equal(o.regions.reserve_bytes, UINT64_C(64) << 40);
	assert_string_equal(o.plan.dir, "/x");
}

static void test_questions(void **state)
{
	struct options o;

	(void)state;
	assert_int_equal(parse("--help", &o), OPTIONS_HELP);
	assert_int_equal(parse("--rate 5 --list-patterns", &o), OPTIONS_LIST_PATTERNS);
}

/* Each is refused, with a sentence that names what is wrong. */
static void test_refused(void **state)
{
	static const struct {
		const char *args;
		const char *named;
	} rows[] = {
		{"--pattern nosuch", "--pattern"},
		{"--rate 0", "--rate"},
		{"--rate fast", "--rate"},
		{"--threads 0", "--threads"},
		{"--threads 5001", "--threads"},
		{"--total 100", "--total"},
		{"--total 65T", "--total"},
		{"--chunk 1.5M", "--chunk"},
		{"--seed x", "--seed"},
		{"--hold maybe", "--hold"},
		{"--dir relative", "--dir"},
		{"--ready-fd -1", "--ready-fd"},
		{"--reserve 65T", "--reserve"},
		{"--listen 8080", "--listen"},
		{"--start-paused", "--start-paused"},
		{"--hold no", "--hold"},
		{"--nosuch", "--nosuch"},
		{"--rate", "--rate"},
		{"--pattern touch extra", "extra"},
		{"extra", "extra"},
	};
	struct options o;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (parse(rows[i].args, &o) != OPTIONS_BAD)
			fail_msg("\"%s\" was taken", rows[i].args);
		if (!strstr(error, rows[i].named))
			fail_msg("\"%s\": \"%s\" does not name it", rows[i].args, error);
	}
}

static void test_long_garbage_is_cut(void **state)
{
	char args[400] = "--pattern ";
	struct options o;

	(void)state;
	memset(args + 10, 'x', 380);
	assert_int_equal(parse(args, &o), OPTIONS_BAD);
	assert_true(strlen(error) < OPTIONS_ERROR_BYTES);
}

static void test_table_is_sound(void **state)
{
	(void)state;
	assert_null(pattern_find("nosuch"));
	assert_null(pattern_find(""));
	assert_non_null(pattern_at(13));
	for (size_t i = 0; pattern_at(i); i++) {
		const struct pattern *p = pattern_at(i);

		assert_ptr_equal(pattern_find(p->name), p); /* so no name stands twice */
		assert_true(p->description[0] != '\0');
		assert_true(p->chunk_bytes >= 4096 && p->chunk_bytes % 4096 == 0);
		assert_in_range(p->threads, 1, PATTERN_THREADS_MAX);
		assert_non_null(p->run);
	}
}

static void test_plan_defaults(void **state)
{
	struct pattern_plan plan = {.pattern = pattern_find("touch")};

	(void)state;
	pattern_plan(&plan);
	assert_int_equal(plan.total_bytes, UINT64_MAX);
	assert_int_equal(plan.chunk_bytes, SIZE_MB);
	assert_int_equal(plan.threads, 1);

	plan = (struct pattern_plan){.pattern = pattern_find("populate")};
	pattern_plan(&plan);
	assert_int_equal(plan.chunk_bytes, 64 * SIZE_MB);

	plan = (struct pattern_plan){
		.pattern = pattern_find("populate"), .total_bytes = 300 * SIZE_MB + 1};
	pattern_plan(&plan);
	assert_int_equal(plan.total_bytes, 300 * SIZE_MB + 4096);
	assert_int_equal(plan.chunk_bytes, plan.total_bytes); /* one call */

	plan = (struct pattern_plan){.pattern = pattern_find("filecache")};
	pattern_plan(&plan);
	assert_int_equal(plan.total_bytes, 1024 * SIZE_MB); /* a disk is not filled by default */
}

static void test_addresses(void **state)
{
	static const struct {
		const char *text;
		const char *same; /* NULL: refused */
	} rows[] = {
		{"127.0.0.1:8080", "127.0.0.1:8080"},
		{"0.0.0.0:0", "0.0.0.0:0"},
		{"[::1]:65535", "[::1]:65535"},
		{"[::]:1", "[::]:1"},
		{"", NULL},
		{":", NULL},
		{":80", NULL},
		{"127.0.0.1", NULL},
		{"127.0.0.1:", NULL},
		{"127.0.0.1:65536", NULL},
		{"127.0.0.1:-1", NULL},
		{"127.0.0.1:80x", NULL},
		{"256.0.0.1:80", NULL},
		{"localhost:80", NULL},
		{"::1:80", NULL},
		{"[127.0.0.1]:80", NULL},
		{"[::1:80", NULL},
		{"11111111111111111111111111111111111111111111111111111111111111111111:1", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[LISTEN_TEXT_BYTES];
		struct listen_address a = {.len = 0};

		if (listen_parse(rows[i].text, &a) != (rows[i].same != NULL))
			fail_msg("\"%s\"", rows[i].text);
		if (!rows[i].same)
			continue;
		listen_format(&a, text);
		assert_string_equal(text, rows[i].same);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_means_http),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_long_garbage_is_cut),
		cmocka_unit_test(test_table_is_sound),
		cmocka_unit_test(test_plan_defaults),
		cmocka_unit_test(test_addresses),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("leaker_options", tests, NULL, NULL);
}
