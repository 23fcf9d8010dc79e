/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The capturer process: forked by the watchdog ahead of need, everything allocated and locked, then
 * blocked on its socket. At trip time the watchdog sends one message; nothing is forked, exec'd or
 * allocated any more. One message is one datagram of a SOCK_SEQPACKET pair.
 *
 *     watchdog                         capturer
 *     CAPTURER_REQUEST   ---------->
 *                        <----------   CAPTURER_SEIZING    where ptrace is the hold: the watchdog
 *                                                          reads the registers, or hands the
 *                                                          process over (hold.c)
 *                        <----------   CAPTURER_SEIZED     every thread in a ptrace stop
 *                        <----------   CAPTURER_COPIED     memory read: release now. ptrace has let
 *                                                          go, or never held; where the process
 *                                                          was handed over it waits
 *     CAPTURER_RELEASE   ---------->                       for this: it lets go, or kills
 *                        <----------   CAPTURER_DURABLE    or CAPTURER_FAILED, then idle again
 *     CAPTURER_RECORD    ---------->                       the incident as the watchdog saw it
 *                        <----------   CAPTURER_DONE       reports written (report_json.c,
 * report_html.c), renamed
 *
 * Where several processes of a target are captured (request.set_aside), what follows COPIED of each
 * is the next REQUEST; nothing is made durable before the target is released. Then RECORD comes,
 * once, and DONE for each of them in their order:
 *
 *     REQUEST -> SEIZED, COPIED; REQUEST -> SEIZED, COPIED; ...  RECORD -> DONE, DONE, ...  READY
 *
 * CAPTURER_FAILED ends an exchange: nothing is left on disk. The history ring is shared memory.
 * CAPTURER_RELEASE is waited for until the capture's deadline and RELEASE_WAIT_NS more; a process
 * whose verdict does not come, or whose watchdog dies, is let go.
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
	CAPTURER_DONE,	/* older bundles are being cleared up now, which may take long */
	CAPTURER_READY, /* after CAPTURER_DONE: for the next request */
	CAPTURER_RELEASE,
	CAPTURER_SEIZING,
};

#define CAPTURER_WHY_MAX 512

struct capturer_message {
	uint32_t kind; /* enum capturer_message_kind */
	uint32_t incident;
	uint32_t target_index; /* REQUEST: whose history goes into the report */
	bool kill;	       /* RELEASE: the process is killed, and never runs again */
	bool is_hold;	       /* REQUEST: ptrace is what holds the target, until RELEASE */
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

/*
 * What a capturer is given at its birth; everything is inherited through fork() and stays the
 * watchdog's to free in the parent.
 */
struct history;
struct handover;
struct ledger;
struct registers;
struct tripwire;
struct capturer_setup {
	int socket;	    /* its end of the pair */
	int watchdog_pidfd; /* readable when the watchdog is gone */
	int guardian_pidfd; /* likewise; -1: unknown, then the watchdog's death is acted upon alone
			     */
	struct tripwire *tripwire; /* for guardian_undo(); NULL: none */
	struct ledger *ledger; /* ledger_set_tracing() around seize and detach; guardian_undo() when
				  both are dead (guardian.h) */
	uint32_t place;	       /* its place in the ledger */
	struct handover *handover;	 /* shared memory, with the watchdog alone */
	struct registers *registers;	 /* likewise; NULL: it hands every process over */
	const struct history *histories; /* shared memory, by capturer_message.target_index */
};

/* Runs in the forked child, never returns. */
_Noreturn void capturer_main(const struct capturer_setup *setup);

#endif
