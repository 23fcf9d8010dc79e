// SPDX-License-Identifier: Apache-2.0
/*
 * A container's termination log. See termination.h for the contract.
 *
 * The kubelet bind-mounts a file of the node into the container, and reads it when the container
 * has ended; so what is written there while the process is held outlives it. We reach the file
 * through the process's root, which is under the container's control: the path is resolved inside
 * that root (openat2(2), RESOLVE_IN_ROOT, no symbolic link at all), must be a regular file with one
 * name, and is opened so that a FIFO in its place keeps nobody waiting. What the program wrote
 * itself stays: we append. The kubelet shows the last 4096 bytes, so a file of that length gets no
 * more from us.
 */
#include "os/termination.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/fd.h"

#define SHOWN_BYTES 4096 /* kubelet: MaxContainerTerminationMessageLength */

int termination_write(pid_t pid, const char *line)
{
	struct open_how how = {.flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	_cleanup_close_ int root = -1;
	_cleanup_close_ int fd = -1;
	char path[32];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return errno == ENOENT || errno == ESRCH ? TERMINATION_NONE : -errno;
	fd = (int)syscall(SYS_openat2, root, TERMINATION_PATH, &how, sizeof(how));
	if (fd < 0)
		return errno == ENOENT			   ? TERMINATION_NONE
			: errno == ENXIO || errno == ELOOP ? -EXDEV
							   : -errno;
	if (fstat(fd, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_nlink > 1)
		return -EXDEV;
	if (st.st_size + (off_t)strlen(line) > SHOWN_BYTES)
		return -EFBIG;
	return fd_write_text(fd, line, strlen(line));
}
