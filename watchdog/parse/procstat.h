/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/PID/stat, /proc/PID/status and /proc/PID/task/TID/syscall. Pure: bytes in, struct out.
 * proc(5), Documentation/filesystems/proc.rst.
 */
#ifndef OOMSNAP_PARSE_PROCSTAT_H
#define OOMSNAP_PARSE_PROCSTAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROCSTAT_COMM_MAX 64 /* TASK_COMM_LEN is 16; kernel threads may show more */

/* Numbers in brackets are the fields' numbers in proc(5). */
struct procstat {
	int32_t pid;		      /* (1) */
	char comm[PROCSTAT_COMM_MAX]; /* (2) terminated, raw bytes, cut at the buffer */
	char state;		      /* (3) */
	int32_t ppid;		      /* (4) */
	int32_t pgrp;		      /* (5) */
	int32_t session;	      /* (6) */
	uint64_t flags;		      /* (9) PF_* */
	uint64_t utime_ticks;	      /* (14) */
	uint64_t stime_ticks;	      /* (15) */
	uint64_t cutime_ticks;	      /* (16) */
	uint64_t cstime_ticks;	      /* (17) */
	int64_t nice;		      /* (19) */
	uint64_t threads;	      /* (20) */
	uint64_t start_time_ticks;    /* (22) */
	uint64_t vsize_bytes;	      /* (23) */
	uint64_t rss_pages;	      /* (24) */
	uint64_t stack_start;	      /* (28) 0 without the right to see it */
	int32_t exit_code; /* (52) its wait status, of a stopped one the signal; 0: not to be seen
			    */
};

struct procstatus {
	char state;
	int32_t tgid;
	int32_t tracer_pid; /* 0: nobody traces it */
	int32_t ns_pid;	    /* innermost NSpid; the outer one where the kernel has no such line */
	int32_t ns_pgid;
	int32_t ns_sid;
	uint32_t ns_levels; /* pid namespaces seen: 1 outside of containers */
	uint32_t uid;	    /* real */
	uint32_t gid;
	uint64_t threads;
	uint64_t rss_bytes;
	uint64_t swap_bytes;
	uint64_t signals_pending; /* of the thread */
	uint64_t signals_blocked;
};

/* Where a thread stands; from /proc/PID/task/TID/syscall. */
struct procsyscall {
	bool running; /* it is on a CPU or about to be: no registers */
	uint64_t sp;
	uint64_t pc;
};

/*
 * Each reads one whole file's text (len bytes). False, *ret untouched, if a field that the kernel
 * always writes is missing or is no number. A comm may hold anything: parentheses, spaces,
 * newlines.
 */
bool procstat_parse(const char *text, size_t len, struct procstat *ret);
bool procstatus_parse(const char *text, size_t len, struct procstatus *ret);
bool procsyscall_parse(const char *text, size_t len, struct procsyscall *ret);

#endif
