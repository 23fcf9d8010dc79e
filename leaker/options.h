/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line. See options.c.
 */
#ifndef OOMSNAP_LEAKER_OPTIONS_H
#define OOMSNAP_LEAKER_OPTIONS_H

#include "listen.h"
#include "pattern.h"
#include "region.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define OPTIONS_ERROR_BYTES 256

struct options {
	bool serve_http;
	struct listen_address listen;
	bool leak_at_once; /* a pattern was named: leak without being asked over HTTP */
	struct pattern_plan
		plan; /* as given: zeros where nothing was said, `touch` without a name */
	uint64_t seed;
	bool hold; /* stay alive when the total is reached */
	bool start_paused;
	int ready_fd;		/* -1: none */
	const char *ready_file; /* NULL: none; borrowed from argv */
	bool main_exits;
	struct region_wishes regions;
};

/* What the command line asks for. */
enum options_result {
	OPTIONS_RUN,
	OPTIONS_HELP,
	OPTIONS_LIST_PATTERNS,
	OPTIONS_BAD, /* error says what is wrong, in one sentence */
	OPTIONS_RESULT_COUNT,
};

/*
 * Parses argv into *ret (whole only with OPTIONS_RUN). Uses getopt_long(), so one thread at a time.
 * Strings stay borrowed from argv.
 */
enum options_result options_parse(
	int argc, char *argv[], struct options *ret, char error[static OPTIONS_ERROR_BYTES]);

void options_print_help(FILE *to);
void options_print_patterns(FILE *to);

#endif
