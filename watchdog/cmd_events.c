// SPDX-License-Identifier: Apache-2.0
/*
 * `oomsnap events`: our entries of the journal, readable or as JSON lines.
 *
 * sd-journal is asked for entries that carry one of our MESSAGE_IDs, so that those of a watchdog
 * under another unit or name are found too. Anybody on the machine can send such an entry: an entry
 * whose sender (_UID, which journald fills in) is neither root nor the caller says so, and what it
 * says is made safe before it reaches a terminal.
 *
 * Without --since all entries are shown, with -f the last FOLLOW_TAIL and then new ones as they
 * come. JSON lines have the fields of event.h under the names that the journal has for them, like
 * those that `oomsnap watch` writes where there is no journal, and three of journald's own.
 *
 * Refuses to guess where there is nothing to read: no journal at all, and a journal that we may not
 * read, are said in one sentence each, with different exit codes.
 */
#include "bad_usage.h"
#include "cmd_events.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/str.h"
#include "cmd.h"
#include "event.h"
#include "exit_code.h"
#include "standard_out.h"

#define FOLLOW_TAIL 10
#define DATA_MAX 65536 /* bytes of a field that sd-journal hands out; ours are far smaller */
#define SHOWN_MAX 8192
#define US_PER_S 1000000ULL

struct events_options {
	const char *directory; /* NULL: this machine's journal */
	bool follow;
	bool json;
	bool since;
	uint64_t since_us;
};

static void usage(FILE *stream)
{
	(void)fputs(
		"Usage: oomsnap events [-f] [--since T] [--json] [-D DIR]\n"
		"\n"
		"Shows what the watchdog told the journal, from the beginning or as asked for.\n"
		"\n"
		"  -f, --follow         show the last ten, then new ones as they come\n"
		"      --since T        from then on: 30m, 2h, 7d (ago), 2026-01-31 13:30, "
		"@SECONDS\n"
		"      --json           one JSON object a line\n"
		"  -D, --directory DIR  read the journal files of this directory\n"
		"  -h, --help\n"
		"\n"
		"Exit status: 0 shown, 1 failed, 2 bad usage, 3 there is no journal, 4 not "
		"permitted.\n",
		stream); /* to a closed stream there is nothing to say */
}

/* --- --since ---------------------------------------------------------------------------------- */

static bool since_ago(const char *text, uint64_t now_us, uint64_t *ret_us)
{
	static const struct {
		char letter;
		uint64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	size_t digits = strspn(text, "0123456789");
	char number[24];
	uint64_t value;

	if (digits == 0 || digits >= sizeof(number) || !text[digits] || text[digits + 1])
		return false;
	memcpy(number, text, digits);
	number[digits] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(units); i++)
		if (units[i].letter == text[digits] && str_to_u64(number, &value) &&
			checked_mul(value, units[i].seconds * US_PER_S, &value) &&
			value <= now_us) {
			*ret_us = now_us - value;
			return true;
		}
	return false;
}

static bool since_date(const char *text, uint64_t *ret_us)
{
	static const char *const formats[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S",
		"%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d"};

	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		struct tm tm = {.tm_isdst = -1};
		const char *end = strptime(text, formats[i], &tm);
		time_t t;

		if (!end || *end)
			continue;
		t = mktime(&tm);
		if (t < 0)
			return false;
		*ret_us = (uint64_t)t * US_PER_S;
		return true;
	}
	return false;
}

bool cmd_events_since(const char *text, uint64_t now_us, uint64_t *ret_us)
{
	uint64_t seconds;

	if (text[0] == '@')
		return str_to_u64(text + 1, &seconds) && checked_mul(seconds, US_PER_S, ret_us);
	return since_ago(text, now_us, ret_us) || since_date(text, ret_us);
}

/* --- one entry -------------------------------------------------------------------------------- */

/* The value of a field of the current entry; false if it has none. */
static bool get(sd_journal *j, const char *name, const char **ret_value, size_t *ret_len)
{
	const void *data;
	size_t skip = strlen(name) + 1;
	size_t len;

	if (sd_journal_get_data(j, name, &data, &len) < 0 || len < skip)
		return false;
	*ret_value = (const char *)data + skip;
	*ret_len = len - skip;
	return true;
}

/* The sender if it is somebody whom the reader need not trust, else "". */
static void put_sender(sd_journal *j, struct str *s)
{
	const char *value;
	char text[24];
	uint64_t uid;
	size_t len;

	if (!get(j, "_UID", &value, &len) || len >= sizeof(text))
		return;
	memcpy(text, value, len);
	text[len] = '\0';
	if (str_to_u64(text, &uid) && uid != 0 && uid != geteuid())
		(void)str_addf(s, " (told by user %" PRIu64 ")", uid); /* a cut is harmless */
}

