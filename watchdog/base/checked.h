/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arithmetic on byte counts and times that says when it does not fit, or stops at the end of the
 * range. No floats: shares are basis points (bp, 1/10,000).
 */
#ifndef OOMSNAP_BASE_CHECKED_H
#define OOMSNAP_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BP_ONE 10000U /* basis points in a whole */
#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Store a + b (a * b) in *ret and return true; on overflow return false and leave *ret alone. */
static inline bool checked_add(uint64_t a, uint64_t b, uint64_t *ret)
{
	uint64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return false;
	*ret = sum;
	return true;
}

static inline bool checked_mul(uint64_t a, uint64_t b, uint64_t *ret)
{
	uint64_t product;

	if (__builtin_mul_overflow(a, b, &product))
		return false;
	*ret = product;
	return true;
}

/* a - b, or 0 where b is larger. */
static inline uint64_t sub_floor(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* a + b, or UINT64_MAX where that does not fit. */
static inline uint64_t add_sat(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* value * num / den through 128 bits, UINT64_MAX where that does not fit; den must not be 0. */
static inline uint64_t mul_div(uint64_t value, uint64_t num, uint64_t den)
{
	unsigned __int128 wide = (unsigned __int128)value * num / den;

	return wide > UINT64_MAX ? UINT64_MAX : (uint64_t)wide;
}

/* The share bp (basis points) of value, rounded down. */
static inline uint64_t share_bp(uint64_t value, uint32_t bp)
{
	return mul_div(value, bp, BP_ONE);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint32_t max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint64_t clamp_u64(uint64_t value, uint64_t low, uint64_t high)
{
	return value < low ? low : value > high ? high : value;
}

#endif
