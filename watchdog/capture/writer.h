/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copy workers: threads that are made at start, wait, and share out the memory of a plan.
 */
#ifndef OOMSNAP_CAPTURE_WRITER_H
#define OOMSNAP_CAPTURE_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/capture.h"
#include "capture/copy.h"
#include "capture/plan.h"
#include "capture/sink.h"

struct capture_writer;

/*
 * Starts limits->copy_threads workers (1..WRITER_THREADS_MAX) with a touched buffer each. 0,
 * -ENOMEM, -EAGAIN, -EINVAL. writer_free() accepts NULL.
 */
#define WRITER_THREADS_MAX 4
int writer_new(const struct capture_limits *limits, struct capture_writer **ret);
void writer_free(struct capture_writer *w);

/* Whether a worker of an earlier capture has not come back from the kernel: no new one can begin.
 */
bool writer_busy(struct capture_writer *w);

/*
 * Begins to copy plan into fd. At first only segments below `known` may be taken; writer_known()
 * raises that, and writer_known_all() ends it. room_bytes, cache_bytes: see sink.h; cache_first:
 * the kernel will not hold back who fills so much. Does not wait.
 */
void writer_begin(struct capture_writer *w, struct capture_plan *plan, int fd, uint64_t room_bytes,
	uint64_t cache_bytes, bool cache_first);
void writer_known(struct capture_writer *w, uint64_t address);
/* swap_too: a compressed core, which begins now and knows no second round, has swapped pages. */
void writer_known_all(struct capture_writer *w, bool swap_too);

/* Asks for the end: missing are enum capture_missing bits, or COPY_STOP. */
void writer_stop(struct capture_writer *w, unsigned int missing);

enum writer_result {
	WRITER_DONE,	/* nothing left, or stopped */
	WRITER_TIMEOUT, /* until_ns passed */
};

/* Waits until the round is over or until_ns (CLOCK_MONOTONIC). */
enum writer_result writer_wait(struct capture_writer *w, uint64_t until_ns);

/*
 * Whether something has ended the copying for good, the caller's wish or what a worker met: what
 * was not copied by then stays so, and a second round would find nothing to do.
 */
bool writer_stopped(struct capture_writer *w);

/* Begins the second round: swapped pages. */
void writer_begin_swap(struct capture_writer *w);

/*
 * On the tracer thread: copies what the workers must leave, mappings without PROT_READ. Needs
 * writer_known_all(). Beside the workers; of a compressed core after them, since it appends,
 * and ends the file.
 */
void writer_copy_protected(struct capture_writer *w);

/*
 * Ends what writer_begin() began. Where a worker has not come back, or, tracer_late, the tracer, it
 * may go on with the descriptor of its core at any time later, which must not be another file's by
 * then: the writer keeps it until the next writer_begin(), and *fd, which was given to the last,
 * becomes another one of the same file. -errno where there is none to be had: *fd is then what it
 * was, and both have it.
 */
int writer_end(struct capture_writer *w, bool tracer_late, int *fd);

/* What has been counted so far, into the byte counts, missing and error of *ret. */
void writer_counts(struct capture_writer *w, struct capture_result *ret);

/*
 * How many bytes of a segment are in the core; of one that is the tracer's, all or none. Only after
 * WRITER_DONE of a round that is not the swap round, and not of a compressed core.
 */
uint64_t writer_copied_bytes(struct capture_writer *w, uint32_t segment);

/* See pack_end(). */
void writer_packed_end(struct capture_writer *w, uint64_t *ret_file, uint64_t *ret_core);

#endif
