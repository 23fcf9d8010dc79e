// SPDX-License-Identifier: Apache-2.0
/*
 * Writing the core with a bounded amount of page cache.
 *
 * Plain buffered writes return as soon as the bytes are in the page cache, so they are faster than
 * the disk. Unbounded, they fill the page cache with the whole core, charged to our cgroup, at a
 * moment at which memory may be scarce. So the workers fill the page cache within a budget, and
 * write past it where that is used up (direct.c). The kernel lets one writer at a time into a file;
 * the other one reads meanwhile, which takes as long. A direct write costs the processor nearly as
 * much as a buffered one (0.09 ms for 256 KiB against 0.11, most of it waiting for its turn), so
 * both workers fill the page cache first, unless the kernel would hold them back. This file has the
 * page cache.
 *
 * The budget is a share of what the machine and our own limit have to spare (budget.c). Each writer
 * remembers what it wrote in windows of 8 MiB, or less where the budget is small. A core within
 * half of the budget is not touched again before the final fdatasync; beyond, the disk is started
 * on the window half a budget back, and where the budget is used up, the oldest window is waited
 * for and dropped from the cache: a larger core is as fast as the disk from there on.
 *
 * The room is counted here as well, so that max_bytes and keep_free hold to within one buffer per
 * writer; a file system that is full says so itself.
 *
 * On ext4 a range is allocated before it is written. A buffered write reserves its blocks
 * otherwise, one by one and under the lock of the file, which is what two workers wait for: 0.18 ms
 * for 1 MiB instead of 0.13. Only what is written is allocated, so holes stay holes. xfs reserves
 * by extents and gains nothing (measured: 0.09 ms both ways); elsewhere it may be a request to a
 * server. It ends with the first direct write: fallocate(2) waits, with the lock of the file, until
 * all direct writes to it have ended (inode_dio_wait() in fs/ext4/extents.c), so that nobody could
 * write while the disk is busy.
 *
 * Limits: sync_file_range does not flush the disk's own cache; the fdatasync at the end does. On a
 * file system without it (some FUSE) errors are ignored and the cache is unbounded.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/checked.h"
#include "capture/sink.h"

static bool is_ext4(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == EXT4_SUPER_MAGIC;
}

void sink_init(struct core_sink *sink, int fd, int direct_fd, uint64_t room_bytes,
	uint64_t cache_bytes, uint32_t writers)
{
	sink->fd = fd;
	sink->direct_fd = direct_fd;
	sink->window_bytes = clamp_u64(
		cache_bytes / writers / SINK_WINDOWS_MIN, SINK_WINDOW_MIN_BYTES, SINK_WINDOW_BYTES);
	sink->windows = (uint32_t)clamp_u64(
		cache_bytes / sink->window_bytes / writers, SINK_WINDOWS_MIN, SINK_WINDOWS_MAX);
	atomic_store(&sink->allocates, is_ext4(fd));
	atomic_store(&sink->lost, 0);
	atomic_store(&sink->room_bytes, (int64_t)min_u64(room_bytes, INT64_MAX));
}

void sink_window_init(struct sink_window *w)
{
	w->open = (struct sink_range){.from = 0};
	w->bytes = 0;
	w->pushed = 0;
}

/* A failure here costs cache and nothing else: whoever waits for the range is told of it. */
static void start_writing(const struct core_sink *sink, const struct sink_range *range)
{
	(void)sync_file_range(sink->fd, (off_t)range->from, (off_t)(range->to - range->from),
		SYNC_FILE_RANGE_WRITE);
}

/*
 * What the disk refuses is told to each descriptor once (file_check_and_advance_wb_err() in
 * mm/filemap.c): to this call, and no more to the fdatasync at the end.
 */
static void wait_and_drop(struct core_sink *sink, const struct sink_range *range)
{
	off_t len = (off_t)(range->to - range->from);

	if (sync_file_range(sink->fd, (off_t)range->from, len,
		    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
			    SYNC_FILE_RANGE_WAIT_AFTER) < 0 &&
		(errno == EIO || errno == ENOSPC || errno == EDQUOT))
		atomic_store(&sink->lost, -errno);
	(void)posix_fadvise(sink->fd, (off_t)range->from, len, POSIX_FADV_DONTNEED);
}

static void push(struct core_sink *sink, struct sink_window *w)
{
	struct sink_range *slot = &w->ring[w->pushed % sink->windows];
	uint32_t half = sink->windows / 2;

	if (w->pushed >= sink->windows)
		wait_and_drop(sink, slot);
	*slot = w->open;
	if (w->pushed >= half)
		start_writing(sink, &w->ring[(w->pushed - half) % sink->windows]);
	w->pushed++;
	w->open = (struct sink_range){.from = 0};
	w->bytes = 0;
}

void sink_window_close(struct core_sink *sink, struct sink_window *w)
{
	if (w->open.to)
		push(sink, w);
}

static void note_range(struct core_sink *sink, struct sink_window *w, uint64_t from, uint64_t to)
{
	/* A jump starts a new window: a range must not span what it does not contain. */
	if (w->open.to && (from < w->open.from || from > w->open.to + sink->window_bytes))
		push(sink, w);
	if (!w->open.to)
		w->open.from = from;
	w->open.to = max_u64(w->open.to, to);
	w->bytes += to - from;
	if (w->bytes >= sink->window_bytes)
		push(sink, w);
}

bool sink_has_cache(const struct core_sink *sink, const struct sink_window *w)
{
	return w->pushed < sink->windows / 2;
}

int sink_take(struct core_sink *sink, size_t len)
{
	return atomic_fetch_sub(&sink->room_bytes, (int64_t)len) < (int64_t)len ? -ENOSPC : 0;
}

/* What fails here is told by the write, or does without: ext2 and ext3 have the number of ext4. */
static void allocate(struct core_sink *sink, size_t len, uint64_t offset)
{
	if (len < ALLOCATED_LEAST_BYTES || !atomic_load(&sink->allocates))
		return;
	if (fallocate(sink->fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len) < 0 &&
		(errno == EOPNOTSUPP || errno == ENODEV))
		atomic_store(&sink->allocates, false);
}

void sink_went_direct(struct core_sink *sink)
{
	if (atomic_load(&sink->allocates))
		atomic_store(&sink->allocates, false);
}

int sink_put(struct core_sink *sink, struct sink_window *w, const void *bytes, size_t len,
	uint64_t offset)
{
	size_t done = 0;

	allocate(sink, len, offset);
	while (done < len) {
		ssize_t n = pwrite(
			sink->fd, (const char *)bytes + done, len - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EDQUOT || errno == EFBIG ? -ENOSPC : -errno;
		if (n == 0)
			return -ENOSPC;
		done += (size_t)n;
	}
	note_range(sink, w, offset, offset + len);
	return 0;
}

int sink_write(struct core_sink *sink, struct sink_window *w, const void *bytes, size_t len,
	uint64_t offset)
{
	int r = sink_take(sink, len);

	return r ? r : sink_put(sink, w, bytes, len, offset);
}
