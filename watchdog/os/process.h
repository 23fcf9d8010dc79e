/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process by its identity: pid and start time, held by a pidfd while it is acted upon, so that a
 * recycled pid is never signalled (pidfd_open(2), field 22 of /proc/PID/stat).
 */
#ifndef OOMSNAP_OS_PROCESS_H
#define OOMSNAP_OS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "parse/procstat.h"

enum process_result {
	PROCESS_GONE = 1, /* no such process, or another one has its pid now */
};

/* Reads /proc/PID/stat. 0, PROCESS_GONE, -EPROTO for a text that the kernel would not write. */
int process_look(pid_t pid, struct procstat *ret);

/* Whether no process of this id runs: there is none, none that we may look at, or a zombie. */
bool process_has_ended(pid_t pid);

/*
 * The process whose name (/proc/PID/comm, cut at 15 bytes as the kernel cuts it) is name; of
 * several the one with the lowest pid that is not ourselves. 0, PROCESS_GONE where there is none,
 * -errno.
 */
int process_find(const char *name, pid_t *ret);

/* Opens a pidfd (owned by the caller). start_time 0 is not compared. 0, PROCESS_GONE, -errno. */
int process_open(pid_t pid, uint64_t start_time, int *ret_fd);

/* pidfd_send_signal(2). 0, PROCESS_GONE, -errno (-EPERM without CAP_KILL for another's process). */
int process_signal(int pidfd, int signal);

/* oom_score_adj of a process. 0, PROCESS_GONE, -EPROTO, -errno. */
int process_get_oom_adj(pid_t pid, int *ret);
int process_set_oom_adj(pid_t pid, int value);

/*
 * Has the scheduler prefer the session that this process leads (a service, the program of a
 * container), as nice -20 would: where the kernel groups by session, nice values count within one
 * only (sched(7), autogroup). Nothing is done where another one leads it, a shell say, or where
 * somebody has chosen a value. 0, or -errno (-ENOENT: this kernel groups not; -EPERM:
 * CAP_SYS_NICE).
 */
int process_prefer_session(void);

/* Memory that only this process's end would give back: RssAnon + RssShmem of /proc/PID/status. */
int process_rss(pid_t pid, uint64_t *ret_bytes);

/*
 * How a process ended, whose pidfd was opened while it lived and is readable now: its wait status
 * (wait(2)) in *ret_status, from the pidfd (PIDFD_INFO_EXIT, Linux 6.15) or, while nobody has
 * waited for it, from /proc/PID/stat (0 without the right to see it). 0, PROCESS_GONE where it was
 * waited for and the kernel is older, -EPROTO.
 */
int process_exit_status(int pidfd, pid_t pid, int *ret_status);

#endif
