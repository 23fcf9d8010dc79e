/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interventions on the processes of a target, one by one: SIGSTOP, and the shield of cgroup v2.
 * Each process is noted in the ledger first; both may be called again to catch new ones.
 */
#ifndef OOMSNAP_OS_STOP_H
#define OOMSNAP_OS_STOP_H

#include <stdint.h>
#include <sys/types.h>

#include "os/cgroup.h"
#include "os/ledger.h"

#define STOP_PIDS_MAX \
	8192 /* processes of one target that are acted upon; further ones are counted */
#define STOP_PASSES_MAX \
	8 /* a process that forks faster than we list is frozen or caught by ptrace */

struct stop_result {
	uint32_t done;	  /* newly stopped or shielded */
	uint32_t already; /* were so before us: left alone, at the undo too */
	uint32_t failed;
	int error; /* negative errno of the last failure */
};

/*
 * SIGSTOP to every process of the cgroup (only to `only` if that is not 0), pass after pass until
 * no new one appears; to the first_count processes of first[] before all others, those of them that
 * are still in the cgroup: each process costs some 50 us, in which a leaker may take 100 KiB. Does
 * not wait: a stop takes effect when the process returns to user mode. 0, CGROUP_GONE, -errno; *ret
 * in any case.
 */
int stop_processes(const struct cgroup *cg, pid_t only, const pid_t *first, uint32_t first_count,
	struct ledger *ledger, uint32_t target, struct stop_result *ret);

/* Puts those of pids that are in first[] in front, in the order of first[]. */
void stop_bring_forward(pid_t *pids, uint32_t count, const pid_t *first, uint32_t first_count);

/* oom_score_adj = -1000 for every process of the cgroup. Returns as above. */
int shield_processes(
	const struct cgroup *cg, struct ledger *ledger, uint32_t target, struct stop_result *ret);

#endif
