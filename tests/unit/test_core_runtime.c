// SPDX-License-Identifier: Apache-2.0
/*
 * The rules against what was measured: each runtime run to its own end under 128 MiB, 512 MiB and
 * 2 GiB (Linux 6.18, cgroup v1; deploy/runtimes/). A rule holds if it trips below the least usage
 * at which that runtime gave up, and leaves a healthy one alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/checked.h"
#include "core/policy.h"
#include "core/runtime.h"

#define MIB UINT64_C(1048576)

static struct runtime_rule rule_of(struct runtime_facts facts, uint64_t used)
{
	struct runtime_rule rule;

	runtime_rule(&facts, used, &rule);
	assert_non_null(rule.why);
	assert_true((rule.trip_bytes == SIZE_UNLIMITED) || rule.why[0]);
	return rule;
}

/* limit, its heap limit and the least usage at which it gave up, in MiB. */
struct measured {
	enum runtime_kind kind;
	uint64_t limit;
	uint64_t heap;
	uint64_t end;
};

static void test_measured_ends(void **state)
{
	static const struct measured ends[] = {
		{RUNTIME_DOTNET, 128, 96, 104},
		{RUNTIME_DOTNET, 512, 384, 396},
		{RUNTIME_DOTNET, 2048, 1536, 1544},
		{RUNTIME_NODE, 512, 256, 270},
		{RUNTIME_NODE, 2048, 1024, 1067},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct runtime_rule r = rule_of((struct runtime_facts){.kind = ends[i].kind,
							.start_limit_bytes = ends[i].limit * MIB,
							.machine_bytes = 24064 * MIB},
			0);

		assert_int_equal(ends[i].heap * MIB, r.heap_bytes);
		assert_true(r.trip_bytes < ends[i].end * MIB);
		assert_true(r.trip_bytes > ends[i].end * MIB * 8 / 10);
	}
}

static void test_dotnet(void **state)
{
	struct runtime_facts f = {.kind = RUNTIME_DOTNET,
		.start_limit_bytes = 512 * MIB,
		.machine_bytes = 8192 * MIB};

	(void)state;
	assert_int_equal(384 * MIB, rule_of(f, 0).heap_bytes);
	f.heap_bp = 5000;
	assert_int_equal(256 * MIB, rule_of(f, 0).heap_bytes);
	f.heap_bytes = 100 * MIB; /* bytes come before a share */
	assert_int_equal(100 * MIB, rule_of(f, 0).heap_bytes);
	assert_int_equal(95 * MIB, rule_of(f, 0).trip_bytes);
	/* Asked for and not touched. */
	f.committed_bytes = 89 * MIB;
	assert_int_equal(95 * MIB, rule_of(f, 40 * MIB).trip_bytes);
	f.committed_bytes = 90 * MIB;
	assert_int_equal(40 * MIB, rule_of(f, 40 * MIB).trip_bytes);
	assert_int_equal(95 * MIB, rule_of(f, 95 * MIB).trip_bytes);
	/* Native memory beside a heap: 400 MiB of use, 50 of them heap, 40 the runtime's own. */
	f.heap_bytes = 500 * MIB;
	f.committed_bytes = 50 * MIB;
	f.committed_at_bytes = 400 * MIB;
	assert_int_equal(400 * MIB + (475 - 50 - 40) * MIB, rule_of(f, 400 * MIB).trip_bytes);
	f.committed_at_bytes = 80 * MIB; /* no more beside it than the runtime needs */
	assert_int_equal(475 * MIB, rule_of(f, 80 * MIB).trip_bytes);
	/* Outside of a container it has no limit, unless one is set. */
	f = (struct runtime_facts){.kind = RUNTIME_DOTNET,
		.start_limit_bytes = SIZE_UNLIMITED,
		.machine_bytes = 8192 * MIB};
	assert_int_equal(SIZE_UNLIMITED, rule_of(f, 0).trip_bytes);
	f.heap_bp = 1000;
	assert_int_equal(share_bp(8192 * MIB, 1000), rule_of(f, 0).heap_bytes);
	/* The default is never below 20 MiB. */
	f = (struct runtime_facts){.kind = RUNTIME_DOTNET, .start_limit_bytes = 24 * MIB};
	assert_int_equal(20 * MIB, rule_of(f, 0).heap_bytes);
}

static void test_java(void **state)
{
	struct runtime_facts f = {
		.kind = RUNTIME_JAVA, .start_limit_bytes = 512 * MIB, .machine_bytes = 8192 * MIB};

	(void)state;
	assert_int_equal(128 * MIB, rule_of(f, 0).heap_bytes);
	assert_int_equal(128 * MIB, rule_of(f, 0).trip_bytes); /* without counters: the limit */
	f.start_limit_bytes = 128 * MIB;
	assert_int_equal(64 * MIB, rule_of(f, 0).heap_bytes); /* half of a small machine */
	f.heap_bytes = 100 * MIB;
	/* A heap that is full of garbage is no leak. */
	f.old_max_bytes = 100 * MIB;
	f.old_used_bytes = 99 * MIB;
	assert_int_equal(SIZE_UNLIMITED, rule_of(f, 150 * MIB).trip_bytes);
	f.old_live_bytes = 79 * MIB;
	assert_int_equal(SIZE_UNLIMITED, rule_of(f, 150 * MIB).trip_bytes);
	f.old_live_bytes = 80 * MIB;
	assert_int_equal(150 * MIB, rule_of(f, 150 * MIB).trip_bytes);
	/* One that is cleaned as it fills. */
	f.old_is_cleaned = true;
	f.old_used_bytes = 30 * MIB;
	assert_int_equal(210 * MIB, rule_of(f, 150 * MIB).trip_bytes);
	f.old_used_bytes = 90 * MIB;
	assert_int_equal(150 * MIB, rule_of(f, 150 * MIB).trip_bytes);
}

