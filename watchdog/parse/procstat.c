// SPDX-License-Identifier: Apache-2.0
/*
 * /proc/PID/stat, status and syscall.
 *
 * stat is one line whose second field is the command name in parentheses. The name may hold
 * parentheses, spaces and newlines, so its end is the LAST ')' of the text: the fields behind it
 * are numbers and one letter. status escapes its Name line (seq_put_decimal and string_escape), so
 * there every line starts with a key; a name cannot forge one. syscall has three forms: "running",
 * "-1 SP PC" for a thread blocked outside of a system call, and "NR ARG1..ARG6 SP PC".
 *
 * Refuses: half-read files. A field that is out of range of its type makes the whole text bad
 * rather than a wrong number. Limits: fields behind the ones named in procstat.h are not read.
 */
#include "parse/procstat.h"

#include <limits.h>
#include <string.h>

struct cursor {
	const char *at;
	const char *end;
};

static void blanks(struct cursor *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\t'))
		c->at++;
}

static int digit_of(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	if (ch >= 'a' && ch <= 'f')
		return ch - 'a' + 10;
	return INT_MAX;
}

static bool number(struct cursor *c, unsigned int base, uint64_t *ret)
{
	uint64_t value = 0;
	bool any = false;

	blanks(c);
	for (; c->at < c->end && digit_of(*c->at) < (int)base; c->at++, any = true)
		if (__builtin_mul_overflow(value, base, &value) ||
			__builtin_add_overflow(value, (uint64_t)digit_of(*c->at), &value))
			return false;
	*ret = value;
	return any;
}

static bool signed_number(struct cursor *c, int64_t *ret)
{
	uint64_t value;
	bool negative;

	blanks(c);
	negative = c->at < c->end && *c->at == '-';
	if (negative)
		c->at++;
	if (!number(c, 10, &value) || value > INT64_MAX)
		return false;
	*ret = negative ? -(int64_t)value : (int64_t)value;
	return true;
}

static bool id(struct cursor *c, int32_t *ret)
{
	int64_t value;

	if (!signed_number(c, &value) || value < INT32_MIN || value > INT32_MAX)
		return false;
	*ret = (int32_t)value;
	return true;
}

/* Field numbers of proc(5) that stat_field() keeps; the others are only checked to be numbers. */
enum { STAT_FIRST = 4, STAT_LAST = 28, STAT_EXIT_CODE = 52 };

static bool stat_field(struct procstat *s, int field, int64_t value, uint64_t raw)
{
	switch (field) {
	case 4:
	case 5:
	case 6:
		if (value < INT32_MIN || value > INT32_MAX)
			return false;
		*(field == 4 ? &s->ppid : field == 5 ? &s->pgrp : &s->session) = (int32_t)value;
		break;
	case 9:
		s->flags = raw;
		break;
	case 14:
		s->utime_ticks = raw;
		break;
	case 15:
		s->stime_ticks = raw;
		break;
	case 16:
		s->cutime_ticks = raw;
		break;
	case 17:
		s->cstime_ticks = raw;
		break;
	case 19:
		s->nice = value;
		break;
	case 20:
		s->threads = raw;
		break;
	case 22:
		s->start_time_ticks = raw;
		break;
	case 23:
		s->vsize_bytes = raw;
		break;
	case 24:
		s->rss_pages = raw;
		break;
	case 28:
		s->stack_start = raw;
		break;
	default:
		break;
	}
	return true;
}

static bool stat_number(struct cursor *c, int64_t *ret, uint64_t *ret_raw)
{
	struct cursor sign = *c;

	blanks(&sign);
	if (sign.at < sign.end && *sign.at == '-') {
		if (!signed_number(c, ret))
			return false;
		*ret_raw = (uint64_t)*ret;
		return true;
	}
	if (!number(c, 10, ret_raw)) /* rsslim is ~0UL: beyond int64_t */
		return false;
	*ret = (int64_t)*ret_raw;
	return true;
}

static bool stat_numbers(struct cursor *c, struct procstat *s)
{
	uint64_t raw = 0;
	int64_t value;

	for (int field = STAT_FIRST; field <= STAT_LAST; field++)
		if (!stat_number(c, &value, &raw) || !stat_field(s, field, value, raw))
			return false;
	for (int field = STAT_LAST + 1; field <= STAT_EXIT_CODE; field++)
		if (!stat_number(c, &value, &raw))
			return true; /* what stands behind the others is not relied upon */
	if (raw <= INT32_MAX)
		s->exit_code = (int32_t)raw;
	return true;
}

bool procstat_parse(const char *text, size_t len, struct procstat *ret)
{
	struct cursor c = {.at = text, .end = text + len};
	struct procstat s = {.pid = 0};
	const char *close = memrchr(text, ')', len);
	size_t n;

	if (!close || !id(&c, &s.pid))
		return false;
	blanks(&c);
	if (c.at >= close || *c.at != '(')
		return false;
	n = (size_t)(close - c.at) - 1;
	if (n >= sizeof(s.comm))
		n = sizeof(s.comm) - 1;
	memcpy(s.comm, c.at + 1, n);
	c.at = close + 1;
	blanks(&c);
	if (c.at == c.end || *c.at == '\n')
		return false;
	s.state = *c.at++;
	if (!stat_numbers(&c, &s))
		return false;
	*ret = s;
	return true;
}

