// SPDX-License-Identifier: Apache-2.0
/*
 * The chart of report.html. See report_chart.h.
 *
 * Three panels share one time axis: memory (used as an area, limit and trip threshold as lines),
 * growth, and pressure where any was measured. Interventions are vertical lines through all of
 * them, numbered at the top as in the table below the chart; where several fall together their
 * numbers step down instead of covering each other. A limit that is not there, or far above
 * all that was used, is not drawn to scale: the axis then ends a little above the usage.
 *
 * Coordinates are integers in tenths of a pixel of the viewBox, so that no locale and no rounding
 * of floats gets into the file. Colours come from CSS classes that report_html.c defines, for light
 * and dark screens.
 */
#include "report_chart.h"

#include <inttypes.h>
#include <string.h>

#include "amount.h"
#include "base/checked.h"

#define WIDTH 960
#define LEFT 86
#define RIGHT 20
#define TOP 46 /* room for the numbers of the interventions */
#define MEMORY_HEIGHT 220
#define SMALL_HEIGHT 70
#define GAP 26
#define AXIS_HEIGHT 34
#define MARK_RADIUS 8
#define MARK_ROWS 4
#define GRID_LINES 5

struct panel {
	uint32_t top; /* px */
	uint32_t height;
	uint64_t max; /* value at the top */
};

struct chart {
	struct str *s;
	const struct report *r;
	uint64_t from_ns;
	uint64_t to_ns;
	uint32_t bottom; /* of the last panel */
};

void report_escape(struct str *s, const char *text)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len;) {
		size_t n = str_utf8_len(text + i, len - i);
		char ch = text[i];

		if (n == 0) {
			(void)str_add(s, "\xef\xbf\xbd");
			n = 1;
		} else if (n > 1) {
			for (size_t j = 0; j < n; j++)
				(void)str_add_char(s, text[i + j]);
		} else if (ch == '<') {
			(void)str_add(s, "&lt;");
		} else if (ch == '>') {
			(void)str_add(s, "&gt;");
		} else if (ch == '&') {
			(void)str_add(s, "&amp;");
		} else if (ch == '"') {
			(void)str_add(s, "&quot;");
		} else if (ch == '\'') {
			(void)str_add(s, "&#39;");
		} else if ((unsigned char)ch < 0x20 || ch == 0x7f) {
			(void)str_addf(s, "\\x%02x", (unsigned char)ch);
		} else {
			(void)str_add_char(s, ch);
		}
		i += n;
	}
}

static uint64_t zero_ns(const struct report *r)
{
	return r->record && r->record->trip_ns ? r->record->trip_ns : r->result->begin_ns;
}

void report_relative(struct str *s, const struct report *r, uint64_t at_ns)
{
	uint64_t zero = zero_ns(r);

	if (at_ns == zero) {
		(void)str_add(s, "0");
		return;
	}
	(void)str_add(s, at_ns < zero ? "\xe2\x88\x92" : "+"); /* a minus sign */
	amount_time(s, at_ns < zero ? zero - at_ns : at_ns - zero);
}

static uint32_t points(const struct report *r)
{
	return r->history ? (uint32_t)min_u64(r->history_count, HISTORY_MAX) : 0;
}

static uint32_t marks(const struct report *r)
{
	return r->record ? (uint32_t)min_u64(r->record->timeline_count, TIMELINE_MAX) : 0;
}

bool report_chart_possible(const struct report *r)
{
	uint32_t n = points(r);

	return n >= 2 && r->history[n - 1].at_ns > r->history[0].at_ns;
}

void report_chart_whole(const struct report *r, uint64_t *ret_from_ns, uint64_t *ret_to_ns)
{
	uint32_t n = points(r);
	uint64_t from = n ? r->history[0].at_ns : zero_ns(r);
	uint64_t to = n ? r->history[n - 1].at_ns : zero_ns(r);

	for (uint32_t i = 0; i < marks(r); i++)
		to = max_u64(to, r->record->timeline[i].at_ns);
	*ret_from_ns = from;
	*ret_to_ns = max_u64(to, from + 1);
}

