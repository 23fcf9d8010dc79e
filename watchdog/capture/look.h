/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions about the pages of many small mappings, answered with few looks at the page tables.
 */
#ifndef OOMSNAP_CAPTURE_LOOK_H
#define OOMSNAP_CAPTURE_LOOK_H

#include <stddef.h>
#include <stdint.h>

#include "os/pages.h"

#define LOOK_BYTES (2ULL << 20) /* seen at once: 512 pages, 3 us where all exist (measured) */
#define LOOK_RUNS_MAX 256U	/* where more is found, a look ends early */

/* What was seen in [from, to). */
struct look {
	struct pages *pages; /* the caller's */
	uint64_t from;
	uint64_t to;
	size_t count;
	size_t first; /* runs before it end at or below the address that was asked for last */
	struct page_run runs[LOOK_RUNS_MAX];
};

/* Nothing has been seen yet. pages stays the caller's and must live as long as look. */
void look_init(struct look *look, struct pages *pages);

/*
 * What pages_next() answers, and its errors. The target stands still from the first question to the
 * last: answers may be as old as look_init(). Cheap where addresses are asked for in order.
 */
int look_next(
	struct look *look, uint64_t start, uint64_t end, enum pages_next_kind kind, uint64_t *ret);

#endif