static void test_node(void **state)
{
	struct runtime_facts f = {
		.kind = RUNTIME_NODE, .start_limit_bytes = 256 * MIB, .machine_bytes = 24064 * MIB};

	(void)state;
	assert_int_equal(256 * MIB, rule_of(f, 0).heap_bytes); /* above 90% of the limit */
	f.start_limit_bytes = 8192 * MIB;
	assert_int_equal(2048 * MIB, rule_of(f, 0).heap_bytes);
	f.start_limit_bytes = SIZE_UNLIMITED;
	assert_int_equal(4096 * MIB, rule_of(f, 0).heap_bytes);
	f.heap_bytes = 100 * MIB;
	assert_int_equal(95 * MIB, rule_of(f, 0).trip_bytes);
	f.committed_bytes = 99 * MIB;
	f.committed_at_bytes = 80 * MIB;
	assert_int_equal(95 * MIB, rule_of(f, 80 * MIB).trip_bytes);
	/* Buffers beside the heap: what may still be added to the heap. */
	f.committed_bytes = 10 * MIB;
	f.committed_at_bytes = 300 * MIB;
	assert_int_equal(385 * MIB, rule_of(f, 300 * MIB).trip_bytes);
	assert_int_equal(385 * MIB, rule_of(f, 390 * MIB).trip_bytes); /* not read again since */
	f.committed_bytes = 100 * MIB; /* pages that are three quarters full */
	assert_int_equal(80 * MIB, rule_of(f, 80 * MIB).trip_bytes);
}

static void test_others(void **state)
{
	struct runtime_facts f = {.kind = RUNTIME_GO, .start_limit_bytes = 512 * MIB};

	(void)state;
	assert_int_equal(SIZE_UNLIMITED, rule_of(f, 0).trip_bytes);
	f.heap_bytes = 200 * MIB;
	assert_int_equal(218 * MIB, rule_of(f, 0).trip_bytes);
	f.heap_bytes = UINT64_MAX - 1;
	assert_int_equal(SIZE_UNLIMITED, rule_of(f, 0).trip_bytes);
	f.kind = RUNTIME_PYTHON;
	assert_int_equal(SIZE_UNLIMITED, rule_of(f, 0).trip_bytes);
	f.kind = RUNTIME_NONE;
	assert_int_equal(SIZE_UNLIMITED, rule_of(f, 0).heap_bytes);
}

/* Any facts give a rule, and one that the thresholds can live with. */
static void test_any_facts(void **state)
{
	static const uint64_t sizes[] = {
		0, 1, 4096, 100 * MIB, UINT64_MAX / 2, UINT64_MAX - 1, SIZE_UNLIMITED};
	struct policy policy = {.trip_kind = TRIP_AUTO, .arm_bp = 7500};

	(void)state;
	for (int kind = 0; kind <= RUNTIME_KIND_COUNT; kind++)
		for (size_t i = 0; i < 7 * 7 * 7 * 7; i++) {
			struct runtime_facts f = {.kind = (enum runtime_kind)kind,
				.heap_bytes = sizes[i % 7],
				.start_limit_bytes = sizes[i / 7 % 7],
				.machine_bytes = sizes[i / 49 % 7],
				.committed_bytes = sizes[i / 343 % 7],
				.old_max_bytes = sizes[i % 7],
				.old_used_bytes = sizes[i / 49 % 7],
				.old_is_cleaned = i % 2};
			struct runtime_rule rule = rule_of(f, sizes[i / 343 % 7]);
			struct thresholds t;

			policy_thresholds(&policy, 1000 * MIB, rule.trip_bytes, &t);
			assert_true(t.trip_bytes <= 900 * MIB && t.arm_bytes <= t.trip_bytes);
		}
}

static void test_near(void **state)
{
	struct runtime_facts f = {.kind = RUNTIME_DOTNET, .heap_bytes = 100 * MIB};
	struct runtime_rule rule = rule_of(f, 0);

	(void)state;
	assert_false(runtime_was_near(&f, &rule, 80 * MIB));
	assert_true(runtime_was_near(&f, &rule, 86 * MIB));
	f.old_max_bytes = 100 * MIB;
	assert_false(runtime_was_near(&f, &rule, 200 * MIB));
	f.old_used_bytes = 85 * MIB;
	assert_true(runtime_was_near(&f, &rule, 0));
	rule.trip_bytes = SIZE_UNLIMITED;
	f.old_max_bytes = 0;
	assert_false(runtime_was_near(&f, &rule, UINT64_MAX));
	for (int kind = 0; kind <= RUNTIME_KIND_COUNT; kind++)
		assert_true(runtime_advice((enum runtime_kind)kind)[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_measured_ends),
		cmocka_unit_test(test_dotnet),
		cmocka_unit_test(test_java),
		cmocka_unit_test(test_node),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_any_facts),
		cmocka_unit_test(test_near),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