static void show_text(sd_journal *j, uint64_t at_us)
{
	time_t seconds = (time_t)(at_us / US_PER_S);
	char memory[SHOWN_MAX];
	char stamp[32] = "?";
	const char *value;
	struct tm tm;
	struct str s;
	size_t len;

	if (localtime_r(&seconds, &tm))
		(void)strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &tm);
	str_init(&s, memory, sizeof(memory));
	(void)str_addf(&s, "%s ", stamp); /* a cut shows as one, here and below */
	if (get(j, "OOMSNAP_TARGET", &value, &len)) {
		(void)str_add_safe(&s, value, len);
		(void)str_add_char(&s, ' ');
	}
	if (get(j, "OOMSNAP_EVENT", &value, &len))
		(void)str_add_safe(&s, value, len);
	(void)str_add(&s, ": ");
	if (get(j, "MESSAGE", &value, &len))
		(void)str_add_safe(&s, value, len);
	put_sender(j, &s);
	(void)puts(s.text); /* the caller looks at the stream */
}

static bool is_number(const char *name, const char *value, size_t len)
{
	size_t sign = len > 1 && *value == '-';

	for (unsigned int f = 0; f < EVENT_FIELD_COUNT; f++)
		if (event_field_is_number((enum event_field)f) &&
			strcmp(event_field_name((enum event_field)f), name) == 0)
			return len > sign && len < 21 &&
				strspn(value + sign, "0123456789") >= len - sign &&
				(value[sign] != '0' || len == sign + 1);
	return false;
}

static void put_json_field(struct str *s, const char *name, const char *value, size_t len)
{
	char copy[24] = "";
	bool number;

	if (len < sizeof(copy))
		memcpy(copy, value, len); /* what sd-journal hands out is not terminated */
	number = strcmp(name, "PRIORITY") == 0 ? len == 1 && *copy >= '0' && *copy <= '7'
					       : len < sizeof(copy) && is_number(name, copy, len);
	(void)str_addf(s, ",\"%s\":%s", name, number ? "" : "\"");
	(void)str_add_json(s, value, len);
	if (!number)
		(void)str_add_char(s, '"');
}

static void show_json(sd_journal *j, uint64_t at_us)
{
	static const char *const plain[] = {"PRIORITY", "SYSLOG_IDENTIFIER", "MESSAGE_ID",
		"MESSAGE", "_PID", "_UID", "_HOSTNAME"};
	static char memory[EVENT_FIELD_COUNT * 512 + 6 * EVENT_TEXT_MAX * 8];
	time_t seconds = (time_t)(at_us / US_PER_S);
	char stamp[32] = "?";
	const char *value;
	struct tm tm;
	struct str s;
	size_t len;

	if (gmtime_r(&seconds, &tm))
		(void)strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	str_init(&s, memory, sizeof(memory));
	(void)str_addf(&s, "{\"TIMESTAMP\":\"%s.%06uZ\"", stamp, (unsigned int)(at_us % US_PER_S));
	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		if (get(j, plain[i], &value, &len))
			put_json_field(&s, plain[i], value, len);
	for (unsigned int f = 0; f < EVENT_FIELD_COUNT; f++) {
		const char *name = event_field_name((enum event_field)f);

		if (get(j, name, &value, &len))
			put_json_field(&s, name, value, len);
	}
	if (s.cut) {
		(void)fprintf(stderr, "oomsnap: an entry of %s is too large; left out\n", stamp);
		return;
	}
	(void)str_add_char(&s, '}');
	(void)puts(s.text); /* the caller looks at the stream */
}

/* --- the journal ------------------------------------------------------------------------------ */

static int explain_errno(const struct events_options *o, const char *what, int error)
{
	(void)fprintf(stderr, "oomsnap: cannot %s: %s%s%s\n", what,
		o->directory ? o->directory : "", o->directory ? ": " : "", strerror(-error));
	return error == -EACCES || error == -EPERM	? EXIT_CODE_PERMISSION
		: error == -ENOENT || error == -ENOTDIR ? EXIT_CODE_NO_TARGET
							: EXIT_CODE_FAILED;
}

/* What to say where no journal file could be opened. */
static int explain_nothing(const struct events_options *o)
{
	bool exists =
		access("/run/log/journal", F_OK) == 0 || access("/var/log/journal", F_OK) == 0;

	if (o->directory) {
		(void)fprintf(
			stderr, "oomsnap: no journal files that we may read in %s\n", o->directory);
		return EXIT_CODE_NO_TARGET;
	}
	if (exists && geteuid() != 0) {
		(void)fprintf(stderr,
			"oomsnap: no permission to read the journal: run as root or join "
			"the "
			"group systemd-journal\n");
		return EXIT_CODE_PERMISSION;
	}
	(void)fprintf(stderr,
		"oomsnap: there is no journal here: oomsnap watch then writes its events to "
		"stderr as JSON lines, so look at its log, as in kubectl logs or podman logs\n");
	return EXIT_CODE_NO_TARGET;
}

