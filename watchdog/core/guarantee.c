// SPDX-License-Identifier: Apache-2.0
/*
 * The guarantee of a target. See guarantee.h for the contract.
 *
 * The answer is the highest level whose means are all there and asked for, with the first thing
 * that keeps it from the level above it: the sentence tells the user what to change, so only one
 * obstacle is named at a time, the one that has to go first.
 */
#include "core/guarantee.h"

#include <stddef.h>

/* What keeps a target from "guaranteed"; NULL: nothing does. */
static const char *no_shield(
	const struct policy *policy, const struct guarantee_facts *f, const char **ret_mend)
{
	*ret_mend = "";
	if (policy->shield == SHIELD_OFF) {
		*ret_mend = "set shield = armed";
		return "the shield is switched off";
	}
	if (f->limit_above) {
		*ret_mend = "set a memory limit on the target's own cgroup";
		return "the limit stands on a parent cgroup that must not be shielded";
	}
	if (f->shields_processes && !f->sys_resource) {
		*ret_mend = "grant CAP_SYS_RESOURCE in the initial user namespace";
		return "oom_score_adj cannot be lowered without CAP_SYS_RESOURCE";
	}
	if (!f->shield_writable && f->shields_processes) {
		*ret_mend = "grant CAP_DAC_OVERRIDE, or run under the target's uid";
		return "the oom_score_adj of the target's processes cannot be written";
	}
	if (!f->shield_writable) {
		*ret_mend = "give oomsnap a writable mount of the memory cgroup tree";
		return "memory.oom_control of the target cannot be written";
	}
	return NULL;
}

struct guarantee_answer guarantee_of(
	const struct policy *policy, const struct guarantee_facts *facts)
{
	struct guarantee_answer a = {GUARANTEE_GUARANTEED, "", ""};
	const char *mend;
	const char *why;

	if (!facts->limited) {
		a.guarantee = GUARANTEE_OBSERVE;
		a.why = "the target has no memory limit, so there is nothing to come before";
		a.mend = "set memory.max (resources.limits.memory, MemoryMax=) on the target";
		return a;
	}
	if (!facts->can_trace) {
		a.guarantee = GUARANTEE_OBSERVE;
		a.why = "the target's processes cannot be traced";
		a.mend = "grant CAP_SYS_PTRACE, or run under the target's uid and gid";
		return a;
	}
	why = no_shield(policy, facts, &mend);
	if (!why)
		return a;
	a.why = why;
	a.mend = mend;
	if (facts->tripwire)
		a.guarantee = GUARANTEE_KERNEL_STOP;
	else if (facts->brake && policy->brake_bp)
		a.guarantee = GUARANTEE_BRAKE;
	else
		a.guarantee = GUARANTEE_BEST_EFFORT;
	return a;
}
