// SPDX-License-Identifier: Apache-2.0
/*
 * oomsnap inspect: what is in a core, and whether it is complete.
 *
 * It reads the file alone, never a process, and any 64-bit core will do: those of the kernel or of
 * gdb show the same lists, only that nobody wrote down what they lack, so "complete" means for them
 * that the file is as long as its headers say. The exit code is 0 for a complete core and
 * EXIT_CODE_PARTIAL for another, so that scripts can rely on it.
 *
 * Names come from a process that may have chosen them to disturb a terminal: control characters and
 * invalid UTF-8 are shown escaped.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bad_usage.h"
#include "amount.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "cmd.h"
#include "core_view.h"
#include "exit_code.h"
#include "report.h"
#include "standard_out.h"

#define WHY_MAX 512
#define LINE_BYTES 4096
#define JSON_BYTES (4U << 20)
#define SHOWN_THREADS 64 /* in the readable form; --json gives all that are kept */
#define SHOWN_MAPPINGS 24

static void usage(FILE *to)
{
	(void)fputs(
		"Usage: oomsnap inspect [--json] CORE\n"
		"\n"
		"Tells what is in a core, plain or compressed by zstd, and whether it is "
		"complete.\n"
		"\n"
		"      --json            one JSON object\n"
		"  -h, --help\n"
		"\n"
		"Exit status: 0 complete, 1 no core, or it cannot be read, 2 bad usage, 3 no such "
		"file,\n"
		"4 not permitted, 6 something is missing in the core.\n",
		to);
}

/* Where mapping or thread names go into a line. */
static void add_name(struct str *s, const char *name)
{
	(void)str_add_safe(s, name, strlen(name));
}

static void print_missing(const struct core_view *view)
{
	if (view->absent_bytes) {
		char text[64];
		struct str s;

		str_init(&s, text, sizeof(text));
		amount_size(&s, view->absent_bytes);
		(void)printf("missing    the file was cut: %s that its headers name are not in "
			     "it\n",
			text);
	}
	if (!view->finished)
		(void)puts("missing    its writer did not come to the end");
	for (uint32_t i = 0; report_missing_words(i); i++)
		if (view->missing & (1U << i))
			(void)printf("missing    %s\n", report_missing_words(i));
}

static const char *machine_name(uint16_t machine)
{
	return machine == 62 ? "x86-64" : machine == 183 ? "arm64" : "another machine";
}

static void print_head(const char *path, const struct core_view *view)
{
	char line[LINE_BYTES];
	struct str s;

	str_init(&s, line, sizeof(line));
	(void)str_addf(
		&s, "core       %s: %s", path, core_view_complete(view) ? "complete" : "PARTIAL");
	(void)str_addf(&s, ", %s%s%s\n", machine_name(view->elf.machine),
		view->compressed ? ", zstd" : "", view->ours ? ", written by oomsnap" : "");
	if (view->has_process) {
		(void)str_addf(&s, "process    %d (", view->process.pid);
		add_name(&s, view->process.comm);
		(void)str_addf(&s, "), user %u: ", view->process.uid);
		add_name(&s, view->process.args);
		(void)str_add_char(&s, '\n');
	}
	(void)str_add(&s, "memory     ");
	amount_size(&s, view->memory_bytes);
	(void)str_addf(&s, " in %u mappings, ", view->elf.segments);
	amount_size(&s, view->written_bytes);
	(void)str_add(&s, " of it in the core; ");
	amount_size(&s, view->disk_bytes);
	(void)str_add(&s, " on disk\n");
	(void)str_addf(&s, "threads    %" PRIu64, view->threads);
	if (view->threads_without_registers)
		(void)str_addf(
			&s, ", %" PRIu64 " without registers", view->threads_without_registers);
	(void)puts(line);
}

static void print_threads(const struct core_view *view)
{
	(void)puts("\n       TID  PC                  NAME             WHERE");
	for (uint32_t i = 0; i < view->thread_count && i < SHOWN_THREADS; i++) {
		const struct core_view_thread *t = &view->thread[i];
		char line[LINE_BYTES];
		char name[128];
		struct str s;

		str_init(&s, name, sizeof(name));
		add_name(&s, t->name);
		str_init(&s, line, sizeof(line));
		(void)str_addf(&s, "%10d  0x%016" PRIx64 "  %-15s  ", t->tid, t->pc, name);
		add_name(&s, t->where);
		(void)puts(line);
	}
	if (view->threads > SHOWN_THREADS)
		(void)printf(
			"            ... and %" PRIu64 " more\n", view->threads - SHOWN_THREADS);
}

