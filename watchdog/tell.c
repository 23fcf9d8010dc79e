// SPDX-License-Identifier: Apache-2.0
/*
 * What the running watchdog says: each function fills one event of event.h from what the target
 * and the crew know. No decisions, no wording anywhere else in the loop.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "base/checked.h"
#include "base/str.h"
#include "event.h"
#include "watch.h"
#include "wiring.h"

#define MIB(bytes) ((bytes) / 1048576U)
#define KIND_NAMES_MAX 128 /* of every ledger_kind, with what is between them */

static void headrooms(struct event_message *m, const struct incident_record *r)
{
	event_field_bytes(m, EVENT_FIELD_HEADROOM_TRIP_BYTES, r->headroom_trip_bytes);
	event_field_bytes(m, EVENT_FIELD_HEADROOM_HOLD_BYTES, r->headroom_hold_bytes);
	event_field_bytes(m, EVENT_FIELD_HEADROOM_END_BYTES, r->headroom_end_bytes);
}

/* The unit is known where the selector named it, pod and container where they were found. */
static void origin(struct event_message *m, const struct target *t)
{
	if (t->pod.pod[0])
		event_field_str(m, EVENT_FIELD_POD, t->pod.pod);
	if (t->pod.container[0])
		event_field_str(m, EVENT_FIELD_CONTAINER, t->pod.container);
	if (t->config->selector.kind == SELECTOR_UNIT)
		event_field_str(m, EVENT_FIELD_UNIT, t->config->selector.value);
}

static struct event_message *begin(enum event_id id, const struct target *t)
{
	struct event_message *m = event_begin(id, t->config->name);

	origin(m, t);
	event_field_str(m, EVENT_FIELD_CGROUP, t->open ? t->cgroup.level[0].path : t->found_path);
	return m;
}

/* The figures of the newest sample. */
static void figures(struct event_message *m, const struct engine *e)
{
	event_field_bytes(m, EVENT_FIELD_LIMIT_BYTES, e->last.limit_bytes);
	event_field_bytes(m, EVENT_FIELD_USED_BYTES, sample_used(&e->last));
	event_field_bytes(m, EVENT_FIELD_RATE_BYTES_S, e->rate_bytes_s);
	event_field_u64(m, EVENT_FIELD_PSI_FULL_BP, e->last.psi_full_bp);
}

/* Positive returns of the adapters have no errno; they are told in words. */
static const char *error_text(int error)
{
	switch (error) {
	case CGROUP_GONE:
		return "it is gone";
	case CGROUP_NOT_A_CGROUP:
		return "it is not a directory of a mounted cgroup file system";
	case CGROUP_NO_MEMORY:
		return "the memory controller is not enabled there";
	case CGROUP_OURS:
		return "oomsnap runs in it itself";
	case CGROUP_UNSUPPORTED:
		return "this cgroup version or kernel has no such means";
	case CGROUP_BAD_VALUE:
		return "a file there holds what the kernel would not write";
	default:
		return error < 0 ? strerror(-error) : "unknown"; // NOLINT(concurrency-mt-unsafe)
	}
}

void tell_started(const struct watch *w)
{
	struct event_message *m = event_begin(EVENT_STARTED, NULL);

	event_field_str(m, EVENT_FIELD_VERSION, OOMSNAP_VERSION);
	event_field_u64(m, EVENT_FIELD_TARGETS, w->config->target_count);
	event_field_str(m, EVENT_FIELD_CONFIG_FILE, w->config->path[0] ? w->config->path : NULL);
	event_send(m, "oomsnap %s watches %u target%s%s", OOMSNAP_VERSION, w->config->target_count,
		w->config->target_count == 1 ? "" : "s",
		w->dry_run ? " (dry run: touches nothing)" : "");
}

