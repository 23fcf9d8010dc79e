// SPDX-License-Identifier: Apache-2.0
/*
 * Where a capture goes. A core holds every secret of its process, so this file is careful about
 * who could have prepared the place: we write only into a directory that is ours and that nobody
 * else can write to, never through a symbolic link in the component that we create in, and every
 * file is made with O_EXCL. It is also careful on behalf of the target: a directory that lives in
 * memory would be charged to somebody, in a pod to the pod of the target itself.
 *
 * There are two kinds of place. capture_set_directory() opens the parent of bundles: each capture
 * is a directory of its own in it (0700, files 0600) that is called NAME.partial until it is
 * complete and durable. capture_set_output() is for `dump -o`: one core file, beside its final
 * name while it grows. Directories are opened once, by hand before anything happens to the
 * target, in a watch as soon as it stands still; everything later is relative to those descriptors,
 * and a rename of the path under us changes nothing.
 *
 * A bundle is called TARGET-YYYYMMDDThhmmssZ-PID, with .2 to .9 behind it where the same process
 * is captured again within a second. The writer keeps a flock on its .partial directory, so that
 * clearing up (retain.c) can tell a dead writer's leftovers from a capture that is going on.
 *
 * Nothing between capture_place_create() and the end of a capture allocates; the calendar is
 * computed here because gmtime_r() may read the time zone file.
 *
 * Limits: symbolic links further up in a path are followed; a memory file system below an overlay
 * is not recognised.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "capture/internal.h"
#include "capture/place.h"
#include "capture/settle.h"

#define NAME_TRIES 9	    /* captures of one process within one second */
#define LEAST_INODES 16	    /* files and directories of one bundle, rounded up */
#define DIRECTORY_MODE 0700 /* secrets: nobody but the owner */
#define FILE_MODE 0600

__attribute__((format(printf, 3, 4))) static void say(
	char *why, size_t why_size, const char *format, ...)
{
	va_list args;
	struct str s;

	if (!why_size)
		return;
	str_init(&s, why, why_size);
	va_start(args, format);
	(void)str_addv(&s, format, args); /* a cut sentence is still the best there is */
	va_end(args);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* what was written has been fsynced, or does not matter */
	*fd = -1;
}

void capture_place_init(struct capture_place *place)
{
	memset(place, 0, sizeof(*place));
	place->parent_fd = place->bundle_fd = place->core_fd = -1;
}

static void close_capture(struct capture_place *place)
{
	close_fd(&place->core_fd);
	close_fd(&place->bundle_fd);
	place->created = false;
}

void capture_place_done(struct capture *c)
{
	close_capture(&c->place);
}

void capture_place_close(struct capture *c)
{
	close_capture(&c->place);
	close_fd(&c->place.parent_fd);
}

/* --- opening a directory ------------------------------------------------------------------- */

/* Copies path without trailing slashes: "dir/" would follow dir where "dir" does not. */
static bool trim_path(char *ret, size_t size, const char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		len--;
	if (len == 0 || len >= size)
		return false;
	memcpy(ret, path, len);
	ret[len] = '\0';
	return true;
}

static int refuse_errno(char *why, size_t why_size, const char *path, const char *doing, int error)
{
	const char *mend = "";

	switch (error) {
	case ENOENT:
		mend = "; every directory on the way must exist";
		break;
	case EACCES:
	case EPERM:
		mend = "; run as a user who may write there, or choose another directory";
		break;
	case EROFS:
		mend = "; choose a directory on a writable file system";
		break;
	case ENOSPC:
	case EDQUOT:
		mend = "; free some space or choose another directory";
		break;
	default:
		break;
	}
	say(why, why_size, "%s: cannot %s: %s%s", path, doing, strerrordesc_np(error), mend);
	if (error == EACCES || error == EPERM)
		return CAPTURE_DENIED;
	return error == ENOSPC || error == EDQUOT ? CAPTURE_NO_SPACE : CAPTURE_BAD_PLACE;
}

