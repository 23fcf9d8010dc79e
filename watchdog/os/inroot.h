/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a target's own file systems, opened without waiting for anybody: a target may have
 * mounted a file system whose server (FUSE) never answers.
 */
#ifndef OOMSNAP_OS_INROOT_H
#define OOMSNAP_OS_INROOT_H

/*
 * Opens a plain file for reading by a path as the process of dir_fd (proc_open()) sees it, without
 * leaving its root whatever links there are (openat2(2), RESOLVE_IN_ROOT). *ret_fd is the caller's.
 * 0, PROC_GONE, PROC_DENIED, -errno; -ENOTSUP for what is no plain file, lies on a file system that
 * another program serves or that is not known (mounts_is_local()).
 */
int inroot_open(int dir_fd, const char *path, int *ret_fd);

/*
 * The same for the directory of a control group: on a mount of cgroup or cgroup2, reached over
 * local file systems and sysfs alone. -ENOSYS before Linux 5.8, where nothing can be told of a
 * mount.
 */
int inroot_open_cgroup(int dir_fd, const char *path, int *ret_fd);

/* The same for the program that the process runs (its link exe). */
int inroot_open_program(int dir_fd, int *ret_fd);

#endif
