// SPDX-License-Identifier: Apache-2.0
/*
 * The board: what one side puts there the other reads; an entry that is never finished, a board of
 * the dead, and files that are none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "board.h"

struct fixture {
	char dir[64];
	struct board board;
	uint32_t watchdogs;
	struct board_watchdog last;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)strcpy(f->dir, "/tmp/oomsnap-board-XXXXXX"); // NOLINT: fits
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(board_open(f->dir, false, &f->board), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	board_close(&f->board);
	assert_int_equal(rmdir(f->dir), 0); /* nothing was left */
	free(f);
	return 0;
}

static void seen(const struct board_watchdog *watchdog, void *user)
{
	struct fixture *f = user;

	f->watchdogs++;
	f->last = *watchdog;
}

static void test_shown(void **state)
{
	struct fixture *f = *state;
	struct board_entry *e;

	assert_int_equal(board_read(f->dir, seen, f), 1);
	assert_int_equal(f->last.targets, 0);
	board_resize(&f->board, 2);
	e = board_change(&f->board, 1);
	(void)strcpy(e->target, "web"); // NOLINT: fits
	e->used_bytes = 42;
	board_done(&f->board, 1);
	assert_int_equal(board_read(f->dir, seen, f), 1);
	assert_int_equal(f->watchdogs, 2);
	assert_int_equal(f->last.pid, getpid());
	assert_int_equal(f->last.targets, 2);
	assert_string_equal(f->last.target[1].target, "web");
	assert_int_equal(f->last.target[1].used_bytes, 42);
	assert_string_equal(f->last.target[0].target, "");
	assert_null(board_change(&f->board, CONFIG_TARGETS_MAX));
}

/* A watchdog that was killed in the middle of a change holds nobody up, nor do its texts run on. */
static void test_unfinished(void **state)
{
	struct fixture *f = *state;
	struct board_entry *e;

	board_resize(&f->board, 1);
	e = board_change(&f->board, 0);
	memset(e->target, 'x', sizeof(e->target));
	assert_int_equal(board_read(f->dir, seen, f), 1);
	assert_int_equal(strlen(f->last.target[0].target), TARGET_NAME_MAX - 1);
}

static void test_the_dead(void **state)
{
	struct fixture *f = *state;
	struct board other;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) /* ends without board_close() */
		_exit(board_open(f->dir, false, &other) == 0 ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(board_read(f->dir, seen, f), 1); /* ours alone */
	board_close(&f->board);
	assert_int_equal(board_open(f->dir, false, &f->board), 0); /* clears it away */
}

/* Another watchdog with this cgroup on its board until the pipe is closed; its id. */
static pid_t start_other(const struct fixture *f, bool dry_run, const char *cgroup, int *ret_end)
{
	struct board other;
	int ends[2];
	char byte = 0;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct board_entry *e;

		if (board_open(f->dir, dry_run, &other) != 0)
			_exit(1);
		board_resize(&other, 1);
		e = board_change(&other, 0);
		(void)snprintf(e->cgroup, sizeof(e->cgroup), "%s", cgroup);
		(void)snprintf(e->state, sizeof(e->state), "watching");
		board_done(&other, 0);
		(void)!write(ends[1], &byte, 1);
		for (;;)
			(void)pause();
	}
	assert_int_equal(read(ends[0], &byte, 1), 1);
	(void)close(ends[1]);
	*ret_end = ends[0];
	return pid;
}

static void end_other(const struct fixture *f, pid_t pid, int end)
{
	char path[96];

	(void)snprintf(path, sizeof(path), "%s/%d.status", f->dir, (int)pid);
	(void)close(end);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(unlink(path), 0);
}

static void test_rival(void **state)
{
	struct fixture *f = *state;
	char same[96];
	pid_t pid;
	int end;

	(void)snprintf(same, sizeof(same), "%s/.", f->dir); /* any directory will do */
	assert_int_equal(board_rival(f->dir, f->dir), 0);
	pid = start_other(f, false, same, &end);
	assert_int_equal(board_rival(f->dir, f->dir), pid);
	assert_int_equal(board_rival(f->dir, "/"), 0);
	assert_int_equal(board_rival("/nonexistent", f->dir), 0);
	end_other(f, pid, end);
	assert_int_equal(board_rival(f->dir, f->dir), 0);
	pid = start_other(f, true, same, &end);
	assert_int_equal(board_rival(f->dir, f->dir), 0);
	end_other(f, pid, end);
}

static void test_no_boards(void **state)
{
	struct fixture *f = *state;
	char path[96];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/1.status", f->dir);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(board_read(f->dir, seen, f), 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(board_read(f->dir, seen, f), 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(board_read("/nonexistent", seen, f), 0);
}

/* Without a directory nothing is shown, and nothing else goes wrong. */
static void test_nowhere(void **state)
{
	struct board none;

	(void)state;
	assert_true(board_open("/nonexistent", false, &none) < 0);
	board_resize(&none, 3);
	assert_null(board_change(&none, 0));
	board_done(&none, 0);
	board_close(&none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_shown, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unfinished, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_dead, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rival, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_boards, set_up, tear_down),
		cmocka_unit_test(test_nowhere),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