void report_chart_incident(const struct report *r, uint64_t *ret_from_ns, uint64_t *ret_to_ns)
{
	uint64_t from = zero_ns(r);
	uint64_t to = from;
	uint64_t margin;

	for (uint32_t i = 0; i < marks(r); i++)
		to = max_u64(to, r->record->timeline[i].at_ns);
	margin = max_u64((to - from) / 6, 100 * NS_PER_MS);
	*ret_from_ns = sub_floor(from, margin);
	*ret_to_ns = to + margin;
}

/* --- scales -------------------------------------------------------------------------------- */

/* Tenths of a pixel. */
static uint32_t x_of(const struct chart *c, uint64_t at_ns)
{
	uint64_t at = clamp_u64(at_ns, c->from_ns, c->to_ns) - c->from_ns;

	return (uint32_t)(10ULL * LEFT +
		mul_div(at, 10ULL * (WIDTH - LEFT - RIGHT), c->to_ns - c->from_ns));
}

static uint32_t y_of(const struct panel *p, uint64_t value)
{
	return (uint32_t)(10ULL * (p->top + p->height) -
		mul_div(min_u64(value, p->max), 10ULL * p->height, p->max));
}

static void add_tenths(struct str *s, uint32_t v)
{
	(void)str_addf(s, "%u.%u", v / 10, v % 10);
}

static void add_point(struct str *s, uint32_t x, uint32_t y)
{
	add_tenths(s, x);
	(void)str_add_char(s, ',');
	add_tenths(s, y);
	(void)str_add_char(s, ' ');
}

static void line(
	struct chart *c, const char *class, uint32_t x1, uint32_t y1, uint32_t x2, uint32_t y2)
{
	(void)str_addf(c->s,
		"<line class=\"%s\" x1=\"%u.%u\" y1=\"%u.%u\" x2=\"%u.%u\" y2=\"%u.%u\"/>\n", class,
		x1 / 10, x1 % 10, y1 / 10, y1 % 10, x2 / 10, x2 % 10, y2 / 10, y2 % 10);
}

/* A text element is opened here and closed by the caller. */
static void text(struct chart *c, const char *class, uint32_t x, uint32_t y)
{
	(void)str_addf(c->s, "<text class=\"%s\" x=\"%u.%u\" y=\"%u.%u\">", class, x / 10, x % 10,
		y / 10, y % 10);
}

/* Horizontal lines at powers of two times 1, so that they carry round binary sizes. */
static void size_grid(struct chart *c, const struct panel *p, const char *suffix, uint32_t lines)
{
	uint64_t step = 1;

	while (p->max / step > lines)
		step *= 2;
	for (uint64_t value = 0; value <= p->max; value += step) {
		uint32_t y = y_of(p, value);

		line(c, value ? "grid" : "axis", 10 * LEFT, y, 10 * (WIDTH - RIGHT), y);
		text(c, "tick end", 10 * (LEFT - 8), y + 40);
		amount_size(c->s, value);
		(void)str_addf(c->s, "%s</text>\n", suffix);
	}
}

/* --- series -------------------------------------------------------------------------------- */

enum series { SERIES_USED, SERIES_LIMIT, SERIES_RATE, SERIES_PSI_SOME, SERIES_PSI_FULL };

static uint64_t value_of(const struct history_point *p, enum series series)
{
	switch (series) {
	case SERIES_USED:
		return p->used_bytes;
	case SERIES_LIMIT:
		return p->limit_bytes;
	case SERIES_RATE:
		return p->rate_bytes_s;
	case SERIES_PSI_SOME:
		return p->psi_some_bp;
	case SERIES_PSI_FULL:
		return p->psi_full_bp;
	}
	return 0;
}

