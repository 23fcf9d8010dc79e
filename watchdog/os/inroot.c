// SPDX-License-Identifier: Apache-2.0
/*
 * Walking in a target's root without asking a file system that may not answer.
 *
 * A look-up, stat(2), statfs(2), open(2) and read(2) on FUSE wait for its server, which is the
 * target's to stop; while it waits the loop would not look at anybody. So nothing of these is done
 * before the file system is known to be a local one. What a descriptor lies on is told by its
 * mount: statx(2) with AT_STATX_DONT_SYNC asks no server for the mount's id, and the process's
 * mountinfo has its type.
 *
 * A path is first resolved from the kernel's cache alone (RESOLVE_CACHED, Linux 5.12, which never
 * waits). What is not there is walked one name at a time: each name is looked up in a directory
 * whose file system has been judged, and stepping onto a mount asks nothing of it. Symbolic links
 * go that way too (the cache alone does not follow one whose time of access is to be written), each
 * by starting again from the root, as ".." does: so nothing leads out of it.
 *
 * Refuses: what mounts_is_local() does not know, or mounts_leads_to_cgroup(). Limits: a disk that
 * does not answer; an overlay whose layers lie on FUSE.
 */
#include "os/inroot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/lines.h"
#include "os/proc.h"
#include "parse/mounts.h"

#define LINKS_MAX 40U /* symbolic links and ".." in one path */
#define INROOT_AGAIN 1
#define LINE_BYTES                                                                    \
	8192 /* of mountinfo; longer lines (overlays of very many layers) are skipped \
	      */

static int edge(int error)
{
	if (error == ENOENT || error == ESRCH)
		return PROC_GONE;
	return error == EACCES || error == EPERM ? PROC_DENIED : -error;
}

static int open_at(int dir, const char *path, uint64_t resolve, int *ret_fd)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = resolve};
	int fd;

	if (resolve & RESOLVE_NO_SYMLINKS)
		how.flags |= O_NOFOLLOW;
	fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* Whether a file system of that type may be asked. */
typedef bool accepts(const char *type, size_t len);

/* What is behind fd, without asking its file system: 0, or -ENOTSUP for one that is not accepted.
 */
static int judge(int dir_fd, int fd, accepts *accept, mode_t *ret_mode)
{
	_cleanup_close_ int mounts = -1;
	char buffer[LINE_BYTES];
	struct statx sx;
	struct lines lines;
	const char *line;
	size_t len;
	int r;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_MNT_ID, &sx) < 0)
		return edge(errno);
	if (!(sx.stx_mask & STATX_MNT_ID))
		return -ENOSYS; /* before Linux 5.8 */
	r = proc_open_file(dir_fd, "mountinfo", &mounts);
	if (r != 0)
		return r;
	lines_init(&lines, mounts, buffer, sizeof(buffer));
	while (lines_next(&lines, &line, &len)) {
		const char *type;
		size_t type_len;

		if (!mounts_type(line, len, sx.stx_mnt_id, &type, &type_len))
			continue;
		if (!accept(type, type_len))
			return -ENOTSUP;
		*ret_mode = sx.stx_mode;
		return 0;
	}
	return lines.error ? lines.error : -ENOTSUP;
}

/* Opens what an O_PATH descriptor stands for, if it is of that kind (S_IF*) and accepted. */
static int open_for_reading(int dir_fd, int found, accepts *accept, mode_t kind, int *ret_fd)
{
	char name[40];
	mode_t mode = 0;
	int fd;
	int r = judge(dir_fd, found, accept, &mode);

	if (r != 0)
		return r;
	if ((mode & S_IFMT) != kind)
		return -ENOTSUP;
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", found); /* 14 + 11 bytes */
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return edge(errno);
	*ret_fd = fd;
	return 0;
}

/* Takes the next name of *path; false at its end. */
static bool next_name(const char **path, char *name)
{
	size_t len;

	*path += strspn(*path, "/");
	len = strcspn(*path, "/");
	if (!len || len > NAME_MAX)
		return false;
	memcpy(name, *path, len);
	name[len] = '\0';
	*path += len;
	return true;
}

