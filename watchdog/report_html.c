// SPDX-License-Identifier: Apache-2.0
/*
 * report.html: what happened, for people. One file without scripts and without anything to fetch,
 * so it can be attached to a ticket and opened anywhere; a Content-Security-Policy forbids what we
 * do not use, should something the target chose slip through after all. Every name, path and
 * command line passes report_escape().
 *
 * It answers in this order: what happened and is the core whole (head), how close was it (figures,
 * guarantee margin), how did it come to that (chart, interventions), where is the memory (biggest
 * mappings), what was everybody doing (threads), and what is missing.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "amount.h"
#include "base/checked.h"
#include "report.h"
#include "report_chart.h"

#define SHOWN_THREADS 256
#define SHOWN_MAPPINGS 30
#define INCIDENT_ZOOM 8 /* a second chart where the incident is a smaller part than this */

static const char style[] =
	":root{--bg:#f6f7f9;--card:#fff;--fg:#1c2330;--dim:#626d7f;--line:#dde2ea;--used:#2f6fde;"
	"--used-fill:#2f6fde2e;--limit:#c8322b;--trip:#c77700;--rate:#7a4fd0;--rate-fill:#7a4fd02e;"
	"--psi:#d9822b;--psi-fill:#d9822b33;--full:#b3261e;--full-fill:#b3261e44;--mark:#4a5568;"
	"--good:#1b7f4b;--bad:#c8322b;--warn:#b26a00}"
	"@media(prefers-color-scheme:dark){:root{--bg:#12161d;--card:#1a202a;--fg:#e3e8f0;"
	"--dim:#93a0b4;--line:#2c3543;--used:#6ea0ff;--used-fill:#6ea0ff33;--limit:#ff7a70;"
	"--trip:#f2b04c;--rate:#b292ff;--rate-fill:#b292ff33;--psi:#f0a357;--psi-fill:#f0a35733;"
	"--full:#ff8a80;--full-fill:#ff8a8044;--mark:#a9b4c6;--good:#57c98c;--bad:#ff7a70;"
	"--warn:#f2b04c}}"
	"*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);"
	"font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}"
	"main{max-width:1040px;margin:0 auto;padding:28px 20px 60px}"
	"h1{font-size:25px;margin:0 12px 0 0;display:inline;overflow-wrap:anywhere}"
	"h2{font-size:16px;margin:0 0 12px}"
	"p.lead{margin:8px 0 22px;color:var(--dim);overflow-wrap:anywhere}"
	"section{background:var(--card);border:1px solid var(--line);border-radius:10px;"
	"padding:18px 20px;margin:0 0 18px;overflow-x:auto}"
	".badge{display:inline-block;border-radius:99px;padding:2px 12px;font-size:13px;"
	"font-weight:600;color:#fff;vertical-align:5px;margin-right:6px}"
	".badge.good{background:#1b7f4b}.badge.bad{background:#c8322b}.badge.warn{background:#"
	"b26a00}"
	".figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(145px,1fr));gap:12px;"
	"margin:0 0 18px}.figure{background:var(--card);border:1px solid var(--line);"
	"border-radius:10px;padding:12px 14px}.figure "
	"b{display:block;font-size:21px;line-height:1.3;"
	"font-weight:650}.figure b.word{font-size:15px;line-height:1.56}.figure "
	"span{color:var(--dim);font-size:13px}"
	"table{border-collapse:collapse;width:100%;font-size:13.5px}"
	"th{text-align:left;color:var(--dim);font-weight:500;border-bottom:1px solid var(--line);"
	"padding:4px 14px 4px 0;white-space:nowrap}"
	"td{padding:4px 14px 4px 0;border-bottom:1px solid var(--line);vertical-align:top;"
	"overflow-wrap:anywhere}tr:last-child td{border-bottom:0}"
	"td.a{white-space:nowrap}td.n,th.n{text-align:right;white-space:nowrap;font-variant-"
	"numeric:tabular-nums}"
	"code,td.c{font:12.5px/1.5 ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace}"
	".bar{display:block;height:9px;margin-top:6px;border-radius:3px;background:var(--used);"
	"min-width:1px}td.b{width:24%;min-width:90px}"
	".dim{color:var(--dim)}ul{margin:0;padding-left:20px}dl{display:grid;"
	"grid-template-columns:max-content 1fr;gap:3px 18px;margin:0;font-size:13.5px}"
	"dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}"
	"svg{display:block;width:100%;min-width:640px;height:auto}"
	"svg text{font-family:inherit;font-size:11px;fill:var(--dim)}"
	"svg .end{text-anchor:end}svg .middle{text-anchor:middle}"
	"svg .caption{font-size:12px;font-weight:600;fill:var(--fg)}"
	"svg .level{font-size:11px;font-weight:600;fill:var(--fg)}"
	"svg .number{font-size:10px;font-weight:700;fill:var(--card)}"
	"svg line.grid{stroke:var(--line)}svg line.axis{stroke:var(--dim)}"
	"svg line.none{stroke:none}"
	"svg polyline{fill:none;stroke-width:1.6}svg .limit{stroke:var(--limit);stroke-width:1.6}"
	"svg .threshold{stroke:var(--trip);stroke-width:1.4;stroke-dasharray:6 4}"
	"svg .used{fill:var(--used-fill);stroke:var(--used);stroke-width:1.6}"
	"svg .rate{fill:var(--rate-fill);stroke:var(--rate);stroke-width:1.3}"
	"svg .psi-some{fill:var(--psi-fill);stroke:var(--psi);stroke-width:1.2}"
	"svg .psi-full{fill:var(--full-fill);stroke:var(--full);stroke-width:1.2}"
	"svg line.mark{stroke:var(--mark);stroke-dasharray:2 3}svg circle.mark{fill:var(--mark)}"
	".dot{display:inline-block;min-width:19px;height:19px;border-radius:99px;text-align:center;"
	"background:var(--mark);color:var(--card);font:700 11px/19px sans-serif}"
	".good-text{color:var(--good);font-weight:600}.bad-text{color:var(--bad);font-weight:600}"
	"footer{color:var(--dim);font-size:12.5px}"
	"@media print{body{background:#fff}section,.figure{break-inside:avoid}}";

