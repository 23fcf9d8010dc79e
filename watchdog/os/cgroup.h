/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One memory cgroup and its visible ancestors, of either version. What differs between v1 and v2
 * stands behind struct cgroup_ops (cgroup_v1.c, cgroup_v2.c), chosen once when a cgroup is opened;
 * nowhere else is a version tested.
 *
 * Reading needs no right but to see the files. Changing is split in two so that the undo can be
 * noted first: a plan function reads the present value and fills struct cgroup_change, the caller
 * notes it in the ledger, and cgroup_apply() writes it.
 */
#ifndef OOMSNAP_OS_CGROUP_H
#define OOMSNAP_OS_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/types.h"

#define CGROUP_LEVELS_MAX 16 /* own and ancestors; deeper trees are cut at the top, and say so */
#define CGROUP_VALUE_MAX 32

/* Positive returns of the functions below, besides 0 and -errno. */
enum cgroup_result {
	CGROUP_GONE = 1,     /* removed: ENOENT or ENODEV */
	CGROUP_NOT_A_CGROUP, /* not a directory of a cgroup file system */
	CGROUP_NO_MEMORY,    /* the memory controller is not enabled there */
	CGROUP_OURS,	     /* we run in it ourselves */
	CGROUP_UNSUPPORTED,  /* this version or kernel has no such means */
	CGROUP_BAD_VALUE,    /* a file holds what the kernel would not write */
};

struct cgroup_ops;

struct cgroup_level {
	int dir_fd;
	int current_fd;
	int limit_fd;
	int stat_fd;
	int events_fd;	 /* memory.events, memory.oom_control */
	int pressure_fd; /* -1 where there is none */
	bool ours; /* we run below it: its limit may be raised, it is never shielded or frozen */
	char path[TARGET_PATH_MAX];
};

struct cgroup {
	const struct cgroup_ops *ops;
	uint64_t id;	 /* inode of the directory: the kernel's cgroup id */
	uint32_t levels; /* 0 is the cgroup itself */
	bool view;	 /* seen through /proc/PID/root: read, never changed */
	bool was_under_oom;
	uint64_t under_oom_count;
	struct cgroup_level level[CGROUP_LEVELS_MAX];
};

/* One file to write and what it held before. */
struct cgroup_change {
	char path[TARGET_PATH_MAX];
	char old_value[CGROUP_VALUE_MAX];
	char new_value[CGROUP_VALUE_MAX];
};

/*
 * Opens the cgroup at dir (absolute path in any mounted cgroup file system, or one seen through
 * /proc/PID/root). *ret is owned by the caller, who closes it. 0, CGROUP_GONE, CGROUP_NOT_A_CGROUP,
 * CGROUP_NO_MEMORY, CGROUP_OURS or -errno; on failure *ret holds nothing to close.
 */
int cgroup_open(const char *dir, struct cgroup *ret);
void cgroup_close(struct cgroup *cg);

/*
 * Opens the directory of a cgroup for reading, and makes sure that it is one. Where dir is seen
 * through /proc/PID/root nothing is asked on the way that the target may serve by itself
 * (os/inroot.h; on Linux before 5.8 it is opened plainly). *ret_fd is the caller's. 0, CGROUP_GONE,
 * CGROUP_NOT_A_CGROUP or -errno.
 */
int cgroup_open_dir(const char *dir, int *ret_fd);

/* "v1" or "v2". */
const char *cgroup_version_name(const struct cgroup *cg);

/*
 * Directory of the memory cgroup of a process, for cgroup_open(): from /proc/PID/cgroup and our own
 * mountinfo; where that path leaves our cgroup namespace, the view through /proc/PID/root. 0,
 * CGROUP_GONE (no such process), CGROUP_NO_MEMORY (no mounted memory hierarchy) or -errno.
 */
int cgroup_of_pid(pid_t pid, char *dir, size_t size);

/*
 * How much more the processes of a cgroup, which may be our own, can take before the limit of one
 * of its levels: page cache that nobody uses is not counted as taken. SIZE_UNLIMITED where nothing
 * limits. Allocates nothing. 0, or what cgroup_open() and cgroup_sample() return but CGROUP_OURS.
 */
