// SPDX-License-Identifier: Apache-2.0
/*
 * Thinned history. See history.h for the contract.
 *
 * Sampling is dense when it matters and sparse when it does not, so equal steps would waste the
 * room: dropping every second old point again and again gives the old part a step that doubles
 * with its age. The last quarter, in which the incident lies, is never thinned when it is written.
 */
#include "core/history.h"

#define THIN_TO (HISTORY_MAX - HISTORY_MAX / 4)

static void thin(struct history *h)
{
	uint32_t to = 0;

	for (uint32_t from = 0; from < h->count; from++)
		if (from >= THIN_TO || from % 2 == 0)
			h->point[to++] = h->point[from];
	h->count = to;
}

void history_add(struct history *h, const struct history_point *point)
{
	if (h->count > HISTORY_MAX) /* shared memory: another process may have written anything */
		h->count = 0;
	if (h->count && point->at_ns <= h->point[h->count - 1].at_ns)
		return;
	if (h->count == HISTORY_MAX)
		thin(h);
	h->point[h->count++] = *point;
}

void history_drop_before(struct history *h, uint64_t at_ns)
{
	uint32_t count = h->count <= HISTORY_MAX ? h->count : 0;
	uint32_t to = 0;

	for (uint32_t from = 0; from < count; from++)
		if (h->point[from].at_ns >= at_ns)
			h->point[to++] = h->point[from];
	h->count = to;
}
