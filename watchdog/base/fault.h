/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault points: the named places of an incident at which a test stops, kills or fails us.
 *
 * This list is the only one. In a test build (OOMSNAP_TEST) FAULT_POINT(NAME) calls fault_point(),
 * which looks at OOMSNAP_FAULT in the environment as it was at start; in a product build it is
 * nothing at all. Grammar of OOMSNAP_FAULT: NAME=ACTION[,NAME=ACTION...], with the actions
 *   kill      SIGKILL to the calling process (the whole process, at that instruction)
 *   stop      SIGSTOP to the calling process (a hang, as a debugger or a bug would cause it)
 *   wait      sleep for FAULT_WAIT_MS, so that a test can act in the middle of something short
 *   mark      write "NAME PID MONOTONIC_NS\n" to the file OOMSNAP_FAULT_FILE, which exists
 *   eio|enospc|esrch  the point returns that negative errno to a caller that asked with FAULT_ERRNO
 */
#ifndef OOMSNAP_BASE_FAULT_H
#define OOMSNAP_BASE_FAULT_H

#define FAULT_POINTS(X)                                                                           \
	X(ARM_BEFORE, "arm-before")		/* decided to arm, nothing applied */             \
	X(SHIELD_NOTED, "shield-noted")		/* in the ledger, not yet applied */              \
	X(SHIELD_ON, "shield-on")		/* applied */                                     \
	X(TRIPWIRE_NOTED, "tripwire-noted")	/* in the ledger, not yet in force */             \
	X(TRIPWIRE_ON, "tripwire-on")		/* in force */                                    \
	X(TRIPWIRE_TOLD, "tripwire-told")	/* it has stopped a process, not yet noted */     \
	X(TRIP, "trip")				/* decided to capture, nothing applied */         \
	X(HOLD_NOTED, "hold-noted")		/* hold in the ledger, not yet applied */         \
	X(HOLD_ON, "hold-on")			/* every process asked to stop */                 \
	X(SEIZE_NOTED, "seize-noted")		/* the same where ptrace is the hold */           \
	X(REGISTERS_READ, "registers-read")	/* watchdog: of whom the capturer asks for */     \
	X(HAND_OVER, "hand-over")		/* watchdog: a thread went to the capturer */     \
	X(TAKE_OVER, "take-over")		/* capturer: about to ask for the first */        \
	X(LEASE_NOTED, "lease-noted")		/* raised limit in the ledger, not yet written */ \
	X(LEASE_ON, "lease-on")			/* limit raised */                                \
	X(CAPTURE_SENT, "capture-sent")		/* the capturer has been asked */                 \
	X(CAPTURE_START, "capture-start")	/* capturer: request received */                  \
	X(CAPTURE_SEIZED, "capture-seized")	/* capturer: every thread in a ptrace stop */     \
	X(CAPTURE_OPENED, "capture-opened")	/* capturer: core file created */                 \
	X(CAPTURE_HEADERS, "capture-headers")	/* capturer: headers and notes written */         \
	X(CAPTURE_PAGES, "capture-pages")	/* capturer: in the middle of the pages */        \
	X(CAPTURE_CUT, "capture-cut")		/* capturer: takes a mapping's room back */       \
	X(CAPTURE_SWAP, "capture-swap")		/* capturer: about to read swapped pages */       \
	X(CAPTURE_COPIED, "capture-copied")	/* capturer: all copied, target still held */     \
	X(VERDICT_WAIT, "verdict-wait")		/* capturer: told, holds until it is answered */  \
	X(VERDICT_KILL, "verdict-kill")		/* capturer: its end is to be the process's */    \
	X(CAPTURE_DETACHED, "capture-detached") /* capturer: ptrace let go */                     \
	X(CAPTURE_SYNC, "capture-sync")		/* capturer: before fsync and rename */           \
	X(RELEASE_BEFORE, "release-before")	/* watchdog: verdict known, still held */         \
	X(RELEASE_MID, "release-mid")		/* watchdog: part of the ledger undone */         \
	X(RELEASED, "released")			/* watchdog: ledger empty */                      \
	X(LOOK, "look")				/* watchdog: about to sample a target */          \
	X(PRESSURE, "pressure")			/* watchdog: a pressure trigger calls */          \
	X(PRESSURE_END, "pressure-end")		/* watchdog: the trigger is no longer there */

enum fault_id {
#define X(id, name) FAULT_##id,
	FAULT_POINTS(X)
#undef X
		FAULT_COUNT
};

#define FAULT_WAIT_MS 40

#ifdef OOMSNAP_TEST
/* Reads OOMSNAP_FAULT once; unknown names or actions end the process with status 64. */
void fault_init(void);
/* Acts as the environment asks; returns 0 or the negative errno that was asked for. */
int fault_point(enum fault_id id);
#define FAULT_POINT(id) ((void)fault_point(FAULT_##id))
#define FAULT_ERRNO(id) fault_point(FAULT_##id)
#else
static inline void fault_init(void)
{
}
#define FAULT_POINT(id) ((void)0)
#define FAULT_ERRNO(id) 0
#endif

#endif
