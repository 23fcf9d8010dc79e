// SPDX-License-Identifier: Apache-2.0
/*
 * Every pattern of the table, run for real in this process: it reaches its total, the manifest
 * describes what is in memory byte for byte, and freeing gives all of it back.
 *
 * `mlockall` needs a permission that `make check` does not require; refused, it must say so. `fork`
 * and `filecache` leave nothing in this process and are looked at through the counters.
 */
#include "leaker/fill.h"
#include "leaker/leak.h"
#include "leaker/size.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define DEADLINE_MS 20000
#define TOTAL_BYTES (UINT64_C(4) << 20)
#define SEED 99

struct fixture {
	struct leak leak;
	int ended_fd;
	enum pattern_result result;
};

static struct fixture fixture;

static void on_end(void *arg, enum pattern_result result)
{
	struct fixture *f = arg;
	uint64_t one = 1;

	f->result = result;
	(void)!write(f->ended_fd, &one, sizeof(one));
}

/* One leak for all tests: its thread stays until the program ends, as it does in the leaker. */
static int setup(void **state)
{
	fixture.ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	*state = &fixture;
	return fixture.ended_fd < 0 ? -1 : leak_init(&fixture.leak, SEED, on_end, &fixture);
}

static void wait_for_end(struct fixture *f)
{
	struct pollfd ended = {.fd = f->ended_fd, .events = POLLIN};
	uint64_t drained;

	assert_int_equal(poll(&ended, 1, DEADLINE_MS), 1);
	assert_int_equal(read(f->ended_fd, &drained, sizeof(drained)), sizeof(drained));
	/* the state changes right after the call: stopping what has ended waits for that */
	assert_int_equal(leak_stop(&f->leak, DEADLINE_MS), LEAK_OK);
}

static void start(struct fixture *f, const char *pattern, uint64_t total_bytes, unsigned threads)
{
	struct pattern_plan plan = {
		.pattern = pattern_find(pattern),
		.rate_bytes_s = SIZE_RATE_MAX,
		.total_bytes = total_bytes,
		.threads = threads,
		.dir = "/tmp",
	};

	assert_non_null(plan.pattern);
	pattern_plan(&plan);
	assert_int_equal(leak_start(&f->leak, &plan, UINT64_MAX), LEAK_OK);
}

/* The memory of an entry: it is this process's own. */
static void *memory_of(const struct manifest_entry *e)
{
	return (void *)(uintptr_t)e->address; // NOLINT(performance-no-int-to-ptr)
}

/* Judges every entry against the memory itself. The number of bytes that were right. */
static uint64_t verify(const struct leak *leak)
{
	const struct manifest *m = &leak->manifest;
	uint64_t bytes = 0;

	for (uint64_t i = 0; i < m->header->count; i++) {
		const struct manifest_entry *e = &m->entries[i];
		size_t first = 0;

		assert_true(e->filled <= e->length);
		if (fill_check(SEED, e->address, memory_of(e), e->filled, FILL_EXACT, &first) != 0)
			fail_msg("entry %llu is wrong at %zu", (unsigned long long)i, first);
		bytes += e->filled;
	}
	assert_int_equal(m->header->filled_bytes, bytes);
	return bytes;
}

/* Frees, and sees that no entry's memory is mapped any more (heap and stacks excepted: libc's). */
static void free_and_verify(struct fixture *f)
{
	const struct manifest *m = &f->leak.manifest;
	uint64_t count = m->header->count;

	assert_int_equal(leak_free(&f->leak, DEADLINE_MS), LEAK_OK);
	assert_int_equal(leak_state(&f->leak), LEAK_IDLE);
	assert_int_equal(m->header->count, 0);
	assert_int_equal(m->header->filled_bytes, 0);
	assert_int_equal(f->leak.shared->filled_bytes, 0);
	for (uint64_t i = 0; i < count; i++) {
		const struct manifest_entry *e = &m->entries[i];
		unsigned char resident;

		assert_int_equal(e->filled, 0);
		if (e->kind != MANIFEST_PRIVATE && e->kind != MANIFEST_SHARED &&
			e->kind != MANIFEST_HOLE)
			continue;
		/* nothing maps memory between the release and here, so the addresses must be free
		 */
		assert_int_equal(mincore(memory_of(e), 4096, &resident), -1);
		assert_int_equal(errno, ENOMEM);
	}
}

static void run_whole(struct fixture *f, const char *pattern, unsigned threads)
{
	start(f, pattern, TOTAL_BYTES, threads);
	wait_for_end(f);
	assert_int_equal(f->result, PATTERN_DONE);
	assert_int_equal(f->leak.shared->filled_bytes, TOTAL_BYTES);
}

static void test_in_own_memory(void **state)
{
	static const char *const names[] = {"touch", "threads", "malloc", "populate", "read", "thp",
		"memfd", "sysv-shm", "mmap-shared", "vmas", "stacks"};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		print_message("# %s\n", names[i]);
		run_whole(f, names[i], 0);
		assert_int_equal(verify(&f->leak), TOTAL_BYTES);
		free_and_verify(f);
	}
}

static void test_mlockall(void **state)
{
	struct fixture *f = *state;

	start(f, "mlockall", TOTAL_BYTES, 0);
	wait_for_end(f);
	if (f->result == PATTERN_NOT_PERMITTED) {
		print_message("# not permitted here, and said so\n");
		assert_int_equal(f->leak.manifest.header->count, 0);
		return;
	}
	assert_int_equal(f->result, PATTERN_DONE);
	assert_int_equal(verify(&f->leak), TOTAL_BYTES);
	free_and_verify(f);
}

