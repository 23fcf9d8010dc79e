/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of capture/ share about one capture object. Nobody outside capture/ includes this.
 *
 *     capture.c   capture_new/run/free: the order of the steps
 *     prepare.c   seize, plan, create; transfer.c: the memory; why.c: sentences (run.h)
 *     place.c     where it goes: directory or output path, safe creation, removal
 *     settle.c    our note, durable data, captures that are set aside
 *     bundle.c    the files beside the core, finish, discard
 *     plan.c      what of the target goes into the core: threads, mappings, segments; region.c
 *                 which, reader.c which more for a runtime's reader, order.c and layout.c
 *                 where, head.c and notes.c what stands in front, flags.c what not, look.c what
 *                 the page tables say; budget.c page cache
 *     writer.c    copy workers; queue.c what is next, copy.c one stretch of memory, sink.c the
 * file; pack.c and frame.c compressed ones
 *
 * Only the thread inside capture_run() touches this structure; the copy workers and the tracer see
 * the parts that they are handed.
 */
#ifndef OOMSNAP_CAPTURE_INTERNAL_H
#define OOMSNAP_CAPTURE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/capture.h"

#define CAPTURE_NAME_MAX 256		   /* of one file name, terminator included */
#define CAPTURE_SCRATCH_BYTES (256U << 10) /* c->scratch */

/* Owned by place.c and bundle.c. Every descriptor is -1 when there is none, CLOEXEC otherwise. */
struct capture_place {
	int parent_fd;	  /* directory that the bundle, or the core of output mode, is made in */
	int bundle_fd;	  /* the .partial directory of this capture; stays -1 in output mode */
	int core_fd;	  /* the core, O_RDWR; open from capture_place_create() until finish,
			     abandon or discard */
	bool output_mode; /* capture_set_output() was used */
	bool allow_memory;
	bool created; /* something of this capture is on disk and not finished */
	char parent_path[CAPTURE_PATH_MAX];
	char final_name[CAPTURE_NAME_MAX];   /* bundle directory, or the core in output mode */
	char partial_name[CAPTURE_NAME_MAX]; /* what it is called until capture_finish() */
	char core_name[CAPTURE_NAME_MAX];    /* "core" or "core.zst"; output mode: partial_name */
};

struct capture_plan;   /* plan.h */
struct capture_writer; /* writer.h */
struct tracer;	       /* os/ptrace.h */
struct settle;	       /* settle.c */
struct run;	       /* run.h */

struct capture {
	struct capture_limits limits;
	struct capture_place place;
	struct capture_request request; /* of the running capture, else of the last one */
	struct capture_result result;	/* the same; capture_run() copies it out */
	unsigned char *scratch;		/* CAPTURE_SCRATCH_BYTES, page-aligned; free for use inside
					   one function of the thread in capture_run() or
					   capture_finish() */
	struct capture_plan *plan;
	struct capture_writer *writer;
	struct tracer *tracer;
	struct run
		*run; /* of the running capture; a tracer that was given up may look at it still */
	bool lost;    /* one was given up while it worked for a core */
	struct settle *settle;
	struct handover *handover;	   /* os/handover.h; NULL: nobody holds the process */
	const struct registers *registers; /* os/registers.h, with handover */
	bool ends; /* the process is killed instead of let go (capture_end_process()) */
};

/* --- place.c ------------------------------------------------------------------------------- */

/* For capture_new(): every descriptor -1, nothing created. */
void capture_place_init(struct capture_place *place);

/*
 * Creates parent/<target>-<utc>-<pid>.partial/ (0700) and the core in it (0600, O_EXCL), or, in
 * output mode, the temporary core beside its final name. Allocates nothing. Fills the names,
 * bundle_fd, core_fd, created, and c->result.path and .core_path with the partial names. What an
 * earlier capture left unfinished is forgotten (descriptors closed, files left).
 * request->pid and ->target name it; request->compress gives the suffix. 0 or a positive
 * enum capture_status with one sentence in why; after a failure nothing is left on disk.
 */
int capture_place_create(
	struct capture *c, const struct capture_request *request, char *why, size_t why_size);

/* Removes what capture_place_create() and bundle_snapshot() made, closes, empties result.path. */
void capture_place_abandon(struct capture *c);

/*
 * Closes the finished capture's files, so that the next one begins without: closing the last
 * descriptor of a core that somebody has deleted since frees its blocks, which took 30 ms.
 */
void capture_place_done(struct capture *c);

/* For capture_free(): closes every descriptor, removes nothing. */
void capture_place_close(struct capture *c);

/* --- bundle.c ------------------------------------------------------------------------------ */

/*
 * Writes the /proc files of the target (proc_fd: its directory in /proc) into the bundle as they
 * are now. Called while every thread stands still, so it must be quick; allocates nothing, may use
 * c->scratch. A file that cannot be read is left out. No-op in output mode. 0 or -errno of the
 * first write that failed (the capture goes on without).
 */
int bundle_snapshot(struct capture *c, int proc_fd);

#endif
