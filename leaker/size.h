/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers, sizes and rates as people write them. See size.c.
 */
#ifndef OOMSNAP_LEAKER_SIZE_H
#define OOMSNAP_LEAKER_SIZE_H

#include <stdint.h>

enum size_error {
	SIZE_OK,
	SIZE_MALFORMED, /* not a number of the expected form */
	SIZE_TOO_BIG,	/* well-formed, and does not fit */
	SIZE_ERROR_COUNT,
};

/* The rate that means "as fast as it goes". */
#define SIZE_RATE_MAX UINT64_MAX

/* One MB of a rate or of a log line. The demo that the service mirrors counts in these too. */
#define SIZE_MB (UINT64_C(1) << 20)

/* Decimal, or hexadecimal after 0x: the whole text, no sign, no blanks. A positive size_error or 0.
 */
int size_parse_number(const char *text, uint64_t *ret_value);

/* Decimal with an optional K, M, G or T (powers of 1024; lower case too). A positive size_error or
 * 0. */
int size_parse(const char *text, uint64_t *ret_bytes);

/*
 * MB per second with up to three decimals ("10", "0.25"), or "max" for SIZE_RATE_MAX. Zero is
 * malformed: a leak that never grows is not a leak. The result is in bytes per second.
 * A positive size_error or 0.
 */
int size_parse_rate(const char *text, uint64_t *ret_bytes_s);

#endif
