/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways of leaking: one table, one function each. See pattern.c.
 */
#ifndef OOMSNAP_LEAKER_PATTERN_H
#define OOMSNAP_LEAKER_PATTERN_H

#include <stddef.h>
#include <stdint.h>

struct leak;
struct pattern;

/* How a run of a pattern ended. */
enum pattern_result {
	PATTERN_DONE,	       /* the total is reached, or the leak was stopped */
	PATTERN_EXHAUSTED,     /* a limit other than memory was reached first; it has been logged */
	PATTERN_NOT_PERMITTED, /* the kernel refuses this pattern to this process; it has been
				  logged */
	PATTERN_RESULT_COUNT,
};

#define PATTERN_THREADS_MAX 5000u
#define PATTERN_TOTAL_MAX_BYTES (UINT64_C(64) << 40)

/* What to leak. A zero asks for the pattern's own value; pattern_plan() puts it there. */
struct pattern_plan {
	const struct pattern *pattern;
	uint64_t rate_bytes_s;
	uint64_t total_bytes; /* UINT64_MAX: no end */
	uint64_t chunk_bytes;
	unsigned threads;
	const char *dir; /* where `filecache` puts its file; borrowed */
};

struct pattern {
	const char *name;
	const char *description;
	/* Leaks as the plan says until leak_claim() grants no more; runs on the leak's own thread.
	 */
	enum pattern_result (*run)(struct leak *leak);
	uint64_t chunk_bytes;
	uint64_t total_bytes; /* 0: no end */
	unsigned threads;
	int one_call; /* the chunk is the whole total, when one is given */
};

/* The row at INDEX, NULL behind the last; and the row called NAME, NULL if there is none. */
const struct pattern *pattern_at(size_t index);
const struct pattern *pattern_find(const char *name);

/*
 * Fills in what the plan leaves open and rounds sizes up to whole pages. The plan's pattern is set.
 */
void pattern_plan(struct pattern_plan *plan);

/* The rows' functions, by file. */
enum pattern_result pattern_touch(struct leak *leak);
enum pattern_result pattern_threads(struct leak *leak);
enum pattern_result pattern_malloc(struct leak *leak);
enum pattern_result pattern_populate(struct leak *leak);
enum pattern_result pattern_read(struct leak *leak);
enum pattern_result pattern_mlockall(struct leak *leak);
enum pattern_result pattern_thp(struct leak *leak);
enum pattern_result pattern_memfd(struct leak *leak);
enum pattern_result pattern_sysv_shm(struct leak *leak);
enum pattern_result pattern_mmap_shared(struct leak *leak);
enum pattern_result pattern_filecache(struct leak *leak);
enum pattern_result pattern_fork(struct leak *leak);
enum pattern_result pattern_vmas(struct leak *leak);
enum pattern_result pattern_stacks(struct leak *leak);

#endif