/* What each intervention means, in the words of a reader who has not read our design. */
static const char *meaning(enum intervention what)
{
	static const char *const words[INTERVENTION_COUNT] = {
		[INTERVENTION_ARM] = "memory was getting short; protections prepared",
		[INTERVENTION_SHIELD] = "the kernel was kept from killing it",
		[INTERVENTION_BRAKE] = "allocations were slowed down",
		[INTERVENTION_TRIP] = "the decision to capture",
		[INTERVENTION_HOLD] = "it was made to stand still",
		[INTERVENTION_LEASE] = "the limit was raised for the time of the capture",
		[INTERVENTION_SEIZED] = "every thread stood still",
		[INTERVENTION_COPIED] = "all memory had been copied",
		[INTERVENTION_DETACHED] = "the capturer let go of it",
		[INTERVENTION_RELEASE] = "it was released; everything was undone",
		[INTERVENTION_DURABLE] = "the core was safe on disk",
		[INTERVENTION_LOST] = "the kernel killed a process of it",
		[INTERVENTION_UNSHIELD] = "the kernel could kill it again",
	};

	return (unsigned int)what < INTERVENTION_COUNT && words[what] ? words[what] : "";
}

static const char *reason_words(enum trip_reason reason)
{
	static const char *const words[TRIP_REASON_COUNT] = {
		[TRIP_REASON_NONE] = "captured",
		[TRIP_REASON_USED] = "captured because its memory reached the threshold",
		[TRIP_REASON_ETA] = "captured because at its growth the limit was near",
		[TRIP_REASON_PSI] = "captured because of memory pressure",
		[TRIP_REASON_LIMIT] = "captured at its limit, where the shield held",
		[TRIP_REASON_TRIPWIRE] = "stopped at the threshold inside the kernel, and captured",
		[TRIP_REASON_MANUAL] = "captured by hand",
	};

	return (unsigned int)reason < TRIP_REASON_COUNT ? words[reason] : "captured";
}

static void add_utc(struct str *s, const struct report *r, uint64_t at_ns)
{
	int64_t wall_ns = (int64_t)at_ns + r->wall_offset_ns;
	time_t seconds = (time_t)(wall_ns / (int64_t)NS_PER_S);
	char text[64];
	struct tm tm;

	if (gmtime_r(&seconds, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm))
		(void)str_add(s, text);
}

