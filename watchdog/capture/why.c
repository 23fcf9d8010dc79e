// SPDX-License-Identifier: Apache-2.0
/*
 * One sentence about a capture that failed or is partial: what was met, and how to mend it where
 * that is known. Written into memory of the caller; a cut sentence is still the best there is.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/checked.h"
#include "base/str.h"
#include "capture/run.h"

int why_fail(struct run *run, int status, const char *format, ...)
{
	va_list args;
	struct str s;

	if (!run->why_size)
		return status;
	str_init(&s, run->why, run->why_size);
	va_start(args, format);
	(void)str_addv(&s, format, args); /* a cut sentence is still the best there is */
	va_end(args);
	return status;
}

int why_errno(struct run *run, int error, const char *doing)
{
	run->result->error = error;
	return why_fail(run,
		error == -ENOSPC || error == -EDQUOT ? CAPTURE_NO_SPACE : CAPTURE_FAILED,
		"process %d: cannot %s: %s", run->c->request.pid, doing, strerrordesc_np(-error));
}

/* A status or -errno of plan.c as one sentence. */
int why_process(struct run *run, int r, const char *doing)
{
	pid_t pid = run->c->request.pid;

	switch (r) {
	case CAPTURE_GONE:
		return why_fail(run, r, "process %d has ended, or another has its number now", pid);
	case CAPTURE_DENIED:
		return why_fail(run, r,
			"process %d: no right to %s; run as its user, or with CAP_SYS_PTRACE", pid,
			doing);
	case -ENOTSUP:
		run->result->error = r;
		return why_fail(
			run, CAPTURE_FAILED, "process %d is a 32-bit program: not supported", pid);
	default:
		return why_errno(run, r, doing);
	}
}

void why_partial(struct run *run)
{
	static const struct {
		uint32_t bit;
		const char *text;
	} reasons[] = {
		{CAPTURE_MISSING_DEADLINE, "the deadline passed"},
		{CAPTURE_MISSING_SPACE, "the disk, or what may be used of it, is full"},
		{CAPTURE_MISSING_IO, "writing failed"},
		{CAPTURE_MISSING_READ, "some pages could not be read"},
		{CAPTURE_MISSING_THREADS, "some threads have no registers"},
		{CAPTURE_MISSING_MAPPINGS, "it has more mappings than the table holds"},
		{CAPTURE_MISSING_EXITED, "the process ended meanwhile"},
		{CAPTURE_MISSING_SHARED, "no right to see all of its shared memory"},
		{CAPTURE_MISSING_SWAP, "swapped pages were left out"},
	};
	const char *separator = "";
	bool no_room = run->swap_has_no_room && run->result->missing & CAPTURE_MISSING_SWAP;
	struct str s;

	if (!run->why_size || !run->result->missing)
		return;
	str_init(&s, run->why, run->why_size);
	(void)str_addf(&s, "the core of process %d is partial: ", run->c->request.pid);
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (run->result->missing & reasons[i].bit) {
			(void)str_addf(&s, "%s%s", separator, reasons[i].text);
			separator = ", ";
		}
	if (no_room)
		(void)str_addf(&s, ", for which there is no room below its memory limit");
	if (run->result->error)
		(void)str_addf(&s, " (%s)", strerrordesc_np(-run->result->error));
}