void tell_stopping(const struct watch *w)
{
	struct event_message *m = event_begin(EVENT_STOPPING, NULL);
	uint32_t left = ledger_count(&w->ledger, LEDGER_ALL_TARGETS, LEDGER_EVERYTHING);

	event_field_u64(m, EVENT_FIELD_NUMBER, left);
	event_send(m,
		left ? "oomsnap ends; %u interventions could not be undone yet"
		     : "oomsnap ends; nothing of it is in force (%u left)",
		left);
}

void tell_found(const struct target *t)
{
	const struct psi_trigger *p = &t->pressure;
	const char *path = t->cgroup.level[0].path;
	const char *version = cgroup_version_name(&t->cgroup);
	char wire[WIRING_TEXT_MAX];
	struct event_message *m = begin(EVENT_TARGET_FOUND, t);

	event_field_str(m, EVENT_FIELD_TRIPWIRE, wiring_text(t, wire, sizeof(wire)));
	event_field_str(m, EVENT_FIELD_PRESSURE, psi_source_name(p->source));
	if (p->source == PSI_TARGET) {
		event_send(m, "watching %s (cgroup %s); its memory pressure calls for a look", path,
			version);
		return;
	}
	event_field_u64(m, EVENT_FIELD_ERRNO, (uint64_t)-p->error);
	event_send(m, "watching %s (cgroup %s); %s calls for a look (%s)", path, version,
		p->source == PSI_MACHINE ? "the machine's memory pressure, not its own,"
					 : "no memory pressure",
		error_text(p->error));
}

void tell_rival(const struct target *t)
{
	struct event_message *m = begin(EVENT_DEGRADED, t);

	event_field_str(m, EVENT_FIELD_OBJECT, t->found_path);
	event_field_u64(m, EVENT_FIELD_PID, (uint64_t)t->rival);
	event_field_str(m, EVENT_FIELD_WHY, "another watchdog watches it");
	event_send(m,
		"not watched: watchdog %d watches %s already; stop one of the two (this one "
		"takes over when the other ends)",
		t->rival, t->found_path);
}

void tell_gone(const struct target *t)
{
	event_send(begin(EVENT_TARGET_GONE, t), "the cgroup %s is gone", t->found_path);
}

void tell_guarantee(const struct target *t)
{
	const struct guarantee_answer *g = &t->guarantee;
	char wire[WIRING_TEXT_MAX];
	struct event_message *m = begin(EVENT_GUARANTEE, t);

	event_field_str(m, EVENT_FIELD_GUARANTEE, guarantee_name(g->guarantee));
	event_field_bytes(m, EVENT_FIELD_LIMIT_BYTES, t->engine.last.limit_bytes);
	event_field_bytes(m, EVENT_FIELD_ARM_BYTES, t->engine.thresholds.arm_bytes);
	event_field_bytes(m, EVENT_FIELD_TRIP_BYTES, t->engine.thresholds.trip_bytes);
	event_field_str(m, EVENT_FIELD_TRIPWIRE, wiring_text(t, wire, sizeof(wire)));
	if (g->why[0]) {
		event_field_str(m, EVENT_FIELD_WHY, g->why);
		event_send(m, "guarantee %s: %s; to raise it: %s; tripwire: %s",
			guarantee_name(g->guarantee), g->why, g->mend, wire);
	} else {
		event_send(m, "guarantee %s; tripwire: %s", guarantee_name(g->guarantee), wire);
	}
}

static void tell_tripped(const struct target *t)
{
	const struct incident_record *r = &t->record;
	struct event_message *m = begin(EVENT_TRIPPED, t);

	event_field_u64(m, EVENT_FIELD_INCIDENT, r->incident);
	event_field_str(m, EVENT_FIELD_REASON, trip_reason_name(r->reason));
	event_field_str(m, EVENT_FIELD_GUARANTEE, guarantee_name(r->guarantee));
	event_field_bytes(m, EVENT_FIELD_TRIP_BYTES, r->trip_threshold_bytes);
	event_field_bytes(m, EVENT_FIELD_HEADROOM_TRIP_BYTES, r->headroom_trip_bytes);
	event_field_str(m, EVENT_FIELD_SHIELD, r->shielded ? "on" : "off");
	event_field_bytes(m, EVENT_FIELD_LIMIT_BYTES, r->limit_bytes);
	event_field_bytes(m, EVENT_FIELD_USED_BYTES, r->used_at_trip_bytes);
	event_field_bytes(m, EVENT_FIELD_RATE_BYTES_S, r->rate_bytes_s);
	event_send(m,
		"used %" PRIu64 " MiB of %" PRIu64 " MiB, growing %" PRIu64
		" MiB/s: stopping it for a capture (%s)",
		MIB(r->used_at_trip_bytes), MIB(r->limit_bytes), MIB(r->rate_bytes_s),
		trip_reason_name(r->reason));
}

