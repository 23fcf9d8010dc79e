// SPDX-License-Identifier: Apache-2.0
/*
 * The ledger. See ledger.h for the contract.
 *
 * Two tables of fixed entries in one shared mapping: files (path and old value) and processes (pid,
 * start time, old value). An entry counts from the moment its state is stored (release) after its
 * contents, so a reader that meets a half-written entry after a SIGKILL sees it as free; the
 * intervention it was to announce has not been made then. Striking is one store as well.
 *
 * Undo goes kind by kind in the order of enum ledger_kind, newest entry first, and never stops at a
 * failure: a limit that cannot be lowered yet must not leave a process stopped. An object that is
 * gone needs no undo.
 */
#include "os/ledger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "os/cgroup_ops.h"
#include "os/process.h"

#define LEDGER_MAGIC 0x31726567646c6f6fULL /* "ooldger1" */
#define LEDGER_SUFFIX ".ledger"
#define GROUP_PIDS_MAX \
	8192 /* processes of one cgroup that are looked through for inherited shields */
#define SHIELDED_ADJ (-1000)
/*
 * For a guardian to undo what it can, or for all of them to die. Dying takes processor time, of
 * which a throttled container may have a hundredth, and waits for a write that is under way:
 * seconds. All ledgers share that time. Where nothing is in force but a raised limit, which a
 * guardian cannot lower below what the target uses and tries for minutes, the target runs, and
 * nobody waits longer than the dying take on an idle machine.
 */
#define DYING_MS 10000
#define DYING_LEASE_MS 500
#define DYING_STEP_MS 5 /* growing */
#define DYING_STEP_MAX_MS 50
/* A kind beside LEDGER_KINDS: a process that others had stopped before us. */
#define NOT_OURS 255U

enum entry_state { ENTRY_FREE, ENTRY_FILLING, ENTRY_NOTED };

struct file_entry {
	_Atomic uint32_t state;
	uint32_t target;
	uint32_t kind;
	uint32_t reserved;
	char path[TARGET_PATH_MAX];
	char old_value[CGROUP_VALUE_MAX];
};

struct process_entry {
	_Atomic uint32_t state;
	uint32_t target;
	uint32_t kind;
	int32_t pid;
	uint64_t start_time;
	int32_t old_value;
	uint32_t reserved;
};

struct ledger_map {
	uint64_t magic;
	uint32_t size;
	int32_t owner;
	_Atomic uint64_t beat_ns;
	_Atomic int32_t capturer[LEDGER_CAPTURERS_MAX];
	_Atomic uint32_t tracing[LEDGER_CAPTURERS_MAX];
	_Atomic uint32_t files_used; /* high-water marks: entries above were never used */
	_Atomic uint32_t processes_used;
	struct file_entry file[LEDGER_FILES_MAX];
	struct process_entry process[LEDGER_PROCESSES_MAX];
};

const char *ledger_kind_name(enum ledger_kind kind)
{
	static const char *const names[] = {
#define X(id, name) name,
		LEDGER_KINDS(X)
#undef X
	};

	return (unsigned int)kind < LEDGER_KIND_COUNT ? names[kind] : "?";
}

/* --- opening ------------------------------------------------------------------------------- */

static int map_fd(int fd, struct ledger_map **ret)
{
	void *map;

	if (ftruncate(fd, sizeof(struct ledger_map)) != 0)
		return -errno;
	map = mmap(NULL, sizeof(struct ledger_map), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_POPULATE, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	*ret = map;
	return 0;
}

static int create_file(const char *dir, char *path, size_t size)
{
	struct str s;
	_cleanup_close_ int fd = -1;

	str_init(&s, path, size);
	if (!str_addf(&s, "%s/%d" LEDGER_SUFFIX, dir, (int)getpid()))
		return -ENAMETOOLONG;
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return -errno;
	/* A file of an earlier process with our pid was recovered or is locked by its guardian. */
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		int r = -errno;

		(void)unlink(path); /* ours, just made */
		return r;
	}
	return take_fd(&fd);
}

