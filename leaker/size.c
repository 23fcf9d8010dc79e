// SPDX-License-Identifier: Apache-2.0
/*
 * Parsing of numbers, sizes and rates, for the command line and for HTTP queries alike.
 *
 * strtoull() is not used: it accepts signs, blanks, octal and trailing text, and a query parameter
 * deserves better. Here the whole text must match, every multiplication is checked, and nothing is
 * guessed: "10 MB" or "1.5G" is refused rather than half understood.
 */
#include "size.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* A million MB/s: far beyond any memory bus, and safe to multiply with nanoseconds. */
#define RATE_MAX_MB UINT64_C(1000000)

static int digit_value(char c, unsigned base)
{
	int value = -1;

	if (c >= '0' && c <= '9')
		value = c - '0';
	else if (c >= 'a' && c <= 'f')
		value = c - 'a' + 10;
	else if (c >= 'A' && c <= 'F')
		value = c - 'A' + 10;
	return value >= 0 && (unsigned)value < base ? value : -1;
}

/* Reads digits from *text on and leaves *text behind them; at least one is required. */
static int read_digits(const char **text, unsigned base, uint64_t *ret_value)
{
	const char *p = *text;
	uint64_t value = 0;
	bool overflow = false;

	for (int d; (d = digit_value(*p, base)) >= 0; p++) {
		overflow |= __builtin_mul_overflow(value, (uint64_t)base, &value);
		overflow |= __builtin_add_overflow(value, (uint64_t)d, &value);
	}
	if (p == *text)
		return SIZE_MALFORMED;
	*text = p;
	*ret_value = value;
	return overflow ? SIZE_TOO_BIG : SIZE_OK;
}

int size_parse_number(const char *text, uint64_t *ret_value)
{
	unsigned base = 10;
	uint64_t value;
	int r;

	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		base = 16;
		text += 2;
	}
	r = read_digits(&text, base, &value);
	if (r == SIZE_MALFORMED || *text != '\0')
		return SIZE_MALFORMED;
	if (r == SIZE_OK)
		*ret_value = value;
	return r;
}

int size_parse(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "KMGT";
	uint64_t value;
	unsigned shift = 0;
	int r = read_digits(&text, 10, &value);

	if (r == SIZE_MALFORMED)
		return r;
	if (*text != '\0') {
		char unit = *text >= 'a' && *text <= 'z' ? (char)(*text - 'a' + 'A') : *text;
		const char *found = strchr(units, unit);

		if (!found || text[1] != '\0')
			return SIZE_MALFORMED;
		shift = 10 * (unsigned)(found - units + 1);
	}
	if (r != SIZE_OK || value > UINT64_MAX >> shift)
		return SIZE_TOO_BIG;
	*ret_bytes = value << shift;
	return SIZE_OK;
}

int size_parse_rate(const char *text, uint64_t *ret_bytes_s)
{
	uint64_t whole, thousandths = 0, bytes_s;
	int r;

	if (strcmp(text, "max") == 0) {
		*ret_bytes_s = SIZE_RATE_MAX;
		return SIZE_OK;
	}
	r = read_digits(&text, 10, &whole);
	if (r == SIZE_MALFORMED)
		return r;
	if (*text == '.') {
		const char *start = ++text;
		uint64_t scale = 1000;

		if (read_digits(&text, 10, &thousandths) != SIZE_OK || text - start > 3)
			return SIZE_MALFORMED;
		for (ptrdiff_t i = text - start; i > 0; i--)
			scale /= 10;
		thousandths *= scale;
	}
	if (*text != '\0')
		return SIZE_MALFORMED;
	if (r != SIZE_OK || whole > RATE_MAX_MB)
		return SIZE_TOO_BIG;
	bytes_s = whole * SIZE_MB + thousandths * SIZE_MB / 1000;
	if (bytes_s == 0)
		return SIZE_MALFORMED;
	*ret_bytes_s = bytes_s;
	return SIZE_OK;
}
