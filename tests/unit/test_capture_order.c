// SPDX-License-Identifier: Apache-2.0
/*
 * The order of a core's file, places that segments share, the queue of pieces, and frames.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/checked.h"
#include "capture/frame.h"
#include "capture/order.h"
#include "capture/queue.h"
#include "parse/maps.h"

#define PAGE 4096U
#define KIB 1024ULL

/* A segment that is all of its region, `pages` long. */
#define SEGMENT(region_, pages, rank_)                                                         \
	{                                                                                      \
		.start = 0x10000000ULL * ((region_) + 1), .mem_bytes = (uint64_t)(pages)*PAGE, \
		.file_bytes = (uint64_t)(pages)*PAGE, .region = (region_), .rank = (rank_)     \
	}
#define REGION(index, pages, class_)                                                              \
	{                                                                                         \
		.start = 0x10000000ULL * ((index) + 1),                                           \
		.end = 0x10000000ULL * ((index) + 1) + (uint64_t)(pages)*PAGE, .class = (class_), \
		.source = REGION_PAGES, .prot = MAPS_READ                                         \
	}
#define VIEW(index, pages, inode_, offset_)                                         \
	{                                                                           \
		.start = 0x10000000ULL * ((index) + 1),                             \
		.end = 0x10000000ULL * ((index) + 1) + (uint64_t)(pages)*PAGE,      \
		.class = REGION_SHARED, .source = REGION_OBJECT, .prot = MAPS_READ, \
		.inode = (inode_), .offset_bytes = (uint64_t)(offset_)*PAGE         \
	}

static void test_ranks(void **state)
{
	struct region r = {.class = REGION_ANON, .source = REGION_PAGES, .prot = MAPS_READ};

	(void)state;
	assert_int_equal(REGION_ANON, order_rank_of(&r, false));
	assert_int_equal(ORDER_SWAPPED, order_rank_of(&r, true));
	r.prot = 0;
	assert_int_equal(ORDER_PROTECTED, order_rank_of(&r, false));
	assert_int_equal(ORDER_PROTECTED, order_rank_of(&r, true));
}

static void test_order(void **state)
{
	const struct region regions[4] = {REGION(0, 4, REGION_ANON), REGION(1, 2, REGION_RUNTIME),
		REGION(2, 1, REGION_STACK), REGION(3, 3, REGION_ANON)};
	struct segment s[4] = {SEGMENT(0, 4, REGION_ANON), SEGMENT(1, 2, REGION_RUNTIME),
		SEGMENT(2, 1, REGION_STACK), SEGMENT(3, 3, REGION_ANON)};
	uint32_t first[ORDER_RANKS + 1];
	uint32_t order[4];

	(void)state;
	s[1].file_bytes = 0;
	assert_int_equal(8 * PAGE, order_plan(s, 4, regions, true, order, first));
	assert_int_equal(2, order[0]);
	assert_int_equal(0, order[1]);
	assert_int_equal(3, order[2]);
	assert_int_equal(3, first[ORDER_RANKS]);
	assert_int_equal(1, first[REGION_RUNTIME]);
	assert_int_equal(1, first[REGION_ANON]);
	assert_int_equal(3, first[REGION_SHARED]);
	assert_int_equal(0, s[2].offset);
	assert_int_equal(PAGE, s[0].offset);
	assert_int_equal(5 * PAGE, s[3].offset);
	assert_int_equal(8 * PAGE, s[1].offset); /* no room: at the end */
}