/* A fact: name and, between begin and end, its value. */
static void fact(struct str *s, const char *name, const char *value)
{
	(void)str_addf(s, "<dt>%s</dt><dd>", name);
	report_escape(s, value);
	(void)str_add(s, "</dd>\n");
}

static void size_fact(struct str *s, const char *name, uint64_t bytes)
{
	(void)str_addf(s, "<dt>%s</dt><dd>", name);
	amount_size(s, bytes);
	(void)str_add(s, "</dd>\n");
}

/* --- head ---------------------------------------------------------------------------------- */

static void head(struct str *s, const struct report *r)
{
	const struct capture_result *c = r->result;
	const struct incident_record *i = r->record;
	char comm[sizeof(c->comm) + 1] = "";

	memcpy(comm, c->comm, sizeof(c->comm));
	(void)str_add(s, "<h1>");
	report_escape(s, i && i->target[0] ? i->target : r->request->target);
	(void)str_add(s, "</h1>");
	(void)str_add(s,
		c->status == CAPTURE_OK ? "<span class=\"badge good\">core complete</span>"
					: "<span class=\"badge warn\">core partial</span>");
	if (i && i->lost)
		(void)str_add(s, "<span class=\"badge bad\">lost to the OOM killer</span>");
	if (i && i->orphaned)
		(void)str_add(s, "<span class=\"badge bad\">the watchdog died</span>");
	(void)str_addf(s, "<p class=\"lead\">Process %d (", c->pid);
	report_escape(s, comm);
	(void)str_addf(s, ") was %s at ", i ? reason_words(i->reason) : "captured");
	add_utc(s, r, i && i->trip_ns ? i->trip_ns : c->begin_ns);
	(void)str_add(s, ".");
	if (*r->why) {
		(void)str_add_char(s, ' ');
		report_escape(s, r->why);
		(void)str_add_char(s, '.');
	}
	(void)str_add(s, "</p>\n");
}

static void figure_begin(struct str *s)
{
	(void)str_add(s, "<div class=\"figure\"><b>");
}

static void figure_end(struct str *s, const char *what)
{
	(void)str_addf(s, "</b><span>%s</span></div>\n", what);
}

static void figures(struct str *s, const struct report *r)
{
	const struct capture_result *c = r->result;
	const struct incident_record *i = r->record;
	char words[96];
	struct str w;

	(void)str_add(s, "<div class=\"figures\">\n");
	if (i && i->used_at_trip_bytes) {
		figure_begin(s);
		amount_size(s, i->used_at_trip_bytes);
		str_init(&w, words, sizeof(words));
		(void)str_add(&w, "used, of a limit of ");
		if (i->limit_bytes == SIZE_UNLIMITED)
			str_init(&w, words, sizeof(words)), (void)str_add(&w, "used; no limit");
		else
			amount_size(&w, i->limit_bytes);
		figure_end(s, words);
	}
	if (i && i->rate_bytes_s) {
		figure_begin(s);
		amount_size(s, i->rate_bytes_s);
		(void)str_add(s, "/s");
		figure_end(s, "growth when it tripped");
	}
	figure_begin(s);
	amount_time(s, sub_floor(c->detached_ns, c->begin_ns));
	figure_end(s, "pause for the copy");
	figure_begin(s);
	amount_size(s, c->core_bytes);
	str_init(&w, words, sizeof(words));
	(void)str_add(&w, "core, ");
	amount_size(&w, c->file_bytes);
	(void)str_add(&w, " on disk");
	figure_end(s, words);
	figure_begin(s);
	(void)str_addf(s, "%" PRIu32, c->threads);
	figure_end(s, c->threads == 1 ? "thread" : "threads");
	if (i) {
		(void)str_addf(s, "<div class=\"figure\"><b class=\"word\">%s",
			guarantee_name(i->guarantee));
		figure_end(s, "guarantee");
	}
	(void)str_add(s, "</div>\n");
}

/* --- how it came to that ------------------------------------------------------------------- */

