// SPDX-License-Identifier: Apache-2.0
/*
 * A container's config.json. See oci.h for the contract.
 *
 * Just enough JSON: a cursor that can enter an object or an array, compare a key, copy a string,
 * and skip a value of any kind. Nothing is allocated and no tree is built: the text is read through
 * once for each question, which is some tens of kilobytes when a container appears. Skipping counts
 * brackets instead of recursing, so hostile nesting costs no stack; numbers and literals are
 * skipped without being judged, since nothing here depends on them.
 *
 * \uXXXX is undone to UTF-8; a lone surrogate makes the string bad. Keys are compared as they are
 * written, without undoing escapes: no runtime escapes the ones that are asked for.
 */
#include "parse/oci.h"

#include <stdint.h>
#include <string.h>

struct cursor {
	const char *at;
	const char *end;
};

static void blanks(struct cursor *c)
{
	while (c->at < c->end &&
		(*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r'))
		c->at++;
}

/* Takes one character of punctuation, blanks before it too. */
static bool take(struct cursor *c, char what)
{
	blanks(c);
	if (c->at == c->end || *c->at != what)
		return false;
	c->at++;
	return true;
}

/* Takes a string; *ret is what is between the quotes, escapes still in it. */
static bool take_string(struct cursor *c, struct cursor *ret)
{
	if (!take(c, '"'))
		return false;
	ret->at = c->at;
	while (c->at < c->end && *c->at != '"')
		c->at += *c->at == '\\' && c->end - c->at > 1 ? 2 : 1;
	if (c->at >= c->end)
		return false;
	ret->end = c->at++;
	return true;
}

/* Takes a value of any kind. */
static bool skip(struct cursor *c)
{
	unsigned int depth = 0;
	struct cursor string;

	do {
		blanks(c);
		if (c->at == c->end)
			return false;
		if (*c->at == '"') {
			if (!take_string(c, &string))
				return false;
		} else if (*c->at == '{' || *c->at == '[') {
			depth++;
			c->at++;
		} else if (*c->at == '}' || *c->at == ']') {
			if (depth == 0)
				return false;
			depth--;
			c->at++;
		} else if (*c->at == ',' || *c->at == ':') {
			if (depth == 0)
				return false;
			c->at++;
		} else {
			while (c->at < c->end && !strchr(" \t\r\n,:]}{[\"", *c->at))
				c->at++;
			if (c->at < c->end && *c->at == '\0')
				return false; /* strchr() finds the terminator too */
		}
	} while (depth);
	return true;
}

/* In an object that has been entered or not yet: to the value of the member. */
static bool member(struct cursor *c, const char *name)
{
	size_t len = strlen(name);
	struct cursor key;

	if (!take(c, '{'))
		return false;
	while (take_string(c, &key) && take(c, ':')) {
		if ((size_t)(key.end - key.at) == len && memcmp(key.at, name, len) == 0)
			return true;
		if (!skip(c) || !take(c, ','))
			return false;
	}
	return false;
}

static bool hex4(struct cursor *c, uint32_t *ret)
{
	*ret = 0;
	if (c->end - c->at < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		const char *digits = "0123456789abcdef";
		char lower = (char)(*c->at >= 'A' && *c->at <= 'F' ? *c->at + 32 : *c->at);
		const char *digit = lower ? strchr(digits, lower) : NULL;

		if (!digit)
			return false;
		*ret = *ret * 16 + (uint32_t)(digit - digits);
		c->at++;
	}
	return true;
}

/* The code point of \uXXXX, or of the pair of them; the cursor stands behind the first u. */
static bool code_point(struct cursor *c, uint32_t *ret)
{
	uint32_t low;

	if (!hex4(c, ret) || (*ret >= 0xDC00 && *ret <= 0xDFFF))
		return false;
	if (*ret < 0xD800 || *ret > 0xDBFF)
		return *ret != 0;
	if (c->end - c->at < 2 || c->at[0] != '\\' || c->at[1] != 'u')
		return false;
	c->at += 2;
	if (!hex4(c, &low) || low < 0xDC00 || low > 0xDFFF)
		return false;
	*ret = 0x10000 + ((*ret - 0xD800) << 10) + (low - 0xDC00);
	return true;
}

static size_t utf8(uint32_t point, char out[4])
{
	if (point < 0x80) {
		out[0] = (char)point;
		return 1;
	}
	if (point < 0x800) {
		out[0] = (char)(0xC0 | point >> 6);
		out[1] = (char)(0x80 | (point & 0x3F));
		return 2;
	}
	if (point < 0x10000) {
		out[0] = (char)(0xE0 | point >> 12);
		out[1] = (char)(0x80 | (point >> 6 & 0x3F));
		out[2] = (char)(0x80 | (point & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | point >> 18);
	out[1] = (char)(0x80 | (point >> 12 & 0x3F));
	out[2] = (char)(0x80 | (point >> 6 & 0x3F));
	out[3] = (char)(0x80 | (point & 0x3F));
	return 4;
}

/* One character of a string, escapes undone: 1 to 4 bytes, 0 for a bad one. */
static size_t character(struct cursor *c, char out[4])
{
	static const char names[] = "\"\\/bfnrt";
	static const char values[] = "\"\\/\b\f\n\r\t";
	const char *found;
	uint32_t point;

	out[0] = *c->at++;
	if (out[0] != '\\')
		return 1;
	if (c->at == c->end)
		return 0;
	if (*c->at == 'u') {
		c->at++;
		return code_point(c, &point) ? utf8(point, out) : 0;
	}
	found = *c->at ? strchr(names, *c->at) : NULL;
	if (!found)
		return 0;
	c->at++;
	out[0] = values[found - names];
	return 1;
}

static bool copy(struct cursor string, char *value, size_t size)
{
	size_t used = 0;
	char bytes[4];

	while (string.at < string.end) {
		size_t n = character(&string, bytes);

		if (n == 0 || used + n >= size)
			return false;
		memcpy(value + used, bytes, n);
		used += n;
	}
	value[used] = '\0';
	return true;
}

bool oci_string_member(const char *text, size_t len, const char *name, char *value, size_t size)
{
	struct cursor c = {text, text + len};
	struct cursor string;

	return member(&c, name) && take_string(&c, &string) && copy(string, value, size);
}

bool oci_annotation(const char *text, size_t len, const char *name, char *value, size_t size)
{
	struct cursor c = {text, text + len};

	return member(&c, "annotations") &&
		oci_string_member(c.at, (size_t)(c.end - c.at), name, value, size);
}

bool oci_environment(const char *text, size_t len, const char *name, char *value, size_t size)
{
	struct cursor c = {text, text + len};
	size_t n = strlen(name);
	struct cursor string;
	bool found = false;

	if (!member(&c, "process") || !member(&c, "env") || !take(&c, '['))
		return false;
	while (take_string(&c, &string)) {
		if ((size_t)(string.end - string.at) > n && memcmp(string.at, name, n) == 0 &&
			string.at[n] == '=') {
			string.at += n + 1;
			found = copy(string, value, size);
		}
		if (!take(&c, ','))
			break;
	}
	return found;
}