/* Opens path, whose last component must be a directory and no symbolic link. */
static int open_directory(const char *path, int *ret_fd, char *why, size_t why_size)
{
	struct stat st;

	*ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*ret_fd >= 0)
		return 0;
	if (errno == ENOTDIR || errno == ELOOP) {
		if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
			say(why, why_size,
				"%s is a symbolic link; name the directory that it points to",
				path);
		else
			say(why, why_size, "%s is not a directory; choose another place", path);
		return CAPTURE_BAD_PLACE;
	}
	return refuse_errno(why, why_size, path, "open the directory", errno);
}

static bool in_memory(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return false;
	return (unsigned long)fs.f_type == TMPFS_MAGIC || (unsigned long)fs.f_type == RAMFS_MAGIC ||
		(unsigned long)fs.f_type == HUGETLBFS_MAGIC;
}

static int refuse_memory(const char *path, char *why, size_t why_size)
{
	say(why, why_size,
		"%s is kept in memory (tmpfs), so a core in it costs the memory that is running "
		"out; choose a directory on a disk",
		path);
	return CAPTURE_BAD_PLACE;
}

/* Ours, closed to others, and not in memory? */
static int check_directory(int fd, const char *path, bool allow_memory, char *why, size_t why_size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return refuse_errno(why, why_size, path, "look at the directory", errno);
	if (st.st_uid != geteuid()) {
		say(why, why_size,
			"%s belongs to user %u, not to us (user %u); choose a directory of our own",
			path, st.st_uid, geteuid());
		return CAPTURE_BAD_PLACE;
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		say(why, why_size, "%s is writable by others (mode %04o); chmod go-w it", path,
			st.st_mode & 07777U);
		return CAPTURE_BAD_PLACE;
	}
	return !allow_memory && in_memory(fd) ? refuse_memory(path, why, why_size) : 0;
}

/* The path of a directory for captures, with room behind it for the names in it. */
static int trim_directory(char ret[CAPTURE_PATH_MAX], const char *path, char *why, size_t why_size)
{
	if (trim_path(ret, CAPTURE_PATH_MAX - (size_t)2 * CAPTURE_NAME_MAX, path))
		return 0;
	say(why, why_size, "the directory for captures is %s", *path ? "too long" : "empty");
	return CAPTURE_BAD_PLACE;
}

int capture_set_directory(
	struct capture *c, const char *path, bool allow_memory, char *why, size_t why_size)
{
	struct capture_place *place = &c->place;
	char trimmed[CAPTURE_PATH_MAX];
	_cleanup_close_ int fd = -1;
	int r = trim_directory(trimmed, path, why, why_size);

	if (r)
		return r;
	if (mkdir(trimmed, DIRECTORY_MODE) < 0 && errno != EEXIST)
		return refuse_errno(why, why_size, trimmed, "create the directory", errno);
	r = open_directory(trimmed, &fd, why, why_size);
	if (r == 0)
		r = check_directory(fd, trimmed, allow_memory, why, why_size);
	if (r)
		return r;
	capture_place_close(c);
	place->parent_fd = take_fd(&fd);
	place->output_mode = false;
	place->allow_memory = allow_memory;
	(void)str_copy(place->parent_path, sizeof(place->parent_path), trimmed); /* fits: above */
	return 0;
}

static int create_core(int dir_fd, const char *name)
{
	int fd =
		openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);

	if (fd >= 0)
		(void)fchmod(fd, FILE_MODE); /* a umask may have taken the owner's bits only */
	return fd;
}

/* --- trying a directory -------------------------------------------------------------------- */

/* Makes a file without a name in it, or one whose name goes at once. */
static int try_file(int dir_fd, const char *path, char *why, size_t why_size)
{
	_cleanup_close_ int fd = openat(dir_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, FILE_MODE);
	char name[CAPTURE_NAME_MAX];

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) { /* the file system, the kernel */
		(void)snprintf(name, sizeof(name), ".oomsnap-%d.try", (int)getpid());
		fd = create_core(dir_fd, name);
		if (fd >= 0)
			(void)unlinkat(dir_fd, name, 0); /* who may make it may remove it */
	}
	return fd < 0 ? refuse_errno(why, why_size, path, "write in the directory", errno) : 0;
}