int ledger_open(const char *dir, struct ledger *ret, int *ret_why)
{
	_cleanup_close_ int fd = -1;
	struct ledger l = {.fd = -1};
	int r;

	*ret_why = 0;
	fd = create_file(dir, l.path, sizeof(l.path));
	l.persistent = fd >= 0;
	if (fd < 0) {
		*ret_why = fd;
		l.path[0] = '\0';
		fd = memfd_create("oomsnap-ledger", MFD_CLOEXEC);
		if (fd < 0)
			return -errno;
	}
	r = map_fd(fd, &l.map);
	if (r != 0)
		return r;
	l.map->size = sizeof(struct ledger_map);
	l.map->owner = (int32_t)getpid();
	l.map->magic = LEDGER_MAGIC;
	l.fd = take_fd(&fd);
	*ret = l;
	return 0;
}

void ledger_close(struct ledger *l)
{
	if (!l->map)
		return;
	if (l->persistent && ledger_count(l, LEDGER_ALL_TARGETS, LEDGER_EVERYTHING) == 0)
		(void)unlink(l->path); /* what is left is found and removed by the next start */
	(void)munmap(l->map, sizeof(struct ledger_map));
	l->map = NULL;
	cleanup_close(&l->fd);
	l->fd = -1;
}

/* --- noting -------------------------------------------------------------------------------- */

/* First free entry: claims it (one writer: the watchdog) and raises the high-water mark. */
#define CLAIM(map, table, max, used, ret)                                       \
	do {                                                                    \
		(ret) = NULL;                                                   \
		for (uint32_t i_ = 0; i_ < (max); i_++) {                       \
			if (atomic_load(&(map)->table[i_].state) != ENTRY_FREE) \
				continue;                                       \
			(ret) = &(map)->table[i_];                              \
			atomic_store(&(ret)->state, ENTRY_FILLING);             \
			if (i_ >= atomic_load(&(map)->used))                    \
				atomic_store(&(map)->used, i_ + 1);             \
			break;                                                  \
		}                                                               \
	} while (0)

static bool wanted(uint32_t entry_target, uint32_t entry_kind, uint32_t target, uint32_t kind)
{
	return entry_kind == kind && (target == LEDGER_ALL_TARGETS || entry_target == target);
}

/* That target's note of the same change to the same file, other than `but`; NULL: none. */
static struct file_entry *same_file(const struct ledger *l, uint32_t target, uint32_t kind,
	const char *path, const struct file_entry *but)
{
	uint32_t used = atomic_load(&l->map->files_used);

	for (uint32_t i = 0; i < used; i++) {
		struct file_entry *e = &l->map->file[i];

		if (e != but && atomic_load(&e->state) == ENTRY_NOTED &&
			wanted(e->target, e->kind, target, kind) &&
			strncmp(e->path, path, sizeof(e->path)) == 0)
			return e;
	}
	return NULL;
}

int ledger_note_file(struct ledger *l, uint32_t target, enum ledger_kind kind, const char *path,
	const char *old_value)
{
	const struct file_entry *other = same_file(l, LEDGER_ALL_TARGETS, kind, path, NULL);
	struct file_entry *e;

	if (same_file(l, target, kind, path, NULL))
		return 0;
	CLAIM(l->map, file, LEDGER_FILES_MAX, files_used, e);
	if (!e)
		return -ENOSPC;
	e->target = target;
	e->kind = kind;
	if (!str_copy(e->path, sizeof(e->path), path) ||
		!str_copy(
			e->old_value, sizeof(e->old_value), other ? other->old_value : old_value)) {
		atomic_store(&e->state, ENTRY_FREE);
		return -ENOSPC;
	}
	atomic_store(&e->state, ENTRY_NOTED);
	return 0;
}

static int note_process(struct ledger *l, uint32_t target, uint32_t kind, pid_t pid,
	uint64_t start_time, int old_value)
{
	struct process_entry *e;

	CLAIM(l->map, process, LEDGER_PROCESSES_MAX, processes_used, e);
	if (!e)
		return -ENOSPC;
	e->target = target;
	e->kind = kind;
	e->pid = (int32_t)pid;
	e->start_time = start_time;
	e->old_value = old_value;
	atomic_store(&e->state, ENTRY_NOTED);
	return 0;
}

