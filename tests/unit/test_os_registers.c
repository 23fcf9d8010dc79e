// SPDX-License-Identifier: Apache-2.0
/*
 * Registers of a held process, read by its tracer for somebody else: they are what ptrace tells,
 * and whoever reads them survives what he is not to believe.
 *
 * The target is a child of our own, which needs no rights.
 */
#include "os/registers.h"

#include <elf.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "os/clock.h"
#include "os/proc.h"

#define MARK 7
#define MORE_THREADS 8U /* beside the first one */
#define ROOM 2048U
#define WAIT_NS (20 * NS_PER_S)

struct fixture {
	pid_t pid;
	uint32_t threads;
	atomic_uint *ready; /* shared with the child */
	struct registers *registers;
	struct ptrace_set held; /* the tracer's */
	struct ptrace_set read; /* as who writes the core has it */
	struct ptrace_thread held_threads[ROOM];
	struct ptrace_thread read_threads[ROOM];
	uint8_t held_seen[PTRACE_BITMAP_BYTES];
	uint8_t read_seen[PTRACE_BITMAP_BYTES];
};

/* --- the child ----------------------------------------------------------------------------- */

/* Blocks a signal of its own, so that no two threads are alike. */
static void *wait_here(void *user)
{
	static atomic_int number;
	atomic_uint *ready = user;
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGRTMIN + atomic_fetch_add(&number, 1) % 24);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)atomic_fetch_add(ready, 1);
	while (true)
		(void)pause();
	return NULL;
}

_Noreturn static void be_child(atomic_uint *ready, uint32_t threads)
{
	pthread_attr_t attr;
	pthread_t thread;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, 64U << 10);
	for (uint32_t i = 1; i < threads; i++)
		if (pthread_create(&thread, &attr, wait_here, ready))
			_exit(1);
	(void)wait_here(ready);
	_exit(0);
}

static void nap(void)
{
	const struct timespec ts = {.tv_nsec = 1000000};

	(void)nanosleep(&ts, NULL);
}

/* Every thread of it in a ptrace stop. */
static void hold(struct fixture *f)
{
	_cleanup_close_ int proc = -1;
	uint64_t until_ns = clock_now_ns() + WAIT_NS;
	uint32_t fresh;

	assert_int_equal(proc_open(f->pid, &proc), 0);
	assert_int_equal(ptrace_ask(&f->held, proc, f->pid, MARK, &fresh), 0);
	assert_int_equal(fresh, f->threads);
	while (ptrace_look(&f->held)) {
		assert_true(clock_now_ns() < until_ns);
		nap();
	}
	assert_int_equal(ptrace_holds(&f->held, MARK, f->pid), f->threads);
}

static int set_up(void **state, uint32_t threads)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uint64_t until_ns = clock_now_ns() + WAIT_NS;
	static atomic_bool never;

	assert_non_null(f);
	f->threads = threads;
	f->ready = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	f->registers = mmap(NULL, sizeof(*f->registers), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(f->ready, MAP_FAILED);
	assert_ptr_not_equal(f->registers, MAP_FAILED);
	ptrace_set_init(&f->held, f->held_threads, ROOM, f->held_seen);
	ptrace_set_init(&f->read, f->read_threads, ROOM, f->read_seen);
	f->held.cancel = f->read.cancel = &never;
	f->pid = fork();
	assert_true(f->pid >= 0);
	if (f->pid == 0)
		be_child(f->ready, threads);
	while (atomic_load(f->ready) < threads) {
		assert_true(clock_now_ns() < until_ns);
		nap();
	}
	hold(f);
	*state = f;
	return 0;
}

static int set_up_some(void **state)
{
	return set_up(state, 1 + MORE_THREADS);
}

static int set_up_most(void **state)
{
	return set_up(state, REGISTERS_THREADS_MAX);
}

static int set_up_too_many(void **state)
{
	return set_up(state, REGISTERS_THREADS_MAX + 1);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ptrace_let_go(&f->held, MARK, f->pid, NS_PER_S), 0);
	(void)kill(f->pid, SIGKILL);
	(void)waitpid(f->pid, NULL, 0);
	(void)munmap(f->registers, sizeof(*f->registers));
	(void)munmap(f->ready, 4096);
	free(f);
	return 0;
}

