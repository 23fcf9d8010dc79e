// SPDX-License-Identifier: Apache-2.0
/*
 * The entry point: picks the subcommand and hands it its arguments. Everything else, options and
 * exit codes included, belongs to the subcommand (cmd_NAME.c, exit_code.h).
 *
 * Before anything is opened, descriptors 0 to 2 are made sure to exist, so that a file of ours can
 * never become somebody's standard output.
 */
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/fault.h"
#include "cmd.h"
#include "exit_code.h"
#include "os/fd.h"
#include "standard_out.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *what;
} commands[] = {
	{"watch", cmd_watch, "watch targets, and capture before the OOM killer fires"},
	{"dump", cmd_dump, "write the core of a running process, and let it run on"},
	{"check", cmd_check, "say whether the configuration is valid, and what can be promised"},
	{"status", cmd_status, "show what the running watchdog watches"},
	{"inspect", cmd_inspect, "tell what is in a core, and whether it is complete"},
	{"events", cmd_events, "show what oomsnap told the journal"},
};

static void usage(FILE *to)
{
	(void)fprintf(to, "Usage: oomsnap COMMAND [ARGUMENT...]\n\n");
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		(void)fprintf(to, "  %-10s%s\n", commands[i].name, commands[i].what);
	(void)fprintf(to, "\noomsnap COMMAND --help tells its options; oomsnap --version.\n");
}

int main(int argc, char **argv)
{
	fd_ensure_standard();
	fault_init();
	if (argc < 2) {
		usage(stderr);
		return EXIT_CODE_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		usage(stdout);
		return standard_out_end(EXIT_CODE_OK);
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("oomsnap %s\n", OOMSNAP_VERSION);
		return standard_out_end(EXIT_CODE_OK);
	}
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	(void)fprintf(stderr, "oomsnap: there is no command '%s'; see oomsnap --help\n", argv[1]);
	return EXIT_CODE_USAGE;
}