static void tell_held(const struct target *t)
{
	const struct incident_record *r = &t->record;
	struct event_message *m = begin(EVENT_HELD, t);

	event_field_u64(m, EVENT_FIELD_INCIDENT, r->incident);
	event_field_str(m, EVENT_FIELD_HOLD, hold_method_name(r->hold));
	event_field_ns(m, EVENT_FIELD_HOLD_DELAY_NS, r->held_ns - r->trip_ns);
	event_field_bytes(m, EVENT_FIELD_HEADROOM_HOLD_BYTES, r->headroom_hold_bytes);
	event_field_bytes(m, EVENT_FIELD_LIMIT_BYTES, r->limit_bytes);
	if (r->headroom_hold_bytes == SIZE_UNLIMITED)
		event_send(m, "stopped by %s %" PRIu64 " us after the trip",
			hold_method_name(r->hold), (r->held_ns - r->trip_ns) / NS_PER_US);
	else
		event_send(m,
			"stopped by %s %" PRIu64 " us after the trip with %" PRIu64
			" KiB of headroom",
			hold_method_name(r->hold), (r->held_ns - r->trip_ns) / NS_PER_US,
			r->headroom_hold_bytes / 1024);
}

static void tell_released(const struct target *t)
{
	const struct incident_record *r = &t->record;
	uint64_t from_ns = r->held_ns ? r->held_ns : r->trip_ns;
	struct event_message *m = begin(EVENT_RELEASED, t);

	event_field_u64(m, EVENT_FIELD_INCIDENT, r->incident);
	event_field_str(m, EVENT_FIELD_VERDICT, verdict_name(r->verdict));
	event_field_ns(m, EVENT_FIELD_HELD_NS, sub_floor(r->released_ns, from_ns));
	headrooms(m, r);
	event_field_u64(m, EVENT_FIELD_OOM_EVENTS, r->oom_events_after - r->oom_events_before);
	event_field_u64(
		m, EVENT_FIELD_OOM_KILLS, sub_floor(r->oom_kills_after, r->oom_kills_before));
	event_send(m, "released after %" PRIu64 " ms (verdict %s)",
		sub_floor(r->released_ns, from_ns) / NS_PER_MS, verdict_name(r->verdict));
}

static bool is_captured(const struct target *t)
{
	return t->engine.captured && t->record.released_ns != 0;
}

/* A kill: a loss, or, once the capture of this incident is over, what was to be expected. */
static struct event_message *begin_kill(const struct target *t, pid_t pid)
{
	struct event_message *m = begin(is_captured(t) ? EVENT_KILLED : EVENT_LOST, t);

	figures(m, &t->engine);
	if (pid)
		event_field_u64(m, EVENT_FIELD_PID, (uint64_t)pid);
	event_field_u64(m, EVENT_FIELD_OOM_KILLS, t->engine.last.oom_kills);
	event_field_str(m, EVENT_FIELD_GUARANTEE, guarantee_name(t->guarantee.guarantee));
	if (t->record.trip_ns)
		event_field_bytes(
			m, EVENT_FIELD_HEADROOM_TRIP_BYTES, t->record.headroom_trip_bytes);
	return m;
}

