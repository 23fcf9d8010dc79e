// SPDX-License-Identifier: Apache-2.0
/*
 * Reads and writes on descriptors. See fd.h for the contract.
 *
 * pread from offset 0 makes a held-open control file give fresh text each time (seq_file restarts
 * there), which saves an open and a close in every sample.
 */
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

ssize_t fd_read_text(int fd, char *buffer, size_t size)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = pread(fd, buffer + have, size - have, (off_t)have);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

ssize_t fd_read_piece(int fd, char *buffer, size_t size)
{
	ssize_t n;

	do {
		n = pread(fd, buffer, size, 0);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

ssize_t fd_read_text_at(int dir_fd, const char *name, char *buffer, size_t size)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return -errno;
	return fd_read_text(fd, buffer, size);
}

int fd_open_in(int dir_fd, const char *name, int flags)
{
	struct open_how how = {.flags = (uint32_t)(flags | O_CLOEXEC | O_NOFOLLOW),
		.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS};
	long fd = syscall(SYS_openat2, dir_fd, name, &how, sizeof(how));

	if (fd < 0 &&
		(errno == ENOSYS || errno == EPERM)) /* EPERM: a seccomp filter older than it */
		fd = openat(dir_fd, name, flags | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : (int)fd;
}

ssize_t fd_read_text_in(int dir_fd, const char *name, char *buffer, size_t size)
{
	_cleanup_close_ int fd = fd_open_in(dir_fd, name, O_RDONLY | O_NOCTTY);

	return fd < 0 ? fd : fd_read_text(fd, buffer, size);
}

int fd_write_text(int fd, const char *text, size_t len)
{
	ssize_t n;

	do {
		n = write(fd, text, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

int fd_write_all(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_write_all_at(int fd, const void *bytes, size_t len, uint64_t offset)
{
	const char *at = bytes;

	while (len) {
		ssize_t n = pwrite(fd, at, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENOSPC;
		at += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int fd_write_text_at(int dir_fd, const char *path, const char *text)
{
	_cleanup_close_ int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	return fd_write_text(fd, text, strlen(text));
}

void fd_ensure_standard(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	while (fd >= 0 && fd <= STDERR_FILENO) {
		int flags = fcntl(fd, F_GETFD);

		(void)fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC); /* it stands in for 0, 1 or 2 */
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	}
	if (fd > STDERR_FILENO)
		(void)close(fd);
}
