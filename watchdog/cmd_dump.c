// SPDX-License-Identifier: Apache-2.0
/*
 * oomsnap dump: the core of a running process, by hand.
 *
 * It finds the target and refuses what cannot work before it touches anything (dump_target.c),
 * opens and checks the place, and only then stops the process, by ptrace alone: no signal is sent,
 * nothing runs inside the target, and whatever happens to us the kernel lets it run on. The copy is
 * the same code that the watchdog's capturers run. SIGINT, SIGTERM and SIGHUP end the copy at the
 * next chunk: the target is let go, the unfinished file removed.
 *
 * --verdict kill kills the process once the capture is complete and durable, so it runs on for the
 * moment that the disk needs; a partial or failed capture kills nobody.
 *
 * Standard output gets one line per capture (or one JSON object), standard error the progress, on a
 * terminal only, and every refusal as one sentence. Exit codes: exit_code.h; with --all the worst
 * of them.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bad_usage.h"
#include "amount.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "capture/capture.h"
#include "cgroup_files.h"
#include "cmd.h"
#include "config_value.h"
#include "dump_target.h"
#include "exit_code.h"
#include "os/cgroup.h"
#include "os/clock.h"
#include "os/process.h"
#include "report.h"
#include "standard_out.h"

#define DEFAULT_DIRECTORY "/var/lib/oomsnap" /* for root; others get the current directory */
#define WHY_MAX 1024
#define LINE_MAX_BYTES 4096
#define JSON_MAX 16384
#define PROGRESS_NS (100 * NS_PER_MS) /* between two progress lines */

struct dump {
	struct dump_selector selector;
	const char *output;
	const char *directory;
	enum capture_kind kind;
	enum compression compress;
	enum verdict verdict;
	uint64_t deadline_ns; /* 0: none */
	bool allow_memory;
	bool all_pages;
	bool json;
	bool terminal; /* progress goes to standard error */

	struct dump_target target;
	struct capture *capture;
	uint64_t expected_bytes; /* of the running capture, for its progress */
	uint64_t told_ns;
	bool told;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
	(void)signal;
	interrupted = 1;
}

static void say(const char *text)
{
	(void)fprintf(stderr, "oomsnap: %s\n", text);
}

/* --- arguments ----------------------------------------------------------------------------- */

static void usage(FILE *to)
{
	(void)fputs(
		"Usage: oomsnap dump PID|--cgroup DIR|--unit NAME [OPTION...]\n"
		"\n"
		"  -o, --output PATH       write the core alone, to a new file PATH\n"
		"  -d, --directory DIR     write a bundle (core, reports, /proc files) into DIR\n"
		"      --type full|heap|mini        what goes into it (full)\n"
		"      --compress none|zstd         (none)\n"
		"      --verdict resume|kill        afterwards (resume)\n"
		"      --deadline TIME     stop copying after this long, as in 500ms, 30s, 2m\n"
		"      --all               every process of the cgroup or unit, not the biggest\n"
		"      --all-pages         memory that the program asked to leave out, too\n"
		"      --allow-memory      the place may be kept in memory (tmpfs)\n"
		"      --json              print one JSON object for each capture\n"
		"  -h, --help\n"
		"\n"
		"Without -o and -d: /var/lib/oomsnap for root, the current directory for others.\n"
		"\n"
		"Exit status: 0 complete, 1 failed, 2 bad usage, 3 no such process, cgroup or "
		"unit,\n"
		"4 not permitted, 5 no space, or a place that is refused, 6 something is missing "
		"in\n"
		"the core, 7 another program traces the process, 130 ended by a signal.\n",
		to);
}

#define X(id, name) name,
static const char *const kind_names[] = {CAPTURE_KINDS(X)};
static const char *const compress_names[] = {COMPRESSIONS(X)};
#undef X

enum long_option {
	OPTION_CGROUP = 256,
	OPTION_UNIT,
	OPTION_TYPE,
	OPTION_COMPRESS,
	OPTION_VERDICT,
	OPTION_DEADLINE,
	OPTION_ALL,
	OPTION_ALL_PAGES,
	OPTION_ALLOW_MEMORY,
	OPTION_JSON,
};

