/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything of a core but the memory: headers, notes, and what is patched in them later.
 */
#ifndef OOMSNAP_CAPTURE_HEAD_H
#define OOMSNAP_CAPTURE_HEAD_H

#include <stdint.h>

#include "capture/plan.h"

/* Lays the core out: plan->layout, the segments' offsets, plan->note_offset. 0 or -EFBIG. */
int head_plan(struct capture_plan *plan);

/*
 * Writes headers, notes and the zeros behind them through put, front to back without a gap. On the
 * tracer thread: the registers are read on the way. note is our own note as it stands now. Sets
 * plan->threads_without_registers. 0 or what put returned.
 */
int head_write(struct capture_plan *plan, const struct core_note *note,
	int (*put)(void *user, const void *bytes, size_t len), void *user);

/*
 * Writes bytes of the head (at least one, none behind data_offset) to their place in the file. 0,
 * -ENOSPC, -errno.
 */
int head_write_at(
	const struct capture_plan *plan, int fd, const void *bytes, size_t len, uint64_t offset);

/* Where our own note stands in a file, for later than the plan knows it. */
struct head_note_place {
	uint64_t head_bytes;
	uint64_t offset;
	bool packed;
};
void head_note_place(const struct capture_plan *plan, struct head_note_place *ret);

/* Writes our own note again, where head_write() put it. 0 or -errno. */
int head_patch_note_at(const struct head_note_place *place, int fd, const struct core_note *note);

/*
 * Leaves a segment room for bytes (a multiple of the page size, at most what it has); what lies
 * beyond reads as not in the core. Where the file cannot be told so, it reads as zeros, and the
 * first such -errno stands in plan->cut_error.
 */
void head_cut_segment(struct capture_plan *plan, int fd, uint32_t segment, uint64_t bytes);

/* A core_note with what does not change. */
void head_note(const struct capture_plan *plan, const struct capture_result *result,
	uint64_t realtime_ns, struct core_note *ret);

#endif
