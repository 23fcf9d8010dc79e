// SPDX-License-Identifier: Apache-2.0
/*
 * The managed runtime in a target, as the loop sees it: which process, which rule, and its end.
 *
 * A search looks at the target's largest processes and takes the first that holds a runtime; it is
 * repeated every MANAGED_SEARCH_NS while there is none (a container's first process may be a
 * script), and while the target is merely watched every MANAGED_AGAIN_NS, for another process may
 * have taken over. What changes by itself is read again more often: a JVM's counters at every look,
 * which then comes every MANAGED_JAVA_LOOK_NS; what the heap of .NET or Node has asked for every
 * MANAGED_COMMITTED_NS.
 *
 * The container's limit counts as it was when the process was first seen: .NET and Java compute
 * their heap limit once. A process that is older than the watchdog is taken to have started under
 * the present limit, and it is said that this need not be so: nothing outside of the process shows
 * what it computed (the range that .NET's collector reserves for it merges with its neighbours).
 *
 * A JVM's rule does not trip in a pause of its collector: the heap could not be walked in the core,
 * and nothing is lost by waiting, for the program stands still and so does its leak. It waits for
 * MANAGED_PAUSE_NS at most; the container's own threshold does not wait.
 *
 * A pidfd tells when the process ends. An end at its own limit that was not the kernel's is told as
 * runtime-died.
 *
 * Refuses: to search during an incident. Limits: one runtime per target.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "core/rank.h"
#include "core/runtime.h"
#include "os/proc.h"
#include "os/process.h"
#include "os/runtime.h"
#include "watch.h"

#define MANAGED_SEARCH_NS NS_PER_S
#define MANAGED_AGAIN_NS (10 * NS_PER_S)
#define MANAGED_COMMITTED_NS (250 * NS_PER_MS)
#define MANAGED_COMMITTED_NEAR_NS (40 * NS_PER_MS) /* from MANAGED_NEAR_BP of its limit on */
#define MANAGED_NEAR_BP 7500U
#define MANAGED_JAVA_LOOK_NS (10 * NS_PER_MS) /* from half of the old generation on */
#define MANAGED_PAUSE_NS NS_PER_S
#define MANAGED_PAUSE_LOOK_NS (2 * NS_PER_MS)
#define MANAGED_PEAK_NS (2 * NS_PER_S) /* for which the highest usage counts */
#define MANAGED_TRIES 4U	       /* processes that a search looks into */

void managed_close(struct target *t)
{
	struct managed *m = &t->managed;

	m->death = sd_event_source_disable_unref(m->death); /* closes the pidfd */
	if (m->facts.pid)
		cleanup_close(&m->counters_fd);
	*m = (struct managed){.counters_fd = -1,
		.search_ns = m->search_ns,
		.rule = {.heap_bytes = SIZE_UNLIMITED, .trip_bytes = SIZE_UNLIMITED, .why = ""}};
}

/* --- its end ------------------------------------------------------------------------------- */

/* Ends that somebody asked for. */
static bool was_sent(int status)
{
	int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

	return signal == SIGTERM || signal == SIGINT || signal == SIGKILL || signal == SIGHUP;
}

static int on_death(sd_event_source *source, int fd, uint32_t events, void *user)
{
	struct target *t = user;
	struct managed *m = &t->managed;
	uint64_t kills = t->engine.last.oom_kills;
	bool known;
	struct sample now;
	int status = 0;

	(void)source;
	(void)events;
	watch_wake(t->watch);
	known = process_exit_status(fd, m->facts.pid, &status) == 0;
	/* The kernel has counted its kill before the process is gone. */
	if (t->open && cgroup_sample(&t->cgroup, t->watch->now_ns, SIZE_UNLIMITED, &now) == 0)
		kills = now.oom_kills;
	if (m->counters_fd >= 0)
		(void)runtime_read_counters(m->counters_fd, &t->watch->scratch, &m->facts);
	if (kills == m->oom_kills && !(known && (status == 0 || was_sent(status))) &&
		runtime_was_near(&m->facts, &m->rule, m->used_bytes))
		tell_runtime_died(t, known ? &status : NULL);
	managed_close(t);
	return 0;
}

/* --- the search ---------------------------------------------------------------------------- */

/* The target's largest processes, the largest first. */
static void find_largest(struct target *t, struct rank_top *top)
{
	uint32_t count = 0;

	if (t->only)
		t->pids[count++] = t->only;
	else if (cgroup_pids(&t->cgroup, t->pids, WATCH_PIDS_MAX, &count) == CGROUP_GONE)
		return;
	for (uint32_t i = 0; i < count; i++) {
		struct procstat stat;

		if (process_look(t->pids[i], &stat) == 0)
			rank_top_add(top, t->pids[i], stat.rss_pages);
	}
}

static bool is_older(pid_t pid)
{
	struct procstat ours;
	struct procstat its;

	return process_look(getpid(), &ours) == 0 && process_look(pid, &its) == 0 &&
		its.start_time_ticks < ours.start_time_ticks;
}

