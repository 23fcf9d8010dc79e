// SPDX-License-Identifier: Apache-2.0
/*
 * SIGSTOP and oom_score_adj, process by process. See stop.h for the contract.
 *
 * The list of a cgroup's processes is stale as soon as it is read: a running process forks. So the
 * list is read again until it holds nothing new; a child born of a stopped parent before the stop
 * took effect shows up in the next pass. A process that somebody else had stopped before is left
 * alone, and stays stopped when we let go. A child of a shielded parent inherits -1000, and its
 * parent's old value is what it gets back.
 */
#include "os/stop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "os/proc.h"
#include "os/process.h"

#define SHIELDED_ADJ (-1000)

/* What is done to the processes of a cgroup, and whom it is done to. */
struct sweep {
	const struct cgroup *cg;
	pid_t only;	      /* this process alone; 0: all of the cgroup */
	const pid_t *first;   /* these before the others, in this order */
	uint32_t first_count; /* of first */
	struct ledger *ledger;
	uint32_t target;       /* whose entries they are in the ledger */
	enum ledger_kind kind; /* of the entries: who has one is passed over */
	void (*act)(const struct sweep *sweep, pid_t pid, const struct procstat *stat,
		struct stop_result *result);
};

static void fail(struct stop_result *result, int error)
{
	result->failed++;
	result->error = error;
}

static bool stop_thread(void *user, pid_t tid)
{
	const pid_t *pid = user;

	(void)syscall(SYS_tgkill, *pid, tid, SIGSTOP); /* it may just have ended */
	return true;
}

/*
 * A stop begins when a thread takes the signal, and the kernel wakes one thread to take it: where
 * 64 run on two processors, its turn may come 300 ms later, and all others allocate until then. So
 * each thread is sent one as well: whichever runs takes it at once, and SIGCONT clears the rest
 * (prepare_signal() in kernel/signal.c). The pidfd shows that it is still the same process.
 */
static void stop_threads(pid_t pid, int pidfd)
{
	_cleanup_close_ int proc = -1;

	if (proc_open(pid, &proc) == 0 && process_signal(pidfd, 0) == 0)
		(void)proc_tasks(proc, stop_thread, &pid); /* the process has its signal */
}

static void stop_one(const struct sweep *sweep, pid_t pid, const struct procstat *stat,
	struct stop_result *result)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (stat->state == 'T') {
		result->already++;
		return;
	}
	r = process_open(pid, stat->start_time_ticks, &fd);
	if (r > 0)
		return;
	if (r == 0)
		r = ledger_note_process(
			sweep->ledger, sweep->target, sweep->kind, pid, stat->start_time_ticks, 0);
	if (r != 0) {
		fail(result, r);
		return;
	}
	FAULT_POINT(HOLD_NOTED);
	r = process_signal(fd, SIGSTOP);
	if (r == 0) {
		result->done++;
		stop_threads(pid, fd);
		return;
	}
	ledger_strike_process(sweep->ledger, sweep->kind, pid);
	if (r < 0)
		fail(result, r);
}

static void shield_one(const struct sweep *sweep, pid_t pid, const struct procstat *stat,
	struct stop_result *result)
{
	int adj;
	int r = process_get_oom_adj(pid, &adj);

	if (r > 0)
		return;
	if (r == 0) {
		if (adj == SHIELDED_ADJ) {
			result->already++;
			(void)ledger_process_value(sweep->ledger, sweep->kind, stat->ppid, &adj);
		}
		r = ledger_note_process(sweep->ledger, sweep->target, sweep->kind, pid,
			stat->start_time_ticks, adj);
	}
	if (r != 0) {
		fail(result, r);
		return;
	}
	FAULT_POINT(SHIELD_NOTED);
	r = process_set_oom_adj(pid, SHIELDED_ADJ);
	if (r == 0) {
		result->done++;
		return;
	}
	ledger_strike_process(sweep->ledger, sweep->kind, pid);
	if (r < 0)
		fail(result, r);
}

void stop_bring_forward(pid_t *pids, uint32_t count, const pid_t *first, uint32_t first_count)
{
	uint32_t done = 0;

	for (uint32_t f = 0; f < first_count; f++) {
		for (uint32_t i = done; i < count; i++) {
			if (pids[i] != first[f])
				continue;
			pids[i] = pids[done];
			pids[done++] = first[f];
			break;
		}
	}
}

static int each_process(const struct sweep *sweep, struct stop_result *ret)
{
	static pid_t
		pids[STOP_PIDS_MAX]; /* the watchdog's loop is one thread and must not allocate */
	pid_t self = getpid();
	bool new = true;

	for (int pass = 0; new &&pass < STOP_PASSES_MAX; pass++) {
		uint32_t count = 0;
		int r = 0;

		new = false;
		if (sweep->only)
			pids[count++] = sweep->only;
		else
			r = cgroup_pids(sweep->cg, pids, STOP_PIDS_MAX, &count);
		if (r != 0 && r != -E2BIG)
			return r;
		stop_bring_forward(pids, count, sweep->first, sweep->first_count);
		for (uint32_t i = 0; i < count; i++) {
			struct procstat stat;
			uint32_t before = ret->done;

			if (pids[i] == self || process_look(pids[i], &stat) != 0 ||
				stat.state == 'Z' || stat.state == 'X' ||
				ledger_has_process(
					sweep->ledger, sweep->kind, pids[i], stat.start_time_ticks))
				continue;
			sweep->act(sweep, pids[i], &stat, ret);
			new = new || ret->done != before;
		}
		if (r != 0)
			return r;
	}
	return 0;
}

int stop_processes(const struct cgroup *cg, pid_t only, const pid_t *first, uint32_t first_count,
	struct ledger *ledger, uint32_t target, struct stop_result *ret)
{
	const struct sweep stop = {.cg = cg,
		.only = only,
		.first = first,
		.first_count = first_count,
		.ledger = ledger,
		.target = target,
		.kind = LEDGER_STOP,
		.act = stop_one};

	memset(ret, 0, sizeof(*ret));
	return each_process(&stop, ret);
}

/* Notes, once per shield, what children that nobody noted get back: the first process's value. */
static int note_group(const struct cgroup *cg, struct ledger *ledger, uint32_t target)
{
	char value[CGROUP_VALUE_MAX];
	pid_t pid;
	uint32_t count;
	int adj;
	int r;

	if (ledger_count(ledger, target, LEDGER_BIT(LEDGER_SHIELD_GROUP)))
		return 0;
	r = cgroup_pids(cg, &pid, 1, &count);
	if (r != 0 && r != -E2BIG)
		return r;
	if (count == 0 || process_get_oom_adj(pid, &adj) != 0 || adj == SHIELDED_ADJ)
		return 0;
	(void)snprintf(value, sizeof(value), "%d", adj);
	return ledger_note_file(ledger, target, LEDGER_SHIELD_GROUP, cg->level[0].path, value);
}

int shield_processes(
	const struct cgroup *cg, struct ledger *ledger, uint32_t target, struct stop_result *ret)
{
	const struct sweep shield = {.cg = cg,
		.ledger = ledger,
		.target = target,
		.kind = LEDGER_SHIELD_PROCESS,
		.act = shield_one};
	int r;

	memset(ret, 0, sizeof(*ret));
	r = note_group(cg, ledger, target);
	return r ? r : each_process(&shield, ret);
}
