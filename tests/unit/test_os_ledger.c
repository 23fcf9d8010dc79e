// SPDX-License-Identifier: Apache-2.0
/*
 * The ledger with real processes: what is noted is undone, by us or by the next start, and by
 * nobody else; what is torn, foreign or in use is left alone. What needs a real control group is
 * for the system scenarios.
 */
#include "os/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/checked.h"
#include "base/str.h"
#include "os/clock.h"
#include "os/process.h"

#define WAIT_NS (10 * NS_PER_S)
#define NO_SUCH_PID 0x3ffffff0 /* above every pid_max */
#define MARK_TIME UINT64_C(0x1122334455667788)

/* --- ground -------------------------------------------------------------------------------- */

struct place {
	char parent[64];
	char dir[128]; /* of the ledgers; made by the first */
};

static void format(char *text, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void format(char *text, size_t size, const char *fmt, ...)
{
	struct str s;
	va_list args;

	str_init(&s, text, size);
	va_start(args, fmt);
	assert_true(str_addv(&s, fmt, args));
	va_end(args);
}

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	format(p->parent, sizeof(p->parent), "/tmp/test_os_ledger.XXXXXX");
	assert_non_null(mkdtemp(p->parent));
	format(p->dir, sizeof(p->dir), "%s/run", p->parent);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	char command[128];

	format(command, sizeof(command), "rm -rf %s", p->parent);
	assert_int_equal(0, system(command)); // NOLINT: a path of our own making
	free(p);
	return 0;
}

static void open_ledger(const struct place *p, struct ledger *l)
{
	int why;

	assert_int_equal(0, ledger_open(p->dir, l, &why));
	assert_int_equal(0, why);
	assert_true(l->persistent);
}

/* A process that waits to be killed, and does not outlive us. */
static pid_t spawn(void)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (getppid() == parent) /* else it died before it could kill us */
			(void)pause();
		_exit(0);
	}
	return pid;
}

static void reap(pid_t pid)
{
	assert_int_equal(0, kill(pid, SIGKILL));
	assert_int_equal(pid, waitpid(pid, NULL, 0));
}

static uint64_t start_time(pid_t pid)
{
	struct procstat stat;

	assert_int_equal(0, process_look(pid, &stat));
	return stat.start_time_ticks;
}

static char state_of(pid_t pid)
{
	struct procstat stat;

	assert_int_equal(0, process_look(pid, &stat));
	return stat.state;
}

/* Waits for a stop (wanted true) or for its end. The child tells us by SIGCHLD state changes. */
static void await_stopped(pid_t pid, bool wanted)
{
	uint64_t until = clock_now_ns() + WAIT_NS;

	while ((state_of(pid) == 'T') != wanted) {
		if (clock_now_ns() > until)
			fail_msg("pid %d is in state %c", (int)pid, state_of(pid));
		(void)sched_yield();
	}
}

static void stop(struct ledger *l, uint32_t target, pid_t pid)
{
	assert_int_equal(0, ledger_note_process(l, target, LEDGER_STOP, pid, start_time(pid), 0));
	assert_int_equal(0, kill(pid, SIGSTOP));
	await_stopped(pid, true);
}

static uint32_t in_force(const struct ledger *l)
{
	return ledger_count(l, LEDGER_ALL_TARGETS, LEDGER_EVERYTHING);
}

/* --- opening ------------------------------------------------------------------------------- */

static void test_private_and_locked(void **state)
{
	const struct place *p = *state;
	struct ledger l;
	struct stat st;
	char path[256];
	int fd;

	open_ledger(p, &l);
	format(path, sizeof(path), "%s/%d.ledger", p->dir, (int)getpid());
	assert_string_equal(path, l.path);
	assert_int_equal(0, stat(p->dir, &st));
	assert_int_equal(0700, st.st_mode & 07777);
	assert_int_equal(0, stat(path, &st));
	assert_int_equal(0600, st.st_mode & 07777);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(-1, flock(fd, LOCK_EX | LOCK_NB));
	assert_int_equal(EWOULDBLOCK, errno);
	(void)close(fd);
	assert_int_equal(0, in_force(&l));
	ledger_close(&l);
	assert_int_equal(-1, access(path, F_OK)); /* empty: nothing for the next start */
	ledger_close(&l);			  /* closed is closed */
}

