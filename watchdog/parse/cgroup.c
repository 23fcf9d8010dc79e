// SPDX-License-Identifier: Apache-2.0
/*
 * Which directory is a process's cgroup. See cgroup.h for the contract.
 *
 * /proc/PID/cgroup gives a path inside the hierarchy, as seen from the reader's cgroup namespace;
 * mountinfo gives where that hierarchy is mounted and which part of it (the "root" field). Only
 * both together name a directory. A path that leaves the namespace ("/../x") has no directory here,
 * which is said and not guessed.
 */
#include "parse/cgroup.h"

#include <string.h>

#include "base/str.h"

/* The next line of [*cursor, end) without its newline; false at the end. */
static bool next_line(const char **cursor, const char *end, const char **line, size_t *line_len)
{
	const char *newline;

	if (*cursor >= end)
		return false;
	*line = *cursor;
	newline = memchr(*cursor, '\n', (size_t)(end - *cursor));
	*line_len = (size_t)((newline ? newline : end) - *cursor);
	*cursor = newline ? newline + 1 : end;
	return true;
}

/* Whether the comma-separated list holds word. */
static bool list_has(const char *list, size_t len, const char *word)
{
	size_t word_len = strlen(word);

	for (size_t at = 0; at <= len;) {
		const char *comma = at < len ? memchr(list + at, ',', len - at) : NULL;
		size_t end = comma ? (size_t)(comma - list) : len;

		if (end - at == word_len && memcmp(list + at, word, word_len) == 0)
			return true;
		at = end + 1;
	}
	return false;
}

static bool copy_bytes(char *memory, size_t size, const char *bytes, size_t len)
{
	if (len >= size)
		return false;
	memcpy(memory, bytes, len);
	memory[len] = '\0';
	return true;
}

bool parse_proc_cgroup(
	const char *text, size_t len, const char *controller, char *path, size_t size)
{
	const char *cursor = text;
	const char *line;
	size_t n;

	while (next_line(&cursor, text + len, &line, &n)) {
		const char *first = memchr(line, ':', n);
		const char *second;

		if (!first)
			continue;
		second = memchr(first + 1, ':', n - (size_t)(first + 1 - line));
		if (!second)
			continue;
		if (controller ? list_has(first + 1, (size_t)(second - first - 1), controller)
			       : (first == line + 1 && line[0] == '0' && second == first + 1)) {
			size_t path_len = n - (size_t)(second + 1 - line);

			return path_len > 0 && second[1] == '/' &&
				copy_bytes(path, size, second + 1, path_len);
		}
	}
	return false;
}

/* Copies a mountinfo field and undoes its octal escapes. */
static bool copy_unescaped(char *memory, size_t size, const char *field, size_t len)
{
	size_t out = 0;

	for (size_t i = 0; i < len; i++) {
		char c = field[i];

		if (c == '\\' && len - i > 3 && field[i + 1] >= '0' && field[i + 1] <= '3' &&
			field[i + 2] >= '0' && field[i + 2] <= '7' && field[i + 3] >= '0' &&
			field[i + 3] <= '7') {
			c = (char)((field[i + 1] - '0') * 64 + (field[i + 2] - '0') * 8 +
				(field[i + 3] - '0'));
			i += 3;
		}
		if (out + 1 >= size)
			return false;
		memory[out++] = c;
	}
	memory[out] = '\0';
	return true;
}

/* Splits a line at single spaces into at most max fields; returns how many there are. */
static size_t split(
	const char *line, size_t len, const char *field[], size_t field_len[], size_t max)
{
	size_t count = 0;
	size_t at = 0;

	while (at <= len && count < max) {
		const char *space = at < len ? memchr(line + at, ' ', len - at) : NULL;
		size_t end = space ? (size_t)(space - line) : len;

		field[count] = line + at;
		field_len[count++] = end - at;
		at = end + 1;
	}
	return count;
}

#define MOUNT_FIELDS_MAX 32 /* 10 are usual; optional fields are few */

bool parse_cgroup_mount(const char *text, size_t len, const char *controller, char *mount_point,
	char *root, size_t size)
{
	const char *field[MOUNT_FIELDS_MAX];
	size_t field_len[MOUNT_FIELDS_MAX];
	const char *want = controller ? "cgroup" : "cgroup2";
	const char *cursor = text;
	const char *line;
	size_t n;

	while (next_line(&cursor, text + len, &line, &n)) {
		size_t count = split(line, n, field, field_len, MOUNT_FIELDS_MAX);
		size_t dash = 6;

		while (dash < count && !(field_len[dash] == 1 && field[dash][0] == '-'))
			dash++;
		if (dash + 3 >= count)
			continue;
		if (field_len[dash + 1] != strlen(want) ||
			memcmp(field[dash + 1], want, field_len[dash + 1]) != 0)
			continue;
		if (controller && !list_has(field[dash + 3], field_len[dash + 3], controller))
			continue;
		return copy_unescaped(root, size, field[3], field_len[3]) &&
			copy_unescaped(mount_point, size, field[4], field_len[4]);
	}
	return false;
}

bool cgroup_path_join(
	const char *mount_point, const char *root, const char *path, char *ret, size_t size)
{
	size_t root_len = strcmp(root, "/") == 0 ? 0 : strlen(root);
	struct str s;

	if (strncmp(path, root, root_len) != 0 || (path[root_len] != '/' && path[root_len] != '\0'))
		return false;
	path += root_len;
	if (strcmp(path, "/..") == 0 || strncmp(path, "/../", 4) == 0)
		return false;
	str_init(&s, ret, size);
	(void)str_add(&s, mount_point); /* a cut shows at the end */
	return str_add(&s, strcmp(path, "/") == 0 ? "" : path);
}
