/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What differs between processors in a core file: its machine number and register sets. One file
 * per architecture, arch_x86_64.c and arch_aarch64.c, of which exactly one is compiled to anything.
 */
#ifndef OOMSNAP_OS_ARCH_H
#define OOMSNAP_OS_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/procfs.h>

#define ARCH_REGSET_MAX_BYTES                                                \
	(68U << 10) /* of one set; x86 state with AMX takes 11 KiB, ZA of an \
		       arm64 processor with the longest vectors 64 */
#define ARCH_REGSETS_MAX 16

/* A register set that stands beside NT_PRSTATUS, in the order in which the kernel writes them. */
struct arch_regset {
	uint32_t type;	   /* NT_* of <linux/elf.h>: for PTRACE_GETREGSET and for the note */
	const char *owner; /* of the note: "CORE" or "LINUX" */
	bool varies;	   /* its size differs from thread to thread */
};

extern const uint16_t arch_elf_machine; /* EM_* */
extern const struct arch_regset arch_regsets[];
extern const size_t arch_regset_count;	 /* <= ARCH_REGSETS_MAX */
extern const size_t arch_regset_varying; /* how many of them vary */

/*
 * How many of the len bytes that PTRACE_GETREGSET said to have given of set k are the set: of one
 * that varies it says what the longest takes (regset_get(), kernel/ptrace.c), whatever it wrote.
 */
size_t arch_regset_bytes(size_t k, const void *bytes, size_t len);

/* The stack pointer among the general registers. */
uint64_t arch_stack_pointer(const elf_gregset_t *regs);

/* Writes the only two registers that are known of a thread that ptrace could not stop. */
void arch_set_where(elf_gregset_t *regs, uint64_t sp, uint64_t pc);

/*
 * A note that stands once in a core (NT_X86_XSAVE_LAYOUT of 6.12 and later): its type, 0 if this
 * machine has none, and its bytes, at most size. Returns their number.
 */
size_t arch_layout_note(void *buffer, size_t size, uint32_t *ret_type);

#endif