static void test_one_for_each_process(void **state)
{
	const struct place *p = *state;
	struct ledger first;
	struct ledger second;
	int why;

	open_ledger(p, &first);
	assert_int_equal(0, ledger_open(p->dir, &second, &why));
	assert_int_equal(-EEXIST, why);
	assert_false(second.persistent);
	ledger_close(&second);
	assert_int_equal(0, access(first.path, F_OK));
	ledger_close(&first);
}

static void test_memory_alone(void **state)
{
	struct ledger l;
	int why;

	(void)state;
	assert_int_equal(0, ledger_open("/proc/none/run", &l, &why));
	assert_int_equal(-ENOENT, why);
	assert_false(l.persistent);
	assert_int_equal(0, ledger_note_process(&l, 1, LEDGER_STOP, NO_SUCH_PID, MARK_TIME, 0));
	assert_int_equal(1, in_force(&l));
	ledger_close(&l);
}

/* --- noting and undoing -------------------------------------------------------------------- */

static void test_stop_is_undone(void **state)
{
	struct ledger l;
	pid_t one = spawn();
	pid_t two = spawn();
	int error = 77;

	open_ledger(*state, &l);
	stop(&l, 1, one);
	stop(&l, 2, two);
	assert_int_equal(2, in_force(&l));
	assert_int_equal(1, ledger_count(&l, 1, LEDGER_EVERYTHING));
	assert_int_equal(0, ledger_count(&l, 1, LEDGER_SHIELDS));
	assert_int_equal(0, ledger_undo(&l, 1, LEDGER_SHIELDS, &error));
	assert_int_equal('T', state_of(one));
	assert_int_equal(0, ledger_undo(&l, 1, LEDGER_EVERYTHING, &error));
	assert_int_equal(77, error);
	await_stopped(one, false);
	assert_int_equal('T', state_of(two));
	assert_int_equal(1, in_force(&l));
	assert_int_equal(0, ledger_undo(&l, LEDGER_ALL_TARGETS, LEDGER_EVERYTHING, NULL));
	await_stopped(two, false);
	assert_int_equal(0, in_force(&l));
	reap(one);
	reap(two);
	ledger_close(&l);
}

/* Another process has the pid by now: it is not ours to continue. */
static void test_recycled_pid(void **state)
{
	struct ledger l;
	pid_t pid = spawn();

	open_ledger(*state, &l);
	assert_int_equal(0, ledger_note_process(&l, 1, LEDGER_STOP, pid, start_time(pid) + 1, 0));
	assert_int_equal(0, kill(pid, SIGSTOP));
	await_stopped(pid, true);
	assert_false(ledger_has_process(&l, LEDGER_STOP, pid, start_time(pid)));
	assert_int_equal(0, ledger_undo(&l, 1, LEDGER_EVERYTHING, NULL));
	assert_int_equal('T', state_of(pid));
	assert_int_equal(0, in_force(&l));
	reap(pid);
	ledger_close(&l);
}

static void test_process_that_ended(void **state)
{
	struct ledger l;
	pid_t pid = spawn();

	open_ledger(*state, &l);
	stop(&l, 1, pid);
	reap(pid);
	assert_int_equal(0, ledger_undo(&l, 1, LEDGER_EVERYTHING, NULL));
	assert_int_equal(0, in_force(&l));
	ledger_close(&l);
}

