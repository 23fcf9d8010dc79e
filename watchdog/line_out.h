/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes lines to a descriptor that somebody else gave us (stderr), without ever waiting for the
 * other end, without a signal when it is gone, and without changing the flags of the descriptor,
 * which our parent and its other children may share.
 */
#ifndef OOMSNAP_LINE_OUT_H
#define OOMSNAP_LINE_OUT_H

#include <stdbool.h>
#include <stddef.h>

enum line_out_way {
	LINE_OUT_WRITE,	 /* a regular file, or opened by us with O_NONBLOCK */
	LINE_OUT_SOCKET, /* send(), MSG_DONTWAIT */
	LINE_OUT_POLL,	 /* ask before each piece of at most PIPE_BUF bytes */
};

struct line_out {
	int fd; /* -1: closed */
	enum line_out_way way;
	bool owned;
	bool torn; /* the last line went out in part */
};

#define LINE_OUT_CLOSED  \
	{                \
		.fd = -1 \
	}

/* Takes fd as it is (borrowed). 0, or a negative errno: -EBADF. o must be closed. */
int line_out_open(struct line_out *o, int fd);
void line_out_close(struct line_out *o); /* idempotent */

/*
 * Writes one line, whose newline is included, in one system call where the receiver allows it. 0,
 * or a negative errno with the line lost: -EAGAIN the receiver does not keep up, -EPIPE it is gone.
 * A line that went out in part is lost too; the next one begins on a line of its own.
 */
int line_out_write(struct line_out *o, const char *line, size_t len);

#endif
