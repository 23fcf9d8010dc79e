// SPDX-License-Identifier: Apache-2.0
/*
 * Traces. See trace.h for the format and the contract.
 *
 * One table per kind of line names its fields, where they lie and what they hold; reading and
 * writing both walk it, so that neither can know a field that the other does not. A line is read
 * into a fresh struct that holds every default, and handed out only once all of it was understood:
 * a trace with a word that we do not know is a trace of another version, and replaying the rest of
 * it would prove nothing.
 *
 * Written numbers take the largest unit that leaves nothing over, so that they stay exact and a
 * reader can compare them by eye.
 */
#include "core/trace.h"

#include <string.h>

#include "base/checked.h"

enum field_type {
	FIELD_TIME,
	FIELD_SIZE,
	FIELD_U64,
	FIELD_U32,
	FIELD_FLAG,
	FIELD_EVENT, /* enums from here on */
	FIELD_ACTION,
	FIELD_STATE,
	FIELD_REPORT,
	FIELD_REASON,
	FIELD_METHOD,
	FIELD_VERDICT,
	FIELD_SHIELD,
	FIELD_TRIP,
};

struct field {
	const char *name; /* NULL: the kind, which stands without a name behind the first word */
	enum field_type type;
	size_t offset; /* in struct trace_line */
	uint64_t unset;
	bool of_sample;	   /* has no meaning, and no place, in other events */
	uint32_t shown_in; /* bits of the kinds in which it is written even if unset */
};

/* Enums are read and written as what they are stored as. */
_Static_assert(sizeof(enum engine_event_kind) == sizeof(unsigned int) &&
		sizeof(enum trip_kind) == sizeof(unsigned int),
	"enums are unsigned int");

#define IN_ACTION(id) (1U << ENGINE_ACTION_##id)
#define IN_EVENT(id) (1U << ENGINE_EVENT_##id)
#define WITH_OK (IN_EVENT(HELD) | IN_EVENT(RELEASED) | IN_EVENT(NODE_SHORT))
#define AT(member) offsetof(struct trace_line, member)

static const struct field policy_fields[] = {
	{"trip", FIELD_TRIP, AT(policy.trip_kind), 0, false, 0},
	{"trip_bp", FIELD_U32, AT(policy.trip_bp), 0, false, 0},
	{"trip_bytes", FIELD_SIZE, AT(policy.trip_bytes), 0, false, 0},
	{"eta", FIELD_TIME, AT(policy.trip_eta_ns), 0, false, 0},
	{"psi_bp", FIELD_U32, AT(policy.trip_psi_bp), 0, false, 0},
	{"arm_bp", FIELD_U32, AT(policy.arm_bp), 0, false, 0},
	{"brake_bp", FIELD_U64, AT(policy.brake_bp), 0, false, 0},
	{"lease", FIELD_SIZE, AT(policy.lease_bytes), 0, false, 0},
	{"lease_bp", FIELD_U32, AT(policy.lease_bp), 0, false, 0},
	{"hold_timeout", FIELD_TIME, AT(policy.hold_timeout_ns), 0, false, 0},
	{"deadline", FIELD_TIME, AT(policy.deadline_ns), 0, false, 0},
	{"cooldown", FIELD_TIME, AT(policy.cooldown_ns), 0, false, 0},
	{"shield", FIELD_SHIELD, AT(policy.shield), 0, false, 0},
	{"hold", FIELD_METHOD, AT(policy.hold), 0, false, 0},
	{"verdict", FIELD_VERDICT, AT(policy.verdict), 0, false, 0},
};

static const struct field means_fields[] = {
	{"shield", FIELD_FLAG, AT(means.shield), 0, false, 0},
	{"brake", FIELD_FLAG, AT(means.brake), 0, false, 0},
	{"freeze", FIELD_FLAG, AT(means.freeze), 0, false, 0},
	{"stop", FIELD_FLAG, AT(means.stop), 0, false, 0},
	{"kernel_notice", FIELD_FLAG, AT(means.kernel_notice), 0, false, 0},
};