/* --- what ptrace tells --------------------------------------------------------------------- */

static void same_set(const struct fixture *f, uint32_t i, uint32_t type)
{
	static unsigned char theirs[ARCH_REGSET_MAX_BYTES];
	static unsigned char ours[ARCH_REGSET_MAX_BYTES];
	size_t theirs_len = 0;
	size_t ours_len = 0;
	int r = ptrace_registers(f->held_threads[i].tid, type, theirs, sizeof(theirs), &theirs_len);

	memset(ours, 0xa5, sizeof(ours));
	if (r) {
		assert_int_equal(
			registers_get(&f->read, i, type, ours, sizeof(ours), &ours_len), -ENODEV);
		return;
	}
	assert_int_equal(registers_get(&f->read, i, type, ours, sizeof(ours), &ours_len), 0);
	for (size_t k = 0; k < arch_regset_count; k++)
		if (arch_regsets[k].type == type)
			theirs_len = arch_regset_bytes(k, theirs, theirs_len);
	assert_int_equal(ours_len, theirs_len);
	assert_memory_equal(ours, theirs, ours_len);
}

static void all_same(const struct fixture *f)
{
	assert_int_equal(f->read.count, f->threads);
	for (uint32_t i = 0; i < f->read.count; i++) {
		uint64_t theirs = 1;
		uint64_t ours = 2;

		assert_int_equal(f->read_threads[i].tid, f->held_threads[i].tid);
		assert_int_equal(f->read_threads[i].state, PTRACE_THREAD_STOPPED);
		same_set(f, i, NT_PRSTATUS);
		for (size_t k = 0; k < arch_regset_count; k++)
			same_set(f, i, arch_regsets[k].type);
		assert_int_equal(ptrace_blocked(f->held_threads[i].tid, &theirs), 0);
		assert_int_equal(registers_blocked(&f->read, i, &ours), 0);
		assert_true(ours == theirs && ours != 0);
	}
}

static void test_as_ptrace_tells(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(registers_read(f->registers, &f->held, MARK, f->pid), 0);
	assert_int_equal(registers_protect(f->registers), 0);
	assert_int_equal(registers_list(f->registers, &f->read), 0);
	all_same(f);
	/* Nobody is traced through it: its end is nobody's release. */
	assert_int_equal(ptrace_release(&f->read), 0);
	assert_int_equal(f->read.count, 0);
	assert_null(f->read.registers);
	assert_int_equal(ptrace_holds(&f->held, MARK, f->pid), f->threads);
}

static void test_room(void **state)
{
	struct fixture *f = *state;
	uint64_t began_ns = clock_now_ns();

	assert_int_equal(registers_read(f->registers, &f->held, MARK, f->pid), 0);
	print_message("# %u threads: %.1f ms, %u KiB\n", f->threads,
		(double)(clock_now_ns() - began_ns) / 1e6, f->registers->used >> 10);
	assert_int_equal(registers_list(f->registers, &f->read), 0);
	all_same(f);
}

static void test_no_room(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(registers_read(f->registers, &f->held, MARK, f->pid), REGISTERS_FULL);
}

static void test_bytes_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct ptrace_thread many[REGISTERS_THREADS_MAX];

	/* The same threads over and over, until the bytes or the threads are too many. */
	for (uint32_t i = 0; i < REGISTERS_THREADS_MAX; i++)
		many[i] = f->held_threads[i % f->threads];
	struct ptrace_set set = {
		.threads = many, .max = REGISTERS_THREADS_MAX, .count = REGISTERS_THREADS_MAX};
	int r = registers_read(f->registers, &set, MARK, f->pid);

	assert_true(r == 0 || r == REGISTERS_FULL);
	assert_true(f->registers->used <= sizeof(f->registers->bytes));
}

static void test_nobody(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(registers_read(f->registers, &f->held, MARK + 1, f->pid), REGISTERS_NONE);
	assert_int_equal(registers_read(f->registers, &f->held, MARK, getpid()), REGISTERS_NONE);
	assert_int_equal(registers_list(f->registers, &f->read), PTRACE_GONE);
}

