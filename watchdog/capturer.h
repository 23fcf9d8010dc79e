/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The capturer process: forked by the watchdog ahead of need, everything allocated and locked, then
 * blocked on its socket. At trip time the watchdog sends one message; nothing is forked, exec'd or
 * allocated any more. One message is one datagram of a SOCK_SEQPACKET pair.
 *
 *     watchdog                         capturer
 *     CAPTURER_REQUEST   ---------->
 *                        <----------   CAPTURER_SEIZED     every thread in a ptrace stop
 *                        <----------   CAPTURER_COPIED     memory read, ptrace let go: release now
 *                        <----------   CAPTURER_DURABLE    or CAPTURER_FAILED, then idle again
 *     CAPTURER_RECORD    ---------->                       the incident as the watchdog saw it
 *                        <----------   CAPTURER_DONE       reports written (report_json.c,
 * report_html.c), renamed
 *
 * CAPTURER_FAILED ends an exchange: nothing is left on disk. The history ring is shared memory.
 * When the watchdog dies the capturer lets go of the target, and, if the guardian is dead as well,
 * undoes the ledger itself; then it finishes the bundle alone (record.orphaned) and exits.
 */
#ifndef OOMSNAP_CAPTURER_H
#define OOMSNAP_CAPTURER_H

#include <stdint.h>

#include "capture/capture.h"
#include "core/types.h"

enum capturer_message_kind {
	CAPTURER_REQUEST = 1,
	CAPTURER_SEIZED,
	CAPTURER_COPIED,
	CAPTURER_DURABLE,
	CAPTURER_FAILED,
	CAPTURER_RECORD,
	CAPTURER_DONE,
};

#define CAPTURER_WHY_MAX 512

struct capturer_message {
	uint32_t kind; /* enum capturer_message_kind */
	uint32_t incident;
	union {
		struct {
			struct capture_request request;
			char directory[CAPTURE_PATH_MAX];
			bool allow_memory;
		};
		struct {
			struct capture_result result; /* as far as it is known */
			char why[CAPTURER_WHY_MAX];
		};
		struct incident_record record;
	};
};

#endif
