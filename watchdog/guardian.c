// SPDX-License-Identifier: Apache-2.0
/*
 * The guardian. See guardian.h for the contract.
 *
 * Forked before anything is watched, and before there is anything worth killing it for: it holds
 * the ledger's mapping, a pidfd of the watchdog and nothing else, allocates nothing, and sleeps in
 * poll(). When the pidfd becomes readable the watchdog is gone, however it ended. Then every entry
 * is undone, and a capturer that still holds threads by ptrace is given GUARDIAN_DETACH_NS to let
 * go by itself (it watches the same pidfd and can then still finish its file), and killed if it
 * does not: the kernel detaches what a dead tracer held.
 *
 * A watchdog that is alive but silent (stopped, or stuck in the kernel) while something is in force
 * is ended with SIGKILL after LEDGER_HUNG_NS; its service manager starts it again. A tripwire in
 * force counts, though nothing of the target is changed yet: the next page may stop the target, and
 * nobody would let it go on. The silence is counted in time of our own looks: where all of us stood
 * still (a paused machine or container, a frozen service) the watchdog is owed its turn first.
 *
 * A tripwire ends with the watchdog, whose descriptors alone keep it attached. Its memory is shared
 * with us, and names the processes that it has stopped, those included of which the watchdog was
 * not told any more: they are continued.
 *
 * An undo that fails is repeated for as long as the cgroup or process in question exists; what the
 * guardian cannot undo before it is killed itself, the next start finds in the ledger's file.
 */
#include "guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "event.h"
#include "os/clock.h"
#include "os/process.h"

#define GUARDIAN_POLL_MS 250		       /* how often signs of life are looked at */
#define GUARDIAN_LOOK_MAX_NS (500 * NS_PER_MS) /* a longer gap between two looks was a pause */
#define GUARDIAN_DETACH_NS (20 * NS_PER_MS)    /* within the 100 ms that the target may stand on */
#define GUARDIAN_STEP_MS 2
#define GUARDIAN_SETTLE_MS (int)(TRIPWIRE_SETTLE_NS / NS_PER_MS)
#define GUARDIAN_RETRY_MS 100
#define GUARDIAN_GIVE_UP_NS (600 * NS_PER_S) /* the file stays for the next start */

static void nap(int ms)
{
	(void)poll(NULL, 0, ms); /* an early return only means one more look */
}

/*
 * Ends a capturer that still traces. Its pid may be another process's by now: look at the name.
 * The kernel lets its tracees go when it ends, and it ends when it has its turn: on a busy machine
 * (load 30) that took up to 130 ms, so it is given precedence.
 */
static void end_capturer(struct ledger *ledger, uint32_t place)
{
	const struct sched_param first = {.sched_priority = 1};
	struct procstat stat;
	_cleanup_close_ int fd = -1;
	pid_t pid = ledger_capturer(ledger, place);

	if (pid <= 0 || !ledger_tracing(ledger, place))
		return;
	if (process_open(pid, 0, &fd) != 0 || process_look(pid, &stat) != 0 ||
		!str_has_prefix(stat.comm, "oomsnap"))
		return;
	(void)sched_setscheduler(pid, SCHED_RR, &first); /* without the right to: later */
	(void)process_signal(fd, SIGKILL);		 /* gone is as good */
	ledger_set_tracing(ledger, place, false);
}

/* Whether it traces, and may let go by itself: one that is stopped will not. */
static bool lets_go(const struct ledger *ledger, uint32_t place)
{
	struct procstat stat;
	pid_t pid = ledger_capturer(ledger, place);

	return pid > 0 && ledger_tracing(ledger, place) &&
		(process_look(pid, &stat) != 0 || stat.state != 'T');
}

static void wait_for_capturers(struct ledger *ledger)
{
	uint64_t until_ns = clock_now_ns() + GUARDIAN_DETACH_NS;
	bool tracing = true;

	while (tracing && clock_now_ns() < until_ns) {
		tracing = false;
		for (uint32_t i = 0; i < LEDGER_CAPTURERS_MAX; i++)
			tracing = tracing || lets_go(ledger, i);
		if (tracing)
			nap(GUARDIAN_STEP_MS);
	}
	for (uint32_t i = 0; i < LEDGER_CAPTURERS_MAX; i++)
		end_capturer(ledger, i);
}

static void tell(uint32_t undone, uint32_t left, int error)
{
	struct event_message *m;

	if (event_open(NULL) != 0)
		return; /* nobody to tell; the work is done all the same */
	m = event_begin(left ? EVENT_UNDO_FAILED : EVENT_RECOVERED, NULL);
	event_field_u64(m, EVENT_FIELD_NUMBER, left ? left : undone);
	if (left)
		event_field_u64(m, EVENT_FIELD_ERRNO, (uint64_t)-error);
	event_send(m,
		"the watchdog ended without undoing its interventions: %u undone by the guardian, "
		"%u still in force",
		undone, left);
}

