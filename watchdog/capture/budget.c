// SPDX-License-Identifier: Apache-2.0
/*
 * The budget of page cache.
 *
 * The page cache of a core is charged to the cgroup of the process that writes it: ours. Three
 * things bound it:
 *   the machine     a quarter of what /proc/meminfo calls available; the rest is for those who make
 *                   it short just now
 *   our own limit   half of the room below it. In a sidecar of 64 MiB that is some 20 MiB: the core
 *                   is written past the page cache, or, where its file system cannot do that, in
 *                   small windows that are waited for and dropped (sink.c)
 *   the target      where it runs in our cgroup, or below it, its limit is ours, and a page of
 *                   cache is one that it does not have: an eighth of the room, at most 16 MiB. The
 *                   kernel would drop clean cache before it kills anybody, but dirty cache it can
 *                   only wait for, and a shielded target would wait with it.
 *
 * Beside it stands how much may be written to the page cache before the kernel holds writers back:
 * half way between the two thresholds of dirty memory (dirty_freerun_ceiling() in
 * mm/page-writeback.c, vm.dirty_ratio), less what is dirty now.
 *
 * Swapped pages that are read come back into memory, charged to the target, and where there is no
 * room for them below its limit the kernel swaps others out, or kills it: they are read only where
 * all of them fit.
 *
 * Limits: looked at once for each capture. Our room is unknown where our cgroup's files cannot be
 * read; then the machine alone counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "capture/budget.h"
#include "os/cgroup.h"
#include "os/fd.h"

#define MACHINE_SHARE 4 /* of MemAvailable */
#define OWN_SHARE 2	/* of the room below our own limit */
#define TARGET_SHARE 8	/* of the same where it is the target's, too */
#define TARGET_MAX_BYTES (16ULL << 20)
/* Beside swapped pages: page tables for them, what is read around them, and who else runs there. */
#define SWAP_SPARE_BYTES (4ULL << 20)
#define FREERUN_SHARE 8	  /* of the room below our own limit, which has dirty limits of its own */
#define VMSTAT_BYTES 8192 /* what is looked for stands in its first half */

/* The number behind key in text, 0 where it is not there. */
static uint64_t number_of(const char *text, const char *key)
{
	const char *at = strstr(text, key);
	uint64_t n = 0;

	if (!at)
		return 0;
	for (at += strlen(key); *at == ' '; at++)
		;
	for (; *at >= '0' && *at <= '9' && n < UINT64_MAX / 20480; at++)
		n = n * 10 + (uint64_t)(*at - '0');
	return n;
}

static bool read_text(const char *path, char *text, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fd_read_text(fd, text, size - 1);

	text[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static uint64_t available_bytes(void)
{
	char text[512]; /* the third line */

	return read_text("/proc/meminfo", text, sizeof(text))
		? number_of(text, "MemAvailable:") * 1024
		: 0;
}

uint64_t budget_freerun(const char *vmstat, uint64_t page_bytes)
{
	uint64_t ceiling = number_of(vmstat, "\nnr_dirty_threshold ") / 2 +
		number_of(vmstat, "\nnr_dirty_background_threshold ") / 2;
	uint64_t dirty = number_of(vmstat, "\nnr_dirty ") + number_of(vmstat, "\nnr_writeback ");

	return sub_floor(ceiling, dirty) * page_bytes;
}

static uint64_t freerun_bytes(uint64_t room)
{
	char text[VMSTAT_BYTES];
	uint64_t bytes = 0;

	if (read_text("/proc/vmstat", text, sizeof(text)))
		bytes = budget_freerun(text, (uint64_t)sysconf(_SC_PAGESIZE));
	return room == SIZE_UNLIMITED ? bytes : min_u64(bytes, room / FREERUN_SHARE);
}

uint64_t budget_share(uint64_t available, uint64_t room, bool own_cgroup)
{
	uint64_t bytes = available / MACHINE_SHARE;

	if (room != SIZE_UNLIMITED)
		bytes = min_u64(bytes, room / OWN_SHARE);
	if (room != SIZE_UNLIMITED && own_cgroup)
		bytes = min_u64(bytes, min_u64(room / TARGET_SHARE, TARGET_MAX_BYTES));
	return max_u64(bytes, BUDGET_MIN_BYTES);
}

uint64_t budget_target_room(pid_t target)
{
	char dir[TARGET_PATH_MAX];
	uint64_t room;
	int r = cgroup_of_pid(target, dir, sizeof(dir));

	if (r == 0)
		r = cgroup_room(dir, &room);
	if (r == CGROUP_NO_MEMORY)
		return SIZE_UNLIMITED;
	return r == 0 ? room : 0;
}

bool budget_swap_fits(uint64_t swap_bytes, uint64_t room_bytes)
{
	return room_bytes == SIZE_UNLIMITED || add_sat(swap_bytes, SWAP_SPARE_BYTES) <= room_bytes;
}

/* Whether dir is ours or below it. */
static bool is_below(const char *dir, const char *ours)
{
	size_t n = strlen(ours);

	return str_has_prefix(dir, ours) && (!dir[n] || dir[n] == '/' || ours[n - 1] == '/');
}

void budget_look(pid_t target, struct capture_result *ret)
{
	char ours[TARGET_PATH_MAX];
	char theirs[TARGET_PATH_MAX];
	uint64_t room = SIZE_UNLIMITED;

	if (cgroup_of_pid(getpid(), ours, sizeof(ours)) != 0 || cgroup_room(ours, &room) != 0)
		room = SIZE_UNLIMITED; /* nobody tells */
	/* Without a limit of ours there is none that a target below us could reach because of us.
	 */
	ret->own_cgroup = room != SIZE_UNLIMITED &&
		cgroup_of_pid(target, theirs, sizeof(theirs)) == 0 && is_below(theirs, ours);
	ret->cache_bytes = budget_share(available_bytes(), room, ret->own_cgroup);
	ret->freerun_bytes = freerun_bytes(room);
}