static const struct field event_fields[] = {
	{NULL, FIELD_EVENT, AT(event.kind), 0, false, 0},
	{"at", FIELD_TIME, AT(at_ns), 0, false, 0},
	{"ok", FIELD_FLAG, AT(event.ok), 0, false, WITH_OK},
	{"more", FIELD_FLAG, AT(event.more), 0, false, 0},
	{"current", FIELD_SIZE, AT(event.sample.current_bytes), 0, true, 0},
	{"inactive_file", FIELD_SIZE, AT(event.sample.inactive_file_bytes), 0, true, 0},
	{"limit", FIELD_SIZE, AT(event.sample.limit_bytes), SIZE_UNLIMITED, true, 0},
	{"auto", FIELD_SIZE, AT(event.auto_bytes), SIZE_UNLIMITED, true, 0},
	{"oom", FIELD_U64, AT(event.sample.oom_events), 0, true, 0},
	{"oom_kill", FIELD_U64, AT(event.sample.oom_kills), 0, true, 0},
	{"level", FIELD_U32, AT(event.sample.level), 0, true, 0},
	{"some_bp", FIELD_U32, AT(event.sample.psi_some_bp), 0, true, 0},
	{"full_bp", FIELD_U32, AT(event.sample.psi_full_bp), 0, true, 0},
	{"under_oom", FIELD_FLAG, AT(event.sample.under_oom), 0, true, 0},
	{"stat_fresh", FIELD_FLAG, AT(event.sample.stat_fresh), 0, true, 0},
};

static const struct field action_fields[] = {
	{NULL, FIELD_ACTION, AT(action.kind), 0, false, 0},
	{"from", FIELD_STATE, AT(action.from), 0, false, IN_ACTION(STATE)},
	{"to", FIELD_STATE, AT(action.to), 0, false, IN_ACTION(STATE)},
	{"method", FIELD_METHOD, AT(action.method), 0, false, 0},
	{"verdict", FIELD_VERDICT, AT(action.verdict), 0, false, IN_ACTION(RELEASE)},
	{"reason", FIELD_REASON, AT(action.reason), 0, false, 0},
	{"report", FIELD_REPORT, AT(action.report), 0, false, IN_ACTION(REPORT)},
	{"bytes", FIELD_SIZE, AT(action.bytes), 0, false, 0},
	{"until", FIELD_TIME, AT(action.until_ns), 0, false, IN_ACTION(TIMER)},
};

static const struct {
	const char *name;
	const struct field *fields;
	uint32_t count; /* at most 32, the bits of the words that were seen */
} lines[TRACE_KIND_COUNT] = {
	[TRACE_POLICY] = {"policy", policy_fields, ARRAY_LEN(policy_fields)},
	[TRACE_MEANS] = {"means", means_fields, ARRAY_LEN(means_fields)},
	[TRACE_EVENT] = {"event", event_fields, ARRAY_LEN(event_fields)},
	[TRACE_ACTION] = {"action", action_fields, ARRAY_LEN(action_fields)},
};

struct unit {
	const char *name;
	uint64_t factor;
};
static const struct unit times[] = {{"s", NS_PER_S}, {"ms", NS_PER_MS}, {"us", NS_PER_US}, {"", 1}};
static const struct unit sizes[] = {
	{"G", UINT64_C(1) << 30}, {"M", UINT64_C(1) << 20}, {"K", UINT64_C(1) << 10}, {"", 1}};
#define UNITS 4

static const struct unit *units_of(enum field_type type)
{
	return type == FIELD_TIME ? times : type == FIELD_SIZE ? sizes : NULL;
}

/* "?" for a value that has none; never one of a value that is in range. */
static const char *enum_name(enum field_type type, unsigned int v)
{
	static const char *const trips[] = {[TRIP_AUTO] = "auto",
		[TRIP_SHARE] = "share",
		[TRIP_USED] = "used",
		[TRIP_HEADROOM] = "headroom"};

	switch (type) {
	case FIELD_EVENT:
		return engine_event_name((enum engine_event_kind)v);
	case FIELD_ACTION:
		return engine_action_name((enum engine_action_kind)v);
	case FIELD_STATE:
		return engine_state_name((enum engine_state_id)v);
	case FIELD_REPORT:
		return engine_report_name((enum engine_report)v);
	case FIELD_REASON:
		return trip_reason_name((enum trip_reason)v);
	case FIELD_METHOD:
		return hold_method_name((enum hold_method)v);
	case FIELD_VERDICT:
		return verdict_name((enum verdict)v);
	case FIELD_SHIELD:
		return shield_mode_name((enum shield_mode)v);
	case FIELD_TRIP:
		return v < ARRAY_LEN(trips) ? trips[v] : "?";
	case FIELD_TIME:
	case FIELD_SIZE:
	case FIELD_U64:
	case FIELD_U32:
	case FIELD_FLAG:
		break;
	}
	return "?";
}