int ledger_note_process(struct ledger *l, uint32_t target, enum ledger_kind kind, pid_t pid,
	uint64_t start_time, int old_value)
{
	return note_process(l, target, kind, pid, start_time, old_value);
}

static const struct process_entry *find_process(const struct ledger *l, uint32_t kind, pid_t pid)
{
	uint32_t used = atomic_load(&l->map->processes_used);

	for (uint32_t i = 0; i < used; i++) {
		const struct process_entry *e = &l->map->process[i];

		if (atomic_load(&e->state) == ENTRY_NOTED && e->kind == kind && e->pid == pid)
			return e;
	}
	return NULL;
}

static void strike_process(struct ledger *l, uint32_t kind, pid_t pid)
{
	struct process_entry *e = (struct process_entry *)find_process(l, kind, pid);

	if (e)
		atomic_store(&e->state, ENTRY_FREE);
}

bool ledger_has_process(
	const struct ledger *l, enum ledger_kind kind, pid_t pid, uint64_t start_time)
{
	const struct process_entry *e = find_process(l, kind, pid);

	return e && e->start_time == start_time;
}

bool ledger_process_value(
	const struct ledger *l, enum ledger_kind kind, pid_t pid, int *ret_old_value)
{
	const struct process_entry *e = find_process(l, kind, pid);

	if (e)
		*ret_old_value = e->old_value;
	return e != NULL;
}

/* Strikes the notes of who runs again: a stop that comes now is another one, and may be ours. */
static void forget_running(struct ledger *l, uint32_t target)
{
	uint32_t used = atomic_load(&l->map->processes_used);

	for (uint32_t i = 0; i < used; i++) {
		struct process_entry *e = &l->map->process[i];
		struct procstat stat;

		if (atomic_load(&e->state) == ENTRY_NOTED &&
			wanted(e->target, e->kind, target, NOT_OURS) &&
			(process_look(e->pid, &stat) != 0 || stat.state != 'T' ||
				stat.start_time_ticks != e->start_time))
			atomic_store(&e->state, ENTRY_FREE);
	}
}

int ledger_note_stopped(struct ledger *l, uint32_t target, const pid_t *pids, uint32_t count,
	ledger_is_ours_fn *is_ours, void *user)
{
	int r = 0;

	forget_running(l, target);
	for (uint32_t i = 0; i < count && r == 0; i++) {
		struct procstat stat;
		bool ours;
		bool noted;

		if (process_look(pids[i], &stat) != 0 || stat.state != 'T')
			continue;
		ours = ledger_has_process(l, LEDGER_STOP, pids[i], stat.start_time_ticks) ||
			(is_ours && is_ours(pids[i], stat.start_time_ticks, user));
		noted = find_process(l, NOT_OURS, pids[i]) != NULL;
		if (ours && noted)
			strike_process(l, NOT_OURS, pids[i]);
		else if (!ours && !noted)
			r = note_process(l, target, NOT_OURS, pids[i], stat.start_time_ticks, 0);
	}
	return r;
}

bool ledger_is_noted_stopped(const struct ledger *l, pid_t pid)
{
	return find_process(l, NOT_OURS, pid) != NULL;
}

int ledger_note_tripwire(
	struct ledger *l, uint32_t target, const char *path, const pid_t *pids, uint32_t count)
{
	int r = ledger_note_stopped(l, target, pids, count, /* is_ours= */ NULL, NULL);

	if (r == 0)
		r = ledger_note_file(l, target, LEDGER_TRIPWIRE, path, "");
	if (r != 0)
		ledger_strike_tripwire(l, target);
	return r;
}

void ledger_strike_tripwire(struct ledger *l, uint32_t target)
{
	uint32_t files = atomic_load(&l->map->files_used);
	uint32_t processes = atomic_load(&l->map->processes_used);

	for (uint32_t i = 0; i < files; i++)
		if (atomic_load(&l->map->file[i].state) == ENTRY_NOTED &&
			wanted(l->map->file[i].target, l->map->file[i].kind, target,
				LEDGER_TRIPWIRE))
			atomic_store(&l->map->file[i].state, ENTRY_FREE);
	for (uint32_t i = 0; i < processes; i++)
		if (atomic_load(&l->map->process[i].state) == ENTRY_NOTED &&
			wanted(l->map->process[i].target, l->map->process[i].kind, target,
				NOT_OURS))
			atomic_store(&l->map->process[i].state, ENTRY_FREE);
}

