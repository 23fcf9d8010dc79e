// SPDX-License-Identifier: Apache-2.0
/*
 * What a plan costs, and that looking at many mappings at once tells the same as looking at each.
 *
 * The target is a child of our own with fields of small mappings: that needs no rights.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "capture/head.h"
#include "capture/look.h"
#include "capture/plan.h"
#include "os/clock.h"
#include "os/proc.h"

#define PAGE 4096UL
#define FIELD_MAPPINGS 3000UL /* of one page, in one row */
#define TRIES 7		      /* the best one counts: others use this machine, too */

/* The goal: 5 ms for 1,000 mappings. A call to the kernel for each took 16. */
#define PLAN_NS_PER_1000 (5 * NS_PER_MS)

/* Pages with nothing, read, written, protected after it; every other one read-only. */
static unsigned char *make_field(void)
{
	unsigned char *field = mmap(NULL, FIELD_MAPPINGS * PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (field == MAP_FAILED)
		return NULL;
	(void)madvise(field, FIELD_MAPPINGS * PAGE, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < FIELD_MAPPINGS; i++) {
		volatile unsigned char *page = field + i * PAGE;

		if (i % 3 == 0)
			*page = 1;
		else if (i % 5 == 0)
			(void)*page; /* the zero page: reads, and is nothing */
		if (i % 2 && mprotect(field + i * PAGE, PAGE, i % 7 ? PROT_READ : PROT_NONE))
			return NULL;
	}
	return field;
}

struct child {
	pid_t pid;
	unsigned char *field;
};

static int setup(void **state)
{
	static struct child child;

	child.field = make_field(); /* the child has it at the same address */
	if (!child.field)
		return -1;
	child.pid = fork();
	if (child.pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void)pause();
	}
	*state = &child;
	return child.pid < 0;
}

static int teardown(void **state)
{
	struct child *child = *state;

	(void)kill(child->pid, SIGKILL);
	(void)waitpid(child->pid, NULL, 0);
	return munmap(child->field, FIELD_MAPPINGS * PAGE);
}

static void a_plan_is_quick(void **state)
{
	const struct child *child = *state;
	const struct capture_limits limits = {.max_threads = 16,
		.max_mappings = 8192,
		.copy_threads = 1,
		.buffer_bytes = 1 << 20};
	struct capture_request request = {.pid = child->pid, .kind = CAPTURE_FULL};
	struct capture_plan *plan;
	uint64_t best_ns = UINT64_MAX;
	uint32_t with_room = 0;

	assert_int_equal(plan_new(&limits, &plan), 0);
	for (int i = 0; i < TRIES; i++) {
		uint64_t begin_ns = clock_now_ns();

		assert_int_equal(plan_open(plan, &request), 0);
		assert_int_equal(plan_process(plan, &request), 0);
		assert_int_equal(plan_mappings(plan, CAPTURE_FULL), 0);
		assert_int_equal(head_plan(plan), 0);
		best_ns = best_ns < clock_now_ns() - begin_ns ? best_ns : clock_now_ns() - begin_ns;
	}
	assert_true(plan->region_count > FIELD_MAPPINGS);
	for (uint32_t i = 0; i < plan->segment_count; i++)
		with_room += plan->segments[i].file_bytes != 0;
	assert_true(with_room >= FIELD_MAPPINGS / 3);
	assert_true(with_room < FIELD_MAPPINGS / 2);
	print_message(
		"# %.2f ms for %u mappings\n", (double)best_ns / NS_PER_MS, plan->region_count);
	assert_true(best_ns <= PLAN_NS_PER_1000 * plan->region_count / 1000);
	plan_free(plan);
}

/* Every question about every stretch of 1 to 700 pages that begins at some page of the field. */
static void a_look_tells_what_each_call_tells(void **state)
{
	const struct child *child = *state;
	_cleanup_close_ int proc_fd = -1;
	uint64_t base = (uintptr_t)child->field;
	struct pages pages = {.pagemap_fd = -1, .mem_fd = -1, .map_files_fd = -1};
	static struct look look;

	assert_int_equal(proc_open(child->pid, &proc_fd), 0);
	assert_int_equal(pages_open(&pages, child->pid, proc_fd), 0);
	for (enum pages_method method = pages.method; method <= PAGES_BLIND; method++) {
		pages.method = method;
		look_init(&look, &pages);
		for (uint64_t i = 0; i < FIELD_MAPPINGS; i += 1 + i % 13) {
			uint64_t pages_left = FIELD_MAPPINGS - i;
			uint64_t length = 1 + i * 7919 % 700;
			uint64_t end =
				base + (i + (length < pages_left ? length : pages_left)) * PAGE;

			for (int kind = PAGES_NEXT_ANY; kind <= PAGES_NEXT_SWAPPED; kind++) {
				uint64_t by_look;
				uint64_t by_call;

				assert_int_equal(look_next(&look, base + i * PAGE, end,
							 (enum pages_next_kind)kind, &by_look),
					0);
				assert_int_equal(pages_next(&pages, base + i * PAGE, end,
							 (enum pages_next_kind)kind, &by_call),
					0);
				assert_int_equal(by_look, by_call);
			}
		}
	}
	pages_close(&pages);
}

/* The last mapping of all ends where no look may reach beyond. */
static void a_look_ends_with_the_address_space(void **state)
{
	const struct child *child = *state;
	_cleanup_close_ int proc_fd = -1;
	struct pages pages = {.pagemap_fd = -1, .mem_fd = -1, .map_files_fd = -1};
	static struct look look;
	uint64_t end = 0x7ffffffff000; /* of x86-64 with four levels; beyond it elsewhere */
	uint64_t found;

	assert_int_equal(proc_open(child->pid, &proc_fd), 0);
	assert_int_equal(pages_open(&pages, child->pid, proc_fd), 0);
	look_init(&look, &pages);
	assert_int_equal(look_next(&look, end - PAGE, end, PAGES_NEXT_ANY, &found), 0);
	assert_true(found == end || found == end - PAGE);
	pages_close(&pages);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_is_quick),
		cmocka_unit_test(a_look_tells_what_each_call_tells),
		cmocka_unit_test(a_look_ends_with_the_address_space),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
