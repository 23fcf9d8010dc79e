// SPDX-License-Identifier: Apache-2.0
/*
 * The options that watch and check share: the configuration file, overrides, selectors. See
 * watch_arguments.h for the contract.
 *
 * Values are checked by config.c, in the words that it uses for the file; here only their number
 * and place are judged.
 */
#include "bad_usage.h"
#include "watch_arguments.h"

#include <getopt.h>
#include <stdio.h>

#include "exit_code.h"
#include "standard_out.h"

enum {
	OPTION_DRY_RUN = 256,
	OPTION_SET,
	OPTION_RUNTIME_DIR,
	OPTION_JSON,
	OPTION_SELECTOR, /* + enum selector_kind */
};

static const struct option options_long[] = {
	{"config", required_argument, NULL, 'c'},
	{"dry-run", no_argument, NULL, OPTION_DRY_RUN},
	{"set", required_argument, NULL, OPTION_SET},
	{"runtime-dir", required_argument, NULL, OPTION_RUNTIME_DIR},
	{"json", no_argument, NULL, OPTION_JSON},
	{"help", no_argument, NULL, 'h'},
	{"cgroup", required_argument, NULL, OPTION_SELECTOR + SELECTOR_CGROUP},
	{"unit", required_argument, NULL, OPTION_SELECTOR + SELECTOR_UNIT},
	{"pid", required_argument, NULL, OPTION_SELECTOR + SELECTOR_PID},
	{"process", required_argument, NULL, OPTION_SELECTOR + SELECTOR_PROCESS},
	{"siblings", no_argument, NULL, OPTION_SELECTOR + SELECTOR_SIBLINGS},
	{"kubepods", no_argument, NULL, OPTION_SELECTOR + SELECTOR_KUBEPODS},
	{NULL, 0, NULL, 0},
};

static int show_help(const char *usage)
{
	(void)fputs(usage, stdout); /* standard_out_end() looks at the stream */
	return standard_out_end(EXIT_CODE_OK);
}

int watch_arguments_parse(int argc, char **argv, const char *usage, struct watch_arguments *ret)
{
	struct config_error error;
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":c:h", options_long, NULL)) != -1) {
		enum config_status status = CONFIG_OK;

		if (c == 'c')
			ret->options.path = optarg;
		else if (c == OPTION_DRY_RUN)
			ret->dry_run = true;
		else if (c == OPTION_JSON)
			ret->json = true;
		else if (c == OPTION_RUNTIME_DIR)
			ret->runtime_dir = optarg;
		else if (c == OPTION_SET)
			status = config_add_override(&ret->options, optarg, &error);
		else if (c >= OPTION_SELECTOR && c < OPTION_SELECTOR + SELECTOR_COUNT)
			status = config_add_selector(&ret->options,
				(enum selector_kind)(c - OPTION_SELECTOR), optarg, &error);
		else if (c == 'h')
			return show_help(usage);
		else
			return bad_option(argv[0], argv[optind - 1], c == ':');
		if (status != CONFIG_OK) {
			(void)fprintf(stderr, "oomsnap: %s\n", error.text);
			return EXIT_CODE_USAGE;
		}
	}
	if (optind < argc)
		return bad_usage(argv[0], "unexpected argument '%s'; targets are named by options",
			argv[optind]);
	if (ret->runtime_dir && ret->runtime_dir[0] != '/') {
		(void)fprintf(stderr, "oomsnap: --runtime-dir %s: give an absolute path\n",
			ret->runtime_dir);
		return EXIT_CODE_USAGE;
	}
	return -1;
}
