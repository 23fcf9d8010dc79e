// SPDX-License-Identifier: Apache-2.0
/*
 * The leaker's command line.
 *
 * One table holds every option with its argument, its help and the function that takes its value;
 * getopt_long() gets its own table from it, and --help prints it. A value that is not understood is
 * an error that names the option and the values it takes: a test that believes it leaks 64M must
 * not leak something else.
 */
#include "options.h"

#include "size.h"

#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_BYTES UINT64_C(4096)

/* Takes the value (NULL for an option without one). False when it cannot be used. */
typedef bool take_fn(struct options *o, const char *value);

struct option_row {
	const char *name;
	const char *argument; /* NULL: takes none */
	take_fn *take;	      /* NULL: options_parse() itself answers (help, list-patterns) */
	const char *help;     /* also what an error says the option takes */
};

static bool take_size(const char *value, uint64_t max, uint64_t *ret)
{
	uint64_t bytes;

	if (size_parse(value, &bytes) != SIZE_OK || bytes < PAGE_BYTES || bytes > max)
		return false;
	*ret = (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	return true;
}

static bool take_listen(struct options *o, const char *value)
{
	o->serve_http = true;
	return listen_parse(value, &o->listen);
}

static bool take_pattern(struct options *o, const char *value)
{
	o->plan.pattern = pattern_find(value);
	o->leak_at_once = true;
	return o->plan.pattern != NULL;
}

static bool take_rate(struct options *o, const char *value)
{
	return size_parse_rate(value, &o->plan.rate_bytes_s) == SIZE_OK;
}

static bool take_threads(struct options *o, const char *value)
{
	uint64_t n;

	if (size_parse_number(value, &n) != SIZE_OK || n < 1 || n > PATTERN_THREADS_MAX)
		return false;
	o->plan.threads = (unsigned)n;
	return true;
}

static bool take_total(struct options *o, const char *value)
{
	return take_size(value, PATTERN_TOTAL_MAX_BYTES, &o->plan.total_bytes);
}

static bool take_chunk(struct options *o, const char *value)
{
	return take_size(value, PATTERN_TOTAL_MAX_BYTES, &o->plan.chunk_bytes);
}

static bool take_seed(struct options *o, const char *value)
{
	return size_parse_number(value, &o->seed) == SIZE_OK;
}

static bool take_dir(struct options *o, const char *value)
{
	o->plan.dir = value;
	return value[0] == '/';
}

static bool take_hold(struct options *o, const char *value)
{
	o->hold = strcmp(value, "yes") == 0;
	return o->hold || strcmp(value, "no") == 0;
}

static bool take_start_paused(struct options *o, const char *value)
{
	(void)value;
	o->start_paused = true;
	return true;
}

static bool take_ready_fd(struct options *o, const char *value)
{
	uint64_t fd;

	if (size_parse_number(value, &fd) != SIZE_OK || fd > INT_MAX)
		return false;
	o->ready_fd = (int)fd;
	return true;
}

static bool take_ready_file(struct options *o, const char *value)
{
	o->ready_file = value;
	return value[0] != '\0';
}

static bool take_main_exits(struct options *o, const char *value)
{
	(void)value;
	o->main_exits = true;
	return true;
}

static bool take_dontdump(struct options *o, const char *value)
{
	return take_size(value, PATTERN_TOTAL_MAX_BYTES, &o->regions.dontdump_bytes);
}

static bool take_protnone(struct options *o, const char *value)
{
	return take_size(value, PATTERN_TOTAL_MAX_BYTES, &o->regions.protnone_bytes);
}

static bool take_reserve(struct options *o, const char *value)
{
	return take_size(value, REGION_RESERVE_MAX_BYTES, &o->regions.reserve_bytes);
}

static const struct option_row rows[] = {
	{"listen", "ADDR:PORT", take_listen,
		"numeric address to serve HTTP on; port 0 lets the kernel choose"},
	{"pattern", "NAME", take_pattern, "leak at once, in this way (see below)"},
	{"rate", "MB/s", take_rate, "\"max\" or MB (2^20 bytes) per second, decimals allowed"},
	{"threads", "N", take_threads, "threads, or children of fork: 1 to 5000"},
	{"total", "SIZE", take_total, "how much: 4K to 64T; then the memory is held"},
	{"chunk", "SIZE", take_chunk, "how much at a time: 4K to 64T"},
	{"seed", "N", take_seed, "what the memory is filled from: a number, 0x for hexadecimal"},
	{"dir", "PATH", take_dir, "absolute path of the directory for filecache"},
	{"hold", "yes|no", take_hold, "stay alive when the total is reached (yes), or exit (no)"},
	{"start-paused", NULL, take_start_paused, "wait for SIGUSR1 before leaking"},
	{"ready-fd", "N", take_ready_fd, "number of a descriptor that gets a line when ready"},
	{"ready-file", "PATH", take_ready_file, "file that gets the same line"},
	{"main-exits", NULL, take_main_exits, "the main thread ends, the others go on"},
	{"dontdump", "SIZE", take_dontdump, "secrets under MADV_DONTDUMP: 4K to 64T"},
	{"protnone", "SIZE", take_protnone, "half filled, then PROT_NONE: 4K to 64T"},
	{"reserve", "SIZE", take_reserve, "reserved address space: 4K to 64T"},
	{"list-patterns", NULL, NULL, "print the names of the patterns"},
	{"help", NULL, NULL, "print this"},
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

/* What cannot be said about one option alone. NULL when all is well. */
static const char *contradiction(const struct options *o)
{
	if (o->start_paused && !o->leak_at_once)
		return "--start-paused needs --pattern: without one nothing leaks before it is "
		       "asked for";
	if (!o->hold && !o->leak_at_once)
		return "--hold no needs --pattern: a service does not end by itself";
	return NULL;
}

static void set_defaults(struct options *o)
{
	memset(o, 0, sizeof(*o));
	o->plan.pattern = pattern_at(0);
	o->plan.rate_bytes_s = 10 * SIZE_MB;
	o->plan.dir = "/var/tmp";
	o->seed = 1;
	o->hold = true;
	o->ready_fd = -1;
}

static enum options_result finish(struct options *o, int argc, char *argv[], char *error)
{
	const char *wrong = contradiction(o);

	if (optind < argc) {
		(void)snprintf(
			error, OPTIONS_ERROR_BYTES, "unexpected argument \"%.60s\"", argv[optind]);
		return OPTIONS_BAD;
	}
	if (wrong) {
		(void)snprintf(error, OPTIONS_ERROR_BYTES, "%s", wrong);
		return OPTIONS_BAD;
	}
	if (!o->leak_at_once && !o->serve_http) {
		o->serve_http = true;
		(void)listen_parse("127.0.0.1:8080", &o->listen); /* well-formed */
	}
	return OPTIONS_RUN;
}

enum options_result options_parse(
	int argc, char *argv[], struct options *ret, char error[static OPTIONS_ERROR_BYTES])
{
	struct option longopts[ROW_COUNT + 1] = {{NULL, 0, NULL, 0}};
	int c, index = 0;

	for (size_t i = 0; i < ROW_COUNT; i++) {
		longopts[i].name = rows[i].name;
		longopts[i].has_arg = rows[i].argument ? required_argument : no_argument;
	}
	set_defaults(ret);
	optind = 0; /* glibc: begin anew */
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":", longopts, &index)) != -1) {
		if (c != 0) {
			/* getopt_long has moved on to the next word already */
			const char *word = argv[optind > 1 ? optind - 1 : 1];

			(void)snprintf(error, OPTIONS_ERROR_BYTES,
				c == ':' ? "%.60s needs an argument"
					 : "no such option, or one that takes no argument: %.60s",
				word);
			return OPTIONS_BAD;
		}
		if (!rows[index].take)
			return rows[index].name[0] == 'h' ? OPTIONS_HELP : OPTIONS_LIST_PATTERNS;
		if (!rows[index].take(ret, optarg)) {
			(void)snprintf(error, OPTIONS_ERROR_BYTES,
				"--%s cannot be \"%.60s\"; it is: %s", rows[index].name, optarg,
				rows[index].help);
			return OPTIONS_BAD;
		}
	}
	return finish(ret, argc, argv, error);
}

