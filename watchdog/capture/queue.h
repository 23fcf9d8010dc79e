/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which piece of a core is copied next. The caller brings a lock.
 */
#ifndef OOMSNAP_CAPTURE_QUEUE_H
#define OOMSNAP_CAPTURE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/plan.h"

/* Bytes [from, to) of the core's file, which begin in segment plan->order[position]. */
struct queue_piece {
	uint32_t position;
	uint32_t rank;
	uint64_t from;
	uint64_t to;
	uint64_t number; /* of a compressed core: from 0, in order */
	bool zeros;	 /* of a compressed core: nothing is in it */
};

struct queue {
	const struct capture_plan *plan;
	uint64_t known; /* flags of mappings that end at or below are known */
	bool tight;	/* there may be less room than memory */
	bool swapped;	/* only regions with REGION_SWAPPED */
	uint32_t position[ORDER_RANKS];
	uint64_t given[ORDER_RANKS];  /* up to here the rank has been given out */
	uint64_t broken[ORDER_RANKS]; /* the first piece that was not copied to its end */
	uint32_t packed_position;     /* of a compressed core: the same, of all ranks */
	uint64_t packed_at;
	uint64_t packed_number;
};

void queue_begin(struct queue *q, const struct capture_plan *plan, bool tight, bool swapped);

enum queue_next {
	QUEUE_PIECE,
	QUEUE_UNKNOWN, /* none whose flags are known */
	QUEUE_NONE,
};

/* The most valuable piece that may be copied, of the ranks below end (of a compressed core: the
 * next one, and behind the last rank what is left of the file). */
enum queue_next queue_next(struct queue *q, enum order_rank end, struct queue_piece *ret);

/* A piece was not copied to its end. */
void queue_broken(struct queue *q, const struct queue_piece *piece);

/* What stands at this offset of the file could not be written after all. */
void queue_failed(struct queue *q, uint64_t offset);

/* Whether anything of this segment belongs into a round. */
bool queue_wants(const struct queue *q, const struct segment *segment);

/* How many bytes of a segment stand in the core (not compressed) when nobody copies any more. */
uint64_t queue_copied_bytes(const struct queue *q, const struct segment *segment);

#endif
