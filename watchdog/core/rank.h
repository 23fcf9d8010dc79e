/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which process of a target leaks.
 */
#ifndef OOMSNAP_CORE_RANK_H
#define OOMSNAP_CORE_RANK_H

#include <stdint.h>

struct rank_candidate {
	int pid;
	uint64_t rss_bytes;	   /* now: anonymous and shared memory, without file pages */
	uint64_t rss_before_bytes; /* at an earlier look; equal to rss_bytes where there was none */
};

#define RANK_REASONS(X)                                                  \
	X(NONE, "none")	    /* no candidate */                           \
	X(ONLY, "only")	    /* there is one process */                   \
	X(GROWTH, "growth") /* it grew by most, and by enough to tell */ \
	X(SIZE, "size")	    /* nobody grew enough: the largest */
#define X(id, name) RANK_##id,
enum rank_reason { RANK_REASONS(X) RANK_REASON_COUNT };
#undef X
const char *rank_reason_name(enum rank_reason reason);

/*
 * Index of the leaker among count candidates, -1 for none; *ret_reason says why. The order of the
 * candidates does not matter: of equals the lowest pid wins. A growth counts from
 * RANK_GROWTH_MIN_BYTES on, the noise of an allocator's arenas.
 */
#define RANK_GROWTH_MIN_BYTES 4194304ULL
int rank_leaker(
	const struct rank_candidate *candidates, uint32_t count, enum rank_reason *ret_reason);

/* The largest of those that were added, the largest first; of equals the earlier one. */
#define RANK_TOP_MAX 8U
struct rank_top {
	uint32_t max; /* how many are kept, at most RANK_TOP_MAX; set by the caller */
	uint32_t count;
	int pid[RANK_TOP_MAX];
	uint64_t size[RANK_TOP_MAX]; /* in any unit */
};
void rank_top_add(struct rank_top *top, int pid, uint64_t size);

#endif
