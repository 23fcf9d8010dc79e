/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process that is held by ptrace changes hands, from one of our processes to another, thread by
 * thread. The kernel knows no such step: the giver detaches, the taker seizes, and in between the
 * thread runs. So the taker asks the kernel for one thread over and over (PTRACE_SEIZE, EPERM as
 * long as somebody else traces it), and the giver, which sees in this shared memory that it is at
 * it at this very moment, lets go of that thread alone: some microseconds, most of which the thread
 * needs to wake up.
 *
 * That is for a process of more threads than registers.h has room for. From any other the giver
 * reads the registers itself, and lets nobody go.
 *
 * One writer each: want, tries, done are the taker's (os/ptrace.c), the others the giver's
 * (hold.c). Of stage the first step is the taker's as well: whether the giver keeps the process is
 * true for both from then on, so it is an exchange, from AHEAD to OPEN or READ by the giver, or to
 * CLOSED by a taker that waits no longer (capture/prepare.c). All zero before the taker is asked.
 */
#ifndef OOMSNAP_OS_HANDOVER_H
#define OOMSNAP_OS_HANDOVER_H

#include <stdatomic.h>
#include <stdint.h>

enum handover_stage {
	HANDOVER_AHEAD,	 /* the giver is not there yet */
	HANDOVER_OPEN,	 /* it answers */
	HANDOVER_CLOSED, /* it answers no more, and holds what could not be let go */
	HANDOVER_READ	 /* it keeps the process, and the registers are there to be read */
};

struct handover {
	_Atomic int32_t want;	/* thread that the taker asks for; 0: none yet */
	_Atomic uint32_t tries; /* how often it has asked */
	_Atomic uint32_t done;	/* it asks for no further one */
	_Atomic uint32_t stage; /* enum handover_stage */
	_Atomic int32_t denied; /* thread that the giver does not hold */
	_Atomic int32_t kept;	/* thread that it holds and cannot let go: it has not stopped */
	_Atomic uint32_t called_off; /* in any hold: the copy is to end, as at its deadline */
};

#endif
