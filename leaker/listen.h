/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the service listens. See listen.c.
 */
#ifndef OOMSNAP_LEAKER_LISTEN_H
#define OOMSNAP_LEAKER_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>

struct listen_address {
	struct sockaddr_storage storage;
	socklen_t len; /* 0: none was parsed */
};

/* Longest text that listen_format() makes: an IPv6 address, brackets, colon and port. */
#define LISTEN_TEXT_BYTES 64

/* Numeric ADDR:PORT, an IPv6 address in brackets: false if the text is neither. Names are not
 * looked up. */
bool listen_parse(const char *text, struct listen_address *ret_address);

/*
 * Opens a non-blocking listening socket and puts its address, with the port that the kernel chose
 * if 0 was asked for, into *ret_bound. The descriptor, owned by the caller, or a negative errno.
 */
int listen_open(const struct listen_address *address, struct listen_address *ret_bound);

void listen_format(const struct listen_address *address, char text[static LISTEN_TEXT_BYTES]);

#endif