static const struct option options[] = {
	{"output", required_argument, NULL, 'o'},
	{"directory", required_argument, NULL, 'd'},
	{"help", no_argument, NULL, 'h'},
	{"cgroup", required_argument, NULL, OPTION_CGROUP},
	{"unit", required_argument, NULL, OPTION_UNIT},
	{"type", required_argument, NULL, OPTION_TYPE},
	{"compress", required_argument, NULL, OPTION_COMPRESS},
	{"verdict", required_argument, NULL, OPTION_VERDICT},
	{"deadline", required_argument, NULL, OPTION_DEADLINE},
	{"all", no_argument, NULL, OPTION_ALL},
	{"all-pages", no_argument, NULL, OPTION_ALL_PAGES},
	{"allow-memory", no_argument, NULL, OPTION_ALLOW_MEMORY},
	{"json", no_argument, NULL, OPTION_JSON},
	{NULL, 0, NULL, 0},
};

/* One option that takes a value out of a list or a time. */
static int take_value(struct dump *d, int option)
{
	enum config_value_status status;
	int choice;

	switch (option) {
	case OPTION_TYPE:
		choice = config_value_choice(optarg, kind_names, ARRAY_LEN(kind_names));
		if (choice < 0)
			return bad_usage("dump", "--type is full, heap or mini, not '%s'", optarg);
		d->kind = (enum capture_kind)choice;
		return EXIT_CODE_OK;
	case OPTION_COMPRESS:
		choice = config_value_choice(optarg, compress_names, ARRAY_LEN(compress_names));
		if (choice < 0)
			return bad_usage("dump", "--compress is none or zstd, not '%s'", optarg);
		d->compress = (enum compression)choice;
		return EXIT_CODE_OK;
	case OPTION_VERDICT:
		if (strcmp(optarg, "resume") != 0 && strcmp(optarg, "kill") != 0)
			return bad_usage("dump", "--verdict is resume or kill, not '%s'", optarg);
		d->verdict = *optarg == 'k' ? VERDICT_KILL : VERDICT_RESUME;
		return EXIT_CODE_OK;
	default:
		status = config_value_time(optarg, &d->deadline_ns);
		if (status != CONFIG_VALUE_OK || d->deadline_ns == 0)
			return bad_usage("dump",
				"--deadline is a time above 0, as in 500ms, 30s or 2m, not '%s'",
				optarg);
		return EXIT_CODE_OK;
	}
}

/* Takes one option. EXIT_CODE_OK or EXIT_CODE_USAGE, having spoken. */
static int take_option(struct dump *d, int option, const char *word)
{
	switch (option) {
	case 'o':
		d->output = optarg;
		break;
	case 'd':
		d->directory = optarg;
		break;
	case OPTION_CGROUP:
		d->selector.cgroup = optarg;
		break;
	case OPTION_UNIT:
		d->selector.unit = optarg;
		break;
	case OPTION_ALL:
		d->selector.all = true;
		break;
	case OPTION_ALL_PAGES:
		d->all_pages = true;
		break;
	case OPTION_ALLOW_MEMORY:
		d->allow_memory = true;
		break;
	case OPTION_JSON:
		d->json = true;
		break;
	case ':':
		return bad_option("dump", word, /* lacks_value= */ true);
	case '?':
		return bad_option("dump", word, /* lacks_value= */ false);
	default:
		return take_value(d, option);
	}
	return EXIT_CODE_OK;
}

/* EXIT_CODE_OK, EXIT_CODE_USAGE having spoken, or -1 after --help. */
static int parse_arguments(struct dump *d, int argc, char **argv)
{
	int option;
	int code;

	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, ":o:d:h", options, NULL)) != -1) {
		if (option == 'h') {
			usage(stdout);
			return -1;
		}
		code = take_option(d, option, argv[optind - 1]);
		if (code)
			return code;
	}
	if (optind < argc)
		d->selector.pid = argv[optind++];
	if (optind < argc)
		return bad_usage(
			"dump", "one process at a time; unexpected argument '%s'", argv[optind]);
	if (!!d->selector.pid + !!d->selector.cgroup + !!d->selector.unit != 1)
		return bad_usage("dump", "give one of PID, --cgroup DIR and --unit NAME");
	if (d->output && d->directory)
		return bad_usage("dump", "give either --output or --directory");
	if (d->output && d->selector.all)
		return bad_usage("dump", "--all writes several bundles: use --directory");
	if (d->selector.pid && d->selector.all)
		return bad_usage("dump", "--all goes with --cgroup or --unit");
	return EXIT_CODE_OK;
}

