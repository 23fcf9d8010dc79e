// SPDX-License-Identifier: Apache-2.0
/*
 * Register sets of 64-bit ARM, in the order of the kernel's cores (arch/arm64/kernel/ptrace.c):
 * floating point, the TLS pointer (without it no debugger finds thread-local variables), the
 * scalable vectors where there are any, and the pointer authentication masks, which an unwinder
 * needs to read return addresses. Sets that a processor does not have answer EINVAL or ENODEV to
 * PTRACE_GETREGSET and are left out of the core.
 *
 * Left out on purpose: hardware breakpoints and watchpoints, which belong to a debugger and say
 * nothing about the program.
 */
#include "os/arch.h"

#ifdef __aarch64__

#include <elf.h>
#include <string.h>
#include <sys/user.h>

#ifndef NT_ARM_PAC_MASK
#define NT_ARM_PAC_MASK 0x406
#endif
#ifndef NT_ARM_TAGGED_ADDR_CTRL
#define NT_ARM_TAGGED_ADDR_CTRL 0x409
#endif

const uint16_t arch_elf_machine = EM_AARCH64;
const struct arch_regset arch_regsets[] = {
	{NT_PRFPREG, "CORE"},
	{NT_ARM_TLS, "LINUX"},
	{NT_ARM_SYSTEM_CALL, "LINUX"},
	{NT_ARM_SVE, "LINUX"},
	{NT_ARM_PAC_MASK, "LINUX"},
	{NT_ARM_TAGGED_ADDR_CTRL, "LINUX"},
};
const size_t arch_regset_count = sizeof(arch_regsets) / sizeof(arch_regsets[0]);

uint64_t arch_stack_pointer(const elf_gregset_t *regs)
{
	struct user_regs_struct r;

	memcpy(&r, regs, sizeof(r));
	return r.sp;
}

void arch_set_where(elf_gregset_t *regs, uint64_t sp, uint64_t pc)
{
	struct user_regs_struct r;

	memset(&r, 0, sizeof(r));
	r.sp = sp;
	r.pc = pc;
	_Static_assert(sizeof(r) == sizeof(*regs), "the general registers of a core and of ptrace");
	memcpy(regs, &r, sizeof(r));
}

size_t arch_layout_note(void *buffer, size_t size, uint32_t *ret_type)
{
	(void)buffer; /* this machine's sets need no explanation */
	(void)size;
	*ret_type = 0;
	return 0;
}

#else
extern int arch_aarch64_is_not_built;
#endif