static void test_strike(void **state)
{
	struct ledger l;
	int value = 5;

	open_ledger(*state, &l);
	assert_int_equal(0, ledger_note_process(&l, 1, LEDGER_STOP, 10, 100, 0));
	assert_int_equal(0, ledger_note_process(&l, 1, LEDGER_SHIELD_PROCESS, 10, 100, -17));
	assert_true(ledger_has_process(&l, LEDGER_STOP, 10, 100));
	assert_true(ledger_process_value(&l, LEDGER_SHIELD_PROCESS, 10, &value));
	assert_int_equal(-17, value);
	assert_false(ledger_process_value(&l, LEDGER_SHIELD_PROCESS, 11, &value));
	assert_int_equal(-17, value);
	ledger_strike_process(&l, LEDGER_STOP, 10);
	ledger_strike_process(&l, LEDGER_STOP, 12);
	assert_false(ledger_has_process(&l, LEDGER_STOP, 10, 100));
	assert_true(ledger_has_process(&l, LEDGER_SHIELD_PROCESS, 10, 100));
	ledger_strike_process(&l, LEDGER_SHIELD_PROCESS, 10);
	assert_int_equal(0, in_force(&l));
	ledger_close(&l);
}

/* The shield goes while the target still stands. */
static void test_kinds_apart(void **state)
{
	struct ledger l;
	pid_t pid = spawn();
	int before;
	int adj;

	open_ledger(*state, &l);
	assert_int_equal(0, process_get_oom_adj(pid, &before));
	assert_int_equal(
		0, ledger_note_process(&l, 1, LEDGER_SHIELD_PROCESS, pid, start_time(pid), before));
	assert_int_equal(0, process_set_oom_adj(pid, before == 1000 ? 999 : before + 1));
	stop(&l, 1, pid);
	assert_int_equal(0, ledger_undo(&l, 1, LEDGER_SHIELDS, NULL));
	assert_int_equal(0, process_get_oom_adj(pid, &adj));
	assert_int_equal(before, adj);
	assert_int_equal('T', state_of(pid));
	assert_int_equal(1, in_force(&l));
	assert_int_equal(0, ledger_undo(&l, 1, LEDGER_EVERYTHING, NULL));
	await_stopped(pid, false);
	reap(pid);
	ledger_close(&l);
}

/* A forged or mistaken path: nothing outside of a cgroup file system is ever written. */
static void test_file_elsewhere(void **state)
{
	const struct place *p = *state;
	struct ledger l;
	char path[128];
	char text[8] = "";
	pid_t pid = spawn();
	int error = 0;
	int fd;

	open_ledger(p, &l);
	format(path, sizeof(path), "%s/file", p->parent);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(4, write(fd, "here", 4));
	assert_int_equal(0, ledger_note_file(&l, 1, LEDGER_LEASE, path, "12345"));
	stop(&l, 1, pid);
	assert_int_equal(1, ledger_undo(&l, 1, LEDGER_EVERYTHING, &error));
	assert_int_equal(-EXDEV, error);
	assert_int_equal(4, pread(fd, text, sizeof(text), 0));
	assert_memory_equal("here", text, 4);
	await_stopped(pid, false); /* a limit that stays must not leave a process stopped */
	/* Twice by one target is one note; of two targets the last one puts it back. */
	for (uint32_t k = 0; k < 4; k++)
		assert_int_equal(0, ledger_note_file(&l, k % 2, LEDGER_LEASE, path, "12345"));
	assert_int_equal(2, in_force(&l));
	assert_int_equal(0, ledger_undo(&l, 0, LEDGER_EVERYTHING, NULL));
	assert_int_equal(1, ledger_undo(&l, 1, LEDGER_EVERYTHING, NULL));
	(void)close(fd);
	assert_int_equal(0, unlink(path));
	assert_int_equal(0, ledger_undo(&l, 1, LEDGER_EVERYTHING, NULL)); /* gone is undone */
	reap(pid);
	ledger_close(&l);
}