/* A path on its way: what has been walked, without links and "..", and what is left. */
struct way {
	char done[PATH_MAX];
	char left[PATH_MAX];
	const char *at; /* in left */
};

/* Goes on from the root: with what was done, then text, then what is left. */
static int start_again(struct way *way, const char *text)
{
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/%s/%s", way->done, text, way->at);

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(way->left, path, (size_t)n + 1);
	way->at = way->left;
	way->done[0] = '\0';
	return 0;
}

static int up(struct way *way)
{
	char *last = strrchr(way->done, '/');

	if (last)
		*last = '\0';
	return start_again(way, "");
}

static int follow(struct way *way, int link)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(link, "", target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (target[0] == '/')
		way->done[0] = '\0';
	return start_again(way, target);
}

/* One name from a directory that has been judged: steps into it, or starts again. */
static int step(struct way *way, int root, const char *name, int *at)
{
	_cleanup_close_ int next = -1;
	struct statx sx;
	size_t len = strlen(way->done);
	int r = 0;

	if (strcmp(name, "..") == 0) {
		r = up(way);
	} else {
		r = open_at(*at, name, RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS, &next);
		if (r < 0)
			return r;
		if (statx(next, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &sx) < 0)
			return -errno;
		if (!S_ISLNK(sx.stx_mode)) {
			if (len + strlen(name) + 2 > sizeof(way->done))
				return -ENAMETOOLONG;
			(void)snprintf(way->done + len, sizeof(way->done) - len, "/%s", name);
			cleanup_close(at);
			*at = take_fd(&next);
			return 0;
		}
		r = follow(way, next);
	}
	if (r < 0)
		return r;
	cleanup_close(at);
	*at = dup(root);
	return *at < 0 ? -errno : INROOT_AGAIN;
}

/* One name at a time, from the process's root. */
static int walk(int dir_fd, int root, const char *path, accepts *accept, int *ret_fd)
{
	_cleanup_close_ int at = dup(root);
	struct way way = {.done = ""};
	char name[NAME_MAX + 1];
	unsigned int again = 0;

	if (at < 0)
		return -errno;
	if (snprintf(way.left, sizeof(way.left), "%s", path) >= (int)sizeof(way.left))
		return -ENAMETOOLONG;
	way.at = way.left;
	while (next_name(&way.at, name)) {
		mode_t mode = 0;
		int r = judge(dir_fd, at, accept, &mode);

		if (r != 0)
			return r;
		if (!S_ISDIR(mode))
			return -ENOTSUP;
		if (strcmp(name, ".") == 0)
			continue;
		r = step(&way, root, name, &at);
		if (r < 0)
			return edge(-r);
		if (r == INROOT_AGAIN && ++again > LINKS_MAX)
			return -ELOOP;
	}
	*ret_fd = take_fd(&at);
	return 0;
}

/* The path, as it is judged on the way by on_way, and at its end by at_end. */
static int open_path(
	int dir_fd, const char *path, accepts *on_way, accepts *at_end, mode_t kind, int *ret_fd)
{
	_cleanup_close_ int root = openat(dir_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int found = -1;
	int r;

	if (root < 0)
		return edge(errno);
	r = open_at(root, path, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_CACHED, &found);
	if (r == -EAGAIN || r == -EINVAL) /* not in the cache; older than 5.12 */
		r = walk(dir_fd, root, path, on_way, &found);
	else if (r < 0)
		r = edge(-r);
	return r ? r : open_for_reading(dir_fd, found, at_end, kind, ret_fd);
}

int inroot_open(int dir_fd, const char *path, int *ret_fd)
{
	return open_path(dir_fd, path, mounts_is_local, mounts_is_local, S_IFREG, ret_fd);
}

int inroot_open_cgroup(int dir_fd, const char *path, int *ret_fd)
{
	return open_path(dir_fd, path, mounts_leads_to_cgroup, mounts_is_cgroup, S_IFDIR, ret_fd);
}

int inroot_open_program(int dir_fd, int *ret_fd)
{
	_cleanup_close_ int found = openat(dir_fd, "exe", O_PATH | O_CLOEXEC);

	if (found < 0)
		return edge(errno);
	return open_for_reading(dir_fd, found, mounts_is_local, S_IFREG, ret_fd);
}
