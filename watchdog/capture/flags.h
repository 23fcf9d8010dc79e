/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which mappings must stay out of a core: learned from smaps while the copy runs.
 */
#ifndef OOMSNAP_CAPTURE_FLAGS_H
#define OOMSNAP_CAPTURE_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/plan.h"

struct capture_writer;

/*
 * Reads /proc/PID/smaps from front to end. Mappings of devices, and, unless all_pages,
 * MADV_DONTDUMP ones, are marked REGION_LEFT_OUT and lose their room in the file at fd; the writer
 * is told how far the flags are known; that all are, the caller tells it, writer_known_all().
 * Memory objects with pages in swap are marked REGION_SWAPPED, and these counted in the plan.
 * stop_ns (CLOCK_MONOTONIC) bounds it. Where the flags of a mapping could not be read, it is left
 * out, too: a secret is worth more than a page. *ret_dontdump_bytes is the room that DONTDUMP
 * mappings would have had; *ret_unknown_bytes what was left out for want of knowledge. 0 or -errno
 * of a failed read; what cannot be written is told by head_cut_segment().
 */
int flags_read(struct capture_plan *plan, struct capture_writer *writer, int fd, bool all_pages,
	uint64_t stop_ns, uint64_t *ret_dontdump_bytes, uint64_t *ret_unknown_bytes);

#endif