static void charts(struct str *s, const struct report *r)
{
	uint64_t from;
	uint64_t to;
	uint64_t zoom_from;
	uint64_t zoom_to;

	if (!report_chart_possible(r))
		return;
	report_chart_whole(r, &from, &to);
	report_chart_incident(r, &zoom_from, &zoom_to);
	(void)str_add(s, "<section><h2>The last ");
	amount_time(s, to - from);
	(void)str_add(s, "</h2>\n");
	report_chart(s, r, from, to, "memory, growth and pressure before the capture");
	(void)str_add(s, "</section>\n");
	if (!r->record || !r->record->timeline_count ||
		(zoom_to - zoom_from) * INCIDENT_ZOOM > to - from)
		return;
	(void)str_add(s, "<section><h2>The incident, enlarged</h2>\n");
	report_chart(s, r, zoom_from, zoom_to, "the same during the incident");
	(void)str_add(s, "</section>\n");
}

static void timeline(struct str *s, const struct report *r)
{
	const struct incident_record *i = r->record;

	if (!i || !i->timeline_count)
		return;
	(void)str_add(s,
		"<section><h2>Interventions</h2><table><tr><th></th><th>what</th>"
		"<th class=\"n\">when</th><th class=\"n\">used then</th><th></th></tr>\n");
	for (uint32_t n = 0; n < i->timeline_count && n < TIMELINE_MAX; n++) {
		const struct timeline_entry *t = &i->timeline[n];

		(void)str_addf(s,
			"<tr><td><span class=\"dot\">%u</span></td><td>%s</td><td class=\"n\">",
			n + 1, intervention_name(t->what));
		report_relative(s, r, t->at_ns);
		(void)str_add(s, "</td><td class=\"n\">");
		if (t->used_bytes)
			amount_size(s, t->used_bytes);
		(void)str_addf(s, "</td><td class=\"dim\">%s</td></tr>\n", meaning(t->what));
	}
	(void)str_add(s, "</table></section>\n");
}

/* The guarantee margin: how much room was left at the moments that count. */
static void margin(struct str *s, const struct report *r)
{
	const struct incident_record *i = r->record;
	uint64_t kills;

	if (!i || i->reason == TRIP_REASON_MANUAL)
		return;
	kills = sub_floor(i->oom_kills_after, i->oom_kills_before);
	(void)str_add(s, "<section><h2>Guarantee margin</h2><dl>\n");
	fact(s, "guarantee", guarantee_name(i->guarantee));
	size_fact(s, "room left when it tripped", i->headroom_trip_bytes);
	size_fact(s, "room left when it stood still", i->headroom_hold_bytes);
	size_fact(s, "room left at the end", i->headroom_end_bytes);
	(void)str_addf(s,
		"<dt>out-of-memory situations</dt><dd>%" PRIu64 " before, %" PRIu64
		" at the end</dd>\n",
		i->oom_events_before, i->oom_events_after);
	(void)str_addf(s,
		"<dt>killed by the kernel meanwhile</dt><dd class=\"%s\">%" PRIu64 "</dd>\n",
		kills ? "bad-text" : "good-text", kills);
	fact(s, "stopped by", hold_method_name(i->hold));
	fact(s, "afterwards", verdict_name(i->verdict));
	fact(s, "cgroup", i->cgroup);
	(void)str_add(s, "</dl></section>\n");
}

/* --- what is in the core --------------------------------------------------------------------- */

static void missing(struct str *s, const struct report *r)
{
	const struct capture_result *c = r->result;

	(void)str_add(s, "<section><h2>What is in the core, and what is not</h2><dl>\n");
	size_fact(s, "memory written", c->memory_bytes);
	size_fact(s, "pages of zeros, kept as holes", c->zero_bytes);
	size_fact(s, "left out as the program asked (MADV_DONTDUMP)", c->dontdump_bytes);
	size_fact(s, "wanted and not written", c->skipped_bytes);
	size_fact(s, "in swap", c->swap_bytes);
	(void)str_addf(s,
		"<dt>mappings</dt><dd>%" PRIu32 ", %" PRIu32 " with contents</dd>\n"
		"<dt>threads</dt><dd>%" PRIu32 ", %" PRIu32 " without registers</dd>\n",
		c->mappings, c->mappings_written, c->threads, c->threads_without_registers);
	fact(s, "type", capture_kind_name(r->request->kind));
	(void)str_add(s, "</dl>\n");
	if (c->missing) {
		(void)str_add(s, "<p><b>Partial, because:</b></p><ul>\n");
		for (uint32_t i = 0; report_missing_words(i); i++)
			if (c->missing & (1U << i))
				(void)str_addf(s, "<li>%s</li>\n", report_missing_words(i));
		(void)str_add(s, "</ul>\n");
	}
	(void)str_add(s, "</section>\n");
}

