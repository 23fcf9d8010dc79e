/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the machine itself is short of memory. A shielded target is not eligible in an OOM of the
 * whole node, so the shield must never outlive the node's own ease.
 */
#ifndef OOMSNAP_OS_NODE_H
#define OOMSNAP_OS_NODE_H

#include <stdbool.h>

/*
 * Short means: less than NODE_AVAILABLE_BP of MemTotal available (/proc/meminfo), or memory
 * pressure full avg10 of the whole machine (/proc/pressure/memory) at NODE_PRESSURE_BP or more.
 * Both are the points at which a node's own guards (kubelet's eviction at 100 MiB, systemd-oomd at
 * 50-60% for 20-30 s) have not acted yet. False where neither file can be read.
 */
#define NODE_AVAILABLE_BP 200U /* 2%: 160 MiB of 8 GiB */
#define NODE_PRESSURE_BP 4000U /* 40% */
bool node_is_short(void);

/* The same from texts; for tests. pressure may be NULL. */
bool node_is_short_in(const char *meminfo, unsigned long meminfo_len, const char *pressure,
	unsigned long pressure_len);

#endif
