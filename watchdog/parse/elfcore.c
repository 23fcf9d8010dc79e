// SPDX-License-Identifier: Apache-2.0
/*
 * Reading ELF cores. See elfcore.h for the contract.
 *
 * A core comes from a disk that may have been full, from a copy that may have been cut, or from
 * somebody who would like to see us crash: every offset is checked against the bytes in hand with
 * arithmetic that cannot wrap, fields are copied out with memcpy (nothing is aligned in a file),
 * and no loop runs longer than the bytes it reads. Nothing is allocated and nothing is remembered
 * between calls except the caller's cursors.
 *
 * The layout is that of elf(5) and of the kernel's fs/binfmt_elf.c. More than 65,534 program
 * headers are written as e_phnum = PN_XNUM with the real number in sh_info of section header 0; a
 * writer that sets PN_XNUM without that section is refused. struct elf_prstatus and elf_prpsinfo
 * have the same head on every 64-bit machine; only the position of pc and sp differs.
 *
 * Limits: 64-bit little-endian only; the first PT_NOTE segment only (the kernel, gdb and we write
 * one); registers are known for x86-64 and arm64.
 */
#include "parse/elfcore.h"

#include <elf.h>
#include <string.h>

#include "base/checked.h"

#define PRSTATUS_PID 32	 /* offsetof(struct elf_prstatus, pr_pid) */
#define PRSTATUS_SIG 12	 /* pr_cursig, a short */
#define PRSTATUS_REG 112 /* pr_reg */
#define PRPSINFO_UID 16
#define PRPSINFO_GID 20
#define PRPSINFO_PID 24
#define PRPSINFO_COMM 40
#define PRPSINFO_ARGS 56
#define PRPSINFO_SIZE 136

const char *elfcore_status_name(enum elfcore_status status)
{
	static const char *const names[ELFCORE_STATUS_COUNT] = {
		[ELFCORE_OK] = "a core file",
		[ELFCORE_NOT_ELF] = "not an ELF file",
		[ELFCORE_NOT_CORE] = "an ELF file, but not a core",
		[ELFCORE_FOREIGN] =
			"a core of a 32-bit or big-endian process, which is not supported",
		[ELFCORE_CUT] = "a core that ends before its headers and notes do",
		[ELFCORE_MALFORMED] = "a core whose headers contradict themselves",
	};

	return (unsigned int)status < ELFCORE_STATUS_COUNT ? names[status] : "?";
}

static uint16_t get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/*
 * Are count bytes at offset in hand? If not, is that because the beginning we hold is too short
 * (CUT, and headers_len says how much is needed) or because no such offset can exist?
 */
static enum elfcore_status have(struct elfcore *core, uint64_t offset, uint64_t count)
{
	uint64_t end;

	if (!checked_add(offset, count, &end) || end > INT64_MAX)
		return ELFCORE_MALFORMED;
	core->headers_len = max_u64(core->headers_len, end);
	return end <= core->len ? ELFCORE_OK : ELFCORE_CUT;
}

static enum elfcore_status read_phnum(struct elfcore *core, const Elf64_Ehdr *ehdr)
{
	enum elfcore_status status;
	Elf64_Shdr section;

	core->phnum = ehdr->e_phnum;
	if (ehdr->e_phnum != PN_XNUM)
		return ELFCORE_OK;
	if (ehdr->e_shoff < sizeof(Elf64_Ehdr) || ehdr->e_shentsize != sizeof(section))
		return ELFCORE_MALFORMED;
	status = have(core, ehdr->e_shoff, sizeof(section));
	if (status != ELFCORE_OK)
		return status;
	memcpy(&section, core->bytes + ehdr->e_shoff, sizeof(section));
	core->phnum = section.sh_info;
	return section.sh_info >= PN_XNUM ? ELFCORE_OK : ELFCORE_MALFORMED;
}

/* Counts the PT_LOADs and finds the first PT_NOTE. */
static enum elfcore_status read_segments(struct elfcore *core)
{
	bool notes = false;

