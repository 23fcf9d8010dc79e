// SPDX-License-Identifier: Apache-2.0
/*
 * The copier where something fails under it: a disk that refuses what it was given, a memory object
 * that cannot be asked where it has data, page tables that cannot be read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "capture/copy.h"
#include "capture/frame.h"
#include "capture/writer.h"

#define SLOTS 2U
#define SLOT_BYTES (256U << 10)
#define FILE_BYTES (1U << 20)

struct fixture {
	struct capture_plan plan;
	struct core_sink sink;
	struct copy_job job;
	struct copier copier;
	struct direct *direct;
	unsigned char *buffers;
	int fd;	       /* the core */
	int broken[2]; /* a pipe that nobody reads: each write comes back with EPIPE */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)signal(SIGPIPE, SIG_IGN);
	f->fd = memfd_create("core", MFD_CLOEXEC);
	assert_true(f->fd >= 0);
	assert_int_equal(ftruncate(f->fd, FILE_BYTES), 0);
	assert_int_equal(pipe2(f->broken, O_CLOEXEC), 0);
	assert_int_equal(close(f->broken[0]), 0);
	f->buffers = aligned_alloc(4096, (size_t)SLOTS * SLOT_BYTES);
	assert_non_null(f->buffers);
	memset(f->buffers, 0x5a, (size_t)SLOTS * SLOT_BYTES);
	assert_int_equal(direct_new(f->buffers, SLOTS, SLOT_BYTES, &f->direct), 0);
	sink_init(&f->sink, f->fd, f->broken[1], FILE_BYTES, FILE_BYTES, 1);
	f->job.plan = &f->plan;
	f->job.sink = &f->sink;
	f->plan.pages.page_bytes = 4096;
	copy_init(&f->copier, f->direct, f->buffers, SLOT_BYTES);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	direct_free(f->direct);
	free(f->buffers);
	(void)close(f->fd);
	(void)close(f->broken[1]);
	free(f);
	return 0;
}

/* A plan of count regions and segments, the caller's as is order, all of this rank. */
static void plan_of(struct fixture *f, struct region *regions, struct segment *segments,
	uint32_t *order, uint32_t count, enum order_rank rank)
{
	f->plan.regions = regions;
	f->plan.segments = segments;
	f->plan.order = order;
	f->plan.region_count = f->plan.segment_count = count;
	for (uint32_t i = 0; i < count; i++) {
		segments[i].rank = (uint8_t)rank;
		order[i] = i;
	}
	for (uint32_t i = 0; i <= ORDER_RANKS; i++)
		f->plan.order_first[i] = i > (uint32_t)rank ? count : 0;
	f->plan.layout.file_bytes = (uint64_t)count * SLOT_BYTES;
}

static struct capture_writer *new_writer(void)
{
	const struct capture_limits limits = {.copy_threads = 1, .buffer_bytes = FRAME_BYTES};
	struct capture_writer *w;

	assert_int_equal(writer_new(&limits, &w), 0);
	return w;
}

static void begin(struct fixture *f, struct capture_writer *w, int fd, uint64_t room_bytes)
{
	writer_begin(w, &f->plan, fd, room_bytes, FILE_BYTES,
		/* cache_first= */ true);
}