int capture_try_directory(
	const char *path, bool allow_memory, bool make, char *why, size_t why_size)
{
	char trimmed[CAPTURE_PATH_MAX];
	_cleanup_close_ int fd = -1;
	bool made;
	int r = trim_directory(trimmed, path, why, why_size);

	if (r)
		return r;
	made = mkdir(trimmed, DIRECTORY_MODE) == 0;
	if (!made && errno != EEXIST)
		return refuse_errno(why, why_size, trimmed, "create the directory", errno);
	r = open_directory(trimmed, &fd, why, why_size);
	if (r == 0)
		r = check_directory(fd, trimmed, allow_memory, why, why_size);
	if (r == 0)
		r = try_file(fd, trimmed, why, why_size);
	if (made && (r || !make))
		(void)rmdir(trimmed); /* somebody else may have put something there by now */
	return r;
}

/* --- one core at a given path -------------------------------------------------------------- */

/* Splits path into directory and name; false where there is no usable name. */
static bool split_path(const char *path, char *ret_dir, size_t dir_size, char *ret_name)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	if (!str_copy(ret_name, CAPTURE_NAME_MAX, name))
		return false;
	if (!slash)
		return str_copy(ret_dir, dir_size, ".");
	if (slash == path)
		return str_copy(ret_dir, dir_size, "/");
	if ((size_t)(slash - path) >= dir_size)
		return false;
	memcpy(ret_dir, path, (size_t)(slash - path));
	ret_dir[slash - path] = '\0';
	return true;
}

static int refuse_existing(
	int dir_fd, const char *name, const char *path, char *why, size_t why_size)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT
			? 0
			: refuse_errno(why, why_size, path, "look at the output", errno);
	if (S_ISDIR(st.st_mode))
		say(why, why_size,
			"%s is a directory; give a file name with -o, or use --directory", path);
	else if (S_ISLNK(st.st_mode))
		say(why, why_size,
			"%s is a symbolic link, which is not followed; choose another name", path);
	else if (!S_ISREG(st.st_mode))
		say(why, why_size, "%s is a device or another special file; choose another name",
			path);
	else
		say(why, why_size, "%s exists and is not overwritten; choose another name", path);
	return CAPTURE_BAD_PLACE;
}

int capture_set_output(
	struct capture *c, const char *path, bool allow_memory, char *why, size_t why_size)
{
	struct capture_place *place = &c->place;
	char dir[CAPTURE_PATH_MAX];
	char trimmed[CAPTURE_PATH_MAX];
	char name[CAPTURE_NAME_MAX];
	_cleanup_close_ int fd = -1;
	int r;

	if (strlen(path) >= CAPTURE_PATH_MAX - CAPTURE_NAME_MAX ||
		!split_path(path, dir, sizeof(dir), name) ||
		!trim_path(trimmed, sizeof(trimmed), dir)) {
		say(why, why_size, "'%s' does not name a file that a core could be written to",
			path);
		return CAPTURE_BAD_PLACE;
	}
	r = open_directory(trimmed, &fd, why, why_size);
	if (r == 0)
		r = refuse_existing(fd, name, path, why, why_size);
	if (r)
		return r;
	if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		return refuse_errno(why, why_size, trimmed, "write in the directory", errno);
	if (!allow_memory && in_memory(fd))
		return refuse_memory(trimmed, why, why_size);
	capture_place_close(c);
	place->parent_fd = take_fd(&fd);
	place->output_mode = true;
	place->allow_memory = allow_memory;
	(void)str_copy(place->parent_path, sizeof(place->parent_path), trimmed); /* fits: above */
	(void)str_copy(place->final_name, sizeof(place->final_name), name);	 /* the same size */
	return 0;
}

/* --- creating ------------------------------------------------------------------------------ */

/* Appends the UTC time as YYYYMMDDThhmmssZ; days become a date by the civil calendar's 400 years.
 */
