// SPDX-License-Identifier: Apache-2.0
/*
 * Sizes, shares, times and names as people write them. See config_value.h for the grammar.
 *
 * One number reader serves all three kinds: it takes digits and a few more behind a point, and
 * returns the number in thousandths, so that 1.5G and 0.25s are exact without floats. The product
 * with the unit is made in 128 bits and refused where it does not fit in 64.
 *
 * Nothing is guessed. A time without a unit is refused, because 10 could be anything; so are signs,
 * spaces inside, exponents, and units such as MB, which mean a power of ten to some and of two to
 * others. A size without a unit is bytes, as memory.max shows them.
 */
#include "config_value.h"

#include <string.h>
#include <strings.h>

#include "base/checked.h"

#define MILLI 1000U
#define SHARE_MAX_BP 100000000U /* a million percent: more is a slip of the finger */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads DIGITS[.DIGITS] with at most `places` (0-3) behind the point; *text moves behind it. */
static enum config_value_status read_number(const char **text, int places, uint64_t *ret_milli)
{
	const char *t = *text;
	uint64_t value = 0;
	uint64_t scale = MILLI;

	if (!is_digit(*t))
		return CONFIG_VALUE_NO_NUMBER;
	for (; is_digit(*t); t++)
		if (!checked_mul(value, 10, &value) ||
			!checked_add(value, (uint64_t)(*t - '0'), &value))
			return CONFIG_VALUE_TOO_LARGE;
	if (!checked_mul(value, MILLI, &value))
		return CONFIG_VALUE_TOO_LARGE;
	if (*t == '.') {
		if (!is_digit(*++t))
			return CONFIG_VALUE_NO_NUMBER;
		for (; is_digit(*t); t++) {
			if (places-- == 0)
				return CONFIG_VALUE_TOO_PRECISE;
			scale /= 10;
			if (!checked_add(value, (uint64_t)(*t - '0') * scale, &value))
				return CONFIG_VALUE_TOO_LARGE;
		}
	}
	*text = t;
	*ret_milli = value;
	return CONFIG_VALUE_OK;
}

/* milli thousandths of unit; false if that does not fit (UINT64_MAX itself means "unlimited"). */
static bool scale_milli(uint64_t milli, uint64_t unit, uint64_t *ret)
{
	unsigned __int128 wide = (unsigned __int128)milli * unit / MILLI;

	if (wide >= UINT64_MAX)
		return false;
	*ret = (uint64_t)wide;
	return true;
}

enum config_value_status config_value_size(const char *text, uint64_t *ret_bytes)
{
	static const char letters[] = "KMG";
	enum config_value_status status;
	const char *letter;
	uint64_t milli;
	uint64_t unit = 1;

	status = read_number(&text, 3, &milli);
	if (status)
		return status;
	if (*text) {
		letter = strchr(letters, *text);
		if (!letter || (text[1] && strcmp(text + 1, "i") != 0))
			return CONFIG_VALUE_BAD_UNIT;
		unit = 1ULL << (10 * (letter - letters + 1));
	}
	return scale_milli(milli, unit, ret_bytes) ? CONFIG_VALUE_OK : CONFIG_VALUE_TOO_LARGE;
}

enum config_value_status config_value_share(const char *text, uint32_t *ret_bp)
{
	enum config_value_status status;
	uint64_t milli;

	status = read_number(&text, 2, &milli);
	if (status)
		return status;
	if (!*text)
		return CONFIG_VALUE_NO_UNIT;
	if (strcmp(text, "%") != 0)
		return CONFIG_VALUE_BAD_UNIT;
	if (milli / 10 > SHARE_MAX_BP)
		return CONFIG_VALUE_TOO_LARGE;
	*ret_bp = (uint32_t)(milli / 10); /* thousandths of a percent to hundredths: exact */
	return CONFIG_VALUE_OK;
}

enum config_value_status config_value_time(const char *text, uint64_t *ret_ns)
{
	enum config_value_status status;
	uint64_t milli;
	uint64_t unit;

