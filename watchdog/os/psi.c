// SPDX-License-Identifier: Apache-2.0
/*
 * Pressure triggers. See psi.h for the contract.
 *
 * A trigger is made by writing "some STALL WINDOW" into a pressure file and lives as long as that
 * descriptor. The nearest place that allows one is taken: the target's own cgroup, then the machine
 * (whose pressure tells of the target's too, among others), then nothing: the watchdog polls in any
 * case, and more often the nearer a target is to its limit, so that a trigger only shortens the way
 * from an idle second to the first look. What it adds is the page cache: a target that reclaims at
 * its limit waits for memory long before its used memory says anything.
 *
 * Some kernels check CAP_SYS_RESOURCE at the open, some at the write, newer ones take windows of
 * 2 s from everybody: so it is tried, not computed. The directory may be a view through the
 * target's own root, under its control: nothing is written before the file is seen to lie on a
 * cgroup file system, and a pipe put in its place does not hold us up.
 */
#include "os/psi.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "os/fd.h"

const char *psi_source_name(enum psi_source v)
{
#define X(id, name) name,
	static const char *const names[] = {PSI_SOURCES(X)};
#undef X

	return (unsigned int)v < ARRAY_LEN(names) ? names[v] : "?";
}

static bool on_cgroup2(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
}

/* One trigger in one file; a second one for the same descriptor would be refused with EBUSY. */
static int open_window(
	int dir_fd, const char *file, bool is_cgroup, uint32_t window_us, int *ret_fd)
{
	const int flags = O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY;
	_cleanup_close_ int fd = is_cgroup ? fd_open_in(dir_fd, file, flags) : open(file, flags);
	char text[64];
	struct str s;
	int r;

	if (fd < 0)
		return is_cgroup ? fd : -errno;
	if (is_cgroup && !on_cgroup2(fd))
		return -EXDEV;
	str_init(&s, text, sizeof(text));
	(void)str_addf(&s, "some %" PRIu32 " %" PRIu32, PSI_STALL_US, window_us); /* fits */
	r = fd_write_text(fd, text, s.len + 1); /* the kernel overwrites the last byte with 0 */
	if (r < 0)
		return r;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int open_place(int dir_fd, const char *file, bool is_cgroup, struct psi_trigger *ret)
{
	static const uint32_t windows_us[] = {PSI_WINDOW_US, PSI_WINDOW_UNPRIVILEGED_US};
	int r = -EINVAL;

	for (size_t i = 0; i < ARRAY_LEN(windows_us); i++) {
		r = open_window(dir_fd, file, is_cgroup, windows_us[i], &ret->fd);
		if (r == 0)
			ret->window_us = windows_us[i];
		if (r != -EINVAL && r != -EPERM)
			break; /* another window does not mend it */
	}
	return r;
}

void psi_open(int dir_fd, const char *machine_path, struct psi_trigger *ret)
{
	int r = -EOPNOTSUPP;

	*ret = (struct psi_trigger){.fd = -1, .source = PSI_NONE};
	if (dir_fd >= 0)
		r = open_place(dir_fd, "memory.pressure", /* is_cgroup= */ true, ret);
	if (r == 0) {
		ret->source = PSI_TARGET;
		return;
	}
	ret->error = r;
	r = open_place(AT_FDCWD, machine_path, /* is_cgroup= */ false, ret);
	if (r == 0)
		ret->source = PSI_MACHINE;
	else
		ret->error = r;
}
