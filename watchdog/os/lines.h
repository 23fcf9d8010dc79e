/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of a long kernel file (maps, smaps), through one buffer that the caller brings.
 */
#ifndef OOMSNAP_OS_LINES_H
#define OOMSNAP_OS_LINES_H

#include <stdbool.h>
#include <stddef.h>

struct lines {
	int fd; /* the caller's */
	char *buffer;
	size_t size;
	size_t at;  /* of the next line */
	size_t len; /* bytes in the buffer */
	int error;  /* negative errno of a failed read */
	bool ended;
};

void lines_init(struct lines *l, int fd, char *buffer, size_t size);

/*
 * The next line without its newline, valid until the next call; false at the end or after an error
 * (then l->error says so). A line that does not fit in the buffer is skipped.
 */
bool lines_next(struct lines *l, const char **ret, size_t *ret_len);

#endif
