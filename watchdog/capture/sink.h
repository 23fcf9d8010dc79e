/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core file as a place to write to, from several threads at once, within bounds of disk space
 * and of page cache.
 */
#ifndef OOMSNAP_CAPTURE_SINK_H
#define OOMSNAP_CAPTURE_SINK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct core_sink {
	int fd;	       /* the caller's */
	int direct_fd; /* the same file past the page cache, the caller's too; -1: none */
	uint64_t window_bytes;
	uint32_t windows;	    /* of page cache that each writer may fill */
	_Atomic int64_t room_bytes; /* that may still be written; below 0: over */
	atomic_bool allocates;	    /* a range before it is written to the page cache */
	atomic_int lost; /* 0, or the -errno with which the disk refused what it had been given */
};

#define ALLOCATED_LEAST_BYTES (64U << 10) /* a shorter write is not worth the call */
#define SINK_WINDOW_BYTES (8ULL << 20)	  /* handed to the disk at once, where there is enough */
#define SINK_WINDOW_MIN_BYTES (512ULL << 10)
#define SINK_WINDOWS_MAX 512U /* remembered per writer: 4 GiB */
#define SINK_WINDOWS_MIN 4U

struct sink_range {
	uint64_t from;
	uint64_t to;
};

/* One writer's traces in the page cache. */
struct sink_window {
	struct sink_range open; /* being filled */
	uint64_t bytes;		/* written into it */
	struct sink_range ring[SINK_WINDOWS_MAX];
	uint64_t pushed; /* windows so far; the newest is ring[(pushed - 1) % windows] */
};

/*
 * For a core at fd, which has its length.
 * cache_bytes: how much page cache all writers together may fill before they wait for the disk.
 */
void sink_init(struct core_sink *sink, int fd, int direct_fd, uint64_t room_bytes,
	uint64_t cache_bytes, uint32_t writers);

void sink_window_init(struct sink_window *w);

/* Whether this writer may fill more page cache without that the disk is waited for or started. */
bool sink_has_cache(const struct core_sink *sink, const struct sink_window *w);

/* Takes len bytes of the room. 0, or -ENOSPC where it is used up. */
int sink_take(struct core_sink *sink, size_t len);

/*
 * Writes len bytes, whose room has been taken, at offset. 0, -ENOSPC, -EIO, -errno. Waits for the
 * disk when this writer has too much on its way.
 */
int sink_put(struct core_sink *sink, struct sink_window *w, const void *bytes, size_t len,
	uint64_t offset);

/* Both. */
int sink_write(struct core_sink *sink, struct sink_window *w, const void *bytes, size_t len,
	uint64_t offset);

/* A write is on its way past the page cache: from here on no range is allocated (see sink.c). */
void sink_went_direct(struct core_sink *sink);

/* Files the open window. */
void sink_window_close(struct core_sink *sink, struct sink_window *w);

#endif
