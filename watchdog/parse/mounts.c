// SPDX-License-Identifier: Apache-2.0
/*
 * A line of mountinfo is "ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAGS] - TYPE SOURCE OPTIONS"; a
 * blank inside of a field is written as \040, so that " - " stands only before the type.
 *
 * Limits: of an overlay only its own type is seen, not what its layers lie on.
 */
#include "parse/mounts.h"

#include <string.h>

#include "base/checked.h"

bool mounts_type(const char *line, size_t len, uint64_t id, const char **ret_type, size_t *ret_len)
{
	static const char mark[] = " - ";
	const char *end = line + len;
	const char *type;
	const char *blank;
	uint64_t number = 0;
	size_t at = 0;

	for (; at < len && at < 19 && line[at] >= '0' && line[at] <= '9'; at++)
		number = number * 10 + (uint64_t)(line[at] - '0');
	if (!at || at == len || line[at] != ' ' || number != id)
		return false;
	type = memmem(line, len, mark, sizeof(mark) - 1);
	if (!type)
		return false;
	type += sizeof(mark) - 1;
	blank = memchr(type, ' ', (size_t)(end - type));
	*ret_type = type;
	*ret_len = (size_t)((blank ? blank : end) - type);
	return *ret_len != 0;
}

static bool is_one_of(const char *const *names, size_t count, const char *type, size_t len)
{
	for (size_t i = 0; i < count; i++)
		if (len == strlen(names[i]) && memcmp(type, names[i], len) == 0)
			return true;
	return false;
}

bool mounts_is_local(const char *type, size_t len)
{
	static const char *const local[] = {"overlay", "ext4", "xfs", "btrfs", "tmpfs", "ramfs",
		"rootfs", "ext2", "ext3", "f2fs", "zfs", "bcachefs", "squashfs", "erofs"};

	return is_one_of(local, ARRAY_LEN(local), type, len);
}

bool mounts_is_cgroup(const char *type, size_t len)
{
	static const char *const cgroup[] = {"cgroup2", "cgroup"};

	return is_one_of(cgroup, ARRAY_LEN(cgroup), type, len);
}

bool mounts_leads_to_cgroup(const char *type, size_t len)
{
	static const char *const kernel[] = {"sysfs"};

	return mounts_is_local(type, len) || mounts_is_cgroup(type, len) ||
		is_one_of(kernel, ARRAY_LEN(kernel), type, len);
}
