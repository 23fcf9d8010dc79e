// SPDX-License-Identifier: Apache-2.0
/*
 * Numbers out of cgroup and pressure files. See memcg.h for the contract.
 *
 * Each function looks at len bytes and nothing behind them, takes only the form that the kernel
 * documents, and refuses the rest as a whole: half a number is worse than none when a decision to
 * stop a process hangs on it. The files may come from a path under the target's control.
 */
#include "parse/memcg.h"

#include <limits.h>
#include <string.h>

/* Decimal digits at text[*at]; moves *at behind them. False if there are none or they overflow. */
static bool take_number(const char *text, size_t len, size_t *at, uint64_t *ret)
{
	uint64_t value = 0;
	size_t i = *at;

	while (i < len && text[i] >= '0' && text[i] <= '9') {
		uint64_t digit = (uint64_t)(text[i] - '0');

		if (__builtin_mul_overflow(value, 10U, &value) ||
			__builtin_add_overflow(value, digit, &value))
			return false;
		i++;
	}
	if (i == *at)
		return false;
	*at = i;
	*ret = value;
	return true;
}

bool parse_memcg_value(const char *text, size_t len, uint64_t *ret)
{
	uint64_t value;
	size_t at = 0;

	if (len && text[len - 1] == '\n')
		len--;
	if (len == 3 && memcmp(text, "max", 3) == 0) {
		*ret = UINT64_MAX;
		return true;
	}
	if (!take_number(text, len, &at, &value) || at != len)
		return false;
	*ret = value >= MEMCG_V1_UNLIMITED ? UINT64_MAX : value;
	return true;
}

bool parse_keyed_u64(const char *text, size_t len, const char *key, uint64_t *ret)
{
	size_t key_len = strlen(key);
	size_t line = 0;

	while (line < len) {
		const char *newline = memchr(text + line, '\n', len - line);
		size_t end = newline ? (size_t)(newline - text) : len;

		if (end - line > key_len + 1 && memcmp(text + line, key, key_len) == 0 &&
			text[line + key_len] == ' ') {
			size_t at = line + key_len + 1;
			uint64_t value;

			if (!take_number(text, end, &at, &value) || at != end)
				return false;
			*ret = value;
			return true;
		}
		line = end + 1;
	}
	return false;
}

bool parse_memcg_cache(
	const char *text, size_t len, const struct memcg_cache_keys *keys, uint64_t *ret)
{
	uint64_t inactive;
	uint64_t active = 0;
	uint64_t dirty = 0;
	uint64_t writeback = 0;

	if (!parse_keyed_u64(text, len, keys->inactive, &inactive))
		return false;
	(void)parse_keyed_u64(text, len, keys->active, &active); /* without it: none */
	(void)parse_keyed_u64(text, len, keys->dirty, &dirty);
	(void)parse_keyed_u64(text, len, keys->writeback, &writeback);
	/* A page is dirty or under writeback or, for a moment, both: twice is bounded by active. */
	if (dirty < active && writeback < active - dirty)
		active = dirty + writeback;
	*ret = inactive > UINT64_MAX - active ? UINT64_MAX : inactive + active;
	return true;
}

/* "NN.NN" behind "avg10=" of the line that starts with kind. */
static bool psi_line(const char *text, size_t len, const char *kind, uint32_t *ret_bp)
{
	static const char field[] = " avg10=";
	size_t kind_len = strlen(kind);
	size_t line = 0;

	while (line < len) {
		const char *newline = memchr(text + line, '\n', len - line);
		size_t end = newline ? (size_t)(newline - text) : len;
		size_t at = line + kind_len + sizeof(field) - 1;

		if (end > at && memcmp(text + line, kind, kind_len) == 0 &&
			memcmp(text + line + kind_len, field, sizeof(field) - 1) == 0) {
			uint64_t whole;
			uint64_t hundredths;

			if (!take_number(text, end, &at, &whole) || whole > 100)
				return false;
			if (end - at < 3 || text[at] != '.' || text[at + 1] < '0' ||
				text[at + 1] > '9' || text[at + 2] < '0' || text[at + 2] > '9' ||
				(end - at > 3 && text[at + 3] != ' '))
				return false;
			hundredths = (uint64_t)(text[at + 1] - '0') * 10 +
				(uint64_t)(text[at + 2] - '0');
			if (whole == 100 && hundredths)
				return false;
			*ret_bp = (uint32_t)(whole * 100 + hundredths);
			return true;
		}
		line = end + 1;
	}
	return false;
}

bool parse_psi(const char *text, size_t len, struct psi_averages *ret)
{
	struct psi_averages psi = {0};

	if (!psi_line(text, len, "some", &psi.some_avg10_bp))
		return false;
	if (!psi_line(text, len, "full", &psi.full_avg10_bp))
		psi.full_avg10_bp = 0;
	*ret = psi;
	return true;
}

bool parse_next_pid(const char **cursor, const char *end, int *ret)
{
	size_t len = (size_t)(end - *cursor);
	const char *newline = len ? memchr(*cursor, '\n', len) : NULL;
	uint64_t value;
	size_t at = 0;

	if (!newline)
		return false;
	len = (size_t)(newline - *cursor);
	if (!take_number(*cursor, len, &at, &value) || at != len || value == 0 || value > INT_MAX)
		return false;
	*cursor = newline + 1;
	*ret = (int)value;
	return true;
}
