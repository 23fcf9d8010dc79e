/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of a held process, read by the one of our processes that holds it for another that
 * writes the core: in memory that both see, so that no thread changes hands, and none runs
 * meanwhile, as it does where it is handed over (handover.h).
 *
 * Who holds writes, and reads nothing of it back; the other one maps it read-only and believes no
 * number in it.
 */
#ifndef OOMSNAP_OS_REGISTERS_H
#define OOMSNAP_OS_REGISTERS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/arch.h"
#include "os/ptrace.h"

/*
 * The most threads whose registers are read, and their bytes: x86-64 with AVX-512 takes 3.4 KiB a
 * thread. 1,024 threads take some 8 ms, in which the watchdog looks at nothing else.
 */
#define REGISTERS_THREADS_MAX 1024U
#define REGISTERS_ROOM_BYTES (4U << 20)
#define REGISTERS_SETS_MAX (1U + ARCH_REGSETS_MAX) /* NT_PRSTATUS, then arch_regsets */

struct registers_set {
	uint32_t at;	 /* in bytes[] */
	uint32_t len;	 /* as the kernel gave them; 0: none */
	uint32_t stored; /* of them in bytes[]; the rest are zeros */
};

struct registers_thread {
	int32_t tid;
	uint32_t state; /* enum ptrace_thread_state */
	uint64_t blocked;
	struct registers_set sets[REGISTERS_SETS_MAX];
};

struct registers {
	uint32_t count; /* of threads */
	uint32_t used;	/* of bytes */
	struct registers_thread threads[REGISTERS_THREADS_MAX];
	/* A set is read to where it stays, so that the last one finds room for the largest. */
	unsigned char bytes[REGISTERS_ROOM_BYTES + ARCH_REGSET_MAX_BYTES];
};

/* Of a struct registers, memory that a sidecar should have ready: some 250 threads. */
#define REGISTERS_TOUCH_BYTES (offsetof(struct registers, bytes) + REGISTERS_ROOM_BYTES / 4)

enum registers_result {
	REGISTERS_NONE = 1, /* no thread of it stands in this set */
	REGISTERS_FULL,	    /* more threads, or bytes, than there is room for */
};

/*
 * Reads all register sets that a core takes, and the blocked signals, of the threads under that
 * mark of the process pid: PTRACE_GETREGSET, PTRACE_GETSIGMASK (ptrace(2)), some 8 us a thread. On
 * the thread that traces them. A thread that does not stand is in it without registers. 0,
 * REGISTERS_NONE, REGISTERS_FULL; then what is in r means nothing.
 */
int registers_read(struct registers *r, const struct ptrace_set *set, uint16_t mark, pid_t pid);

/* Makes r read-only for the calling process. 0 or -errno (mprotect(2)). */
int registers_protect(struct registers *r);

/*
 * Fills an empty set with the threads of r, in order, and has it point there
 * (ptrace_set.registers): nobody is traced through that set, and ptrace_release() empties it. 0, or
 * PTRACE_LATE where some did not stand, or PTRACE_GONE where there is none.
 */
int registers_list(const struct registers *r, struct ptrace_set *set);

/*
 * The same as ptrace_registers() and ptrace_blocked() of thread i of a set, from where its
 * registers are. Of a set that registers_list() filled on any thread, else on its own.
 */
int registers_get(const struct ptrace_set *set, uint32_t i, uint32_t type, void *buffer,
	size_t size, size_t *ret_len);
int registers_blocked(const struct ptrace_set *set, uint32_t i, uint64_t *ret);

#endif
