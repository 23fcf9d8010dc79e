// SPDX-License-Identifier: Apache-2.0
/*
 * Processes by identity. See process.h for the contract.
 *
 * A pidfd names a process for as long as it is open; whether it is the process that was meant is
 * checked after opening, by the start time, so that the check and the signal speak of the same one.
 * Everything works on the stack: the guardian calls this too.
 */
#include "os/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "os/fd.h"

#define STAT_TEXT_MAX 1024
#define STATUS_TEXT_MAX 4096

static ssize_t read_file(pid_t pid, const char *file, char *text, size_t size)
{
	char path[64];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	n = fd_read_text_at(AT_FDCWD, path, text, size);
	return n == -ENOENT || n == -ESRCH ? -ESRCH : n;
}

int process_look(pid_t pid, struct procstat *ret)
{
	char text[STAT_TEXT_MAX];
	ssize_t n = read_file(pid, "stat", text, sizeof(text));

	if (n < 0)
		return n == -ESRCH ? PROCESS_GONE : (int)n;
	return procstat_parse(text, (size_t)n, ret) ? 0 : -EPROTO;
}

bool process_has_ended(pid_t pid)
{
	struct procstat stat;

	return process_look(pid, &stat) != 0 || stat.state == 'Z' || stat.state == 'X';
}

int process_open(pid_t pid, uint64_t start_time, int *ret_fd)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct procstat stat;
	int r;

	if (fd < 0) /* EINVAL: the pid of a thread that leads no group */
		return errno == ESRCH || errno == EINVAL ? PROCESS_GONE : -errno;
	if (start_time) {
		r = process_look(pid, &stat);
		if (r != 0)
			return r;
		if (stat.start_time_ticks != start_time)
			return PROCESS_GONE;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

int process_signal(int pidfd, int signal)
{
	if (syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) != 0)
		return errno == ESRCH ? PROCESS_GONE : -errno;
	return 0;
}

int process_get_oom_adj(pid_t pid, int *ret)
{
	char text[32];
	char *end;
	long value;
	ssize_t n = read_file(pid, "oom_score_adj", text, sizeof(text) - 1);

	if (n < 0)
		return n == -ESRCH ? PROCESS_GONE : (int)n;
	text[n] = '\0';
	value = strtol(text, &end, 10);
	if (end == text || *end != '\n' || value < -1000 || value > 1000)
		return -EPROTO;
	*ret = (int)value;
	return 0;
}

int process_set_oom_adj(pid_t pid, int value)
{
	char path[64];
	char text[16];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	(void)snprintf(text, sizeof(text), "%d", value);
	r = fd_write_text_at(AT_FDCWD, path, text);
	return r == -ENOENT || r == -ESRCH ? PROCESS_GONE : r;
}

int process_prefer_session(void)
{
	static const char path[] = "/proc/self/autogroup";
	static const char unchosen[] = " nice 0\n";
	_cleanup_close_ int fd = -1;
	char text[64]; /* "/autogroup-ID nice N" */
	ssize_t n;

	if (getsid(0) != getpid())
		return 0;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = fd_read_text(fd, text, sizeof(text) - 1);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	if ((size_t)n < sizeof(unchosen) - 1 ||
		strcmp(text + n - (sizeof(unchosen) - 1), unchosen) != 0)
		return 0;
	return fd_write_text_at(AT_FDCWD, path, "-20");
}

#define COMM_BYTES 15 /* TASK_COMM_LEN less its terminator */

int process_find(const char *name, pid_t *ret)
{
	_cleanup_closedir_ DIR *dir = opendir("/proc");
	const struct dirent *entry;
	pid_t found = 0;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) { // NOLINT(concurrency-mt-unsafe): a stream of our own
		struct procstat stat;
		uint64_t pid;

		if (!str_to_u64(entry->d_name, &pid) || pid > INT32_MAX || (pid_t)pid == getpid() ||
			process_look((pid_t)pid, &stat) != 0 || stat.state == 'Z' ||
			strncmp(stat.comm, name, COMM_BYTES) != 0)
			continue;
		if (!found || (pid_t)pid < found)
			found = (pid_t)pid;
	}
	if (!found)
		return PROCESS_GONE;
	*ret = found;
	return 0;
}

/* "Key:\t   123 kB" of a status file. */
static uint64_t status_kib(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

int process_rss(pid_t pid, uint64_t *ret_bytes)
{
	char text[STATUS_TEXT_MAX];
	ssize_t n = read_file(pid, "status", text, sizeof(text) - 1);

	if (n < 0)
		return n == -ESRCH ? PROCESS_GONE : (int)n;
	text[n] = '\0';
	*ret_bytes = (status_kib(text, "\nRssAnon:") + status_kib(text, "\nRssShmem:") +
			     status_kib(text, "\nVmSwap:")) *
		1024;
	return 0;
}

/* --- how it ended -------------------------------------------------------------------------- */

/* The first version of struct pidfd_info (Linux 6.15, include/uapi/linux/pidfd.h); Debian 12's
 * headers have none. */
struct end_info {
	uint64_t mask;
	uint64_t cgroup_id;
	uint32_t ids[11]; /* of process and user */
	int32_t exit_code;
};
_Static_assert(sizeof(struct end_info) == 64, "PIDFD_INFO_SIZE_VER0");

#define END_INFO_GET _IOWR(0xFF, 11, struct end_info) /* PIDFD_GET_INFO */
#define END_INFO_EXIT (UINT64_C(1) << 3)	      /* PIDFD_INFO_EXIT */

int process_exit_status(int pidfd, pid_t pid, int *ret_status)
{
	struct end_info info = {.mask = END_INFO_EXIT};
	struct procstat stat;
	int r;

	if (ioctl(pidfd, END_INFO_GET, &info) == 0 && info.mask & END_INFO_EXIT) {
		*ret_status = info.exit_code;
		return 0;
	}
	r = process_look(pid, &stat);
	if (r == 0)
		*ret_status = stat.exit_code;
	return r;
}
