// SPDX-License-Identifier: Apache-2.0
/*
 * What is promised: every row of what may stand in the way, and that the way named leads up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/guarantee.h"

/* A v1 host on which nothing is missing. */
static const struct guarantee_facts all = {
	.limited = true,
	.can_trace = true,
	.shield_writable = true,
	.sys_resource = true,
	.tripwire = true,
	.brake = true,
};
static const struct policy wanted = {.shield = SHIELD_ARMED, .brake_bp = 9500};

static void assert_answer(const struct policy *p, const struct guarantee_facts *f,
	enum guarantee level, const char *why, const char *mend)
{
	struct guarantee_answer a = guarantee_of(p, f);

	assert_int_equal(level, a.guarantee);
	assert_non_null(strstr(a.why, why));
	assert_non_null(strstr(a.mend, mend));
	assert_true((a.guarantee == GUARANTEE_GUARANTEED) == (a.why[0] == '\0'));
	assert_true((a.guarantee == GUARANTEE_GUARANTEED) == (a.mend[0] == '\0'));
}

static void test_guaranteed(void **state)
{
	struct guarantee_facts f = all;

	(void)state;
	assert_answer(&wanted, &f, GUARANTEE_GUARANTEED, "", "");
	f.sys_resource = false; /* a file of the cgroup does not need it */
	assert_answer(&wanted, &f, GUARANTEE_GUARANTEED, "", "");
	f = all;
	f.shields_processes = true;
	f.tripwire = false;
	f.brake = false;
	assert_answer(&wanted, &f, GUARANTEE_GUARANTEED, "", "");
}

static void test_observe(void **state)
{
	struct guarantee_facts f = all;

	(void)state;
	f.can_trace = false;
	assert_answer(&wanted, &f, GUARANTEE_OBSERVE, "traced", "CAP_SYS_PTRACE");
	f.limited = false; /* the first obstacle is the one that is named */
	assert_answer(&wanted, &f, GUARANTEE_OBSERVE, "no memory limit", "memory.max");
	f.can_trace = true;
	assert_answer(&wanted, &f, GUARANTEE_OBSERVE, "no memory limit", "memory.max");
}

static void test_no_shield(void **state)
{
	struct guarantee_facts f = all;
	struct policy p = wanted;

	(void)state;
	p.shield = SHIELD_OFF;
	assert_answer(&p, &f, GUARANTEE_KERNEL_STOP, "switched off", "shield = armed");
	f.limit_above = true;
	assert_answer(&wanted, &f, GUARANTEE_KERNEL_STOP, "parent cgroup", "target's own cgroup");
	f = all;
	f.shields_processes = true;
	f.sys_resource = false;
	assert_answer(&wanted, &f, GUARANTEE_KERNEL_STOP, "lowered", "CAP_SYS_RESOURCE");
	f.sys_resource = true;
	f.shield_writable = false;
	assert_answer(&wanted, &f, GUARANTEE_KERNEL_STOP, "cannot be written", "CAP_DAC_OVERRIDE");
	f.shields_processes = false;
	assert_answer(&wanted, &f, GUARANTEE_KERNEL_STOP, "oom_control", "writable mount");
}

static void test_below(void **state)
{
	struct guarantee_facts f = all;
	struct policy p = wanted;

	(void)state;
	f.shield_writable = false;
	f.tripwire = false;
	assert_answer(&p, &f, GUARANTEE_BRAKE, "oom_control", "writable");
	p.brake_bp = 0; /* could, but is not asked to */
	assert_answer(&p, &f, GUARANTEE_BEST_EFFORT, "oom_control", "writable");
	p = wanted;
	f.brake = false;
	assert_answer(&p, &f, GUARANTEE_BEST_EFFORT, "oom_control", "writable");
	f.tripwire = true;
	assert_answer(&p, &f, GUARANTEE_KERNEL_STOP, "oom_control", "writable");
}

/* One more means never lowers the promise. */
static void test_monotone(void **state)
{
	(void)state;
	for (unsigned int bits = 0; bits < 256; bits++) {
		for (unsigned int bit = 0; bit < 8; bit++) {
			bool better[2][8];
			enum guarantee got[2];

			for (unsigned int i = 0; i < 2; i++) {
				unsigned int now = i ? bits | 1U << bit : bits & ~(1U << bit);
				struct policy p = wanted;
				struct guarantee_facts f;

				for (unsigned int k = 0; k < 8; k++)
					better[i][k] = now >> k & 1;
				f = (struct guarantee_facts){
					.limited = better[i][0],
					.can_trace = better[i][1],
					.shields_processes = !better[i][2],
					.shield_writable = better[i][3],
					.sys_resource = better[i][4],
					.limit_above = !better[i][5],
					.tripwire = better[i][6],
					.brake = better[i][7],
				};
				got[i] = guarantee_of(&p, &f).guarantee;
			}
			assert_true(got[1] >= got[0]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guaranteed),
		cmocka_unit_test(test_observe),
		cmocka_unit_test(test_no_shield),
		cmocka_unit_test(test_below),
		cmocka_unit_test(test_monotone),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
