// SPDX-License-Identifier: Apache-2.0
/*
 * Finds the processes of `oomsnap dump` and refuses, before touching anything, those that cannot or
 * must not be captured: see dump_target.h.
 *
 * A process is looked at through /proc: one that has ended keeps a stat file until it is reaped
 * (state Z with a single thread left; with more, only its first thread has ended and it can be
 * captured). Kernel threads have no memory of their own (PF_KTHREAD). Whether we may trace it is
 * asked of the kernel itself, with a call that makes the same check and reads nothing.
 *
 * From a cgroup or unit the process with the most resident and swapped memory is taken, or every
 * one with --all. A cgroup that we run in ourselves is refused: what we write would be charged
 * to it and could end the target.
 */
#include "dump_target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "exit_code.h"
#include "os/cgroup.h"
#include "os/fd.h"
#include "os/privilege.h"
#include "os/process.h"
#include "os/unit.h"

#define PF_KTHREAD 0x00200000 /* include/linux/sched.h; shown in field 9 of /proc/PID/stat */
#define STATUS_BYTES 8192     /* of /proc/PID/status; about 1.5 KiB */

__attribute__((format(printf, 4, 5))) static int refuse(
	int code, char *why, size_t why_size, const char *format, ...)
{
	va_list args;
	struct str s;

	str_init(&s, why, why_size);
	va_start(args, format);
	(void)str_addv(&s, format, args); /* a cut sentence is still the best there is */
	va_end(args);
	return code;
}

static bool read_status(pid_t pid, struct procstatus *ret)
{
	char path[64];
	char text[STATUS_BYTES];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	n = fd_read_text_at(AT_FDCWD, path, text, sizeof(text));
	return n > 0 && procstatus_parse(text, (size_t)n, ret);
}

/* Looks at one process. EXIT_CODE_OK with *ret filled, or why it cannot be captured. */
static int look(pid_t pid, struct dump_process *ret, char *why, size_t why_size)
{
	struct procstatus status;
	struct procstat stat;

	if (pid == getpid())
		return refuse(EXIT_CODE_USAGE, why, why_size,
			"process %d is oomsnap itself, which cannot stop itself to be read",
			(int)pid);
	if (process_look(pid, &stat) != 0 || !read_status(pid, &status))
		return refuse(EXIT_CODE_NO_TARGET, why, why_size,
			"there is no process %d; it has ended, or lives in another pid namespace",
			(int)pid);
	if (status.tgid != pid)
		return refuse(EXIT_CODE_NO_TARGET, why, why_size,
			"%d is a thread of process %d; give the process id", (int)pid, status.tgid);
	if (stat.flags & PF_KTHREAD)
		return refuse(EXIT_CODE_NO_TARGET, why, why_size,
			"process %d (%s) is a kernel thread, which has no memory of its own",
			(int)pid, stat.comm);
	if (stat.state == 'X' || (stat.state == 'Z' && stat.threads <= 1))
		return refuse(EXIT_CODE_NO_TARGET, why, why_size,
			"process %d (%s) has ended (a zombie); its memory is gone", (int)pid,
			stat.comm);
	if (status.tracer_pid)
		return refuse(EXIT_CODE_BUSY, why, why_size,
			"process %d (%s) is being traced by process %d (a debugger, strace); end "
			"that "
			"first",
			(int)pid, stat.comm, status.tracer_pid);
	if (stat.state != 'Z' && !privilege_may_trace(pid))
		return refuse(EXIT_CODE_PERMISSION, why, why_size,
			"no permission to trace process %d (%s); run as root or with "
			"CAP_SYS_PTRACE, "
			"or as its user where kernel.yama.ptrace_scope allows it",
			(int)pid, stat.comm);
	*ret = (struct dump_process){
		.pid = pid,
		.start_time = stat.start_time_ticks,
		.rss_bytes = status.rss_bytes + status.swap_bytes,
	};
	(void)str_copy(ret->comm, sizeof(ret->comm), stat.comm);
	return EXIT_CODE_OK;
}

static int find_pid(const char *text, struct dump_target *ret, char *why, size_t why_size)
{
	uint64_t pid;
	int code;

	if (!str_to_u64(text, &pid) || pid == 0)
		return refuse(EXIT_CODE_USAGE, why, why_size,
			"'%s' is not a process id; give a number, --cgroup DIR or --unit NAME",
			text);
	if (pid > INT_MAX)
		return refuse(EXIT_CODE_NO_TARGET, why, why_size,
			"there is no process %s; ids do not become that large", text);
	code = look((pid_t)pid, ret->processes, why, why_size);
	if (code)
		return code;
	ret->count = 1;
	(void)str_copy(ret->name, sizeof(ret->name), ret->processes[0].comm);
	if (cgroup_of_pid((pid_t)pid, ret->cgroup, sizeof(ret->cgroup)) != 0)
		ret->cgroup[0] = '\0'; /* no memory cgroups here: the core does not need one */
	return EXIT_CODE_OK;
}