/* Everything of the ledger, and whom the tripwire stopped. How much is still in force. */
static uint32_t undo(struct ledger *ledger, struct tripwire *tripwire, int *error)
{
	uint32_t kinds = LEDGER_EVERYTHING;
	uint32_t left = 0;
	uint32_t done = 0;

	if (tripwire) /* it knows whom it stopped; the note in the ledger is for who does not */
		kinds &= ~LEDGER_BIT(LEDGER_TRIPWIRE);
	left = ledger_undo(ledger, LEDGER_ALL_TARGETS, kinds, error);
	if (tripwire)
		left += tripwire_undo(tripwire, &done);
	return left;
}

void guardian_undo(struct ledger *ledger, struct tripwire *tripwire)
{
	uint32_t before = ledger_count(ledger, LEDGER_ALL_TARGETS, LEDGER_EVERYTHING);
	uint64_t until_ns = clock_now_ns() + GUARDIAN_GIVE_UP_NS;
	int error = 0;
	uint32_t left;

	if (tripwire)
		tripwire_shut(tripwire);
	left = undo(ledger, tripwire, &error);
	wait_for_capturers(ledger);
	if (tripwire) {
		nap(GUARDIAN_SETTLE_MS); /* a program that was just running */
		left = undo(ledger, tripwire, &error);
	}
	if (left == 0)
		ledger_strike_tripwire(ledger, LEDGER_ALL_TARGETS);
	if (before)
		tell(before - left, left, error);
	while (left && clock_now_ns() < until_ns) {
		nap(GUARDIAN_RETRY_MS);
		left = undo(ledger, tripwire, &error);
	}
	if (left == 0)
		ledger_strike_tripwire(ledger, LEDGER_ALL_TARGETS);
}

/* How long the watchdog has given no sign of life, as far as we were there to see it. */
struct silence {
	uint64_t beat_ns; /* the last sign */
	uint64_t look_ns; /* when we looked last */
	uint64_t ns;
};

static bool hung(const struct ledger *ledger, struct silence *s)
{
	uint64_t now_ns = clock_now_ns();
	uint64_t beat_ns = ledger_last_beat(ledger);

	if (!beat_ns || beat_ns != s->beat_ns ||
		!ledger_count(ledger, LEDGER_ALL_TARGETS, LEDGER_EVERYTHING))
		s->ns = 0;
	else
		s->ns += min_u64(sub_floor(now_ns, s->look_ns), GUARDIAN_LOOK_MAX_NS);
	s->beat_ns = beat_ns;
	s->look_ns = now_ns;
	return s->ns > LEDGER_HUNG_NS;
}

static void guardian_main(struct ledger *ledger, struct tripwire *tripwire, int watchdog_pidfd)
{
	struct pollfd p = {.fd = watchdog_pidfd, .events = POLLIN};
	struct silence silence = {0};

	for (;;) {
		int n = poll(&p, 1, GUARDIAN_POLL_MS);

		if (n > 0)
			break;
		if (n == 0 && hung(ledger, &silence))
			(void)process_signal(watchdog_pidfd, SIGKILL); /* seen at the next poll */
	}
	guardian_undo(ledger, tripwire);
	ledger_close(ledger);
}

/* Keeps stdio, the ledger and the pidfd, and closes everything else. */
static void close_others(int a, int b)
{
	unsigned int low = (unsigned int)(a < b ? a : b);
	unsigned int high = (unsigned int)(a < b ? b : a);

	if (low > 3)
		(void)syscall(SYS_close_range, 3U, low - 1, 0U); /* absent before 5.9: leaks only */
	if (high > low + 1)
		(void)syscall(SYS_close_range, low + 1, high - 1, 0U);
	(void)syscall(SYS_close_range, high + 1, ~0U, 0U);
}

static void become_guardian(struct ledger *ledger, struct tripwire *tripwire, int watchdog_pidfd)
{
	const struct sched_param param = {.sched_priority = 1};
	sigset_t none;

	/* A service manager's SIGTERM to the whole group is for the watchdog to act upon. */
	for (int sig = 1; sig < 32; sig++)
		if (sig == SIGTERM || sig == SIGINT || sig == SIGHUP || sig == SIGPIPE ||
			sig == SIGUSR1 || sig == SIGUSR2)
			(void)signal(sig, SIG_IGN); // NOLINT(bugprone-signal-handler)
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_NAME, "oomsnap-guard");
	close_others(ledger->fd, watchdog_pidfd);
	(void)mlockall(MCL_CURRENT); /* without the right to: slower under pressure, not wrong */
	(void)sched_setscheduler(0, SCHED_RR, &param); /* likewise */
	guardian_main(ledger, tripwire, watchdog_pidfd);
}

int guardian_start(struct ledger *ledger, struct tripwire *tripwire, int watchdog_pidfd,
	pid_t *ret_pid, int *ret_pidfd)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		become_guardian(ledger, tripwire, watchdog_pidfd);
		_exit(0);
	}
	*ret_pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (*ret_pidfd < 0) {
		int r = -errno;

		(void)kill(pid, SIGKILL); /* our own child, not yet waited for: the pid is its */
		return r;
	}
	*ret_pid = pid;
	return 0;
}
