/* SPDX-License-Identifier: Apache-2.0 */
/* The part of `oomsnap events` that can be tested without a journal. */
#ifndef OOMSNAP_CMD_EVENTS_H
#define OOMSNAP_CMD_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The point in time (microseconds since 1970) that --since means: a time ago (90s, 30m, 2h, 7d),
 * a local date (2026-01-31) with or without a time (2026-01-31 13:30, 2026-01-31T13:30:05), or @
 * and seconds since 1970. False for anything else, or if it lies before 1970.
 */
bool cmd_events_since(const char *text, uint64_t now_us, uint64_t *ret_us);

#endif
