// SPDX-License-Identifier: Apache-2.0
/*
 * Bounded strings. See str.h for the contract.
 *
 * Every append keeps the terminator in place and remembers a cut, so that a caller may append many
 * times and look once at the end. JSON text is made valid whatever the bytes are: process names and
 * paths are the target's to choose.
 */
#include "base/str.h"

#include <stdio.h>
#include <string.h>

void str_init(struct str *s, char *memory, size_t size)
{
	s->text = memory;
	s->size = size;
	s->len = 0;
	s->cut = false;
	memory[0] = '\0';
}

static bool str_add_bytes(struct str *s, const char *bytes, size_t len)
{
	size_t room = s->size - 1 - s->len;

	if (len > room) {
		len = room;
		s->cut = true;
	}
	memcpy(s->text + s->len, bytes, len);
	s->len += len;
	s->text[s->len] = '\0';
	return !s->cut;
}

bool str_add(struct str *s, const char *text)
{
	return str_add_bytes(s, text, strlen(text));
}

bool str_add_char(struct str *s, char c)
{
	return str_add_bytes(s, &c, 1);
}

bool str_add_u64(struct str *s, uint64_t value)
{
	char digits[21];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	return str_add_bytes(s, digits + at, sizeof(digits) - at);
}

bool str_addv(struct str *s, const char *format, va_list args)
{
	size_t room = s->size - s->len;
	int n = vsnprintf(s->text + s->len, room, format, args);

	if (n < 0 || (size_t)n >= room) {
		s->cut = true;
		s->len = s->size - 1;
		s->text[s->len] = '\0';
		s->len = strlen(s->text);
		return false;
	}
	s->len += (size_t)n;
	return !s->cut;
}

bool str_addf(struct str *s, const char *format, ...)
{
	va_list args;
	bool fits;

	va_start(args, format);
	fits = str_addv(s, format, args);
	va_end(args);
	return fits;
}

size_t str_utf8_len(const char *text, size_t len)
{
	const unsigned char *t = (const unsigned char *)text;
	size_t need;

	if (len == 0)
		return 0;
	if (t[0] < 0x80)
		return 1;
	if (t[0] >= 0xc2 && t[0] <= 0xdf)
		need = 2;
	else if (t[0] >= 0xe0 && t[0] <= 0xef)
		need = 3;
	else if (t[0] >= 0xf0 && t[0] <= 0xf4)
		need = 4;
	else
		return 0;
	if (len < need)
		return 0;
	for (size_t i = 1; i < need; i++)
		if ((t[i] & 0xc0) != 0x80)
			return 0;
	if ((t[0] == 0xe0 && t[1] < 0xa0) || (t[0] == 0xed && t[1] > 0x9f) ||
		(t[0] == 0xf0 && t[1] < 0x90) || (t[0] == 0xf4 && t[1] > 0x8f))
		return 0;
	return need;
}

/* Whether the n bytes of UTF-8 at t are a control character. */
static bool is_control(const unsigned char *t, size_t n)
{
	return (n == 1 && (t[0] < 0x20 || t[0] == 0x7f)) || (n == 2 && t[0] == 0xc2 && t[1] < 0xa0);
}

/* What stands for the character of n bytes at t in a JSON string; at most 6 bytes into code. */
static size_t json_code(const char *t, size_t n, char code[static 6])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char c = (unsigned char)t[n == 2]; /* of C1 the number as well */
	static const char unknown[6] = {'\\', 'u', 'f', 'f', 'f', 'd'}; /* U+FFFD */
	const char unit[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

	if (n == 0) {
		memcpy(code, unknown, 6);
		return 6;
	}
	if (is_control((const unsigned char *)t, n)) {
		memcpy(code, unit, 6);
		return 6;
	}
	if (c == '"' || c == '\\') {
		code[0] = '\\';
		code[1] = t[0];
		return 2;
	}
	memcpy(code, t, n);
	return n;
}

bool str_add_json(struct str *s, const char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = str_utf8_len(text + i, len - i);
		char code[6];
		size_t code_len = json_code(text + i, n, code);

		if (code_len > s->size - 1 - s->len) {
			s->cut = true;
			return false;
		}
		(void)str_add_bytes(s, code, code_len); /* fits */
		i += n ? n : 1;
	}
	return !s->cut;
}

bool str_add_safe(struct str *s, const char *text, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const unsigned char *t = (const unsigned char *)text;

	for (size_t i = 0; i < len;) {
		size_t n = str_utf8_len(text + i, len - i);
		bool plain = n > 0 && !is_control(t + i, n);
		size_t end = i + (n > 0 ? n : 1);

		if ((end - i) * (plain ? 1 : 4) > s->size - 1 - s->len) {
			s->cut = true;
			return false;
		}
		for (; i < end; i++) {
			const char code[] = {'\\', 'x', hex[t[i] >> 4], hex[t[i] & 15]};

			(void)str_add_bytes(s, plain ? text + i : code, plain ? 1 : 4); /* fits */
		}
	}
	return !s->cut;
}

bool str_copy(char *memory, size_t size, const char *text)
{
	struct str s;

	str_init(&s, memory, size);
	return str_add(&s, text);
}

bool str_to_u64(const char *text, uint64_t *ret)
{
	uint64_t value = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		uint64_t digit;

		if (*text < '0' || *text > '9')
			return false;
		digit = (uint64_t)(*text - '0');
		if (__builtin_mul_overflow(value, 10U, &value) ||
			__builtin_add_overflow(value, digit, &value))
			return false;
	}
	*ret = value;
	return true;
}

bool str_has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool str_has_suffix(const char *text, const char *suffix)
{
	size_t n = strlen(text);
	size_t m = strlen(suffix);

	return n >= m && strcmp(text + n - m, suffix) == 0;
}
