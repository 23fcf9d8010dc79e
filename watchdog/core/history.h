/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last minutes of a target, for the report's chart: a fixed number of points, oldest first, the
 * newest exact, older ones thinned as more come in.
 */
#ifndef OOMSNAP_CORE_HISTORY_H
#define OOMSNAP_CORE_HISTORY_H

#include <stdint.h>

#include "core/types.h"

struct history {
	uint32_t count;
	uint32_t reserved;
	struct history_point point[HISTORY_MAX];
};

/*
 * Adds a point. When there is no room, every second point of the older three quarters goes. A point
 * that is not newer than the last is ignored.
 */
void history_add(struct history *h, const struct history_point *point);

/* Takes out what was before that moment. */
void history_drop_before(struct history *h, uint64_t at_ns);

#endif
