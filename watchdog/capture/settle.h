/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a capture does once the process has been let go, and the captures that wait for it: see
 * settle.c. Private to capture/.
 */
#ifndef OOMSNAP_CAPTURE_SETTLE_H
#define OOMSNAP_CAPTURE_SETTLE_H

#include "capture/run.h"

/* For capture_new(). 0 or -ENOMEM. settle_free() accepts NULL. */
struct settle;
int settle_new(struct settle **ret);
void settle_free(struct settle *settle);

/*
 * The end of capture_run() with a core on disk: our own note says what became of it, and its data
 * is made durable, unless request.set_aside leaves that to capture_take_up(). Fills what was open
 * in run->result.
 */
void settle(struct run *run);

/* What the cores that are set aside take on disk. */
uint64_t settle_aside_bytes(const struct capture *c);

#endif
