// SPDX-License-Identifier: Apache-2.0
/*
 * cgroup v2 (Documentation/admin-guide/cgroup-v2.rst).
 *
 * memory.events of the cgroup itself counts kills below it; of an ancestor only what happened at
 * its own level matters here (memory.events.local), since siblings count in the rest. There is no
 * OOM switch in v2: the shield is oom_score_adj, process by process (os/shield.c).
 */
#include "os/cgroup_ops.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "os/fd.h"
#include "parse/memcg.h"

#define EVENTS_TEXT_MAX 512

static int events(const struct cgroup_level *level, bool own, struct sample *sample)
{
	char text[EVENTS_TEXT_MAX];
	uint64_t value;
	ssize_t n = own ? fd_read_piece(level->events_fd, text, sizeof(text))
			: fd_read_text_in(level->dir_fd, "memory.events.local", text, sizeof(text));

	if (n < 0)
		return own ? cgroup_error((int)n)
			   : 0; /* .local came with 5.2; its lack costs a hint */
	if (parse_keyed_u64(text, (size_t)n, "oom", &value))
		sample->oom_events += value;
	if (own && parse_keyed_u64(text, (size_t)n, "oom_kill", &value))
		sample->oom_kills += value;
	return 0;
}

static int plan_shield(
	const struct cgroup_level *level, struct cgroup_change *changes, uint32_t *ret_count)
{
	(void)level;
	(void)changes;
	(void)ret_count;
	return CGROUP_UNSUPPORTED;
}

static int plan_lease(const struct cgroup_level *level, uint64_t bytes,
	struct cgroup_change *changes, uint32_t *ret_count)
{
	char value[CGROUP_VALUE_MAX];
	uint64_t high;
	uint64_t max;
	int r = cgroup_read_value(level, "memory.max", &max);

	if (r != 0)
		return r;
	*ret_count = 0;
	if (max == SIZE_UNLIMITED)
		return 0;
	(void)snprintf(value, sizeof(value), "%" PRIu64, max + bytes);
	r = cgroup_change_add(level, "memory.max", value, changes, ret_count);
	if (r != 0)
		return r;
	/* A memory.high below the new limit would throttle what the lease is to let through. */
	if (cgroup_read_value(level, "memory.high", &high) == 0 && high != SIZE_UNLIMITED) {
		(void)snprintf(value, sizeof(value), "%" PRIu64, high + bytes);
		return cgroup_change_add(level, "memory.high", value, changes, ret_count);
	}
	return 0;
}

static int plan_brake(const struct cgroup_level *level, uint64_t bytes,
	struct cgroup_change *changes, uint32_t *ret_count)
{
	char value[CGROUP_VALUE_MAX];
	uint64_t high;
	int r = cgroup_read_value(level, "memory.high", &high);

	*ret_count = 0;
	if (r != 0)
		return r;
	if (high <= bytes) /* somebody brakes harder already (kubelet's MemoryQoS) */
		return 0;
	(void)snprintf(value, sizeof(value), "%llu", (unsigned long long)bytes);
	return cgroup_change_add(level, "memory.high", value, changes, ret_count);
}

static int plan_freeze(const struct cgroup *cg, struct cgroup_change *changes, uint32_t *ret_count)
{
	*ret_count = 0;
	return cgroup_change_add(&cg->level[0], "cgroup.freeze", "1", changes, ret_count);
}

static int kill_all(const struct cgroup_level *level)
{
	int r = fd_write_text_at(level->dir_fd, "cgroup.kill", "1");

	return r == -ENOENT ? CGROUP_UNSUPPORTED : cgroup_error(r); /* came with 5.14 */
}

static int notice(const struct cgroup_level *level, uint64_t bytes, int *ret_fd)
{
	(void)level;
	(void)bytes;
	(void)ret_fd;
	return CGROUP_UNSUPPORTED;
}

const struct cgroup_ops cgroup_v2_ops = {
	.version = "v2",
	.current_file = "memory.current",
	.limit_file = "memory.max",
	.events_file = "memory.events",
	.pressure_file = "memory.pressure",
	.cache_keys = {"inactive_file", "active_file", "file_dirty", "file_writeback"},
	.shields_processes = true,
	.events = events,
	.plan_shield = plan_shield,
	.plan_lease = plan_lease,
	.plan_brake = plan_brake,
	.plan_freeze = plan_freeze,
	.kill = kill_all,
	.notice = notice,
};
