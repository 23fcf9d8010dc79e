// SPDX-License-Identifier: Apache-2.0
/*
 * Picks the process to capture. See rank.h for the contract.
 *
 * In most targets there is one process, or one that is far larger than the rest. Growth since the
 * last look decides where it is clear, because the largest process of a cgroup (a database, a
 * cache) need not be the one that leaks; size decides otherwise.
 */
#include "core/rank.h"

#include <stdbool.h>

#include "base/checked.h"

const char *rank_reason_name(enum rank_reason reason)
{
	static const char *const names[] = {
#define X(id, name) name,
		RANK_REASONS(X)
#undef X
	};

	return (unsigned int)reason < RANK_REASON_COUNT ? names[reason] : "?";
}

static uint64_t growth(const struct rank_candidate *c)
{
	return sub_floor(c->rss_bytes, c->rss_before_bytes);
}

static bool better(const struct rank_candidate *a, const struct rank_candidate *b, bool by_growth)
{
	uint64_t x = by_growth ? growth(a) : a->rss_bytes;
	uint64_t y = by_growth ? growth(b) : b->rss_bytes;

	return x != y ? x > y : a->pid < b->pid;
}

int rank_leaker(
	const struct rank_candidate *candidates, uint32_t count, enum rank_reason *ret_reason)
{
	uint32_t largest = 0;
	uint32_t fastest = 0;

	*ret_reason = RANK_NONE;
	if (count == 0)
		return -1;
	for (uint32_t i = 1; i < count; i++) {
		if (better(&candidates[i], &candidates[largest], /* by_growth= */ false))
			largest = i;
		if (better(&candidates[i], &candidates[fastest], /* by_growth= */ true))
			fastest = i;
	}
	if (count == 1) {
		*ret_reason = RANK_ONLY;
		return 0;
	}
	if (growth(&candidates[fastest]) >= RANK_GROWTH_MIN_BYTES) {
		*ret_reason = RANK_GROWTH;
		return (int)fastest;
	}
	*ret_reason = RANK_SIZE;
	return (int)largest;
}

void rank_top_add(struct rank_top *top, int pid, uint64_t size)
{
	uint32_t at;

	if (top->count < top->max)
		top->count++;
	else if (!top->max || top->size[top->max - 1] >= size)
		return;
	for (at = top->count - 1; at > 0 && top->size[at - 1] < size; at--) {
		top->size[at] = top->size[at - 1];
		top->pid[at] = top->pid[at - 1];
	}
	top->size[at] = size;
	top->pid[at] = pid;
}
