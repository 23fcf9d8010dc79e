// SPDX-License-Identifier: Apache-2.0
/*
 * Trace lines: what is written is read back as it was, and what is not of the format is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "core/trace.h"

#define LINE_MAX_BYTES 1024

static int read_line(const char *text, struct trace_line *ret)
{
	size_t len = strlen(text);
	char *copy =
		malloc(len ? len : 1); /* not terminated, so that a sanitizer sees an overrun */
	int r;

	assert_non_null(copy);
	memcpy(copy, text, len);
	r = trace_read(copy, len, ret);
	free(copy);
	return r;
}

static void assert_text(const struct trace_line *line, const char *expected)
{
	char memory[LINE_MAX_BYTES];
	struct str s;

	str_init(&s, memory, sizeof(memory));
	assert_true(trace_write(&s, line));
	assert_string_equal(expected, s.text);
}

static void test_read_event(void **state)
{
	struct trace_line l;

	(void)state;
	assert_int_equal(0,
		read_line("event sample at=1500ms current=900M inactive_file=1K limit=1G auto=950M "
			  "oom=3 oom_kill=2 level=1 some_bp=10 full_bp=5 under_oom=1 stat_fresh=1",
			&l));
	assert_int_equal(TRACE_EVENT, l.kind);
	assert_int_equal(ENGINE_EVENT_SAMPLE, l.event.kind);
	assert_int_equal(1500 * NS_PER_MS, l.at_ns);
	assert_int_equal(1500 * NS_PER_MS, l.event.sample.now_ns);
	assert_int_equal(UINT64_C(900) << 20, l.event.sample.current_bytes);
	assert_int_equal(1024, l.event.sample.inactive_file_bytes);
	assert_int_equal(UINT64_C(1) << 30, l.event.sample.limit_bytes);
	assert_int_equal(UINT64_C(950) << 20, l.event.auto_bytes);
	assert_int_equal(3, l.event.sample.oom_events);
	assert_int_equal(2, l.event.sample.oom_kills);
	assert_int_equal(1, l.event.sample.level);
	assert_int_equal(10, l.event.sample.psi_some_bp);
	assert_int_equal(5, l.event.sample.psi_full_bp);
	assert_true(l.event.sample.under_oom);
	assert_true(l.event.sample.stat_fresh);
	assert_int_equal(0, read_line("event sample", &l));
	assert_int_equal(SIZE_UNLIMITED, l.event.sample.limit_bytes);
	assert_int_equal(SIZE_UNLIMITED, l.event.auto_bytes);
	assert_int_equal(0, read_line("event kernel-stop at=7", &l));
	assert_int_equal(7, l.at_ns);
	assert_int_equal(7, l.event.sample.now_ns);
	assert_int_equal(SIZE_UNLIMITED, l.event.auto_bytes);
	assert_int_equal(0, read_line("event kernel-stop ok=1 current=900M limit=1G", &l));
	assert_int_equal(UINT64_C(900) << 20, l.event.sample.current_bytes);
	assert_int_equal(0, read_line("event held at=7", &l));
	assert_int_equal(0, l.event.sample.now_ns);
	assert_int_equal(0, l.event.auto_bytes);
}