	status = read_number(&text, 3, &milli);
	if (status)
		return status;
	if (!*text && milli != 0)
		return CONFIG_VALUE_NO_UNIT;
	if (!*text || strcmp(text, "ms") == 0)
		unit = NS_PER_MS;
	else if (strcmp(text, "s") == 0)
		unit = NS_PER_S;
	else if (strcmp(text, "m") == 0)
		unit = 60 * NS_PER_S;
	else
		return CONFIG_VALUE_BAD_UNIT;
	return scale_milli(milli, unit, ret_ns) ? CONFIG_VALUE_OK : CONFIG_VALUE_TOO_LARGE;
}

bool config_value_switch(const char *text, bool *ret)
{
	static const char *const words[] = {"off", "on", "no", "yes", "false", "true"};
	int i = config_value_choice(text, words, ARRAY_LEN(words));

	if (i < 0)
		return false;
	*ret = i % 2 == 1;
	return true;
}

int config_value_choice(const char *text, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(text, names[i]) == 0)
			return (int)i;
	return -1;
}

const char *config_value_hint(enum config_value_status status)
{
	switch (status) {
	case CONFIG_VALUE_OK:
		return "is fine";
	case CONFIG_VALUE_NO_NUMBER:
		return "does not begin with a number";
	case CONFIG_VALUE_NO_UNIT:
		return "lacks its unit";
	case CONFIG_VALUE_BAD_UNIT:
		return "has something else behind the number";
	case CONFIG_VALUE_TOO_PRECISE:
		return "has too many digits behind the point";
	case CONFIG_VALUE_TOO_LARGE:
		return "is too large";
	case CONFIG_VALUE_STATUS_COUNT:
		break;
	}
	return "?";
}

void config_value_put_size(struct str *s, uint64_t bytes)
{
	static const char letters[] = "KMG";
	int unit = 0;

	if (bytes == SIZE_UNLIMITED) {
		(void)str_add(s, "unlimited"); /* a cut is remembered in s, here and below */
		return;
	}
	while (unit < 3 && bytes && bytes % 1024 == 0) {
		bytes /= 1024;
		unit++;
	}
	(void)str_add_u64(s, bytes);
	if (unit)
		(void)str_add_char(s, letters[unit - 1]);
}

void config_value_put_share(struct str *s, uint32_t bp)
{
	uint32_t rest = bp % 100;

	(void)str_add_u64(s, bp / 100);
	if (rest) {
		(void)str_add_char(s, '.');
		(void)str_add_char(s, (char)('0' + rest / 10));
		if (rest % 10)
			(void)str_add_char(s, (char)('0' + rest % 10));
	}
	(void)str_add_char(s, '%');
}

void config_value_put_time(struct str *s, uint64_t ns)
{
	bool minutes = ns && ns % (60 * NS_PER_S) == 0;
	bool seconds = ns % NS_PER_S == 0;

	(void)str_add_u64(s, ns / (minutes ? 60 * NS_PER_S : seconds ? NS_PER_S : NS_PER_MS));
	(void)str_add(s, minutes ? "m" : seconds ? "s" : "ms");
}

static unsigned char fold(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/*
 * Levenshtein's distance, with two neighbours exchanged as one step (the commonest slip), over
 * three rows of the table; both lengths are at most CONFIG_WORD_MAX.
 */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t rows[3][CONFIG_WORD_MAX + 1];

	for (size_t j = 0; j <= b_len; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		const size_t *before = rows[(i + 1) % 3]; /* row i - 2 */
		const size_t *above = rows[(i + 2) % 3];  /* row i - 1 */
		size_t *row = rows[i % 3];

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t best = above[j - 1] + (fold(a[i - 1]) != fold(b[j - 1]));

			best = min_u64(best, min_u64(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
				fold(a[i - 2]) == fold(b[j - 1]))
				best = min_u64(best, before[j - 2] + 1);
			row[j] = best;
		}
	}
	return rows[a_len % 3][b_len];
}

const char *config_value_nearest(const char *word, const char *const *names, size_t count)
{
	const char *best = NULL;
	size_t best_distance = SIZE_MAX;
	size_t word_len = strlen(word);

	if (word_len > CONFIG_WORD_MAX)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t len = strlen(names[i]);
		size_t longer = len > word_len ? len : word_len;
		size_t d;

		if (len > CONFIG_WORD_MAX)
			continue;
		d = distance(word, word_len, names[i], len);
		if (d < best_distance && d <= (longer + 1) / 3) {
			best = names[i];
			best_distance = d;
		}
	}
	return best;
}
