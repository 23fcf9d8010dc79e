/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A core file seen as people ask about it: its process, threads, biggest mappings, and whether it
 * is complete. Opens any 64-bit core, ours or not, plain or zstd.
 */
#ifndef OOMSNAP_CORE_VIEW_H
#define OOMSNAP_CORE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "parse/elfcore.h"

#define CORE_VIEW_MAPPINGS 48  /* biggest mappings kept */
#define CORE_VIEW_THREADS 1024 /* threads kept; all are counted */
#define CORE_VIEW_NAME_MAX 256
#define CORE_VIEW_HEAD_MAX (1ULL << 30) /* headers and notes of a compressed core, unpacked */

struct core_view_thread {
	int32_t tid;
	bool has_registers;
	uint64_t pc;
	uint64_t sp;
	char name[17];			/* "" where the core does not say */
	char where[CORE_VIEW_NAME_MAX]; /* the file that pc lies in, and the offset; or "" */
};

struct core_view_mapping {
	uint64_t start;
	uint64_t bytes;
	uint64_t file_bytes;	       /* of it that are in the core, holes included */
	uint64_t data_bytes;	       /* of those that are not holes (compressed: all of them) */
	uint32_t flags;		       /* PF_R, PF_W, PF_X */
	char name[CORE_VIEW_NAME_MAX]; /* mapped file; "" for anonymous memory */
};

struct core_view {
	struct elfcore elf; /* what it says of itself; the bytes are gone */
	struct elfcore_process process;
	bool has_process;
	bool compressed;
	bool ours;		/* has a note of oomsnap's */
	bool finished;		/* ours: the writer came to its end; other: unknown, true */
	uint32_t missing;	/* ours: enum capture_missing bits */
	uint64_t memory_bytes;	/* sum of the segments */
	uint64_t written_bytes; /* of it that have a place in the file */
	uint64_t absent_bytes;	/* of those, beyond the end of the file: it was cut */
	uint64_t disk_bytes;	/* blocks of the file */
	uint64_t threads;
	uint64_t threads_without_registers;
	uint32_t thread_count; /* kept */
	uint32_t mapping_count;
	struct core_view_thread thread[CORE_VIEW_THREADS];
	struct core_view_mapping mapping[CORE_VIEW_MAPPINGS]; /* biggest first */
};

/*
 * Reads the core open at fd (borrowed). head_max: bytes of memory that headers and notes of a
 * compressed core may take, at most CORE_VIEW_HEAD_MAX; of a plain one they are mapped. 0 with
 * *ret, which owns nothing; a positive enum elfcore_status; -ENOMEM, -EFBIG (a compressed head
 * beyond head_max), -EBADMSG (broken zstd), -EIO (the disk fails on headers or notes, or the file
 * was cut meanwhile), -errno. Words in why where it is not 0. Allocates while it reads; *ret is
 * large, so not for the stack. Handles SIGBUS meanwhile (os/sigbus.h).
 */
int core_view_read(int fd, uint64_t head_max, struct core_view *ret, char *why, size_t why_size);

/*
 * Adds what only the files beside the core know: names of threads (proc.threads) and of mappings
 * like [heap] (proc.maps). Files that are missing or make no sense change nothing.
 */
void core_view_name(struct core_view *view, int bundle_fd);

/* Nothing is missing in it, as far as it can tell. */
bool core_view_complete(const struct core_view *view);

#endif
