// SPDX-License-Identifier: Apache-2.0
/*
 * Register sets of x86-64: floating point (512 bytes of FXSAVE) and the extended state in the
 * layout of XSAVE, whose size depends on the processor (2.7 KiB with AVX-512, 11 KiB with AMX).
 *
 * Since Linux 6.12 the kernel's cores carry NT_X86_XSAVE_LAYOUT, which says where in that state
 * each component lies (struct x86_xfeat_component: type, size, offset, flags), so that a debugger
 * on another processor reads it right. Those numbers are what CPUID leaf 0xD says for the
 * components that XCR0 enables; we are on the same processor as the target and may ask it
 * ourselves.
 *
 * Refuses: nothing. Limits: 32-bit programs have other register sets; the capture refuses them.
 */
#include "os/arch.h"

#ifdef __x86_64__

#include <cpuid.h>
#include <elf.h>
#include <string.h>
#include <sys/user.h>

#ifndef NT_X86_XSAVE_LAYOUT
#define NT_X86_XSAVE_LAYOUT 0x205
#endif

#define XSTATE_LEAF 0xdU
#define XSTATE_FIRST_EXTENDED 2U /* 0 and 1, x87 and SSE, have fixed places */
#define XSTATE_COMPONENTS 63U

struct xfeat_component { /* as in arch/x86/include/uapi/asm/elf.h */
	uint32_t type;
	uint32_t size;
	uint32_t offset;
	uint32_t flags;
};

const uint16_t arch_elf_machine = EM_X86_64;
const struct arch_regset arch_regsets[] = {
	{.type = NT_PRFPREG, .owner = "CORE"},
	{.type = NT_X86_XSTATE, .owner = "LINUX"},
};
const size_t arch_regset_count = sizeof(arch_regsets) / sizeof(arch_regsets[0]);
const size_t arch_regset_varying = 0;

size_t arch_regset_bytes(size_t k, const void *bytes, size_t len)
{
	(void)k; /* none varies */
	(void)bytes;
	return len;
}

uint64_t arch_stack_pointer(const elf_gregset_t *regs)
{
	struct user_regs_struct r;

	memcpy(&r, regs, sizeof(r));
	return r.rsp;
}

void arch_set_where(elf_gregset_t *regs, uint64_t sp, uint64_t pc)
{
	struct user_regs_struct r;

	memset(&r, 0, sizeof(r));
	r.rsp = sp;
	r.rip = pc;
	_Static_assert(sizeof(r) == sizeof(*regs), "the general registers of a core and of ptrace");
	memcpy(regs, &r, sizeof(r));
}

/* XCR0, or 0 where the processor or the kernel does not use XSAVE. */
static uint64_t enabled_components(void)
{
	unsigned int eax;
	unsigned int ebx;
	unsigned int ecx;
	unsigned int edx;

	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || !(ecx & bit_OSXSAVE))
		return 0;
	__asm__("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
	return (uint64_t)edx << 32 | eax;
}

size_t arch_layout_note(void *buffer, size_t size, uint32_t *ret_type)
{
	uint64_t enabled = enabled_components();
	size_t len = 0;

	*ret_type = enabled >> XSTATE_FIRST_EXTENDED ? NT_X86_XSAVE_LAYOUT : 0;
	for (uint32_t i = XSTATE_FIRST_EXTENDED; i < XSTATE_COMPONENTS; i++) {
		struct xfeat_component c = {.type = i};
		unsigned int edx;

		if (!(enabled >> i & 1) || size - len < sizeof(c))
			continue;
		if (!__get_cpuid_count(XSTATE_LEAF, i, &c.size, &c.offset, &c.flags, &edx))
			continue;
		memcpy((char *)buffer + len, &c, sizeof(c));
		len += sizeof(c);
	}
	return len;
}

#else
extern int arch_x86_64_is_not_built;
#endif
