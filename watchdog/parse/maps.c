// SPDX-License-Identifier: Apache-2.0
/*
 * Lines of /proc/PID/maps and smaps (Documentation/filesystems/proc.rst, "address perms offset dev
 * inode pathname").
 *
 * The fields in front of the name have a fixed grammar and are read by hand: no sscanf, no locale,
 * no allocation. The name is everything after the blanks that follow the inode, spaces and all; the
 * kernel escapes only the newline, so a line is always a whole entry. A process chooses the names
 * of its mappings, so nothing here believes one: "(deleted)" is reported as seen, and what depends
 * on it must compare device and inode.
 *
 * Limits: a name that d_path() could not fit in a page arrives cut by the kernel. What does not
 * follow the grammar is refused whole, never half filled.
 */
#include "parse/maps.h"

#include <string.h>

struct cursor {
	const char *at;
	const char *end;
};

static bool hex(struct cursor *c, uint64_t *ret)
{
	uint64_t value = 0;
	int digits = 0;

	for (; c->at < c->end; c->at++, digits++) {
		char ch = *c->at;
		unsigned int digit;

		if (ch >= '0' && ch <= '9')
			digit = (unsigned int)(ch - '0');
		else if (ch >= 'a' && ch <= 'f')
			digit = (unsigned int)(ch - 'a') + 10;
		else
			break;
		if (digits == 16)
			return false;
		value = value << 4 | digit;
	}
	*ret = value;
	return digits > 0;
}

static bool decimal(struct cursor *c, uint64_t *ret)
{
	uint64_t value = 0;
	bool any = false;

	for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++, any = true)
		if (__builtin_mul_overflow(value, 10U, &value) ||
			__builtin_add_overflow(value, (uint64_t)(*c->at - '0'), &value))
			return false;
	*ret = value;
	return any;
}

static bool literal(struct cursor *c, char ch)
{
	if (c->at == c->end || *c->at != ch)
		return false;
	c->at++;
	return true;
}

static bool permissions(struct cursor *c, uint32_t *ret)
{
	static const char yes[4] = "rwxs";
	uint32_t prot = 0;

	if (c->end - c->at < 4)
		return false;
	for (unsigned int i = 0; i < 4; i++) {
		char ch = c->at[i];

		if (ch == yes[i])
			prot |= 1U << i;
		else if (ch != (i == 3 ? 'p' : '-'))
			return false;
	}
	c->at += 4;
	*ret = prot;
	return true;
}

static void take_name(struct cursor *c, struct maps_entry *e)
{
	static const char mark[] = " (deleted)";
	size_t len;

	while (c->at < c->end && *c->at == ' ')
		c->at++;
	len = (size_t)(c->end - c->at);
	e->name = c->at;
	e->deleted = len > sizeof(mark) - 1 &&
		memcmp(c->end - (sizeof(mark) - 1), mark, sizeof(mark) - 1) == 0;
	e->name_len = (uint32_t)(e->deleted ? len - (sizeof(mark) - 1) : len);
}

bool maps_line(const char *line, size_t len, struct maps_entry *ret)
{
	struct cursor c = {.at = line, .end = line + len};
	struct maps_entry e = {.start = 0};
	uint64_t major;
	uint64_t minor;

	if (len > UINT32_MAX)
		return false;
	if (!hex(&c, &e.start) || !literal(&c, '-') || !hex(&c, &e.end) || !literal(&c, ' ') ||
		!permissions(&c, &e.prot) || !literal(&c, ' ') || !hex(&c, &e.offset_bytes) ||
		!literal(&c, ' ') || !hex(&c, &major) || !literal(&c, ':') || !hex(&c, &minor) ||
		!literal(&c, ' ') || !decimal(&c, &e.inode))
		return false;
	if (c.at < c.end && *c.at != ' ')
		return false;
	if (e.end <= e.start || major > UINT32_MAX || minor > UINT32_MAX)
		return false;
	e.major = (uint32_t)major;
	e.minor = (uint32_t)minor;
	take_name(&c, &e);
	*ret = e;
	return true;
}

bool maps_vmflags(const char *line, size_t len, uint32_t *ret)
{
	static const char head[] = "VmFlags:";
	static const struct {
		char name[3];
		uint32_t flag;
	} known[] = {
		{"dd", MAPS_VM_DONTDUMP},
		{"io", MAPS_VM_IO},
		{"pf", MAPS_VM_PFNMAP},
		{"ht", MAPS_VM_HUGETLB},
	};
	uint32_t flags = 0;

	if (len < sizeof(head) - 1 || memcmp(line, head, sizeof(head) - 1) != 0)
		return false;
	for (size_t i = sizeof(head) - 1; i + 2 <= len;) {
		size_t word = i;

		while (word < len && line[word] != ' ')
			word++;
		for (size_t k = 0; word - i == 2 && k < sizeof(known) / sizeof(known[0]); k++)
			if (memcmp(line + i, known[k].name, 2) == 0)
				flags |= known[k].flag;
		i = word + 1;
	}
	*ret = flags;
	return true;
}

bool maps_size(const char *line, size_t len, const char *key, uint64_t *ret_bytes)
{
	size_t n = strlen(key);
	struct cursor c = {.at = line + n + 1, .end = line + len};
	uint64_t value;

	if (len <= n || memcmp(line, key, n) != 0 || line[n] != ':')
		return false;
	while (c.at < c.end && *c.at == ' ')
		c.at++;
	if (!decimal(&c, &value) || c.end - c.at != 3 || memcmp(c.at, " kB", 3) != 0)
		return false;
	return !__builtin_mul_overflow(value, 1024U, ret_bytes);
}

size_t maps_name(const char *name, size_t len, char *ret, size_t size)
{
	size_t out = 0;

	for (size_t i = 0; i < len && out + 1 < size; out++) {
		if (len - i >= 4 && memcmp(name + i, "\\012", 4) == 0) {
			ret[out] = '\n';
			i += 4;
		} else {
			ret[out] = name[i++];
		}
	}
	if (size)
		ret[out] = '\0';
	return out;
}
