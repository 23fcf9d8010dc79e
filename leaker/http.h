/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP service. See http.c.
 */
#ifndef OOMSNAP_LEAKER_HTTP_H
#define OOMSNAP_LEAKER_HTTP_H

#include "leak.h"

struct MHD_Daemon;

struct http {
	struct leak *leak;
	struct pattern_plan defaults; /* what a query does not say */
	struct MHD_Daemon *daemon;
};

/*
 * Serves requests on a listening socket, which it owns from then on, on a thread of its own.
 * 0 or a negative errno.
 */
int http_start(
	struct http *http, struct leak *leak, const struct pattern_plan *defaults, int listen_fd);

/* Ends the thread and closes the connections. Accepts one that was never started. */
void http_stop(struct http *http);

#endif