static uint64_t max_of(const struct chart *c, enum series series)
{
	uint64_t max = 0;

	for (uint32_t i = 0; i < points(c->r); i++) {
		const struct history_point *p = &c->r->history[i];
		uint64_t value = value_of(p, series);

		if (p->at_ns >= c->from_ns && p->at_ns <= c->to_ns && value != SIZE_UNLIMITED)
			max = max_u64(max, value);
	}
	return max;
}

/* Points inside the span and one on either side of it, as a polygon down to the axis or a line. */
static void series(
	struct chart *c, const struct panel *p, enum series series, const char *class, bool area)
{
	uint32_t n = points(c->r);
	uint32_t last_x = 0;
	bool any = false;

	(void)str_addf(c->s, "<%s class=\"%s\" points=\"", area ? "polygon" : "polyline", class);
	for (uint32_t i = 0; i < n; i++) {
		const struct history_point *point = &c->r->history[i];
		bool before = i + 1 < n && c->r->history[i + 1].at_ns < c->from_ns;
		bool after = i > 0 && c->r->history[i - 1].at_ns > c->to_ns;

		if (before || after || value_of(point, series) == SIZE_UNLIMITED)
			continue;
		last_x = x_of(c, point->at_ns);
		if (area && !any)
			add_point(c->s, last_x, y_of(p, 0));
		any = true;
		add_point(c->s, last_x, y_of(p, value_of(point, series)));
	}
	if (area && any)
		add_point(c->s, last_x, y_of(p, 0));
	(void)str_add(c->s, "\"/>\n");
}

static void caption(struct chart *c, const struct panel *p, const char *words)
{
	text(c, "caption", 10 * (LEFT + 6), 10 * p->top - 60);
	(void)str_addf(c->s, "%s</text>\n", words);
}

/* A level across the panel with its name at the right end. */
static void level(
	struct chart *c, const struct panel *p, const char *class, uint64_t value, const char *name)
{
	uint32_t y = y_of(p, value);

	line(c, class, 10 * LEFT, y, 10 * (WIDTH - RIGHT), y);
	text(c, "level end", 10 * (WIDTH - RIGHT - 4), y - 40);
	(void)str_addf(c->s, "%s ", name);
	amount_size(c->s, value);
	(void)str_add(c->s, "</text>\n");
}

static void memory_panel(struct chart *c)
{
	const struct incident_record *record = c->r->record;
	uint64_t limit = max_of(c, SERIES_LIMIT);
	uint64_t used = max_of(c, SERIES_USED);
	struct panel p = {.top = TOP + GAP, .height = MEMORY_HEIGHT};
	bool limit_fits;

	if (!limit && record && record->limit_bytes != SIZE_UNLIMITED)
		limit = record->limit_bytes;
	limit_fits = limit && limit / 8 <= used;
	p.max = max_u64(1, limit_fits ? max_u64(limit, used) : used);
	p.max = add_sat(p.max, p.max / 12);
	caption(c, &p, "memory used");
	size_grid(c, &p, "", GRID_LINES);
	series(c, &p, SERIES_USED, "used", true);
	if (limit_fits && max_of(c, SERIES_LIMIT))
		series(c, &p, SERIES_LIMIT, "limit", false);
	if (limit_fits)
		level(c, &p, max_of(c, SERIES_LIMIT) ? "none" : "limit", limit, "limit");
	if (record && record->trip_threshold_bytes && record->trip_threshold_bytes < p.max)
		level(c, &p, "threshold", record->trip_threshold_bytes, "trip");
	c->bottom = p.top + p.height;
}

static void rate_panel(struct chart *c)
{
	struct panel p = {.top = c->bottom + GAP, .height = SMALL_HEIGHT};

	p.max = max_u64(max_of(c, SERIES_RATE), 1024);
	p.max = add_sat(p.max, p.max / 12);
	caption(c, &p, "growth");
	size_grid(c, &p, "/s", 2);
	series(c, &p, SERIES_RATE, "rate", true);
	c->bottom = p.top + p.height;
}

