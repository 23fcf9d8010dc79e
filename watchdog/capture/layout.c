// SPDX-License-Identifier: Apache-2.0
/*
 * The layout of a core: ELF header, section 0 if needed, program headers, notes, and from the next
 * page boundary on the memory, in the order of order.c.
 *
 * Every PT_LOAD has file_bytes of room, whether or not the pages exist: the file is made its full
 * length at once, and what is never written is a hole that reads as zeros. Debuggers disagree about
 * addresses that a segment covers in memory and not in the file (gdb shows zeros, lldb and drgn an
 * error), and agree about holes.
 *
 * e_phnum has 16 bits. From 65,535 program headers on it says PN_XNUM, and the number stands in
 * sh_info of section 0, which exists for that alone (elf(5)); it stands directly behind the ELF
 * header, where every reader looks in its first page.
 *
 * Limits: 64-bit little-endian hosts, as the kernel's own cores of them.
 */
#include <limits.h>
#include <string.h>

#include "base/checked.h"
#include "capture/layout.h"
#include "parse/maps.h"

static bool round_up(uint64_t value, uint64_t unit, uint64_t *ret)
{
	uint64_t sum;

	if (!checked_add(value, unit - 1, &sum))
		return false;
	*ret = sum / unit * unit;
	return true;
}

int layout_plan(struct segment *segments, uint32_t count, uint64_t data_bytes, uint64_t notes_bytes,
	uint64_t page_bytes, struct layout *ret)
{
	struct layout l = {.segments = count, .notes_bytes = notes_bytes};
	uint64_t at;

	l.extended = (uint64_t)count + 1 >= PN_XNUM;
	l.header_bytes = sizeof(Elf64_Ehdr) + (l.extended ? sizeof(Elf64_Shdr) : 0);
	l.phdr_bytes = ((uint64_t)count + 1) * sizeof(Elf64_Phdr);
	l.notes_offset = l.header_bytes + l.phdr_bytes;
	if (!checked_add(l.notes_offset, notes_bytes, &at) || !round_up(at, page_bytes, &at))
		return LAYOUT_TOO_LARGE;
	l.data_offset = at;
	if (!checked_add(at, data_bytes, &l.file_bytes) || l.file_bytes > INT64_MAX)
		return LAYOUT_TOO_LARGE;
	for (uint32_t i = 0; i < count; i++)
		segments[i].offset += at;
	*ret = l;
	return 0;
}

size_t layout_header(const struct layout *layout, uint16_t machine, void *buffer)
{
	Elf64_Ehdr e;
	Elf64_Shdr s;

	memset(&e, 0, sizeof(e));
	memcpy(e.e_ident, ELFMAG, SELFMAG);
	e.e_ident[EI_CLASS] = ELFCLASS64;
	e.e_ident[EI_DATA] = ELFDATA2LSB;
	e.e_ident[EI_VERSION] = EV_CURRENT;
	e.e_ident[EI_OSABI] = ELFOSABI_NONE;
	e.e_type = ET_CORE;
	e.e_machine = machine;
	e.e_version = EV_CURRENT;
	e.e_phoff = layout->header_bytes;
	e.e_ehsize = sizeof(e);
	e.e_phentsize = sizeof(Elf64_Phdr);
	e.e_phnum = layout->extended ? PN_XNUM : (Elf64_Half)(layout->segments + 1);
	if (layout->extended) {
		e.e_shoff = sizeof(e);
		e.e_shnum = 1;
		e.e_shentsize = sizeof(s);
		memset(&s, 0, sizeof(s));
		s.sh_type = SHT_NULL;
		s.sh_size = e.e_shnum;
		s.sh_info = layout->segments + 1;
		memcpy((char *)buffer + sizeof(e), &s, sizeof(s));
	}
	memcpy(buffer, &e, sizeof(e));
	return layout->header_bytes;
}

static uint32_t elf_flags(uint32_t prot)
{
	return (prot & MAPS_READ ? PF_R : 0U) | (prot & MAPS_WRITE ? PF_W : 0U) |
		(prot & MAPS_EXEC ? PF_X : 0U);
}

void layout_phdr(const struct layout *layout, const struct segment *segments, uint64_t page_bytes,
	uint32_t i, Elf64_Phdr *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (i == 0) {
		ret->p_type = PT_NOTE;
		ret->p_offset = layout->notes_offset;
		ret->p_filesz = layout->notes_bytes;
		ret->p_align = 4; /* as the kernel writes; the notes are padded to 4 */
		return;
	}
	ret->p_type = PT_LOAD;
	ret->p_offset = segments[i - 1].offset;
	ret->p_vaddr = segments[i - 1].start;
	ret->p_filesz = segments[i - 1].file_bytes;
	ret->p_memsz = segments[i - 1].mem_bytes;
	ret->p_flags = elf_flags(segments[i - 1].prot);
	ret->p_align = page_bytes;
}

uint64_t layout_phdr_offset(const struct layout *layout, uint32_t i)
{
	return layout->header_bytes + (uint64_t)i * sizeof(Elf64_Phdr);
}
