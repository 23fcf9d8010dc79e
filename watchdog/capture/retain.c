// SPDX-License-Identifier: Apache-2.0
/*
 * Clearing up old captures, so that a target that trips every night does not fill the disk.
 *
 * It deletes by name: only directories that are called exactly as place.c calls bundles of this
 * target (TARGET-YYYYMMDDThhmmssZ-PID, perhaps .N) are looked at, whatever else lies in the
 * directory. The names sort by time, so no file time has to be trusted. The newest finished bundles
 * of a target always stay, as many as its last incident has, even where they alone are larger than
 * max_use: the reason for having us is the last capture.
 *
 * A bundle is first renamed to its .partial name and then emptied, so that a crash half-way leaves
 * something that says it is not whole and that the next call removes. A .partial of somebody who
 * is still writing holds a flock and is left alone; so is one that is younger than the newest
 * finished bundle of its target, since a cut-off core is better than none.
 *
 * Limits: sizes are blocks of plain files one level down; a file system without flock on
 * directories makes every .partial look alive, and it then stays. Runs outside incidents and may
 * allocate.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "capture/internal.h"
#include "capture/place.h"

#define STAMP_LEN 16 /* YYYYMMDDThhmmssZ */

/* A finished bundle of the target. */
struct bundle {
	char name[CAPTURE_NAME_MAX];
	uint64_t bytes;
};

struct bundle_list {
	struct bundle *items;
	size_t count;
	size_t room;
};

static bool is_digit(char ch)
{
	return ch >= '0' && ch <= '9';
}

/* The stamp in a name of our pattern, whatever its target, and the length of the target; or NULL.
 * *ret_partial says whether the name ends in .partial. */
static const char *parse_name(const char *name, size_t *ret_target_len, bool *ret_partial)
{
	size_t end = strlen(name);
	size_t digits = 0;
	const char *stamp;

	*ret_partial = str_has_suffix(name, PLACE_PARTIAL_SUFFIX);
	if (*ret_partial)
		end -= strlen(PLACE_PARTIAL_SUFFIX);
	if (end > 2 && name[end - 2] == '.' && name[end - 1] >= '2' && name[end - 1] <= '9')
		end -= 2;
	while (end > 0 && is_digit(name[end - 1]))
		end--, digits++;
	if (digits == 0 || digits > 10 || end < STAMP_LEN + 3 || name[end - 1] != '-')
		return NULL;
	stamp = name + end - 1 - STAMP_LEN;
	for (size_t i = 0; i < STAMP_LEN; i++)
		if (i == 8 ? stamp[i] != 'T' : i == 15 ? stamp[i] != 'Z' : !is_digit(stamp[i]))
			return NULL;
	if (stamp[-1] != '-')
		return NULL;
	*ret_target_len = (size_t)(stamp - 1 - name);
	for (size_t i = 0; i < *ret_target_len; i++)
		if (!place_name_char(name[i]))
			return NULL;
	return stamp;
}

/* Bytes on disk of the plain files in a bundle; false where name is no directory. */
static bool bundle_bytes(int directory_fd, const char *name, uint64_t *ret)
{
	_cleanup_closedir_ DIR *dir = NULL;
	_cleanup_close_ int fd =
		openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent *entry;
	uint64_t bytes = 0;
	struct stat st;

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return false;
	(void)take_fd(&fd); /* dir owns it now */
	while ((entry = readdir(dir)))
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode))
			bytes = add_sat(bytes, (uint64_t)st.st_blocks * 512);
	*ret = bytes;
	return true;
}

static int list_add(struct bundle_list *list, const char *name, uint64_t bytes)
{
	struct bundle *grown;

	if (list->count == list->room) {
		list->room = list->room ? list->room * 2 : 64;
		grown = reallocarray(list->items, list->room, sizeof(*list->items));
		if (!grown)
			return -ENOMEM;
		list->items = grown;
	}
	list->items[list->count].bytes = bytes;
	if (!str_copy(list->items[list->count].name, CAPTURE_NAME_MAX, name))
		return -ENAMETOOLONG;
	list->count++;
	return 0;
}

/* By stamp, then by the rest of the name: oldest first. */
static int compare(const void *a, const void *b)
{
	const struct bundle *x = a;
	const struct bundle *y = b;

	return strcmp(x->name, y->name); /* one target: the names differ from the stamp on */
}

static int walk(int directory_fd, const char *target, struct bundle_list *finished,
	struct bundle_list *partial, uint64_t *ret_all_bytes)
{
	_cleanup_closedir_ DIR *dir = NULL;
	_cleanup_close_ int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	int r = 0;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir)
		return -errno;
	(void)take_fd(&fd); /* dir owns it now */
	while (r == 0 && (errno = 0, entry = readdir(dir))) {
		size_t target_len;
		bool is_partial;
		uint64_t bytes;

		if (!parse_name(entry->d_name, &target_len, &is_partial) ||
			!bundle_bytes(directory_fd, entry->d_name, &bytes))
			continue;
		*ret_all_bytes = add_sat(*ret_all_bytes, bytes);
		if (target_len == strlen(target) && strncmp(entry->d_name, target, target_len) == 0)
			r = list_add(is_partial ? partial : finished, entry->d_name, bytes);
	}
	return r ? r : -errno;
}

static bool writer_alive(int directory_fd, const char *name)
{
	_cleanup_close_ int fd =
		openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0; /* closing drops the lock again */
}

static int delete_finished(int directory_fd, const char *name)
{
	char partial[CAPTURE_NAME_MAX];
	struct str s;

	str_init(&s, partial, sizeof(partial));
	if (!str_addf(&s, "%s" PLACE_PARTIAL_SUFFIX, name))
		return -ENAMETOOLONG;
	if (renameat(directory_fd, name, directory_fd, partial) < 0)
		return -errno;
	return place_remove_bundle(directory_fd, partial);
}

static void keep_first(int *error, int r)
{
	if (r && !*error)
		*error = r;
}

int capture_retain(
	int directory_fd, const char *target, uint32_t spare, uint32_t keep, uint64_t max_use_bytes)
{
	struct bundle_list finished = {0};
	struct bundle_list partial = {0};
	char clean[TARGET_NAME_MAX];
	uint64_t all_bytes = 0;
	int error;

	place_target_name(clean, sizeof(clean), target);
	error = walk(directory_fd, clean, &finished, &partial, &all_bytes);
	if (finished.count)
		qsort(finished.items, finished.count, sizeof(*finished.items), compare);
	for (size_t i = 0; i < partial.count && finished.count; i++)
		if (strcmp(partial.items[i].name, finished.items[finished.count - 1].name) < 0 &&
			!writer_alive(directory_fd, partial.items[i].name)) {
			keep_first(
				&error, place_remove_bundle(directory_fd, partial.items[i].name));
			all_bytes = sub_floor(all_bytes, partial.items[i].bytes);
		}
	for (size_t i = 0; i + max_u32(spare, 1) < finished.count; i++) {
		if (!(keep && finished.count - i > keep) && all_bytes <= max_use_bytes)
			break;
		keep_first(&error, delete_finished(directory_fd, finished.items[i].name));
		all_bytes = sub_floor(all_bytes, finished.items[i].bytes);
	}
	free(finished.items);
	free(partial.items);
	return error;
}

int capture_clear_up(struct capture *c, const char *target, uint32_t spare, uint32_t keep,
	uint64_t max_use_bytes)
{
	if (c->place.output_mode || c->place.parent_fd < 0)
		return 0;
	return capture_retain(c->place.parent_fd, target, spare, keep, max_use_bytes);
}