static void test_full(void **state)
{
	static char path[TARGET_PATH_MAX + 8];
	struct ledger l;

	open_ledger(*state, &l);
	for (int i = 0; i < LEDGER_PROCESSES_MAX; i++)
		assert_int_equal(
			0, ledger_note_process(&l, 1, LEDGER_STOP, NO_SUCH_PID, MARK_TIME, 0));
	assert_int_equal(
		-ENOSPC, ledger_note_process(&l, 1, LEDGER_STOP, NO_SUCH_PID, MARK_TIME, 0));
	for (int i = 0; i < LEDGER_FILES_MAX - 1; i++) {
		format(path, sizeof(path), "/sys/fs/cgroup/none/%d", i);
		assert_int_equal(0, ledger_note_file(&l, 2, LEDGER_LEASE, path, "1"));
	}
	memset(path, 'x', sizeof(path) - 1); /* half a path is no path */
	assert_int_equal(-ENOSPC, ledger_note_file(&l, 2, LEDGER_LEASE, path, "1"));
	assert_int_equal(-ENOSPC,
		ledger_note_file(&l, 2, LEDGER_LEASE, "/a", "123456789012345678901234567890123"));
	assert_int_equal(0, ledger_note_file(&l, 2, LEDGER_LEASE, "/sys/fs/cgroup/none/x", "1"));
	assert_int_equal(
		-ENOSPC, ledger_note_file(&l, 2, LEDGER_LEASE, "/sys/fs/cgroup/none/y", "1"));
	assert_int_equal(LEDGER_PROCESSES_MAX + LEDGER_FILES_MAX, in_force(&l));
	ledger_strike_process(&l, LEDGER_STOP, NO_SUCH_PID);
	assert_int_equal(0, ledger_note_process(&l, 1, LEDGER_STOP, NO_SUCH_PID, MARK_TIME, 0));
	assert_int_equal(0, ledger_undo(&l, LEDGER_ALL_TARGETS, LEDGER_EVERYTHING, NULL));
	assert_int_equal(0, in_force(&l));
	ledger_close(&l);
}

static void test_who_takes_part(void **state)
{
	struct ledger l;

	open_ledger(*state, &l);
	for (uint32_t i = 0; i < LEDGER_CAPTURERS_MAX; i++) {
		assert_int_equal(0, ledger_capturer(&l, i));
		assert_false(ledger_tracing(&l, i));
		ledger_set_capturer(&l, i, (pid_t)i + 100);
	}
	ledger_set_tracing(&l, 2, true);
	assert_int_equal(103, ledger_capturer(&l, 3));
	assert_true(ledger_tracing(&l, 2));
	assert_false(ledger_tracing(&l, 3));
	ledger_set_tracing(&l, 2, false);
	assert_false(ledger_tracing(&l, 2));
	assert_int_equal(0, ledger_last_beat(&l));
	ledger_beat(&l, 12345);
	assert_int_equal(12345, ledger_last_beat(&l));
	ledger_close(&l);
}

/* --- the next start ------------------------------------------------------------------------ */

/* A watchdog that stops `victim`, notes it, and dies at once. Its ledger's path goes to path. */
static void die_with(const struct place *p, pid_t victim, uint64_t time, char *path, size_t size)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct ledger l;
		int why;

		if (ledger_open(p->dir, &l, &why) == 0 && l.persistent &&
			ledger_note_process(&l, 1, LEDGER_STOP, victim, time, 0) == 0 &&
			kill(victim, SIGSTOP) == 0)
			(void)kill(getpid(), SIGKILL);
		_exit(1);
	}
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_true(WIFSIGNALED(status));
	await_stopped(victim, true);
	format(path, size, "%s/%d.ledger", p->dir, (int)pid);
	assert_int_equal(0, access(path, F_OK));
}

static void recover(const struct place *p, uint32_t want_undone, uint32_t want_left)
{
	uint32_t undone = 99;
	uint32_t left = 99;

	assert_int_equal(0, ledger_recover(p->dir, &undone, &left));
	assert_int_equal(want_undone, undone);
	assert_int_equal(want_left, left);
}

