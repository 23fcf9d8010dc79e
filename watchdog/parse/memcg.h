/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text of cgroup and pressure files -> numbers. Pure: no I/O, no allocation; input need not be
 * terminated and may be anything. Formats: Documentation/admin-guide/cgroup-v2.rst,
 * cgroup-v1/memory.rst and accounting/psi.rst of the kernel.
 */
#ifndef OOMSNAP_PARSE_MEMCG_H
#define OOMSNAP_PARSE_MEMCG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A file of one value: a decimal number, or "max" (stored as SIZE_UNLIMITED), one newline allowed
 * after it. v1 shows "no limit" as a number: anything from MEMCG_V1_UNLIMITED (PAGE_COUNTER_MAX
 * pages, for pages up to 1 MiB) up becomes SIZE_UNLIMITED as well. False, *ret untouched, for
 * anything else.
 */
#define MEMCG_V1_UNLIMITED 0x7ffffffffff00000ULL
bool parse_memcg_value(const char *text, size_t len, uint64_t *ret);

/*
 * The number behind KEY in a flat-keyed file ("KEY VALUE" lines: memory.stat, memory.events,
 * memory.oom_control, cgroup.events). False, *ret untouched, where the key is missing or its value
 * is not a number.
 */
bool parse_keyed_u64(const char *text, size_t len, const char *key, uint64_t *ret);

/*
 * Page cache in a memory.stat that goes by itself: what is inactive, and what stands on the active
 * list only because reclaim met it on its way to the disk (dirty or under writeback;
 * shrink_folio_list in mm/vmscan.c). The four are keys, and all but the first may be missing in the
 * text. False, *ret untouched, where the first is.
 */
struct memcg_cache_keys {
	const char *inactive;
	const char *active;
	const char *dirty;
	const char *writeback;
};
bool parse_memcg_cache(
	const char *text, size_t len, const struct memcg_cache_keys *keys, uint64_t *ret);

/* avg10 of the "some" and "full" lines of a pressure file, in basis points (100.00 -> 10000). */
struct psi_averages {
	uint32_t some_avg10_bp;
	uint32_t full_avg10_bp; /* 0 where there is no "full" line */
};
bool parse_psi(const char *text, size_t len, struct psi_averages *ret);

/*
 * Next pid of cgroup.procs at *cursor: moves *cursor behind it and stores it; false at the end or
 * at the first thing that is not a positive pid. A cut last line (no newline) is not returned.
 */
bool parse_next_pid(const char **cursor, const char *end, int *ret);

#endif