/* --- the struct ---------------------------------------------------------------------------- */

static uint64_t get(const struct trace_line *line, const struct field *f)
{
	const char *at = (const char *)line + f->offset;
	unsigned int number;
	uint64_t wide;
	bool flag;

	switch (f->type) {
	case FIELD_TIME:
	case FIELD_SIZE:
	case FIELD_U64:
		memcpy(&wide, at, sizeof(wide));
		return wide;
	case FIELD_FLAG:
		memcpy(&flag, at, sizeof(flag));
		return flag;
	default: /* 32 bits */
		memcpy(&number, at, sizeof(number));
		return number;
	}
}

/* False where the value does not fit. */
static bool put(struct trace_line *line, const struct field *f, uint64_t value)
{
	char *at = (char *)line + f->offset;
	unsigned int number = (unsigned int)value;
	bool flag = value != 0;

	switch (f->type) {
	case FIELD_TIME:
	case FIELD_SIZE:
	case FIELD_U64:
		memcpy(at, &value, sizeof(value));
		return true;
	case FIELD_FLAG:
		memcpy(at, &flag, sizeof(flag));
		return value <= 1;
	default:
		memcpy(at, &number, sizeof(number));
		return value <= UINT32_MAX;
	}
}

static bool has_sample(const struct trace_line *line)
{
	return line->event.kind == ENGINE_EVENT_SAMPLE ||
		line->event.kind == ENGINE_EVENT_KERNEL_STOP;
}

static bool applies(const struct trace_line *line, const struct field *f)
{
	return !f->of_sample || has_sample(line);
}

/* --- reading ------------------------------------------------------------------------------- */

struct word {
	const char *text;
	size_t len;
};

static bool is(const struct word *w, const char *text)
{
	return w->len == strlen(text) && memcmp(w->text, text, w->len) == 0;
}

/* The next word and the single space before it, which the first one lacks; false at the end. */
static bool next_word(const char *text, size_t len, size_t *at, struct word *ret)
{
	const char *space;

	if (*at >= len)
		return false;
	if (*at > 0)
		(*at)++; /* an empty word behind it is refused by all who look */
	ret->text = text + *at;
	space = *at < len ? memchr(ret->text, ' ', len - *at) : NULL;
	ret->len = space ? (size_t)(space - ret->text) : len - *at;
	*at += ret->len;
	return true;
}

/* Digits, and one of the units behind them where there are any. */
static bool read_number(const struct word *w, const struct unit *units, uint64_t *ret)
{
	struct word unit;
	uint64_t value = 0;
	size_t i;

	if (units && is(w, "max")) {
		*ret = UINT64_MAX;
		return true;
	}
	for (i = 0; i < w->len && w->text[i] >= '0' && w->text[i] <= '9'; i++)
		if (!checked_mul(value, 10, &value) ||
			!checked_add(value, (uint64_t)(w->text[i] - '0'), &value))
			return false;
	unit = (struct word){w->text + i, w->len - i};
	if (i == 0 || (!units && unit.len))
		return false;
	for (int u = 0; units && u < UNITS; u++)
		if (is(&unit, units[u].name))
			return checked_mul(value, units[u].factor, ret);
	*ret = value;
	return !units;
}

static bool read_value(const struct word *w, enum field_type type, uint64_t *ret)
{
	if (type < FIELD_EVENT)
		return read_number(w, units_of(type), ret);
	for (unsigned int v = 0; strcmp(enum_name(type, v), "?") != 0; v++)
		if (is(w, enum_name(type, v))) {
			*ret = v;
			return true;
		}
	return false;
}

