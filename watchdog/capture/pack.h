/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compressed core as a place to append to, from several threads at once: pieces of the core are
 * packed side by side and stand in the file in the order of the core.
 */
#ifndef OOMSNAP_CAPTURE_PACK_H
#define OOMSNAP_CAPTURE_PACK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "capture/sink.h"

struct pack;

/* With means for so many threads (lanes). 0, or what frame_packer_new() returned. */
int pack_new(uint32_t lanes, struct pack **ret);
void pack_free(struct pack *p); /* accepts NULL */

/*
 * Begins a core: file_at is the length of the compressed file so far, core_at what that unpacks to.
 * stop: not 0 ends every wait; who sets it calls pack_wake(). All of them borrowed until
 * pack_end().
 */
void pack_begin(struct pack *p, struct core_sink *sink, const atomic_uint *stop, uint64_t file_at,
	uint64_t core_at);
void pack_wake(struct pack *p);

/* The lane's FRAME_BYTES of zeros, to be filled; pack_put() leaves them zeros again. */
unsigned char *pack_image(struct pack *p, uint32_t lane);

struct pack_piece {
	uint64_t number; /* from 0, without a gap, in the order of the core */
	uint64_t from;	 /* of the core; the end of the piece before */
	uint64_t to;
	bool zeros; /* nothing else is in it: up to FRAME_ZERO_BYTES_MAX, image ignored */
};

/*
 * Appends a piece, from the lane's image (at most FRAME_BYTES) where it is not zeros; waits for the
 * pieces before it. scratch: buffer of scratch_bytes, at least FRAME_BYTES. 0, -ECANCELED where
 * stop says so, or what sink_write() returned.
 */
int pack_put(struct pack *p, uint32_t lane, const struct pack_piece *piece, unsigned char *scratch,
	size_t scratch_bytes, struct sink_window *window);

/*
 * How far the core is whole: bytes of the file, and what they unpack to. What was being written by
 * a lane that has not come back does not count.
 */
void pack_end(struct pack *p, uint64_t *ret_file, uint64_t *ret_core);

#endif
