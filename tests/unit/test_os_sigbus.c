// SPDX-License-Identifier: Apache-2.0
/*
 * A mapped file whose pages are not to be had: cut behind the mapping's back, which the kernel
 * answers by the same signal as a disk that fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/sigbus.h"

#define PAGES 8U

struct mapped {
	size_t page;
	unsigned char *at;
	int fd;
};

static struct mapped map_file(void)
{
	struct mapped m = {.page = (size_t)sysconf(_SC_PAGESIZE)};

	m.fd = memfd_create("file", MFD_CLOEXEC);
	assert_true(m.fd >= 0);
	assert_int_equal(ftruncate(m.fd, (off_t)(PAGES * m.page)), 0);
	m.at = mmap(NULL, PAGES * m.page, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);
	assert_ptr_not_equal(m.at, MAP_FAILED);
	memset(m.at, 0x5a, PAGES * m.page);
	return m;
}

static void unmap_file(struct mapped *m)
{
	assert_int_equal(munmap(m->at, PAGES * m->page), 0);
	(void)close(m->fd);
}

static unsigned int sum(const struct mapped *m)
{
	const volatile unsigned char *at = m->at;
	unsigned int n = 0;

	for (size_t i = 0; i < PAGES; i++)
		n += at[i * m->page + 7] == 0x5a;
	return n;
}

static void test_a_file_that_is_all_there(void **state)
{
	struct mapped m = map_file();
	struct sigbus s;

	(void)state;
	sigbus_begin(&s, m.at, PAGES * m.page);
	assert_int_equal(sum(&m), PAGES);
	assert_true(sigbus_end(&s));
	unmap_file(&m);
}

static void test_a_file_that_is_cut(void **state)
{
	struct mapped m = map_file();
	struct sigaction before;
	struct sigaction after;
	sigset_t set;
	struct sigbus s;

	(void)state;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGBUS);
	assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0); /* as a daemon may have it */
	assert_int_equal(sigaction(SIGBUS, NULL, &before), 0);
	assert_int_equal(ftruncate(m.fd, (off_t)(3 * m.page)), 0);
	sigbus_begin(&s, m.at, PAGES * m.page);
	assert_int_equal(sum(&m), 3);
	assert_false(sigbus_end(&s));
	assert_int_equal(sigaction(SIGBUS, NULL, &after), 0);
	assert_ptr_equal(before.sa_handler, after.sa_handler);
	(void)sigemptyset(&set);
	assert_int_equal(sigprocmask(SIG_BLOCK, NULL, &set), 0);
	assert_int_equal(sigismember(&set, SIGBUS), 1);
	unmap_file(&m);
	/* The next one begins anew. */
	m = map_file();
	sigbus_begin(&s, m.at, PAGES * m.page);
	assert_int_equal(sum(&m), PAGES);
	assert_true(sigbus_end(&s));
	unmap_file(&m);
}

/* What is not guarded ends the process, as it should. */
static void test_another_mapping(void **state)
{
	struct mapped m = map_file();
	struct mapped other = map_file();
	struct sigbus s;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(ftruncate(other.fd, 0), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit none = {0, 0};

		(void)setrlimit(RLIMIT_CORE, &none);
		(void)signal(SIGBUS, SIG_DFL);
		sigbus_begin(&s, m.at, PAGES * m.page);
		(void)sum(&other);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
	unmap_file(&m);
	unmap_file(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_file_that_is_all_there),
		cmocka_unit_test(test_a_file_that_is_cut),
		cmocka_unit_test(test_another_mapping),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