/* Takes a process over; the limit that it started under is the present one. */
static void take_over(struct target *t, const struct runtime_facts *facts, int *counters_fd)
{
	struct managed *m = &t->managed;

	managed_close(t);
	m->facts = *facts;
	m->facts.start_limit_bytes = t->engine.seen ? t->engine.last.limit_bytes : t->found_limit;
	m->counters_fd = take_fd(counters_fd);
	m->oom_kills = target_oom_kills(t);
	m->death = ending_source(t, m->facts.pid, on_death); /* without it its end goes unseen */
	m->older = is_older(facts->pid);
	m->untold = true;
	(void)managed_look(t, t->engine.seen ? sample_used(&t->engine.last) : 0);
}

void managed_search(struct target *t)
{
	struct rank_top top = {.max = MANAGED_TRIES};

	find_largest(t, &top);
	t->managed.search_ns = t->watch->now_ns;
	if (top.count)
		ending_watch(t, top.pid[0]);
	for (uint32_t i = 0; i < top.count; i++) {
		_cleanup_close_ int counters_fd = -1;
		struct runtime_facts facts;

		if (top.pid[i] == t->managed.facts.pid)
			return; /* still the one; on_death() says when it is not */
		if (runtime_identify(top.pid[i], &t->watch->scratch, &facts, &counters_fd) != 0)
			continue;
		if (facts.kind == RUNTIME_NONE)
			continue;
		take_over(t, &facts, &counters_fd);
		return;
	}
}

/* --- every look ---------------------------------------------------------------------------- */

static bool has_committed(const struct managed *m)
{
	return m->facts.kind == RUNTIME_DOTNET || m->facts.kind == RUNTIME_NODE;
}

/* Reading maps costs about a millisecond: often only where little is left. */
static uint64_t committed_every_ns(const struct managed *m)
{
	return m->facts.committed_bytes >= share_bp(m->rule.heap_bytes, MANAGED_NEAR_BP)
		? MANAGED_COMMITTED_NEAR_NS
		: MANAGED_COMMITTED_NS;
}

static void wait_for_collection(struct target *t, uint64_t used_bytes)
{
	struct managed *m = &t->managed;

	if (!m->facts.collecting || used_bytes < m->rule.trip_bytes) {
		m->pause_ns = 0;
		return;
	}
	if (!m->pause_ns)
		m->pause_ns = t->watch->now_ns;
	if (t->watch->now_ns < m->pause_ns + MANAGED_PAUSE_NS)
		m->rule.trip_bytes = add_sat(used_bytes, 1);
}

static void read_again(struct target *t, uint64_t used_bytes)
{
	struct managed *m = &t->managed;

	if (m->facts.kind == RUNTIME_JAVA && m->counters_fd >= 0)
		(void)runtime_read_counters(m->counters_fd, &t->watch->scratch, &m->facts);
	runtime_rule(&m->facts, used_bytes, &m->rule);
	wait_for_collection(t, used_bytes);
	if (!has_committed(m) || m->rule.heap_bytes == SIZE_UNLIMITED || !used_bytes ||
		t->watch->now_ns < m->committed_ns + committed_every_ns(m))
		return;
	m->committed_ns = t->watch->now_ns;
	if (runtime_read_committed(m->rule.heap_bytes, &t->watch->scratch, &m->facts) != 0)
		m->facts.committed_bytes = 0;
	m->facts.committed_at_bytes = used_bytes;
	runtime_rule(&m->facts, used_bytes, &m->rule);
}

uint64_t managed_look(struct target *t, uint64_t used_bytes)
{
	struct managed *m = &t->managed;

	if (!m->facts.pid)
		return SIZE_UNLIMITED;
	/* A process that ends gives its memory back before it is gone. */
	if (used_bytes >= m->used_bytes || t->watch->now_ns >= m->used_ns + MANAGED_PEAK_NS) {
		m->used_bytes = used_bytes;
		m->used_ns = t->watch->now_ns;
	}
	read_again(t, used_bytes);
	return m->rule.trip_bytes;
}

void managed_search_again(struct target *t)
{
	uint64_t every = t->managed.facts.pid ? MANAGED_AGAIN_NS : MANAGED_SEARCH_NS;

	if (t->engine.state == ENGINE_WATCHING || t->engine.state == ENGINE_ARMED)
		if (t->watch->now_ns >= t->managed.search_ns + every)
			managed_search(t);
}

uint64_t managed_look_after(const struct target *t, uint64_t after_ns)
{
	const struct runtime_facts *f = &t->managed.facts;

	if (t->engine.state != ENGINE_WATCHING && t->engine.state != ENGINE_ARMED)
		return after_ns;
	if (t->managed.pause_ns)
		return min_u64(after_ns, MANAGED_PAUSE_LOOK_NS);
	if (f->kind == RUNTIME_JAVA && f->old_max_bytes)
		return min_u64(after_ns,
			f->old_used_bytes >= f->old_max_bytes / 2 ? MANAGED_JAVA_LOOK_NS
								  : MANAGED_COMMITTED_NS);
	return has_committed(&t->managed) ? min_u64(after_ns, committed_every_ns(&t->managed))
					  : after_ns;
}
