// SPDX-License-Identifier: Apache-2.0
/*
 * The rate of a leak.
 *
 * Each step of a leak is due at a certain time, one step's worth after the step before. Waiting
 * until then, rather than for a fixed while, keeps the average exact although sleeps are late.
 *
 * What must not happen is catching up: a leaker that was stopped for a capture of 30 s and goes on
 * would otherwise leak 30 s worth at once, which no real leak does and which would make every test
 * of "resume" a race. So arrears beyond PACE_ARREARS_NS are forgiven.
 */
#include "pace.h"

#include "size.h"

/* Longer than a late wake-up on a busy machine, much shorter than any capture. */
#define PACE_ARREARS_NS UINT64_C(50000000)

#define NS_PER_S UINT64_C(1000000000)

void pace_init(struct pace *pace, uint64_t rate_bytes_s)
{
	(void)pthread_mutex_init(&pace->lock, NULL); /* cannot fail with default attributes */
	pace->rate_bytes_s = rate_bytes_s;
	pace->next_ns = 0;
}

/* bytes / rate in nanoseconds, without overflow for any bytes that fit in memory. */
static uint64_t cost_ns(uint64_t bytes, uint64_t rate_bytes_s)
{
	uint64_t seconds = bytes / rate_bytes_s, rest = bytes % rate_bytes_s;

	/* rest < rate <= 10^6 MB/s = 2^40; scaled down first, so that the product fits */
	if (rest > UINT64_MAX / NS_PER_S)
		return seconds * NS_PER_S + (rest >> 10) * NS_PER_S / (rate_bytes_s >> 10);
	return seconds * NS_PER_S + rest * NS_PER_S / rate_bytes_s;
}

uint64_t pace_take(struct pace *pace, uint64_t bytes, uint64_t now_ns)
{
	uint64_t wait_ns;

	if (pace->rate_bytes_s == SIZE_RATE_MAX)
		return 0;
	(void)pthread_mutex_lock(&pace->lock);
	if (pace->next_ns + PACE_ARREARS_NS < now_ns)
		pace->next_ns = now_ns;
	wait_ns = pace->next_ns > now_ns ? pace->next_ns - now_ns : 0;
	pace->next_ns += cost_ns(bytes, pace->rate_bytes_s);
	(void)pthread_mutex_unlock(&pace->lock);
	return wait_ns;
}
