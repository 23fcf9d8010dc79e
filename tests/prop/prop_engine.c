// SPDX-License-Identifier: Apache-2.0
/*
 * What holds for the engine after any sequence of events, and for rank in any order.
 *
 * Sequences are drawn from a seed: OOMSNAP_SEED in the environment, or a fixed one. Events are not
 * drawn alike: half of them are what the state would get in life, so that runs come through whole
 * incidents, and half are anything. A sequence that breaks a property is shrunk, by leaving out
 * events for as long as it still breaks it, and printed with its seed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/str.h"
#include "core/engine.h"
#include "core/rank.h"

#define MIB UINT64_C(1048576)
#define LIMIT (1000 * MIB)
#define EVENTS_MAX 80
#define RUNS 20000
#define SEED_FIXED UINT64_C(20260131)
#define RETRIES_MAX 4 /* RELEASED outcomes after the shutdown that it may take to be gone */

/* --- generator ----------------------------------------------------------------------------- */

struct random {
	uint64_t state;
};

/* splitmix64: any seed is a good one. */
static uint64_t draw(struct random *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static uint32_t below(struct random *r, uint32_t n)
{
	return (uint32_t)(draw(r) % n);
}

static bool chance(struct random *r, uint32_t percent)
{
	return below(r, 100) < percent;
}

struct timed {
	uint64_t after_ns; /* the event before */
	struct engine_event event;
};

struct run {
	uint64_t seed;
	struct policy policy;
	struct engine_means means;
	uint32_t count;
	struct timed at[EVENTS_MAX];
};

static void draw_policy(struct random *r, struct policy *p)
{
	*p = (struct policy){
		.trip_kind = (enum trip_kind)below(r, TRIP_KIND_COUNT),
		.trip_bp = 5000 + below(r, 5001),
		.trip_bytes = below(r, 1000) * MIB,
		.trip_eta_ns = chance(r, 50) ? below(r, 10) * NS_PER_S : 0,
		.trip_psi_bp = chance(r, 30) ? 3000 : 0,
		.arm_bp = 5000 + below(r, 5001),
		.brake_bp = chance(r, 50) ? 9500 : 0,
		.hold_timeout_ns = chance(r, 5) ? UINT64_MAX : 2 * NS_PER_S,
		.deadline_ns = chance(r, 5) ? UINT64_MAX : 30 * NS_PER_S,
		.cooldown_ns = below(r, 100) * NS_PER_S,
		.shield = (enum shield_mode)below(r, SHIELD_COUNT),
		.hold = (enum hold_method)below(r, HOLD_COUNT),
		.verdict = (enum verdict)below(r, VERDICT_COUNT),
	};
	if (chance(r, 50))
		p->lease_bytes = chance(r, 50) ? 64 * MIB : 0;
	else
		p->lease_bp = 500;
}

static void draw_sample(struct random *r, struct engine_event *e)
{
	struct sample *s = &e->sample;

	e->auto_bytes = chance(r, 90) ? SIZE_UNLIMITED : below(r, 1000) * MIB;
	s->current_bytes = below(r, 1001) * MIB;
	s->inactive_file_bytes = chance(r, 50) ? below(r, 300) * MIB : 0;
	s->limit_bytes = chance(r, 90) ? LIMIT
		: chance(r, 50)	       ? SIZE_UNLIMITED
				       : below(r, 2000) * MIB;
	s->oom_events = below(r, 3);
	s->oom_kills = below(r, 3);
	s->psi_full_bp = below(r, 10001);
	s->under_oom = chance(r, 20);
}

/* What life would bring in that state. */
static enum engine_event_kind draw_likely(struct random *r, enum engine_state_id state)
{
	static const enum engine_event_kind likely[ENGINE_STATE_COUNT][4] = {
		[ENGINE_WATCHING] = {ENGINE_EVENT_SAMPLE, ENGINE_EVENT_SAMPLE, ENGINE_EVENT_SAMPLE,
			ENGINE_EVENT_KERNEL_STOP},
		[ENGINE_ARMED] = {ENGINE_EVENT_SAMPLE, ENGINE_EVENT_SAMPLE, ENGINE_EVENT_SAMPLE,
			ENGINE_EVENT_NODE_SHORT},
		[ENGINE_HOLDING] = {ENGINE_EVENT_HELD, ENGINE_EVENT_HELD, ENGINE_EVENT_SEIZED,
			ENGINE_EVENT_SAMPLE},
		[ENGINE_CAPTURING] = {ENGINE_EVENT_COPIED, ENGINE_EVENT_FAILED, ENGINE_EVENT_SAMPLE,
			ENGINE_EVENT_TICK},
		[ENGINE_RELEASING] = {ENGINE_EVENT_RELEASED, ENGINE_EVENT_RELEASED,
			ENGINE_EVENT_TICK, ENGINE_EVENT_SAMPLE},
		[ENGINE_COOLDOWN] = {ENGINE_EVENT_TICK, ENGINE_EVENT_SAMPLE, ENGINE_EVENT_SAMPLE,
			ENGINE_EVENT_KERNEL_STOP},
		[ENGINE_GONE] = {ENGINE_EVENT_APPEARED, ENGINE_EVENT_APPEARED,
			ENGINE_EVENT_APPEARED, ENGINE_EVENT_SAMPLE},
	};

	return likely[state][below(r, 4)];
}

static void draw_run(uint64_t seed, struct run *run)
{
	struct random r = {seed};
	struct engine e;
	struct engine_actions actions;
	uint64_t now_ns = NS_PER_S;
	bool starved; /* a run that waits at the limit: kicks up to their bound, and beyond */

	memset(run, 0, sizeof(*run));
	run->seed = seed;
	draw_policy(&r, &run->policy);
	run->means = (struct engine_means){.shield = chance(&r, 70),
		.brake = chance(&r, 70),
		.freeze = chance(&r, 50),
		.stop = chance(&r, 70),
		.kernel_notice = chance(&r, 50)};
	run->count = 1 + below(&r, EVENTS_MAX);
	starved = chance(&r, 20);
	engine_init(&e, &run->means);
	for (uint32_t i = 0; i < run->count; i++) {
		struct timed *t = &run->at[i];

		t->after_ns = below(&r, 5) * below(&r, 1000) * NS_PER_MS;
		now_ns += t->after_ns;
		t->event.kind = chance(&r, 50)
			? draw_likely(&r, e.state)
			: (enum engine_event_kind)below(&r, ENGINE_EVENT_COUNT);
		t->event.ok = chance(&r, 70);
		t->event.more = chance(&r, 30);
		draw_sample(&r, &t->event);
		if (starved && engine_in_incident(&e) && chance(&r, 80)) {
			t->event.kind = ENGINE_EVENT_SAMPLE;
			t->event.sample.under_oom = true;
		}
		t->event.sample.now_ns = now_ns;
		engine_step(&e, &run->policy, &t->event, now_ns, &actions);
	}
}

/* --- properties ---------------------------------------------------------------------------- */

/* What the actions so far add up to. */
struct tally {
	uint64_t steps;
	uint64_t in_force; /* step of the last HOLD, SHIELD, LEASE or BRAKE, counted from 1 */
	uint64_t released; /* of the last RELEASE */
	uint32_t kicks;	   /* since the last trip */
	uint32_t releases; /* carrying a verdict of the user, since the last trip */
	bool held;	   /* a HOLD came and no RELEASE yet */
	enum engine_state_id state;
};

/* One action; NULL, or what it broke. */
static const char *judge(struct tally *t, const struct engine_action *a)
{
	switch (a->kind) {
	case ENGINE_ACTION_STATE:
		if (a->from != t->state)
			return "a state change that does not begin where the last one ended";
		if (a->to == ENGINE_HOLDING)
			t->kicks = t->releases = 0;
		t->state = a->to;
		return NULL;
	case ENGINE_ACTION_HOLD:
		if (t->state != ENGINE_HOLDING)
			return "HOLD outside of HOLDING";
		if (a->method == HOLD_AUTO || (unsigned int)a->method >= HOLD_COUNT)
			return "HOLD without a method";
		t->held = true;
		t->in_force = t->steps;
		return NULL;
	case ENGINE_ACTION_LEASE:
		if (!t->held || a->bytes == 0)
			return "LEASE of nothing, or while the target runs";
		if (a->bytes == ENGINE_KICK_BYTES && ++t->kicks > ENGINE_KICKS_MAX)
			return "too many kicks";
		t->in_force = t->steps;
		return NULL;
	case ENGINE_ACTION_SHIELD:
	case ENGINE_ACTION_BRAKE:
		if (t->state == ENGINE_COOLDOWN || t->state == ENGINE_RELEASING)
			return "SHIELD or BRAKE while releasing or in cooldown";
		t->in_force = t->steps;
		return NULL;
	case ENGINE_ACTION_CAPTURE:
		return t->held ? NULL : "CAPTURE of a target that is not held";
	case ENGINE_ACTION_RELEASE:
		if (a->verdict != VERDICT_RESUME && ++t->releases > 1)
			return "a verdict that is carried out twice";
		t->held = false;
		t->released = t->steps;
		return NULL;
	case ENGINE_ACTION_CONTINUE:
		return t->state == ENGINE_HOLDING || t->state == ENGINE_CAPTURING
			? "CONTINUE of a target that is held"
			: NULL;
	case ENGINE_ACTION_UNSHIELD:
	case ENGINE_ACTION_UNBRAKE:
	case ENGINE_ACTION_ON_ARM:
	case ENGINE_ACTION_ABORT:
	case ENGINE_ACTION_TIMER:
	case ENGINE_ACTION_REPORT:
		return NULL;
	case ENGINE_ACTION_COUNT:
		break;
	}
	return "an action that there is not";
}

static const char *judge_step(const struct run *run, struct engine *e,
	const struct engine_event *event, uint64_t now_ns, struct tally *t)
{
	struct engine_actions actions;
	struct engine_actions again;
	struct engine copy = *e;
	enum engine_state_id before = e->state;

	memset(&actions, 0x5a, sizeof(actions));
	memset(&again, 0x5a, sizeof(again));
	engine_step(e, &run->policy, event, now_ns, &actions);
	engine_step(&copy, &run->policy, event, now_ns, &again);
	if (memcmp(&actions, &again, sizeof(actions)) != 0 || memcmp(e, &copy, sizeof(*e)) != 0)
		return "the same input gave another output";
	/* A full list may have lost one; the longest list is to be shorter. */
	if (actions.count >= ENGINE_ACTIONS_MAX)
		return "too many actions";
	for (uint32_t i = 0; i < actions.count; i++) {
		const char *broken;

		t->steps++;
		broken = judge(t, &actions.action[i]);
		if (broken)
			return broken;
		if (before == ENGINE_COOLDOWN && actions.action[i].kind == ENGINE_ACTION_HOLD)
			return "HOLD in cooldown";
	}
	if (t->state != e->state)
		return "a state change that was not told";
	if (t->held != (e->state == ENGINE_HOLDING || e->state == ENGINE_CAPTURING))
		return "held and state differ";
	return NULL;
}

/* NULL, or the property that the run breaks. */
static const char *judge_run(const struct run *run)
{
	struct engine_event event = {.kind = ENGINE_EVENT_SHUTDOWN};
	struct engine e;
	struct tally t = {.state = ENGINE_GONE};
	uint64_t now_ns = NS_PER_S;
	const char *broken = NULL;

	engine_init(&e, &run->means);
	for (uint32_t i = 0; i < run->count && !broken; i++) {
		now_ns += run->at[i].after_ns;
		broken = judge_step(run, &e, &run->at[i].event, now_ns, &t);
	}
	for (int i = 0; i < RETRIES_MAX && !broken; i++) {
		broken = judge_step(run, &e, &event, now_ns, &t);
		event.kind = ENGINE_EVENT_RELEASED;
		event.ok = true;
	}
	if (broken)
		return broken;
	if (e.state != ENGINE_GONE)
		return "not gone after a shutdown";
	if (t.in_force > t.released)
		return "something is in force that no release came after";
	return NULL;
}

/* --- shrinking ----------------------------------------------------------------------------- */

static void leave_out(struct run *run, uint32_t from, uint32_t n)
{
	memmove(&run->at[from], &run->at[from + n], (run->count - from - n) * sizeof(run->at[0]));
	run->count -= n;
}

/* Leaves out ever smaller pieces for as long as the run stays broken. */
static void shrink(struct run *run, const char *(*property)(const struct run *))
{
	for (uint32_t n = run->count / 2; n > 0; n /= 2) {
		for (uint32_t from = 0; from + n <= run->count;) {
			struct run shorter = *run;

			leave_out(&shorter, from, n);
			if (property(&shorter))
				*run = shorter;
			else
				from++;
		}
	}
}

static void print_run(const struct run *run)
{
	const struct policy *p = &run->policy;

	print_message("# means: shield=%d brake=%d freeze=%d stop=%d\n", run->means.shield,
		run->means.brake, run->means.freeze, run->means.stop);
	print_message("# policy: trip kind %d, arm %" PRIu32 " bp, shield %s, hold %s, verdict "
		      "%s\n",
		(int)p->trip_kind, p->arm_bp, shield_mode_name(p->shield),
		hold_method_name(p->hold), verdict_name(p->verdict));
	for (uint32_t i = 0; i < run->count; i++) {
		const struct engine_event *e = &run->at[i].event;

		print_message(
			"# +%" PRIu64 " ns %s", run->at[i].after_ns, engine_event_name(e->kind));
		if (e->kind == ENGINE_EVENT_SAMPLE)
			print_message(" used=%" PRIu64 " limit=%" PRIu64 " under_oom=%d",
				sample_used(&e->sample), e->sample.limit_bytes,
				e->sample.under_oom);
		print_message(" ok=%d more=%d\n", e->ok, e->more);
	}
}

static uint64_t seed_of_environment(void)
{
	const char *text = getenv("OOMSNAP_SEED"); // NOLINT(concurrency-mt-unsafe): one thread
	uint64_t seed;

	if (!text)
		return SEED_FIXED;
	if (!str_to_u64(text, &seed))
		fail_msg("OOMSNAP_SEED=%s is not a number", text);
	return seed;
}

static void test_engine(void **state)
{
	static struct run run;
	struct random seeds = {seed_of_environment()};
	uint64_t first = seeds.state;
	uint32_t visited[ENGINE_STATE_COUNT] = {0};

	(void)state;
	for (uint32_t i = 0; i < RUNS; i++) {
		const char *broken;
		struct engine e;
		struct engine_actions actions;
		uint64_t now_ns = NS_PER_S;

		draw_run(draw(&seeds), &run);
		broken = judge_run(&run);
		if (broken) {
			shrink(&run, judge_run);
			print_message("# OOMSNAP_SEED=%" PRIu64 ", run %" PRIu32 ": %s\n", first, i,
				judge_run(&run));
			print_run(&run);
			fail_msg("%s", broken);
		}
		engine_init(&e, &run.means);
		for (uint32_t k = 0; k < run.count; k++) {
			now_ns += run.at[k].after_ns;
			engine_step(&e, &run.policy, &run.at[k].event, now_ns, &actions);
			visited[e.state]++;
		}
	}
	/* A generator that does not come everywhere proves little. */
	for (int s = 0; s < ENGINE_STATE_COUNT; s++)
		if (visited[s] < RUNS / 10)
			fail_msg("only %" PRIu32 " steps in %s", visited[s],
				engine_state_name((enum engine_state_id)s));
}

/* --- the generator and the shrinker themselves --------------------------------------------- */

/* A property that is false on purpose: no run has two shutdowns. */
static const char *two_shutdowns(const struct run *run)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < run->count; i++)
		count += run->at[i].event.kind == ENGINE_EVENT_SHUTDOWN;
	return count >= 2 ? "two shutdowns" : NULL;
}

