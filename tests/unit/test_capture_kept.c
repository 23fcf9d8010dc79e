// SPDX-License-Identifier: Apache-2.0
/*
 * The capture of a process that somebody else holds and goes on to hold: its registers are those
 * that the holder has read, nobody is let go, and a core is not called whole if the hold ended
 * while it was written.
 *
 * The holder is this program's main thread, the target a child of it: that needs no rights.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "capture/capture.h"
#include "core/types.h"
#include "os/clock.h"
#include "os/handover.h"
#include "os/proc.h"
#include "os/registers.h"
#include "parse/elfcore.h"

#define MARK 3
#define WAIT_NS (20 * NS_PER_S)

struct kept {
	pid_t pid;
	struct ptrace_set set;
	struct ptrace_thread threads[16];
	uint8_t seen[PTRACE_BITMAP_BYTES];
	struct handover handover;
	struct registers *registers;
	bool seized;
	bool hold_ends; /* once everything is copied */
	char dir[64];
	char path[96];
	char why[256];
	struct capture *capture;
	struct capture_result result;
};

static void nap(void)
{
	const struct timespec ts = {.tv_nsec = 1000000};

	(void)nanosleep(&ts, NULL);
}

static void hold(struct kept *k)
{
	static atomic_bool never;
	_cleanup_close_ int proc = -1;
	uint64_t until_ns = clock_now_ns() + WAIT_NS;
	uint32_t fresh;

	ptrace_set_init(&k->set, k->threads, 16, k->seen);
	k->set.cancel = &never;
	assert_int_equal(proc_open(k->pid, &proc), 0);
	assert_int_equal(ptrace_ask(&k->set, proc, k->pid, MARK, &fresh), 0);
	assert_int_equal(fresh, 1);
	while (ptrace_look(&k->set)) {
		assert_true(clock_now_ns() < until_ns);
		nap();
	}
}

