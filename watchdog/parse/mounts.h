/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of /proc/PID/mountinfo: which file system is behind a mount. Pure.
 */
#ifndef OOMSNAP_PARSE_MOUNTS_H
#define OOMSNAP_PARSE_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Whether the line (without its newline, proc(5)) is that of the mount with this id. Then its file
 * system's type is *ret_type, a part of the line of *ret_len bytes.
 */
bool mounts_type(const char *line, size_t len, uint64_t id, const char **ret_type, size_t *ret_len);

/*
 * Whether a file system of this type answers by itself: no server that may be slow, gone or hostile
 * stands behind it, as it does behind FUSE, NFS and their kind. What is not known does not.
 */
bool mounts_is_local(const char *type, size_t len);

/* Whether it is one of control groups; and whether it is that or may lie on the way to one. */
bool mounts_is_cgroup(const char *type, size_t len);
bool mounts_leads_to_cgroup(const char *type, size_t len);

#endif
