// SPDX-License-Identifier: Apache-2.0
/*
 * Lines of a long kernel file.
 *
 * Files like smaps are megabytes of text that the kernel makes while it is read, at most a page per
 * read(2), in whole records. They are taken through one fixed buffer; what is left of a cut line
 * moves to the front before more is read. Nothing is allocated, so this works while a target is
 * held.
 *
 * Limits: a line longer than the buffer is dropped; the kernel's longest is a path of one page.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "os/lines.h"

void lines_init(struct lines *l, int fd, char *buffer, size_t size)
{
	*l = (struct lines){.fd = fd, .buffer = buffer, .size = size};
}

/* More bytes behind those not yet taken. False at the end or after an error. */
static bool fill(struct lines *l)
{
	ssize_t n;

	if (l->at) {
		memmove(l->buffer, l->buffer + l->at, l->len - l->at);
		l->len -= l->at;
		l->at = 0;
	}
	if (l->len == l->size)
		l->len = 0; /* longer than the buffer: what follows is not parsed as a line either,
			       since it does not start like one */
	do {
		n = read(l->fd, l->buffer + l->len, l->size - l->len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		l->error = -errno;
	if (n <= 0) {
		l->ended = true;
		return false;
	}
	l->len += (size_t)n;
	return true;
}

bool lines_next(struct lines *l, const char **ret, size_t *ret_len)
{
	for (;;) {
		char *start = l->buffer + l->at;
		char *newline = memchr(start, '\n', l->len - l->at);

		if (newline) {
			*ret = start;
			*ret_len = (size_t)(newline - start);
			l->at += *ret_len + 1;
			return true;
		}
		if (!l->ended && fill(l))
			continue;
		if (l->error || l->at == l->len)
			return false;
		*ret = l->buffer + l->at; /* a last line without a newline */
		*ret_len = l->len - l->at;
		l->at = l->len;
		return true;
	}
}