/* Three views of one object and one of another: 0-8, 2-4, 6-12 and 20-21; each byte once. */
static void test_shared(void **state)
{
	const struct region regions[5] = {VIEW(0, 6, 9, 6), VIEW(1, 8, 9, 0), VIEW(2, 3, 10, 0),
		VIEW(3, 2, 9, 2), VIEW(4, 1, 9, 20)};
	struct segment s[5] = {SEGMENT(0, 6, REGION_SHARED), SEGMENT(1, 8, REGION_SHARED),
		SEGMENT(2, 3, REGION_SHARED), SEGMENT(3, 2, REGION_SHARED),
		SEGMENT(4, 1, REGION_SHARED)};
	struct segment apart[5];
	uint32_t first[ORDER_RANKS + 1];
	uint32_t order[5];

	(void)state;
	memcpy(apart, s, sizeof(s));
	assert_int_equal((12 + 1 + 3) * PAGE, order_plan(s, 5, regions, true, order, first));
	assert_int_equal(0, s[1].offset);
	assert_int_equal(2 * PAGE, s[3].offset);
	assert_int_equal(6 * PAGE, s[0].offset);
	assert_int_equal(12 * PAGE, s[4].offset);
	assert_int_equal(13 * PAGE, s[2].offset);
	assert_int_equal(20 * PAGE, order_plan(apart, 5, regions, false, order, first));
}

/* Clean pages of one file, mapped in two ways: always at one place. */
static void test_file(void **state)
{
	struct region regions[3] = {VIEW(0, 8, 9, 0), VIEW(1, 2, 9, 3), VIEW(2, 2, 8, 3)};
	struct segment s[3] = {
		SEGMENT(0, 8, REGION_FILE), SEGMENT(1, 2, REGION_FILE), SEGMENT(2, 2, REGION_FILE)};
	uint32_t first[ORDER_RANKS + 1];
	uint32_t order[3];

	(void)state;
	assert_int_equal(10 * PAGE, order_plan(s, 3, regions, false, order, first));
	assert_int_equal(s[0].offset + 3 * PAGE, s[1].offset);
	assert_int_equal(0, s[2].offset);
}

/* Two objects of one device and inode, one of which is a System V segment. */
static void test_same_inode(void **state)
{
	struct region regions[4] = {
		VIEW(0, 4, 9, 0), VIEW(1, 4, 9, 0), VIEW(2, 4, 9, 0), VIEW(3, 4, 9, 0)};
	struct segment s[4] = {SEGMENT(0, 4, REGION_SHARED), SEGMENT(1, 4, REGION_SHARED),
		SEGMENT(2, 4, REGION_SHARED), SEGMENT(3, 4, REGION_SHARED)};
	uint32_t first[ORDER_RANKS + 1];
	uint32_t order[4];

	(void)state;
	regions[0].flags = regions[2].flags = REGION_SYSV;
	assert_int_equal(8 * PAGE, order_plan(s, 4, regions, true, order, first));
	assert_int_equal(s[0].offset, s[2].offset);
	assert_int_equal(s[1].offset, s[3].offset);
	assert_int_not_equal(s[0].offset, s[1].offset);
}

/* --- the queue ----------------------------------------------------------------------------- */

/* A plan of these segments and regions, in memory of its own. */
static struct capture_plan *plan_of(struct segment *segments, struct region *regions,
	uint32_t count, uint32_t *order, bool packed)
{
	struct capture_plan *plan = calloc(1, sizeof(*plan));
	uint64_t bytes;

	assert_non_null(plan);
	plan->segments = segments;
	plan->regions = regions;
	plan->segment_count = plan->region_count = count;
	plan->order = order;
	plan->packed = packed;
	bytes = order_plan(segments, count, regions, true, order, plan->order_first);
	assert_int_equal(0, layout_plan(segments, count, bytes, 64, PAGE, &plan->layout));
	return plan;
}

