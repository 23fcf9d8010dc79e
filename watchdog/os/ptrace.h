/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every thread of one process in a ptrace stop, and out of it again as if nothing had been.
 *
 * ptrace belongs to the thread that seized: all functions here but ptrace_set_init() are called on
 * one thread: the tracer of a capture (tracer.h), or the watchdog's only one, which lets go of whom
 * it holds when a capturer takes it over (handover.h). All memory is the caller's and fixed.
 */
#ifndef OOMSNAP_OS_PTRACE_H
#define OOMSNAP_OS_PTRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PTRACE_TID_LIMIT (1U << 22) /* the kernel's PID_MAX_LIMIT */
#define PTRACE_BITMAP_BYTES (PTRACE_TID_LIMIT / 8)

enum ptrace_thread_state {
	PTRACE_THREAD_WAITING, /* seized and asked to stop */
	PTRACE_THREAD_STOPPED, /* registers may be read */
	PTRACE_THREAD_REFUSED, /* could not be seized */
	PTRACE_THREAD_GONE,    /* ended */
	PTRACE_THREAD_STATE_COUNT
};

struct ptrace_thread {
	pid_t tid;
	pid_t pid; /* of ptrace_ask(): its process, and for whom it was asked */
	uint16_t mark;
	uint8_t state;	/* enum ptrace_thread_state */
	uint8_t signal; /* to be delivered when let go; 0 mostly */
};

struct handover;  /* handover.h */
struct registers; /* registers.h */

struct ptrace_set {
	struct ptrace_thread *threads; /* max entries */
	uint32_t max;
	uint32_t count;
	uint32_t waiting;	   /* of them in PTRACE_THREAD_WAITING */
	uint32_t unlisted;	   /* threads beyond max, or that may have been born at last */
	uint32_t last;		   /* index of the last one that was given away */
	int refusal;		   /* errno of the last refused SEIZE */
	bool kept;		   /* a thread stayed with the giver, as it had not stopped */
	struct handover *handover; /* whom others of us hold is taken over; NULL: nobody does */
	const struct registers *registers; /* others of us hold them and go on to, and have read
					  their registers: nobody is traced through this set */
	uint8_t *seen;			   /* PTRACE_BITMAP_BYTES: which tids are in threads[] */
	atomic_bool *cancel; /* set by another thread, the caller's: return as soon as possible; the
				set then belongs to that other thread */
};

enum ptrace_result {
	PTRACE_GONE = 1, /* the process has ended */
	PTRACE_DENIED,	 /* no thread could be seized: no right */
	PTRACE_BUSY,	 /* no thread could be seized: another tracer holds them */
	PTRACE_LATE,	 /* some threads did not stop in time; the others have */
	PTRACE_CANCELLED,
};

/*
 * threads: room for max entries; seen: PTRACE_BITMAP_BYTES of zeros. Kept for the set's life.
 * cancel is to be set before ptrace_stop().
 */
void ptrace_set_init(
	struct ptrace_set *set, struct ptrace_thread *threads, uint32_t max, uint8_t *seen);

/*
 * PTRACE_SEIZE and PTRACE_INTERRUPT to every thread of the process behind proc_fd, listing again
 * until no new one appears, and a wait until all stand. deadline_ns (CLOCK_MONOTONIC) bounds the
 * waiting; patience_ns bounds a time in which no further thread stops. SIGSTOPped and v2-frozen
 * threads stop like others; those in uninterruptible sleep (vfork, v1 freezer, v1 wait at the
 * limit) do not, which gives PTRACE_LATE. 0, PTRACE_GONE, PTRACE_DENIED, PTRACE_BUSY, PTRACE_LATE,
 * PTRACE_CANCELLED or -errno; in every case ptrace_release() must follow.
 */
int ptrace_stop(struct ptrace_set *set, int proc_fd, uint64_t deadline_ns, uint64_t patience_ns);

/*
 * For a set that holds several processes. ptrace_ask() is one pass over the threads of the process
 * pid behind proc_fd, which are seized and asked to stop under that mark; it does not wait.
 * *ret_new is how many were not known before. 0, PTRACE_GONE, PTRACE_DENIED or -errno. It may sleep
 * as long as another thread of that process is in execve(2), or stopped by job control in a frozen
 * cgroup of v1: the latter is not to be asked.
 */
int ptrace_ask(struct ptrace_set *set, int proc_fd, pid_t pid, uint16_t mark, uint32_t *ret_new);

/* Looks, without waiting, who of the waiting ones has stopped. How many are still waiting. */
uint32_t ptrace_look(struct ptrace_set *set);
/* The same of one process under that mark. */
uint32_t ptrace_look_at(struct ptrace_set *set, uint16_t mark, pid_t pid);

/* How many threads of one process are held under that mark, standing or asked to. */
uint32_t ptrace_holds(const struct ptrace_set *set, uint16_t mark, pid_t pid);

/*
 * Lets one thread go, to be seized by somebody else. 0, PTRACE_GONE (it is not held), PTRACE_LATE
 * (it has not stopped yet, or is dying).
 */
int ptrace_give(struct ptrace_set *set, pid_t tid);

/*
 * Whether this kernel lets a tracer kill whom it traces, whatever signals it may send: since Linux
 * 5.19 PTRACE_KILL does; before, it was lost on a thread that not a signal had stopped.
 */
bool ptrace_may_kill(void);

/* SIGKILL by PTRACE_KILL to the processes under that mark. They are still to be let go. */
void ptrace_kill(struct ptrace_set *set, uint16_t mark);

/*
 * Lets the threads under that mark go, of one process or of all (pid 0), as ptrace_release() does,
 * and waits for those that cannot be let go yet, wait_ns at most. Returns their number: they stay
 * in the set, for a further call.
 */
uint32_t ptrace_let_go(struct ptrace_set *set, uint16_t mark, pid_t pid, uint64_t wait_ns);

/*
 * For a set that was cancelled, on any thread: every thread of the process is listed and counts as
 * refused. 0 or PTRACE_GONE.
 */
int ptrace_list(struct ptrace_set *set, int proc_fd);

/*
 * PTRACE_GETREGSET of a stopped thread. 0 with *ret_len bytes filled, PTRACE_GONE, or -errno
 * (-EINVAL, -ENODEV: this processor has no such set).
 */
int ptrace_registers(pid_t tid, uint32_t type, void *buffer, size_t size, size_t *ret_len);

/* Signals that a stopped thread blocks: bit N-1 is signal N. 0, PTRACE_GONE or -errno. */
int ptrace_blocked(pid_t tid, uint64_t *ret);

/*
 * Has the kernel send SIGKILL to the process when the calling thread ends (PTRACE_O_EXITKILL):
 * whoever may trace may do that, also without the right to send signals, and it is done while the
 * process still stands. From here on it dies with us, so this is for a verdict that is known.
 * tracer_renew() must follow. Returns the number of threads that it was set for; 0: none is held.
 */
uint32_t ptrace_end_with_us(struct ptrace_set *set);

/*
 * Lets every thread go: each continues, stays SIGSTOPped or frozen as it was, and gets the one
 * signal that it may have stopped with; ended ones are reaped, so that the process can be reaped by
 * its parent. Empties the set, which is all where others of us hold them. Returns the number of
 * threads that cannot be let go because they have not stopped yet: the kernel releases those when
 * the tracer thread ends (tracer_renew()).
 */
uint32_t ptrace_release(struct ptrace_set *set);

#endif
