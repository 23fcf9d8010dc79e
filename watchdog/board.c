// SPDX-License-Identifier: Apache-2.0
/*
 * The board. See board.h for the contract.
 *
 * Each entry has a counter that is odd while the entry is being changed. A reader copies the entry
 * between two looks at the counter and takes the copy if both are the same even number; after
 * TRIES_MAX it takes what is there, since a watchdog that was killed in between leaves the counter
 * odd. The reader maps the file without the right to write: it cannot hold up or harm the watchdog.
 *
 * The file gets its name when it is locked and filled, so that nobody takes it for a dead one's.
 */
#include "board.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "os/process.h"

#define BOARD_MAGIC 0x316472616f626f6fULL /* "ooboard1" */
#define BOARD_SUFFIX ".status"
#define TRIES_MAX 100
#define TRY_AGAIN_NS 1000000 /* an entry is changed within microseconds */

struct place {
	_Atomic uint32_t turn; /* odd: being changed */
	uint32_t reserved;
	struct board_entry entry;
};

struct board_map {
	uint64_t magic;
	uint32_t size; /* of the whole: another version's board is not read */
	int32_t owner;
	_Atomic uint32_t targets;
	uint32_t dry_run;
	struct place place[CONFIG_TARGETS_MAX];
};

/* --- the watchdog's side ------------------------------------------------------------------- */

