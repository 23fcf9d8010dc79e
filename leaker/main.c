// SPDX-License-Identifier: Apache-2.0
/*
 * leaker: leaks memory on request. The arguments are read here; serve.c is the program, pattern.c
 * lists the ways of leaking, manifest.h says how a core of it can be judged.
 */
#include "options.h"
#include "serve.h"

#include <stdio.h>

int main(int argc, char *argv[])
{
	char error[OPTIONS_ERROR_BYTES];
	struct options options;

	switch (options_parse(argc, argv, &options, error)) {
	case OPTIONS_RUN:
		return serve_run(&options);
	case OPTIONS_HELP:
		options_print_help(stdout);
		return fflush(stdout) == 0 ? SERVE_OK : SERVE_FAILED;
	case OPTIONS_LIST_PATTERNS:
		options_print_patterns(stdout);
		return fflush(stdout) == 0 ? SERVE_OK : SERVE_FAILED;
	case OPTIONS_BAD:
	case OPTIONS_RESULT_COUNT:
		break;
	}
	fprintf(stderr, "leaker: %s\nTry leaker --help.\n", error);
	return SERVE_USAGE;
}