static void test_read_rest(void **state)
{
	struct trace_line l;

	(void)state;
	assert_int_equal(0,
		read_line("policy trip=headroom trip_bytes=64M eta=2s shield=always hold=ptrace "
			  "verdict=lease lease_bp=2500 cooldown=max",
			&l));
	assert_int_equal(TRACE_POLICY, l.kind);
	assert_int_equal(TRIP_HEADROOM, l.policy.trip_kind);
	assert_int_equal(UINT64_C(64) << 20, l.policy.trip_bytes);
	assert_int_equal(2 * NS_PER_S, l.policy.trip_eta_ns);
	assert_int_equal(SHIELD_ALWAYS, l.policy.shield);
	assert_int_equal(HOLD_PTRACE, l.policy.hold);
	assert_int_equal(VERDICT_LEASE, l.policy.verdict);
	assert_int_equal(2500, l.policy.lease_bp);
	assert_int_equal(UINT64_MAX, l.policy.cooldown_ns);
	assert_int_equal(0, read_line("means stop=1 freeze=0", &l));
	assert_int_equal(TRACE_MEANS, l.kind);
	assert_true(l.means.stop);
	assert_false(l.means.freeze || l.means.shield);
	assert_int_equal(0, read_line("action state from=armed to=holding reason=eta", &l));
	assert_int_equal(TRACE_ACTION, l.kind);
	assert_int_equal(ENGINE_ARMED, l.action.from);
	assert_int_equal(ENGINE_HOLDING, l.action.to);
	assert_int_equal(TRIP_REASON_ETA, l.action.reason);
	assert_int_equal(TRACE_NOTHING, read_line("", &l));
	assert_int_equal(TRACE_NOTHING, read_line("# event", &l));
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		" ",
		"event",
		"event ",
		"Event tick",
		"event tock",
		"event  tick",
		"event tick ",
		" event tick",
		"event tick at",
		"event tick at=",
		"event tick at=-1",
		"event tick at=1x",
		"event tick at=1M",
		"event tick at=1 at=1",
		"event tick at=1\t",
		"event tick  at=1",
		"event tick when=1",
		"event tick current=1",
		"event tick auto=1",
		"event held ok=2",
		"event held ok=true",
		"event sample current=1ms",
		"event sample current=M",
		"event sample current=1MM",
		"event sample oom=max",
		"event sample oom=1K",
		"event sample level=4294967296",
		"event sample current=18446744073709551616",
		"event sample current=17179869184G",
		"event sample at=18446744074s",
		"action",
		"action state from=nowhere",
		"action state from=",
		"action state from=?",
		"action hold method=freez",
		"action hold method=freezee",
		"policy trip",
		"policy trip=90%",
		"policy shield=1",
		"means shield=armed",
		"means 1",
	};
	struct trace_line l = {.at_ns = 42};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (read_line(bad[i], &l) != TRACE_BAD)
			fail_msg("not refused: '%s'", bad[i]);
	assert_int_equal(42, l.at_ns);
	assert_int_equal(TRACE_BAD, trace_read("event tick\0", 11, &l));
}

static void test_write(void **state)
{
	struct trace_line l = {.kind = TRACE_ACTION};

	(void)state;
	l.action.kind = ENGINE_ACTION_RELEASE; /* what it is about is said, even where it is 0 */
	assert_text(&l, "action release verdict=resume");
	l.action.kind = ENGINE_ACTION_LEASE;
	l.action.bytes = 3 << 20;
	assert_text(&l, "action lease bytes=3M");
	l.action.bytes++;
	assert_text(&l, "action lease bytes=3145729");
	l.action = (struct engine_action){.kind = ENGINE_ACTION_CAPTURE, .until_ns = UINT64_MAX};
	assert_text(&l, "action capture until=max");
	l.action.until_ns = 1500 * NS_PER_MS;
	assert_text(&l, "action capture until=1500ms");
	l.action.until_ns = 1500;
	assert_text(&l, "action capture until=1500");
	memset(&l, 0, sizeof(l));
	l.kind = TRACE_EVENT;
	l.event.kind = ENGINE_EVENT_SAMPLE;
	l.event.auto_bytes = SIZE_UNLIMITED;
	assert_text(&l, "event sample limit=0");
	l.event.kind = ENGINE_EVENT_HELD;
	assert_text(&l, "event held ok=0");
}

static void test_write_refused(void **state)
{
	struct trace_line l = {.kind = TRACE_ACTION};
	char memory[LINE_MAX_BYTES];
	struct str s;

	(void)state;
	str_init(&s, memory, sizeof(memory));
	l.action.kind = ENGINE_ACTION_COUNT;
	assert_false(trace_write(&s, &l));
	l.kind = TRACE_KIND_COUNT;
	assert_false(trace_write(&s, &l));
	l.kind = TRACE_ACTION;
	l.action.kind = ENGINE_ACTION_HOLD;
	l.action.method = HOLD_STOP;
	for (size_t size = 1; size < sizeof("action hold method=stop"); size++) {
		str_init(&s, memory, size);
		assert_false(trace_write(&s, &l));
	}
	str_init(&s, memory, sizeof("action hold method=stop"));
	assert_true(trace_write(&s, &l));
}

/* --- there and back ------------------------------------------------------------------------ */

/* splitmix64, of a fixed seed. */
static uint64_t draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static uint32_t below(uint64_t *state, uint32_t n)
{
	return (uint32_t)(draw(state) % n);
}