static bool is_alive(int fd)
{
	return flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

static void remove_the_dead(const char *dir)
{
	_cleanup_closedir_ DIR *d = opendir(dir);
	struct dirent *entry;

	while (d && (entry = readdir(d))) { // NOLINT(concurrency-mt-unsafe): a stream of our own
		_cleanup_close_ int fd = -1;

		if (!str_has_suffix(entry->d_name, BOARD_SUFFIX))
			continue;
		fd = openat(
			dirfd(d), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (fd >= 0 && !is_alive(fd))
			(void)unlinkat(dirfd(d), entry->d_name, 0); /* the next start tries again */
	}
}

static int fill(int fd, bool dry_run, struct board *b)
{
	void *map;

	if (flock(fd, LOCK_EX | LOCK_NB) != 0 || ftruncate(fd, sizeof(struct board_map)) != 0)
		return -errno;
	map = mmap(NULL, sizeof(struct board_map), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	b->map = map;
	b->map->size = sizeof(struct board_map);
	b->map->owner = (int32_t)getpid();
	b->map->dry_run = dry_run;
	b->map->magic = BOARD_MAGIC;
	return 0;
}

int board_open(const char *dir, bool dry_run, struct board *ret)
{
	char fresh[TARGET_PATH_MAX];
	struct board b = {.fd = -1};
	struct str name, path;
	_cleanup_close_ int fd = -1;
	int r;

	ret->map = NULL;
	ret->fd = -1;
	str_init(&name, fresh, sizeof(fresh));
	str_init(&path, b.path, sizeof(b.path));
	if (!str_addf(&path, "%s/%d" BOARD_SUFFIX, dir, (int)getpid()) ||
		!str_addf(&name, "%s~", b.path))
		return -ENAMETOOLONG;
	remove_the_dead(dir);
	(void)unlink(fresh); /* of a process with our pid that was killed right here */
	fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = fill(fd, dry_run, &b);
	if (r == 0 && rename(fresh, b.path) != 0)
		r = -errno;
	if (r != 0) {
		(void)unlink(fresh);
		if (b.map)
			(void)munmap(b.map, sizeof(struct board_map));
		return r;
	}
	b.fd = take_fd(&fd);
	*ret = b;
	return 0;
}

void board_close(struct board *b)
{
	if (!b->map)
		return;
	(void)unlink(b->path); /* what is left is removed by the next start */
	(void)munmap(b->map, sizeof(struct board_map));
	b->map = NULL;
	cleanup_close(&b->fd);
}

void board_resize(struct board *b, uint32_t targets)
{
	if (!b->map)
		return;
	atomic_store(&b->map->targets, targets);
	for (uint32_t i = 0; i < CONFIG_TARGETS_MAX; i++) {
		struct board_entry *e = board_change(b, i);

		memset(e, 0, sizeof(*e));
		board_done(b, i);
	}
}

struct board_entry *board_change(struct board *b, uint32_t index)
{
	struct place *p;

	if (!b->map || index >= CONFIG_TARGETS_MAX)
		return NULL;
	p = &b->map->place[index];
	atomic_store_explicit(&p->turn, atomic_load(&p->turn) | 1U, memory_order_relaxed);
	atomic_thread_fence(memory_order_release); /* the turn is seen before any change */
	return &p->entry;
}

void board_done(struct board *b, uint32_t index)
{
	struct place *p;

	if (!b->map || index >= CONFIG_TARGETS_MAX)
		return;
	p = &b->map->place[index];
	atomic_store_explicit(&p->turn, atomic_load_explicit(&p->turn, memory_order_relaxed) + 1U,
		memory_order_release);
}

/* --- the reader's side --------------------------------------------------------------------- */

static void copy_entry(struct place *p, struct board_entry *ret)
{
	const struct timespec again = {.tv_nsec = TRY_AGAIN_NS};

	for (int i = 0; i < TRIES_MAX; i++) {
		uint32_t before = atomic_load_explicit(&p->turn, memory_order_acquire);

		memcpy(ret, &p->entry, sizeof(*ret));
		atomic_thread_fence(memory_order_acquire);
		if (!(before & 1U) &&
			before == atomic_load_explicit(&p->turn, memory_order_relaxed))
			break;
		(void)nanosleep(&again, NULL); /* a signal only makes the next try earlier */
	}
	/* Whatever was copied: every text ends within its place. */
	ret->target[sizeof(ret->target) - 1] = '\0';
	ret->cgroup[sizeof(ret->cgroup) - 1] = '\0';
	ret->pod[sizeof(ret->pod) - 1] = '\0';
	ret->container[sizeof(ret->container) - 1] = '\0';
	ret->state[sizeof(ret->state) - 1] = '\0';
	ret->capture[sizeof(ret->capture) - 1] = '\0';
}

/* 1: seen; 0: it is a dead one's, or none that we can read; -errno. */
static int read_one(int dir_fd, const char *name,
	void (*seen)(const struct board_watchdog *watchdog, void *user), void *user)
{
	static struct board_watchdog watchdog; /* large; one thread reads */
	_cleanup_close_ int fd =
		openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct board_map *map;
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size != sizeof(*map) || !is_alive(fd))
		return 0;
	map = mmap(NULL, sizeof(*map), PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	if (map->magic == BOARD_MAGIC && map->size == sizeof(*map)) {
		watchdog.pid = map->owner;
		watchdog.dry_run = map->dry_run != 0;
		watchdog.targets = atomic_load(&map->targets);
		if (watchdog.targets > CONFIG_TARGETS_MAX)
			watchdog.targets = CONFIG_TARGETS_MAX;
		for (uint32_t i = 0; i < watchdog.targets; i++)
			copy_entry(&map->place[i], &watchdog.target[i]);
		seen(&watchdog, user);
	}
	(void)munmap(map, sizeof(*map));
	return 1;
}

int board_read(const char *dir, void (*seen)(const struct board_watchdog *watchdog, void *user),
	void *user)
{
	_cleanup_closedir_ DIR *d = opendir(dir);
	struct dirent *entry;
	int count = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(d))) { // NOLINT(concurrency-mt-unsafe): a stream of our own
		int r;

		if (!str_has_suffix(entry->d_name, BOARD_SUFFIX))
			continue;
		r = read_one(dirfd(d), entry->d_name, seen, user);
		if (r < 0)
			return r;
		count += r;
	}
	return count;
}

struct rival {
	struct stat cgroup; /* one directory may have several names */
	int pid;	    /* 0: not found yet */
};

static void find_rival(const struct board_watchdog *watchdog, void *user)
{
	struct rival *rival = user;

	if (rival->pid || watchdog->dry_run || watchdog->pid == (int)getpid())
		return;
	for (uint32_t i = 0; i < watchdog->targets; i++) {
		const struct board_entry *e = &watchdog->target[i];
		struct stat st;

		/*
		 * What is gone keeps the name that it had, and the board's lock may be a child's
		 * that has outlived its watchdog, to undo what that has left.
		 */
		if (e->cgroup[0] && strcmp(e->state, "gone") != 0 && stat(e->cgroup, &st) == 0 &&
			st.st_dev == rival->cgroup.st_dev && st.st_ino == rival->cgroup.st_ino &&
			!process_has_ended(watchdog->pid))
			rival->pid = watchdog->pid;
	}
}

int board_rival(const char *dir, const char *cgroup)
{
	struct rival rival = {0};

	if (stat(cgroup, &rival.cgroup) == 0)
		(void)board_read(dir, find_rival, &rival); /* what cannot be read shows none */
	return rival.pid;
}