void ledger_strike_process(struct ledger *l, enum ledger_kind kind, pid_t pid)
{
	strike_process(l, kind, pid);
}

/* --- undoing ------------------------------------------------------------------------------- */

static pid_t group_pids[GROUP_PIDS_MAX]; /* the guardian must not allocate; one undo at a time */

/* Fills group_pids. 0 (with a count of 0 where the cgroup is gone) or -errno. */
static int list_group(const char *path, uint32_t *ret_count)
{
	_cleanup_close_ int dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	*ret_count = 0;
	if (dir_fd < 0)
		return errno == ENOENT || errno == ENODEV ? 0 : -errno;
	r = cgroup_pids_below(dir_fd, group_pids, GROUP_PIDS_MAX, ret_count);
	if (r == CGROUP_GONE)
		*ret_count = 0;
	return r < 0 ? r : 0;
}

/* Processes that were born of a shielded parent and that no entry speaks for. 0 or -errno. */
static int undo_group(const struct ledger *l, const struct file_entry *e)
{
	int value = 0;
	uint32_t count;
	int r = list_group(e->path, &count);

	for (const char *c = e->old_value; *c; c++)
		if (*c >= '0' && *c <= '9')
			value = value * 10 + (*c - '0');
	if (e->old_value[0] == '-')
		value = -value;
	for (uint32_t i = 0; i < count; i++) {
		int adj;

		if (find_process(l, LEDGER_SHIELD_PROCESS, group_pids[i]) ||
			process_get_oom_adj(group_pids[i], &adj) != 0 || adj != SHIELDED_ADJ)
			continue;
		(void)process_set_oom_adj(group_pids[i], value); /* gone, or never ours to set */
	}
	return r;
}

/*
 * Whether a stop may be the tripwire's: it sends SIGSTOP, and a terminal's other signals do not.
 * The kernel says which it was to whom it lets see it (proc(5), exit_code).
 */
static bool may_be_tripwire(const struct procstat *stat)
{
	return stat->state == 'T' && (stat->exit_code == SIGSTOP || stat->exit_code == 0);
}

/* What the tripwire may have stopped without anybody being told. 0 or the last -errno. */
static int undo_tripwire(const struct ledger *l, const struct file_entry *e)
{
	uint32_t count;
	int r = list_group(e->path, &count);

	for (uint32_t i = 0; i < count; i++) {
		_cleanup_close_ int fd = -1;
		struct procstat stat;
		const struct process_entry *before = find_process(l, NOT_OURS, group_pids[i]);
		int one;

		if (process_look(group_pids[i], &stat) != 0 || !may_be_tripwire(&stat) ||
			(before && before->start_time == stat.start_time_ticks))
			continue;
		one = process_open(group_pids[i], stat.start_time_ticks, &fd);
		if (one == 0)
			one = process_signal(fd, SIGCONT);
		if (one < 0)
			r = one;
	}
	return r;
}

static int undo_file(const struct ledger *l, struct file_entry *e)
{
	int r;

	e->path[sizeof(e->path) - 1] = '\0'; /* a file of the last run may hold anything */
	e->old_value[sizeof(e->old_value) - 1] = '\0';
	if (e->kind == LEDGER_SHIELD_GROUP)
		return undo_group(l, e);
	if (e->kind == LEDGER_TRIPWIRE)
		return undo_tripwire(l, e);
	if (e->kind == LEDGER_SEIZE)
		return 0; /* the kernel let go of them when the watchdog died; it strikes its own */
	if (same_file(l, LEDGER_ALL_TARGETS, e->kind, e->path, e))
		return 0; /* another target needs it still, and puts back the same value */
	r = cgroup_undo(e->path, e->old_value);
	return r > 0 ? 0 : r; /* gone: nothing left to undo */
}

static int undo_process(const struct process_entry *e)
{
	_cleanup_close_ int fd = -1;
	int r = process_open(e->pid, e->start_time, &fd);

	if (r != 0)
		return r > 0 ? 0 : r;
	if (e->kind == LEDGER_SHIELD_PROCESS)
		r = process_set_oom_adj(e->pid, e->old_value);
	else
		r = process_signal(fd, SIGCONT);
	return r > 0 ? 0 : r;
}