static int add_matches(sd_journal *j)
{
	for (unsigned int id = 0; id < EVENT_COUNT; id++) {
		char match[64];
		struct str s;
		int r;

		str_init(&s, match, sizeof(match));
		(void)str_addf(&s, "MESSAGE_ID=%s", event_message_id((enum event_id)id)); /* fits */
		r = sd_journal_add_match(j, match, s.len);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Seeks so that sd_journal_next() gives the first entry to show. */
static int seek(sd_journal *j, const struct events_options *o)
{
	int r;

	if (o->since)
		return sd_journal_seek_realtime_usec(j, o->since_us);
	if (!o->follow)
		return sd_journal_seek_head(j);
	r = sd_journal_seek_tail(j);
	if (r < 0)
		return r;
	r = sd_journal_previous_skip(j, FOLLOW_TAIL + 1);
	if (r < 0)
		return r;
	return r <= FOLLOW_TAIL ? sd_journal_seek_head(j) : 0;
}

/* Shows entries until the end, or for ever; 0 or a negative errno. */
static int show(sd_journal *j, const struct events_options *o)
{
	for (;;) {
		uint64_t at_us;
		int r = sd_journal_next(j);

		if (r < 0)
			return r;
		if (r == 0) {
			if (fflush(stdout) != 0)
				return -errno;
			if (!o->follow)
				return 0;
			r = sd_journal_wait(j, UINT64_MAX); /* the user ends it */
			if (r < 0)
				return r;
			continue;
		}
		r = sd_journal_get_realtime_usec(j, &at_us);
		if (r < 0)
			return r;
		if (o->json)
			show_json(j, at_us);
		else
			show_text(j, at_us);
		if (ferror(stdout))
			return -errno;
	}
}

static void cleanup_journal(sd_journal **j)
{
	sd_journal_close(*j); /* accepts NULL */
}

static int run(const struct events_options *o)
{
	__attribute__((cleanup(cleanup_journal))) sd_journal *j = NULL;
	int r = o->directory ? sd_journal_open_directory(&j, o->directory, 0)
			     : sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY);

	if (r < 0)
		return explain_errno(o,
			o->directory ? "open the journal in the directory" : "open the journal", r);
	if (sd_journal_has_runtime_files(j) <= 0 && sd_journal_has_persistent_files(j) <= 0 &&
		!(o->directory && sd_journal_seek_head(j) >= 0 && sd_journal_next(j) > 0))
		return explain_nothing(o);
	(void)sd_journal_set_data_threshold(j, DATA_MAX); /* a larger default does no harm */
	r = add_matches(j);
	if (r >= 0)
		r = seek(j, o);
	if (r >= 0)
		r = show(j, o);
	if (r == -EPIPE)
		return EXIT_CODE_OK; /* the reader has seen enough */
	return r < 0 ? explain_errno(o, "read the journal", r) : EXIT_CODE_OK;
}

static uint64_t realtime_us(void)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock */
	return (uint64_t)now.tv_sec * US_PER_S + (uint64_t)now.tv_nsec / 1000;
}

int cmd_events(int argc, char **argv)
{
	enum { OPTION_SINCE = 256, OPTION_JSON };
	static const struct option options[] = {
		{"follow", no_argument, NULL, 'f'},
		{"since", required_argument, NULL, OPTION_SINCE},
		{"json", no_argument, NULL, OPTION_JSON},
		{"directory", required_argument, NULL, 'D'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	struct events_options o = {0};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":fD:h", options, NULL)) != -1)
		switch (c) {
		case 'f':
			o.follow = true;
			break;
		case 'D':
			o.directory = optarg;
			break;
		case OPTION_JSON:
			o.json = true;
			break;
		case OPTION_SINCE:
			o.since = true;
			if (cmd_events_since(optarg, realtime_us(), &o.since_us))
				break;
			(void)fprintf(stderr,
				"oomsnap: --since %s: write 30m, 2h or 7d for so long ago, "
				"2026-01-31 13:30, or @SECONDS\n",
				optarg);
			return EXIT_CODE_USAGE;
		case 'h':
			usage(stdout);
			return standard_out_end(EXIT_CODE_OK);
		default:
			return bad_option("events", argv[optind - 1], c == ':');
		}
	if (optind < argc)
		return bad_usage("events", "events takes no '%s'", argv[optind]);
	return run(&o);
}
