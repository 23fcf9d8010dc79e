// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as what a cgroup file system and /proc say: values, keyed files, pressure, lists of
 * processes, /proc/PID/cgroup and mountinfo. A path of the target's making leads below the mount.
 */
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "parse/cgroup.h"
#include "parse/memcg.h"

#define UNTOUCHED UINT64_C(0x5555555555555555)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what)
{
	if (holds)
		return;
	(void)fprintf(stderr, "fuzz_cgroup: %s\n", what);
	abort();
}

static void check_numbers(const char *text, size_t len)
{
	static const char *const keys[] = {"oom_kill", "inactive_file", "under_oom", "", "a b"};
	struct psi_averages psi;
	uint64_t value = UNTOUCHED;

	if (parse_memcg_value(text, len, &value))
		demand(value < MEMCG_V1_UNLIMITED || value == UINT64_MAX, "a value that is none");
	else
		demand(value == UNTOUCHED, "a refused value was stored");
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		value = UNTOUCHED;
		if (!parse_keyed_u64(text, len, keys[i], &value))
			demand(value == UNTOUCHED, "a refused number was stored");
	}
	if (parse_psi(text, len, &psi))
		demand(psi.some_avg10_bp <= BP_ONE + 99 && psi.full_avg10_bp <= BP_ONE + 99,
			"more pressure than there is");
}

static void check_pids(const char *text, size_t len)
{
	const char *cursor = text;
	const char *end = text + len;
	size_t count = 0;
	int pid;

	while (parse_next_pid(&cursor, end, &pid)) {
		demand(pid > 0, "a pid that is none");
		demand(cursor > text && cursor <= end && cursor[-1] == '\n', "a cursor astray");
		demand(++count <= len, "more processes than bytes");
	}
}

static void check_paths(const char *text, size_t len)
{
	static const char *const controllers[] = {NULL, "memory"};
	char mount_point[256];
	char joined[512];
	char path[256];
	char root[256];

	for (size_t i = 0; i < ARRAY_LEN(controllers); i++) {
		bool has_path = parse_proc_cgroup(text, len, controllers[i], path, sizeof(path));
		bool has_mount = parse_cgroup_mount(
			text, len, controllers[i], mount_point, root, sizeof(root));

		if (has_path)
			demand(path[0] == '/' && strlen(path) < sizeof(path),
				"a path that is none");
		if (has_mount)
			demand(strlen(mount_point) < sizeof(mount_point) &&
					strlen(root) < sizeof(root),
				"a mount that is not terminated");
		if (has_path && has_mount &&
			cgroup_path_join(mount_point, root, path, joined, sizeof(joined)))
			demand(strncmp(joined, mount_point, strlen(mount_point)) == 0,
				"a path outside its mount");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;

	check_numbers(text, size);
	check_pids(text, size);
	check_paths(text, size);
	return 0;
}
