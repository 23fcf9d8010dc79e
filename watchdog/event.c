// SPDX-License-Identifier: Apache-2.0
/*
 * The only voice of oomsnap. event.h lists the events and their fields; this file builds one
 * message at a time in static memory and sends it.
 *
 * Values are turned into text as they are added: numbers to decimal digits, text made safe. The
 * target chooses its process names, paths and command lines, and a log is read on terminals, so
 * control characters (C0, DEL, and C1 in UTF-8) and bytes that are not UTF-8 become \xNN. A
 * backslash stays as it is, because unit and cgroup names contain them: the text is safe to show,
 * not meant to be turned back. MESSAGE, whose arguments may be just as hostile, is treated alike.
 *
 * Three ways lead out, chosen once by event_open():
 *   journal   by its native protocol (journal.c), found by connecting to its socket
 *   JSON      one object a line on stderr, the same fields; numbers as numbers
 *   text      one readable line, for a terminal; beside the journal's entry
 * What the journal does not take goes to stderr as JSON. What nobody takes is counted, and the next
 * message that gets through carries the count, so a gap in the log can be seen.
 *
 * Between event_open() and event_close() nothing here allocates, waits or locks, and errno is kept,
 * so a message may be sent at any point of an incident. A test counts allocations and another one
 * lets the receivers stall.
 *
 * Limits: the values of a message share EVENT_TEXT_TOTAL bytes, one value holds EVENT_TEXT_MAX;
 * what is cut is marked by OOMSNAP_CUT. One thread.
 */
#include "event.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "core/types.h"
#include "journal.h"
#include "line_out.h"

#define EVENT_IDENTIFIER "oomsnap"
#define EVENT_TEXT_TOTAL 8192
#define EVENT_TEXT_RESERVED (EVENT_TEXT_MAX + 64) /* of it, for MESSAGE, DROPPED and CUT */
#define EVENT_OWN_FIELDS 4 /* MESSAGE, MESSAGE_ID, PRIORITY, SYSLOG_IDENTIFIER */
#define EVENT_NAME_MAX 32  /* a field's name with its prefix */

/* A JSON line: every byte of a value may be escaped to two, and each field has its name and
 * punctuation. Only " and \ are left to escape once a text is safe. */
#define EVENT_LINE_MAX (2 * EVENT_TEXT_TOTAL + (EVENT_FIELD_COUNT + 8) * (EVENT_NAME_MAX + 8))

_Static_assert(EVENT_FIELD_COUNT + EVENT_OWN_FIELDS <= JOURNAL_FIELDS_MAX,
	"an event with every field is one journal entry");
_Static_assert(EVENT_FIELD_COUNT <= 64, "a set of fields fits into 64 bits");

enum value_type { T, U, I };

struct event_fact {
	const char *name;
	const char *message_id;
	const char *description;
	int priority;
};