/* --- one capture --------------------------------------------------------------------------- */

static int exit_code_of(enum capture_status status)
{
	switch (status) {
	case CAPTURE_OK:
		return EXIT_CODE_OK;
	case CAPTURE_PARTIAL:
		return EXIT_CODE_PARTIAL;
	case CAPTURE_GONE:
		return EXIT_CODE_NO_TARGET;
	case CAPTURE_DENIED:
		return EXIT_CODE_PERMISSION;
	case CAPTURE_BUSY:
		return EXIT_CODE_BUSY;
	case CAPTURE_NO_SPACE:
	case CAPTURE_BAD_PLACE:
		return EXIT_CODE_PLACE;
	case CAPTURE_FAILED:
	case CAPTURE_STATUS_COUNT:
		break;
	}
	return EXIT_CODE_FAILED;
}

static void clear_progress(struct dump *d)
{
	if (d->told)
		(void)fputs("\r\033[K", stderr);
	d->told = false;
}

/* "  62%  1.20 GiB of about 1.93 GiB  1.70 GiB/s  0.42 s left" */
static void tell_progress(struct dump *d, const struct capture_result *result, uint64_t now_ns)
{
	uint64_t done = result->memory_bytes; /* with the zeros among it */
	uint64_t expected = max_u64(d->expected_bytes, done);
	uint64_t since = sub_floor(now_ns, result->seized_ns);
	char line[256];
	struct str s;

	if (now_ns - d->told_ns < PROGRESS_NS || !since || !expected)
		return;
	d->told_ns = now_ns;
	d->told = true;
	str_init(&s, line, sizeof(line));
	(void)str_addf(&s, "\r\033[K%3u%%  ", (unsigned int)mul_div(done, 100, expected));
	amount_size(&s, done);
	(void)str_add(&s, " of about ");
	amount_size(&s, expected);
	(void)str_add(&s, "  ");
	amount_size(&s, mul_div(done, NS_PER_S, since));
	(void)str_add(&s, "/s  ");
	if (done)
		amount_time(&s, mul_div(expected - done, since, done));
	(void)str_add(&s, " left");
	(void)fputs(line, stderr);
}

static bool on_moment(void *user, enum capture_moment moment, const struct capture_result *result)
{
	struct dump *d = user;

	if (moment == CAPTURE_COPIED && d->target.cgroup[0])
		cgroup_files_add(d->capture, d->target.cgroup);
	if (moment == CAPTURE_PROGRESS && d->terminal)
		tell_progress(d, result, clock_now_ns());
	return !interrupted;
}

/* What the cgroup says before the process is stopped; leaves what is unknown unlimited or 0. */
static void look_at_cgroup(struct dump *d, struct incident_record *record)
{
	struct cgroup *cg = malloc(sizeof(*cg));
	struct sample sample;

	record->limit_bytes = SIZE_UNLIMITED;
	record->headroom_trip_bytes = SIZE_UNLIMITED;
	record->headroom_hold_bytes = SIZE_UNLIMITED;
	record->headroom_end_bytes = SIZE_UNLIMITED;
	if (cg && d->target.cgroup[0] && cgroup_open(d->target.cgroup, cg) == 0) {
		if (cgroup_sample(cg, clock_now_ns(), 0, &sample) == 0) {
			record->limit_bytes = sample.limit_bytes;
			record->used_at_trip_bytes = sample_used(&sample);
			record->headroom_trip_bytes = sample_headroom(&sample);
			record->oom_events_before = record->oom_events_after = sample.oom_events;
			record->oom_kills_before = record->oom_kills_after = sample.oom_kills;
		}
		cgroup_close(cg);
	}
	free(cg);
}

static void note(struct incident_record *record, enum intervention what, uint64_t at_ns)
{
	if (at_ns && record->timeline_count < TIMELINE_MAX)
		record->timeline[record->timeline_count++] =
			(struct timeline_entry){.at_ns = at_ns, .what = what};
}