static int set_up(void **state)
{
	struct kept *k = calloc(1, sizeof(*k));

	assert_non_null(k);
	(void)snprintf(k->dir, sizeof(k->dir), "%s/oomsnap-test-XXXXXX",
		access("/var/tmp", W_OK) == 0 ? "/var/tmp" : "/tmp");
	assert_non_null(mkdtemp(k->dir));
	(void)snprintf(k->path, sizeof(k->path), "%s/core", k->dir);
	k->registers = mmap(NULL, sizeof(*k->registers), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(k->registers, MAP_FAILED);
	k->pid = fork();
	assert_true(k->pid >= 0);
	if (k->pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (true)
			(void)pause();
	}
	hold(k);
	assert_int_equal(capture_new(&capture_limits_default, &k->capture), 0);
	assert_int_equal(capture_set_output(k->capture, k->path, /* allow_memory= */ true, k->why,
				 sizeof(k->why)),
		0);
	capture_set_handover(k->capture, &k->handover, k->registers);
	*state = k;
	return 0;
}

static int tear_down(void **state)
{
	struct kept *k = *state;

	capture_discard(k->capture);
	capture_free(k->capture);
	assert_int_equal(ptrace_let_go(&k->set, MARK, k->pid, NS_PER_S), 0);
	(void)kill(k->pid, SIGKILL);
	(void)waitpid(k->pid, NULL, 0);
	(void)unlink(k->path);
	assert_int_equal(rmdir(k->dir), 0);
	(void)munmap(k->registers, sizeof(*k->registers));
	free(k);
	return 0;
}

/* On the thread that holds it, as it is the one in capture_run(). */
static bool on_moment(void *user, enum capture_moment moment, const struct capture_result *result)
{
	struct kept *k = user;

	(void)result;
	switch (moment) {
	case CAPTURE_SEIZING:
		assert_int_equal(registers_read(k->registers, &k->set, MARK, k->pid), 0);
		atomic_store(&k->handover.stage, HANDOVER_READ);
		break;
	case CAPTURE_SEIZED:
		k->seized = true;
		break;
	case CAPTURE_PROGRESS:
		return !(k->seized && k->hold_ends);
	case CAPTURE_COPIED:
	case CAPTURE_DETACHED:
		break;
	}
	return true;
}

static int run(struct kept *k)
{
	const struct capture_request request = {.target = "test",
		.pid = k->pid,
		.max_bytes = SIZE_UNLIMITED,
		.signal = SIGKILL,
		.kind = CAPTURE_FULL,
		.compress = COMPRESS_NONE};
	int r = capture_run(k->capture, &request, on_moment, k, &k->result, k->why, sizeof(k->why));

	/* Whatever came of it, the holder holds on. */
	assert_int_equal(ptrace_holds(&k->set, MARK, k->pid), 1);
	assert_int_equal(k->set.threads[0].state, PTRACE_THREAD_STOPPED);
	return r;
}

static void test_its_registers_are_in_the_core(void **state)
{
	struct kept *k = *state;
	_cleanup_close_ int fd = -1;
	struct elfcore core;
	struct elfcore_note note;
	struct elf_prstatus status;
	elf_gregset_t regs;
	struct stat st;
	uint64_t cursor = 0;
	size_t len;
	void *bytes;

	assert_int_equal(run(k), 0);
	assert_int_equal(k->result.status, CAPTURE_OK);
	assert_int_equal(k->result.threads, 1);
	assert_int_equal(k->result.threads_without_registers, 0);
	assert_int_equal(capture_finish(k->capture, &k->result), 0);
	fd = open(k->path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(bytes, MAP_FAILED);
	assert_int_equal(
		elfcore_open(bytes, (uint64_t)st.st_size, (uint64_t)st.st_size, &core), ELFCORE_OK);
	do
		assert_true(elfcore_note(&core, &cursor, &note));
	while (note.type != NT_PRSTATUS);
	assert_int_equal(note.desc_len, sizeof(status));
	memcpy(&status, note.desc, sizeof(status));
	assert_int_equal(ptrace_registers(k->pid, NT_PRSTATUS, &regs, sizeof(regs), &len), 0);
	assert_memory_equal(&status.pr_reg, &regs, sizeof(regs));
	(void)munmap(bytes, (size_t)st.st_size);
}

static void test_a_hold_that_ended_is_told(void **state)
{
	struct kept *k = *state;

	k->hold_ends = true;
	assert_int_equal(run(k), 0);
	assert_int_equal(k->result.status, CAPTURE_PARTIAL);
	assert_int_equal(k->result.missing, CAPTURE_MISSING_DEADLINE);
	assert_int_equal(capture_finish(k->capture, &k->result), 0);
}

static void test_who_does_not_stand_has_none(void **state)
{
	struct kept *k = *state;

	k->set.threads[0].state = PTRACE_THREAD_WAITING;
	assert_int_equal(registers_read(k->registers, &k->set, MARK, k->pid), REGISTERS_NONE);
	k->set.threads[0].state = PTRACE_THREAD_STOPPED;
	assert_int_equal(registers_read(k->registers, &k->set, MARK, k->pid), 0);
	k->registers->threads[0].sets[0].len = 0; /* it died as it was read */
	atomic_store(&k->handover.stage, HANDOVER_READ);
	k->seized = true;
	assert_int_equal(capture_run(k->capture,
				 &(struct capture_request){.target = "test",
					 .pid = k->pid,
					 .max_bytes = SIZE_UNLIMITED,
					 .kind = CAPTURE_FULL},
				 NULL, NULL, &k->result, k->why, sizeof(k->why)),
		0);
	assert_int_equal(k->result.status, CAPTURE_PARTIAL);
	assert_int_equal(k->result.missing, CAPTURE_MISSING_THREADS);
	assert_int_equal(k->result.threads_without_registers, 1);
	assert_int_equal(capture_finish(k->capture, &k->result), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_its_registers_are_in_the_core),
		CASE(test_a_hold_that_ended_is_told),
		CASE(test_who_does_not_stand_has_none),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
