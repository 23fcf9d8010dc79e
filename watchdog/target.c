// SPDX-License-Identifier: Apache-2.0
/*
 * From a selector to an open cgroup, and from there to what can be promised.
 *
 * A target that is not there is looked for again and again (a unit that has not started, a
 * container between two restarts), quietly; a selector that can never work (not a cgroup, our own
 * cgroup) is told once. Opening is the moment at which the means are measured: which files may be
 * written, whether the processes may be traced. Kernel notices are registered for the level that
 * limits, and again whenever its limit changes.
 */
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "os/privilege.h"
#include "os/process.h"
#include "os/unit.h"
#include "watch.h"
#include "wiring.h"

#define NOTICE_PAGES 128		    /* THRESHOLDS_EVENTS_TARGET, mm/memcontrol-v1.c */
#define UNREADABLE_AGAIN_NS (60 * NS_PER_S) /* without a failure, after which one is told again */
#define NOTICE_WAY 32U /* part of the limit by which a trip moves before it is registered anew */

/* Directory of the selected cgroup. 0, CGROUP_GONE while there is none, CGROUP_*, -errno. */
static int resolve(struct target *t, char *dir, size_t size)
{
	const struct selector *s = &t->config->selector;
	pid_t pid = s->pid;
	int r;

	t->only = 0;
	switch (s->kind) {
	case SELECTOR_CGROUP:
		return str_copy(dir, size, s->value) ? 0 : -ENAMETOOLONG;
	case SELECTOR_UNIT:
		return unit_cgroup(s->value, dir, size);
	case SELECTOR_PROCESS:
		r = process_find(s->value, &pid);
		if (r != 0)
			return r == PROCESS_GONE ? CGROUP_GONE : r;
		break;
	case SELECTOR_PID:
		break;
	case SELECTOR_SIBLINGS:
	case SELECTOR_KUBEPODS:
		return containers_find(t, dir, size);
	case SELECTOR_COUNT:
		return CGROUP_UNSUPPORTED;
	}
	r = cgroup_of_pid(pid, dir, size);
	if (r == 0)
		t->only = pid;
	return r;
}

static pid_t any_pid(const struct target *t)
{
	pid_t pid = 0;
	uint32_t count;
	int r;

	if (t->only)
		return t->only;
	r = cgroup_pids(&t->cgroup, &pid, 1, &count);
	return (r == 0 || r == -E2BIG) && count ? pid : 0;
}

/* Measures what this host and target allow. */
static void measure(struct target *t, const struct sample *s)
{
	struct guarantee_facts facts = {0};
	struct engine_means *means = &t->means;
	pid_t pid = any_pid(t);
	const char *mend;

	facts.limited = s->limit_bytes != SIZE_UNLIMITED;
	facts.can_trace = pid ? privilege_may_trace(pid) : privilege_has(CAP_SYS_PTRACE);
	facts.shields_processes = cgroup_shields_processes(&t->cgroup);
	facts.sys_resource = privilege_has(CAP_SYS_RESOURCE) && privilege_initial_namespace();
	facts.shield_writable = facts.shields_processes
		? privilege_has(CAP_DAC_OVERRIDE) || privilege_may_trace(pid ? pid : getpid())
		: cgroup_can_shield(&t->cgroup);
	facts.limit_above =
		!facts.shields_processes && s->level > 0 && t->cgroup.level[s->level].ours;
	facts.brake = cgroup_can_brake(&t->cgroup);
	means->shield = facts.shield_writable && !facts.limit_above &&
		(!facts.shields_processes || facts.sys_resource);
	means->brake = facts.brake;
	means->freeze = !t->only && cgroup_can_freeze(&t->cgroup);
	/* In a pod the right to trace does not bring the right to send signals. */
	means->stop = privilege_has(CAP_KILL) || (pid && kill(pid, 0) == 0);
	means->kernel_notice = false; /* until registered */
	facts.tripwire = !wiring_obstacle(t, s->level, &mend);
	t->guarantee = guarantee_of(&t->config->policy, &facts);
}

void target_tell_unreadable(struct target *t, int error)
{
	uint64_t now_ns = t->watch->now_ns;

	if (!t->unread_ns || now_ns - t->unread_ns >= UNREADABLE_AGAIN_NS)
		tell_error(t, "cgroup files", error,
			"the target's usage and limit cannot be read; it is tried again at each "
			"look, and the tripwire, where there is one, stops it all the same");
	t->unread_ns = now_ns;
}

