/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of one process in /proc, read through a held descriptor of its directory, so that what
 * is read belongs to the process that was opened and never to a later one with its pid. Nothing
 * here allocates or blocks on anything but the target's mmap lock.
 */
#ifndef OOMSNAP_OS_PROC_H
#define OOMSNAP_OS_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "parse/procstat.h"

/* Positive returns of the functions below, besides 0 and -errno. */
enum proc_result {
	PROC_GONE = 1, /* ENOENT, ESRCH: the process or thread has ended */
	PROC_DENIED,   /* EACCES, EPERM */
	PROC_BAD,      /* a text that the kernel would not write */
};

/*
 * Opens /proc/ID, where id is a process or any thread: for a thread the directory shows that
 * thread's own memory, which outlives a main thread that has exited. *ret_fd is the caller's.
 */
int proc_open(pid_t id, int *ret_fd);

/* Opens a file below dir_fd for reading. *ret_fd is the caller's. */
int proc_open_file(int dir_fd, const char *name, int *ret_fd);

/* Reads a whole file below dir_fd, cut at size bytes; *ret_len is what was read. */
int proc_read(int dir_fd, const char *name, void *buffer, size_t size, size_t *ret_len);

/* task/TID/stat and status, or the process's own with tid 0. */
int proc_stat(int dir_fd, pid_t tid, struct procstat *ret);
int proc_status(int dir_fd, pid_t tid, struct procstatus *ret);

/*
 * Where a thread that has no registers to offer stands: its SP and PC from task/TID/syscall. Also
 * PROC_BAD for a thread that runs.
 */
int proc_where(int dir_fd, pid_t tid, uint64_t *ret_sp, uint64_t *ret_pc);

/*
 * Calls each(user, tid) for every thread listed in task/, until it returns false. A list is not a
 * snapshot: threads that come or go meanwhile may be missed, so ask again.
 */
int proc_tasks(int dir_fd, bool (*each)(void *user, pid_t tid), void *user);

/* The same for every process that /proc shows us. */
int proc_processes(bool (*each)(void *user, pid_t pid), void *user);

/*
 * The auxiliary vector, AT_NULL included. The file auxv needs more than the right to trace (it is
 * opened as its owner would); without it the vector is found again where execve() left it, above
 * argc, argv and envp at stack_start (field 28 of stat), by process_vm_readv(2) of id. Cut at size
 * bytes, always at a whole pair.
 */
int proc_auxv(
	int dir_fd, pid_t id, uint64_t stack_start, void *buffer, size_t size, size_t *ret_len);

#endif
