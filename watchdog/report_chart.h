/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chart of report.html: used memory and limit, growth, pressure, and the interventions on one
 * time axis, as an inline SVG.
 */
#ifndef OOMSNAP_REPORT_CHART_H
#define OOMSNAP_REPORT_CHART_H

#include <stdbool.h>

#include "base/str.h"
#include "report.h"

/* Whether there is enough history for a chart. */
bool report_chart_possible(const struct report *r);

/* The span of all that is known, and that from the trip to the end with a margin around it. */
void report_chart_whole(const struct report *r, uint64_t *ret_from_ns, uint64_t *ret_to_ns);
void report_chart_incident(const struct report *r, uint64_t *ret_from_ns, uint64_t *ret_to_ns);

/* Appends the SVG of [from_ns, to_ns]. label is its accessible name. */
void report_chart(
	struct str *s, const struct report *r, uint64_t from_ns, uint64_t to_ns, const char *label);

/* Appends text with everything escaped that means something in HTML; invalid UTF-8 becomes U+FFFD.
 */
void report_escape(struct str *s, const char *text);

/* Appends a moment relative to the trip: "-4 min 10 s", "+35.0 ms". */
void report_relative(struct str *s, const struct report *r, uint64_t at_ns);

#endif