static void psi_panel(struct chart *c)
{
	static const uint32_t shares[] = {0, 5000, 10000};
	struct panel p = {.top = c->bottom + GAP, .height = SMALL_HEIGHT, .max = 10000};

	caption(c, &p, "memory pressure: some, full (avg10)");
	for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
		uint32_t y = y_of(&p, shares[i]);

		line(c, i ? "grid" : "axis", 10 * LEFT, y, 10 * (WIDTH - RIGHT), y);
		text(c, "tick end", 10 * (LEFT - 8), y + 40);
		(void)str_addf(c->s, "%u%%</text>\n", shares[i] / 100);
	}
	series(c, &p, SERIES_PSI_SOME, "psi-some", true);
	series(c, &p, SERIES_PSI_FULL, "psi-full", true);
	c->bottom = p.top + p.height;
}

/* --- time axis and interventions ------------------------------------------------------------- */

static void time_axis(struct chart *c)
{
	static const uint64_t steps_ms[] = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000,
		10000, 20000, 30000, 60000, 120000, 300000, 600000, 1200000, 3600000};
	uint64_t span = c->to_ns - c->from_ns;
	uint64_t zero = zero_ns(c->r);
	uint64_t step = 0;
	uint64_t first;

	for (size_t i = 0; i < ARRAY_LEN(steps_ms) && (!step || span / step > 8); i++)
		step = steps_ms[i] * NS_PER_MS;
	if (span / step > 100)
		return; /* more than days: the table has the times */
	first = zero > c->from_ns ? zero - (zero - c->from_ns) / step * step : zero;
	for (uint64_t at = first; at <= c->to_ns; at += step) {
		uint32_t x = x_of(c, at);

		line(c, "axis", x, 10 * c->bottom, x, 10 * c->bottom + 50);
		text(c, "tick middle", x, 10 * c->bottom + 190);
		report_relative(c->s, c->r, at);
		(void)str_add(c->s, "</text>\n");
	}
}

static void interventions(struct chart *c)
{
	uint32_t row_end[MARK_ROWS] = {0}; /* right edge of the last number of each row */

	for (uint32_t i = 0; i < marks(c->r); i++) {
		const struct timeline_entry *t = &c->r->record->timeline[i];
		uint32_t x = x_of(c, t->at_ns);
		uint32_t row = 0;
		uint32_t y;

		if (t->at_ns < c->from_ns || t->at_ns > c->to_ns)
			continue;
		while (row + 1 < MARK_ROWS && row_end[row] + 10 * MARK_RADIUS + 10 > x)
			row++;
		row_end[row] = x + 10 * MARK_RADIUS;
		y = 10 * (MARK_RADIUS + 2) + row * 10 * (2 * MARK_RADIUS + 1);
		line(c, "mark", x, y, x, 10 * c->bottom);
		(void)str_addf(c->s,
			"<circle class=\"mark\" cx=\"%u.%u\" cy=\"%u.%u\" r=\"%d\">"
			"<title>%s</title></circle>\n",
			x / 10, x % 10, y / 10, y % 10, MARK_RADIUS, intervention_name(t->what));
		text(c, "number middle", x, y + 36);
		(void)str_addf(c->s, "%u</text>\n", i + 1);
	}
}

void report_chart(
	struct str *s, const struct report *r, uint64_t from_ns, uint64_t to_ns, const char *label)
{
	struct chart c = {.s = s, .r = r, .from_ns = from_ns, .to_ns = to_ns};
	bool pressure = max_of(&c, SERIES_PSI_SOME) > 0;
	uint32_t height = TOP + GAP + MEMORY_HEIGHT + GAP + SMALL_HEIGHT +
		(pressure ? GAP + SMALL_HEIGHT : 0) + AXIS_HEIGHT;

	(void)str_addf(s, "<svg viewBox=\"0 0 %d %u\" role=\"img\" aria-label=\"%s\">\n", WIDTH,
		height, label);
	memory_panel(&c);
	rate_panel(&c);
	if (pressure)
		psi_panel(&c);
	time_axis(&c);
	interventions(&c);
	(void)str_add(s, "</svg>\n");
}
