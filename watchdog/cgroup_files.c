// SPDX-License-Identifier: Apache-2.0
/*
 * Copies memory files of a cgroup into a bundle. See cgroup_files.h.
 *
 * Both versions' names are in one list, and what is not there is passed over, so that nothing here
 * has to know the version. The directory may be one that the target shows us (/proc/PID/root/...,
 * where a pod's other container is reached): nothing is read but what is a cgroup's own, and
 * nothing is waited for that the target serves by itself.
 */
#include "cgroup_files.h"

#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "os/cgroup.h"
#include "os/fd.h"

#define FILE_BYTES_MAX 16384 /* memory.stat of v1 and v2 is below 6 KiB, cgroup.procs is cut */

static const char *const files[] = {
	"memory.current",
	"memory.peak",
	"memory.max",
	"memory.high",
	"memory.swap.current",
	"memory.swap.max",
	"memory.stat",
	"memory.events",
	"memory.events.local",
	"memory.pressure",
	"memory.oom.group",
	"memory.usage_in_bytes",
	"memory.max_usage_in_bytes",
	"memory.limit_in_bytes",
	"memory.failcnt",
	"memory.memsw.usage_in_bytes",
	"memory.memsw.limit_in_bytes",
	"memory.oom_control",
	"cgroup.events",
	"cgroup.procs",
};

void cgroup_files_add(struct capture *c, const char *dir)
{
	_cleanup_close_ int dir_fd = -1;
	char text[FILE_BYTES_MAX];
	char name[64];
	struct str s;

	if (cgroup_open_dir(dir, &dir_fd) != 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		ssize_t n = fd_read_text_in(dir_fd, files[i], text, sizeof(text));

		if (n <= 0)
			continue;
		str_init(&s, name, sizeof(name));
		(void)str_addf(&s, "cgroup.%s",
			files[i] + (str_has_prefix(files[i], "cgroup.") ? strlen("cgroup.") : 0));
		(void)capture_add_file(c, name, text, (size_t)n); /* never worth the capture */
	}
}
