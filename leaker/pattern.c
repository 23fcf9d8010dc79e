// SPDX-License-Identifier: Apache-2.0
/*
 * The table of patterns.
 *
 * Each row is one way in which real programs run out of memory, and each was chosen because the
 * kernel treats it differently: page faults one by one, one huge system call, shared memory,
 * reclaimable page cache, many processes, many mappings, many threads. The table is the only list:
 * --help,
 * --list-patterns, the option parser and the HTTP service all read it.
 *
 * The functions live beside this file: pattern_anon.c (private anonymous memory), pattern_shared.c
 * (memory with a file behind it), pattern_fork.c, pattern_stacks.c, pattern_vmas.c. All of them use
 * leak.h for what they have in common: claiming, pacing, publishing, filling, failing.
 */
#include "pattern.h"

#include "size.h"

#include <string.h>

#define PAGE_BYTES UINT64_C(4096)

static const struct pattern patterns[] = {
	{"touch", "anonymous memory, written page by page", pattern_touch, SIZE_MB, 0, 1, 0},
	{"threads", "the same from several threads at once", pattern_threads, SIZE_MB, 0, 4, 0},
	{"malloc", "malloc: large blocks with small ones of mixed sizes between them",
		pattern_malloc, SIZE_MB, 0, 1, 0},
	{"populate", "MAP_POPULATE: a whole chunk is charged within one mmap", pattern_populate,
		64 * SIZE_MB, 0, 1, 1},
	{"read", "one huge read of /dev/zero into untouched memory", pattern_read, 64 * SIZE_MB, 0,
		1, 1},
	{"mlockall",
		"mmap under mlockall(MCL_FUTURE): charged within the call, and never reclaimed",
		pattern_mlockall, 64 * SIZE_MB, 0, 1, 1},
	{"thp", "transparent huge pages: 2M are charged with each fault", pattern_thp, 2 * SIZE_MB,
		0, 1, 0},
	{"memfd", "shared memory of a memfd, every second chunk left as a hole", pattern_memfd,
		SIZE_MB, 0, 1, 0},
	{"sysv-shm", "System V shared memory, removed at once so that nothing is left behind",
		pattern_sysv_shm, SIZE_MB, 0, 1, 0},
	{"filecache", "page cache of an unlinked file: reclaimable, so not a leak",
		pattern_filecache, SIZE_MB, 1024 * SIZE_MB, 1, 0},
	{"mmap-shared", "MAP_SHARED anonymous memory", pattern_mmap_shared, SIZE_MB, 0, 1, 0},
	{"fork", "a tree of processes, each of which leaks its share", pattern_fork, SIZE_MB, 0, 4,
		0},
	{"vmas", "one mapping a page, which the kernel cannot merge", pattern_vmas, 4 * SIZE_MB, 0,
		1, 0},
	{"stacks", "many threads, each with a part of its stack in use", pattern_stacks, 64 << 10,
		0, 64, 0},
};

#define PATTERN_COUNT (sizeof(patterns) / sizeof(patterns[0]))

const struct pattern *pattern_at(size_t index)
{
	return index < PATTERN_COUNT ? &patterns[index] : NULL;
}

const struct pattern *pattern_find(const char *name)
{
	for (size_t i = 0; i < PATTERN_COUNT; i++) {
		if (strcmp(patterns[i].name, name) == 0)
			return &patterns[i];
	}
	return NULL;
}

static uint64_t round_to_pages(uint64_t bytes)
{
	return (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

void pattern_plan(struct pattern_plan *plan)
{
	const struct pattern *pattern = plan->pattern;
	uint64_t total = plan->total_bytes;

	if (total == 0)
		total = pattern->total_bytes;
	plan->total_bytes = total == 0 || total == UINT64_MAX ? UINT64_MAX : round_to_pages(total);
	if (plan->threads == 0)
		plan->threads = pattern->threads;
	if (plan->chunk_bytes == 0)
		plan->chunk_bytes = pattern->one_call && plan->total_bytes != UINT64_MAX
			? plan->total_bytes
			: pattern->chunk_bytes;
	plan->chunk_bytes = round_to_pages(plan->chunk_bytes);
}
