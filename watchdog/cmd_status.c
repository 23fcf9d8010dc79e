// SPDX-License-Identifier: Apache-2.0
/*
 * oomsnap status: what the running watchdogs watch, one line a target, as they see it themselves.
 *
 * Reads the boards in the runtime directory (board.h) and nothing else: no cgroup file is opened,
 * no process looked at, and the watchdog does not notice. The figures are those of its newest look,
 * which may be seconds old far from the limit; --json says how old.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bad_usage.h"
#include "amount.h"
#include "base/checked.h"
#include "base/str.h"
#include "board.h"
#include "cmd.h"
#include "exit_code.h"
#include "os/clock.h"
#include "runtime_dir.h"
#include "standard_out.h"

#define WATCH_EVERY_S 1
#define CELL_MAX 40
#define LINE_MAX_BYTES 16384 /* every byte of the longest entry escaped fits */

static const char usage_text[] =
	"Usage: oomsnap status [--json] [--watch] [--runtime-dir DIR]\n"
	"\n"
	"Shows what the running watchdog watches: one line a target.\n"
	"\n"
	"      --json            one JSON object a target\n"
	"      --watch           again every second, until it is interrupted\n"
	"      --runtime-dir DIR as it was given to oomsnap watch\n"
	"                        (default $RUNTIME_DIRECTORY or " RUNTIME_DIR ")\n"
	"  -h, --help\n"
	"\n"
	"Exit status: 0 shown, 1 failed, 2 bad usage, 3 no watchdog runs there, 4 not permitted.\n";

struct show {
	bool json;
	uint64_t now_ns;
	uint32_t lines;
};

/* When used would reach the limit at this rate; UINT64_MAX: never. */
static uint64_t eta_ns(const struct board_entry *e)
{
	if (e->limit_bytes == SIZE_UNLIMITED || e->rate_bytes_s == 0)
		return UINT64_MAX;
	return mul_div(sub_floor(e->limit_bytes, e->used_bytes), NS_PER_S, e->rate_bytes_s);
}

static bool is_there(const struct board_entry *e)
{
	return e->seen_ns != 0 && strcmp(e->state, "gone") != 0;
}

/* --- text ---------------------------------------------------------------------------------- */

static void cell(const char *text, int width)
{
	(void)printf("%-*s  ", width, text);
}

static void size_cell(uint64_t bytes, const char *unit, int width)
{
	char text[CELL_MAX];
	struct str s;

	str_init(&s, text, sizeof(text));
	amount_size(&s, bytes);
	(void)str_add(&s, unit);
	cell(text, width);
}

static void eta_cell(const struct board_entry *e)
{
	char text[CELL_MAX];
	struct str s;
	uint64_t eta = eta_ns(e);

	str_init(&s, text, sizeof(text));
	if (eta == UINT64_MAX)
		(void)str_add(&s, "-");
	else
		amount_time(&s, eta);
	cell(text, 12);
}

static void show_text(const struct board_entry *e, struct show *show)
{
	if (show->lines == 0) {
		(void)printf("%-24s  %-9s  %-9s  %-9s  %-9s  %-11s  %-12s  %-5s  %-11s  %s\n",
			"TARGET", "STATE", "USED", "LIMIT", "TRIP", "RATE", "ETA", "PSI",
			"GUARANTEE", "LAST CAPTURE");
	}
	cell(e->target, 24);
	cell(e->state[0] ? e->state : "gone", 9);
	if (is_there(e)) {
		size_cell(e->used_bytes, "", 9);
		size_cell(e->limit_bytes, "", 9);
		if (e->limit_bytes == SIZE_UNLIMITED)
			cell("-", 9);
		else
			size_cell(e->trip_bytes, "", 9);
		size_cell(e->rate_bytes_s, "/s", 11);
		eta_cell(e);
		(void)printf("%u.%02u%%  ", e->psi_full_bp / 100U, e->psi_full_bp % 100U);
		cell(guarantee_name(e->guarantee), 11);
	} else {
		(void)printf("%-9s  %-9s  %-9s  %-11s  %-12s  %-5s  %-11s  ", "-", "-", "-", "-",
			"-", "-", "-");
	}
	(void)printf("%s%s\n", e->capture[0] ? e->capture : "-", e->partial ? " (partial)" : "");
}

/* --- JSON ---------------------------------------------------------------------------------- */

static void json_text(struct str *s, const char *key, const char *value)
{
	if (!value[0])
		return;
	(void)str_addf(s, ",\"%s\":\"", key);
	(void)str_add_json(s, value, strlen(value));
	(void)str_add(s, "\"");
}

static void json_size(struct str *s, const char *key, uint64_t bytes)
{
	if (bytes != SIZE_UNLIMITED)
		(void)str_addf(s, ",\"%s\":%" PRIu64, key, bytes);
}

