// SPDX-License-Identifier: Apache-2.0
/*
 * The reports: report.json is valid JSON and report.html is safe and whole, whatever the target put
 * into its names, and what is unknown is null.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "amount.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "core/history.h"
#include "report.h"
#include "report_chart.h"

#define TEXT_BYTES (8U << 20)
#define EVIL "\"</title><script>alert(1)</script>&\x01\xff\xc3'\\"

/* --- a disk that fails ----------------------------------------------------------------------- */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static int bad_sectors = -1; /* an empty file: its pages are a SIGBUS, as those of a bad sector */

void *mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (bad_sectors >= 0 && fd >= 0)
		fd = bad_sectors;
	// NOLINTNEXTLINE(performance-no-int-to-ptr): so syscall() returns it
	return (void *)syscall(SYS_mmap, at, len, prot, flags, fd, offset);
}
#endif

/* --- a small JSON judge: RFC 8259, no more --------------------------------------------------- */

static const char *value(const char *t, int depth);

static const char *blank(const char *t)
{
	while (t && (*t == ' ' || *t == '\n' || *t == '\t' || *t == '\r'))
		t++;
	return t;
}

static const char *string(const char *t)
{
	if (*t++ != '"')
		return NULL;
	while (*t != '"') {
		size_t n = str_utf8_len(t, strnlen(t, 4));

		if (n == 0 || (unsigned char)*t < 0x20)
			return NULL;
		if (*t == '\\') {
			if (t[1] == 'u') {
				if (strspn(t + 2, "0123456789abcdefABCDEF") < 4)
					return NULL;
				t += 4;
			} else if (!t[1] || !strchr("\"\\/bfnrt", t[1])) {
				return NULL;
			}
			t++;
		}
		t += n;
	}
	return t + 1;
}

static const char *members(const char *t, char end, int depth)
{
	t = blank(t + 1);
	if (*t == end)
		return t + 1;
	for (;;) {
		if (end == '}') {
			t = string(blank(t));
			t = blank(t);
			if (!t || *t++ != ':')
				return NULL;
		}
		t = blank(value(blank(t), depth + 1));
		if (!t)
			return NULL;
		if (*t == end)
			return t + 1;
		if (*t++ != ',')
			return NULL;
	}
}

static const char *value(const char *t, int depth)
{
	static const char *const words[] = {"true", "false", "null"};
	size_t digits;

	if (!t || depth > 16)
		return NULL;
	if (*t == '{')
		return members(t, '}', depth);
	if (*t == '[')
		return members(t, ']', depth);
	if (*t == '"')
		return string(t);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_has_prefix(t, words[i]))
			return t + strlen(words[i]);
	t += *t == '-';
	digits = strspn(t, "0123456789");
	if (!digits || (*t == '0' && digits > 1))
		return NULL;
	return t + digits;
}

static bool is_json(const char *t)
{
	t = blank(value(blank(t), 0));
	return t && !*t;
}

/* --- a report with everything in it ---------------------------------------------------------- */

struct fixture {
	struct capture_request request;
	struct capture_result result;
	struct incident_record record;
	struct history history;
	struct core_view view;
	struct report report;
	char text[TEXT_BYTES];
	struct str s;
};

static void fill_history(struct history *h)
{
	h->count = HISTORY_MAX;
	for (uint32_t i = 0; i < HISTORY_MAX; i++)
		h->point[i] = (struct history_point){
			.at_ns = (1000 + i / 4) * NS_PER_S,
			.used_bytes = (uint64_t)i << 19,
			.limit_bytes = 1ULL << 30,
			.rate_bytes_s = 1000000 + i,
			.psi_some_bp = i,
			.psi_full_bp = i / 2,
		};
}

