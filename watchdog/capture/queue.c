// SPDX-License-Identifier: Apache-2.0
/*
 * The queue of the copy workers, which is not built: it is a cursor over plan->order for each rank,
 * and the next piece is what the cursor of the most valuable rank with something left points at.
 *
 * A segment may only be taken when the flags of its mapping are known (flags.c reads them while the
 * workers run). Where the next segment of a rank is unknown, the next rank has its turn. Where not
 * everything fits on the disk, the flags of stacks and runtime data are waited for, rather than
 * fill the room with heaps.
 *
 * A compressed core is written front to back, so it has one cursor, and begins when all flags are
 * known: some 5 us a mapping, little against the packing. Left-out segments are zeros there, as
 * they are holes of the plain file; what it unpacks to is the same, byte for byte.
 *
 * Small neighbours are one piece. Segments that share their place (order.c) are given out once.
 */
#include "capture/queue.h"

#include <string.h>

#include "base/checked.h"
#include "capture/frame.h"

#define PIECE_BYTES (4ULL << 20)  /* 1 ms of copying: small against a core, large against a lock */
#define GATHER_BYTES (1ULL << 20) /* of small segments in one piece */

void queue_begin(struct queue *q, const struct capture_plan *plan, bool tight, bool swapped)
{
	uint64_t known = q->plan == plan && swapped ? q->known : 0;

	memset(q, 0, sizeof(*q));
	q->plan = plan;
	q->known = known;
	q->tight = tight;
	q->swapped = swapped;
	q->packed_at = plan->layout.data_offset;
	memcpy(q->position, plan->order_first, sizeof(q->position));
	for (uint32_t rank = 0; rank < ORDER_RANKS; rank++)
		q->broken[rank] = UINT64_MAX;
}

bool queue_wants(const struct queue *q, const struct segment *segment)
{
	const struct region *r = &q->plan->regions[segment->region];

	if (!segment->file_bytes || r->flags & REGION_LEFT_OUT)
		return false;
	return !q->swapped || r->flags & REGION_SWAPPED;
}

static const struct segment *segment_at(const struct queue *q, uint32_t position)
{
	return &q->plan->segments[q->plan->order[position]];
}

static uint64_t end_of(const struct segment *s)
{
	return s->offset + s->file_bytes;
}

static bool is_known(const struct queue *q, const struct segment *s)
{
	return q->plan->regions[s->region].end <= q->known;
}

/* Adds the neighbours of a piece that ends at the end of its segment. */
static void gather(const struct queue *q, struct queue_piece *piece)
{
	uint32_t last = q->plan->order_first[piece->rank + 1];

	for (uint32_t i = piece->position + 1; i < last; i++) {
		const struct segment *s = segment_at(q, i);

		if (!is_known(q, s) || !queue_wants(q, s) || s->offset > piece->to ||
			end_of(s) - piece->from > GATHER_BYTES)
			break;
		piece->to = max_u64(piece->to, end_of(s));
	}
}

static enum queue_next next_of_rank(struct queue *q, uint32_t rank, struct queue_piece *ret)
{
	for (; q->position[rank] < q->plan->order_first[rank + 1]; q->position[rank]++) {
		const struct segment *s = segment_at(q, q->position[rank]);

		if (!is_known(q, s))
			return QUEUE_UNKNOWN;
		if (!queue_wants(q, s) || end_of(s) <= q->given[rank])
			continue;
		*ret = (struct queue_piece){.position = q->position[rank],
			.rank = rank,
			.from = max_u64(s->offset, q->given[rank])};
		ret->to = min_u64(end_of(s), ret->from + PIECE_BYTES);
		if (ret->to == end_of(s))
			gather(q, ret);
		q->given[rank] = ret->to;
		return QUEUE_PIECE;
	}
	return QUEUE_NONE;
}

/* --- compressed cores ---------------------------------------------------------------------- */

static enum queue_next take_packed(
	struct queue *q, uint64_t to, bool zeros, struct queue_piece *ret)
{
	*ret = (struct queue_piece){.position = q->packed_position,
		.from = q->packed_at,
		.to = to,
		.zeros = zeros,
		.number = q->packed_number++};
	q->packed_at = to;
	return QUEUE_PIECE;
}

static enum queue_next next_packed(struct queue *q, enum order_rank end, struct queue_piece *ret)
{
	uint32_t last = q->plan->order_first[end];
	uint64_t next = end == ORDER_RANKS ? q->plan->layout.file_bytes : q->packed_at;
	uint64_t limit = q->packed_at + FRAME_BYTES;
	uint64_t to = 0;

	if (q->known != UINT64_MAX)
		return QUEUE_UNKNOWN;
	for (; q->packed_position < last; q->packed_position++) {
		const struct segment *s = segment_at(q, q->packed_position);

		if (queue_wants(q, s) && end_of(s) > q->packed_at) {
			next = s->offset;
			break;
		}
	}
	if (next >= limit || (q->packed_position == last && next > q->packed_at))
		return take_packed(
			q, min_u64(next, q->packed_at + FRAME_ZERO_BYTES_MAX), true, ret);
	for (uint32_t i = q->packed_position; i < last && to < limit; i++) {
		const struct segment *s = segment_at(q, i);

		if (s->offset >= limit)
			break;
		if (queue_wants(q, s))
			to = max_u64(to, min_u64(limit, end_of(s)));
	}
	return to ? take_packed(q, to, false, ret) : QUEUE_NONE;
}

/* --- both ---------------------------------------------------------------------------------- */

enum queue_next queue_next(struct queue *q, enum order_rank end, struct queue_piece *ret)
{
	bool unknown = false;

	if (q->plan->packed)
		return next_packed(q, end, ret);
	for (uint32_t rank = 0; rank < (uint32_t)end; rank++) {
		enum queue_next next = next_of_rank(q, rank, ret);

		if (next == QUEUE_PIECE)
			return next;
		unknown |= next == QUEUE_UNKNOWN;
		if (unknown && q->tight && rank == REGION_RUNTIME)
			break;
	}
	return unknown ? QUEUE_UNKNOWN : QUEUE_NONE;
}

void queue_broken(struct queue *q, const struct queue_piece *piece)
{
	q->broken[piece->rank] = min_u64(q->broken[piece->rank], piece->from);
}

void queue_failed(struct queue *q, uint64_t offset)
{
	for (uint32_t rank = ORDER_RANKS; rank-- > 0;) {
		uint32_t first = q->plan->order_first[rank];

		if (first == q->plan->order_first[rank + 1] ||
			segment_at(q, first)->offset > offset)
			continue;
		q->broken[rank] = min_u64(q->broken[rank], offset);
		return;
	}
}

uint64_t queue_copied_bytes(const struct queue *q, const struct segment *s)
{
	uint64_t end = min_u64(q->given[s->rank], q->broken[s->rank]);

	return min_u64(s->file_bytes, sub_floor(end, s->offset));
}