static void add_utc(struct str *s, time_t t)
{
	int64_t days = (int64_t)t / 86400;
	int64_t seconds = (int64_t)t % 86400;
	int64_t z = days + 719468; /* days since 0000-03-01 */
	int64_t era = z / 146097;
	int64_t of_era = z % 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t shifted = (5 * of_year + 2) / 153; /* months from March */
	int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;

	(void)str_addf(s, "%04d%02d%02dT%02d%02d%02dZ", (int)(year + era * 400 + (month <= 2)),
		(int)month, (int)(of_year - (153 * shifted + 2) / 5 + 1), (int)(seconds / 3600),
		(int)(seconds / 60 % 60), (int)(seconds % 60));
}

bool place_name_char(char ch)
{
	return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
		ch == '_' || ch == '-' || ch == '.' || ch == '@';
}

void place_target_name(char *ret, size_t size, const char *target)
{
	struct str s;

	str_init(&s, ret, size);
	for (; *target; target++)
		(void)str_add_char(
			&s, place_name_char(*target) && (s.len || *target != '.') ? *target : '_');
	if (!s.len)
		(void)str_add(&s, "target");
}

/* TARGET-YYYYMMDDThhmmssZ-PID, with .N behind it from the second try on. */
static void bundle_name(char *ret, const struct capture_request *request, time_t now, int try)
{
	char target[TARGET_NAME_MAX];
	struct str s;

	place_target_name(target, sizeof(target), request->target);
	str_init(&s, ret, CAPTURE_NAME_MAX);
	(void)str_addf(&s, "%s-", target); /* 63 + 16 + 20 bytes always fit */
	add_utc(&s, now);
	(void)str_addf(&s, "-%d", request->pid);
	if (try > 1)
		(void)str_addf(&s, ".%d", try);
}

