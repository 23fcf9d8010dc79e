/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The containers of a Kubernetes node that asked to be watched: found in the tree of control groups
 * that the kubelet makes, named by what CRI-O or containerd keep of each container on disk. No API
 * server, no socket of a runtime.
 */
#ifndef OOMSNAP_OS_KUBEPODS_H
#define OOMSNAP_OS_KUBEPODS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/types.h"

#define KUBEPODS_NAME_MAX 254 /* of a pod or namespace: a DNS name has at most 253 bytes */

/* Positive returns, besides 0 and -errno. */
enum kubepods_result {
	KUBEPODS_NONE = 1, /* no further one at the moment */
	KUBEPODS_NO_TREE,  /* no kubepods group below the root: the kubelet has made none here */
};

struct kubepod {
	uint64_t id; /* inode of its cgroup directory: the kernel's cgroup id */
	char dir[TARGET_PATH_MAX];
	char container_id[65];
	char space[KUBEPODS_NAME_MAX]; /* namespace */
	char pod[KUBEPODS_NAME_MAX];
	char container[KUBEPODS_NAME_MAX];
};

/* Whether the caller watches that cgroup already, or wants none of it. */
typedef bool kubepods_known(void *user, uint64_t id);

/*
 * The next container that opted in and that the caller does not know. root is where the node's own
 * / is seen ("" for our own root): ROOT/sys/fs/cgroup, ROOT/run/containers, ROOT/run/containerd. A
 * container opted in by OOMSNAP_WATCH=on in its environment, or by the pod's annotation
 * oomsnap/watch: "on" where the runtime hands annotations down (CRI-O). Reads files only; allocates
 * (opendir), so not for use during an incident's hold. 0, KUBEPODS_NONE, KUBEPODS_NO_TREE, -errno.
 */
int kubepods_next(const char *root, kubepods_known *known, void *user, struct kubepod *ret);

#endif