static void fill_record(
	struct dump *d, const struct capture_result *result, struct incident_record *record)
{
	(void)str_copy(record->target, sizeof(record->target), d->target.name);
	(void)str_copy(record->cgroup, sizeof(record->cgroup), d->target.cgroup);
	record->reason = TRIP_REASON_MANUAL;
	record->guarantee = GUARANTEE_BEST_EFFORT;
	record->hold = HOLD_PTRACE;
	record->verdict = result->status == CAPTURE_OK ? d->verdict : VERDICT_RESUME;
	record->held_ns = result->seized_ns;
	record->released_ns = result->detached_ns;
	note(record, INTERVENTION_TRIP, record->trip_ns);
	note(record, INTERVENTION_SEIZED, result->seized_ns);
	note(record, INTERVENTION_COPIED, result->copied_ns);
	note(record, INTERVENTION_DETACHED, result->detached_ns);
	note(record, INTERVENTION_DURABLE, result->durable_ns);
}

/* The reports beside the core; a failure costs the reports only, and is told. */
static void write_reports(struct dump *d, const struct capture_request *request,
	struct capture_result *result, struct incident_record *record, char *why, size_t why_size)
{
	int bundle_fd = capture_bundle_fd(d->capture);
	int r;

	if (bundle_fd < 0)
		return;
	fill_record(d, result, record);
	r = report_write_bundle(
		bundle_fd, request, result, record, /* history= */ NULL, 0, why, why_size);
	if (r)
		(void)fprintf(stderr, "oomsnap: %s: cannot write the reports: %s\n", result->path,
			strerrordesc_np(-r));
}

/* What it costs the target that we run in its cgroup, and what to do about it. */
static void say_own_cgroup(const struct capture_result *result)
{
	char text[32]; /* "1023 MiB" is as long as it gets */
	struct str s;

	str_init(&s, text, sizeof(text));
	amount_size(&s, result->cache_bytes);
	(void)fprintf(stderr,
		"oomsnap: it runs in the memory cgroup of process %d, whose limit bears what it "
		"needs "
		"itself and up to %s of page cache; from outside that would cost the process "
		"nothing\n",
		(int)result->pid, text);
}

static void print_result(const struct dump *d, const struct capture_request *request,
	const struct capture_result *result, const char *why)
{
	const struct report report = {.request = request, .result = result, .why = why};
	char line[JSON_MAX];
	struct str s;

	str_init(&s, line, sizeof(line));
	if (d->json) {
		report_json_capture(&s, &report);
	} else {
		(void)str_addf(&s, "%s: ", result->path);
		amount_size(&s, result->core_bytes);
		(void)str_add(&s, " (");
		amount_size(&s, result->file_bytes);
		(void)str_addf(&s, " on disk), %" PRIu32 " thread%s, paused ", result->threads,
			result->threads == 1 ? "" : "s");
		amount_time(&s, sub_floor(result->detached_ns, result->begin_ns));
	}
	(void)puts(line);
	if (result->own_cgroup && !d->json)
		say_own_cgroup(result);
	if (result->status == CAPTURE_PARTIAL)
		(void)fprintf(stderr, "oomsnap: %s: %s\n", result->core_path,
			*why ? why : "the core is partial");
}

static int carry_out_verdict(const struct dump_process *process)
{
	_cleanup_close_ int pidfd = -1;
	int r = process_open(process->pid, process->start_time, &pidfd);

	if (r == 0)
		r = process_signal(pidfd, SIGKILL);
	if (r >= 0)
		return EXIT_CODE_OK; /* killed, or it ended by itself */
	(void)fprintf(stderr, "oomsnap: cannot kill process %d: %s\n", (int)process->pid,
		strerrordesc_np(-r));
	return r == -EPERM ? EXIT_CODE_PERMISSION : EXIT_CODE_FAILED;
}

static int interrupted_exit(struct dump *d)
{
	capture_discard(d->capture);
	say("interrupted; the process runs on and nothing was written");
	return EXIT_CODE_INTERRUPTED;
}

