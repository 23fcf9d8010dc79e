// SPDX-License-Identifier: Apache-2.0
/*
 * The listening address: parsing, binding, printing.
 *
 * Only numeric addresses are taken. A resolver would mean libraries, files and waiting in a program
 * whose memory is to be known byte for byte, and a leaker is reached by address anyway. The socket
 * is made here rather than by the HTTP library so that it is close-on-exec from birth, and so that
 * port 0 can be asked for and the answer be logged.
 */
#include "listen.h"

#include "size.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 64

static bool parse_ipv4(const char *host, uint16_t port, struct listen_address *a)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&a->storage;

	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	a->len = sizeof(*in);
	return inet_pton(AF_INET, host, &in->sin_addr) == 1;
}

static bool parse_ipv6(const char *host, uint16_t port, struct listen_address *a)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a->storage;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	a->len = sizeof(*in6);
	return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1;
}

bool listen_parse(const char *text, struct listen_address *ret_address)
{
	struct listen_address a = {.len = 0};
	const char *colon = strrchr(text, ':');
	char host[LISTEN_TEXT_BYTES];
	uint64_t port;
	size_t len;
	bool ok;

	if (!colon || (size_t)(colon - text) >= sizeof(host))
		return false;
	if (size_parse_number(colon + 1, &port) != SIZE_OK || port > UINT16_MAX)
		return false;
	len = (size_t)(colon - text);
	memcpy(host, text, len);
	host[len] = '\0';
	if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		ok = parse_ipv6(host + 1, (uint16_t)port, &a);
	} else {
		ok = parse_ipv4(host, (uint16_t)port, &a);
	}
	if (ok)
		*ret_address = a;
	return ok;
}

int listen_open(const struct listen_address *address, struct listen_address *ret_bound)
{
	struct listen_address bound = {.len = sizeof(bound.storage)};
	int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, r;

	if (fd < 0)
		return -errno;
	/* a restart must not wait for connections of the last run; failing, it only has to wait */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (const struct sockaddr *)&address->storage, address->len) == 0 &&
		listen(fd, BACKLOG) == 0 &&
		getsockname(fd, (struct sockaddr *)&bound.storage, &bound.len) == 0) {
		*ret_bound = bound;
		return fd;
	}
	r = -errno;
	(void)close(fd); /* nothing came of it */
	return r;
}

void listen_format(const struct listen_address *address, char text[static LISTEN_TEXT_BYTES])
{
	char host[INET6_ADDRSTRLEN] = "?";
	unsigned port = 0;

	if (address->storage.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&address->storage;

		(void)inet_ntop(
			AF_INET, &in->sin_addr, host, sizeof(host)); /* the buffer is big enough */
		port = ntohs(in->sin_port);
	} else if (address->storage.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;

		(void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		port = ntohs(in6->sin6_port);
	}
	(void)snprintf(
		text, LISTEN_TEXT_BYTES, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
}