static const char *kill_moment(const struct target *t)
{
	return is_captured(t)			 ? "after its capture was complete"
		: engine_in_incident(&t->engine) ? "while it was being captured"
						 : "before a capture could begin";
}

static void tell_lost(const struct target *t)
{
	event_send(begin_kill(t, t->wiring.victim),
		"the kernel OOM-killed a process of the target %s", kill_moment(t));
}

void tell_unseen_kill(const struct target *t)
{
	event_send(begin_kill(t, t->ending.pid),
		"pid %d was ended by SIGKILL near its limit %s; its cgroup went before the "
		"kernel's count of OOM kills could be read",
		(int)t->ending.pid, kill_moment(t));
}

/* What a release could not take back yet: kinds of the ledger. */
static uint32_t kinds_left(const struct target *t)
{
	uint32_t kinds = 0;

	for (int kind = 0; kind < LEDGER_KIND_COUNT; kind++)
		if (ledger_count(&t->watch->ledger, t->index, LEDGER_BIT(kind)))
			kinds |= LEDGER_BIT(kind);
	return t->leased ? kinds & ~LEDGER_BIT(LEDGER_LEASE) : kinds;
}

/* Their names, as "shield, freeze". */
static void kind_names(uint32_t kinds, char *text, size_t size)
{
	struct str s;

	str_init(&s, text, size);
	for (int kind = 0; kind < LEDGER_KIND_COUNT; kind++)
		if (kinds & LEDGER_BIT(kind))
			(void)str_addf(&s, "%s%s", s.len ? ", " : "",
				ledger_kind_name((enum ledger_kind)kind)); /* fits */
}

static void tell_undo_pending(const struct target *t)
{
	const uint32_t stands = LEDGER_BIT(LEDGER_FREEZE) | LEDGER_BIT(LEDGER_STOP) |
		LEDGER_BIT(LEDGER_TRIPWIRE) | LEDGER_BIT(LEDGER_SEIZE);
	const char *why = t->undo_error ? error_text(t->undo_error) : "it takes longer";
	uint32_t kinds = kinds_left(t);
	struct event_message *m = begin(EVENT_UNDO_FAILED, t);
	char names[KIND_NAMES_MAX];

	kind_names(kinds, names, sizeof(names));
	event_field_u64(m, EVENT_FIELD_NUMBER, ledger_count(&t->watch->ledger, t->index, kinds));
	event_field_str(m, EVENT_FIELD_OBJECT, names);
	event_field_str(m, EVENT_FIELD_WHY, why);
	if (kinds == LEDGER_BIT(LEDGER_LEASE) && t->undo_error == -EBUSY)
		event_send(m,
			"a raised limit cannot be lowered yet, as more is used: the target runs, "
			"and "
			"it is tried again every second");
	else if (kinds == LEDGER_BIT(LEDGER_LEASE))
		event_send(m,
			"a raised limit cannot be lowered (%s): the target runs, and it is tried "
			"again every second",
			why);
	else
		event_send(m,
			"not undone yet: %s (%s): the target %s, and it is tried again every 100 "
			"ms",
			names, why, kinds & stands ? "may stand still" : "runs");
}

static void tell_limit(struct event_message *m, uint64_t old_bytes, uint64_t new_bytes)
{
	event_field_bytes(m, EVENT_FIELD_OLD_LIMIT_BYTES, old_bytes);
	event_field_bytes(m, EVENT_FIELD_LIMIT_BYTES, new_bytes);
	if (new_bytes == SIZE_UNLIMITED)
		event_send(m, "no limit is in effect any more");
	else if (old_bytes == SIZE_UNLIMITED)
		event_send(m, "a limit is in effect now: %" PRIu64 " MiB", MIB(new_bytes));
	else
		event_send(m, "the effective limit is %" PRIu64 " MiB now, after %" PRIu64 " MiB",
			MIB(new_bytes), MIB(old_bytes));
}