static void print_mappings(const struct core_view *view)
{
	(void)puts("\n      SIZE     IN CORE  FLAGS  START               NAME");
	for (uint32_t i = 0; i < view->mapping_count && i < SHOWN_MAPPINGS; i++) {
		const struct core_view_mapping *m = &view->mapping[i];
		char line[LINE_BYTES];
		char size[32];
		char data[32];
		struct str s;

		str_init(&s, size, sizeof(size));
		amount_size(&s, m->bytes);
		str_init(&s, data, sizeof(data));
		amount_size(&s, m->data_bytes);
		str_init(&s, line, sizeof(line));
		(void)str_addf(&s, "%10s  %10s  %c%c%c    0x%016" PRIx64 "  ", size, data,
			m->flags & 4 ? 'r' : '-', m->flags & 2 ? 'w' : '-',
			m->flags & 1 ? 'x' : '-', m->start);
		add_name(&s, m->name[0] ? m->name : "(anonymous)");
		(void)puts(line);
	}
	if (view->elf.segments > SHOWN_MAPPINGS)
		(void)printf("            ... and %u smaller ones\n",
			view->elf.segments - SHOWN_MAPPINGS);
}

static int print_json(const char *path, const struct core_view *view)
{
	_cleanup_free_ char *text = malloc(JSON_BYTES);
	struct str s;

	if (!text) {
		(void)fputs("oomsnap: no memory for the report\n", stderr);
		return EXIT_CODE_FAILED;
	}
	str_init(&s, text, JSON_BYTES);
	report_json_view(&s, path, view);
	(void)fputs(text, stdout);
	return EXIT_CODE_OK;
}

/* A core in its bundle has the files beside it that know more names. */
static void name_from_bundle(const char *path, struct core_view *view)
{
	char dir[PATH_MAX] = ".";
	const char *slash = strrchr(path, '/');
	_cleanup_close_ int fd = -1;

	if (!view->ours || (slash && (size_t)(slash - path) + 1 >= sizeof(dir)))
		return;
	if (slash) {
		memcpy(dir, path, (size_t)(slash - path) + 1);
		dir[slash - path + 1] = '\0';
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		core_view_name(view, fd);
}

static int open_core(const char *path, struct core_view *view)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	char why[WHY_MAX] = "";
	int error = fd < 0 ? errno : 0;

	if (error) {
		(void)fprintf(stderr, "oomsnap: %s: %s\n", path, strerrordesc_np(error));
		if (error == ENOENT || error == ENOTDIR)
			return EXIT_CODE_NO_TARGET;
		return error == EACCES || error == EPERM ? EXIT_CODE_PERMISSION : EXIT_CODE_FAILED;
	}
	if (core_view_read(fd, CORE_VIEW_HEAD_MAX, view, why, sizeof(why)) == 0) {
		name_from_bundle(path, view);
		return EXIT_CODE_OK;
	}
	(void)fprintf(stderr, "oomsnap: %s: cannot be inspected: %s\n", path, why);
	return EXIT_CODE_FAILED;
}

static int inspect(const char *path, bool json)
{
	struct core_view *view = calloc(1, sizeof(*view));
	int code;

	if (!view) {
		(void)fputs("oomsnap: no memory to look at a core\n", stderr);
		return EXIT_CODE_FAILED;
	}
	code = open_core(path, view);
	if (code == EXIT_CODE_OK) {
		if (json) {
			code = print_json(path, view);
		} else {
			print_head(path, view);
			print_missing(view);
			print_threads(view);
			print_mappings(view);
		}
		if (code == EXIT_CODE_OK && !core_view_complete(view))
			code = EXIT_CODE_PARTIAL;
	}
	free(view);
	return code;
}

int cmd_inspect(int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	bool json = false;
	int option;

	opterr = 0;
	optind = 1;
	while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (option == 'h') {
			usage(stdout);
			return standard_out_end(EXIT_CODE_OK);
		}
		if (option != 'j')
			return bad_option("inspect", argv[optind - 1], /* lacks_value= */ false);
		json = true;
	}
	if (argc - optind != 1) {
		return bad_usage("inspect", "give one core file");
	}
	return standard_out_end(inspect(argv[optind], json));
}