	for (uint32_t i = 0; i < core->phnum; i++) {
		struct elfcore_segment segment;

		if (!elfcore_segment(core, i, &segment))
			return ELFCORE_MALFORMED;
		if (segment.type == PT_LOAD)
			core->segments++;
		if (segment.type == PT_NOTE && !notes) {
			notes = true;
			core->notes_offset = segment.offset;
			core->notes_len = segment.file_bytes;
		}
	}
	return ELFCORE_OK;
}

enum elfcore_status elfcore_open(
	const void *bytes, uint64_t len, uint64_t file_len, struct elfcore *ret)
{
	struct elfcore core = {.bytes = bytes, .len = len, .file_len = max_u64(len, file_len)};
	enum elfcore_status status;
	Elf64_Ehdr ehdr;

	*ret = core;
	ret->headers_len = sizeof(ehdr);
	if (len < SELFMAG || memcmp(bytes, ELFMAG, SELFMAG) != 0)
		return ELFCORE_NOT_ELF;
	status = have(&core, 0, sizeof(ehdr));
	if (status != ELFCORE_OK)
		return status;
	memcpy(&ehdr, bytes, sizeof(ehdr));
	if (ehdr.e_ident[EI_CLASS] != ELFCLASS64 || ehdr.e_ident[EI_DATA] != ELFDATA2LSB)
		return ELFCORE_FOREIGN;
	if (ehdr.e_type != ET_CORE)
		return ELFCORE_NOT_CORE;
	core.machine = ehdr.e_machine;
	core.phoff = ehdr.e_phoff;
	status = read_phnum(&core, &ehdr);
	if (status == ELFCORE_OK && core.phnum && ehdr.e_phentsize != sizeof(Elf64_Phdr))
		status = ELFCORE_MALFORMED;
	if (status == ELFCORE_OK)
		status = have(&core, core.phoff, (uint64_t)core.phnum * sizeof(Elf64_Phdr));
	if (status == ELFCORE_OK)
		status = read_segments(&core);
	if (status == ELFCORE_OK)
		status = have(&core, core.notes_offset, core.notes_len);
	*ret = core;
	return status;
}

bool elfcore_segment(const struct elfcore *core, uint32_t i, struct elfcore_segment *ret)
{
	Elf64_Phdr phdr;

	if (i >= core->phnum)
		return false;
	memcpy(&phdr, core->bytes + core->phoff + (uint64_t)i * sizeof(phdr), sizeof(phdr));
	*ret = (struct elfcore_segment){
		.vaddr = phdr.p_vaddr,
		.mem_bytes = phdr.p_memsz,
		.file_bytes = phdr.p_filesz,
		.offset = phdr.p_offset,
		.type = phdr.p_type,
		.flags = phdr.p_flags,
	};
	return true;
}

/* Rounded up to the four bytes that notes of cores are padded to, on every 64-bit machine. */
static uint64_t pad4(uint64_t n)
{
	return (n + 3) & ~3ULL;
}

bool elfcore_note(const struct elfcore *core, uint64_t *cursor, struct elfcore_note *ret)
{
	const uint8_t *notes = core->bytes + core->notes_offset;
	uint64_t at = *cursor;
	uint64_t left;
	Elf64_Nhdr head;

	if (at > core->notes_len || core->notes_len - at < sizeof(head))
		return false;
	memcpy(&head, notes + at, sizeof(head));
	left = core->notes_len - at - sizeof(head);
	if (pad4(head.n_namesz) > left || head.n_descsz > left - pad4(head.n_namesz))
		return false;
	*ret = (struct elfcore_note){
		.owner = (const char *)notes + at + sizeof(head),
		.owner_len = head.n_namesz,
		.type = head.n_type,
		.desc = notes + at + sizeof(head) + pad4(head.n_namesz),
		.desc_len = head.n_descsz,
	};
	left -= pad4(head.n_namesz);
	*cursor = core->notes_len - left + min_u64(pad4(head.n_descsz), left);
	return true;
}

/* Owners are counted with their terminator by every writer, but need not be. */
static bool owned_by(const struct elfcore_note *note, const char *owner)
{
	size_t len = strnlen(note->owner, note->owner_len);

	return len == strlen(owner) && memcmp(note->owner, owner, len) == 0;
}

