// SPDX-License-Identifier: Apache-2.0
/*
 * A capture as coredumpctl wants to see it: the facts of the process come from the bundle's files,
 * as they were at the hold, since the process may be gone by now. Runs after the release, in the
 * loop: it reads a few small files that were written a moment ago, into memory that is always
 * there.
 *
 * The record is for finding and opening the core. What of it cannot be read is left out; without a
 * journal there is nobody to tell, and that is no failure.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "event_coredump.h"
#include "os/fd.h"
#include "parse/cgroup.h"
#include "watch.h"

#define TEXT_MAX 65536 /* of one file; a longer one is cut, the whole is in the bundle */

struct texts {
	char status[TEXT_MAX];
	char maps[TEXT_MAX];
	char limits[TEXT_MAX];
	char cgroup[TEXT_MAX];
	char mountinfo[TEXT_MAX];
	char cmdline[TEXT_MAX];
	char exe[TARGET_PATH_MAX];
	char cgroup_path[TARGET_PATH_MAX];
};

static struct event_coredump_text read_text(int dir_fd, const char *name, char *buffer)
{
	struct event_coredump_text text = {0};
	ssize_t n = fd_read_text_at(dir_fd, name, buffer, TEXT_MAX - 1);

	if (n > 0) {
		buffer[n] = '\0';
		text.data = buffer;
		text.len = (size_t)n;
	}
	return text;
}

/* The arguments are separated by NUL bytes. */
static const char *read_cmdline(int dir_fd, char *buffer)
{
	struct event_coredump_text text = read_text(dir_fd, "proc.cmdline", buffer);

	for (size_t i = 0; i + 1 < text.len; i++)
		if (buffer[i] == '\0')
			buffer[i] = ' ';
	return text.data;
}

static const char *read_exe(int dir_fd, char *buffer)
{
	ssize_t n = fd_read_text_at(dir_fd, "proc.exe", buffer, TARGET_PATH_MAX - 1);

	if (n <= 0)
		return NULL;
	buffer[n] = '\0';
	return buffer;
}

void tell_coredump(const struct crew_member *m)
{
	static struct texts t; /* large; the loop is one thread */
	const struct target *target = m->target;
	_cleanup_close_ int dir_fd = open(m->result.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct event_coredump facts = {.result = &m->result, .target = m->record.target};

	facts.proc_status = read_text(dir_fd, "proc.status", t.status);
	facts.proc_maps = read_text(dir_fd, "proc.maps", t.maps);
	facts.proc_limits = read_text(dir_fd, "proc.limits", t.limits);
	facts.proc_cgroup = read_text(dir_fd, "proc.cgroup", t.cgroup);
	facts.proc_mountinfo = read_text(dir_fd, "proc.mountinfo", t.mountinfo);
	facts.cmdline = read_cmdline(dir_fd, t.cmdline);
	facts.exe = read_exe(dir_fd, t.exe);
	if (facts.proc_cgroup.data &&
		parse_proc_cgroup(t.cgroup, facts.proc_cgroup.len, /* controller= */ NULL,
			t.cgroup_path, sizeof(t.cgroup_path)))
		facts.cgroup = t.cgroup_path;
	if (target && target->config->selector.kind == SELECTOR_UNIT)
		facts.unit = target->config->selector.value;
	(void)event_coredump(&facts, /* journal_socket= */ NULL); /* no journal: see the top */
}