/* Captures one process and prints what came of it. An exit code. */
static int dump_one(struct dump *d, const struct dump_process *process)
{
	struct capture_request request = {
		.pid = process->pid,
		.start_time = process->start_time,
		.max_bytes = SIZE_UNLIMITED,
		.signal = SIGKILL,
		.kind = d->kind,
		.compress = d->compress,
		.swap = SWAP_LAST,
		.all_pages = d->all_pages,
	};
	struct incident_record record = {0};
	struct capture_result result = {0};
	char why[WHY_MAX] = "";
	int code;
	int r;

	(void)str_copy(request.target, sizeof(request.target), d->target.name);
	look_at_cgroup(d, &record);
	d->expected_bytes = process->rss_bytes;
	record.trip_ns = clock_now_ns();
	if (d->deadline_ns)
		request.deadline_ns = add_sat(record.trip_ns, d->deadline_ns);
	r = capture_run(d->capture, &request, on_moment, d, &result, why, sizeof(why));
	clear_progress(d);
	if (interrupted)
		return interrupted_exit(d);
	if (r) {
		say(*why ? why : capture_status_name((enum capture_status)r));
		return exit_code_of((enum capture_status)r);
	}
	write_reports(d, &request, &result, &record, why, sizeof(why));
	r = capture_finish(d->capture, &result);
	if (r) {
		(void)fprintf(stderr, "oomsnap: %s: cannot bring it under its final name: %s\n",
			result.path, strerrordesc_np(-r));
		return r == -EEXIST || r == -ENOSPC ? EXIT_CODE_PLACE : EXIT_CODE_FAILED;
	}
	print_result(d, &request, &result, why);
	code = exit_code_of(result.status);
	if (code == EXIT_CODE_OK && d->verdict == VERDICT_KILL)
		code = carry_out_verdict(process);
	return code;
}

static int set_place(struct dump *d)
{
	const char *directory = d->directory;
	char why[WHY_MAX] = "";
	int r;

	if (!directory)
		directory = geteuid() == 0 ? DEFAULT_DIRECTORY : ".";
	if (d->output)
		r = capture_set_output(d->capture, d->output, d->allow_memory, why, sizeof(why));
	else
		r = capture_set_directory(d->capture, directory, d->allow_memory, why, sizeof(why));
	if (r == 0)
		return EXIT_CODE_OK;
	say(why);
	return r > 0 ? exit_code_of((enum capture_status)r) : EXIT_CODE_FAILED;
}

static void catch_signals(void)
{
	struct sigaction end = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	(void)sigaction(SIGINT, &end, NULL); /* cannot fail for valid signals */
	(void)sigaction(SIGTERM, &end, NULL);
	(void)sigaction(SIGHUP, &end, NULL);
	(void)sigaction(SIGXFSZ, &ignore, NULL); /* a write beyond RLIMIT_FSIZE gives EFBIG then */
	(void)sigaction(SIGPIPE, &ignore, NULL);
}

static int run(struct dump *d)
{
	char why[WHY_MAX] = "";
	struct capture_limits limits = capture_limits_default;
	int worst = EXIT_CODE_OK;
	int code = dump_target_find(&d->selector, &d->target, why, sizeof(why));

	if (code) {
		say(why);
		return code;
	}
	(void)process_prefer_session(); /* without the right it stays as it is */
	limits.touch_threads = limits.touch_mappings = 0;
	if (capture_new(&limits, &d->capture) < 0) {
		say("no memory for the tables of a capture");
		return EXIT_CODE_FAILED;
	}
	code = set_place(d);
	if (code)
		return code;
	catch_signals();
	for (uint32_t i = 0; i < d->target.count && !interrupted; i++) {
		code = dump_one(d, &d->target.processes[i]);
		worst = code > worst ? code : worst;
	}
	return worst;
}

int cmd_dump(int argc, char **argv)
{
	struct dump d = {.verdict = VERDICT_RESUME, .terminal = isatty(STDERR_FILENO) == 1};
	int code = parse_arguments(&d, argc, argv);

	if (code == EXIT_CODE_OK) {
		code = run(&d);
		capture_free(d.capture);
		dump_target_free(&d.target);
	}
	return standard_out_end(code < 0 ? EXIT_CODE_OK : code);
}
