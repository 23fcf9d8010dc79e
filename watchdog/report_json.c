// SPDX-License-Identifier: Apache-2.0
/*
 * report.json: every fact of a capture under stable names (oomsnap-report(5) lists them).
 *
 * Rules that a reader may rely on: sizes are bytes and end in _bytes, times end in _ns and are
 * CLOCK_MONOTONIC of the machine, "at" beside them is the same moment as UTC text; what is unknown
 * or unlimited is null, never 0 or a huge number; addresses are hexadecimal strings, since JSON
 * numbers lose digits beyond 2^53. Strings that the target chose are escaped so that the file is
 * valid JSON whatever they hold.
 *
 * Commas are put by looking at what was written last, so that every value can be appended alone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/checked.h"
#include "report.h"

static void key(struct str *s, const char *name)
{
	char last = s->len ? s->text[s->len - 1] : '{';

	if (last == '\n' && s->len > 1)
		last = s->text[s->len - 2];
	if (last != '{' && last != '[' && last != ',')
		(void)str_add_char(s, ',');
	if (name)
		(void)str_addf(s, "\"%s\":", name);
}

static void put_u64(struct str *s, const char *name, uint64_t value)
{
	key(s, name);
	(void)str_add_u64(s, value);
}

static void put_size(struct str *s, const char *name, uint64_t value)
{
	key(s, name);
	if (value == SIZE_UNLIMITED)
		(void)str_add(s, "null");
	else
		(void)str_add_u64(s, value);
}

/* A time or count that 0 means "did not happen" for. */
static void put_known(struct str *s, const char *name, uint64_t value)
{
	put_size(s, name, value ? value : SIZE_UNLIMITED);
}

static void put_i64(struct str *s, const char *name, int64_t value)
{
	key(s, name);
	(void)str_addf(s, "%" PRId64, value);
}

static void put_bool(struct str *s, const char *name, bool value)
{
	key(s, name);
	(void)str_add(s, value ? "true" : "false");
}

static void put_str(struct str *s, const char *name, const char *text)
{
	key(s, name);
	(void)str_add_char(s, '"');
	(void)str_add_json(s, text, strlen(text));
	(void)str_add_char(s, '"');
}

static void put_address(struct str *s, const char *name, uint64_t value)
{
	key(s, name);
	(void)str_addf(s, "\"0x%" PRIx64 "\"", value);
}

/* "2026-03-01T12:00:00.123Z", or null for 0. */
static void put_utc(struct str *s, const char *name, const struct report *r, uint64_t at_ns)
{
	int64_t wall_ns = (int64_t)at_ns + r->wall_offset_ns;
	time_t seconds = (time_t)(wall_ns / (int64_t)NS_PER_S);
	char text[32];
	struct tm tm;

	key(s, name);
	if (!at_ns || wall_ns < 0 || !gmtime_r(&seconds, &tm) ||
		!strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))
		(void)str_add(s, "null");
	else
		(void)str_addf(s, "\"%s.%03dZ\"", text,
			(int)(wall_ns % (int64_t)NS_PER_S / (int64_t)NS_PER_MS));
}

static void open_object(struct str *s, const char *name)
{
	key(s, name);
	(void)str_add_char(s, '{');
}

static void open_array(struct str *s, const char *name)
{
	key(s, name);
	(void)str_add_char(s, '[');
}

/* --- the capture --------------------------------------------------------------------------- */

#define MISSINGS(X)                                                                            \
	X("deadline", "the deadline passed")                                                   \
	X("space", "there was no room left")                                                   \
	X("io", "writing failed")                                                              \
	X("read", "some pages could not be read")                                              \
	X("threads", "some threads have no registers")                                         \
	X("mappings", "the process has more mappings than the table holds")                    \
	X("exited", "the process ended meanwhile")                                             \
	X("shared", "we may not look for shared memory that is not mapped by the process now") \
	X("swap", "swapped pages were left out")

const char *report_missing_name(uint32_t bit_number)
{
#define X(name, words) name,
	static const char *const names[] = {MISSINGS(X)};
#undef X
	return bit_number < ARRAY_LEN(names) ? names[bit_number] : NULL;
}

const char *report_missing_words(uint32_t bit_number)
{
#define X(name, words) words,
	static const char *const all[] = {MISSINGS(X)};
#undef X
	return bit_number < ARRAY_LEN(all) ? all[bit_number] : NULL;
}

static void put_missing(struct str *s, uint32_t missing)
{
	open_array(s, "missing");
	for (uint32_t i = 0; report_missing_name(i); i++)
		if (missing & (1U << i))
			put_str(s, NULL, report_missing_name(i));
	(void)str_add_char(s, ']');
}