/* Numbers with and without units, and the ends of the range. */
static uint64_t number(uint64_t *r)
{
	static const uint64_t factors[] = {
		1, NS_PER_US, NS_PER_MS, NS_PER_S, 1024, 1 << 20, 1 << 30};

	switch (below(r, 5)) {
	case 0:
		return 0;
	case 1:
		return UINT64_MAX - below(r, 3);
	case 2:
		return draw(r);
	default:
		return below(r, 5000) * factors[below(r, ARRAY_LEN(factors))];
	}
}

static void draw_policy(uint64_t *r, struct policy *p)
{
	p->trip_kind = (enum trip_kind)below(r, TRIP_KIND_COUNT);
	p->trip_bp = below(r, 20000);
	p->trip_bytes = number(r);
	p->trip_eta_ns = number(r);
	p->trip_psi_bp = (uint32_t)draw(r);
	p->arm_bp = below(r, 2);
	p->brake_bp = number(r);
	p->lease_bytes = number(r);
	p->lease_bp = below(r, 3);
	p->hold_timeout_ns = number(r);
	p->deadline_ns = number(r);
	p->cooldown_ns = number(r);
	p->shield = (enum shield_mode)below(r, SHIELD_COUNT);
	p->hold = (enum hold_method)below(r, HOLD_COUNT);
	p->verdict = (enum verdict)below(r, VERDICT_COUNT);
}

static void draw_event(uint64_t *r, struct trace_line *l)
{
	struct engine_event *e = &l->event;

	e->kind = (enum engine_event_kind)below(r, ENGINE_EVENT_COUNT);
	l->at_ns = number(r);
	e->ok = below(r, 2);
	e->more = below(r, 2);
	if (e->kind != ENGINE_EVENT_SAMPLE && e->kind != ENGINE_EVENT_KERNEL_STOP)
		return;
	e->auto_bytes = number(r);
	e->sample.now_ns = l->at_ns;
	e->sample.current_bytes = number(r);
	e->sample.inactive_file_bytes = number(r);
	e->sample.limit_bytes = number(r);
	e->sample.oom_events = number(r);
	e->sample.oom_kills = number(r);
	e->sample.level = below(r, 4);
	e->sample.psi_some_bp = below(r, 10001);
	e->sample.psi_full_bp = (uint32_t)draw(r);
	e->sample.under_oom = below(r, 2);
	e->sample.stat_fresh = below(r, 2);
}

static void draw_action(uint64_t *r, struct engine_action *a)
{
	a->kind = (enum engine_action_kind)below(r, ENGINE_ACTION_COUNT);
	a->from = (enum engine_state_id)below(r, ENGINE_STATE_COUNT);
	a->to = (enum engine_state_id)below(r, ENGINE_STATE_COUNT);
	a->method = (enum hold_method)below(r, HOLD_COUNT);
	a->verdict = (enum verdict)below(r, VERDICT_COUNT);
	a->reason = (enum trip_reason)below(r, TRIP_REASON_COUNT);
	a->report = (enum engine_report)below(r, ENGINE_REPORT_COUNT);
	a->bytes = number(r);
	a->until_ns = number(r);
}

static void test_round_trip(void **state)
{
	uint64_t r = 1;
	uint32_t kinds[TRACE_KIND_COUNT] = {0};

	(void)state;
	for (int i = 0; i < 50000; i++) {
		char memory[LINE_MAX_BYTES];
		struct trace_line before;
		struct trace_line after;
		struct str s;

		memset(&before, 0, sizeof(before));
		before.kind = (enum trace_kind)below(&r, TRACE_KIND_COUNT);
		kinds[before.kind]++;
		if (before.kind == TRACE_POLICY)
			draw_policy(&r, &before.policy);
		else if (before.kind == TRACE_EVENT)
			draw_event(&r, &before);
		else if (before.kind == TRACE_ACTION)
			draw_action(&r, &before.action);
		else
			before.means = (struct engine_means){below(&r, 2), below(&r, 2),
				below(&r, 2), below(&r, 2), below(&r, 2)};
		str_init(&s, memory, sizeof(memory));
		assert_true(trace_write(&s, &before));
		memset(&after, 0, sizeof(after));
		if (trace_read(s.text, s.len, &after) != 0)
			fail_msg("not read back: %s", s.text);
		if (memcmp(&before, &after, sizeof(before)) != 0)
			fail_msg("not the same: %s", s.text);
	}
	for (int k = 0; k < TRACE_KIND_COUNT; k++)
		assert_true(kinds[k] > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_event),
		cmocka_unit_test(test_read_rest),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_write_refused),
		cmocka_unit_test(test_round_trip),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