bool target_find(struct target *t)
{
	char dir[TARGET_PATH_MAX];
	struct sample s;
	int r = resolve(t, dir, sizeof(dir));

	if (r == 0)
		r = cgroup_open(dir, &t->cgroup);
	if (r == CGROUP_GONE)
		return false;
	if (r != 0) {
		if (strcmp(t->found_path, TARGET_REFUSED) !=
			0) { /* once: each second is a search */
			(void)strcpy(t->found_path, TARGET_REFUSED); // NOLINT: fits
			tell_degraded(t, t->config->selector.value, r,
				r < 0 && t->config->selector.kind == SELECTOR_UNIT
					? "systemd does not say where it is; it is asked again "
					  "every second"
					: "the target is not watched; mend its selector");
		}
		return false;
	}
	(void)str_copy(t->found_path, sizeof(t->found_path), dir); /* same size */
	r = cgroup_sample(&t->cgroup, t->watch->now_ns, 0, &s);
	if (r != 0) {
		cgroup_close(&t->cgroup);
		if (r != CGROUP_GONE)
			target_tell_unreadable(t, r);
		return false;
	}
	t->open = true;
	t->found_limit = s.limit_bytes;
	t->found_kills = s.oom_kills;
	measure(t, &s);
	managed_search(t);
	policy_thresholds(&t->config->policy, s.limit_bytes, managed_look(t, sample_used(&s)),
		&t->engine.thresholds);
	return true;
}

uint64_t target_oom_kills(const struct target *t)
{
	return t->engine.seen ? t->engine.last.oom_kills : t->found_kills;
}

static void drop_notices(struct target *t)
{
	for (uint32_t i = 0; i < WATCH_NOTICES_MAX; i++)
		t->notice[i] = sd_event_source_disable_unref(t->notice[i]); /* closes its fd */
	t->notice_limit = 0;
}

void target_close(struct target *t)
{
	drop_notices(t);
	pressure_stop(t);
	managed_close(t);
	ending_forget(t);
	wiring_leave(t);
	if (t->open)
		cgroup_close(&t->cgroup);
	t->open = false;
}

static int on_notice(sd_event_source *source, int fd, uint32_t events, void *user)
{
	struct target *t = user;
	uint64_t count;

	(void)source;
	(void)events;
	(void)!read(fd, &count, sizeof(count)); /* only that it came matters */
	watch_wake(t->watch);
	watch_look(t);
	return 0;
}

static int add_notice(struct target *t, uint32_t i, uint64_t bytes)
{
	_cleanup_close_ int fd = -1;
	int r = cgroup_notice(&t->cgroup, t->engine.last.level, bytes, &fd);

	if (r != 0)
		return r;
	r = sd_event_add_io(t->watch->event, &t->notice[i], fd, EPOLLIN, on_notice, t);
	if (r < 0)
		return r;
	(void)sd_event_source_set_priority(t->notice[i], SD_EVENT_PRIORITY_IMPORTANT);
	(void)sd_event_source_set_io_fd_own(t->notice[i], 1);
	(void)take_fd(&fd);
	return 0;
}

/*
 * Whether a notice at the trip leaves half of the way to the limit. The kernel looks at its
 * thresholds once in NOTICE_PAGES pages of each processor, and all of them may be allocating.
 */
static bool notice_in_time(const struct target *t)
{
	uint64_t late = (uint64_t)sysconf(_SC_NPROCESSORS_CONF) * NOTICE_PAGES *
		(uint64_t)sysconf(_SC_PAGESIZE);

	return late <= sub_floor(t->notice_limit, t->engine.thresholds.trip_bytes) / 2;
}

/* A runtime's rule moves the trip; a small way is not worth new registrations: we poll as well. */
static bool has_moved(const struct target *t)
{
	uint64_t now = t->engine.thresholds.trip_bytes;
	uint64_t way = now > t->notice_trip ? now - t->notice_trip : t->notice_trip - now;

	return t->notice_limit != SIZE_UNLIMITED && way > t->notice_limit / NOTICE_WAY;
}

void target_register_notices(struct target *t)
{
	const struct thresholds *th = &t->engine.thresholds;
	const uint64_t bytes[WATCH_NOTICES_MAX] = {th->arm_bytes, th->trip_bytes, 0};

	if (t->engine.last.limit_bytes == t->notice_limit && !has_moved(t))
		return;
	drop_notices(t);
	t->notice_limit = t->engine.last.limit_bytes;
	t->notice_trip = th->trip_bytes;
	t->engine.means.kernel_notice = false;
	if (t->notice_limit == SIZE_UNLIMITED)
		return;
	for (uint32_t i = 0; i < WATCH_NOTICES_MAX; i++)
		if (add_notice(t, i, bytes[i]) != 0)
			return; /* not on v2, nor in a sidecar: polling alone */
	t->engine.means.kernel_notice = notice_in_time(t);
}
