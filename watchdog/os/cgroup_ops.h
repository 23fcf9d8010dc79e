/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What differs between the two versions of cgroups; private to os/cgroup*.c.
 */
#ifndef OOMSNAP_OS_CGROUP_OPS_H
#define OOMSNAP_OS_CGROUP_OPS_H

#include "os/cgroup.h"
#include "parse/memcg.h"

struct cgroup_ops {
	const char *version;
	const char *current_file;
	const char *limit_file;
	const char *events_file;
	const char *pressure_file;	    /* NULL: none */
	struct memcg_cache_keys cache_keys; /* of memory.stat, descendants included */
	bool shields_processes;
	/* Counters of one level, added into *sample. 0, CGROUP_*, -errno. */
	int (*events)(const struct cgroup_level *level, bool own, struct sample *sample);
	int (*plan_shield)(const struct cgroup_level *level, struct cgroup_change *changes,
		uint32_t *ret_count);
	int (*plan_lease)(const struct cgroup_level *level, uint64_t bytes,
		struct cgroup_change *changes, uint32_t *ret_count);
	int (*plan_brake)(const struct cgroup_level *level, uint64_t bytes,
		struct cgroup_change *changes, uint32_t *ret_count);
	int (*plan_freeze)(
		const struct cgroup *cg, struct cgroup_change *changes, uint32_t *ret_count);
	int (*kill)(const struct cgroup_level *level);
	int (*notice)(const struct cgroup_level *level, uint64_t bytes, int *ret_fd);
};

extern const struct cgroup_ops cgroup_v1_ops;
extern const struct cgroup_ops cgroup_v2_ops;

/* ENOENT and ENODEV of a cgroup file are CGROUP_GONE, once, at this edge. */
int cgroup_error(int negative_errno);

/* Appends PATH/FILE with its present value as old and new_value as new. 0, CGROUP_*, -errno. */
int cgroup_change_add(const struct cgroup_level *level, const char *file, const char *new_value,
	struct cgroup_change *changes, uint32_t *count);

/* The number in FILE of a level: 0, CGROUP_GONE, CGROUP_BAD_VALUE, -errno. */
int cgroup_read_value(const struct cgroup_level *level, const char *file, uint64_t *ret);

/* Pids below dir_fd, as cgroup_pids(). */
int cgroup_pids_below(int dir_fd, pid_t *pids, uint32_t max, uint32_t *ret_count);

/* Path of a process in a hierarchy (controller, NULL: v2), joined with where that is mounted here.
 */
int cgroup_dir_of(pid_t pid, const char *controller, char *dir, size_t size);

#endif