/* memfd: the holes are really holes. */
static void test_memfd_holes(void **state)
{
	struct fixture *f = *state;
	const struct manifest *m = &f->leak.manifest;
	unsigned holes = 0;

	run_whole(f, "memfd", 0);
	for (uint64_t i = 0; i < m->header->count; i++) {
		unsigned char resident[256];
		const struct manifest_entry *e = &m->entries[i];

		if (e->kind != MANIFEST_HOLE)
			continue;
		holes++;
		assert_int_equal(e->length, SIZE_MB);
		assert_int_equal(mincore(memory_of(e), e->length, resident), 0);
		for (size_t page = 0; page < sizeof(resident); page++)
			assert_int_equal(resident[page] & 1, 0);
	}
	assert_int_equal(holes, 4);
	free_and_verify(f);
}

static void test_vmas_do_not_merge(void **state)
{
	struct fixture *f = *state;
	unsigned long before = 0, after = 0;
	FILE *maps = fopen("/proc/self/maps", "re");

	assert_non_null(maps);
	for (int c; (c = fgetc(maps)) != EOF;)
		before += c == '\n';
	(void)fclose(maps);
	run_whole(f, "vmas", 0);
	maps = fopen("/proc/self/maps", "re");
	assert_non_null(maps);
	for (int c; (c = fgetc(maps)) != EOF;)
		after += c == '\n';
	(void)fclose(maps);
	/* the first and the last page may have merged with what lies beside the area */
	assert_true(after - before >= TOTAL_BYTES / 4096 - 2);
	free_and_verify(f);
}

static unsigned long count_threads(void)
{
	char line[128];
	unsigned long n = 0;
	FILE *status = fopen("/proc/self/status", "re");

	assert_non_null(status);
	while (fgets(line, sizeof(line), status)) {
		if (strncmp(line, "Threads:", 8) == 0)
			n = strtoul(line + 8, NULL, 10);
	}
	(void)fclose(status);
	return n;
}

/* The threads stay for as long as their memory does. */
static void test_threads_stay(void **state)
{
	struct fixture *f = *state;

	start(f, "stacks", UINT64_C(40) * 65536, 40);
	wait_for_end(f);
	assert_true(count_threads() >= 40);
	assert_int_equal(verify(&f->leak), 40 * 65536);
	free_and_verify(f);
	assert_int_equal(f->leak.workers.parked, 0);
}

static void test_fork(void **state)
{
	struct fixture *f = *state;

	start(f, "fork", TOTAL_BYTES + 4096, 3); /* a total that does not divide evenly */
	wait_for_end(f);
	assert_int_equal(f->result, PATTERN_DONE);
	assert_int_equal(f->leak.shared->filled_bytes, TOTAL_BYTES + 4096);
	assert_int_equal(f->leak.shared->finished, 3);
	assert_int_equal(f->leak.manifest.header->count, 0); /* the parent leaks nothing */
	assert_int_equal(f->leak.child_count, 2);
	free_and_verify(f);
	assert_int_equal(f->leak.child_count, 0);
}

static void test_filecache(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	run_whole(f, "filecache", 0);
	assert_int_equal(f->leak.fd_count, 1);
	assert_int_equal(fstat(f->leak.fds[0], &st), 0);
	assert_int_equal(st.st_size, TOTAL_BYTES);
	assert_int_equal(st.st_nlink, 0); /* nothing is left behind */
	free_and_verify(f);
}

/* Start, start again, stop in the middle, go on, free: the life of a leak under HTTP. */
static void test_stop_and_go_on(void **state)
{
	struct fixture *f = *state;
	struct pattern_plan plan = {.pattern = pattern_find("touch"), .rate_bytes_s = SIZE_MB};
	uint64_t held;

	pattern_plan(&plan);
	assert_int_equal(leak_start(&f->leak, &plan, UINT64_MAX), LEAK_OK);
	assert_int_equal(leak_start(&f->leak, &plan, UINT64_MAX), LEAK_BUSY);
	assert_int_equal(leak_state(&f->leak), LEAK_RUNNING);
	assert_int_equal(
		leak_stop(&f->leak, DEADLINE_MS), LEAK_OK); /* it waits for its second MB */
	wait_for_end(f);
	assert_int_equal(leak_state(&f->leak), LEAK_HELD);
	held = verify(&f->leak);
	assert_in_range(held, 0, 2 * SIZE_MB);
	start(f, "touch", TOTAL_BYTES, 0);
	wait_for_end(f);
	assert_int_equal(verify(&f->leak), held + TOTAL_BYTES);
	free_and_verify(f);
}

/* With nothing leaked, stopping and freeing are answered at once. */
static void test_nothing_to_free(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(leak_state(&f->leak), LEAK_IDLE);
	assert_int_equal(leak_stop(&f->leak, 0), LEAK_OK);
	assert_int_equal(leak_free(&f->leak, 0), LEAK_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_own_memory),
		cmocka_unit_test(test_memfd_holes),
		cmocka_unit_test(test_vmas_do_not_merge),
		cmocka_unit_test(test_threads_stay),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_filecache),
		cmocka_unit_test(test_stop_and_go_on),
		cmocka_unit_test(test_nothing_to_free),
		cmocka_unit_test(test_mlockall),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("leaker_patterns", tests, setup, NULL);
}