static uint32_t undo_kind(struct ledger *l, uint32_t target, uint32_t kind, int *error)
{
	uint32_t left = 0;

	for (uint32_t i = atomic_load(&l->map->files_used); i-- > 0;) {
		struct file_entry *e = &l->map->file[i];
		int r;

		if (atomic_load(&e->state) != ENTRY_NOTED ||
			!wanted(e->target, e->kind, target, kind))
			continue;
		r = undo_file(l, e);
		if (r == 0) {
			atomic_store(&e->state, ENTRY_FREE);
		} else {
			*error = r;
			left++;
		}
	}
	for (uint32_t i = atomic_load(&l->map->processes_used); i-- > 0;) {
		struct process_entry *e = &l->map->process[i];
		int r;

		if (atomic_load(&e->state) != ENTRY_NOTED ||
			!wanted(e->target, e->kind, target, kind))
			continue;
		r = undo_process(e);
		if (r == 0) {
			atomic_store(&e->state, ENTRY_FREE);
		} else {
			*error = r;
			left++;
		}
	}
	return left;
}

uint32_t ledger_undo(struct ledger *l, uint32_t target, uint32_t kinds, int *ret_error)
{
	uint32_t left = 0;
	int error = 0;

	for (uint32_t kind = 0; kind < LEDGER_KIND_COUNT; kind++)
		if (kinds & LEDGER_BIT(kind))
			left += undo_kind(l, target, kind, &error);
	if (left && ret_error)
		*ret_error = error;
	return left;
}

uint32_t ledger_count(const struct ledger *l, uint32_t target, uint32_t kinds)
{
	uint32_t count = 0;
	uint32_t files = atomic_load(&l->map->files_used);
	uint32_t processes = atomic_load(&l->map->processes_used);

	for (uint32_t kind = 0; kind < LEDGER_KIND_COUNT; kind++) {
		if (!(kinds & LEDGER_BIT(kind)))
			continue;
		for (uint32_t i = 0; i < files; i++)
			count += atomic_load(&l->map->file[i].state) == ENTRY_NOTED &&
				wanted(l->map->file[i].target, l->map->file[i].kind, target, kind);
		for (uint32_t i = 0; i < processes; i++)
			count += atomic_load(&l->map->process[i].state) == ENTRY_NOTED &&
				wanted(l->map->process[i].target, l->map->process[i].kind, target,
					kind);
	}
	return count;
}

/* --- the others, and the next start -------------------------------------------------------- */

void ledger_set_capturer(struct ledger *l, uint32_t place, pid_t pid)
{
	atomic_store(&l->map->capturer[place], (int32_t)pid);
}

pid_t ledger_capturer(const struct ledger *l, uint32_t place)
{
	return (pid_t)atomic_load(&l->map->capturer[place]);
}

void ledger_set_tracing(struct ledger *l, uint32_t place, bool tracing)
{
	atomic_store(&l->map->tracing[place], tracing);
}

bool ledger_tracing(const struct ledger *l, uint32_t place)
{
	return atomic_load(&l->map->tracing[place]) != 0;
}

void ledger_beat(struct ledger *l, uint64_t now_ns)
{
	atomic_store(&l->map->beat_ns, now_ns);
}

uint64_t ledger_last_beat(const struct ledger *l)
{
	return atomic_load(&l->map->beat_ns);
}

static bool owner_is_dead(int fd)
{
	int32_t owner;

	if (pread(fd, &owner, sizeof(owner), offsetof(struct ledger_map, owner)) !=
		(ssize_t)sizeof(owner))
		return false;
	return owner > 0 && process_has_ended(owner);
}

static bool is_ours(const struct ledger *l)
{
	return l->map->magic == LEDGER_MAGIC && l->map->size == sizeof(struct ledger_map) &&
		atomic_load(&l->map->files_used) <= LEDGER_FILES_MAX &&
		atomic_load(&l->map->processes_used) <= LEDGER_PROCESSES_MAX;
}