void tell_report(const struct target *t, const struct engine_action *action)
{
	struct event_message *m;

	switch (action->report) {
	case ENGINE_REPORT_ARMED:
		m = begin(EVENT_ARMED, t);
		figures(m, &t->engine);
		event_field_bytes(m, EVENT_FIELD_ARM_BYTES, t->engine.thresholds.arm_bytes);
		event_field_bytes(m, EVENT_FIELD_TRIP_BYTES, t->engine.thresholds.trip_bytes);
		event_field_str(m, EVENT_FIELD_SHIELD, t->record.shielded ? "on" : "off");
		event_send(m, "used %" PRIu64 " MiB of %" PRIu64 " MiB: armed",
			MIB(sample_used(&t->engine.last)), MIB(t->engine.last.limit_bytes));
		break;
	case ENGINE_REPORT_DISARMED:
		m = begin(EVENT_DISARMED, t);
		figures(m, &t->engine);
		event_send(m, "used %" PRIu64 " MiB of %" PRIu64 " MiB: disarmed",
			MIB(sample_used(&t->engine.last)), MIB(t->engine.last.limit_bytes));
		break;
	case ENGINE_REPORT_TRIPPED:
		tell_tripped(t);
		break;
	case ENGINE_REPORT_HOLD_FAILED:
		m = begin(EVENT_HOLD_FAILED, t);
		event_field_u64(m, EVENT_FIELD_INCIDENT, t->record.incident);
		event_field_str(m, EVENT_FIELD_WHY, error_text(t->hold_error));
		event_field_str(m, EVENT_FIELD_HOLD, hold_method_name(t->record.hold));
		event_send(m, "the target could not be stopped by %s (%s); trying the next way",
			hold_method_name(t->record.hold), error_text(t->hold_error));
		break;
	case ENGINE_REPORT_HELD:
		tell_held(t);
		break;
	case ENGINE_REPORT_RELEASED:
		tell_released(t);
		break;
	case ENGINE_REPORT_LOST:
		tell_lost(t);
		break;
	case ENGINE_REPORT_AT_LIMIT:
		m = begin(EVENT_OOM_AT_LIMIT, t);
		figures(m, &t->engine);
		event_field_u64(m, EVENT_FIELD_OOM_EVENTS, t->engine.last.oom_events);
		event_send(m, "the limit was hit and nothing was killed");
		break;
	case ENGINE_REPORT_LIMIT_CHANGED:
		m = begin(EVENT_LIMIT_CHANGED, t);
		tell_limit(m, action->bytes, t->engine.last.limit_bytes);
		break;
	case ENGINE_REPORT_OVERDUE:
		m = begin(EVENT_HOLD_FAILED, t);
		event_field_u64(m, EVENT_FIELD_INCIDENT, t->record.incident);
		event_field_str(m, EVENT_FIELD_WHY, "hold or capture passed its deadline");
		event_send(m, "the capture passed its deadline: the target is released without it");
		break;
	case ENGINE_REPORT_UNDO_PENDING:
		tell_undo_pending(t);
		break;
	case ENGINE_REPORT_NODE_SHORT:
		m = begin(EVENT_NODE_PRESSURE, t);
		event_send(m, "the machine itself is short of memory: the shield is dropped");
		break;
	case ENGINE_REPORT_COUNT:
		break;
	}
}

static void tell_partial(struct event_message *m, const struct crew_member *c)
{
	event_field_str(m, EVENT_FIELD_MISSING, c->why);
	event_send(m, "a partial core of pid %d (%s) is in %s: %s", (int)c->result.pid,
		c->result.comm, c->result.path, c->why);
}

