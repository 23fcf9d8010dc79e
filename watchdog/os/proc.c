// SPDX-License-Identifier: Apache-2.0
/*
 * Files of one process in /proc.
 *
 * A capture holds the directory /proc/PID from its first moment. Whatever is opened below that
 * descriptor belongs to that process: when it has ended the kernel answers ESRCH, and a new process
 * with the same pid is not seen. Directories are read with getdents64 and files with read, into
 * memory that the caller brought; nothing here uses streams or opendir, which allocate.
 *
 * When the main thread of a process has exited while others run, its directory still lists the
 * threads but shows no memory. proc_open() of a living thread's id gives a directory that does.
 *
 * Refuses: to follow a process. Limits: status and stat are read into 16 KiB; the kernel writes
 * less than a tenth of that, unless a process is in a thousand supplementary groups, and then the
 * lines that we read stand in front of the cut only in part (Threads, SigPnd, VmSwap may be missing
 * and read as 0).
 */
#include <elf.h>
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "os/proc.h"

#define PROC_TEXT_BYTES 16384
#define STACK_VECTOR_MAX (4U << 20) /* argv and envp pointers that we walk to find auxv */

static int edge(int error)
{
	switch (error) {
	case ENOENT:
	case ESRCH:
		return PROC_GONE;
	case EACCES:
	case EPERM:
		return PROC_DENIED;
	default:
		return -error;
	}
}

int proc_open(pid_t id, int *ret_fd)
{
	char path[32];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d", id); /* 6 + 11 bytes */
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return edge(errno);
	*ret_fd = fd;
	return 0;
}

int proc_open_file(int dir_fd, const char *name, int *ret_fd)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return edge(errno);
	*ret_fd = fd;
	return 0;
}

int proc_read(int dir_fd, const char *name, void *buffer, size_t size, size_t *ret_len)
{
	_cleanup_close_ int fd = -1;
	size_t len = 0;
	int r = proc_open_file(dir_fd, name, &fd);

	if (r)
		return r;
	while (len < size) {
		ssize_t n = read(fd, (char *)buffer + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return edge(errno);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret_len = len;
	return 0;
}

static int read_task_file(int dir_fd, pid_t tid, const char *file, char *text, size_t *ret_len)
{
	char name[64];

	if (tid)
		(void)snprintf(name, sizeof(name), "task/%d/%s", tid, file); /* fits */
	else
		(void)snprintf(name, sizeof(name), "%s", file);
	return proc_read(dir_fd, name, text, PROC_TEXT_BYTES, ret_len);
}

int proc_stat(int dir_fd, pid_t tid, struct procstat *ret)
{
	char text[PROC_TEXT_BYTES];
	size_t len;
	int r = read_task_file(dir_fd, tid, "stat", text, &len);

	if (r)
		return r;
	return procstat_parse(text, len, ret) ? 0 : PROC_BAD;
}

int proc_status(int dir_fd, pid_t tid, struct procstatus *ret)
{
	char text[PROC_TEXT_BYTES];
	size_t len;
	int r = read_task_file(dir_fd, tid, "status", text, &len);

	if (r)
		return r;
	return procstatus_parse(text, len, ret) ? 0 : PROC_BAD;
}

int proc_where(int dir_fd, pid_t tid, uint64_t *ret_sp, uint64_t *ret_pc)
{
	char text[PROC_TEXT_BYTES];
	struct procsyscall where;
	size_t len;
	int r = read_task_file(dir_fd, tid, "syscall", text, &len);

	if (r)
		return r;
	if (!procsyscall_parse(text, len, &where) || where.running)
		return PROC_BAD;
	*ret_sp = where.sp;
	*ret_pc = where.pc;
	return 0;
}

static bool tid_of(const char *name, pid_t *ret)
{
	pid_t tid = 0;

	for (; *name; name++) {
		if (*name < '0' || *name > '9' || tid > (1 << 22)) /* PID_MAX_LIMIT */
			return false;
		tid = tid * 10 + (*name - '0');
	}
	*ret = tid;
	return tid > 0;
}

/* The directories of dir/name that are called by a number. */
static int each_number(int dir_fd, const char *name, bool (*each)(void *user, pid_t id), void *user)
{
	_Alignas(struct dirent64) char buffer[8192];
	_cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return edge(errno);
	while ((n = getdents64(fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *entry = (const void *)(buffer + at);
			pid_t tid;

			at += entry->d_reclen;
			if (tid_of(entry->d_name, &tid) && !each(user, tid))
				return 0;
		}
	return n < 0 ? edge(errno) : 0;
}

int proc_tasks(int dir_fd, bool (*each)(void *user, pid_t tid), void *user)
{
	return each_number(dir_fd, "task", each, user);
}

int proc_processes(bool (*each)(void *user, pid_t pid), void *user)
{
	return each_number(AT_FDCWD, "/proc", each, user);
}

/* --- the auxiliary vector ------------------------------------------------------------------ */

struct stack_words {
	pid_t id;
	uint64_t at;	/* next word of the target */
	uint64_t limit; /* where to give up */
	size_t next;
	size_t have;
	uint64_t words[512];
};

/* The next word of the target's stack, a page at a time: what lies above may not be mapped. */
static bool next_word(struct stack_words *s, uint64_t *ret)
{
	if (s->next == s->have) {
		struct iovec local = {.iov_base = s->words};
		struct iovec remote = {.iov_base = (void *)(uintptr_t)s->at};
		ssize_t n;

		if (s->at >= s->limit)
			return false;
		local.iov_len = remote.iov_len = sizeof(s->words) - s->at % sizeof(s->words);
		n = process_vm_readv(s->id, &local, 1, &remote, 1, 0);
		if (n < (ssize_t)sizeof(s->words[0]))
			return false;
		s->have = (size_t)n / sizeof(s->words[0]);
		s->next = 0;
	}
	*ret = s->words[s->next++];
	s->at += sizeof(*ret);
	return true;
}

static int auxv_from_stack(pid_t id, uint64_t start, uint64_t *pairs, size_t max, size_t *ret_pairs)
{
	struct stack_words s = {.id = id, .at = start, .limit = start + STACK_VECTOR_MAX};
	uint64_t argc;
	uint64_t word;
	size_t n = 0;

	if (!start || start % sizeof(word) || !next_word(&s, &argc) || argc > STACK_VECTOR_MAX)
		return PROC_DENIED;
	for (uint64_t i = 0; i <= argc; i++) /* argv and its NULL */
		if (!next_word(&s, &word) || (i == argc && word))
			return PROC_BAD;
	do { /* envp and its NULL */
		if (!next_word(&s, &word))
			return PROC_BAD;
	} while (word);
	for (; n < max; n++) {
		if (!next_word(&s, &pairs[2 * n]) || !next_word(&s, &pairs[2 * n + 1]))
			return PROC_BAD;
		if (pairs[2 * n] == AT_NULL) {
			*ret_pairs = n + 1;
			return 0;
		}
	}
	return PROC_BAD; /* a process may write there: this is no vector any more */
}

int proc_auxv(
	int dir_fd, pid_t id, uint64_t stack_start, void *buffer, size_t size, size_t *ret_len)
{
	const size_t pair = 2 * sizeof(uint64_t);
	size_t pairs = 0;
	size_t len = 0;
	int r = proc_read(dir_fd, "auxv", buffer, size / pair * pair, &len);

	if (r == 0 && len >= pair) {
		*ret_len = len / pair * pair;
		return 0;
	}
	r = auxv_from_stack(id, stack_start, buffer, size / pair, &pairs);
	if (r)
		return r;
	*ret_len = pairs * pair;
	return 0;
}
