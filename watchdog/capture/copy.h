/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copying one stretch of a target's memory into its place in the core. One struct copier belongs to
 * one thread at a time.
 */
#ifndef OOMSNAP_CAPTURE_COPY_H
#define OOMSNAP_CAPTURE_COPY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/peers.h"
#include "capture/plan.h"
#include "capture/sink.h"
#include "os/direct.h"

#define COPY_RUNS_MAX 256

/* What a round does about swapped pages. */
enum copy_swap {
	COPY_SWAP_LATER, /* leaves them, and notes on the region that it has some */
	COPY_SWAP_ONLY,	 /* the second round: swapped pages, and nothing else */
	COPY_SWAP_TOO,	 /* takes them as they come */
};

#define COPY_WINDOW_PAGES \
	1024U /* of an object, looked at together; 4 MiB, as a piece of the queue */

struct copy_tally {
	_Atomic uint64_t memory_bytes;
	_Atomic uint64_t zero_bytes;
};

/* What all copiers of one capture share. */
struct copy_job {
	struct capture_plan *plan;
	struct core_sink *sink;
	enum copy_swap swap;
	atomic_uint stop; /* enum capture_missing bits, or COPY_STOP: end soon */
	atomic_int error; /* negative errno that made it end */
	struct copy_tally tally;
	struct copy_tally
		object_tally; /* the first round's of objects that the second takes whole */
	_Atomic uint64_t skipped_bytes;
	_Atomic uint64_t swap_bytes;
	atomic_uint missing; /* enum capture_missing bits that did not end it */
};
#define COPY_STOP (1U << 31) /* the caller's wish */

struct copier {
	struct copy_job *job;
	struct direct *direct; /* gives buffer; NULL: there is one, and no direct write */
	unsigned char *buffer;
	size_t buffer_bytes;
	bool fills_cache;	   /* rather than wait for the disk, as far as it may */
	bool prefers_cache;	   /* fills it first */
	uint64_t failed_from;	   /* in the file: the lowest that could not be written after all */
	struct sink_window window; /* of what this copier wrote lately */
	uint32_t file_region;	   /* whose file file_fd is */
	int file_fd;
	int file_error;
	bool protected;		  /* runs on the tracer thread, for mappings without PROT_READ */
	unsigned char *image;	  /* where bytes go instead of the file; NULL: to the file */
	uint64_t image_from;	  /* of the core: what image[0] stands for */
	bool image_used;	  /* something has been put there */
	struct copy_tally *tally; /* of the job: where what is copied now counts */
	unsigned char resident[COPY_WINDOW_PAGES]; /* mincore(2) of an object */
	struct page_run runs[COPY_RUNS_MAX];
	struct peers peers; /* who has mapped shared memory, too, that we may not open */
};

/* direct, or buffer where that is NULL: the caller's. */
void copy_init(struct copier *c, struct direct *direct, unsigned char *buffer, size_t buffer_bytes);
void copy_begin(struct copier *c, struct copy_job *job, bool protected);
/* Closes what is open, hands the last writes to the disk, and waits for those past the cache. */
void copy_end(struct copier *c);

/*
 * Copies [from, to) of a segment with room in the file, and of those it goes on through. False when
 * job->stop says to end, which a full disk, an I/O error or the end of the process make this
 * function set itself. A page that cannot be read stays a hole, is counted, and does not end
 * anything.
 */
bool copy_unit(struct copier *c, uint32_t segment, uint64_t from, uint64_t to);

/*
 * Whether the unit of segment `first` may go on through segment `next`: pages of the process that
 * follow each other in memory and in the file.
 */
bool copy_goes_on(const struct capture_plan *plan, uint32_t first, uint32_t next);

/* What sink_write() or pack_put() returned: notes it, and says to end unless it is 0. */
bool copy_wrote(struct copier *c, int r);

#endif
