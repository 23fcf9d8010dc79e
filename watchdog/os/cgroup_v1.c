// SPDX-License-Identifier: Apache-2.0
/*
 * The memory controller of cgroup v1 (Documentation/admin-guide/cgroup-v1/memory.rst).
 *
 * memory.oom_control is shield and witness in one: with oom_kill_disable set, tasks that hit the
 * limit in a user fault sleep in the kernel (under_oom 1) and nothing dies. cgroup.event_control
 * registers eventfds for usage thresholds and for OOM. Raising the limit needs memory.memsw raised
 * first, as the kernel keeps limit <= memsw. The freezer of v1 makes ptrace impossible, so a freeze
 * here goes through the v2 tree that hybrid hosts mount beside, and only where the target's
 * processes have a directory there of their own.
 */
#include "os/cgroup_ops.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "os/fd.h"
#include "parse/memcg.h"

#define EVENTS_TEXT_MAX 512
#define FREEZE_PIDS_MAX 1024 /* more processes than this are stopped by signal instead */

static int events(const struct cgroup_level *level, bool own, struct sample *sample)
{
	char text[EVENTS_TEXT_MAX];
	uint64_t value;
	ssize_t n = fd_read_piece(level->events_fd, text, sizeof(text));

	if (n < 0)
		return cgroup_error((int)n);
	if (parse_keyed_u64(text, (size_t)n, "under_oom", &value) && value)
		sample->under_oom = true;
	if (own && parse_keyed_u64(text, (size_t)n, "oom_kill", &value))
		sample->oom_kills += value;
	return 0;
}

static int plan_shield(
	const struct cgroup_level *level, struct cgroup_change *changes, uint32_t *ret_count)
{
	char text[EVENTS_TEXT_MAX];
	uint64_t disabled;
	struct str path;
	ssize_t n = fd_read_text(level->events_fd, text, sizeof(text));

	*ret_count = 0;
	if (n < 0)
		return cgroup_error((int)n);
	if (!parse_keyed_u64(text, (size_t)n, "oom_kill_disable", &disabled))
		return CGROUP_BAD_VALUE;
	if (disabled) /* somebody else's doing: not ours to undo */
		return 0;
	str_init(&path, changes[0].path, sizeof(changes[0].path));
	if (!str_addf(&path, "%s/memory.oom_control", level->path))
		return -ENAMETOOLONG;
	(void)str_copy(changes[0].old_value, CGROUP_VALUE_MAX, "0");
	(void)str_copy(changes[0].new_value, CGROUP_VALUE_MAX, "1");
	*ret_count = 1;
	return 0;
}

static int plan_lease(const struct cgroup_level *level, uint64_t bytes,
	struct cgroup_change *changes, uint32_t *ret_count)
{
	char value[CGROUP_VALUE_MAX];
	uint64_t limit;
	uint64_t memsw;
	int r = cgroup_read_value(level, "memory.limit_in_bytes", &limit);

	*ret_count = 0;
	if (r != 0)
		return r;
	if (limit == SIZE_UNLIMITED)
		return 0;
	if (cgroup_read_value(level, "memory.memsw.limit_in_bytes", &memsw) == 0 &&
		memsw != SIZE_UNLIMITED) {
		(void)snprintf(value, sizeof(value), "%" PRIu64, memsw + bytes);
		r = cgroup_change_add(
			level, "memory.memsw.limit_in_bytes", value, changes, ret_count);
		if (r != 0)
			return r;
	}
	(void)snprintf(value, sizeof(value), "%" PRIu64, limit + bytes);
	return cgroup_change_add(level, "memory.limit_in_bytes", value, changes, ret_count);
}

static int plan_brake(const struct cgroup_level *level, uint64_t bytes,
	struct cgroup_change *changes, uint32_t *ret_count)
{
	(void)level;
	(void)bytes;
	(void)changes;
	(void)ret_count;
	return CGROUP_UNSUPPORTED;
}

/* Whether the two sets of pids are the same (each without duplicates, in any order). */
static bool same_pids(const pid_t *a, uint32_t a_count, const pid_t *b, uint32_t b_count)
{
	if (a_count != b_count)
		return false;
	for (uint32_t i = 0; i < a_count; i++) {
		uint32_t j = 0;

		while (j < b_count && b[j] != a[i])
			j++;
		if (j == b_count)
			return false;
	}
	return true;
}

static int plan_freeze(const struct cgroup *cg, struct cgroup_change *changes, uint32_t *ret_count)
{
	struct cgroup_level twin = {.dir_fd = -1};
	_cleanup_close_ int dir_fd = -1;
	pid_t pids[FREEZE_PIDS_MAX];
	pid_t twin_pids[FREEZE_PIDS_MAX];
	uint32_t count;
	uint32_t twin_count;
	int r;

	*ret_count = 0;
	r = cgroup_pids(cg, pids, FREEZE_PIDS_MAX, &count);
	if (r != 0)
		return r == -E2BIG ? CGROUP_UNSUPPORTED : r;
	if (count == 0)
		return CGROUP_UNSUPPORTED;
	if (cgroup_dir_of(pids[0], /* controller= */ NULL, twin.path, sizeof(twin.path)) != 0)
		return CGROUP_UNSUPPORTED;
	dir_fd = open(twin.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return CGROUP_UNSUPPORTED;
	r = cgroup_pids_below(dir_fd, twin_pids, FREEZE_PIDS_MAX, &twin_count);
	if (r != 0 || !same_pids(pids, count, twin_pids, twin_count))
		return CGROUP_UNSUPPORTED;
	twin.dir_fd = dir_fd;
	r = cgroup_change_add(&twin, "cgroup.freeze", "1", changes, ret_count);
	return r == CGROUP_GONE ? CGROUP_UNSUPPORTED
				: r; /* the root of the tree has no such file */
}

static int kill_all(const struct cgroup_level *level)
{
	(void)level;
	return CGROUP_UNSUPPORTED;
}

static int notice(const struct cgroup_level *level, uint64_t bytes, int *ret_fd)
{
	_cleanup_close_ int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	char line[96];
	int r;

	if (fd < 0)
		return -errno;
	if (bytes)
		(void)snprintf(line, sizeof(line), "%d %d %llu", fd, level->current_fd,
			(unsigned long long)bytes);
	else
		(void)snprintf(line, sizeof(line), "%d %d", fd, level->events_fd);
	r = fd_write_text_at(level->dir_fd, "cgroup.event_control", line);
	if (r == -EACCES || r == -EROFS || r == -EPERM)
		return CGROUP_UNSUPPORTED;
	if (r != 0)
		return cgroup_error(r);
	*ret_fd = take_fd(&fd);
	return 0;
}

const struct cgroup_ops cgroup_v1_ops = {
	.version = "v1",
	.current_file = "memory.usage_in_bytes",
	.limit_file = "memory.limit_in_bytes",
	.events_file = "memory.oom_control",
	.pressure_file = NULL,
	.cache_keys = {"total_inactive_file", "total_active_file", "total_dirty",
		"total_writeback"},
	.shields_processes = false,
	.events = events,
	.plan_shield = plan_shield,
	.plan_lease = plan_lease,
	.plan_brake = plan_brake,
	.plan_freeze = plan_freeze,
	.kill = kill_all,
	.notice = notice,
};
