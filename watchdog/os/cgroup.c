// SPDX-License-Identifier: Apache-2.0
/*
 * One memory cgroup and its ancestors. See cgroup.h for the contract.
 *
 * Opening walks from the directory upwards with openat("..") for as long as the file system stays
 * the same and the memory files are there, so that a sidecar's private view (whose root is the
 * container's own cgroup) and the host's tree are read by the same code. All files of all levels
 * are held open; a sample is a handful of preads. Each level's limit is read in every sample:
 * limits change at run time (in-place resize, systemd reload), and with one container per pod the
 * pod's limit is the one that kills.
 *
 * Never mounts anything, never changes a level that we run below ourselves, and never changes what
 * is seen through /proc/PID/root: the path is under the target's control, and after that process
 * has ended its number may lead into somebody else's tree, where an undo would do harm. Nor does it
 * wait for a file system that the target serves by itself (FUSE): the way to such a directory is
 * that of os/inroot.c, and in it names are opened by fd_open_in().
 */
#include "os/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "os/cgroup_ops.h"
#include "os/fd.h"
#include "os/inroot.h"
#include "os/proc.h"
#include "parse/cgroup.h"
#include "parse/memcg.h"

#define VALUE_TEXT_MAX 64
#define STAT_TEXT_MAX 8192 /* memory.stat of 6.18 has some 2,600 bytes */
#define PROC_TEXT_MAX 8192 /* /proc/PID/cgroup: a line of a path for each hierarchy */
#define MOUNTINFO_TEXT_MAX 262144
#define WALK_DEPTH_MAX 8 /* of cgroups below a target */

int cgroup_error(int negative_errno)
{
	return negative_errno == -ENOENT || negative_errno == -ENODEV ? CGROUP_GONE
								      : negative_errno;
}

static void level_init(struct cgroup_level *level)
{
	level->dir_fd = -1;
	level->current_fd = -1;
	level->limit_fd = -1;
	level->stat_fd = -1;
	level->events_fd = -1;
	level->pressure_fd = -1;
	level->ours = false;
}

static void level_close(struct cgroup_level *level)
{
	cleanup_close(&level->dir_fd);
	cleanup_close(&level->current_fd);
	cleanup_close(&level->limit_fd);
	cleanup_close(&level->stat_fd);
	cleanup_close(&level->events_fd);
	cleanup_close(&level->pressure_fd);
	level_init(level);
}

void cgroup_close(struct cgroup *cg)
{
	for (uint32_t i = 0; i < cg->levels; i++)
		level_close(&cg->level[i]);
	cg->levels = 0;
}

const char *cgroup_version_name(const struct cgroup *cg)
{
	return cg->ops->version;
}

/* The ops for the file system that fd lies on; NULL where it is no cgroup file system. */
static const struct cgroup_ops *ops_of(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return NULL;
	if (fs.f_type == CGROUP2_SUPER_MAGIC)
		return &cgroup_v2_ops;
	if (fs.f_type == CGROUP_SUPER_MAGIC)
		return &cgroup_v1_ops;
	return NULL;
}

/*
 * A file of a cgroup. In a view the target may have mounted something else over it: a limit that it
 * made up, or a list of processes that are not its own, which is -EXDEV.
 */
static int open_file(int dir_fd, const char *name)
{
	_cleanup_close_ int fd = fd_open_in(dir_fd, name, O_RDONLY | O_NONBLOCK);

	if (fd < 0)
		return fd;
	return ops_of(fd) ? take_fd(&fd) : -EXDEV;
}

/* Takes "/proc/PID/root/REST" apart: PID and "/REST". */
static bool through_root(const char *dir, pid_t *ret_pid, const char **ret_rest)
{
	static const char proc[] = "/proc/";
	static const char root[] = "/root";
	char *end;
	long pid;

	if (!str_has_prefix(dir, proc) || dir[strlen(proc)] < '1' || dir[strlen(proc)] > '9')
		return false;
	errno = 0;
	pid = strtol(dir + strlen(proc), &end, 10);
	if (errno || pid > INT_MAX || !str_has_prefix(end, root) || end[strlen(root)] != '/')
		return false;
	*ret_pid = (pid_t)pid;
	*ret_rest = end + strlen(root);
	return true;
}

