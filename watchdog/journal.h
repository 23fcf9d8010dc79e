/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends entries to the system's journal by its native protocol, without ever waiting for it.
 */
#ifndef OOMSNAP_JOURNAL_H
#define OOMSNAP_JOURNAL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define JOURNAL_FIELDS_MAX 64

/* One field: the name in capitals, digits and underscores; the data may be any bytes. */
struct journal_field {
	const char *name;
	const char *data;
	size_t len;
};

struct journal {
	int fd; /* -1: closed */
	struct sockaddr_un address;
};

#define JOURNAL_CLOSED   \
	{                \
		.fd = -1 \
	}

/*
 * Opens a socket and makes sure that somebody listens at path (NULL: JOURNAL_SOCKET). 0, or a
 * negative errno: -ENOENT without a journal, -ECONNREFUSED with a stale socket, -EACCES,
 * -ENAMETOOLONG. j must be closed.
 */
int journal_open(struct journal *j, const char *path);
void journal_close(struct journal *j); /* idempotent */

/*
 * Sends one entry of at most JOURNAL_FIELDS_MAX fields (asserted). Allocates nothing, and does not
 * block: an entry too large for a datagram goes through a sealed memory file. Survives a restart of
 * the journal. 0, or a negative errno: -EAGAIN while the journal does not keep up, -ENOENT or
 * -ECONNREFUSED while it is away.
 */
int journal_send(struct journal *j, const struct journal_field *fields, size_t count);

#endif
