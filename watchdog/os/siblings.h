/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other containers of the pod that we are a container of: every memory cgroup among the
 * processes that share our pid namespace (shareProcessNamespace), but our own and the pause
 * process's.
 */
#ifndef OOMSNAP_OS_SIBLINGS_H
#define OOMSNAP_OS_SIBLINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/types.h"

/* Positive returns, besides 0 and -errno. */
enum siblings_result {
	SIBLINGS_NONE = 1, /* no further one at the moment */
	SIBLINGS_HOST,	   /* we see the processes of a whole host: that is no pod */
};

struct sibling {
	uint64_t id; /* inode of its cgroup directory: the kernel's cgroup id */
	pid_t pid;   /* the process that led to it: its lowest, as a rule its first */
	char comm[16];
	char dir[TARGET_PATH_MAX]; /* for cgroup_open() */
};

/* Whether the caller watches that cgroup already. */
typedef bool siblings_known(void *user, uint64_t id);

/*
 * The next one that the caller does not know, by the order of pids; a container of several cgroups
 * (a service manager in it) counts once for each. Reads /proc once through; allocates (opendir), so
 * not for use during an incident's hold. 0, SIBLINGS_NONE, SIBLINGS_HOST, -errno.
 */
int siblings_next(siblings_known *known, void *user, struct sibling *ret);

#endif
