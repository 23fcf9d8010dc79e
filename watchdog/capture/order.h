/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In which order the segments of a core stand in its file and are copied. Pure.
 */
#ifndef OOMSNAP_CAPTURE_ORDER_H
#define OOMSNAP_CAPTURE_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/layout.h"
#include "capture/region.h"

/* The classes of region.h by their value; behind them what can only be had late. */
enum order_rank {
	ORDER_SWAPPED =
		REGION_CLASS_COUNT, /* has swapped pages, and the file takes no second round */
	ORDER_PROTECTED,	    /* without PROT_READ: for the tracer alone */
	ORDER_RANKS
};

/* The rank of a region of this class, which may have swapped pages or not be readable. */
enum order_rank order_rank_of(const struct region *region, bool swapped);

/*
 * Sorts the indices of the segments that have room in the file into order[], those of rank r from
 * first[r] to first[r + 1], and gives each its offset behind the beginning of the data. Segments
 * that show the same stretch of a file get the same place, and with share those of one memory
 * object, too. Returns the length
 * of the data, or UINT64_MAX where that does not fit into 64 bits.
 */
uint64_t order_plan(struct segment *segments, uint32_t count, const struct region *regions,
	bool share, uint32_t *order, uint32_t first[ORDER_RANKS + 1]);

#endif
