// SPDX-License-Identifier: Apache-2.0
/*
 * Register sets of 64-bit ARM, in the order of the kernel's cores (arch/arm64/kernel/ptrace.c):
 * floating point, the TLS pointer (without it no debugger finds thread-local variables), the
 * scalable vectors and matrices where there are any, the pointer authentication masks, which an
 * unwinder needs to read return addresses, and what else the processor has of a thread. Sets that
 * it does not have answer EINVAL or ENODEV to PTRACE_GETREGSET and are left out of the core.
 *
 * The vectors' sets vary: a thread sets its own vector length, and the kernel keeps the long form
 * only of a thread that has used them since its last system call. Each begins with its own size.
 *
 * Seen in cores and held against the kernel's: the sets up to SVE, PAC and tagged addresses. No
 * kernel with SME, FPMR, POE or GCS was at hand; their sets are read as the kernel's headers say.
 *
 * Left out on purpose: hardware breakpoints and watchpoints, which belong to a debugger and say
 * nothing about the program; the keys by which pointers are signed, which no reader needs and
 * which are secrets of the process.
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
#ifndef NT_ARM_PAC_ENABLED_KEYS
#define NT_ARM_PAC_ENABLED_KEYS 0x40a
#endif
#ifndef NT_ARM_SSVE /* Linux 5.19 */
#define NT_ARM_SSVE 0x40b
#define NT_ARM_ZA 0x40c
#endif
#ifndef NT_ARM_ZT /* 6.3 */
#define NT_ARM_ZT 0x40d
#endif
#ifndef NT_ARM_FPMR /* 6.9 */
#define NT_ARM_FPMR 0x40e
#endif
#ifndef NT_ARM_POE /* 6.12 */
#define NT_ARM_POE 0x40f
#endif
#ifndef NT_ARM_GCS /* 6.13 */
#define NT_ARM_GCS 0x410
#endif

const uint16_t arch_elf_machine = EM_AARCH64;
const struct arch_regset arch_regsets[] = {
	{.type = NT_PRFPREG, .owner = "CORE"},
	{.type = NT_ARM_TLS, .owner = "LINUX"},
	{.type = NT_ARM_SYSTEM_CALL, .owner = "LINUX"},
	{.type = NT_ARM_SVE, .owner = "LINUX", .varies = true},
	{.type = NT_ARM_SSVE, .owner = "LINUX", .varies = true},
	{.type = NT_ARM_ZA, .owner = "LINUX", .varies = true},
	{.type = NT_ARM_ZT, .owner = "LINUX"},
	{.type = NT_ARM_FPMR, .owner = "LINUX"},
	{.type = NT_ARM_PAC_MASK, .owner = "LINUX"},
	{.type = NT_ARM_PAC_ENABLED_KEYS, .owner = "LINUX"},
	{.type = NT_ARM_TAGGED_ADDR_CTRL, .owner = "LINUX"},
	{.type = NT_ARM_POE, .owner = "LINUX"},
	{.type = NT_ARM_GCS, .owner = "LINUX"},
};
const size_t arch_regset_count = sizeof(arch_regsets) / sizeof(arch_regsets[0]);
const size_t arch_regset_varying = 3;

size_t arch_regset_bytes(size_t k, const void *bytes, size_t len)
{
	uint32_t size; /* the first word of struct user_sve_header and of user_za_header */

	if (!arch_regsets[k].varies || len < sizeof(size))
		return len;
	memcpy(&size, bytes, sizeof(size));
	return size < len ? size : len;
}

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