static void test_recover(void **state)
{
	const struct place *p = *state;
	pid_t victim = spawn();
	struct ledger l;
	char path[256];

	recover(p, 0, 0); /* no directory yet */
	die_with(p, victim, start_time(victim), path, sizeof(path));
	open_ledger(p, &l);
	assert_int_equal(0, ledger_note_process(&l, 1, LEDGER_STOP, NO_SUCH_PID, MARK_TIME, 0));
	recover(p, 1, 0);
	await_stopped(victim, false);
	assert_int_equal(-1, access(path, F_OK));
	assert_int_equal(1, in_force(&l)); /* what a living process holds is not touched */
	assert_int_equal(0, access(l.path, F_OK));
	recover(p, 0, 0);
	(void)ledger_undo(&l, LEDGER_ALL_TARGETS, LEDGER_EVERYTHING, NULL);
	ledger_close(&l);
	reap(victim);
}

/* The note of a tripwire; whom its undo continues needs a real cgroup (tripwire-watch.bats). */
static void test_tripwire(void **state)
{
	const struct place *p = *state;
	pid_t pids[2] = {spawn(), spawn()};
	struct ledger l;

	assert_int_equal(0, kill(pids[0], SIGSTOP));
	await_stopped(pids[0], true);
	open_ledger(p, &l);
	stop(&l, 1, pids[1]);
	assert_int_equal(0, ledger_note_tripwire(&l, 1, "/nowhere", pids, 2));
	assert_int_equal(1, ledger_count(&l, 1, LEDGER_BIT(LEDGER_TRIPWIRE)));
	assert_int_equal(2, in_force(&l)); /* whom it leaves alone is nothing in force */
	ledger_strike_tripwire(&l, 2);
	assert_int_equal(2, in_force(&l));
	ledger_strike_tripwire(&l, 1);
	assert_int_equal(1, in_force(&l));
	assert_int_equal(0, ledger_note_tripwire(&l, 1, "/nowhere", pids, 2));
	assert_int_equal(0, ledger_undo(&l, 1, LEDGER_EVERYTHING, NULL)); /* gone: nothing to do */
	await_stopped(pids[1], false);
	await_stopped(pids[0], true);
	assert_int_equal(0, ledger_note_tripwire(&l, 1, "/nowhere", pids, 2));
	ledger_strike_tripwire(&l, LEDGER_ALL_TARGETS);
	assert_int_equal(0, in_force(&l));
	ledger_close(&l);
	reap(pids[0]);
	reap(pids[1]);
}

static bool is_second(pid_t pid, uint64_t time, void *user)
{
	(void)time;
	return pid == ((const pid_t *)user)[1];
}

/* Stopped and continued by others while a tripwire is in force: renewed notes follow that. */
static void test_stopped_by_others(void **state)
{
	const struct place *p = *state;
	pid_t pids[2] = {spawn(), spawn()};
	struct ledger l;

	open_ledger(p, &l);
	assert_int_equal(0, ledger_note_tripwire(&l, 1, "/nowhere", pids, 2));
	assert_false(ledger_is_noted_stopped(&l, pids[0]));
	assert_int_equal(0, kill(pids[0], SIGSTOP));
	assert_int_equal(0, kill(pids[1], SIGSTOP));
	await_stopped(pids[0], true);
	await_stopped(pids[1], true);
	assert_int_equal(0, ledger_note_stopped(&l, 1, pids, 2, is_second, pids));
	assert_true(ledger_is_noted_stopped(&l, pids[0]));
	assert_false(ledger_is_noted_stopped(&l, pids[1])); /* is ours */
	assert_int_equal(0, ledger_note_stopped(&l, 1, pids, 2, NULL, NULL));
	assert_true(ledger_is_noted_stopped(&l, pids[1]));
	assert_int_equal(0, ledger_note_stopped(&l, 1, pids, 2, is_second, pids));
	assert_false(ledger_is_noted_stopped(&l, pids[1])); /* is ours after all */
	assert_int_equal(0, kill(pids[0], SIGCONT));
	await_stopped(pids[0], false);
	assert_int_equal(0, ledger_note_stopped(&l, 1, pids, 2, is_second, pids));
	assert_false(ledger_is_noted_stopped(&l, pids[0])); /* its next stop may be ours */
	ledger_strike_tripwire(&l, 1);
	assert_int_equal(0, in_force(&l));
	ledger_close(&l);
	reap(pids[0]);
	reap(pids[1]);
}