static void test_who_does_not_stand(void **state)
{
	struct fixture *f = *state;
	unsigned char bytes[ARCH_REGSET_MAX_BYTES];
	uint64_t blocked = 1;
	size_t len;

	f->held_threads[2].state = PTRACE_THREAD_WAITING;
	assert_int_equal(registers_read(f->registers, &f->held, MARK, f->pid), 0);
	f->held_threads[2].state = PTRACE_THREAD_STOPPED;
	assert_int_equal(registers_list(f->registers, &f->read), PTRACE_LATE);
	assert_int_equal(f->read_threads[2].state, PTRACE_THREAD_WAITING);
	assert_int_equal(
		registers_get(&f->read, 2, NT_PRSTATUS, bytes, sizeof(bytes), &len), PTRACE_GONE);
	assert_int_equal(registers_blocked(&f->read, 2, &blocked), 0);
	assert_int_equal(blocked, 0);
	same_set(f, 3, NT_PRSTATUS);
}

/* --- what is not to be believed ------------------------------------------------------------ */

static int get(const struct fixture *f, uint32_t i, size_t size)
{
	static unsigned char bytes[ARCH_REGSET_MAX_BYTES];
	size_t len = SIZE_MAX;
	int r = registers_get(&f->read, i, NT_PRSTATUS, bytes, size, &len);

	assert_true(r != 0 || len <= size);
	return r;
}

static void test_nothing_is_believed(void **state)
{
	struct fixture *f = *state;
	struct registers_set *set = &f->registers->threads[1].sets[0];
	struct registers_set good;

	assert_int_equal(registers_read(f->registers, &f->held, MARK, f->pid), 0);
	assert_int_equal(registers_list(f->registers, &f->read), 0);
	good = *set;
	assert_int_equal(get(f, 1, 8), 0); /* cut, as ptrace cuts it */
	set->at = UINT32_MAX;
	assert_int_equal(get(f, 1, ARCH_REGSET_MAX_BYTES), -EPROTO);
	*set = good;
	set->stored = set->len + 1;
	assert_int_equal(get(f, 1, ARCH_REGSET_MAX_BYTES), -EPROTO);
	*set = good;
	set->len = set->stored = UINT32_MAX;
	assert_int_equal(get(f, 1, ARCH_REGSET_MAX_BYTES), -EPROTO);
	*set = good;
	set->at = REGISTERS_ROOM_BYTES; /* the last that there may be */
	set->len = set->stored = ARCH_REGSET_MAX_BYTES;
	assert_int_equal(get(f, 1, ARCH_REGSET_MAX_BYTES), 0);
	assert_int_equal(get(f, REGISTERS_THREADS_MAX, 8), -EINVAL);

	f->registers->count = UINT32_MAX;
	(void)registers_list(f->registers, &f->read);
	assert_true(f->read.count <= REGISTERS_THREADS_MAX);
	f->registers->count = f->threads;
	f->registers->threads[0].state = 12345;
	assert_int_equal(registers_list(f->registers, &f->read), 0);
	assert_true(f->read_threads[0].state < PTRACE_THREAD_STATE_COUNT);
	f->registers->threads[1].tid = INT32_MAX;
	assert_int_equal(registers_list(f->registers, &f->read), -EPROTO);
	f->registers->threads[1].tid = -1;
	assert_int_equal(registers_list(f->registers, &f->read), -EPROTO);
	assert_int_equal(ptrace_release(&f->read), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_as_ptrace_tells, set_up_some, tear_down),
		cmocka_unit_test_setup_teardown(test_room, set_up_most, tear_down),
		cmocka_unit_test_setup_teardown(test_no_room, set_up_too_many, tear_down),
		cmocka_unit_test_setup_teardown(test_bytes_are_bounded, set_up_some, tear_down),
		cmocka_unit_test_setup_teardown(test_nobody, set_up_some, tear_down),
		cmocka_unit_test_setup_teardown(test_who_does_not_stand, set_up_some, tear_down),
		cmocka_unit_test_setup_teardown(test_nothing_is_believed, set_up_some, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