/* Every byte of every segment is given out once, in known address order or at once. */
static void test_queue(void **state)
{
	struct region regions[4] = {REGION(0, 4, REGION_ANON), REGION(1, 2, REGION_RUNTIME),
		REGION(2, 1, REGION_STACK), REGION(3, 9000, REGION_ANON)};
	struct segment s[4] = {SEGMENT(0, 4, REGION_ANON), SEGMENT(1, 2, REGION_RUNTIME),
		SEGMENT(2, 1, REGION_STACK), SEGMENT(3, 9000, REGION_ANON)};
	uint32_t order[4];
	struct capture_plan *plan = plan_of(s, regions, 4, order, false);
	struct queue_piece piece;
	struct queue q = {.plan = NULL};
	uint64_t bytes = 0;

	(void)state;
	queue_begin(&q, plan, false, false);
	assert_int_equal(QUEUE_UNKNOWN, queue_next(&q, ORDER_PROTECTED, &piece));
	q.known = regions[0].end; /* the heap is known first, and may be taken */
	assert_int_equal(QUEUE_PIECE, queue_next(&q, ORDER_PROTECTED, &piece));
	assert_int_equal(s[0].offset, piece.from);
	assert_int_equal(4 * PAGE, piece.to - piece.from);
	assert_int_equal(0, queue_copied_bytes(&q, &s[2]));
	q.known = UINT64_MAX;
	assert_int_equal(QUEUE_PIECE, queue_next(&q, ORDER_PROTECTED, &piece));
	assert_int_equal(s[2].offset, piece.from); /* the stack */
	assert_int_equal(QUEUE_PIECE, queue_next(&q, ORDER_PROTECTED, &piece));
	assert_int_equal(s[1].offset, piece.from);
	while (queue_next(&q, ORDER_PROTECTED, &piece) == QUEUE_PIECE) {
		assert_int_equal(s[3].offset + bytes, piece.from);
		bytes += piece.to - piece.from;
	}
	assert_int_equal(9000ULL * PAGE, bytes);
	assert_int_equal(9000ULL * PAGE, queue_copied_bytes(&q, &s[3]));
	queue_broken(&q, &piece); /* the last one */
	assert_int_equal(piece.from - s[3].offset, queue_copied_bytes(&q, &s[3]));
	free(plan);
}

/* Where there may be too little room, heaps wait for what is worth more. */
static void test_queue_tight(void **state)
{
	struct region regions[2] = {REGION(0, 4, REGION_ANON), REGION(1, 2, REGION_STACK)};
	struct segment s[2] = {SEGMENT(0, 4, REGION_ANON), SEGMENT(1, 2, REGION_STACK)};
	uint32_t order[2];
	struct capture_plan *plan = plan_of(s, regions, 2, order, false);
	struct queue_piece piece;
	struct queue q = {.plan = NULL};

	(void)state;
	queue_begin(&q, plan, true, false);
	q.known = regions[0].end;
	assert_int_equal(QUEUE_UNKNOWN, queue_next(&q, ORDER_PROTECTED, &piece));
	free(plan);
}

/* A compressed core comes in one piece after the other, without a gap, to the end of the file. */
static void test_queue_packed(void **state)
{
	struct region regions[5] = {REGION(0, 300, REGION_ANON), REGION(1, 2, REGION_RUNTIME),
		REGION(2, 9000, REGION_STACK), REGION(3, 1, REGION_ANON),
		REGION(4, 1, REGION_ANON)};
	struct segment s[5] = {SEGMENT(0, 300, REGION_ANON), SEGMENT(1, 2, REGION_RUNTIME),
		SEGMENT(2, 9000, REGION_STACK), SEGMENT(3, 1, REGION_ANON),
		SEGMENT(4, 1, ORDER_PROTECTED)};
	uint32_t order[5];
	struct capture_plan *plan = plan_of(s, regions, 5, order, true);
	uint64_t at = plan->layout.data_offset;
	struct queue_piece piece;
	struct queue q = {.plan = NULL};
	uint64_t zeros = 0;
	uint64_t number = 0;

	(void)state;
	s[2].file_bytes = 0; /* left out after it was laid out */
	queue_begin(&q, plan, false, false);
	assert_int_equal(QUEUE_UNKNOWN, queue_next(&q, ORDER_PROTECTED, &piece));
	q.known = UINT64_MAX;
	for (int end = ORDER_PROTECTED; end <= ORDER_RANKS; end++)
		while (queue_next(&q, (enum order_rank)end, &piece) == QUEUE_PIECE) {
			assert_int_equal(number++, piece.number);
			assert_int_equal(at, piece.from);
			assert_in_range(piece.to - piece.from, 1,
				piece.zeros ? FRAME_ZERO_BYTES_MAX : FRAME_BYTES);
			zeros += piece.zeros ? piece.to - piece.from : 0;
			at = piece.to;
		}
	assert_int_equal(plan->layout.file_bytes, at);
	assert_int_equal(9000ULL * PAGE, zeros);
	free(plan);
}

