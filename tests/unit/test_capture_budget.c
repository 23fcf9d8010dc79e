// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/checked.h"
#include "capture/budget.h"
#include "core/types.h"

#define MIB (1ULL << 20)

static void the_smallest_bound_holds(void **state)
{
	(void)state;
	/* The machine. */
	assert_int_equal(256 * MIB, budget_share(1024 * MIB, SIZE_UNLIMITED, false));
	assert_int_equal(256 * MIB, budget_share(1024 * MIB, 4096 * MIB, false));
	/* Our own limit: a sidecar of 64 MiB of which 24 are used. */
	assert_int_equal(20 * MIB, budget_share(8192 * MIB, 40 * MIB, false));
	/* That of the target. */
	assert_int_equal(5 * MIB, budget_share(8192 * MIB, 40 * MIB, true));
	assert_int_equal(16 * MIB, budget_share(8192 * MIB, 4096 * MIB, true));
	/* Something must be had. */
	assert_int_equal(BUDGET_MIN_BYTES, budget_share(0, SIZE_UNLIMITED, false));
	assert_int_equal(BUDGET_MIN_BYTES, budget_share(8192 * MIB, 0, true));
}

static void what_is_dirty_counts(void **state)
{
	static const char text[] = "nr_free_pages 7\nnr_dirty 100\nnr_writeback 50\nnr_dirtied 9\n"
				   "nr_dirty_threshold 1000\nnr_dirty_background_threshold 500\n";
	static const char full[] = "x 1\nnr_dirty 700\nnr_writeback 60\nnr_dirty_threshold 1000\n"
				   "nr_dirty_background_threshold 500\n";

	(void)state;
	assert_int_equal(600 * 4096, budget_freerun(text, 4096));
	assert_int_equal(0, budget_freerun(full, 4096));
	assert_int_equal(0, budget_freerun("", 4096));
}

static void it_looks_at_this_machine(void **state)
{
	struct capture_result result = {0};

	(void)state;
	budget_look(getpid(), &result);
	assert_true(result.cache_bytes >= BUDGET_MIN_BYTES);
	assert_true(result.cache_bytes < 1ULL << 48);
	assert_true(result.freerun_bytes < 1ULL << 48);
}

static void swapped_pages_must_fit(void **state)
{
	(void)state;
	assert_true(budget_swap_fits(1024 * MIB, SIZE_UNLIMITED));
	assert_true(budget_swap_fits(12 * MIB, 16 * MIB));
	assert_false(budget_swap_fits(12 * MIB + 1, 16 * MIB));
	assert_false(budget_swap_fits(4096, 0));
	assert_false(budget_swap_fits(UINT64_MAX, UINT64_MAX - 1));
	/* Whose group tells nothing, because it has none. */
	assert_int_equal(0, budget_target_room(1 << 30));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_smallest_bound_holds),
		cmocka_unit_test(what_is_dirty_counts),
		cmocka_unit_test(swapped_pages_must_fit),
		cmocka_unit_test(it_looks_at_this_machine),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
