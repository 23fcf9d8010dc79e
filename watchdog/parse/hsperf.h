/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters that a HotSpot JVM keeps in /tmp/hsperfdata_USER/PID for jstat and its like. Pure.
 */
#ifndef OOMSNAP_PARSE_HSPERF_H
#define OOMSNAP_PARSE_HSPERF_H

#include <stdbool.h>
#include <stddef.h>

#include "core/types.h"

#define HSPERF_BYTES_MAX 131072U /* the file is 32 KiB unless -XX:PerfDataMemorySize says more */

/*
 * Takes heap_bytes, old_used_bytes, old_max_bytes, full_collections, collecting and old_is_cleaned
 * from the bytes of that file (version 2 of the format, both byte orders) into *facts. False,
 * *facts untouched, where it is no such file, where the JVM has not finished starting, or where a
 * counter of the old generation is missing.
 */
bool hsperf_take(const void *data, size_t len, struct runtime_facts *facts);

#endif
