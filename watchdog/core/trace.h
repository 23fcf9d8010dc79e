/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes into the engine and what comes out of it, as lines of text: for replay, for tests, and
 * for a bug report that says what was seen. Pure, and it allocates nothing.
 *
 * A line is words between single spaces. The first says what it is, the rest are NAME=VALUE, in any
 * order, each at most once; what is left out has the value that is named here.
 *
 *   policy trip=KIND trip_bp= trip_bytes= eta= psi_bp= arm_bp= brake_bp= lease= lease_bp=
 *          hold_timeout= deadline= cooldown= shield= hold= verdict=
 *   means  shield= brake= freeze= stop= kernel_notice=
 *   event  KIND at=TIME ok= more=, and for a sample
 *          current= inactive_file= limit= auto= oom= oom_kill= level= some_bp= full_bp= under_oom=
 *          stat_fresh=                     (limit and auto: max where left out)
 *   action KIND from= to= method= verdict= reason= report= bytes= until=
 *
 * KIND and the other words are the printable names of their enums; of trip they are auto, share,
 * used and headroom. A time is a number of nanoseconds, or of us, ms or s with that behind it; a
 * size a number of bytes, or of K, M or G (powers of 1024); either may be max. A flag is 0 or 1.
 * Everything else left out is 0, the first of its enum. A sample is taken at the time of its event:
 * its now_ns is not written. Of a policy only what the engine looks at has a name.
 * An empty line, and one that begins with #, says nothing.
 */
#ifndef OOMSNAP_CORE_TRACE_H
#define OOMSNAP_CORE_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "core/engine.h"

enum trace_result {
	TRACE_NOTHING = 1, /* empty, or a comment */
	TRACE_BAD,	   /* a word that is not of this format, or a value that does not fit */
};

enum trace_kind { TRACE_POLICY, TRACE_MEANS, TRACE_EVENT, TRACE_ACTION, TRACE_KIND_COUNT };

struct trace_line {
	enum trace_kind kind;
	uint64_t at_ns; /* of an event */
	union {
		struct policy policy;
		struct engine_means means;
		struct engine_event event;
		struct engine_action action;
	};
};

/*
 * Reads len bytes at text, one line without its newline; they may be anything. 0, TRACE_NOTHING or
 * TRACE_BAD; *ret is written only on 0.
 */
int trace_read(const char *text, size_t len, struct trace_line *ret);

/*
 * Appends a line without a newline, which trace_read() makes the same struct of. False if it does
 * not fit, or for a value that has no name.
 */
bool trace_write(struct str *s, const struct trace_line *line);

#endif
