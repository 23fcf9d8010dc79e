/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The options that watch and check share.
 */
#ifndef OOMSNAP_WATCH_ARGUMENTS_H
#define OOMSNAP_WATCH_ARGUMENTS_H

#include <stdbool.h>

#include "config.h"

struct watch_arguments {
	struct config_options options; /* borrows argv */
	const char *runtime_dir;       /* NULL: not given */
	bool dry_run;
	bool json;
};

/* For the usage texts of both. */
#define WATCH_SELECTORS_USAGE                                           \
	"Selectors:\n"                                                  \
	"      --cgroup DIR      a cgroup directory\n"                  \
	"      --unit NAME       a systemd unit\n"                      \
	"      --pid N           a process, in its cgroup\n"            \
	"      --process NAME    a process by its name\n"               \
	"      --siblings        every other container of this pod\n"   \
	"      --kubepods        every pod of the node that opted in\n" \
	"\n"

/*
 * Reads the command line into *ret (zeroed by the caller). -1 to go on, else an exit code: the user
 * has been told (usage on stdout for --help, one sentence on stderr).
 */
int watch_arguments_parse(int argc, char **argv, const char *usage, struct watch_arguments *ret);

#endif