void report_json_capture(struct str *s, const struct report *r)
{
	const struct capture_result *c = r->result;

	(void)str_add_char(s, '{');
	put_str(s, "status", capture_status_name(c->status));
	put_bool(s, "complete", c->status == CAPTURE_OK);
	put_missing(s, c->missing);
	put_str(s, "why", r->why);
	put_i64(s, "error", c->error);
	put_str(s, "path", c->path);
	put_str(s, "core", c->core_path);
	put_str(s, "type", capture_kind_name(r->request->kind));
	put_str(s, "compress", compression_name(r->request->compress));
	put_i64(s, "signal", r->request->signal);
	put_i64(s, "pid", c->pid);
	put_i64(s, "pid_in_namespace", c->pid_in_namespace);
	put_u64(s, "uid", c->uid);
	put_u64(s, "gid", c->gid);
	key(s, "comm");
	(void)str_add_char(s, '"');
	(void)str_add_json(s, c->comm, strnlen(c->comm, sizeof(c->comm)));
	(void)str_add_char(s, '"');
	put_u64(s, "threads", c->threads);
	put_u64(s, "threads_without_registers", c->threads_without_registers);
	put_u64(s, "mappings", c->mappings);
	put_u64(s, "mappings_written", c->mappings_written);
	put_known(s, "begin_ns", c->begin_ns);
	put_known(s, "seized_ns", c->seized_ns);
	put_known(s, "copied_ns", c->copied_ns);
	put_known(s, "detached_ns", c->detached_ns);
	put_known(s, "durable_ns", c->durable_ns);
	put_u64(s, "pause_ns", sub_floor(c->detached_ns, c->begin_ns));
	put_u64(s, "memory_bytes", c->memory_bytes);
	put_u64(s, "zero_bytes", c->zero_bytes);
	put_u64(s, "core_bytes", c->core_bytes);
	put_u64(s, "file_bytes", c->file_bytes);
	put_u64(s, "skipped_bytes", c->skipped_bytes);
	put_u64(s, "dontdump_bytes", c->dontdump_bytes);
	put_u64(s, "swap_bytes", c->swap_bytes);
	(void)str_add_char(s, '}');
}

/* --- the incident -------------------------------------------------------------------------- */

static void put_incident(struct str *s, const struct report *r)
{
	const struct incident_record *i = r->record;

	open_object(s, "incident");
	put_known(s, "number", i->incident);
	put_str(s, "reason", trip_reason_name(i->reason));
	put_str(s, "guarantee", guarantee_name(i->guarantee));
	put_str(s, "hold", hold_method_name(i->hold));
	put_str(s, "verdict", verdict_name(i->verdict));
	put_bool(s, "shielded", i->shielded);
	put_bool(s, "leased", i->leased);
	put_bool(s, "lost", i->lost);
	put_bool(s, "orphaned", i->orphaned);
	put_utc(s, "at", r, i->trip_ns);
	put_known(s, "trip_ns", i->trip_ns);
	put_known(s, "held_ns", i->held_ns);
	put_known(s, "released_ns", i->released_ns);
	put_size(s, "limit_bytes", i->limit_bytes ? i->limit_bytes : SIZE_UNLIMITED);
	put_known(s, "trip_threshold_bytes", i->trip_threshold_bytes);
	put_known(s, "used_at_trip_bytes", i->used_at_trip_bytes);
	put_size(s, "headroom_trip_bytes", i->headroom_trip_bytes);
	put_size(s, "headroom_hold_bytes", i->headroom_hold_bytes);
	put_size(s, "headroom_end_bytes", i->headroom_end_bytes);
	put_u64(s, "rate_bytes_s", i->rate_bytes_s);
	put_u64(s, "oom_events_before", i->oom_events_before);
	put_u64(s, "oom_events_after", i->oom_events_after);
	put_u64(s, "oom_kills_before", i->oom_kills_before);
	put_u64(s, "oom_kills_after", i->oom_kills_after);
	(void)str_add(s, "},\n");
	open_array(s, "interventions");
	for (uint32_t n = 0; n < i->timeline_count && n < TIMELINE_MAX; n++) {
		const struct timeline_entry *t = &i->timeline[n];

		open_object(s, NULL);
		put_str(s, "what", intervention_name(t->what));
		put_utc(s, "at", r, t->at_ns);
		put_u64(s, "at_ns", t->at_ns);
		put_known(s, "used_bytes", t->used_bytes);
		(void)str_add(s, "}\n");
	}
	(void)str_add(s, "],\n");
}

