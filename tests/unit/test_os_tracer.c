// SPDX-License-Identifier: Apache-2.0
/*
 * The tracer thread: a call that does not come back is never taken for the next one.
 */
#include "os/tracer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "base/checked.h"
#include "os/clock.h"

#define SOON_NS (5 * NS_PER_MS)
#define WAIT_NS (20 * NS_PER_S)

static atomic_bool go_on;
static atomic_int quick_calls;

static void nap(void)
{
	const struct timespec ms = {.tv_nsec = (long)NS_PER_MS};

	(void)nanosleep(&ms, NULL);
}

/* As one in a system call that waits for a disk. */
static int slow(void *arg)
{
	while (!atomic_load(&go_on))
		nap();
	return *(int *)arg;
}

static int quick(void *arg)
{
	atomic_fetch_add(&quick_calls, 1);
	return *(int *)arg;
}

static void test_a_call_that_is_late(void **state)
{
	int seven = 7, eight = 8, result = 0;
	struct tracer *t;

	(void)state;
	atomic_store(&go_on, false);
	atomic_store(&quick_calls, 0);
	assert_int_equal(tracer_new(&t), 0);
	assert_int_equal(
		tracer_call(t, slow, &seven, clock_now_ns() + SOON_NS, &result), TRACER_STUCK);
	/* The next one is neither made nor answered by the first. */
	assert_int_equal(
		tracer_call(t, quick, &eight, clock_now_ns() + SOON_NS, &result), TRACER_STUCK);
	assert_false(tracer_still_runs(t)); /* nobody has given it up yet */
	assert_int_equal(tracer_renew(t), 0);
	assert_true(tracer_still_runs(t));
	assert_int_equal(atomic_load(&quick_calls), 0);
	assert_int_equal(tracer_call(t, quick, &eight, clock_now_ns() + WAIT_NS, &result), 0);
	assert_int_equal(result, 8);
	atomic_store(&go_on, true);
	for (uint64_t until = clock_now_ns() + WAIT_NS;
		tracer_still_runs(t) && clock_now_ns() < until;)
		nap();
	assert_false(tracer_still_runs(t));
	assert_int_equal(tracer_call(t, quick, &seven, clock_now_ns() + WAIT_NS, &result), 0);
	assert_int_equal(result, 7);
	tracer_free(t);
}

/* Waited for twice, it still is the same call. */
static void test_a_call_that_comes_back_after_all(void **state)
{
	int seven = 7, eight = 8, result = 0;
	struct tracer *t;

	(void)state;
	atomic_store(&go_on, false);
	assert_int_equal(tracer_new(&t), 0);
	tracer_start(t, slow, &seven);
	assert_int_equal(tracer_wait(t, clock_now_ns() + SOON_NS, &result), TRACER_STUCK);
	atomic_store(&go_on, true);
	assert_int_equal(tracer_wait(t, clock_now_ns() + WAIT_NS, &result), 0);
	assert_int_equal(result, 7);
	assert_int_equal(tracer_call(t, quick, &eight, clock_now_ns() + WAIT_NS, &result), 0);
	assert_int_equal(result, 8);
	tracer_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_call_that_is_late),
		cmocka_unit_test(test_a_call_that_comes_back_after_all),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
