// SPDX-License-Identifier: Apache-2.0
/*
 * The order of a core's file: most valuable first, in each class by address. So the beginning of a
 * core that was cut off is what is needed to read the rest of it, a compressed core can be written
 * front to back, and two workers that copy side by side write side by side.
 *
 * Memory objects (memfd, shared memory) may be mapped several times: ZGC maps its heap three times,
 * and .NET its code twice. Such a segment is placed by where it lies in its object: sorted by
 * object and offset, what overlaps the segment before it shares that one's place, and what is left
 * over follows it. Every PT_LOAD has its own header and all of them show the same bytes, once in
 * the file and once copied.
 *
 * An object is known by device and inode. All memory without a path is of one device, where a
 * System V segment has its id for an inode (ipc/shm.c) and the others have counted ones
 * (get_next_ino()): the two can be equal, so a segment is never taken for one of the others.
 *
 * So are clean pages of files: a .NET program that is a single file has its assemblies mapped as
 * they lie in the file and as they run. All of REGION_FILE is clean; a mapping with a changed page
 * is of another class.
 *
 * Program headers stay sorted by address, as readers want them; nobody demands that of p_offset.
 * But libdwfl of elfutils takes a segment that follows another without a gap in memory and does not
 * lie behind it in the file for the rest of it, and then reads neither. So segments without room
 * are said to lie at the end of the file: they follow the first page of every library. What is left
 * is that it does not read a heap that a library follows immediately, nor one view of an object
 * before another; it looks for libraries and their lists, not there.
 *
 * Limits: a private mapping of an object has pages of its own, and is not shared.
 */
#include "capture/order.h"

#include "base/checked.h"
#include "base/sort.h"
#include "parse/maps.h"

enum order_rank order_rank_of(const struct region *region, bool swapped)
{
	if (!(region->prot & MAPS_READ) && region->source == REGION_PAGES)
		return ORDER_PROTECTED;
	return swapped ? ORDER_SWAPPED : (enum order_rank)region->class;
}

/* Where a segment begins in the object that it shows. */
static uint64_t object_offset(const struct segment *s, const struct region *r)
{
	return r->offset_bytes + (s->start - r->start);
}

static int compare_u64(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static unsigned int sysv(const struct region *r)
{
	return r->flags & REGION_SYSV;
}

static bool same_object(const struct region *a, const struct region *b)
{
	return a->inode == b->inode && a->minor == b->minor && a->major == b->major &&
		sysv(a) == sysv(b);
}

/* What the indices that are sorted point into. */
struct segments {
	const struct segment *segments;
	const struct region *regions;
};

/* By object and offset. */
static bool is_before(const void *left, const void *right, const void *user)
{
	const struct segments *in = user;
	uint32_t a = *(const uint32_t *)left;
	uint32_t b = *(const uint32_t *)right;
	const struct region *ra = &in->regions[in->segments[a].region];
	const struct region *rb = &in->regions[in->segments[b].region];
	int order = compare_u64(ra->major, rb->major);

	order = order ? order : compare_u64(ra->minor, rb->minor);
	order = order ? order : compare_u64(ra->inode, rb->inode);
	order = order ? order : compare_u64(sysv(ra), sysv(rb));
	order = order ? order
		      : compare_u64(object_offset(&in->segments[a], ra),
				object_offset(&in->segments[b], rb));
	return order ? order < 0 : a < b;
}

/* Places behind at; the new end, or UINT64_MAX. */
static uint64_t place_one_by_one(
	struct segment *segments, const uint32_t *order, uint32_t count, uint64_t at)
{
	for (uint32_t i = 0; i < count; i++) {
		segments[order[i]].offset = at;
		at = add_sat(at, segments[order[i]].file_bytes);
	}
	return at;
}

/* The same for objects, each byte of which gets one place. */
static uint64_t place_objects(struct segment *segments, const struct region *regions,
	const uint32_t *order, uint32_t count, uint64_t at)
{
	const struct region *object = NULL; /* that ends at object_end in it, at `at` in the file */
	uint64_t object_end = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct segment *s = &segments[order[i]];
		const struct region *r = &regions[s->region];
		uint64_t from = object_offset(s, r);
		uint64_t end = add_sat(from, s->file_bytes);

		if (!object || !same_object(object, r) || from > object_end) {
			object = r;
			object_end = from;
		}
		s->offset = at - (object_end - from);
		if (end > object_end) {
			at = add_sat(at, end - object_end);
			object_end = end;
		}
	}
	return at;
}

uint64_t order_plan(struct segment *segments, uint32_t count, const struct region *regions,
	bool share, uint32_t *order, uint32_t first[ORDER_RANKS + 1])
{
	const struct segments in = {.segments = segments, .regions = regions};
	uint32_t n = 0;
	uint64_t at = 0;

	for (uint32_t rank = 0; rank < ORDER_RANKS; rank++) {
		first[rank] = n;
		for (uint32_t i = 0; i < count; i++)
			if (segments[i].rank == rank && segments[i].file_bytes)
				order[n++] = i;
		if (rank != REGION_FILE && (rank != REGION_SHARED || !share)) {
			at = place_one_by_one(segments, order + first[rank], n - first[rank], at);
			continue;
		}
		sort_in_place(order + first[rank], n - first[rank], sizeof(*order), is_before, &in);
		at = place_objects(segments, regions, order + first[rank], n - first[rank], at);
	}
	first[ORDER_RANKS] = n;
	for (uint32_t i = 0; i < count; i++)
		if (!segments[i].file_bytes)
			segments[i].offset = at;
	return at;
}
