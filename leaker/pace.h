/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps a leak at its rate. See pace.c.
 */
#ifndef OOMSNAP_LEAKER_PACE_H
#define OOMSNAP_LEAKER_PACE_H

#include <pthread.h>
#include <stdint.h>

struct pace {
	pthread_mutex_t lock;
	uint64_t rate_bytes_s; /* SIZE_RATE_MAX: never waits */
	uint64_t next_ns;      /* monotonic time at which the next bytes are due */
};

void pace_init(struct pace *pace, uint64_t rate_bytes_s);

/*
 * Books BYTES that the caller is about to use at NOW_NS (monotonic), and returns how many
 * nanoseconds it should wait first. Callable from many threads: together they keep to the rate.
 */
uint64_t pace_take(struct pace *pace, uint64_t bytes, uint64_t now_ns);

#endif