/* Error of os/inroot.h into one of this module. */
static int root_error(int r)
{
	if (r == PROC_GONE)
		return CGROUP_GONE;
	if (r == PROC_DENIED)
		return -EACCES;
	return r == -ENOTSUP ? CGROUP_NOT_A_CGROUP : r;
}

int cgroup_open_dir(const char *dir, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	const char *rest;
	pid_t pid;

	if (through_root(dir, &pid, &rest)) {
		_cleanup_close_ int proc = -1;
		int r = proc_open(pid, &proc);

		if (r == 0)
			r = inroot_open_cgroup(proc, rest, ret_fd);
		if (r != -ENOSYS)
			return root_error(r);
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOTDIR ? CGROUP_NOT_A_CGROUP : cgroup_error(-errno);
	if (!ops_of(fd))
		return CGROUP_NOT_A_CGROUP;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Opens the files of a level whose dir_fd is set. 0, CGROUP_GONE where the limit file is missing.
 */
static int level_open_files(const struct cgroup_ops *ops, struct cgroup_level *level)
{
	level->limit_fd = open_file(level->dir_fd, ops->limit_file);
	if (level->limit_fd < 0)
		return cgroup_error(level->limit_fd);
	level->current_fd = open_file(level->dir_fd, ops->current_file);
	if (level->current_fd < 0)
		return cgroup_error(level->current_fd);
	level->stat_fd = open_file(level->dir_fd, "memory.stat");
	if (level->stat_fd < 0)
		return cgroup_error(level->stat_fd);
	level->events_fd = open_file(level->dir_fd, ops->events_file);
	if (level->events_fd < 0)
		return cgroup_error(level->events_fd);
	if (ops->pressure_file)
		level->pressure_fd = open_file(level->dir_fd, ops->pressure_file);
	return 0;
}

/* Whether the cgroup at dir_fd is our own or an ancestor of it: walk up from ours. */
static bool contains_us(const struct cgroup_ops *ops, int dir_fd)
{
	char dir[TARGET_PATH_MAX];
	const char *controller = ops->shields_processes ? NULL : "memory";
	struct stat want;
	struct stat own;
	_cleanup_close_ int at = -1;

	if (fstat(dir_fd, &want) != 0 || cgroup_dir_of(getpid(), controller, dir, sizeof(dir)) != 0)
		return false;
	at = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (int depth = 0; at >= 0 && depth < 64; depth++) {
		int up;

		if (fstat(at, &own) != 0 || own.st_dev != want.st_dev)
			return false;
		if (own.st_ino == want.st_ino)
			return true;
		up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		cleanup_close(&at);
		at = up;
	}
	return false;
}

/* Adds the parent of the topmost level; false when there is none that has memory files. */
static bool open_parent(struct cgroup *cg)
{
	struct cgroup_level *below = &cg->level[cg->levels - 1];
	struct cgroup_level *level = &cg->level[cg->levels];
	struct stat below_stat;
	struct stat level_stat;
	char *slash;

	if (cg->levels == CGROUP_LEVELS_MAX)
		return false;
	level_init(level);
	(void)str_copy(level->path, sizeof(level->path), below->path);
	slash = strrchr(level->path, '/');
	if (!slash || slash == level->path)
		return false;
	*slash = '\0';
	level->dir_fd = fd_open_in(below->dir_fd, "..", O_RDONLY | O_DIRECTORY);
	if (level->dir_fd < 0 || fstat(below->dir_fd, &below_stat) != 0 ||
		fstat(level->dir_fd, &level_stat) != 0 || below_stat.st_dev != level_stat.st_dev ||
		below_stat.st_ino == level_stat.st_ino || ops_of(level->dir_fd) != cg->ops ||
		level_open_files(cg->ops, level) != 0) {
		level_close(level);
		return false;
	}
	level->ours = contains_us(cg->ops, level->dir_fd);
	cg->levels++;
	return true;
}

/* ours_too: for looking only, which may be at the cgroup that we run in. */
static int open_levels(const char *dir, bool ours_too, struct cgroup *ret)
{
	struct cgroup_level *own = &ret->level[0];
	struct stat st;
	int r;

	memset(ret, 0, sizeof(*ret));
	level_init(own);
	if (!str_copy(own->path, sizeof(own->path), dir))
		return -ENAMETOOLONG;
	for (size_t n = strlen(own->path); n > 1 && own->path[n - 1] == '/'; n--)
		own->path[n - 1] = '\0';
	ret->view = str_has_prefix(own->path, "/proc/");
	r = cgroup_open_dir(dir, &own->dir_fd);
	if (r != 0)
		return r;
	ret->ops = ops_of(own->dir_fd);
	r = ret->ops ? level_open_files(ret->ops, own) : CGROUP_NOT_A_CGROUP;
	if (r == CGROUP_GONE)
		r = CGROUP_NO_MEMORY;
	if (r == 0 && fstat(own->dir_fd, &st) != 0)
		r = -errno;
	if (r == 0 && !ours_too && contains_us(ret->ops, own->dir_fd))
		r = CGROUP_OURS;
	if (r != 0) {
		level_close(own);
		return r;
	}
	ret->id = st.st_ino;
	ret->levels = 1;
	while (open_parent(ret))
		;
	return 0;
}

int cgroup_open(const char *dir, struct cgroup *ret)
{
	return open_levels(dir, /* ours_too= */ false, ret);
}

int cgroup_read_value(const struct cgroup_level *level, const char *file, uint64_t *ret)
{
	char text[VALUE_TEXT_MAX];
	ssize_t n = fd_read_text_in(level->dir_fd, file, text, sizeof(text));

	if (n < 0)
		return cgroup_error((int)n);
	return parse_memcg_value(text, (size_t)n, ret) ? 0 : CGROUP_BAD_VALUE;
}

static int read_fd_value(int fd, uint64_t *ret)
{
	char text[VALUE_TEXT_MAX];
	ssize_t n = fd_read_piece(fd, text, sizeof(text));

	if (n < 0)
		return cgroup_error((int)n);
	return parse_memcg_value(text, (size_t)n, ret) ? 0 : CGROUP_BAD_VALUE;
}

static int read_cache(const struct cgroup *cg, const struct cgroup_level *level, uint64_t *ret)
{
	char text[STAT_TEXT_MAX];
	ssize_t n = fd_read_piece(level->stat_fd, text, sizeof(text));

	if (n < 0)
		return cgroup_error((int)n);
	return parse_memcg_cache(text, (size_t)n, &cg->ops->cache_keys, ret) ? 0 : CGROUP_BAD_VALUE;
}

static void read_pressure(const struct cgroup_level *level, struct sample *s)
{
	char text[256];
	struct psi_averages psi;
	ssize_t n = level->pressure_fd >= 0 ? fd_read_piece(level->pressure_fd, text, sizeof(text))
					    : -1;

	if (n > 0 && parse_psi(text, (size_t)n, &psi)) {
		s->psi_some_bp = psi.some_avg10_bp;
		s->psi_full_bp = psi.full_avg10_bp;
	}
}

/* Puts one level into *s if it has less headroom than what is there. 0, CGROUP_*, -errno. */
static int sample_level(struct cgroup *cg, uint32_t i, uint64_t stat_from_bytes, struct sample *s)
{
	struct cgroup_level *level = &cg->level[i];
	struct sample here = *s;
	uint64_t inactive = 0;
	int r = read_fd_value(level->limit_fd, &here.limit_bytes);

	if (r != 0 || (i > 0 && here.limit_bytes == SIZE_UNLIMITED))
		return r;
	r = read_fd_value(level->current_fd, &here.current_bytes);
	if (r != 0)
		return r;
	here.stat_fresh = here.current_bytes >= stat_from_bytes;
	if (here.stat_fresh) {
		uint64_t after;

		r = read_cache(cg, level, &inactive);
		if (r == 0)
			r = read_fd_value(level->current_fd, &after);
		if (r != 0)
			return r;
		/* Cache that was dropped between the two files is in the first alone: no leak. */
		if (after < here.current_bytes)
			here.current_bytes = after;
	}
	here.inactive_file_bytes = inactive;
	here.level = i;
	if (i == 0 || sample_headroom(&here) < sample_headroom(s))
		*s = here;
	return 0;
}

int cgroup_read_own(const struct cgroup *cg, uint64_t *ret_bytes)
{
	return read_fd_value(cg->level[0].current_fd, ret_bytes);
}

int cgroup_sample(struct cgroup *cg, uint64_t now_ns, uint64_t stat_from_bytes, struct sample *ret)
{
	struct sample s = {.now_ns = now_ns, .limit_bytes = SIZE_UNLIMITED};
	struct sample events = {0};

	for (uint32_t i = 0; i < cg->levels; i++) {
		int r = sample_level(cg, i, stat_from_bytes, &s);

		if (r == 0)
			r = cg->ops->events(&cg->level[i], /* own= */ i == 0, &events);
		if (r != 0)
			return r;
	}
	if (events.under_oom && !cg->was_under_oom)
		cg->under_oom_count++;
	cg->was_under_oom = events.under_oom;
	s.under_oom = events.under_oom;
	s.oom_kills = events.oom_kills;
	s.oom_events = events.oom_events + cg->under_oom_count;
	read_pressure(&cg->level[s.level], &s);
	*ret = s;
	return 0;
}

int cgroup_room(const char *dir, uint64_t *ret_bytes)
{
	struct cgroup cg;
	struct sample s;
	int r = open_levels(dir, /* ours_too= */ true, &cg);

	if (r)
		return r;
	r = cgroup_sample(&cg, /* now_ns= */ 0, /* stat_from_bytes= */ 0, &s);
	cgroup_close(&cg);
	if (r == 0)
		*ret_bytes = s.limit_bytes == SIZE_UNLIMITED ? SIZE_UNLIMITED : sample_headroom(&s);
	return r;
}

/* --- where things are ---------------------------------------------------------------------- */

static int read_proc(pid_t pid, const char *file, char *text, size_t size, size_t *ret_len)
{
	char path[64];
	struct str s;
	ssize_t n;

	str_init(&s, path, sizeof(path));
	(void)str_addf(&s, "/proc/%d/%s", (int)pid, file); /* fits */
	n = fd_read_text_at(AT_FDCWD, path, text, size);
	if (n < 0)
		return n == -ENOENT || n == -ESRCH ? CGROUP_GONE : (int)n;
	*ret_len = (size_t)n;
	return 0;
}

int cgroup_dir_of(pid_t pid, const char *controller, char *dir, size_t size)
{
	static char mounts[MOUNTINFO_TEXT_MAX]; /* one thread opens cgroups, outside the hot path */
	char text[PROC_TEXT_MAX];
	char path[TARGET_PATH_MAX];
	char mount_point[TARGET_PATH_MAX];
	char root[TARGET_PATH_MAX];
	size_t len = 0;
	int r = read_proc(pid, "cgroup", text, sizeof(text), &len);

	if (r != 0)
		return r;
	if (!parse_proc_cgroup(text, len, controller, path, sizeof(path)))
		return CGROUP_NO_MEMORY;
	r = read_proc(getpid(), "mountinfo", mounts, sizeof(mounts), &len);
	if (r != 0)
		return r;
	if (!parse_cgroup_mount(mounts, len, controller, mount_point, root, sizeof(root)))
		return CGROUP_NO_MEMORY;
	return cgroup_path_join(mount_point, root, path, dir, size) ? 0 : CGROUP_UNSUPPORTED;
}

/* The container's own view of its cgroup, through its root: reading only. */
static int dir_through_root(pid_t pid, char *dir, size_t size)
{
	static const char *const places[] = {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"};

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		_cleanup_close_ int fd = -1;
		struct str s;

		str_init(&s, dir, size);
		if (!str_addf(&s, "/proc/%d/root%s", (int)pid, places[i]))
			return -ENAMETOOLONG;
		if (cgroup_open_dir(dir, &fd) == 0)
			return 0;
	}
	return CGROUP_NO_MEMORY;
}

int cgroup_of_pid(pid_t pid, char *dir, size_t size)
{
	int r = cgroup_dir_of(pid, "memory", dir, size);

	if (r == CGROUP_NO_MEMORY)
		r = cgroup_dir_of(pid, /* controller= */ NULL, dir, size);
	if (r == CGROUP_UNSUPPORTED)
		r = dir_through_root(pid, dir, size);
	return r;
}

/* --- the processes ------------------------------------------------------------------------- */

struct linux_dirent64 {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

struct pid_list {
	pid_t *pids;
	uint32_t max;
	uint32_t count;
	bool more;
};

static int add_pids(int dir_fd, struct pid_list *list)
{
	char text[4096];
	_cleanup_close_ int fd = open_file(dir_fd, "cgroup.procs");
	size_t kept = 0;

	if (fd < 0)
		return cgroup_error(fd);
	for (;;) {
		ssize_t n = read(fd, text + kept, sizeof(text) - kept);
		const char *cursor = text;
		int pid;

		if (n < 0)
			return cgroup_error(-errno);
		if (n == 0)
			return 0;
		while (parse_next_pid(&cursor, text + kept + n, &pid)) {
			if (list->count == list->max) {
				list->more = true;
				return 0;
			}
			list->pids[list->count++] = pid;
		}
		kept = (size_t)(text + kept + n - cursor);
		if (kept == sizeof(text))
			return CGROUP_BAD_VALUE;
		memmove(text, cursor, kept);
	}
}

static int walk(int dir_fd, int depth, struct pid_list *list) // NOLINT(misc-no-recursion): bounded
{
	_Alignas(struct linux_dirent64) char buffer[2048];
	int r = add_pids(dir_fd, list);

	if (r != 0 || depth == WALK_DEPTH_MAX)
		return r;
	for (;;) {
		long n = syscall(SYS_getdents64, dir_fd, buffer, sizeof(buffer));

		if (n <= 0)
			return n < 0 ? cgroup_error(-errno) : 0;
		for (long at = 0; at < n;) {
			const struct linux_dirent64 *d = (const void *)(buffer + at);

			at += d->reclen;
			if (d->type == DT_DIR && d->name[0] != '.') {
				_cleanup_close_ int sub =
					fd_open_in(dir_fd, d->name, O_RDONLY | O_DIRECTORY);

				if (sub >= 0)
					r = walk(sub, depth + 1, list);
				if (r != 0 && r != CGROUP_GONE)
					return r;
			}
		}
	}
}

int cgroup_pids_below(int dir_fd, pid_t *pids, uint32_t max, uint32_t *ret_count)
{
	struct pid_list list = {.pids = pids, .max = max};
	/* A descriptor of its own: the position in the directory is part of it. */
	_cleanup_close_ int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 ? cgroup_error(-errno) : walk(fd, 0, &list);

	*ret_count = list.count;
	return r == 0 && list.more ? -E2BIG : r;
}

int cgroup_pids(const struct cgroup *cg, pid_t *pids, uint32_t max, uint32_t *ret_count)
{
	return cgroup_pids_below(cg->level[0].dir_fd, pids, max, ret_count);
}

/* --- changes ------------------------------------------------------------------------------- */

int cgroup_change_add(const struct cgroup_level *level, const char *file, const char *new_value,
	struct cgroup_change *changes, uint32_t *count)
{
	struct cgroup_change *c = &changes[*count];
	struct str path;
	ssize_t n;

	if (*count == CGROUP_CHANGES_MAX)
		return -E2BIG;
	str_init(&path, c->path, sizeof(c->path));
	if (!str_addf(&path, "%s/%s", level->path, file))
		return -ENAMETOOLONG;
	n = fd_read_text_at(AT_FDCWD, c->path, c->old_value, sizeof(c->old_value) - 1);
	if (n < 0)
		return cgroup_error((int)n);
	c->old_value[n] = '\0';
	c->old_value[strcspn(c->old_value, "\n")] = '\0';
	if (!str_copy(c->new_value, sizeof(c->new_value), new_value))
		return CGROUP_BAD_VALUE;
	(*count)++;
	return 0;
}

int cgroup_plan_shield(
	const struct cgroup *cg, uint32_t level, struct cgroup_change *changes, uint32_t *ret_count)
{
	*ret_count = 0;
	if (level >= cg->levels || cg->level[level].ours)
		return CGROUP_OURS;
	if (cg->view)
		return CGROUP_UNSUPPORTED;
	return cg->ops->plan_shield(&cg->level[level], changes, ret_count);
}

int cgroup_plan_lease(const struct cgroup *cg, uint32_t level, uint64_t bytes,
	struct cgroup_change *changes, uint32_t *ret_count)
{
	*ret_count = 0;
	if (level >= cg->levels || cg->view)
		return CGROUP_UNSUPPORTED;
	return cg->ops->plan_lease(&cg->level[level], bytes, changes, ret_count);
}

int cgroup_plan_brake(
	const struct cgroup *cg, uint64_t bytes, struct cgroup_change *changes, uint32_t *ret_count)
{
	*ret_count = 0;
	if (cg->view)
		return CGROUP_UNSUPPORTED;
	return cg->ops->plan_brake(&cg->level[0], bytes, changes, ret_count);
}

int cgroup_plan_freeze(const struct cgroup *cg, struct cgroup_change *changes, uint32_t *ret_count)
{
	*ret_count = 0;
	if (cg->view)
		return CGROUP_UNSUPPORTED;
	return cg->ops->plan_freeze(cg, changes, ret_count);
}

static int write_value(const char *path, const char *value)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return cgroup_error(-errno);
	if (!ops_of(fd))
		return -EXDEV;
	return cgroup_error(fd_write_text(fd, value, strlen(value)));
}

int cgroup_apply(const struct cgroup_change *change)
{
	return write_value(change->path, change->new_value);
}

/*
 * Whether the processes there use more than value, page cache that would go left out. Where v1
 * refuses such a limit v2 kills until the rest fits (Documentation/admin-guide/cgroup-v2.rst,
 * memory.max).
 */
static bool is_above(int dir_fd, const char *value)
{
	const struct cgroup_ops *ops = &cgroup_v2_ops;
	struct cgroup_level level = {.dir_fd = dir_fd};
	char text[STAT_TEXT_MAX];
	uint64_t limit;
	uint64_t current;
	uint64_t cache;
	ssize_t n;

	if (!parse_memcg_value(value, strlen(value), &limit) || limit == SIZE_UNLIMITED ||
		cgroup_read_value(&level, ops->current_file, &current) != 0 || current <= limit)
		return false;
	n = fd_read_text_in(dir_fd, "memory.stat", text, sizeof(text));
	return n > 0 && parse_memcg_cache(text, (size_t)n, &ops->cache_keys, &cache) &&
		sub_floor(current, cache) > limit;
}

int cgroup_undo(const char *path, const char *old_value)
{
	const char *file = strrchr(path, '/');
	_cleanup_close_ int dir_fd = -1;
	char dir[TARGET_PATH_MAX];

	if (file && strcmp(file + 1, cgroup_v2_ops.limit_file) == 0 &&
		(size_t)(file - path) < sizeof(dir)) {
		memcpy(dir, path, (size_t)(file - path));
		dir[file - path] = '\0';
		dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir_fd >= 0 && is_above(dir_fd, old_value))
			return -EBUSY;
	}
	return write_value(path, old_value);
}

int cgroup_kill(const struct cgroup *cg)
{
	return cg->view ? CGROUP_UNSUPPORTED : cg->ops->kill(&cg->level[0]);
}

int cgroup_notice(const struct cgroup *cg, uint32_t level, uint64_t bytes, int *ret_fd)
{
	return cg->ops->notice(&cg->level[level], bytes, ret_fd);
}

int cgroup_pressure_dir(const struct cgroup *cg)
{
	return cg->ops->pressure_file ? cg->level[0].dir_fd : -1;
}

static bool writable(const struct cgroup_level *level, const char *file)
{
	return faccessat(level->dir_fd, file, W_OK, AT_EACCESS) == 0;
}

bool cgroup_can_shield(const struct cgroup *cg)
{
	return !cg->view && !cg->ops->shields_processes &&
		writable(&cg->level[0], cg->ops->events_file);
}

bool cgroup_shields_processes(const struct cgroup *cg)
{
	return cg->ops->shields_processes;
}

bool cgroup_can_brake(const struct cgroup *cg)
{
	return !cg->view && cg->ops->shields_processes && writable(&cg->level[0], "memory.high");
}

bool cgroup_can_freeze(const struct cgroup *cg)
{
	struct cgroup_change changes[CGROUP_CHANGES_MAX];
	uint32_t count;

	return cgroup_plan_freeze(cg, changes, &count) == 0 && count > 0 &&
		access(changes[0].path, W_OK) == 0;
}