/* The ledger that others hold, to look at. False where it is none of ours. */
static bool look_into(int fd, struct ledger *ret)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_size == (off_t)sizeof(struct ledger_map) &&
		map_fd(fd, &ret->map) == 0 && ret->map;
}

/* How much of it is in force, and how long that is to be waited for. */
static uint32_t in_force(const struct ledger *l, uint32_t *ret_wait_ms)
{
	uint32_t all;

	if (!is_ours(l))
		return 0;
	all = ledger_count(l, LEDGER_ALL_TARGETS, LEDGER_EVERYTHING);
	*ret_wait_ms = ledger_count(l, LEDGER_ALL_TARGETS, LEDGER_BIT(LEDGER_LEASE)) == all
		? DYING_LEASE_MS
		: DYING_MS;
	return all;
}

/*
 * Whether nobody of those whose ledger it is lives any more. They may be dying: the kernel closes
 * the files of a process only after it has freed its memory. Or one of them is undoing it just now:
 * then there is soon nothing in force, and nothing to wait for. *waited_ms: so far, for all
 * ledgers. *ret_in_force: what is in force where the watchdog is dead, and others hold it all the
 * same.
 */
static bool lock(int fd, uint32_t *waited_ms, uint32_t *ret_in_force)
{
	struct ledger l = {.fd = -1};
	uint32_t step_ms = DYING_STEP_MS;
	uint32_t wait_ms = 0;
	bool locked;

	*ret_in_force = 0;
	while (!(locked = (flock(fd, LOCK_EX | LOCK_NB) == 0))) {
		if (errno != EWOULDBLOCK || !owner_is_dead(fd) || (!l.map && !look_into(fd, &l)))
			break;
		*ret_in_force = in_force(&l, &wait_ms);
		if (!*ret_in_force || *waited_ms >= wait_ms)
			break;
		(void)poll(NULL, 0, (int)step_ms); /* an early return only means one more look */
		*waited_ms += step_ms;
		step_ms = (uint32_t)min_u64((uint64_t)step_ms * 2, DYING_STEP_MAX_MS);
	}
	if (l.map)
		(void)munmap(l.map, sizeof(struct ledger_map));
	return locked;
}

/* Undoes one file if nobody holds it and it is a ledger of ours; adds to the counts. */
static void recover_one(
	int dir_fd, const char *name, uint32_t *waited_ms, uint32_t *undone, uint32_t *left)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct ledger l = {.fd = -1};
	struct stat st;
	uint32_t before;
	uint32_t after;

	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return;
	if (!lock(fd, waited_ms, &after)) {
		*left += after;
		return;
	}
	if (st.st_size != (off_t)sizeof(struct ledger_map)) {
		/* Another version wrote it; what it says is not ours to guess. Empty: torn at
		 * birth. */
		if (st.st_size == 0)
			(void)unlinkat(dir_fd, name, 0);
		else
			(*left)++;
		return;
	}
	if (map_fd(fd, &l.map) != 0 || !l.map)
		return;
	if (l.map->magic == 0) {
		/* Torn while it was created (the magic comes last): it announces nothing. */
		(void)unlinkat(dir_fd, name, 0);
	} else if (!is_ours(&l)) {
		(*left)++; /* another version again */
	} else {
		before = ledger_count(&l, LEDGER_ALL_TARGETS, LEDGER_EVERYTHING);
		after = ledger_undo(&l, LEDGER_ALL_TARGETS, LEDGER_EVERYTHING, NULL);
		*undone += before - after;
		*left += after;
		if (after == 0)
			(void)unlinkat(dir_fd, name, 0); /* in the way of nothing if it stays */
	}
	(void)munmap(l.map, sizeof(struct ledger_map));
}

int ledger_recover(const char *dir, uint32_t *ret_undone, uint32_t *ret_left)
{
	_cleanup_closedir_ DIR *d = opendir(dir);
	struct dirent *entry;
	uint32_t waited_ms = 0;

	*ret_undone = 0;
	*ret_left = 0;
	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(d))) // NOLINT(concurrency-mt-unsafe): a stream of our own
		if (str_has_suffix(entry->d_name, LEDGER_SUFFIX))
			recover_one(dirfd(d), entry->d_name, &waited_ms, ret_undone, ret_left);
	return 0;
}
