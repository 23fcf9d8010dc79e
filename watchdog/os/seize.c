// SPDX-License-Identifier: Apache-2.0
/*
 * Every process of a cgroup in a ptrace stop. See seize.h for the contract.
 *
 * The same sweep as with SIGSTOP (stop.c), with the threads as its objects: the list of a cgroup's
 * processes, and of a process's threads, is stale as soon as it is read, so both are read again. A
 * child is born running where its parent was asked and had not stopped yet; once all known threads
 * stand and a pass finds nobody, there is nobody else. PTRACE_O_TRACEFORK and its like would hand
 * us the children without a pass, and stopped: also those that are born when we have just let go of
 * the set that we know.
 *
 * Limits: PTRACE_SEIZE waits for the target's cred_guard_mutex, which a thread in execve(2) holds
 * until all others of its process have ended; one of those may be a zombie that we have to reap.
 * The guardian ends us then, after LEDGER_HUNG_NS, and the kernel lets everybody go.
 */
#include "os/seize.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "os/clock.h"
#include "os/proc.h"
#include "os/process.h"
#include "os/stop.h"

#define LOOK_NS (50 * NS_PER_US) /* between looks at who has stopped: a stop takes microseconds */

static bool is_in(pid_t pid, const pid_t *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (list[i] == pid)
			return true;
	return false;
}

/* How many threads of it were new. */
static uint32_t seize_one(struct ptrace_set *set, const struct seize_order *order, pid_t pid)
{
	_cleanup_close_ int proc = -1;
	struct procstat stat;
	uint32_t fresh = 0;

	if (pid == getpid() || is_in(pid, order->skip, order->skip_count) ||
		process_look(pid, &stat) != 0 || stat.state == 'T' || proc_open(pid, &proc) != 0)
		return 0;
	(void)ptrace_ask(set, proc, pid, order->mark, &fresh); /* gone, or not ours to trace */
	return fresh;
}

/* One pass over all of them. How many threads were new. */
static uint32_t pass(struct ptrace_set *set, const struct seize_order *order)
{
	static pid_t pids[STOP_PIDS_MAX]; /* the watchdog's loop is one thread, and must not
					     allocate */
	uint32_t count = 0;
	uint32_t fresh = 0;

	if (order->only)
		return seize_one(set, order, order->only);
	(void)cgroup_pids(order->cg, pids, STOP_PIDS_MAX, &count); /* gone: none is listed */
	stop_bring_forward(pids, count, order->first, order->first_count);
	for (uint32_t i = 0; i < count; i++)
		fresh += seize_one(set, order, pids[i]);
	return fresh;
}

bool seize_processes(struct ptrace_set *set, const struct seize_order *order, uint64_t settle_ns)
{
	const struct timespec look = {.tv_nsec = LOOK_NS};
	bool stood = ptrace_look(set) == 0; /* all, before the last pass */

	for (;;) {
		uint32_t fresh = pass(set, order);

		if (fresh == 0 && stood)
			return true;
		while (ptrace_look(set) && clock_now_ns() < settle_ns)
			(void)nanosleep(&look, NULL); /* woken early: one look more */
		stood = ptrace_look(set) == 0;
		if (clock_now_ns() >= settle_ns)
			return false;
	}
}
