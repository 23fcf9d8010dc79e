/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of a target held by ptrace, for where no signal may be sent and no freezer written:
 * PTRACE_SEIZE and PTRACE_INTERRUPT to every thread of every process. The caller notes it in the
 * ledger first (LEDGER_SEIZE).
 */
#ifndef OOMSNAP_OS_SEIZE_H
#define OOMSNAP_OS_SEIZE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/cgroup.h"
#include "os/ptrace.h"

struct seize_order {
	const struct cgroup *cg;
	pid_t only;	      /* this process alone; 0: all of the cgroup */
	const pid_t *first;   /* these before the others, in this order */
	uint32_t first_count; /* of first */
	const pid_t *skip;    /* not these: others of us hold them, or are about to */
	uint32_t skip_count;
	uint16_t mark; /* of their threads in the set */
};

/*
 * Asks all before it waits for any, and lists them again until nobody is new and all known ones
 * stand: a thread that still runs may make others. True once that is so; at settle_ns
 * (CLOCK_MONOTONIC), or where somebody sleeps in the kernel and cannot stop, false: then it is to
 * be called again. Passed over are processes that job control has stopped (they take no memory, and
 * stay stopped), that have ended, that somebody else traces, and those that we may not trace. On
 * the thread that is to hold them; allocates nothing.
 */
bool seize_processes(struct ptrace_set *set, const struct seize_order *order, uint64_t settle_ns);

#endif
