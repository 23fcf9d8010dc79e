/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The zstd frames (RFC 8878) that a compressed core is made of, one behind the other: raw ones for
 * its head, packed ones for memory, tiny ones for zeros. Any zstd reads the file as a whole.
 */
#ifndef OOMSNAP_CAPTURE_FRAME_H
#define OOMSNAP_CAPTURE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define FRAME_BYTES (256U << 10)	   /* of a core in one frame of memory, at most */
#define FRAME_RAW_BYTES (128U << 10)	   /* in a raw frame: one block, which can be no larger */
#define FRAME_RAW_HEADER_BYTES 12U	   /* in front of them */
#define FRAME_ZERO_BYTES_MAX (16ULL << 20) /* in one frame of zeros */
#define FRAME_ZERO_SIZE_MAX 522U	   /* what such a frame takes */

/* Writes the header of a raw frame of len bytes (1..FRAME_RAW_BYTES), which follow it. */
void frame_raw_header(uint32_t len, unsigned char header[FRAME_RAW_HEADER_BYTES]);

/* Where byte offset of a head of raw frames stands in the file; with its length, how long it is. */
uint64_t frame_head_at(uint64_t offset);
uint64_t frame_head_size(uint64_t len);

/*
 * Writes bytes of a head of total bytes, at offset of it, to their place in fd, and the headers of
 * frames that begin there. Also for patching: what stands around them stays. 0, -ENOSPC, -errno.
 */
int frame_write_head(int fd, uint64_t total, uint64_t offset, const void *bytes, size_t len);

/* A frame of len (1..FRAME_ZERO_BYTES_MAX) zeros, into ret; its size. */
size_t frame_zeros(uint64_t len, unsigned char ret[FRAME_ZERO_SIZE_MAX]);

/* One thread's means to pack memory. */
struct frame_packer;

/* Allocates and touches everything. 0, -ENOMEM, -ENOTSUP (another libzstd than the one that we were
 * built for). frame_packer_free() accepts NULL. */
int frame_packer_new(struct frame_packer **ret);
void frame_packer_free(struct frame_packer *p);

/*
 * Packs len (1..FRAME_BYTES) bytes into a frame of at most size bytes. Its size, or 0 where that is
 * too little, as it is for bytes without any order. Allocates nothing.
 */
size_t frame_pack(struct frame_packer *p, const void *bytes, size_t len, void *ret, size_t size);

#endif
