// SPDX-License-Identifier: Apache-2.0
/*
 * The row of places for a pressure trigger: which one is taken, what is said of those that refuse,
 * and that nothing is written where no cgroup file system is. Files of the test play the machine's
 * pressure file; the system scenarios have the kernel's own, and its refusals.
 */
#include "os/psi.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"

struct fixture {
	char dir[64];
	int dir_fd;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)strcpy(f->dir, "/tmp/test_os_psi.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->dir_fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->dir_fd >= 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	(void)unlinkat(f->dir_fd, "memory.pressure", 0);
	(void)unlinkat(f->dir_fd, "machine", 0);
	cleanup_close(&f->dir_fd);
	assert_int_equal(0, rmdir(f->dir));
	free(f);
	return 0;
}

static void make(const struct fixture *f, const char *name)
{
	_cleanup_close_ int fd = openat(f->dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
}

/* What a file holds; the terminator that was written is part of it. */
static size_t text_of(const struct fixture *f, const char *name, char *text, size_t size)
{
	_cleanup_close_ int fd = openat(f->dir_fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, size);

	assert_true(n >= 0);
	return (size_t)n;
}

static const char *machine_of(const struct fixture *f)
{
	static char path[96];

	(void)strcpy(path, f->dir); // NOLINT: fits
	(void)strcat(path, "/machine");
	return path;
}

static void assert_none(struct psi_trigger *t, int error)
{
	assert_int_equal(t->source, PSI_NONE);
	assert_int_equal(t->fd, -1);
	assert_int_equal(t->window_us, 0);
	assert_int_equal(t->error, error);
}

static void assert_machine(const struct fixture *f, struct psi_trigger *t, int error)
{
	char text[64];

	assert_int_equal(t->source, PSI_MACHINE);
	assert_true(t->fd >= 0);
	assert_int_equal(fcntl(t->fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(t->window_us, PSI_WINDOW_US);
	assert_int_equal(t->error, error);
	assert_int_equal(text_of(f, "machine", text, sizeof(text)), sizeof("some 150000 1000000"));
	assert_string_equal(text, "some 150000 1000000");
	cleanup_close(&t->fd);
}

static void test_no_place_at_all(void **state)
{
	struct fixture *f = *state;
	struct psi_trigger t;

	psi_open(-1, machine_of(f), &t);
	assert_none(&t, -ENOENT);
	psi_open(f->dir_fd, machine_of(f), &t);
	assert_none(&t, -ENOENT);
	psi_open(-1, f->dir, &t);
	assert_none(&t, -EISDIR);
}

/* cgroup v1 has no pressure of its own; a kernel without PSI no file. */
static void test_the_machine_stands_in(void **state)
{
	struct fixture *f = *state;
	struct psi_trigger t;

	make(f, "machine");
	psi_open(-1, machine_of(f), &t);
	assert_machine(f, &t, -EOPNOTSUPP);
	psi_open(f->dir_fd, machine_of(f), &t);
	assert_machine(f, &t, -ENOENT);
}

/* What a target may put in our way: a file of its own, a link, a pipe that nobody reads. */
static void test_nothing_is_written_outside_of_a_cgroup(void **state)
{
	struct fixture *f = *state;
	struct psi_trigger t;
	char text[8];

	make(f, "machine");
	make(f, "memory.pressure");
	psi_open(f->dir_fd, machine_of(f), &t);
	assert_machine(f, &t, -EXDEV);
	assert_int_equal(text_of(f, "memory.pressure", text, sizeof(text)), 0);

	assert_int_equal(unlinkat(f->dir_fd, "memory.pressure", 0), 0);
	assert_int_equal(symlinkat("machine", f->dir_fd, "memory.pressure"), 0);
	psi_open(f->dir_fd, machine_of(f), &t);
	assert_machine(f, &t, -ELOOP);

	assert_int_equal(unlinkat(f->dir_fd, "memory.pressure", 0), 0);
	assert_int_equal(mkfifoat(f->dir_fd, "memory.pressure", 0600), 0);
	(void)alarm(10);
	psi_open(f->dir_fd, machine_of(f), &t);
	(void)alarm(0);
	assert_machine(f, &t, -EXDEV);
}

/* A refusal of the write counts as one of the open; EINVAL and EPERM are asked twice. */
static void test_refused_by_the_write(void **state)
{
	struct psi_trigger t;

	(void)state;
	psi_open(-1, "/dev/full", &t);
	assert_none(&t, -ENOSPC);
	psi_open(-1, "/proc/self/oom_score_adj", &t);
	assert_none(&t, -EINVAL);
}

/* Whatever this kernel and our rights allow, the answer is one of the three, and it is quiet. */
static void test_this_machine(void **state)
{
	struct psi_trigger t;

	(void)state;
	psi_open(-1, PSI_MACHINE_PATH, &t);
	if (t.source == PSI_MACHINE) {
		struct pollfd p = {.fd = t.fd, .events = POLLPRI};

		assert_true(
			t.window_us == PSI_WINDOW_US || t.window_us == PSI_WINDOW_UNPRIVILEGED_US);
		assert_true(poll(&p, 1, 0) >= 0);
		assert_int_equal(p.revents & POLLERR, 0);
		cleanup_close(&t.fd);
	} else {
		assert_int_equal(t.source, PSI_NONE);
		assert_true(t.error < 0);
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(psi_source_name(PSI_TARGET), "target");
	assert_string_equal(psi_source_name(PSI_MACHINE), "machine");
	assert_string_equal(psi_source_name(PSI_NONE), "none");
	assert_string_equal(psi_source_name(PSI_SOURCE_COUNT), "?");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_place_at_all),
		TEST(test_the_machine_stands_in),
		TEST(test_nothing_is_written_outside_of_a_cgroup),
		cmocka_unit_test(test_refused_by_the_write),
		cmocka_unit_test(test_this_machine),
		cmocka_unit_test(test_names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
