/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reports of a bundle: report.json (every fact, stable names: oomsnap-report(5)) and
 * report.html (the same for people, one file, no script, nothing fetched).
 */
#ifndef OOMSNAP_REPORT_H
#define OOMSNAP_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "capture/capture.h"
#include "core/types.h"
#include "core_view.h"

#define REPORT_JSON_NAME "report.json"
#define REPORT_HTML_NAME "report.html"
#define REPORT_VERSION 1 /* of report.json; a key never changes its meaning under one version */

/* What a report is made of. Everything is borrowed. */
struct report {
	const struct capture_request *request;
	const struct capture_result *result;
	const char *why;		      /* one sentence; "" where there is nothing to say */
	const struct incident_record *record; /* NULL: unknown */
	const struct history_point *history;  /* oldest first; NULL: none was kept */
	uint32_t history_count;
	const struct core_view *view; /* NULL: the core could not be read back */
	const char *unread;	      /* why, in a few words; NULL: it was, or nobody tried */
	int64_t wall_offset_ns;	      /* CLOCK_REALTIME less CLOCK_MONOTONIC */
};

/*
 * Writes both reports into the bundle's directory (0600, O_EXCL). Allocates: only for use once the
 * target is released. 0, or -errno of the first that failed; a report that failed is removed.
 */
int report_write(int bundle_fd, const struct report *report);

/*
 * The same for a capture that capture_run() has just written: reads the core back for its threads
 * and mappings, with at most 8 MiB of memory for what it has to unpack. A core that takes more, or
 * that the disk has failed on, is not read, and the reports say so. Where the disk fails now, on
 * what was written, *result becomes that of a partial core, and why (why_size bytes), unless it has
 * a sentence, says so. history may be NULL, with history_count 0.
 */
int report_write_bundle(int bundle_fd, const struct capture_request *request,
	struct capture_result *result, const struct incident_record *record,
	const struct history_point *history, uint32_t history_count, char *why, size_t why_size);

/* Appends the whole of report.json (as one object, with newlines), or report.html. */
void report_json(struct str *s, const struct report *report);
void report_html(struct str *s, const struct report *report);

/* Appends one object on one line: the capture alone, for `dump --json`. */
void report_json_capture(struct str *s, const struct report *report);

/* Appends one object about a core alone, for `inspect --json`. */
void report_json_view(struct str *s, const char *path, const struct core_view *view);

/* The words for enum capture_missing bits: "deadline", "space", ...; NULL beyond the last. */
const char *report_missing_name(uint32_t bit_number);
/* The same as a sentence's part: "the deadline passed", ... */
const char *report_missing_words(uint32_t bit_number);

/* CLOCK_REALTIME less CLOCK_MONOTONIC, now. */
int64_t report_wall_offset_ns(void);

#endif
