/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/PID/cgroup and /proc/PID/mountinfo -> where a process's cgroup directory is. Pure.
 * Formats: cgroups(7) and proc(5).
 */
#ifndef OOMSNAP_PARSE_CGROUP_H
#define OOMSNAP_PARSE_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The path of a line of /proc/PID/cgroup: controller "memory" and the like for a v1 hierarchy,
 * NULL for the v2 line ("0::PATH"). Copied with its terminator into path[size]; " (deleted)" at its
 * end is kept. False where there is no such line or it does not fit.
 */
bool parse_proc_cgroup(
	const char *text, size_t len, const char *controller, char *path, size_t size);

/*
 * The mount point and root of the cgroup mount: fstype cgroup2 for controller NULL, else fstype
 * cgroup with that controller among its super options. The first match counts. Octal escapes
 * (\040) are undone. Both buffers have size bytes. False where there is none or it does not fit.
 */
bool parse_cgroup_mount(const char *text, size_t len, const char *controller, char *mount_point,
	char *root, size_t size);

/*
 * Joins mount point, root and a path of /proc/PID/cgroup: PATH below ROOT is MOUNT_POINT/REST.
 * False where path is not below root (another cgroup namespace: "/../x" too) or does not fit.
 */
bool cgroup_path_join(
	const char *mount_point, const char *root, const char *path, char *ret, size_t size);

#endif
