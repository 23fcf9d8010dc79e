/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing to a file past the page cache, with several writes on their way at once, from buffers
 * that are taken in turns. One thread uses one of these.
 */
#ifndef OOMSNAP_OS_DIRECT_H
#define OOMSNAP_OS_DIRECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIRECT_SLOTS_MAX 16U
#define DIRECT_WRITES_MAX 32U	       /* on their way */
#define DIRECT_ALIGN_BYTES 4096U       /* of address, length and offset; no disk asks for more */
#define DIRECT_LEAST_BYTES (64U << 10) /* less is not worth an operation of the disk */

struct direct;

/* Called where the disk did not take a write, or not all of it: writes it otherwise, at once. */
typedef void direct_refused(void *user, const unsigned char *bytes, size_t len, uint64_t offset);

/*
 * buffers: count (1 to DIRECT_SLOTS_MAX) times slot_bytes, aligned to DIRECT_ALIGN_BYTES; they stay
 * the caller's and outlive it. 0, -ENOMEM, -EINVAL. Without asynchronous writes (io_setup(2): no
 * right, or too many in use) it works all the same, and takes no write. direct_free() accepts NULL.
 */
int direct_new(unsigned char *buffers, uint32_t count, size_t slot_bytes, struct direct **ret);
void direct_free(struct direct *d);

/*
 * From here on writes go to fd, which is open with O_DIRECT and stays the caller's until
 * direct_drain(); -1: none is taken. Nothing of an earlier file may be on its way.
 */
void direct_begin(struct direct *d, int fd, direct_refused *refused, void *user);

/* Opens the file of fd once more, with O_DIRECT, to write. The descriptor, or -errno where its file
 * system knows no such thing. open(2) */
int direct_open(int fd);

/* A buffer of which nothing is on its way; waits for one. It stays the current one. */
unsigned char *direct_buffer(struct direct *d);

/* Whether direct_buffer() would have another buffer than the current one without a wait. */
bool direct_ready(struct direct *d);

/*
 * Sends len bytes from the current buffer to offset. True: on their way, the bytes must stay until
 * direct_buffer() has given another buffer. False: not taken (less than DIRECT_LEAST_BYTES, not
 * aligned, no direct writes here): the caller writes them otherwise.
 */
bool direct_write(struct direct *d, const unsigned char *bytes, size_t len, uint64_t offset);

/* Waits until nothing is on its way. Without a bound, as write(2) has none. */
void direct_drain(struct direct *d);

#endif
