/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one clock of the project: CLOCK_MONOTONIC in nanoseconds. Read once per wakeup, in the loops
 * of our processes, and handed down; nothing below them reads a clock to decide something.
 */
#ifndef OOMSNAP_OS_CLOCK_H
#define OOMSNAP_OS_CLOCK_H

#include <stdint.h>
#include <time.h>

#include "base/checked.h"

static inline uint64_t clock_now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

#endif