/*
 * Who holds the lock is on the way out: it is waited for, or nobody would undo it. Where processor
 * time is scarce that takes seconds.
 */
static void test_recover_while_others_die(void **state)
{
	const struct place *p = *state;
	const struct timespec dying = {.tv_sec = 1, .tv_nsec = 200000000};
	pid_t victim = spawn();
	uint64_t time = start_time(victim);
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		struct ledger l;
		int why;

		if (ledger_open(p->dir, &l, &why) != 0 ||
			ledger_note_process(&l, 1, LEDGER_STOP, victim, time, 0) != 0 ||
			kill(victim, SIGSTOP) != 0)
			_exit(1);
		if (fork() == 0) { /* has the lock for that long */
			(void)nanosleep(&dying, NULL);
			_exit(0);
		}
		(void)kill(getpid(), SIGKILL);
	}
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_true(WIFSIGNALED(status));
	await_stopped(victim, true);
	recover(p, 1, 0);
	await_stopped(victim, false);
	reap(victim);
}

/*
 * A raised limit that a guardian cannot lower yet keeps nobody standing, and no start waiting: not
 * for each of the ledgers either.
 */
static void test_recover_waits_for_no_lease(void **state)
{
	const struct place *p = *state;
	const struct timespec trying = {.tv_sec = 5};
	uint64_t begin_ns;
	pid_t guardian[2];
	int ends[2];
	int status;

	assert_int_equal(0, pipe2(ends, O_CLOEXEC));
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			struct ledger l;
			int why;

			if (ledger_open(p->dir, &l, &why) != 0 ||
				ledger_note_file(&l, 1, LEDGER_LEASE, "/nowhere", "1") != 0)
				_exit(1);
			guardian[i] = fork();
			if (guardian[i] == 0) {
				(void)nanosleep(&trying, NULL);
				_exit(0);
			}
			(void)!write(ends[1], &guardian[i], sizeof(guardian[i]));
			(void)kill(getpid(), SIGKILL);
		}
		assert_int_equal(sizeof(guardian[i]), read(ends[0], &guardian[i], sizeof(pid_t)));
		assert_int_equal(pid, waitpid(pid, &status, 0));
	}
	begin_ns = clock_now_ns();
	recover(p, 0, 2);
	assert_true(clock_now_ns() - begin_ns < 3 * NS_PER_S);
	for (int i = 0; i < 2; i++)
		(void)kill(guardian[i], SIGKILL); /* it sleeps for longer than that took */
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* The guardian inherits the lock: while it lives, it is the one who puts things back. */
static void test_lock_is_inherited(void **state)
{
	const struct place *p = *state;
	pid_t victim = spawn();
	char path[256];
	pid_t guardian;
	int ends[2];
	pid_t pid;

	assert_int_equal(0, pipe2(ends, O_CLOEXEC));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct ledger l;
		int why;

		if (ledger_open(p->dir, &l, &why) == 0 && l.persistent &&
			ledger_note_process(&l, 1, LEDGER_STOP, victim, start_time(victim), 0) ==
				0 &&
			kill(victim, SIGSTOP) == 0) {
			guardian = spawn();
			(void)prctl(PR_SET_PDEATHSIG, 0);
			(void)!write(ends[1], &guardian, sizeof(guardian));
			for (;;)
				(void)pause();
		}
		_exit(1);
	}
	(void)close(ends[1]);
	assert_int_equal(sizeof(guardian), read(ends[0], &guardian, sizeof(guardian)));
	(void)close(ends[0]);
	await_stopped(victim, true);
	format(path, sizeof(path), "%s/%d.ledger", p->dir, (int)pid);
	recover(p, 0, 0);
	assert_int_equal('T', state_of(victim));
	reap(pid); /* and the guardian with it: it asked for that */
	for (uint64_t until = clock_now_ns() + WAIT_NS; kill(guardian, 0) == 0;) {
		struct procstat stat;

		assert_true(clock_now_ns() < until);
		if (process_look(guardian, &stat) == 0 && stat.state == 'Z')
			break; /* nobody reaps it here, but its files are closed */
		(void)sched_yield();
	}
	recover(p, 1, 0);
	await_stopped(victim, false);
	assert_int_equal(-1, access(path, F_OK));
	reap(victim);
}

