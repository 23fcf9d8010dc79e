/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast a target grows, and when it will be at a given size. Integers only, no clock: the same
 * samples give the same answer.
 */
#ifndef OOMSNAP_CORE_PREDICT_H
#define OOMSNAP_CORE_PREDICT_H

#include <stdint.h>

#define PREDICT_POINTS 16

struct predict {
	uint64_t at_ns[PREDICT_POINTS];
	uint64_t used_bytes[PREDICT_POINTS];
	uint32_t count;
	uint32_t next;
};

void predict_reset(struct predict *p);

/*
 * Adds an observation. One that is not newer than the last is ignored. A last that is closer than
 * PREDICT_MIN_STEP_NS to the one before it is replaced, so that looks in quick succession do not
 * push the history out.
 */
#define PREDICT_MIN_STEP_NS 500000ULL
void predict_add(struct predict *p, uint64_t now_ns, uint64_t used_bytes);

/*
 * Growth in bytes a second: the larger of the newest step (to the newest point that is at least
 * PREDICT_MIN_STEP_NS older: below that one charge batch of the kernel looks like a burst) and the
 * whole span of points not older than PREDICT_WINDOW_NS. 0 while shrinking, level, or without two
 * such points. The larger of the two, because a burst must not hide in an average and a steady leak
 * not in one quiet step.
 */
#define PREDICT_WINDOW_NS 5000000000ULL
uint64_t predict_rate_bytes_s(const struct predict *p);

/* Time until used grows by headroom_bytes at that rate; UINT64_MAX at rate 0. */
uint64_t predict_eta_ns(uint64_t headroom_bytes, uint64_t rate_bytes_s);

#endif
