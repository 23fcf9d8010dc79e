// SPDX-License-Identifier: Apache-2.0
/*
 * The copier where something fails under it: a disk that refuses what it was given.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/copy.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_refused_is_written_the_other_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_after_the_end, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