/* --- frames -------------------------------------------------------------------------------- */

static void check_unpacks(const void *packed, size_t size, const unsigned char *plain, size_t len)
{
	unsigned char *out = malloc(len + 1);

	assert_non_null(out);
	assert_int_equal(len, ZSTD_decompress(out, len + 1, packed, size));
	assert_memory_equal(plain, out, len);
	free(out);
}

static void test_zero_frames(void **state)
{
	static const uint64_t lengths[] = {1, 4096, 128 * KIB, 128 * KIB + 1, FRAME_ZERO_BYTES_MAX};
	unsigned char *zeros = calloc(1, FRAME_ZERO_BYTES_MAX);
	unsigned char frame[FRAME_ZERO_SIZE_MAX];

	(void)state;
	assert_non_null(zeros);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		size_t size = frame_zeros(lengths[i], frame);

		assert_true(size <= sizeof(frame));
		assert_int_equal(lengths[i], ZSTD_getFrameContentSize(frame, size));
		assert_int_equal(size, ZSTD_findFrameCompressedSize(frame, size));
		check_unpacks(frame, size, zeros, lengths[i]);
	}
	free(zeros);
}

/* A head in raw frames, written in odd pieces and patched across the end of a frame. */
static void test_head(void **state)
{
	const size_t len = 300 * KIB + 17;
	unsigned char *head = malloc(len);
	unsigned char *file = malloc(len + 4096);
	FILE *f = tmpfile();
	ssize_t size;

	(void)state;
	assert_non_null(head);
	assert_non_null(file);
	assert_non_null(f);
	for (size_t i = 0; i < len; i++)
		head[i] = (unsigned char)(i * 31 >> 3);
	for (size_t at = 0; at < len;) {
		size_t n = min_u64(len - at, 70001);

		assert_int_equal(0, frame_write_head(fileno(f), len, at, head + at, n));
		at += n;
	}
	memset(head + 128 * KIB - 50, 0xee, 100);
	assert_int_equal(
		0, frame_write_head(fileno(f), len, 128 * KIB - 50, head + 128 * KIB - 50, 100));
	size = pread(fileno(f), file, len + 4096, 0);
	assert_int_equal(frame_head_size(len), size);
	check_unpacks(file, (size_t)size, head, len);
	(void)fclose(f);
	free(file);
	free(head);
}

static void test_pack_one(void **state)
{
	struct frame_packer *p;
	unsigned char *bytes = malloc(FRAME_BYTES);
	unsigned char *out = malloc(FRAME_BYTES);

	(void)state;
	assert_non_null(bytes);
	assert_non_null(out);
	assert_int_equal(0, frame_packer_new(&p));
	/* Short ones after long ones, many times: the packer's memory stays as it is. */
	for (size_t i = 0; i < 400; i++) {
		size_t len = i % 3 ? FRAME_BYTES : PAGE * (1 + i % 7);
		size_t size;

		for (size_t k = 0; k < len; k++)
			bytes[k] = (unsigned char)(k * k >> (i % 11));
		size = frame_pack(p, bytes, len, out, FRAME_BYTES);
		if (size)
			check_unpacks(out, size, bytes, len);
		assert_true(size || i % 11 < 2);
	}
	for (size_t k = 0; k < FRAME_BYTES; k += 4) {
		uint32_t noise = (uint32_t)(k * 2654435761U) ^ (uint32_t)(k * 40503U << 16);

		memcpy(bytes + k, &noise, sizeof(noise));
	}
	assert_int_equal(0, frame_pack(p, bytes, FRAME_BYTES, out, 1000));
	frame_packer_free(p);
	free(out);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranks),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_same_inode),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_queue),
		cmocka_unit_test(test_queue_tight),
		cmocka_unit_test(test_queue_packed),
		cmocka_unit_test(test_zero_frames),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_pack_one),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
