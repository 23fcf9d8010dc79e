/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which processes `oomsnap dump` is about, and whether they can be captured at all. Everything that
 * can be wrong with them is found here, before anything is done to them.
 */
#ifndef OOMSNAP_DUMP_TARGET_H
#define OOMSNAP_DUMP_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/types.h"

#define DUMP_TARGETS_MAX 4096

struct dump_process {
	pid_t pid;
	uint64_t start_time;
	uint64_t rss_bytes; /* resident and swapped: about what a full core will hold */
	char comm[64];
};

struct dump_target {
	char name[TARGET_NAME_MAX];   /* for the bundles */
	char cgroup[TARGET_PATH_MAX]; /* memory cgroup; "" where it is not known */
	uint32_t count;
	struct dump_process *processes; /* owned; free() */
};

/* What names the target on the command line: one of the three, the others NULL. */
struct dump_selector {
	const char *pid;
	const char *cgroup;
	const char *unit;
	bool all; /* every process of a cgroup or unit, not the biggest alone */
};

/*
 * Fills *ret. EXIT_CODE_OK, or another enum exit_code with one sentence in why: no number, no such
 * process, a thread, a kernel thread, ended, ourselves, no permission, no such cgroup or unit. With
 * more than one process those that may not be captured are left out, as long as one is left.
 */
int dump_target_find(
	const struct dump_selector *selector, struct dump_target *ret, char *why, size_t why_size);
void dump_target_free(struct dump_target *target);

#endif