static void fill_record(struct incident_record *record)
{
	(void)strcpy(record->target, EVIL);
	(void)strcpy(record->cgroup, "/sys/fs/cgroup/" EVIL);
	record->trip_ns = 1255 * NS_PER_S;
	record->limit_bytes = 1ULL << 30;
	record->trip_threshold_bytes = 900ULL << 20;
	record->used_at_trip_bytes = 901ULL << 20;
	record->headroom_hold_bytes = SIZE_UNLIMITED;
	record->reason = TRIP_REASON_USED;
	record->guarantee = GUARANTEE_GUARANTEED;
	record->timeline_count = TIMELINE_MAX;
	for (uint32_t i = 0; i < TIMELINE_MAX; i++)
		record->timeline[i] = (struct timeline_entry){
			.at_ns = record->trip_ns + i * NS_PER_MS,
			.what = (enum intervention)(i % INTERVENTION_COUNT),
			.used_bytes = i << 20,
		};
}

static void fill_view(struct core_view *view)
{
	view->has_process = true;
	memcpy(view->process.args, EVIL, strlen(EVIL));
	view->threads = view->thread_count = CORE_VIEW_THREADS;
	view->mapping_count = CORE_VIEW_MAPPINGS;
	for (uint32_t i = 0; i < CORE_VIEW_THREADS; i++) {
		view->thread[i].pc = UINT64_MAX - i;
		view->thread[i].has_registers = i % 2;
		memcpy(view->thread[i].name, EVIL, sizeof(view->thread[i].name) - 1);
		(void)strcpy(view->thread[i].where, EVIL);
	}
	for (uint32_t i = 0; i < CORE_VIEW_MAPPINGS; i++) {
		view->mapping[i].data_bytes = 1ULL << (CORE_VIEW_MAPPINGS - i);
		(void)strcpy(view->mapping[i].name, EVIL);
	}
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	(void)strcpy(f->request.target, EVIL);
	memcpy(f->result.comm, EVIL, sizeof(f->result.comm)); /* not terminated */
	(void)strcpy(f->result.path, "/dumps/" EVIL);
	f->result.status = CAPTURE_PARTIAL;
	f->result.missing = (1U << 9) - 1;
	f->result.begin_ns = 1255 * NS_PER_S;
	f->result.detached_ns = 1256 * NS_PER_S;
	f->report = (struct report){.request = &f->request,
		.result = &f->result,
		.record = &f->record,
		.history = f->history.point,
		.history_count = HISTORY_MAX,
		.view = &f->view,
		.why = EVIL,
		.wall_offset_ns = 1700000000LL * (int64_t)NS_PER_S};
	fill_record(&f->record);
	fill_history(&f->history);
	fill_view(&f->view);
	str_init(&f->s, f->text, sizeof(f->text));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

/* --- tests ----------------------------------------------------------------------------------- */

static void test_judge(void **state)
{
	(void)state;
	assert_true(is_json("{\"a\":[1,-2,{\"b\":null}],\"c\":\"\\u00e9\\\"\"}"));
	assert_false(is_json("{\"a\":1,}"));
	assert_false(is_json("{\"a\" 1}"));
	assert_false(is_json("[01]"));
	assert_false(is_json("\"\x01\""));
	assert_false(is_json("\"\xff\""));
	assert_false(is_json("{} {}"));
}

static void test_json_is_valid(void **state)
{
	struct fixture *f = *state;

	report_json(&f->s, &f->report);
	assert_false(f->s.cut);
	assert_true(is_json(f->text));
	assert_non_null(strstr(f->text, "\"headroom_hold_bytes\":null"));
	assert_non_null(strstr(f->text, "\"limit_bytes\":1073741824"));
	assert_non_null(strstr(f->text, "\"at\":\"2023-11-14T22:34:15.000Z\""));
	assert_non_null(strstr(f->text,
		"\"missing\":[\"deadline\",\"space\",\"io\",\"read\","
		"\"threads\",\"mappings\",\"exited\",\"shared\",\"swap\"]"));
	assert_non_null(strstr(f->text, "\"pc\":\"0xffffffffffffffff\""));
}

static void test_json_of_little(void **state)
{
	struct fixture *f = *state;
	struct report little = {.request = &f->request, .result = &f->result, .why = ""};

	report_json(&f->s, &little);
	assert_true(is_json(f->text));
	assert_null(strstr(f->text, "\"incident\""));
	assert_non_null(strstr(f->text, "\"history\":[]"));
	str_init(&f->s, f->text, sizeof(f->text));
	report_json_capture(&f->s, &little);
	assert_true(is_json(f->text));
	assert_null(strchr(f->text, '\n'));
}

static void test_json_of_a_core(void **state)
{
	struct fixture *f = *state;

	report_json_view(&f->s, EVIL, &f->view);
	assert_true(is_json(f->text));
}

/* Every key is in the manual: readers rely on it. */
static void test_keys_are_documented(void **state)
{
	struct fixture *f = *state;
	FILE *page = fopen("deploy/man/oomsnap-report.5", "re");
	char *manual = calloc(1, TEXT_BYTES);
	unsigned int keys = 0;
	const char *t;

	assert_non_null(page); /* tests run at the top of the tree */
	assert_non_null(manual);
	assert_true(fread(manual, 1, TEXT_BYTES - 1, page) > 0);
	(void)fclose(page);
	memset(f->view.mapping, 0, sizeof(f->view.mapping));
	report_json(&f->s, &f->report);
	for (t = f->text; (t = strstr(t, "\":")); t += 2) {
		const char *begin = t;
		char key[64] = " ";

		while (begin[-1] != '"')
			begin--;
		assert_true(t - begin < (ptrdiff_t)sizeof(key) - 1);
		memcpy(key + 1, begin, (size_t)(t - begin));
		if (!strstr(manual, key))
			fail_msg("'%s' is not in oomsnap-report(5)", key + 1);
		keys++;
	}
	assert_true(keys > 100);
	free(manual);
}

/* Every tag that is opened is closed, in order. */
static bool balanced(const char *t)
{
	static const char *const single[] = {"meta", "line", "polyline", "polygon", "!doctype"};
	char stack[64][16];
	size_t depth = 0;

	while ((t = strchr(t, '<'))) {
		size_t n = strcspn(t + 1, " />\n");
		bool closing = t[1] == '/';
		bool alone = false;
		char name[16] = "";

		n = closing ? strcspn(t + 2, ">") : n;
		if (n == 0 || n >= sizeof(name))
			return false;
		memcpy(name, t + 1 + closing, n);
		for (size_t i = 0; i < ARRAY_LEN(single); i++)
			alone = alone || strcmp(name, single[i]) == 0;
		t++;
		if (alone)
			continue;
		if (!closing && depth == ARRAY_LEN(stack))
			return false;
		if (!closing)
			memcpy(stack[depth++], name, sizeof(name));
		else if (depth == 0 || strcmp(stack[--depth], name) != 0)
			return false;
	}
	return depth == 0;
}

/* What could not be read back is not told as nothing. */
static void test_core_not_read_back(void **state)
{
	struct fixture *f = *state;

	f->report.view = NULL;
	f->report.unread = EVIL;
	report_json(&f->s, &f->report);
	assert_true(is_json(f->text));
	assert_non_null(strstr(f->text, "\"unread\":\""));
	assert_non_null(strstr(f->text, "\"threads_total\":null"));
	str_init(&f->s, f->text, TEXT_BYTES);
	report_html(&f->s, &f->report);
	assert_true(balanced(f->text));
	assert_non_null(strstr(f->text, "Not listed here"));
	assert_null(strstr(f->text, "<script"));
}

/* --- reading a core back --------------------------------------------------------------------- */

struct bundle {
	char dir[64];
	int fd;
};

static struct bundle make_bundle(void)
{
	struct bundle b;

	(void)snprintf(b.dir, sizeof(b.dir), "/tmp/oomsnap-test-XXXXXX");
	assert_non_null(mkdtemp(b.dir));
	b.fd = open(b.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(b.fd >= 0);
	return b;
}

static void remove_bundle(struct bundle *b)
{
	(void)unlinkat(b->fd, "core", 0);
	assert_int_equal(unlinkat(b->fd, "report.json", 0), 0);
	assert_int_equal(unlinkat(b->fd, "report.html", 0), 0);
	(void)close(b->fd);
	assert_int_equal(rmdir(b->dir), 0);
}

/* The reports of a capture with this result; report.json in f->text. */
static void write_bundle(struct fixture *f, struct bundle *b, struct capture_result *result,
	char *why, size_t why_size)
{
	const struct capture_request request = {.compress = COMPRESS_NONE};
	_cleanup_close_ int fd = -1;
	ssize_t n;

	assert_int_equal(
		report_write_bundle(b->fd, &request, result, NULL, NULL, 0, why, why_size), 0);
	fd = openat(b->fd, "report.json", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	n = read(fd, f->text, TEXT_BYTES - 1);
	assert_true(n > 0);
	f->text[n] = '\0';
	assert_true(is_json(f->text));
}

/* A disk that has failed may keep whoever opens a file on it waiting, as a pipe without a writer.
 */
static void test_a_core_that_the_disk_failed_on_is_not_opened(void **state)
{
	struct fixture *f = *state;
	struct bundle b = make_bundle();
	struct capture_result result = {
		.status = CAPTURE_PARTIAL, .missing = CAPTURE_MISSING_IO, .error = -EIO};
	char why[256] = "writing failed";

	assert_int_equal(mkfifoat(b.fd, "core", 0600), 0);
	(void)alarm(10);
	write_bundle(f, &b, &result, why, sizeof(why));
	(void)alarm(0);
	assert_non_null(strstr(f->text, "\"unread\":\"the disk failed while it was written\""));
	assert_string_equal(why, "writing failed");
	assert_int_equal(result.error, -EIO);
	remove_bundle(&b);
}

static void test_a_core_that_is_none(void **state)
{
	struct fixture *f = *state;
	struct bundle b = make_bundle();
	struct capture_result result = {.status = CAPTURE_OK};
	int fd = openat(b.fd, "core", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	char why[256] = "";

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "none", 4), 4);
	(void)close(fd);
	write_bundle(f, &b, &result, why, sizeof(why));
	assert_non_null(strstr(f->text, "\"unread\":\"not an ELF file\""));
	assert_int_equal(result.status, CAPTURE_OK); /* the disk gave what it was given */
	assert_string_equal(why, "");
	remove_bundle(&b);
}

/* The first who meets a bad sector is who reads the core back. */
static void test_a_core_that_the_disk_does_not_give(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	(void)state;
	print_message("the sanitizer has an mmap() of its own; tested in the other builds\n");
	skip();
#else
	struct fixture *f = *state;
	struct bundle b = make_bundle();
	struct capture_result result = {.status = CAPTURE_OK, .pid = 77};
	int fd = openat(b.fd, "core", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	char why[256] = "";

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 3 << 20), 0);
	(void)close(fd);
	bad_sectors = memfd_create("bad", MFD_CLOEXEC);
	assert_true(bad_sectors >= 0);
	write_bundle(f, &b, &result, why, sizeof(why));
	(void)close(bad_sectors);
	bad_sectors = -1;
	assert_non_null(strstr(f->text, "\"unread\":\"some of it cannot be read: the disk failed"));
	assert_non_null(strstr(f->text, "\"partial\""));
	assert_int_equal(result.status, CAPTURE_PARTIAL);
	assert_int_equal(result.missing, CAPTURE_MISSING_IO);
	assert_int_equal(result.error, -EIO);
	assert_non_null(strstr(why, "process 77"));
	assert_non_null(strstr(why, "cannot be read back (Input/output error)"));
	remove_bundle(&b);
#endif
}

static void test_html_is_safe(void **state)
{
	struct fixture *f = *state;
	static const char *const forbidden[] = {
		"<script", "alert(1)<", "http://", "https://", "src=", "url(", "\x01", "\xff"};

	report_html(&f->s, &f->report);
	assert_false(f->s.cut);
	for (size_t i = 0; i < ARRAY_LEN(forbidden); i++)
		assert_null(strstr(f->text, forbidden[i]));
	assert_non_null(strstr(f->text, "&lt;script&gt;"));
	assert_true(balanced(f->text));
	assert_non_null(strstr(f->text, "<svg"));
}

static void test_html_of_little(void **state)
{
	struct fixture *f = *state;
	struct report little = {.request = &f->request, .result = &f->result, .why = ""};

	report_html(&f->s, &little);
	assert_true(balanced(f->text));
	assert_null(strstr(f->text, "<svg"));
}

/* Histories that a chart could stumble over: one point, all at once, no limit, zeros. */
static void test_charts_of_odd_histories(void **state)
{
	struct fixture *f = *state;
	struct history *h = &f->history;

	f->report.history_count = 1;
	assert_false(report_chart_possible(&f->report));
	f->report.history_count = 2;
	h->point[1].at_ns = h->point[0].at_ns;
	assert_false(report_chart_possible(&f->report));
	for (uint32_t i = 0; i < 3; i++)
		h->point[i] = (struct history_point){
			.at_ns = 1 + i * UINT64_MAX / 4, .limit_bytes = SIZE_UNLIMITED};
	f->report.history_count = 3;
	report_html(&f->s, &f->report);
	assert_true(balanced(f->text));
	h->point[1].used_bytes = UINT64_MAX;
	h->point[1].rate_bytes_s = UINT64_MAX;
	h->point[1].psi_some_bp = UINT32_MAX;
	str_init(&f->s, f->text, sizeof(f->text));
	report_html(&f->s, &f->report);
	assert_false(f->s.cut);
	assert_true(balanced(f->text));
	f->record.timeline_count = UINT32_MAX; /* from a sender that we do not trust */
	f->report.history_count = UINT32_MAX;
	str_init(&f->s, f->text, sizeof(f->text));
	report_html(&f->s, &f->report);
	report_json(&f->s, &f->report);
	assert_false(f->s.cut);
}

static void check_size(uint64_t bytes, const char *expected)
{
	char text[32];
	struct str s;

	str_init(&s, text, sizeof(text));
	amount_size(&s, bytes);
	assert_string_equal(text, expected);
}

static void check_time(uint64_t ns, const char *expected)
{
	char text[32];
	struct str s;

	str_init(&s, text, sizeof(text));
	amount_time(&s, ns);
	assert_string_equal(text, expected);
}

static void test_amounts(void **state)
{
	(void)state;
	check_size(0, "0 B");
	check_size(1023, "1023 B");
	check_size(1024, "1.00 KiB");
	check_size(1536, "1.50 KiB");
	check_size((1ULL << 20) - 1, "1023 KiB");
	check_size(10 << 20, "10.0 MiB");
	check_size(UINT64_MAX - 1, "15.9 EiB");
	check_size(SIZE_UNLIMITED, "no limit");
	check_time(0, "0 ms");
	check_time(450000, "0.45 ms");
	check_time(1350 * NS_PER_MS, "1.35 s");
	check_time(240 * NS_PER_S, "4 min");
	check_time(250 * NS_PER_S, "4 min 10 s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		cmocka_unit_test_setup_teardown(test_json_is_valid, setup, teardown),
		cmocka_unit_test_setup_teardown(test_json_of_little, setup, teardown),
		cmocka_unit_test_setup_teardown(test_json_of_a_core, setup, teardown),
		cmocka_unit_test_setup_teardown(test_core_not_read_back, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_core_that_the_disk_failed_on_is_not_opened, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_core_that_is_none, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_core_that_the_disk_does_not_give, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys_are_documented, setup, teardown),
		cmocka_unit_test_setup_teardown(test_html_is_safe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_html_of_little, setup, teardown),
		cmocka_unit_test_setup_teardown(test_charts_of_odd_histories, setup, teardown),
		cmocka_unit_test(test_amounts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