void options_print_help(FILE *to)
{
	fputs("usage: leaker [--listen ADDR:PORT]           leak when asked over HTTP\n"
	      "       leaker --pattern NAME [OPTION...]     leak at once\n\n"
	      "Leaks memory on request, and keeps in its own memory a list of what it wrote "
	      "where.\n"
	      "Without --pattern it serves HTTP, on 127.0.0.1:8080 unless told otherwise:\n"
	      "GET /triggerMemoryLeak[?rate=MB/s&pattern=NAME], /stop[?free=1], /stats, "
	      "/healthz.\n\n"
	      "Options (sizes take K, M, G, T; defaults: --rate 10, --seed 1, --hold yes):\n",
		to);
	for (size_t i = 0; i < ROW_COUNT; i++) {
		char left[40];

		(void)snprintf(left, sizeof(left), "--%s %s", rows[i].name,
			rows[i].argument ? rows[i].argument : "");
		fprintf(to, "  %-20s  %s\n", left, rows[i].help);
	}
	fputs("\nPatterns (threads, chunk and total differ where it says so):\n", to);
	for (size_t i = 0; pattern_at(i); i++) {
		const struct pattern *p = pattern_at(i);

		fprintf(to, "  %-12s  %s\n", p->name, p->description);
		fprintf(to, "  %-12s  --threads %u --chunk %lluK%s", "", p->threads,
			(unsigned long long)(p->chunk_bytes >> 10),
			p->one_call ? " (or all of --total at once)" : "");
		if (p->total_bytes)
			fprintf(to, " --total %lluM", (unsigned long long)(p->total_bytes >> 20));
		fputc('\n', to);
	}
	fputs("\nExit status: 0 ended by SIGTERM or SIGINT, or total reached with --hold no;\n"
	      "1 it could not start; 2 bad usage; 3 the kernel refuses this pattern to this "
	      "process;\n"
	      "4 another limit (threads, mappings, children) came first, with --hold no.\n",
		to);
}

void options_print_patterns(FILE *to)
{
	for (size_t i = 0; pattern_at(i); i++)
		fprintf(to, "%s\n", pattern_at(i)->name);
}