static void put_history(struct str *s, const struct report *r)
{
	open_array(s, "history");
	for (uint32_t n = 0; r->history && n < r->history_count && n < HISTORY_MAX; n++) {
		const struct history_point *p = &r->history[n];

		open_object(s, NULL);
		put_u64(s, "at_ns", p->at_ns);
		put_u64(s, "used_bytes", p->used_bytes);
		put_size(s, "limit_bytes", p->limit_bytes);
		put_u64(s, "rate_bytes_s", p->rate_bytes_s);
		put_u64(s, "psi_some_bp", p->psi_some_bp);
		put_u64(s, "psi_full_bp", p->psi_full_bp);
		(void)str_add(s, "}\n");
	}
	(void)str_add(s, "],\n");
}

/* --- what the core itself says --------------------------------------------------------------- */

static void put_threads(struct str *s, const struct core_view *view)
{
	put_size(s, "threads_total", view ? view->threads : SIZE_UNLIMITED);
	open_array(s, "threads");
	for (uint32_t n = 0; view && n < view->thread_count; n++) {
		const struct core_view_thread *t = &view->thread[n];

		open_object(s, NULL);
		put_i64(s, "tid", t->tid);
		put_str(s, "name", t->name);
		put_bool(s, "registers", t->has_registers);
		put_address(s, "pc", t->pc);
		put_address(s, "sp", t->sp);
		put_str(s, "where", t->where);
		(void)str_add(s, "}\n");
	}
	(void)str_add(s, "],\n");
}

static void put_mappings(struct str *s, const struct core_view *view)
{
	open_array(s, "biggest_mappings");
	for (uint32_t n = 0; view && n < view->mapping_count; n++) {
		const struct core_view_mapping *m = &view->mapping[n];

		open_object(s, NULL);
		put_address(s, "start", m->start);
		put_u64(s, "bytes", m->bytes);
		put_u64(s, "file_bytes", m->file_bytes);
		put_u64(s, "data_bytes", m->data_bytes);
		key(s, "flags");
		(void)str_addf(s, "\"%c%c%c\"", m->flags & 4 ? 'r' : '-', m->flags & 2 ? 'w' : '-',
			m->flags & 1 ? 'x' : '-');
		put_str(s, "name", m->name);
		(void)str_add(s, "}\n");
	}
	(void)str_add(s, "]\n");
}

void report_json_view(struct str *s, const char *path, const struct core_view *view)
{
	(void)str_add_char(s, '{');
	put_u64(s, "version", REPORT_VERSION);
	put_str(s, "core", path);
	put_bool(s, "complete", core_view_complete(view));
	put_bool(s, "written_by_oomsnap", view->ours);
	put_bool(s, "finished", view->finished);
	put_missing(s, view->missing);
	put_bool(s, "compressed", view->compressed);
	put_i64(s, "machine", view->elf.machine);
	if (view->has_process) {
		put_i64(s, "pid", view->process.pid);
		put_u64(s, "uid", view->process.uid);
		put_u64(s, "gid", view->process.gid);
		put_str(s, "comm", view->process.comm);
		put_str(s, "command_line_begin", view->process.args);
	}
	put_u64(s, "mappings", view->elf.segments);
	put_u64(s, "memory_bytes", view->memory_bytes);
	put_u64(s, "written_bytes", view->written_bytes);
	put_u64(s, "absent_bytes", view->absent_bytes);
	put_u64(s, "core_bytes", view->elf.file_len);
	put_u64(s, "file_bytes", view->disk_bytes);
	put_u64(s, "threads_without_registers", view->threads_without_registers);
	(void)str_add(s, ",\n");
	put_threads(s, view);
	put_mappings(s, view);
	(void)str_add(s, "}\n");
}

void report_json(struct str *s, const struct report *r)
{
	(void)str_add_char(s, '{');
	put_u64(s, "version", REPORT_VERSION);
	put_str(s, "tool", "oomsnap " OOMSNAP_VERSION);
	put_str(s, "target", r->record ? r->record->target : r->request->target);
	put_str(s, "cgroup", r->record ? r->record->cgroup : "");
	put_utc(s, "at", r, r->result->begin_ns);
	(void)str_add(s, ",\n");
	key(s, "capture");
	report_json_capture(s, r);
	(void)str_add(s, ",\n");
	if (r->record)
		put_incident(s, r);
	put_history(s, r);
	if (r->view && r->view->has_process) {
		key(s, "command_line_begin");
		(void)str_add_char(s, '"');
		(void)str_add_json(s, r->view->process.args, strlen(r->view->process.args));
		(void)str_add(s, "\",\n");
	}
	if (!r->view && r->unread) {
		put_str(s, "unread", r->unread);
		(void)str_add(s, ",\n");
	}
	put_threads(s, r->view);
	put_mappings(s, r->view);
	(void)str_add(s, "}\n");
}
