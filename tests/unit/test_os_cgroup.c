// SPDX-License-Identifier: Apache-2.0
/*
 * The edges of os/cgroup that need neither rights nor a control group of our own: what is no
 * control group is refused, and nothing outside of one is ever written. What a real group does is
 * for the system scenarios, as v1 and v2 are told apart by the file system.
 */
#include "os/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"

static int set_up(void **state)
{
	char *dir = strdup("/tmp/test_os_cgroup.XXXXXX");

	assert_non_null(dir);
	assert_non_null(mkdtemp(dir));
	*state = dir;
	return 0;
}

/* DIR/NAME in a buffer that the next call overwrites. */
static const char *in(void **state, const char *name)
{
	static char path[128];
	struct str s;

	str_init(&s, path, sizeof(path));
	assert_true(str_addf(&s, "%s/%s", (const char *)*state, name));
	return path;
}

static int tear_down(void **state)
{
	(void)unlink(in(state, "link"));
	(void)unlink(in(state, "memory.max"));
	assert_int_equal(0, rmdir(*state));
	free(*state);
	return 0;
}

static void make_file(void **state, const char *text)
{
	int fd = open(in(state, "memory.max"), O_WRONLY | O_CREAT | O_CLOEXEC | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(strlen(text), write(fd, text, strlen(text)));
	(void)close(fd);
}

static void assert_file(void **state, const char *text)
{
	char found[64] = "";
	int fd = open(in(state, "memory.max"), O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(read(fd, found, sizeof(found) - 1) >= 0);
	(void)close(fd);
	assert_string_equal(text, found);
}

/* A directory that looks like a group by its files alone, as a target may show one to us. */
static void test_open_what_is_none(void **state)
{
	char longer[TARGET_PATH_MAX + 2];
	struct cgroup cg;

	make_file(state, "100\n");
	assert_int_equal(CGROUP_NOT_A_CGROUP, cgroup_open(*state, &cg));
	assert_int_equal(CGROUP_NOT_A_CGROUP, cgroup_open(in(state, "memory.max"), &cg));
	assert_int_equal(CGROUP_GONE, cgroup_open(in(state, "none"), &cg));
	assert_int_equal(CGROUP_NOT_A_CGROUP, cgroup_open("/proc/self", &cg));
	memset(longer, '/', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(-ENAMETOOLONG, cgroup_open(longer, &cg));
}

/* A pipe in the place of a directory must not hold us up. */
static void test_open_does_not_block(void **state)
{
	struct cgroup cg;

	assert_int_equal(0, mkfifo(in(state, "link"), 0600));
	(void)alarm(10);
	assert_int_equal(CGROUP_NOT_A_CGROUP, cgroup_open(in(state, "link"), &cg));
	(void)alarm(0);
}

static void test_write_elsewhere(void **state)
{
	struct cgroup_change change = {.old_value = "100", .new_value = "200"};

	make_file(state, "50");
	assert_true(str_copy(change.path, sizeof(change.path), in(state, "memory.max")));
	assert_int_equal(-EXDEV, cgroup_apply(&change));
	assert_int_equal(-EXDEV, cgroup_undo(change.path, change.old_value));
	assert_file(state, "50");
	assert_int_equal(CGROUP_GONE, cgroup_undo(in(state, "none"), "1"));
	assert_int_equal(0, symlink(change.path, in(state, "link")));
	assert_int_equal(-ELOOP, cgroup_undo(in(state, "link"), "1"));
	assert_file(state, "50");
}

static void test_of_a_process(void **state)
{
	char dir[TARGET_PATH_MAX];
	char small[4];
	struct cgroup cg;
	int r = cgroup_of_pid(getpid(), dir, sizeof(dir));

	(void)state;
	if (r == 0) {
		r = cgroup_open(dir, &cg); /* never ourselves; at the root there is no limit file */
		assert_true(r == CGROUP_OURS || r == CGROUP_NO_MEMORY);
		assert_int_not_equal(0, cgroup_of_pid(getpid(), small, 1));
	} else {
		assert_true(r == CGROUP_NO_MEMORY || r == CGROUP_UNSUPPORTED);
	}
	assert_int_equal(CGROUP_GONE, cgroup_of_pid(0x3ffffff0, dir, sizeof(dir)));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_open_what_is_none),
		TEST(test_open_does_not_block),
		TEST(test_write_elsewhere),
		TEST(test_of_a_process),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
