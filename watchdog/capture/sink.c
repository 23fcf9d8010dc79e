// SPDX-License-Identifier: Apache-2.0
/*
 * Writing the core with a bounded amount of page cache.
 *
 * Plain buffered writes return as soon as the bytes are in the page cache, so the target stands
 * still for the shortest time: 0.4 s for 2 GiB, against 0.9 s for anything that waits for the disk.
 * Unbounded, they fill the page cache with the whole core, charged to our cgroup, at the moment at
 * which memory is scarce. So each writer hands every 8 MiB that it has filled to the disk at once
 * (sync_file_range), and when 16 such windows are on their way it waits for the oldest and drops it
 * from the cache. A core smaller than the windows is never waited for; a larger one costs at most
 * SINK_WINDOWS * SINK_WINDOW_BYTES of cache per writer and is as fast as the disk from there on.
 *
 * SINK_DONTCACHE leaves both to the kernel, where it can.
 *
 * The room is counted here as well, so that max_bytes and keep_free hold to within one buffer per
 * writer; a file system that is full says so itself.
 *
 * Limits: sync_file_range does not flush the disk's own cache; the fdatasync at the end does. On a
 * file system without it (some FUSE) errors are ignored and the cache is unbounded.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/checked.h"
#include "capture/sink.h"

#ifndef RWF_DONTCACHE
#define RWF_DONTCACHE 0x00000080 /* include/uapi/linux/fs.h of 6.14 */
#endif

void sink_init(struct core_sink *sink, int fd, uint64_t room_bytes)
{
	sink->fd = fd;
	sink->mode = SINK_BUFFERED;
	atomic_store(&sink->room_bytes, (int64_t)min_u64(room_bytes, INT64_MAX));
}

void sink_window_init(struct sink_window *w)
{
	*w = (struct sink_window){.next = 0};
}

/* Waits for the oldest window and forgets its pages, then takes the open one in its place. */
static void push(struct core_sink *sink, struct sink_window *w)
{
	struct sink_range *old = &w->ring[w->next];

	/* Failures here cost cache, nothing else; errors of the disk come back from fdatasync. */
	(void)sync_file_range(sink->fd, (off_t)w->open.from, (off_t)(w->open.to - w->open.from),
		SYNC_FILE_RANGE_WRITE);
	if (old->to) {
		off_t len = (off_t)(old->to - old->from);

		(void)sync_file_range(sink->fd, (off_t)old->from, len,
			SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
				SYNC_FILE_RANGE_WAIT_AFTER);
		(void)posix_fadvise(sink->fd, (off_t)old->from, len, POSIX_FADV_DONTNEED);
	}
	*old = w->open;
	w->next = (w->next + 1) % SINK_WINDOWS;
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
	if (w->open.to && (from < w->open.from || from > w->open.to + SINK_WINDOW_BYTES))
		push(sink, w);
	if (!w->open.to)
		w->open.from = from;
	w->open.to = max_u64(w->open.to, to);
	w->bytes += to - from;
	if (w->bytes >= SINK_WINDOW_BYTES)
		push(sink, w);
}

int sink_write(struct core_sink *sink, struct sink_window *w, const void *bytes, size_t len,
	uint64_t offset)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};

	if (atomic_fetch_sub(&sink->room_bytes, (int64_t)len) < (int64_t)len)
		return -ENOSPC;
	while (iov.iov_len) {
		uint64_t at = offset + (len - iov.iov_len);
		ssize_t n = pwritev2(sink->fd, &iov, 1, (off_t)at,
			sink->mode == SINK_DONTCACHE ? RWF_DONTCACHE : 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EDQUOT || errno == EFBIG ? -ENOSPC : -errno;
		if (n == 0)
			return -ENOSPC;
		iov.iov_base = (char *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
	}
	if (sink->mode == SINK_BUFFERED)
		note_range(sink, w, offset, offset + len);
	return 0;
}
