/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts about the managed runtime in a process, gathered from outside: nothing is asked of the
 * process, nothing of it is stopped or touched. No allocation.
 */
#ifndef OOMSNAP_OS_RUNTIME_H
#define OOMSNAP_OS_RUNTIME_H

#include <stdint.h>
#include <sys/types.h>

#include "core/types.h"

#define RUNTIME_SCRATCH_BYTES 131072U /* ARG_MAX of one string; hsperfdata's most */

/* Memory for one call at a time; too large for a stack. */
struct runtime_scratch {
	_Alignas(8) char text[RUNTIME_SCRATCH_BYTES];
};

/*
 * Which runtime is in the process, and what its settings say: kind, source, heap_bytes, heap_bp,
 * pid, machine_bytes of *ret; the rest of *ret is 0. For a JVM with counters *ret_counters_fd is
 * their file (the caller's), else -1. 0 (with RUNTIME_NONE for a native program), PROC_GONE,
 * PROC_DENIED, -errno.
 */
int runtime_identify(pid_t pid, struct runtime_scratch *scratch, struct runtime_facts *ret,
	int *ret_counters_fd);

/*
 * Reads a JVM's counters again; learns old_live_bytes from a full collection that has ended since
 * runtime_identify(), at the second call after its end.
 * 0, or PROC_BAD where they cannot be read (any more): then *facts is untouched.
 */
int runtime_read_counters(
	int counters_fd, struct runtime_scratch *scratch, struct runtime_facts *facts);

/*
 * Reads what the heap of .NET or Node has asked for into facts->committed_bytes (0: it cannot be
 * seen), for a heap limit of heap_bytes. 0, PROC_GONE, PROC_DENIED, -errno.
 */
int runtime_read_committed(
	uint64_t heap_bytes, struct runtime_scratch *scratch, struct runtime_facts *facts);

#endif
