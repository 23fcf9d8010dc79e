/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd units, asked over the system bus (org.freedesktop.systemd1(5)).
 */
#ifndef OOMSNAP_OS_UNIT_H
#define OOMSNAP_OS_UNIT_H

#include <stddef.h>

/*
 * Directory of the memory cgroup of a loaded unit ("web.service"; without a suffix .service is
 * meant). Waits for systemd at most UNIT_WAIT_US; allocates, so never call it during an incident.
 * 0; CGROUP_GONE: no such unit, or it has no processes; CGROUP_NO_MEMORY: it has no memory cgroup
 * of its own (v1 without MemoryAccounting); -ENOENT or -ECONNREFUSED: there is no system bus here;
 * -EACCES: the bus does not let us ask; -errno.
 */
#define UNIT_WAIT_US 2000000ULL
int unit_cgroup(const char *name, char *dir, size_t size);

#endif
