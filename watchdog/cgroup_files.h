/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of a memory cgroup, copied into a bundle as they are at the hold.
 */
#ifndef OOMSNAP_CGROUP_FILES_H
#define OOMSNAP_CGROUP_FILES_H

#include "capture/capture.h"

/*
 * Copies those of the known memory files that the cgroup's directory has into the running bundle,
 * as cgroup.NAME. Files that cannot be read or written are left out. Allocates nothing; about a
 * millisecond.
 */
void cgroup_files_add(struct capture *c, const char *dir);

#endif