static void test_shrink(void **state)
{
	static struct run run;
	uint32_t shrunk = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 200; seed++) {
		draw_run(seed, &run);
		if (!two_shutdowns(&run))
			continue;
		shrink(&run, two_shutdowns);
		assert_int_equal(2, run.count);
		assert_non_null(two_shutdowns(&run));
		shrunk++;
	}
	assert_true(shrunk > 20);
}

static void test_same_seed(void **state)
{
	static struct run a;
	static struct run b;

	(void)state;
	draw_run(7, &a);
	draw_run(7, &b);
	assert_memory_equal(&a, &b, sizeof(a));
	draw_run(8, &b);
	assert_memory_not_equal(&a, &b, sizeof(a));
}

/* --- rank ---------------------------------------------------------------------------------- */

#define CANDIDATES_MAX 12

static void test_rank_order(void **state)
{
	struct random r = {seed_of_environment()};
	uint64_t first = r.state;

	(void)state;
	for (uint32_t run = 0; run < RUNS; run++) {
		struct rank_candidate c[CANDIDATES_MAX];
		uint32_t count = 1 + below(&r, CANDIDATES_MAX);
		enum rank_reason reason;
		enum rank_reason again;
		int pid;

		/* Few sizes and distinct pids, so that equals are common. */
		for (uint32_t i = 0; i < count; i++) {
			c[i].pid = 100 + (int)(i * 7 % 13);
			c[i].rss_bytes = below(&r, 4) * 3 * MIB;
			c[i].rss_before_bytes = below(&r, 4) * 3 * MIB;
		}
		pid = c[rank_leaker(c, count, &reason)].pid;
		for (int shuffle = 0; shuffle < 5; shuffle++) {
			for (uint32_t i = count - 1; i > 0; i--) {
				uint32_t k = below(&r, i + 1);
				struct rank_candidate swap = c[i];

				c[i] = c[k];
				c[k] = swap;
			}
			if (c[rank_leaker(c, count, &again)].pid != pid || again != reason)
				fail_msg("OOMSNAP_SEED=%" PRIu64 ", run %" PRIu32
					 ": the order of %" PRIu32 " candidates matters",
					first, run, count);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_engine),
		cmocka_unit_test(test_shrink),
		cmocka_unit_test(test_same_seed),
		cmocka_unit_test(test_rank_order),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
