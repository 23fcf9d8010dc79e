// SPDX-License-Identifier: Apache-2.0
/*
 * The native protocol of systemd-journald, sending side.
 *
 * One datagram is one entry. Every field is sent in the form that takes any bytes: its name, a
 * newline, the length as 64 bits little endian, the data, a newline (JOURNAL_NATIVE_PROTOCOL in
 * systemd's documentation). What does not fit into a datagram is written to a memory file, which is
 * sealed and passed as a descriptor with an empty datagram.
 *
 * Why not sd_journal_sendv(): it sends on a blocking socket, so a journald that is stopped, swapped
 * out or starved would stop the watchdog in the middle of an incident, once the socket's queue
 * (net.unix.max_dgram_qlen) is full; short of memory is exactly when that happens. And it returns
 * 0 where there is no journal, so that nothing could be told elsewhere instead. It does not
 * allocate; neither does this.
 *
 * The socket stays unconnected and each datagram carries the address, so that a restarted journald
 * is reached without anybody noticing.
 */
#include "journal.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

#define PIECES 5 /* iovecs of one field */
#define SEND_BUFFER_BYTES (8 << 20)

int journal_open(struct journal *j, const char *path)
{
	const int size = SEND_BUFFER_BYTES;
	_cleanup_close_ int probe = -1;
	_cleanup_close_ int fd = -1;

	assert(j->fd < 0);
	j->address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (!str_copy(
		    j->address.sun_path, sizeof(j->address.sun_path), path ? path : JOURNAL_SOCKET))
		return -ENAMETOOLONG;
	probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe < 0 || fd < 0)
		return -errno;
	if (connect(probe, (const struct sockaddr *)&j->address, sizeof(j->address)) < 0)
		return -errno;
	/* A wish: the kernel gives what net.core.wmem_max allows, and the memory file does the
	 * rest. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	j->fd = take_fd(&fd);
	return 0;
}

void journal_close(struct journal *j)
{
	cleanup_close(&j->fd);
	j->fd = -1;
}

static int write_all(int fd, const struct iovec *pieces, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const char *data = pieces[i].iov_base;
		size_t left = pieces[i].iov_len;

		while (left > 0) {
			ssize_t n = write(fd, data, left);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return -errno;
			data += n;
			left -= (size_t)n;
		}
	}
	return 0;
}

/* The whole entry as a sealed memory file; journald refuses one that could still change. */
static int send_as_file(struct journal *j, const struct iovec *pieces, size_t count)
{
	_cleanup_close_ int fd = memfd_create("journal-entry", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr message = {
		.msg_name = &j->address,
		.msg_namelen = sizeof(j->address),
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	int r;

	if (fd < 0)
		return -errno;
	r = write_all(fd, pieces, count);
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return -errno;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (sendmsg(j->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}

/* sendmsg() only reads what an iovec points to, but its type cannot say so. */
static struct iovec piece(const void *data, size_t len)
{
	union {
		const void *in;
		void *out;
	} pointer = {.in = data};

	return (struct iovec){pointer.out, len};
}

int journal_send(struct journal *j, const struct journal_field *fields, size_t count)
{
	struct iovec pieces[JOURNAL_FIELDS_MAX * PIECES];
	uint64_t lengths[JOURNAL_FIELDS_MAX];
	struct msghdr message = {
		.msg_name = &j->address,
		.msg_namelen = sizeof(j->address),
		.msg_iov = pieces,
		.msg_iovlen = count * PIECES,
	};

	assert(count > 0 && count <= JOURNAL_FIELDS_MAX);
	if (j->fd < 0)
		return -EBADF;
	for (size_t i = 0; i < count; i++) {
		struct iovec *p = pieces + i * PIECES;

		/* The length stands right behind the name's newline: "NAME\n<len><data>\n". */
		lengths[i] = htole64((uint64_t)fields[i].len);
		p[0] = piece(fields[i].name, strlen(fields[i].name));
		p[1] = piece("\n", 1);
		p[2] = piece(&lengths[i], sizeof(lengths[i]));
		p[3] = piece(fields[i].data, fields[i].len);
		p[4] = p[1];
	}
	if (sendmsg(j->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	if (errno != EMSGSIZE && errno != ENOBUFS)
		return -errno;
	return send_as_file(j, pieces, count * PIECES);
}