/* The bundle's directory and the core in it. 0 or -errno, with nothing left on disk. */
static int create_bundle(struct capture_place *place, const struct capture_request *request)
{
	time_t now = time(NULL); /* wall time, for the name only */
	int r = -EEXIST;

	for (int try = 1; try <= NAME_TRIES && r == -EEXIST; try++) {
		bundle_name(place->final_name, request, now, try);
		(void)str_copy(place->partial_name, sizeof(place->partial_name), place->final_name);
		(void)strncat(place->partial_name, PLACE_PARTIAL_SUFFIX,
			sizeof(place->partial_name) - strlen(place->partial_name) - 1);
		if (faccessat(place->parent_fd, place->final_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		r = mkdirat(place->parent_fd, place->partial_name, DIRECTORY_MODE) < 0 ? -errno : 0;
	}
	if (r)
		return r;
	place->bundle_fd = openat(place->parent_fd, place->partial_name,
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (place->bundle_fd >= 0) {
		(void)fchmod(place->bundle_fd, DIRECTORY_MODE);
		(void)flock(place->bundle_fd, LOCK_EX | LOCK_NB); /* not everywhere; see retain.c */
		place->core_fd = create_core(place->bundle_fd, place->core_name);
	}
	if (place->core_fd >= 0)
		return 0;
	r = -errno;
	close_fd(&place->bundle_fd);
	(void)unlinkat(place->parent_fd, place->partial_name, AT_REMOVEDIR);
	return r;
}

/* The core beside its final name. */
static int create_output(struct capture_place *place)
{
	int r = -EEXIST;

	for (int try = 1; try <= NAME_TRIES && r == -EEXIST; try++) {
		(void)snprintf(place->partial_name, sizeof(place->partial_name),
			".oomsnap-%d.%d" PLACE_PARTIAL_SUFFIX, (int)getpid(), try);
		place->core_fd = create_core(place->parent_fd, place->partial_name);
		r = place->core_fd < 0 ? -errno : 0;
	}
	(void)str_copy(place->core_name, sizeof(place->core_name), place->partial_name);
	return r;
}

void place_result_paths(struct capture *c, bool final)
{
	struct capture_place *place = &c->place;
	const char *name = final ? place->final_name : place->partial_name;
	const char *slash = strcmp(place->parent_path, "/") == 0 ? "" : "/";
	struct str s;

	/* Everything fits: parent_path was bounded when it was set. */
	str_init(&s, c->result.path, sizeof(c->result.path));
	(void)str_addf(&s, "%s%s%s", place->parent_path, slash, name);
	str_init(&s, c->result.core_path, sizeof(c->result.core_path));
	(void)str_add(&s, c->result.path);
	if (!place->output_mode)
		(void)str_addf(&s, "/%s", place->core_name);
}

int capture_place_create(
	struct capture *c, const struct capture_request *request, char *why, size_t why_size)
{
	struct capture_place *place = &c->place;
	uint64_t room;
	int r;

	close_capture(place);
	c->result.path[0] = c->result.core_path[0] = '\0';
	if (place->parent_fd < 0) {
		say(why, why_size, "no directory for captures has been set");
		return CAPTURE_BAD_PLACE;
	}
	r = capture_place_room(c, request, &room, why, why_size);
	if (r)
		return r;
	if (place->output_mode) {
		r = create_output(place);
	} else {
		(void)str_copy(place->core_name, sizeof(place->core_name),
			request->compress == COMPRESS_ZSTD ? "core.zst" : "core");
		r = create_bundle(place, request);
	}
	if (r)
		return refuse_errno(why, why_size, place->parent_path, "create the core there", -r);
	place->created = true;
	place_result_paths(c, /* final= */ false);
	return 0;
}

/* --- room ---------------------------------------------------------------------------------- */

static void add_size(struct str *s, uint64_t bytes)
{
	(void)str_addf(
		s, "%" PRIu64 ".%u MiB", bytes >> 20, (unsigned)((bytes & 0xfffff) * 10 >> 20));
}

int capture_place_room(const struct capture *c, const struct capture_request *request,
	uint64_t *ret_bytes, char *why, size_t why_size)
{
	const char *path = c->place.parent_path;
	struct statvfs fs;
	struct rlimit limit;
	uint64_t free_bytes;
	uint64_t room;
	struct str s;

	if (fstatvfs(c->place.parent_fd, &fs) < 0)
		return refuse_errno(why, why_size, path, "ask for free space", errno);
	if (!checked_mul(fs.f_bavail, fs.f_frsize, &free_bytes))
		free_bytes = UINT64_MAX;
	room = min_u64(sub_floor(free_bytes, request->keep_free_bytes),
		sub_floor(request->max_bytes, settle_aside_bytes(c)));
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		room = min_u64(room, limit.rlim_cur);
	if (fs.f_files && fs.f_favail < LEAST_INODES)
		room = 0;
	if (room >= PLACE_LEAST_BYTES) {
		*ret_bytes = room;
		return 0;
	}
	if (!why_size)
		return CAPTURE_NO_SPACE;
	str_init(&s, why, why_size);
	(void)str_addf(&s, "%s: no room for a core: ", path);
	add_size(&s, free_bytes);
	(void)str_add(&s, " are free");
	if (fs.f_files && fs.f_favail < LEAST_INODES)
		(void)str_add(&s, ", but hardly an inode is");
	else if (free_bytes >= PLACE_LEAST_BYTES)
		(void)str_add(
			&s, ", but keep_free, max_use or the file size limit forbid to use them");
	(void)str_add(&s, "; free some space or choose another directory");
	return CAPTURE_NO_SPACE;
}

/* --- removing ------------------------------------------------------------------------------ */

void capture_place_abandon(struct capture *c)
{
	struct capture_place *place = &c->place;

	if (place->created && place->output_mode)
		(void)unlinkat(place->parent_fd, place->partial_name, 0);
	else if (place->created)
		/* A file that does not want to go leaves a .partial, which retain.c tries again. */
		(void)place_remove_bundle(place->parent_fd, place->partial_name);
	close_capture(place);
	c->result.path[0] = c->result.core_path[0] = '\0';
}

int place_remove_bundle(int parent_fd, const char *name)
{
	_cleanup_close_ int fd =
		openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_Alignas(struct dirent64) char buffer[4096];
	ssize_t n;

	if (fd < 0)
		return -errno;
	while ((n = getdents64(fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *entry = (const void *)(buffer + at);

			at += entry->d_reclen;
			if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
				continue;
			if (unlinkat(fd, entry->d_name, 0) < 0 && errno != ENOENT)
				return -errno;
		}
	if (n < 0)
		return -errno;
	return unlinkat(parent_fd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}