static int refuse_cgroup(int r, const char *dir, char *why, size_t why_size)
{
	switch (r) {
	case CGROUP_GONE:
		return refuse(EXIT_CODE_NO_TARGET, why, why_size, "there is no cgroup %s", dir);
	case CGROUP_NOT_A_CGROUP:
		return refuse(EXIT_CODE_NO_TARGET, why, why_size,
			"%s is not a directory of a cgroup file system; give one below "
			"/sys/fs/cgroup",
			dir);
	case CGROUP_NO_MEMORY:
		return refuse(EXIT_CODE_NO_TARGET, why, why_size,
			"%s has no memory controller; give the directory of the memory cgroup, or "
			"a "
			"process id",
			dir);
	case CGROUP_OURS:
		return refuse(EXIT_CODE_USAGE, why, why_size,
			"oomsnap runs in %s itself, and what it writes would be charged there; "
			"start "
			"it from another cgroup",
			dir);
	default:
		return refuse(r == -EACCES || r == -EPERM ? EXIT_CODE_PERMISSION : EXIT_CODE_FAILED,
			why, why_size, "%s: cannot read the cgroup: %s", dir,
			r < 0 ? strerrordesc_np(-r) : "unexpected contents");
	}
}

/* The processes of the cgroup that may be captured: all of them, or the biggest. */
static int take_processes(struct cgroup *cg, const char *dir, bool all, struct dump_target *ret,
	char *why, size_t why_size)
{
	_cleanup_free_ pid_t *pids = calloc(DUMP_TARGETS_MAX, sizeof(*pids));
	int code = EXIT_CODE_NO_TARGET;
	struct dump_process process = {0};
	uint32_t count = 0;
	int r;

	if (!pids)
		return refuse(
			EXIT_CODE_FAILED, why, why_size, "no memory for the list of processes");
	r = cgroup_pids(cg, pids, DUMP_TARGETS_MAX, &count);
	if (r != 0 && r != -E2BIG)
		return refuse_cgroup(r, dir, why, why_size);
	if (count == 0)
		return refuse(EXIT_CODE_NO_TARGET, why, why_size, "there is no process in %s", dir);
	for (uint32_t i = 0; i < count; i++) {
		int one = look(pids[i], &process, why, why_size);

		if (one)
			code = one;
		else if (all)
			ret->processes[ret->count++] = process;
		else if (ret->count == 0 || process.rss_bytes > ret->processes[0].rss_bytes)
			ret->processes[0] = process, ret->count = 1;
	}
	return ret->count ? EXIT_CODE_OK : code; /* why holds the last refusal */
}

static int find_cgroup(
	const char *given, bool all, struct dump_target *ret, char *why, size_t why_size)
{
	_cleanup_free_ char *dir = realpath(given, NULL);
	struct cgroup *cg;
	int code;
	int r;

	if (!dir)
		return errno == ENOENT || errno == ENOTDIR
			? refuse(EXIT_CODE_NO_TARGET, why, why_size, "there is no cgroup %s", given)
			: refuse_cgroup(-errno, given, why, why_size);
	if (!str_copy(ret->cgroup, sizeof(ret->cgroup), dir))
		return refuse(EXIT_CODE_USAGE, why, why_size, "the path %s is too long", given);
	cg = malloc(sizeof(*cg)); /* a path for each level: too large for the stack */
	if (!cg)
		return refuse(EXIT_CODE_FAILED, why, why_size, "no memory for the cgroup");
	r = cgroup_open(dir, cg);
	if (r == 0) {
		code = take_processes(cg, dir, all, ret, why, why_size);
		cgroup_close(cg);
	} else {
		code = refuse_cgroup(r, dir, why, why_size);
	}
	free(cg);
	(void)str_copy(ret->name, sizeof(ret->name), strrchr(dir, '/') + 1); /* realpath has one */
	return code;
}

static int find_unit(
	const char *unit, bool all, struct dump_target *ret, char *why, size_t why_size)
{
	char dir[TARGET_PATH_MAX];
	int code;
	int r = unit_cgroup(unit, dir, sizeof(dir));

	if (r == CGROUP_GONE)
		return refuse(EXIT_CODE_NO_TARGET, why, why_size,
			"there is no running unit '%s'; systemctl list-units shows those that are",
			unit);
	if (r == CGROUP_NO_MEMORY)
		return refuse(EXIT_CODE_NO_TARGET, why, why_size,
			"unit '%s' has no memory cgroup of its own; set MemoryAccounting=yes, or "
			"give "
			"a process id",
			unit);
	if (r)
		return refuse(r == -EACCES || r == -EPERM ? EXIT_CODE_PERMISSION : EXIT_CODE_FAILED,
			why, why_size,
			"--unit asks systemd over the system bus, which does not answer: %s; use "
			"--cgroup DIR or a process id",
			strerrordesc_np(-r));
	code = find_cgroup(dir, all, ret, why, why_size);
	(void)str_copy(ret->name, sizeof(ret->name), unit); /* a longer name is cut */
	return code;
}

int dump_target_find(
	const struct dump_selector *selector, struct dump_target *ret, char *why, size_t why_size)
{
	int code;

	*ret = (struct dump_target){0};
	ret->processes = calloc(selector->pid ? 1 : DUMP_TARGETS_MAX, sizeof(*ret->processes));
	if (!ret->processes)
		return refuse(
			EXIT_CODE_FAILED, why, why_size, "no memory for the list of processes");
	if (selector->pid)
		code = find_pid(selector->pid, ret, why, why_size);
	else if (selector->cgroup)
		code = find_cgroup(selector->cgroup, selector->all, ret, why, why_size);
	else
		code = find_unit(selector->unit, selector->all, ret, why, why_size);
	if (code)
		dump_target_free(ret);
	return code;
}

void dump_target_free(struct dump_target *target)
{
	free(target->processes);
	target->processes = NULL;
	target->count = 0;
}
