/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One capture_run() in progress, and the steps that it is made of. Private to capture/.
 */
#ifndef OOMSNAP_CAPTURE_RUN_H
#define OOMSNAP_CAPTURE_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/internal.h"
#include "capture/plan.h"

/* What is known of one capture_run(). */
struct run {
	struct capture *c;
	struct capture_plan *plan;
	struct capture_result *result; /* c->result */
	capture_callback *callback;
	void *user;
	char *why;
	size_t why_size;
	uint64_t deadline_ns; /* UINT64_MAX: none */
	uint64_t realtime_ns;
	uint64_t room_bytes;
	uint64_t put_offset; /* head_write() has come so far */
	uint64_t seize_until_ns;
	int flags_error;
	bool threads_late;
	bool tracer_late;      /* it has not come back from the copy */
	bool swap_has_no_room; /* below the target's limit: then its swapped pages are left out */
};

static inline bool run_tell(struct run *run, enum capture_moment moment)
{
	return !run->callback || run->callback(run->user, moment, run->result);
}

/* --- prepare.c: each 0, or a positive enum capture_status with the sentence in run->why ------ */

/* Every thread in a ptrace stop, or, with run->threads_late, as many as would. */
int prepare_seize(struct run *run);
/* Tables and layout. */
int prepare_plan(struct run *run);
/* The bundle and the core in it, at its full length, with headers, notes and registers. */
int prepare_create(struct run *run);

/* --- transfer.c ---------------------------------------------------------------------------- */

/* Copies the memory, until it is done or must stop; what is missing stands in run->result. */
void transfer(struct run *run);

/* --- why.c: sentences for run->why ----------------------------------------------------------- */

/* Writes the sentence and returns status. */
int why_fail(struct run *run, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* "process 5: cannot DOING: ..."; keeps the error. CAPTURE_NO_SPACE or CAPTURE_FAILED. */
int why_errno(struct run *run, int error, const char *doing);
/* For what plan.c returns: a positive status or -errno. */
int why_process(struct run *run, int r, const char *doing);
/* What is missing from a partial core. */
void why_partial(struct run *run);

#endif