int cgroup_room(const char *dir, uint64_t *ret_bytes);

/*
 * One look at the level with the least headroom (the limit of each level is read afresh, KERNEL
 * 14). memory.stat is read only where current reaches stat_from_bytes: below that nothing is
 * decided and reading it makes the kernel flush its per-CPU counters. 0, CGROUP_GONE,
 * CGROUP_BAD_VALUE or -errno.
 */
int cgroup_sample(struct cgroup *cg, uint64_t now_ns, uint64_t stat_from_bytes, struct sample *ret);

/* What is charged to the cgroup itself, whichever level limits it. 0, CGROUP_*, -errno. */
int cgroup_read_own(const struct cgroup *cg, uint64_t *ret_bytes);

/*
 * Pids of the cgroup and of all cgroups below it, at most max; *ret_count is what was stored.
 * Allocates nothing. 0, CGROUP_GONE, -E2BIG when there were more (the first max are stored),
 * -errno.
 */
int cgroup_pids(const struct cgroup *cg, pid_t *pids, uint32_t max, uint32_t *ret_count);

/*
 * Changes. Each stores up to max entries in the order in which they are to be applied (undone in
 * reverse) and their number in *ret_count. 0, CGROUP_UNSUPPORTED (also for every change to a view),
 * CGROUP_GONE, -EACCES or -EROFS where the file cannot be written, -errno.
 */
#define CGROUP_CHANGES_MAX 4
/* v1: memory.oom_control = 1 at the given level. v2 shields by process: CGROUP_UNSUPPORTED. */
int cgroup_plan_shield(const struct cgroup *cg, uint32_t level, struct cgroup_change *changes,
	uint32_t *ret_count);
/* Raises the limit of a level (and memory.memsw on v1) by bytes. */
int cgroup_plan_lease(const struct cgroup *cg, uint32_t level, uint64_t bytes,
	struct cgroup_change *changes, uint32_t *ret_count);
/* memory.high at bytes on the cgroup itself; v2 only. */
int cgroup_plan_brake(const struct cgroup *cg, uint64_t bytes, struct cgroup_change *changes,
	uint32_t *ret_count);
/* cgroup.freeze = 1; on v1 through the v2 tree beside it, if the processes have one there alone. */
int cgroup_plan_freeze(const struct cgroup *cg, struct cgroup_change *changes, uint32_t *ret_count);

/*
 * Writes new_value (apply) or old_value (undo). 0, CGROUP_GONE, or -errno; undo of a limit gives
 * -EBUSY while usage is above it: the kernel of v1 refuses then, that of v2 would kill. The path
 * must lie on a cgroup file system, else -EXDEV.
 */
int cgroup_apply(const struct cgroup_change *change);
int cgroup_undo(const char *path, const char *old_value);

/* SIGKILL to everything below, in one write. 0, CGROUP_UNSUPPORTED, CGROUP_GONE, -errno. */
int cgroup_kill(const struct cgroup *cg);

/*
 * v1: an eventfd (owned by the caller, closing it unregisters) that becomes readable when usage of
 * the level crosses bytes, or, with bytes 0, when the level is out of memory. CGROUP_UNSUPPORTED
 * on v2 and where cgroup.event_control cannot be written.
 */
int cgroup_notice(const struct cgroup *cg, uint32_t level, uint64_t bytes, int *ret_fd);

/*
 * Directory in which memory.pressure takes a trigger (os/psi.h): of the cgroup itself, borrowed. -1
 * where this version has none.
 */
int cgroup_pressure_dir(const struct cgroup *cg);

/* Whether this version can shield by a cgroup file (v1), and whether that file may be written. */
bool cgroup_can_shield(const struct cgroup *cg);
/* Whether it shields process by process (v2). */
bool cgroup_shields_processes(const struct cgroup *cg);
bool cgroup_can_brake(const struct cgroup *cg);
bool cgroup_can_freeze(const struct cgroup *cg);

#endif