static void show_json(int pid, const struct board_entry *e, const struct show *show)
{
	static char text[LINE_MAX_BYTES]; /* large; one thread */
	struct str s;
	uint64_t eta = eta_ns(e);

	str_init(&s, text, sizeof(text));
	(void)str_addf(&s, "{\"watchdog\":%d", pid);
	json_text(&s, "target", e->target);
	json_text(&s, "state", e->state[0] ? e->state : "gone");
	json_text(&s, "cgroup", e->cgroup);
	json_text(&s, "pod", e->pod);
	json_text(&s, "container", e->container);
	if (is_there(e)) {
		(void)str_addf(&s, ",\"guarantee\":\"%s\",\"used_bytes\":%" PRIu64,
			guarantee_name(e->guarantee), e->used_bytes);
		json_size(&s, "limit_bytes", e->limit_bytes);
		if (e->limit_bytes != SIZE_UNLIMITED)
			json_size(&s, "trip_bytes", e->trip_bytes);
		(void)str_addf(&s, ",\"rate_bytes_s\":%" PRIu64 ",\"psi_full_bp\":%u",
			e->rate_bytes_s, e->psi_full_bp);
		if (eta != UINT64_MAX)
			(void)str_addf(&s, ",\"eta_ms\":%" PRIu64, eta / NS_PER_MS);
		(void)str_addf(&s, ",\"age_ms\":%" PRIu64,
			sub_floor(show->now_ns, e->seen_ns) / NS_PER_MS);
	}
	(void)str_addf(&s, ",\"captures\":%u", e->captures);
	json_text(&s, "last_capture", e->capture);
	if (e->capture[0])
		(void)str_addf(&s, ",\"last_capture_complete\":%s", e->partial ? "false" : "true");
	(void)puts(str_add(&s, "}") ? text : "{\"error\":\"an entry is too long\"}");
}

/* --- the command --------------------------------------------------------------------------- */

/* A place of a selector of containers that never took one has nothing to tell. */
static bool is_vacant(const struct board_entry *e)
{
	return !e->target[0];
}

static void seen(const struct board_watchdog *watchdog, void *user)
{
	struct show *show = user;

	for (uint32_t i = 0; i < watchdog->targets; i++) {
		if (is_vacant(&watchdog->target[i]))
			continue;
		if (show->json)
			show_json(watchdog->pid, &watchdog->target[i], show);
		else
			show_text(&watchdog->target[i], show);
		show->lines++;
	}
}

static int show_once(const char *dir, bool json)
{
	struct show show = {.json = json, .now_ns = clock_now_ns()};
	int r = board_read(dir, seen, &show);

	if (r < 0) {
		(void)fprintf(stderr, "oomsnap: %s: cannot be read: %s; %s\n", dir,
			strerror(-r), // NOLINT(concurrency-mt-unsafe): one thread
			r == -EACCES ? "ask as the watchdog's user, or as root"
				     : "see --runtime-dir");
		return r == -EACCES || r == -EPERM ? EXIT_CODE_PERMISSION : EXIT_CODE_FAILED;
	}
	if (r == 0) {
		(void)fprintf(stderr,
			"oomsnap: no watchdog runs with %s; start oomsnap watch, or give "
			"--runtime-dir what it was given\n",
			dir);
		return EXIT_CODE_NO_TARGET;
	}
	if (show.lines == 0 && !json)
		(void)puts("no target yet");
	return standard_out_end(EXIT_CODE_OK);
}

static int show_again(const char *dir, bool json)
{
	const struct timespec pause = {.tv_sec = WATCH_EVERY_S};
	bool terminal = isatty(STDOUT_FILENO) == 1;
	int code;

	do {
		if (terminal && !json)
			(void)fputs("\033[H\033[2J", stdout); /* home, and clear */
		code = show_once(dir, json);
		if (!terminal && !json && code == EXIT_CODE_OK)
			(void)putchar('\n');
	} while (code == EXIT_CODE_OK && nanosleep(&pause, NULL) == 0);
	return code;
}

int cmd_status(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"watch", no_argument, NULL, 'w'},
		{"runtime-dir", required_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	char dir[TARGET_PATH_MAX];
	const char *given = NULL;
	bool json = false;
	bool again = false;
	int option;

	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (option) {
		case 'j':
			json = true;
			break;
		case 'w':
			again = true;
			break;
		case 'r':
			given = optarg;
			break;
		case 'h':
			(void)fputs(usage_text, stdout);
			return standard_out_end(EXIT_CODE_OK);
		default:
			return bad_option("status", argv[optind - 1], option == ':');
		}
	}
	if (optind != argc) {
		(void)fprintf(stderr, "oomsnap: status takes no '%s'; see oomsnap status --help\n",
			argv[optind]);
		return EXIT_CODE_USAGE;
	}
	if (!runtime_dir_find(given, dir, sizeof(dir))) {
		(void)fprintf(stderr, "oomsnap: the runtime directory's name is too long\n");
		return EXIT_CODE_USAGE;
	}
	return again ? show_again(dir, json) : show_once(dir, json);
}
