/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much page cache a core may take while it is written.
 */
#ifndef OOMSNAP_CAPTURE_BUDGET_H
#define OOMSNAP_CAPTURE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "capture/capture.h"

#define BUDGET_MIN_BYTES (4ULL << 20) /* a window for each worker; also where nobody tells */

/* Fills cache_bytes, freerun_bytes and own_cgroup, by the machine's and our cgroup's room now.
 * Allocates nothing.
 */
void budget_look(pid_t target, struct capture_result *ret);

/* The share of what is available of the machine and of our cgroup (SIZE_UNLIMITED: no limit). */
uint64_t budget_share(uint64_t available_bytes, uint64_t room_bytes, bool own_cgroup);

/*
 * How much more the target may take before the limit of its cgroup, or of one above, holds it: the
 * room now. SIZE_UNLIMITED where nothing limits it, or no memory cgroup can be seen; 0 where there
 * is one that does not tell. Allocates nothing.
 */
uint64_t budget_target_room(pid_t target);

/* Whether so many swapped pages of the target may be brought back, which it is charged for. */
bool budget_swap_fits(uint64_t swap_bytes, uint64_t room_bytes);

/*
 * How much more may be dirty, by the text of /proc/vmstat (ended by a zero), before the kernel
 * holds writers back. 0 where the text does not tell.
 */
uint64_t budget_freerun(const char *vmstat, uint64_t page_bytes);

#endif