/* Overwrites size bytes of a file. */
static void poke(const char *path, off_t at, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(size, pwrite(fd, bytes, size, at));
	(void)close(fd);
}

static ssize_t pread_of(const char *path, off_t at, void *bytes, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	n = pread(fd, bytes, size, at);
	(void)close(fd);
	return n;
}

/* Where the bytes stand in the file. */
static off_t find(const char *path, const void *bytes, size_t size)
{
	struct stat st;
	char *text;
	char *found;
	off_t at;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(0, fstat(fd, &st));
	text = malloc((size_t)st.st_size);
	assert_non_null(text);
	assert_int_equal(st.st_size, pread(fd, text, (size_t)st.st_size, 0));
	found = memmem(text, (size_t)st.st_size, bytes, size);
	assert_non_null(found);
	at = found - text;
	free(text);
	(void)close(fd);
	return at;
}

/* An entry that was being written when its author died: its intervention was not made yet. */
static void test_torn_entry(void **state)
{
	const struct place *p = *state;
	const uint32_t filling = 1;
	pid_t victim = spawn();
	uint64_t time = start_time(victim);
	char path[256];
	char key[16];
	const int32_t pid = (int32_t)victim;
	off_t at;

	die_with(p, victim, time, path, sizeof(path));
	memcpy(key, &pid, sizeof(pid)); /* pid and start time stand side by side in an entry */
	memcpy(key + sizeof(pid), &time, sizeof(time));
	at = find(path, key, sizeof(pid) + sizeof(time));
	poke(path, at - 3 * (off_t)sizeof(uint32_t), &filling, sizeof(filling));
	recover(p, 0, 0);
	assert_int_equal('T', state_of(victim));
	assert_int_equal(-1, access(path, F_OK));
	reap(victim);
}

/* Torn at birth: it announces nothing, and goes. */
static void test_torn_file(void **state)
{
	const struct place *p = *state;
	const uint64_t nothing = 0;
	pid_t victim = spawn();
	char path[256];

	die_with(p, victim, start_time(victim), path, sizeof(path));
	poke(path, 0, &nothing, sizeof(nothing)); /* the magic number is written last */
	recover(p, 0, 0);
	assert_int_equal('T', state_of(victim));
	assert_int_equal(-1, access(path, F_OK));
	assert_int_equal(0, kill(victim, SIGCONT));
	await_stopped(victim, false);
	die_with(p, victim, start_time(victim), path, sizeof(path));
	assert_int_equal(0, truncate(path, 0));
	recover(p, 0, 0);
	assert_int_equal(-1, access(path, F_OK));
	reap(victim);
}

/* Another version wrote it: left as it is, and said. */
static void test_other_version(void **state)
{
	const struct place *p = *state;
	pid_t victim = spawn();
	struct stat st;
	char magic[8];
	char path[256];

	die_with(p, victim, start_time(victim), path, sizeof(path));
	assert_int_equal(0, stat(path, &st));
	assert_int_equal(0, truncate(path, st.st_size + 4096));
	recover(p, 0, 1);
	assert_int_equal('T', state_of(victim));
	assert_int_equal(0, access(path, F_OK));
	assert_int_equal(0, truncate(path, st.st_size));
	assert_int_equal(8, pread_of(path, 0, magic, sizeof(magic)));
	poke(path, 0, "ooldger9", 8);
	recover(p, 0, 1);
	assert_int_equal('T', state_of(victim));
	poke(path, 0, magic, sizeof(magic));
	recover(p, 1, 0); /* as it was, it is undone */
	await_stopped(victim, false);
	reap(victim);
}