bool elfcore_find_note(
	const struct elfcore *core, const char *owner, uint32_t type, struct elfcore_note *ret)
{
	struct elfcore_note note;
	uint64_t cursor = 0;

	while (elfcore_note(core, &cursor, &note))
		if (note.type == type && owned_by(&note, owner)) {
			*ret = note;
			return true;
		}
	return false;
}

/* Positions of sp and pc among the 64-bit registers of pr_reg (struct user_regs_struct). */
static bool register_positions(uint16_t machine, uint32_t *ret_sp, uint32_t *ret_pc)
{
	switch (machine) {
	case EM_X86_64:
		*ret_sp = 19;
		*ret_pc = 16;
		return true;
	case EM_AARCH64:
		*ret_sp = 31;
		*ret_pc = 32;
		return true;
	default:
		return false;
	}
}

bool elfcore_thread(const struct elfcore *core, uint64_t *cursor, struct elfcore_thread *ret)
{
	struct elfcore_note note;
	uint32_t sp;
	uint32_t pc;

	while (elfcore_note(core, cursor, &note)) {
		if (note.type != NT_PRSTATUS || !owned_by(&note, "CORE") ||
			note.desc_len < PRSTATUS_REG)
			continue;
		*ret = (struct elfcore_thread){
			.tid = (int32_t)get32(note.desc + PRSTATUS_PID),
			.signal = (int16_t)get16(note.desc + PRSTATUS_SIG),
		};
		if (register_positions(core->machine, &sp, &pc) &&
			note.desc_len >= PRSTATUS_REG + 8 * (1 + (sp > pc ? sp : pc))) {
			ret->sp = get64(note.desc + PRSTATUS_REG + (size_t)8 * sp);
			ret->pc = get64(note.desc + PRSTATUS_REG + (size_t)8 * pc);
		}
		return true;
	}
	return false;
}

bool elfcore_process(const struct elfcore *core, struct elfcore_process *ret)
{
	struct elfcore_note note;

	if (!elfcore_find_note(core, "CORE", NT_PRPSINFO, &note) || note.desc_len < PRPSINFO_SIZE)
		return false;
	*ret = (struct elfcore_process){
		.pid = (int32_t)get32(note.desc + PRPSINFO_PID),
		.uid = get32(note.desc + PRPSINFO_UID),
		.gid = get32(note.desc + PRPSINFO_GID),
	};
	memcpy(ret->comm, note.desc + PRPSINFO_COMM, sizeof(ret->comm) - 1);
	memcpy(ret->args, note.desc + PRPSINFO_ARGS, sizeof(ret->args) - 1);
	for (size_t len = strlen(ret->args); len && ret->args[len - 1] == ' '; len--)
		ret->args[len - 1] =
			'\0'; /* the end of the last argument, as the kernel writes it */
	return true;
}

bool elfcore_files(const struct elfcore *core, struct elfcore_files *ret)
{
	struct elfcore_note note;
	uint64_t count;

	if (!elfcore_find_note(core, "CORE", NT_FILE, &note) || note.desc_len < 16)
		return false;
	count = get64(note.desc);
	if (count > (note.desc_len - 16) / 24)
		return false;
	*ret = (struct elfcore_files){
		.entry = note.desc + 16,
		.name = (const char *)note.desc + 16 + count * 24,
		.end = (const char *)note.desc + note.desc_len,
		.left = count,
		.page_bytes = get64(note.desc + 8),
	};
	return true;
}

bool elfcore_file(struct elfcore_files *files, struct elfcore_file *ret)
{
	size_t room = (size_t)(files->end - files->name);
	size_t len = strnlen(files->name, room);

	if (files->left == 0 || len == room)
		return false;
	*ret = (struct elfcore_file){
		.start = get64(files->entry),
		.end = get64(files->entry + 8),
		.name = files->name,
	};
	if (!checked_mul(get64(files->entry + 16), files->page_bytes, &ret->offset_bytes))
		ret->offset_bytes = UINT64_MAX;
	files->entry += 24;
	files->name += len + 1;
	files->left--;
	return true;
}

uint64_t elfcore_segment_present(const struct elfcore *core, const struct elfcore_segment *segment)
{
	return min_u64(segment->file_bytes, sub_floor(core->file_len, segment->offset));
}
