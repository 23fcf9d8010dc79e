// SPDX-License-Identifier: Apache-2.0
/*
 * The sink: what is written lands in its place and takes its own blocks and no others, on the file
 * system of TMPDIR (else /tmp) and on one that cannot allocate beforehand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "capture/sink.h"

#define FILE_BYTES (8U << 20)
#define PIECE_BYTES (512U << 10)
#define SMALL_BYTES 4096U

/* In the place of the one of libc: waiting for the disk fails with it. */
static int disk_errno;

int sync_file_range(int fd, off_t from, off_t len, unsigned int flags)
{
	if (disk_errno && flags & SYNC_FILE_RANGE_WAIT_AFTER) {
		errno = disk_errno;
		return -1;
	}
	return (int)syscall(SYS_sync_file_range, fd, from, len, flags);
}

static int file_here(void)
{
	const char *tmp = getenv("TMPDIR");
	char name[512];
	int fd;

	(void)snprintf(name, sizeof(name), "%s/oomsnap-sink-XXXXXX", tmp ? tmp : "/tmp");
	fd = mkostemp(name, O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(unlink(name), 0);
	return fd;
}

static void assert_bytes(int fd, uint64_t offset, size_t len, int value)
{
	static unsigned char got[PIECE_BYTES];

	assert_true(len <= sizeof(got));
	assert_int_equal(pread(fd, got, len, (off_t)offset), len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(got[i], value);
}

static void write_two_pieces(int fd)
{
	static unsigned char bytes[PIECE_BYTES];
	struct core_sink sink;
	struct sink_window window;
	struct stat st;

	memset(bytes, 0x5a, sizeof(bytes));
	assert_int_equal(ftruncate(fd, FILE_BYTES), 0);
	sink_init(&sink, fd, -1, FILE_BYTES, FILE_BYTES, 1);
	sink_window_init(&window);
	assert_int_equal(sink_write(&sink, &window, bytes, PIECE_BYTES, 0), 0);
	assert_int_equal(sink_write(&sink, &window, bytes, PIECE_BYTES, 4U << 20), 0);
	assert_int_equal(sink_write(&sink, &window, bytes, SMALL_BYTES, 6U << 20), 0);
	sink_window_close(&sink, &window);
	assert_int_equal(fsync(fd), 0);
	assert_bytes(fd, 0, PIECE_BYTES, 0x5a);
	assert_bytes(fd, PIECE_BYTES, PIECE_BYTES, 0);
	assert_bytes(fd, 4U << 20, PIECE_BYTES, 0x5a);
	assert_bytes(fd, 6U << 20, SMALL_BYTES, 0x5a);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, FILE_BYTES);
	/* Room for the file system's own blocks, none for a hole of 512 KiB. */
	assert_in_range(st.st_blocks * 512, 2 * PIECE_BYTES + SMALL_BYTES,
		2 * PIECE_BYTES + SMALL_BYTES + PIECE_BYTES / 2);
}

static void test_only_what_is_written_takes_blocks(void **state)
{
	_cleanup_close_ int fd = file_here();

	(void)state;
	write_two_pieces(fd);
}

/* A file of memory, which has no ext4 below it. */
static void test_elsewhere_nothing_is_allocated_beforehand(void **state)
{
	_cleanup_close_ int fd = memfd_create("sink", MFD_CLOEXEC);
	struct core_sink sink;

	(void)state;
	assert_true(fd >= 0);
	write_two_pieces(fd);
	sink_init(&sink, fd, -1, FILE_BYTES, FILE_BYTES, 1);
	assert_false(atomic_load(&sink.allocates));
}

/* A descriptor that fallocate(2) refuses, with the switch on: the write goes on without it. */
static void test_a_refusal_costs_nothing(void **state)
{
	static const unsigned char bytes[ALLOCATED_LEAST_BYTES];
	_cleanup_close_ int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct core_sink sink;
	struct sink_window window;

	(void)state;
	assert_true(fd >= 0);
	sink_init(&sink, fd, -1, FILE_BYTES, FILE_BYTES, 1);
	atomic_store(&sink.allocates, true);
	sink_window_init(&window);
	assert_int_equal(sink_write(&sink, &window, bytes, sizeof(bytes), 0), 0);
	assert_false(atomic_load(&sink.allocates));
}

/* Whether the blocks of the first extent of fd's file were chosen before the disk was told. */
static bool is_allocated(int fd)
{
	_Alignas(
		struct fiemap) char buffer[sizeof(struct fiemap) + sizeof(struct fiemap_extent)] = {
		0};
	struct fiemap *map = (struct fiemap *)buffer;

	map->fm_length = FILE_BYTES;
	map->fm_extent_count = 1;
	assert_int_equal(ioctl(fd, FS_IOC_FIEMAP, map), 0);
	assert_int_equal(map->fm_mapped_extents, 1);
	return !(map->fm_extents[0].fe_flags & FIEMAP_EXTENT_DELALLOC);
}

/* It would wait for the direct write. */
static void test_nothing_is_allocated_beside_direct_writes(void **state)
{
	static const unsigned char bytes[PIECE_BYTES] = {1};

	(void)state;
	for (int direct = 0; direct < 2; direct++) {
		_cleanup_close_ int fd = file_here();
		struct core_sink sink;
		struct sink_window window;

		sink_init(&sink, fd, -1, FILE_BYTES, FILE_BYTES, 1);
		if (!atomic_load(&sink.allocates))
			skip(); /* this file system gains nothing by it */
		sink_window_init(&window);
		if (direct)
			sink_went_direct(&sink);
		assert_int_equal(sink_write(&sink, &window, bytes, sizeof(bytes), 0), 0);
		assert_int_equal(is_allocated(fd), !direct);
	}
}

static void test_the_room_is_counted(void **state)
{
	static const unsigned char bytes[SMALL_BYTES];
	_cleanup_close_ int fd = file_here();
	struct core_sink sink;
	struct sink_window window;

	(void)state;
	sink_init(&sink, fd, -1, SMALL_BYTES + 1, FILE_BYTES, 1);
	sink_window_init(&window);
	assert_int_equal(sink_write(&sink, &window, bytes, SMALL_BYTES, 0), 0);
	assert_int_equal(sink_write(&sink, &window, bytes, SMALL_BYTES, 0), -ENOSPC);
}

/* The kernel tells it once: to who waits for a range, long before the end of the core. */
static void test_what_the_disk_refuses_is_not_forgotten(void **state)
{
	static const unsigned char bytes[PIECE_BYTES] = {1};
	static const int errors[] = {0, EIO, EDQUOT, EINVAL};
	static const int lost[] = {0, -EIO, -EDQUOT, 0};

	(void)state;
	for (size_t k = 0; k < sizeof(errors) / sizeof(errors[0]); k++) {
		_cleanup_close_ int fd = file_here();
		struct core_sink sink;
		struct sink_window window;

		sink_init(&sink, fd, -1, FILE_BYTES, 4ULL * SINK_WINDOW_MIN_BYTES, 1);
		sink_window_init(&window);
		disk_errno = errors[k];
		for (uint64_t at = 0; at < FILE_BYTES; at += PIECE_BYTES)
			assert_int_equal(sink_write(&sink, &window, bytes, sizeof(bytes), at), 0);
		sink_window_close(&sink, &window);
		disk_errno = 0;
		assert_int_equal(atomic_load(&sink.lost), lost[k]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_what_is_written_takes_blocks),
		cmocka_unit_test(test_elsewhere_nothing_is_allocated_beforehand),
		cmocka_unit_test(test_a_refusal_costs_nothing),
		cmocka_unit_test(test_nothing_is_allocated_beside_direct_writes),
		cmocka_unit_test(test_the_room_is_counted),
		cmocka_unit_test(test_what_the_disk_refuses_is_not_forgotten),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
