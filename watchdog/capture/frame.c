// SPDX-License-Identifier: Apache-2.0
/*
 * Frames of a compressed core.
 *
 * zstd files may be concatenated, so a core is one: `zstd -d` unpacks it in one go. Each frame
 * stands for itself: several threads make them at once, one that is missing at the end costs what
 * it holds and nothing else, and holes take 4 bytes for 128 KiB (a block may repeat one byte).
 *
 * The head of a core, which is patched after it has been written, is not compressed: it lies in raw
 * frames, one block each, so that every byte of it has a place that can be computed, and the file
 * has valid headers at every moment, as the plain one.
 *
 * Memory is packed at LEVEL, the fastest of those that still use an entropy coder for literals: 1
 * GB/s on one core, a heap becomes a fourth to a tenth of its size, and a disk must be faster than
 * that for the target to wait longer than with a plain core. Frames have a checksum.
 *
 * Nothing is allocated after the start: the compressor works in memory of fixed size that we hand
 * it, which only the static part of zstd's API offers. Debian, Fedora and RHEL export it from their
 * shared library.
 *
 * Limits: a frame of 256 KiB is all that a match can be found in; with 1 MiB the files are 1 to 3 %
 * smaller, and our memory a megabyte larger.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include "capture/frame.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/checked.h"
#include "os/fd.h"

#define LEVEL (-1)
#define WINDOW_LOG 18 /* FRAME_BYTES */
#define BLOCK_BYTES (128U << 10)
#define BLOCK_LAST 1U
#define BLOCK_RLE (1U << 1)
#define BLOCK_SIZE_SHIFT 3

#define DESCRIPTOR_RAW 0xa0  /* four bytes of content size, one segment, no checksum */
#define DESCRIPTOR_ZERO 0x80 /* four bytes of content size, a window */
#define WINDOW_128K 0x38     /* 2 to the power of 10 + 7 */

_Static_assert(FRAME_BYTES == 1U << WINDOW_LOG, "a frame is one window");

struct frame_packer {
	ZSTD_CCtx *context; /* lies in memory[] */
	size_t size;
	_Alignas(64) unsigned char memory[];
};

static unsigned char *put_u32(unsigned char *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		*at++ = (unsigned char)(value >> (8 * i));
	return at;
}

static unsigned char *put_block(unsigned char *at, uint32_t header)
{
	for (int i = 0; i < 3; i++)
		*at++ = (unsigned char)(header >> (8 * i));
	return at;
}

void frame_raw_header(uint32_t len, unsigned char header[FRAME_RAW_HEADER_BYTES])
{
	unsigned char *at = put_u32(header, ZSTD_MAGICNUMBER);

	*at++ = DESCRIPTOR_RAW;
	at = put_u32(at, len);
	(void)put_block(at, BLOCK_LAST | len << BLOCK_SIZE_SHIFT);
}

uint64_t frame_head_at(uint64_t offset)
{
	return offset / FRAME_RAW_BYTES * (FRAME_RAW_BYTES + FRAME_RAW_HEADER_BYTES) +
		FRAME_RAW_HEADER_BYTES + offset % FRAME_RAW_BYTES;
}

uint64_t frame_head_size(uint64_t len)
{
	return len + (len + FRAME_RAW_BYTES - 1) / FRAME_RAW_BYTES * FRAME_RAW_HEADER_BYTES;
}

int frame_write_head(int fd, uint64_t total, uint64_t offset, const void *bytes, size_t len)
{
	const char *at = bytes;
	int r = 0;

	while (len && r == 0) {
		uint64_t start = offset / FRAME_RAW_BYTES * FRAME_RAW_BYTES;
		size_t n = min_u64(len, start + FRAME_RAW_BYTES - offset);

		if (offset == start) {
			unsigned char header[FRAME_RAW_HEADER_BYTES];

			frame_raw_header((uint32_t)min_u64(total - start, FRAME_RAW_BYTES), header);
			r = fd_write_all_at(
				fd, header, sizeof(header), frame_head_at(start) - sizeof(header));
		}
		if (r == 0)
			r = fd_write_all_at(fd, at, n, frame_head_at(offset));
		at += n;
		offset += n;
		len -= n;
	}
	return r;
}

size_t frame_zeros(uint64_t len, unsigned char ret[FRAME_ZERO_SIZE_MAX])
{
	unsigned char *at = put_u32(ret, ZSTD_MAGICNUMBER);

	*at++ = DESCRIPTOR_ZERO;
	*at++ = WINDOW_128K;
	at = put_u32(at, (uint32_t)len);
	while (len) {
		uint32_t n = (uint32_t)min_u64(len, BLOCK_BYTES);

		len -= n;
		at = put_block(at, (len ? 0 : BLOCK_LAST) | BLOCK_RLE | n << BLOCK_SIZE_SHIFT);
		*at++ = 0;
	}
	return (size_t)(at - ret);
}

/* --- packing ------------------------------------------------------------------------------- */

static int set_parameters(ZSTD_CCtx_params *params)
{
	if (ZSTD_isError(ZSTD_CCtxParams_init(params, LEVEL)) ||
		ZSTD_isError(ZSTD_CCtxParams_setParameter(params, ZSTD_c_windowLog, WINDOW_LOG)) ||
		ZSTD_isError(ZSTD_CCtxParams_setParameter(params, ZSTD_c_checksumFlag, 1)))
		return -ENOTSUP;
	return 0;
}

static int make_packer(const ZSTD_CCtx_params *params, struct frame_packer **ret)
{
	size_t size = ZSTD_estimateCCtxSize_usingCCtxParams(params);
	struct frame_packer *p;
	size_t bytes;

	if (ZSTD_isError(size))
		return -ENOTSUP;
	bytes = (sizeof(*p) + size + 63) / 64 * 64;
	p = aligned_alloc(64, bytes);
	if (!p)
		return -ENOMEM;
	memset(p, 0, bytes);
	p->size = size;
	p->context = ZSTD_initStaticCCtx(p->memory, size);
	if (!p->context ||
		ZSTD_isError(ZSTD_CCtx_setParametersUsingCCtxParams(p->context, params))) {
		free(p);
		return -ENOTSUP;
	}
	*ret = p;
	return 0;
}

int frame_packer_new(struct frame_packer **ret)
{
	ZSTD_CCtx_params *params = ZSTD_createCCtxParams();
	int r = params ? set_parameters(params) : -ENOMEM;

	if (r == 0)
		r = make_packer(params, ret);
	(void)ZSTD_freeCCtxParams(params); /* takes NULL */
	return r;
}

void frame_packer_free(struct frame_packer *p)
{
	free(p); /* the context lies in it */
}

size_t frame_pack(struct frame_packer *p, const void *bytes, size_t len, void *ret, size_t size)
{
	size_t n = ZSTD_compress2(p->context, ret, size, bytes, len);

	return ZSTD_isError(n) ? 0 : n;
}
