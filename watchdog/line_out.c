// SPDX-License-Identifier: Apache-2.0
/*
 * Lines to a borrowed descriptor, without waiting.
 *
 * The obvious way, O_NONBLOCK on stderr, is not ours to take: the flag belongs to the open file
 * description, which the shell and our siblings share, and their writes would begin to fail. So the
 * way depends on what the descriptor is:
 *
 *   socket          send() with MSG_DONTWAIT and MSG_NOSIGNAL
 *   pipe, terminal  opened again through /proc/self/fd, which makes a description of our own that
 *                   can be non-blocking
 *   the same, where that is refused (another user's pipe, no /proc): poll() before each piece of at
 *                   most PIPE_BUF bytes; pipe(7): a pipe that polls writable takes that much
 *   regular file    written as it is: opening it again would begin at offset 0 and overwrite
 *
 * A pipe without a reader raises SIGPIPE. The signal is blocked for the time of the write, and one
 * that the write raised is taken away, so that no handler of the process is changed and commands
 * that we start inherit nothing.
 *
 * Limit: in the third way a second writer of the same pipe can fill it between poll and write; then
 * the write waits for the reader.
 */
#include "line_out.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

int line_out_open(struct line_out *o, int fd)
{
	char path[32];
	struct stat st;
	struct str s;
	int again;

	assert(o->fd < 0);
	if (fstat(fd, &st) < 0)
		return -errno;
	*o = (struct line_out){.fd = fd, .way = LINE_OUT_WRITE};
	if (S_ISREG(st.st_mode))
		return 0;
	if (S_ISSOCK(st.st_mode)) {
		o->way = LINE_OUT_SOCKET;
		return 0;
	}
	str_init(&s, path, sizeof(path));
	(void)str_add(&s, "/proc/self/fd/");
	(void)str_add_u64(&s, (uint64_t)fd); /* fits */
	again = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (again < 0) {
		o->way = LINE_OUT_POLL;
	} else {
		o->fd = again;
		o->owned = true;
	}
	return 0;
}

void line_out_close(struct line_out *o)
{
	if (o->owned)
		cleanup_close(&o->fd);
	*o = (struct line_out)LINE_OUT_CLOSED;
}

/* write(), with SIGPIPE kept from the process. */
static ssize_t write_quietly(int fd, const char *data, size_t len)
{
	const struct timespec now = {0};
	sigset_t pipe_set;
	sigset_t pending;
	sigset_t old;
	ssize_t n;
	int error;

	(void)sigemptyset(&pipe_set); /* neither can fail with a valid signal number */
	(void)sigaddset(&pipe_set, SIGPIPE);
	if (sigpending(&pending) < 0 || pthread_sigmask(SIG_BLOCK, &pipe_set, &old) != 0)
		return -1;
	n = write(fd, data, len);
	error = errno;
	if (n < 0 && error == EPIPE && !sigismember(&pending, SIGPIPE))
		while (sigtimedwait(&pipe_set, NULL, &now) < 0 && errno == EINTR)
			;
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL); /* as above */
	errno = error;
	return n;
}

static bool is_writable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, 0) == 1 && (p.revents & (POLLOUT | POLLERR));
}

/* One piece; the number of bytes taken or a negative errno. */
static ssize_t put(const struct line_out *o, const char *data, size_t len)
{
	ssize_t n = -1;

	switch (o->way) {
	case LINE_OUT_SOCKET:
		n = send(o->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case LINE_OUT_POLL:
		if (!is_writable(o->fd))
			return -EAGAIN;
		n = write_quietly(o->fd, data, len < PIPE_BUF ? len : PIPE_BUF);
		break;
	case LINE_OUT_WRITE:
		n = write_quietly(o->fd, data, len);
		break;
	}
	return n < 0 ? -errno : n;
}

int line_out_write(struct line_out *o, const char *line, size_t len)
{
	size_t done = 0;

	if (o->fd < 0)
		return -EBADF;
	if (o->torn) {
		ssize_t n = put(o, "\n", 1);

		if (n < 0)
			return (int)n;
		o->torn = false;
	}
	while (done < len) {
		ssize_t n = put(o, line + done, len - done);

		if (n == -EINTR)
			continue;
		if (n <= 0) {
			o->torn = done > 0;
			return n < 0 ? (int)n : -EAGAIN;
		}
		done += (size_t)n;
	}
	return 0;
}
