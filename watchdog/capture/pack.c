// SPDX-License-Identifier: Apache-2.0
/*
 * Appending to a compressed core.
 *
 * Where a frame begins is known when those before it are packed. So each lane packs on its own,
 * waits until all pieces before its own have a place, takes the next one, lets the following lane
 * have its turn, and writes: packing and writing go on side by side, and only the order is waited
 * for. Two lanes take pieces of the same size, so neither waits long.
 *
 * What cannot be packed into less than it is goes into raw frames. Zeros are not read again: a
 * piece that nothing was put into costs a frame of a few bytes.
 *
 * The file is whole up to the first piece that could not be written, or that a lane still writes;
 * the rest is cut off by the caller.
 */
#include "capture/pack.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "capture/frame.h"

struct lane {
	struct frame_packer *packer;
	unsigned char *image;
	uint64_t file; /* UINT64_MAX: it writes nothing */
	uint64_t core;
};

struct pack {
	pthread_mutex_t lock;
	pthread_cond_t turn;
	struct core_sink *sink;
	const atomic_uint *stop;
	uint64_t next; /* number of the piece whose turn it is */
	uint64_t file_at;
	uint64_t core_at;
	uint64_t broken_file; /* the first piece that was not written; UINT64_MAX: none */
	uint64_t broken_core;
	uint32_t count;
	struct lane lanes[];
};

int pack_new(uint32_t lanes, struct pack **ret)
{
	struct pack *p = calloc(1, sizeof(*p) + lanes * sizeof(p->lanes[0]));
	int r = 0;

	if (!p)
		return -ENOMEM;
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_cond_init(&p->turn, NULL);
	p->count = lanes;
	for (uint32_t i = 0; i < lanes && r == 0; i++) {
		p->lanes[i].file = UINT64_MAX;
		p->lanes[i].image = aligned_alloc(4096, FRAME_BYTES);
		if (p->lanes[i].image)
			memset(p->lanes[i].image, 0, FRAME_BYTES);
		r = p->lanes[i].image ? frame_packer_new(&p->lanes[i].packer) : -ENOMEM;
	}
	if (r) {
		pack_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void pack_free(struct pack *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < p->count; i++) {
		frame_packer_free(p->lanes[i].packer);
		free(p->lanes[i].image);
	}
	(void)pthread_cond_destroy(&p->turn);
	(void)pthread_mutex_destroy(&p->lock);
	free(p);
}

void pack_begin(struct pack *p, struct core_sink *sink, const atomic_uint *stop, uint64_t file_at,
	uint64_t core_at)
{
	p->sink = sink;
	p->stop = stop;
	p->next = 0;
	p->file_at = file_at;
	p->core_at = core_at;
	p->broken_file = p->broken_core = UINT64_MAX;
	for (uint32_t i = 0; i < p->count; i++) {
		p->lanes[i].file = UINT64_MAX;
		memset(p->lanes[i].image, 0, FRAME_BYTES); /* of a capture that was stopped */
	}
}

void pack_wake(struct pack *p)
{
	(void)pthread_mutex_lock(&p->lock);
	(void)pthread_cond_broadcast(&p->turn);
	(void)pthread_mutex_unlock(&p->lock);
}

unsigned char *pack_image(struct pack *p, uint32_t lane)
{
	return p->lanes[lane].image;
}

/* A place for size bytes, once it is the piece's turn. 0 or -ECANCELED. */
static int take_place(
	struct pack *p, struct lane *lane, const struct pack_piece *piece, uint64_t size)
{
	bool stopped;

	(void)pthread_mutex_lock(&p->lock);
	while (p->next != piece->number && !atomic_load(p->stop))
		(void)pthread_cond_wait(&p->turn, &p->lock);
	stopped = atomic_load(p->stop) != 0;
	if (!stopped) {
		lane->file = p->file_at;
		lane->core = piece->from;
		p->file_at += size;
		p->core_at = piece->to;
		p->next++;
		(void)pthread_cond_broadcast(&p->turn);
	}
	(void)pthread_mutex_unlock(&p->lock);
	return stopped ? -ECANCELED : 0;
}

static void leave_place(struct pack *p, struct lane *lane, int error)
{
	(void)pthread_mutex_lock(&p->lock);
	if (error && lane->file < p->broken_file) {
		p->broken_file = lane->file;
		p->broken_core = lane->core;
	}
	lane->file = UINT64_MAX;
	(void)pthread_mutex_unlock(&p->lock);
}

/* Raw frames of len bytes, each built in scratch, which holds FRAME_BYTES and so more than one. */
static int write_raw(struct pack *p, const struct lane *lane, size_t len, unsigned char *scratch,
	struct sink_window *window)
{
	uint64_t at = lane->file;
	int r = 0;

	for (size_t done = 0; done < len && r == 0;) {
		size_t n = min_u64(len - done, FRAME_RAW_BYTES);

		frame_raw_header((uint32_t)n, scratch);
		memcpy(scratch + FRAME_RAW_HEADER_BYTES, lane->image + done, n);
		r = sink_write(p->sink, window, scratch, FRAME_RAW_HEADER_BYTES + n, at);
		at += FRAME_RAW_HEADER_BYTES + n;
		done += n;
	}
	return r;
}

int pack_put(struct pack *p, uint32_t number, const struct pack_piece *piece,
	unsigned char *scratch, size_t scratch_bytes, struct sink_window *window)
{
	struct lane *lane = &p->lanes[number];
	size_t len = piece->to - piece->from;
	bool raw = false;
	size_t size;
	int r;

	if (piece->zeros) {
		size = frame_zeros(len, scratch);
	} else {
		size = frame_pack(lane->packer, lane->image, len, scratch, scratch_bytes);
		raw = size == 0;
		if (raw)
			size = frame_head_size(len);
	}
	r = take_place(p, lane, piece, size);
	if (r == 0) {
		r = raw ? write_raw(p, lane, len, scratch, window)
			: sink_write(p->sink, window, scratch, size, lane->file);
		leave_place(p, lane, r);
	}
	if (!piece->zeros)
		memset(lane->image, 0, len);
	return r;
}

void pack_end(struct pack *p, uint64_t *ret_file, uint64_t *ret_core)
{
	(void)pthread_mutex_lock(&p->lock);
	*ret_file = min_u64(p->file_at, p->broken_file);
	*ret_core = min_u64(p->core_at, p->broken_core);
	for (uint32_t i = 0; i < p->count; i++)
		if (p->lanes[i].file < *ret_file) {
			*ret_file = p->lanes[i].file;
			*ret_core = p->lanes[i].core;
		}
	(void)pthread_mutex_unlock(&p->lock);
}