/* How many bytes of the core are not zero. */
static size_t written(const struct fixture *f)
{
	static unsigned char bytes[FILE_BYTES];
	size_t n = 0;

	assert_int_equal(pread(f->fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++)
		n += bytes[i] != 0;
	return n;
}

/* --- what the disk refuses ------------------------------------------------------------------ */

static void test_refused_is_written_the_other_way(void **state)
{
	struct fixture *f = *state;

	copy_begin(&f->copier, &f->job, /* protected= */ false);
	assert_true(direct_write(f->direct, f->copier.buffer, SLOT_BYTES, SLOT_BYTES));
	copy_end(&f->copier);
	assert_int_equal(written(f), SLOT_BYTES);
	assert_int_equal(f->copier.failed_from, UINT64_MAX);
	assert_int_equal(atomic_load(&f->job.stop), 0);
}

/* A worker that the caller has given up: what it comes back to may be the file of somebody else. */
static void test_refused_after_the_end(void **state)
{
	struct fixture *f = *state;

	copy_begin(&f->copier, &f->job, /* protected= */ false);
	assert_true(direct_write(f->direct, f->copier.buffer, SLOT_BYTES, SLOT_BYTES));
	atomic_store(&f->job.stop, CAPTURE_MISSING_DEADLINE | COPY_STOP);
	copy_end(&f->copier);
	assert_int_equal(written(f), 0);
	assert_int_equal(f->copier.failed_from, SLOT_BYTES); /* and is told */
}

/* --- what cannot be read --------------------------------------------------------------------- */

/*
 * An object of a server that has died: a pipe's end can be asked for data no more than that. The
 * next object is copied.
 */
static void test_an_object_that_fails_ends_nothing_else(void **state)
{
	struct fixture *f = *state;
	struct region regions[] = {
		{.start = SLOT_BYTES, .end = 2 * SLOT_BYTES, .source = REGION_OBJECT},
		{.start = 2 * SLOT_BYTES, .end = 3 * SLOT_BYTES, .source = REGION_OBJECT}};
	struct segment segments[] = {
		{.start = SLOT_BYTES, .mem_bytes = SLOT_BYTES, .file_bytes = SLOT_BYTES},
		{.start = 2 * SLOT_BYTES,
			.mem_bytes = SLOT_BYTES,
			.file_bytes = SLOT_BYTES,
			.offset = SLOT_BYTES,
			.region = 1}};
	uint32_t order[ARRAY_LEN(segments)];
	int object = memfd_create("object", MFD_CLOEXEC);

	assert_true(object >= 0);
	assert_int_equal(write(object, f->buffers, SLOT_BYTES), SLOT_BYTES);
	plan_of(f, regions, segments, order, ARRAY_LEN(segments), ORDER_SWAPPED);
	copy_begin(&f->copier, &f->job, /* protected= */ false);
	f->copier.file_region = 0;
	f->copier.file_fd = fcntl(f->broken[1], F_DUPFD_CLOEXEC, 0);
	assert_true(copy_unit(&f->copier, 0, SLOT_BYTES, 2 * SLOT_BYTES));
	(void)close(f->copier.file_fd);
	f->copier.file_region = 1;
	f->copier.file_fd = object;
	assert_true(copy_unit(&f->copier, 1, 2 * SLOT_BYTES, 3 * SLOT_BYTES));
	copy_end(&f->copier);
	assert_int_equal(atomic_load(&f->job.stop), 0);
	assert_int_equal(atomic_load(&f->job.missing), CAPTURE_MISSING_READ);
	assert_int_equal(atomic_load(&f->job.skipped_bytes), SLOT_BYTES);
	assert_int_equal(atomic_load(&f->job.tally.memory_bytes), SLOT_BYTES);
	assert_int_equal(written(f), SLOT_BYTES);
}

/* What ends it is told apart from a round that has come to its end. */
static void test_page_tables_that_fail_stop_the_writer(void **state)
{
	struct fixture *f = *state;
	struct region region = {.start = SLOT_BYTES, .end = 2 * SLOT_BYTES, .source = REGION_PAGES};
	struct segment segment = {
		.start = SLOT_BYTES, .mem_bytes = SLOT_BYTES, .file_bytes = SLOT_BYTES};
	uint32_t order[1];
	struct capture_result result = {0};
	struct capture_writer *w = new_writer();

	plan_of(f, &region, &segment, order, 1, ORDER_SWAPPED);
	f->plan.pages.method = PAGES_PAGEMAP;
	f->plan.pages.pagemap_fd = -1;
	begin(f, w, f->fd, FILE_BYTES);
	assert_false(writer_stopped(w));
	writer_known_all(w, /* swap_too= */ false);
	assert_int_equal(writer_wait(w, UINT64_MAX), WRITER_DONE);
	writer_counts(w, &result);
	assert_true(writer_stopped(w));
	assert_int_equal(result.missing, CAPTURE_MISSING_READ);
	assert_int_equal(result.error, -EBADF);
	assert_int_equal(writer_copied_bytes(w, 0), 0);
	writer_free(w);
}

/* A round of which all is the tracer's. */
static void copy_protected(
	struct fixture *f, struct capture_writer *w, uint64_t room_bytes, bool stop)
{
	begin(f, w, f->fd, room_bytes);
	writer_known_all(w, /* swap_too= */ false);
	if (stop)
		writer_stop(w, CAPTURE_MISSING_DEADLINE);
	writer_copy_protected(w);
	assert_int_equal(writer_wait(w, UINT64_MAX), WRITER_DONE);
}

/* Mappings that only the tracer may read: what it did not come to is not in the core. */
static void test_what_the_tracer_was_kept_from_is_not_copied(void **state)
{
	struct fixture *f = *state;
	struct region regions[2];
	struct segment segments[2];
	uint32_t order[2];
	struct capture_writer *w = new_writer();

	for (uint32_t i = 0; i < 2; i++) {
		uint64_t start = (uintptr_t)f->buffers + (uint64_t)i * SLOT_BYTES;

		regions[i] = (struct region){
			.start = start, .end = start + SLOT_BYTES, .source = REGION_WHOLE};
		segments[i] = (struct segment){.start = start,
			.offset = (uint64_t)i * SLOT_BYTES,
			.mem_bytes = SLOT_BYTES,
			.file_bytes = SLOT_BYTES,
			.region = i};
	}
	plan_of(f, regions, segments, order, 2, ORDER_PROTECTED);
	f->plan.pages.id = getpid();
	f->plan.pages.mem_fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	assert_true(f->plan.pages.mem_fd >= 0);
	copy_protected(f, w, FILE_BYTES, /* stop= */ false);
	assert_int_equal(writer_copied_bytes(w, 0), SLOT_BYTES);
	assert_int_equal(writer_copied_bytes(w, 1), SLOT_BYTES);
	copy_protected(f, w, SLOT_BYTES, /* stop= */ false);
	assert_int_equal(writer_copied_bytes(w, 0), SLOT_BYTES);
	assert_int_equal(writer_copied_bytes(w, 1), 0);
	copy_protected(f, w, FILE_BYTES, /* stop= */ true);
	assert_int_equal(writer_copied_bytes(w, 0), 0);
	(void)close(f->plan.pages.mem_fd);
	writer_free(w);
}

static bool is_core(const struct fixture *f, int fd)
{
	struct stat core;
	struct stat other;

	return fstat(f->fd, &core) == 0 && fstat(fd, &other) == 0 && core.st_ino == other.st_ino;
}

/* A worker that is in the middle of something when it is given up may go on with its descriptor. */
static void test_who_comes_back_late_finds_its_own_file(void **state)
{
	struct fixture *f = *state;
	struct region region = {.end = SLOT_BYTES, .source = REGION_WHOLE};
	struct segment segment = {.file_bytes = SLOT_BYTES};
	uint32_t order[1];
	int core = fcntl(f->fd, F_DUPFD_CLOEXEC, 100); /* nobody else gets such a number */
	int first = core;
	struct capture_writer *w = new_writer();

	plan_of(f, &region, &segment, order, 1, ORDER_SWAPPED);
	begin(f, w, core, FILE_BYTES); /* waits for more to be known */
	assert_true(writer_busy(w));
	assert_int_equal(writer_end(w, /* tracer_late= */ false, &core), 0);
	assert_int_not_equal(core, first);
	assert_true(is_core(f, core));
	(void)close(core);
	assert_true(is_core(f, first));
	writer_stop(w, CAPTURE_MISSING_DEADLINE);
	assert_int_equal(writer_wait(w, UINT64_MAX), WRITER_DONE);
	/* The next one has no need of it any more, and its own goes with the caller. */
	core = fcntl(f->fd, F_DUPFD_CLOEXEC, 200);
	begin(f, w, core, FILE_BYTES);
	assert_int_equal(fcntl(first, F_GETFD), -1);
	writer_stop(w, CAPTURE_MISSING_DEADLINE);
	assert_int_equal(writer_wait(w, UINT64_MAX), WRITER_DONE);
	first = core;
	assert_int_equal(writer_end(w, /* tracer_late= */ false, &core), 0);
	assert_int_equal(core, first);
	assert_int_equal(writer_end(w, /* tracer_late= */ true, &core), 0);
	assert_int_not_equal(core, first);
	(void)close(core);
	writer_free(w);
	assert_int_equal(fcntl(first, F_GETFD), -1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_refused_is_written_the_other_way),
		CASE(test_refused_after_the_end),
		CASE(test_an_object_that_fails_ends_nothing_else),
		CASE(test_page_tables_that_fail_stop_the_writer),
		CASE(test_what_the_tracer_was_kept_from_is_not_copied),
		CASE(test_who_comes_back_late_finds_its_own_file),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