static bool read_field(const struct word *w, const struct field *f, uint32_t bit, uint32_t *seen,
	struct trace_line *l)
{
	size_t name_len = f->name ? strlen(f->name) + 1 : 0; /* with its = */
	struct word value = {w->text + name_len, w->len - name_len};
	uint64_t number;

	if (*seen & bit || !applies(l, f) || !read_value(&value, f->type, &number))
		return false;
	*seen |= bit;
	return put(l, f, number);
}

static bool names_field(const struct word *w, const struct field *f)
{
	size_t len = f->name ? strlen(f->name) : 0;

	return f->name && w->len > len && memcmp(w->text, f->name, len) == 0 && w->text[len] == '=';
}

static void set_defaults(struct trace_line *l)
{
	for (uint32_t i = 0; i < lines[l->kind].count; i++) {
		const struct field *f = &lines[l->kind].fields[i];

		if (f->unset && applies(l, f))
			(void)put(l, f, f->unset); /* of our own table: it fits */
	}
}

int trace_read(const char *text, size_t len, struct trace_line *ret)
{
	struct trace_line l;
	const struct field *fields;
	struct word w;
	uint32_t seen = 0;
	size_t at = 0;
	unsigned int kind = 0;

	if (len == 0 || text[0] == '#')
		return TRACE_NOTHING;
	memset(&l, 0, sizeof(l));
	(void)next_word(text, len, &at, &w); /* there is one: len > 0 */
	while (kind < TRACE_KIND_COUNT && !is(&w, lines[kind].name))
		kind++;
	if (kind == TRACE_KIND_COUNT)
		return TRACE_BAD;
	l.kind = (enum trace_kind)kind;
	fields = lines[kind].fields;
	if (!fields[0].name &&
		(!next_word(text, len, &at, &w) || !read_field(&w, &fields[0], 1, &seen, &l)))
		return TRACE_BAD;
	set_defaults(&l);
	while (next_word(text, len, &at, &w)) {
		uint32_t i = 0;

		while (i < lines[kind].count && !names_field(&w, &fields[i]))
			i++;
		if (i == lines[kind].count || !read_field(&w, &fields[i], 1U << i, &seen, &l))
			return TRACE_BAD;
	}
	if (l.kind == TRACE_EVENT && has_sample(&l))
		l.event.sample.now_ns = l.at_ns;
	*ret = l;
	return 0;
}

/* --- writing ------------------------------------------------------------------------------- */

static bool write_value(struct str *s, enum field_type type, uint64_t value)
{
	const struct unit *units = units_of(type);
	int u = 0;

	if (type >= FIELD_EVENT) {
		const char *name = enum_name(type, (unsigned int)value);

		return str_add(s, name) && strcmp(name, "?") != 0;
	}
	if (!units)
		return str_add_u64(s, value);
	if (value == UINT64_MAX)
		return str_add(s, "max");
	while (value == 0 ? u < UNITS - 1 : value % units[u].factor != 0)
		u++;
	return str_add_u64(s, value / units[u].factor) && str_add(s, units[u].name);
}

static bool is_shown(const struct trace_line *line, const struct field *f, uint64_t value)
{
	unsigned int kind = line->kind == TRACE_EVENT ? line->event.kind
		: line->kind == TRACE_ACTION	      ? line->action.kind
						      : 31U;

	if (!f->name)
		return true;
	return applies(line, f) && (value != f->unset || (kind < 32 && f->shown_in >> kind & 1U));
}

bool trace_write(struct str *s, const struct trace_line *line)
{
	if ((unsigned int)line->kind >= TRACE_KIND_COUNT || !str_add(s, lines[line->kind].name))
		return false;
	for (uint32_t i = 0; i < lines[line->kind].count; i++) {
		const struct field *f = &lines[line->kind].fields[i];
		uint64_t value = get(line, f);

		if (!is_shown(line, f, value))
			continue;
		if (!str_add_char(s, ' ') ||
			(f->name && (!str_add(s, f->name) || !str_add_char(s, '='))) ||
			!write_value(s, f->type, value))
			return false;
	}
	return true;
}
