/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guardian: a process of its own that undoes the ledger when the watchdog is gone.
 */
#ifndef OOMSNAP_GUARDIAN_H
#define OOMSNAP_GUARDIAN_H

#include <sys/types.h>

#include "os/bpf.h"
#include "os/ledger.h"

/*
 * Forks the guardian. The child never returns. tripwire (NULL: none) was opened by the caller;
 * watchdog_pidfd is a pidfd of the caller (borrowed). 0 with the child's pid and a pidfd that the
 * caller owns, or -errno.
 */
int guardian_start(struct ledger *ledger, struct tripwire *tripwire, int watchdog_pidfd,
	pid_t *ret_pid, int *ret_pidfd);

/* The same undo, for a capturer that finds both the watchdog and the guardian dead. */
void guardian_undo(struct ledger *ledger, struct tripwire *tripwire);

#endif