static void mappings(struct str *s, const struct core_view *view)
{
	uint64_t biggest = view->mapping_count ? max_u64(view->mapping[0].data_bytes, 1) : 1;

	(void)str_add(s,
		"<section><h2>Biggest mappings</h2><table><tr><th class=\"n\">in core</th>"
		"<th></th><th class=\"n\">mapped</th><th>flags</th><th>start</th>"
		"<th>what</th></tr>\n");
	for (uint32_t i = 0; i < view->mapping_count && i < SHOWN_MAPPINGS; i++) {
		const struct core_view_mapping *m = &view->mapping[i];

		if (!m->data_bytes)
			break;
		(void)str_add(s, "<tr><td class=\"n\">");
		amount_size(s, m->data_bytes);
		(void)str_addf(s,
			"</td><td class=\"b\"><span class=\"bar\" style=\"width:%u%%\"></span></td>"
			"<td class=\"n\">",
			(unsigned int)mul_div(m->data_bytes, 100, biggest));
		amount_size(s, m->bytes);
		(void)str_addf(s,
			"</td><td class=\"c\">%c%c%c</td><td class=\"c a\">0x%" PRIx64
			"</td><td class=\"c\">",
			m->flags & 4 ? 'r' : '-', m->flags & 2 ? 'w' : '-',
			m->flags & 1 ? 'x' : '-', m->start);
		if (m->name[0])
			report_escape(s, m->name);
		else
			(void)str_add(s, "<span class=\"dim\">anonymous</span>");
		(void)str_add(s, "</td></tr>\n");
	}
	(void)str_add(s, "</table></section>\n");
}

static void threads(struct str *s, const struct core_view *view)
{
	(void)str_addf(s,
		"<section><h2>Threads (%" PRIu64 ")</h2><table><tr><th class=\"n\">tid</th>"
		"<th>name</th><th>program counter</th><th>in</th></tr>\n",
		view->threads);
	for (uint32_t i = 0; i < view->thread_count && i < SHOWN_THREADS; i++) {
		const struct core_view_thread *t = &view->thread[i];

		(void)str_addf(s, "<tr><td class=\"n\">%d</td><td>", t->tid);
		report_escape(s, t->name);
		if (t->has_registers)
			(void)str_addf(s, "</td><td class=\"c\">0x%" PRIx64, t->pc);
		else
			(void)str_add(s, "</td><td class=\"dim\">no registers");
		(void)str_add(s, "</td><td class=\"c\">");
		report_escape(s, t->where);
		(void)str_add(s, "</td></tr>\n");
	}
	(void)str_add(s, "</table>");
	if (view->threads > SHOWN_THREADS)
		(void)str_addf(s, "<p class=\"dim\">and %" PRIu64 " more; see report.json</p>",
			view->threads - SHOWN_THREADS);
	(void)str_add(s, "</section>\n");
}

static void unread(struct str *s, const char *why)
{
	(void)str_add(s,
		"<section><h2>Threads and mappings</h2><p>Not listed here, since the core was not "
		"read back: ");
	report_escape(s, why);
	(void)str_add(s, ". <code>oomsnap inspect</code> beside it lists them.</p></section>\n");
}

void report_html(struct str *s, const struct report *r)
{
	(void)str_add(s,
		"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
		"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
		"style-src 'unsafe-inline'\">"
		"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>");
	report_escape(
		s, r->record && r->record->target[0] ? r->record->target : r->request->target);
	(void)str_add(s, " \xe2\x80\x93 oomsnap</title><style>");
	(void)str_add(s, style);
	(void)str_add(s, "</style></head><body><main>\n");
	head(s, r);
	figures(s, r);
	charts(s, r);
	timeline(s, r);
	margin(s, r);
	if (r->view)
		mappings(s, r->view);
	missing(s, r);
	if (r->view)
		threads(s, r->view);
	else if (r->unread)
		unread(s, r->unread);
	(void)str_addf(s,
		"<footer>Written by oomsnap %s. Every figure is in report.json beside this file; "
		"open "
		"the core with <code>gdb PROGRAM core</code>.</footer>\n</main></body></html>\n",
		OOMSNAP_VERSION);
}
