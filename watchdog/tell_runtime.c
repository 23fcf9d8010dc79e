// SPDX-License-Identifier: Apache-2.0
/*
 * What is said of the managed runtime in a target: which it is, where it would give up and which
 * rule follows from that (runtime-found); and that it did give up (runtime-died). The sentences for
 * `check` are made here too, so that both say the same.
 *
 * Refuses: to decide anything. Limits: the texts are cut at their buffers, never the numbers in the
 * fields.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>

#include "base/checked.h"
#include "base/str.h"
#include "event.h"
#include "watch.h"

#define MIB(bytes) ((bytes) / 1048576U)
#define SENTENCE_BYTES 256

/* Whether the heap limit follows from a limit of the container that it need not have started with.
 */
static bool is_a_guess(const struct managed *m)
{
	const struct runtime_facts *f = &m->facts;

	return m->older && !f->heap_bytes && f->start_limit_bytes != SIZE_UNLIMITED &&
		(f->kind == RUNTIME_DOTNET || f->kind == RUNTIME_JAVA || f->kind == RUNTIME_NODE);
}

/* "heap limit 384 MiB (its default)". */
static void add_heap(struct str *s, const struct managed *m)
{
	if (m->rule.heap_bytes == SIZE_UNLIMITED)
		(void)str_add(s, "no heap limit of its own");
	else
		(void)str_addf(s, "heap limit %" PRIu64 " MiB (%s%s)", MIB(m->rule.heap_bytes),
			runtime_source_name(m->facts.source),
			is_a_guess(m) ? ", if the limit was the same when it started" : "");
}

void tell_runtime_text(const struct target *t, char *memory, size_t size)
{
	const struct managed *m = &t->managed;
	uint64_t trip_bytes = t->engine.thresholds.trip_bytes;
	struct str s;

	str_init(&s, memory, size);
	if (!m->facts.pid) {
		(void)str_add(&s, "none that is known");
		return;
	}
	(void)str_addf(&s, "%s in pid %d, ", runtime_kind_name(m->facts.kind), m->facts.pid);
	add_heap(&s, m);
	if (!m->rule.why[0])
		return;
	if (t->config->policy.trip_kind != TRIP_AUTO && m->rule.trip_bytes < trip_bytes)
		(void)str_addf(&s,
			"; IT MAY GIVE UP BEFORE THE TRIP: trip = auto would stop it at %s",
			m->rule.why);
	else if (t->config->policy.trip_kind == TRIP_AUTO && m->rule.trip_bytes <= trip_bytes)
		(void)str_addf(&s, "; trips at %s", m->rule.why);
	else if (m->rule.trip_bytes == SIZE_UNLIMITED)
		(void)str_addf(&s, "; may trip at %s", m->rule.why);
	else
		(void)str_add(&s, "; the container's limit comes first");
}

static struct event_message *begin(enum event_id id, const struct target *t)
{
	const struct managed *m = &t->managed;
	struct event_message *message = event_begin(id, t->config->name);

	if (t->config->selector.kind == SELECTOR_UNIT)
		event_field_str(message, EVENT_FIELD_UNIT, t->config->selector.value);
	event_field_str(message, EVENT_FIELD_CGROUP, t->found_path);
	event_field_u64(message, EVENT_FIELD_PID, (uint64_t)m->facts.pid);
	event_field_str(message, EVENT_FIELD_RUNTIME, runtime_kind_name(m->facts.kind));
	if (m->rule.heap_bytes != SIZE_UNLIMITED) {
		event_field_bytes(message, EVENT_FIELD_HEAP_BYTES, m->rule.heap_bytes);
		event_field_str(
			message, EVENT_FIELD_HEAP_SOURCE, runtime_source_name(m->facts.source));
	}
	if (m->rule.why[0])
		event_field_str(message, EVENT_FIELD_RULE, m->rule.why);
	return message;
}

void tell_runtime_found(const struct target *t)
{
	const struct managed *m = &t->managed;
	struct event_message *message = begin(EVENT_RUNTIME_FOUND, t);
	char text[SENTENCE_BYTES];

	if (m->rule.trip_bytes != SIZE_UNLIMITED)
		event_field_bytes(message, EVENT_FIELD_TRIP_BYTES, m->rule.trip_bytes);
	tell_runtime_text(t, text, sizeof(text));
	event_send(message, "%s", text);
}

void tell_runtime_died(const struct target *t, const int *status)
{
	const struct managed *m = &t->managed;
	struct event_message *message = begin(EVENT_RUNTIME_DIED, t);
	char how[64];
	struct str s;

	str_init(&s, how, sizeof(how));
	if (!status)
		(void)str_add(&s, "with a status that this kernel does not tell");
	else if (WIFSIGNALED(*status))
		(void)str_addf(&s, "by signal %d (exit code %d)", WTERMSIG(*status),
			128 + WTERMSIG(*status));
	else
		(void)str_addf(&s, "with exit code %d", WEXITSTATUS(*status));
	if (status)
		event_field_i64(message, EVENT_FIELD_EXIT_STATUS,
			WIFSIGNALED(*status) ? -WTERMSIG(*status) : WEXITSTATUS(*status));
	event_field_bytes(message, EVENT_FIELD_USED_BYTES, m->used_bytes);
	event_field_bytes(message, EVENT_FIELD_LIMIT_BYTES, t->engine.last.limit_bytes);
	event_field_str(message, EVENT_FIELD_MEND, runtime_advice(m->facts.kind));
	event_send(message,
		"%s ended %s at its own limit, at %" PRIu64 " MiB of %" PRIu64
		" MiB, %s; to see it next time: %s",
		runtime_kind_name(m->facts.kind), how, MIB(m->used_bytes),
		MIB(t->engine.last.limit_bytes),
		t->engine.state == ENGINE_COOLDOWN ? "after its capture" : "not captured",
		runtime_advice(m->facts.kind));
}
