/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of a capture that systemd's coredumpctl understands, so that `coredumpctl list`,
 * `info` and `gdb` find our cores beside those of crashes.
 */
#ifndef OOMSNAP_EVENT_COREDUMP_H
#define OOMSNAP_EVENT_COREDUMP_H

#include <stddef.h>
#include <stdint.h>

#include "capture/capture.h"

/* The content of a file of /proc as it was at the hold; data NULL: not known. */
struct event_coredump_text {
	const char *data;
	size_t len;
};

/* Everything is borrowed for the time of the call; strings may be NULL, except in result. */
struct event_coredump {
	const struct capture_result *result; /* after capture_finish(): final paths */
	const char *target;
	int32_t signal;		 /* as in the core; 0 counts as 9 */
	uint64_t at_realtime_us; /* when the target was held; 0: now */
	const char *exe;	 /* absolute path; coredumpctl gdb needs it */
	const char *cmdline;
	const char *cgroup; /* as in /proc/PID/cgroup: from the hierarchy's root */
	const char *unit;
	const char *slice;
	struct event_coredump_text proc_status;
	struct event_coredump_text proc_maps;
	struct event_coredump_text proc_limits;
	struct event_coredump_text proc_cgroup;
	struct event_coredump_text proc_mountinfo;
};

/*
 * Sends the record to the journal at journal_socket (NULL: the system's). Does not allocate or
 * block. 0, or a negative errno: -ENOENT where there is no journal, -EAGAIN if it does not keep up,
 * and those of sending; nothing else happens then. The environment of the process is never sent.
 */
int event_coredump(const struct event_coredump *facts, const char *journal_socket);

#endif