/* The last number of a line of tab-separated ids, and how many there were. */
static bool last_id(struct cursor *line, int32_t *ret, uint32_t *count)
{
	uint32_t n = 0;

	for (;;) {
		blanks(line);
		if (line->at == line->end)
			break;
		if (!id(line, ret))
			return false;
		n++;
	}
	*count = n;
	return n > 0;
}

static bool first_u32(struct cursor *line, uint32_t *ret)
{
	uint64_t value;

	if (!number(line, 10, &value) || value > UINT32_MAX)
		return false;
	*ret = (uint32_t)value;
	return true;
}

static bool kib(struct cursor *line, uint64_t *ret)
{
	uint64_t value;

	return number(line, 10, &value) && !__builtin_mul_overflow(value, 1024U, ret);
}

enum status_seen { SEEN_STATE = 1, SEEN_TGID = 2, SEEN_UID = 4, SEEN_GID = 8, SEEN_ALL = 15 };

static bool key_is(struct cursor *line, const char *key)
{
	size_t n = strlen(key);

	if ((size_t)(line->end - line->at) <= n || memcmp(line->at, key, n) != 0 ||
		line->at[n] != ':')
		return false;
	line->at += n + 1;
	return true;
}

static bool status_line(struct cursor line, struct procstatus *s, unsigned int *seen)
{
	uint32_t ignored;

	if (key_is(&line, "State")) {
		blanks(&line);
		if (line.at == line.end)
			return false;
		s->state = *line.at;
		*seen |= SEEN_STATE;
		return true;
	}
	if (key_is(&line, "Tgid")) {
		*seen |= SEEN_TGID;
		return id(&line, &s->tgid);
	}
	if (key_is(&line, "Pid")) /* the outer id, until a NSpid line says better */
		return id(&line, &s->ns_pid);
	if (key_is(&line, "TracerPid"))
		return id(&line, &s->tracer_pid);
	if (key_is(&line, "Uid")) {
		*seen |= SEEN_UID;
		return first_u32(&line, &s->uid);
	}
	if (key_is(&line, "Gid")) {
		*seen |= SEEN_GID;
		return first_u32(&line, &s->gid);
	}
	if (key_is(&line, "NSpid"))
		return last_id(&line, &s->ns_pid, &s->ns_levels);
	if (key_is(&line, "NSpgid"))
		return last_id(&line, &s->ns_pgid, &ignored);
	if (key_is(&line, "NSsid"))
		return last_id(&line, &s->ns_sid, &ignored);
	if (key_is(&line, "VmRSS"))
		return kib(&line, &s->rss_bytes);
	if (key_is(&line, "VmSwap"))
		return kib(&line, &s->swap_bytes);
	if (key_is(&line, "Threads"))
		return number(&line, 10, &s->threads);
	if (key_is(&line, "SigPnd"))
		return number(&line, 16, &s->signals_pending);
	if (key_is(&line, "SigBlk"))
		return number(&line, 16, &s->signals_blocked);
	return true;
}

bool procstatus_parse(const char *text, size_t len, struct procstatus *ret)
{
	struct procstatus s = {.ns_levels = 1};
	const char *end = text + len;
	unsigned int seen = 0;

	while (text < end) {
		const char *eol = memchr(text, '\n', (size_t)(end - text));
		struct cursor line = {.at = text, .end = eol ? eol : end};

		if (!status_line(line, &s, &seen))
			return false;
		text = eol ? eol + 1 : end;
	}
	if (seen != SEEN_ALL)
		return false;
	*ret = s;
	return true;
}

static bool hex_word(struct cursor *c, uint64_t *ret)
{
	blanks(c);
	if (c->end - c->at < 3 || c->at[0] != '0' || c->at[1] != 'x')
		return false;
	c->at += 2;
	return number(c, 16, ret);
}

bool procsyscall_parse(const char *text, size_t len, struct procsyscall *ret)
{
	static const char running[] = "running";
	struct cursor c = {.at = text, .end = text + len};
	struct procsyscall s = {.running = false};
	int64_t nr;
	uint64_t arg;

	if (len && text[len - 1] == '\n')
		c.end--;
	if ((size_t)(c.end - c.at) == sizeof(running) - 1 &&
		memcmp(c.at, running, sizeof(running) - 1) == 0) {
		*ret = (struct procsyscall){.running = true};
		return true;
	}
	if (!signed_number(&c, &nr))
		return false;
	for (int i = 0; nr >= 0 && i < 6; i++)
		if (!hex_word(&c, &arg))
			return false;
	if (!hex_word(&c, &s.sp) || !hex_word(&c, &s.pc) || c.at != c.end)
		return false;
	*ret = s;
	return true;
}