void tell_captured(const struct crew_member *c)
{
	const struct capture_result *r = &c->result;
	const struct incident_record *i = &c->record;
	bool partial = r->status == CAPTURE_PARTIAL;
	struct event_message *m =
		event_begin(partial ? EVENT_CAPTURE_PARTIAL : EVENT_CAPTURED, i->target);

	origin(m, c->target);
	event_field_str(m, EVENT_FIELD_CGROUP, i->cgroup);
	event_field_u64(m, EVENT_FIELD_INCIDENT, i->incident);
	event_field_u64(m, EVENT_FIELD_PID, (uint64_t)r->pid);
	event_field_str(m, EVENT_FIELD_COMM, r->comm);
	event_field_str(m, EVENT_FIELD_GUARANTEE, guarantee_name(i->guarantee));
	event_field_str(m, EVENT_FIELD_REASON, trip_reason_name(i->reason));
	event_field_str(m, EVENT_FIELD_PATH, r->path);
	event_field_str(m, EVENT_FIELD_CORE, r->core_path);
	event_field_u64(m, EVENT_FIELD_CORE_BYTES, r->core_bytes);
	event_field_u64(m, EVENT_FIELD_FILE_BYTES, r->file_bytes);
	event_field_u64(m, EVENT_FIELD_MEMORY_BYTES, r->memory_bytes);
	event_field_u64(m, EVENT_FIELD_SKIPPED_BYTES, r->skipped_bytes);
	event_field_u64(m, EVENT_FIELD_THREADS, r->threads);
	headrooms(m, i);
	event_field_bytes(m, EVENT_FIELD_LIMIT_BYTES, i->limit_bytes);
	event_field_ns(m, EVENT_FIELD_HELD_NS, sub_floor(i->released_ns, i->held_ns));
	event_field_ns(m, EVENT_FIELD_DURABLE_NS, sub_floor(r->durable_ns, i->trip_ns));
	event_field_u64(
		m, EVENT_FIELD_OOM_KILLS, sub_floor(i->oom_kills_after, i->oom_kills_before));
	if (partial)
		tell_partial(m, c);
	else
		event_send(m,
			"a complete core of pid %d (%s), %" PRIu64
			" MiB, is in %s; the target stood still for %" PRIu64 " ms",
			(int)r->pid, r->comm, MIB(r->memory_bytes), r->path,
			sub_floor(i->released_ns, i->held_ns) / NS_PER_MS);
	tell_coredump(c);
}

void tell_capture_failed(const struct target *t, uint64_t incident, pid_t pid, const char *why)
{
	struct event_message *m = begin(EVENT_CAPTURE_FAILED, t);

	event_field_u64(m, EVENT_FIELD_INCIDENT, incident);
	if (pid)
		event_field_u64(m, EVENT_FIELD_PID, (uint64_t)pid);
	event_field_str(m, EVENT_FIELD_WHY, why);
	event_send(m, "not captured: %s", why);
}

void tell_degraded(const struct target *t, const char *object, int error, const char *mend)
{
	struct event_message *m = t ? begin(EVENT_DEGRADED, t) : event_begin(EVENT_DEGRADED, NULL);

	event_field_str(m, EVENT_FIELD_OBJECT, object);
	if (error < 0)
		event_field_u64(m, EVENT_FIELD_ERRNO, (uint64_t)-error);
	event_field_str(m, EVENT_FIELD_WHY, error_text(error));
	event_send(m, "%s: %s; %s", object, error_text(error), mend);
}

void tell_prolonged(const struct target *t)
{
	struct event_message *m = begin(EVENT_DEGRADED, t);
	bool busy = crew_is_there(t->watch);

	event_field_str(m, EVENT_FIELD_OBJECT, "capturer");
	event_field_str(
		m, EVENT_FIELD_WHY, busy ? "it is still at the last core" : "none can be started");
	if (busy)
		event_send(m,
			"capturer: the cooldown is over and it is still at the last core: until "
			"that "
			"is finished the target is not captured again; see whether the disk below "
			"%s answers",
			t->config->directory);
	else
		event_send(m,
			"capturer: the cooldown is over and none can be started: until one is the "
			"target is not captured again; see the limits on processes and memory");
}

void tell_stopped_early(const struct target *t)
{
	struct event_message *m = begin(EVENT_DEGRADED, t);

	figures(m, &t->engine);
	event_field_str(m, EVENT_FIELD_OBJECT, "tripwire");
	event_field_bytes(m, EVENT_FIELD_TRIP_BYTES, t->engine.thresholds.trip_bytes);
	event_send(m,
		"tripwire: it stopped the target below the trip, with page cache that it does not "
		"see; the target goes on, and further such stops are not told");
}

