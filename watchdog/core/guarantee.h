/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be promised for a target on this host, why not more, and what would raise it. Pure: the
 * shell gathers the facts.
 */
#ifndef OOMSNAP_CORE_GUARANTEE_H
#define OOMSNAP_CORE_GUARANTEE_H

#include <stdbool.h>

#include "core/types.h"

struct guarantee_facts {
	bool limited;		/* some level has a limit */
	bool can_trace;		/* SYS_PTRACE, or the same uid and gid */
	bool shields_processes; /* v2: by oom_score_adj; v1: by a file of the cgroup */
	bool shield_writable;	/* that file, or oom_score_adj, may be written */
	bool sys_resource;	/* v2: oom_score_adj may be lowered */
	bool limit_above;	/* v1: the limit stands on an ancestor that must not be shielded */
	bool tripwire;
	bool brake;
};

struct guarantee_answer {
	enum guarantee guarantee;
	const char *why;  /* why it is not more; "" at the top */
	const char *mend; /* the change that would raise it; "" where there is none */
};

struct guarantee_answer guarantee_of(
	const struct policy *policy, const struct guarantee_facts *facts);

#endif