/* What else lies in the directory is not opened, let alone removed. */
static void test_recover_what_is_no_ledger(void **state)
{
	const struct place *p = *state;
	struct ledger l;
	char link[256];
	char dir[256];
	char other[256];

	open_ledger(p, &l);
	format(link, sizeof(link), "%s/1.ledger", p->dir);
	format(dir, sizeof(dir), "%s/2.ledger", p->dir);
	format(other, sizeof(other), "%s/notes", p->dir);
	assert_int_equal(0, symlink("/etc/passwd", link));
	assert_int_equal(0, mkdir(dir, 0700));
	assert_int_equal(0, mknod(other, S_IFREG | 0600, 0));
	recover(p, 0, 0);
	assert_int_equal(0, faccessat(AT_FDCWD, link, F_OK, AT_SYMLINK_NOFOLLOW));
	assert_int_equal(0, access(dir, F_OK));
	assert_int_equal(0, access(other, F_OK));
	ledger_close(&l);
}

/* Part of it cannot be undone: it stays for the next time, and the rest is undone. */
static void test_recover_in_part(void **state)
{
	const struct place *p = *state;
	pid_t victim = spawn();
	char file[128];
	char path[256];
	pid_t pid;
	int fd;

	format(file, sizeof(file), "%s/limit", p->parent);
	fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct ledger l;
		int why;

		if (ledger_open(p->dir, &l, &why) != 0 || !l.persistent ||
			ledger_note_file(&l, 1, LEDGER_LEASE, file, "1") != 0 ||
			ledger_note_process(&l, 1, LEDGER_STOP, victim, start_time(victim), 0) != 0)
			_exit(1);
		(void)kill(victim, SIGSTOP);
		_exit(0);
	}
	assert_int_equal(pid, waitpid(pid, NULL, 0));
	format(path, sizeof(path), "%s/%d.ledger", p->dir, (int)pid);
	await_stopped(victim, true);
	recover(p, 1, 1);
	await_stopped(victim, false);
	assert_int_equal(0, access(path, F_OK));
	assert_int_equal(0, unlink(file));
	recover(p, 1, 0);
	assert_int_equal(-1, access(path, F_OK));
	reap(victim);
}

/* Its undo is the watchdog's end: whoever comes after that has nothing to do but to strike it. */
static void test_seize(void **state)
{
	const struct place *p = *state;
	struct ledger l;

	open_ledger(p, &l);
	assert_int_equal(0, ledger_note_file(&l, 1, LEDGER_SEIZE, "/nowhere", ""));
	assert_int_equal(1, in_force(&l)); /* a watchdog that hangs with it is ended */
	assert_int_equal(0, ledger_undo(&l, 2, LEDGER_EVERYTHING, NULL));
	assert_int_equal(1, in_force(&l));
	assert_int_equal(0, ledger_undo(&l, 1, LEDGER_EVERYTHING, NULL));
	assert_int_equal(0, in_force(&l));
	ledger_close(&l);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal("lease", ledger_kind_name(LEDGER_LEASE));
	assert_string_equal("stop", ledger_kind_name(LEDGER_STOP));
	assert_string_equal("seize", ledger_kind_name(LEDGER_SEIZE));
	assert_string_equal("?", ledger_kind_name(LEDGER_KIND_COUNT));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_private_and_locked),
		TEST(test_one_for_each_process),
		TEST(test_memory_alone),
		TEST(test_stop_is_undone),
		TEST(test_recycled_pid),
		TEST(test_process_that_ended),
		TEST(test_strike),
		TEST(test_kinds_apart),
		TEST(test_file_elsewhere),
		TEST(test_full),
		TEST(test_who_takes_part),
		TEST(test_recover),
		TEST(test_tripwire),
		TEST(test_stopped_by_others),
		TEST(test_recover_while_others_die),
		TEST(test_recover_waits_for_no_lease),
		TEST(test_lock_is_inherited),
		TEST(test_torn_entry),
		TEST(test_torn_file),
		TEST(test_other_version),
		TEST(test_recover_what_is_no_ledger),
		TEST(test_recover_in_part),
		TEST(test_seize),
		cmocka_unit_test(test_names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