static const struct event_fact facts[EVENT_COUNT] = {
#define X(id, name, message_id, priority, description) \
	[EVENT_##id] = {(name), (message_id), (description), (priority)},
	EVENTS(X)
#undef X
};

static const struct {
	const char *name;
	enum value_type type;
} field_facts[EVENT_FIELD_COUNT] = {
#define X(id, type, description) [EVENT_FIELD_##id] = {"OOMSNAP_" #id, (type)},
	EVENT_FIELDS(X)
#undef X
};

struct event_value {
	enum event_field field;
	size_t at; /* in text */
	size_t len;
};

struct event_message {
	enum event_id id;
	uint64_t seen; /* bits of fields */
	uint32_t count;
	struct event_value values[EVENT_FIELD_COUNT];
	size_t message_at;
	size_t message_len;
	struct str text;
	char memory[EVENT_TEXT_TOTAL];
};

/* The one voice of the process: it has to be reachable from every place that may fail. */
static struct {
	struct journal journal;
	struct line_out out;
	enum event_sink sink;
	bool terminal;
	uint64_t dropped; /* since event_open() */
	uint64_t untold;  /* of these, not yet reported */
	struct event_message message;
	char line[EVENT_LINE_MAX];
} voice = {.journal = JOURNAL_CLOSED, .out = LINE_OUT_CLOSED};

const char *event_name(enum event_id id)
{
	return (unsigned int)id < EVENT_COUNT ? facts[id].name : NULL;
}

const char *event_message_id(enum event_id id)
{
	return (unsigned int)id < EVENT_COUNT ? facts[id].message_id : NULL;
}

const char *event_description(enum event_id id)
{
	return (unsigned int)id < EVENT_COUNT ? facts[id].description : NULL;
}

int event_priority(enum event_id id)
{
	return (unsigned int)id < EVENT_COUNT ? facts[id].priority : -1;
}

bool event_field_is_number(enum event_field field)
{
	return (unsigned int)field < EVENT_FIELD_COUNT && field_facts[field].type != T;
}

const char *event_field_name(enum event_field field)
{
	return (unsigned int)field < EVENT_FIELD_COUNT ? field_facts[field].name : NULL;
}

/* --- where it goes ---------------------------------------------------------------------------- */

void event_close(void)
{
	journal_close(&voice.journal);
	line_out_close(&voice.out);
}

int event_open(const struct event_options *options)
{
	static const struct event_options usual = {.fd = STDERR_FILENO};
	int journal_result = -ENOENT;
	int out_result;

	if (!options)
		options = &usual;
	event_close();
	voice.dropped = 0;
	voice.untold = 0;
	voice.sink = options->sink;
	voice.terminal = options->sink == EVENT_SINK_TEXT ||
		(options->sink == EVENT_SINK_AUTO && isatty(options->fd) == 1);
	if (options->sink == EVENT_SINK_AUTO || options->sink == EVENT_SINK_JOURNAL)
		journal_result = journal_open(&voice.journal, options->journal_socket);
	out_result = line_out_open(&voice.out, options->fd);
	if (options->sink == EVENT_SINK_JOURNAL)
		return journal_result;
	return journal_result == 0 ? 0 : out_result;
}

uint64_t event_dropped(void)
{
	return voice.dropped;
}

/* --- building --------------------------------------------------------------------------------- */

/* Appends text made safe, at most EVENT_TEXT_MAX bytes of it; a cut is remembered. */
static void add_safe(struct str *s, const char *text)
{
	size_t size = s->size;
	size_t end = s->len + EVENT_TEXT_MAX + 1;

	s->size = end < size ? end : size;
	(void)str_add_safe(s, text, strlen(text));
	s->size = size;
}

static void add_value(struct event_message *m, enum event_field field, const char *text)
{
	struct event_value *v;
	size_t at = m->text.len;

	assert((unsigned int)field < EVENT_FIELD_COUNT);
	assert(!(m->seen & (1ULL << field)));
	add_safe(&m->text, text);
	v = &m->values[m->count++];
	m->seen |= 1ULL << field;
	*v = (struct event_value){.field = field, .at = at, .len = m->text.len - at};
}

static void add_number(struct event_message *m, enum event_field field, uint64_t value, bool minus)
{
	char digits[24];
	struct str s;

	str_init(&s, digits, sizeof(digits));
	if (minus)
		(void)str_add_char(&s, '-'); /* 24 bytes hold any */
	(void)str_add_u64(&s, value);
	if (m->text.size - m->text.len <= s.len) {
		m->text.cut = true; /* no number at all rather than half of one */
		return;
	}
	add_value(m, field, digits);
}

struct event_message *event_begin(enum event_id id, const char *target)
{
	struct event_message *m = &voice.message;

	assert((unsigned int)id < EVENT_COUNT);
	m->id = id;
	m->seen = 0;
	m->count = 0;
	m->message_at = 0;
	m->message_len = 0;
	str_init(&m->text, m->memory, sizeof(m->memory) - EVENT_TEXT_RESERVED);
	event_field_str(m, EVENT_FIELD_EVENT, facts[id].name);
	event_field_str(m, EVENT_FIELD_TARGET, target);
	return m;
}

void event_field_str(struct event_message *m, enum event_field field, const char *text)
{
	assert(field_facts[field].type == T);
	if (text)
		add_value(m, field, text);
}

void event_field_u64(struct event_message *m, enum event_field field, uint64_t value)
{
	assert(field_facts[field].type == U);
	add_number(m, field, value, false);
}

void event_field_i64(struct event_message *m, enum event_field field, int64_t value)
{
	assert(field_facts[field].type == I);
	add_number(m, field, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0);
}

void event_field_ns(struct event_message *m, enum event_field field, uint64_t value_ns)
{
	event_field_u64(m, field, value_ns);
}

void event_field_bytes(struct event_message *m, enum event_field field, uint64_t value_bytes)
{
	if (value_bytes != SIZE_UNLIMITED)
		event_field_u64(m, field, value_bytes);
}

/* --- sending ---------------------------------------------------------------------------------- */

static int send_journal(const struct event_message *m)
{
	struct journal_field fields[EVENT_OWN_FIELDS + EVENT_FIELD_COUNT];
	const char priority = (char)('0' + facts[m->id].priority);
	size_t n = 0;

	fields[n++] = (struct journal_field){"MESSAGE", m->memory + m->message_at, m->message_len};
	fields[n++] = (struct journal_field){
		"MESSAGE_ID", facts[m->id].message_id, strlen(facts[m->id].message_id)};
	fields[n++] = (struct journal_field){"PRIORITY", &priority, 1};
	fields[n++] = (struct journal_field){
		"SYSLOG_IDENTIFIER", EVENT_IDENTIFIER, strlen(EVENT_IDENTIFIER)};
	for (uint32_t i = 0; i < m->count; i++) {
		const struct event_value *v = &m->values[i];

		fields[n++] = (struct journal_field){
			field_facts[v->field].name, m->memory + v->at, v->len};
	}
	return journal_send(&voice.journal, fields, n);
}

/*
 * The date of a count of days since 1970-01-01 in the Gregorian calendar, counted from 1 March of
 * year 0 so that the leap day is the last of a year. gmtime_r() would do, but it takes a lock and
 * may read the time zone.
 */
static void put_date(struct str *s, uint64_t days)
{
	uint64_t z = days + 719468; /* from 0000-03-01 */
	uint64_t era = z / 146097;  /* of 400 years */
	uint64_t day = z % 146097;
	uint64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	uint64_t month;

	day -= 365 * year + year / 4 - year / 100;
	month = (5 * day + 2) / 153; /* March is 0 */
	day = day - (153 * month + 2) / 5 + 1;
	month = month < 10 ? month + 3 : month - 9;
	year += 400 * era + (month <= 2);
	(void)str_addf(s, "%04u-%02u-%02u", (unsigned int)year, (unsigned int)month,
		(unsigned int)day); /* the line has room, here and below */
}

static void put_time(struct str *s, const struct timespec *now, bool with_date)
{
	uint64_t seconds = (uint64_t)now->tv_sec;
	unsigned int of_day = (unsigned int)(seconds % 86400);

	if (with_date) {
		put_date(s, seconds / 86400);
		(void)str_add_char(s, 'T');
	}
	(void)str_addf(s, "%02u:%02u:%02u", of_day / 3600, of_day / 60 % 60, of_day % 60);
	if (with_date)
		(void)str_addf(s, ".%06u", (unsigned int)(now->tv_nsec / 1000));
	(void)str_add_char(s, 'Z');
}

static void put_json(struct str *s, const char *name, const char *text, size_t len, bool quoted)
{
	(void)str_add(s, s->len > 1 ? ",\"" : "\"");
	(void)str_add(s, name);
	(void)str_add(s, quoted ? "\":\"" : "\":");
	(void)str_add_json(s, text, len);
	if (quoted)
		(void)str_add_char(s, '"');
}

static int send_json(const struct event_message *m, const struct timespec *now)
{
	char memory[40];
	struct str stamp;
	struct str s;

	str_init(&stamp, memory, sizeof(memory));
	put_time(&stamp, now, true);
	str_init(&s, voice.line, sizeof(voice.line));
	(void)str_add_char(&s, '{');
	put_json(&s, "TIMESTAMP", stamp.text, stamp.len, true);
	put_json(&s, "PRIORITY", &"01234567"[facts[m->id].priority], 1, false);
	put_json(&s, "SYSLOG_IDENTIFIER", EVENT_IDENTIFIER, strlen(EVENT_IDENTIFIER), true);
	put_json(&s, "MESSAGE_ID", facts[m->id].message_id, strlen(facts[m->id].message_id), true);
	put_json(&s, "MESSAGE", m->memory + m->message_at, m->message_len, true);
	for (uint32_t i = 0; i < m->count; i++) {
		const struct event_value *v = &m->values[i];

		put_json(&s, field_facts[v->field].name, m->memory + v->at, v->len,
			field_facts[v->field].type == T);
	}
	(void)str_add(&s, "}\n");
	assert(!s.cut);
	return line_out_write(&voice.out, s.text, s.len);
}

static int send_text(const struct event_message *m, const struct timespec *now)
{
	static const char *const words[] = {
		"EMERGENCY", "ALERT", "CRITICAL", "ERROR", "warning", "notice", "info", "debug"};
	struct str s;

	str_init(&s, voice.line, sizeof(voice.line));
	put_time(&s, now, false);
	(void)str_addf(&s, " %s ", words[facts[m->id].priority]);
	for (uint32_t i = 0; i < m->count; i++) {
		const struct event_value *v = &m->values[i];

		if (v->field == EVENT_FIELD_TARGET)
			(void)str_addf(&s, "%.*s: ", (int)v->len, m->memory + v->at);
	}
	(void)str_addf(&s, "%.*s\n", (int)m->message_len, m->memory + m->message_at);
	return line_out_write(&voice.out, s.text, s.len);
}

static bool deliver(const struct event_message *m)
{
	struct timespec now = {0};
	bool told = voice.journal.fd >= 0 && send_journal(m) == 0;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock */
	if (voice.terminal)
		return send_text(m, &now) == 0 || told;
	return told || send_json(m, &now) == 0;
}

/* MESSAGE, made safe like any value. */
static void add_message(struct event_message *m, const char *format, va_list args)
{
	char raw[EVENT_TEXT_MAX + 1];
	struct str s;

	str_init(&s, raw, sizeof(raw));
	if (!str_addv(&s, format, args))
		m->text.cut = true;
	m->message_at = m->text.len;
	add_safe(&m->text, raw);
	m->message_len = m->text.len - m->message_at;
}

void event_send(struct event_message *m, const char *format, ...)
{
	int saved = errno;
	va_list args;

	assert(m == &voice.message);
	m->text.size = sizeof(m->memory);
	va_start(args, format);
	add_message(m, format, args);
	va_end(args);
	if (voice.untold)
		event_field_u64(m, EVENT_FIELD_DROPPED, voice.untold);
	if (m->text.cut)
		event_field_u64(m, EVENT_FIELD_CUT, 1);
	if (deliver(m)) {
		voice.untold = 0;
	} else {
		voice.dropped = add_sat(voice.dropped, 1);
		voice.untold = add_sat(voice.untold, 1);
	}
	errno = saved;
}