void tell_records_lost(uint64_t count)
{
	struct event_message *m = event_begin(EVENT_DEGRADED, NULL);

	event_field_str(m, EVENT_FIELD_OBJECT, "tripwire");
	event_field_u64(m, EVENT_FIELD_NUMBER, count);
	event_send(m,
		"tripwire: %" PRIu64 " records found its ring full; the processes are listed "
		"again instead",
		count);
}

void tell_error(const struct target *t, const char *object, int error, const char *what)
{
	struct event_message *m = t ? begin(EVENT_ERROR, t) : event_begin(EVENT_ERROR, NULL);

	event_field_str(m, EVENT_FIELD_OBJECT, object);
	if (error < 0)
		event_field_u64(m, EVENT_FIELD_ERRNO, (uint64_t)-error);
	event_send(m, "%s: %s: %s", object, what, error_text(error));
}

void tell_place_refused(const char *directory, const char *why)
{
	struct event_message *m = event_begin(EVENT_PLACE_REFUSED, NULL);

	event_field_str(m, EVENT_FIELD_OBJECT, directory);
	event_field_str(m, EVENT_FIELD_WHY, why);
	event_send(m, "captures could not be written: %s", why);
}

void tell_command(const struct target *t, const char *name, pid_t pid, int status)
{
	struct event_message *m = begin(EVENT_COMMAND_RESULT, t);

	event_field_str(m, EVENT_FIELD_COMMAND, name);
	event_field_u64(m, EVENT_FIELD_PID, (uint64_t)pid);
	event_field_i64(m, EVENT_FIELD_EXIT_STATUS, status);
	if (status == -SIGKILL)
		event_send(m, "%s was ended by SIGKILL (its deadline, or somebody's hand)", name);
	else if (status < 0)
		event_send(m, "%s was ended by signal %d", name, -status);
	else
		event_send(m, "%s ended with status %d", name, status);
}

void tell_crew_restarted(const struct crew_member *c, const char *why)
{
	struct event_message *m = event_begin(EVENT_CAPTURER_RESTARTED, NULL);

	event_field_u64(m, EVENT_FIELD_PID, (uint64_t)c->pid);
	event_field_str(m, EVENT_FIELD_WHY, why);
	event_send(m, "%s; a new capturer is ready (pid %d)", why, (int)c->pid);
}

void tell_guardian_restarted(const struct watch *w)
{
	struct event_message *m = event_begin(EVENT_GUARDIAN_RESTARTED, NULL);

	event_field_u64(m, EVENT_FIELD_PID, (uint64_t)w->guardian_pid);
	event_send(m, "the guardian died; a new one is ready (pid %d)", (int)w->guardian_pid);
}

void tell_recovered(uint32_t undone, uint32_t left)
{
	struct event_message *m = event_begin(left ? EVENT_UNDO_FAILED : EVENT_RECOVERED, NULL);

	event_field_u64(m, EVENT_FIELD_NUMBER, left ? left : undone);
	event_send(m, "an earlier watchdog left interventions behind: %u undone, %u still in force",
		undone, left);
}

void tell_reload(const struct watch *w, const char *problem)
{
	struct event_message *m =
		event_begin(problem ? EVENT_CONFIG_REJECTED : EVENT_CONFIG_RELOADED, NULL);

	event_field_str(m, EVENT_FIELD_CONFIG_FILE, w->config->path[0] ? w->config->path : NULL);
	event_field_str(m, EVENT_FIELD_WHY, problem);
	event_field_u64(m, EVENT_FIELD_TARGETS, w->config->target_count);
	if (problem)
		event_send(m, "%s (the old configuration stays in force)", problem);
	else
		event_send(m, "the new configuration is in force: %u targets",
			w->config->target_count);
}
