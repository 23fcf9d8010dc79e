// SPDX-License-Identifier: Apache-2.0
/*
 * The head of a core: ELF header, program headers, notes.
 *
 * Their sizes are known before the first byte: notes_all() is run once over a sink that only
 * counts, and once for real. The order of the notes is the kernel's (fs/binfmt_elf.c): the first
 * thread's registers, then what belongs to the process, then the rest of the first thread, then
 * the other threads; NT_X86_XSAVE_LAYOUT and our own note stand at the end.
 *
 * Registers go to the file through one buffer: those of 32,768 threads are 360 MiB. A
 * thread that could not be stopped gets a PRSTATUS with its stack pointer and program counter, as
 * far as the kernel tells them, and zeros elsewhere; a thread that dies meanwhile the same, since
 * its room is laid out already.
 *
 * Two things change after the head is written: our own note, and the room of segments that turn out
 * not to belong into the core (MADV_DONTDUMP) or were not reached before the end. Each change is
 * one small pwrite to a valid file and leaves it valid.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fault.h"
#include "base/str.h"
#include "capture/frame.h"
#include "capture/head.h"
#include "os/fd.h"
#include "os/proc.h"
#include "os/registers.h"

static void put_thread_status(struct capture_plan *plan, struct note_sink *sink, uint32_t i)
{
	const struct ptrace_thread *t = &plan->threads[i];
	struct note_thread note = {.tid = plan->ns_tids[i]};
	elf_gregset_t regs;
	uint64_t sp;
	uint64_t pc;
	size_t len;

	memset(&regs, 0, sizeof(regs));
	note.regs = (const elf_gregset_t *)&regs;
	note.has_fp = plan->regset_len[0] != 0;
	if (sink->buffer &&
		(t->state != PTRACE_THREAD_STOPPED ||
			registers_get(&plan->set, i, NT_PRSTATUS, &regs, sizeof(regs), &len))) {
		plan->threads_without_registers++;
		note.has_fp = false;
		if (proc_where(plan->proc_fd, t->tid, &sp, &pc) == 0)
			arch_set_where(&regs, sp, pc);
	} else if (sink->buffer) {
		(void)registers_blocked(
			&plan->set, i, &note.blocked); /* none, where it is not known */
	}
	note_prstatus(sink, &plan->process, &note);
}

static void put_thread_regsets(struct capture_plan *plan, struct note_sink *sink, uint32_t i)
{
	for (size_t k = 0; k < arch_regset_count; k++) {
		size_t want = plan_regset_len(plan, i, k);
		size_t len = 0;

		if (!want)
			continue;
		if (sink->buffer &&
			(plan->threads[i].state != PTRACE_THREAD_STOPPED ||
				registers_get(&plan->set, i, arch_regsets[k].type, plan->regset,
					ARCH_REGSET_MAX_BYTES, &len)))
			len = 0;
		if (len < want)
			memset(plan->regset + len, 0, want - len);
		note_write(sink, arch_regsets[k].owner, arch_regsets[k].type, plan->regset, want);
	}
}

static void put_files(struct capture_plan *plan, struct note_sink *sink)
{
	uint64_t page = plan->pages.page_bytes;

	note_file_begin(sink, plan->file_count, plan->file_names_bytes, page);
	for (uint32_t i = 0; i < plan->region_count; i++) {
		const struct region *r = &plan->regions[i];

		if (r->flags & REGION_HAS_FILE)
			note_file_entry(sink, r->start, r->end, r->offset_bytes, page);
	}
	for (uint32_t i = 0; i < plan->region_count; i++) {
		const struct region *r = &plan->regions[i];
		const char *name = plan_name(plan, r);

		if (r->flags & REGION_HAS_FILE)
			note_put(sink, name, strlen(name) + 1);
	}
	note_end(sink, note_file_bytes(plan->file_count, plan->file_names_bytes));
}

static void put_process(struct capture_plan *plan, struct note_sink *sink)
{
	note_prpsinfo(sink, &plan->process);
	note_siginfo(sink, &plan->process);
	if (plan->auxv_len)
		note_write(sink, "CORE", NT_AUXV, plan->auxv, plan->auxv_len);
	put_files(plan, sink);
}

/* All notes. ret_note: how many bytes stand in front of our own note's desc. */
static void notes_all(struct capture_plan *plan, struct note_sink *sink,
	const struct core_note *note, uint64_t *ret_note)
{
	unsigned char layout[1024];
	uint32_t layout_type;
	size_t layout_len = arch_layout_note(layout, sizeof(layout), &layout_type);
	bool first = true;

	for (uint32_t i = 0; i < plan->set.count; i++) {
		if (!plan_thread_in_core(plan, i))
			continue;
		put_thread_status(plan, sink, i);
		if (first)
			put_process(plan, sink);
		put_thread_regsets(plan, sink, i);
		first = false;
	}
	if (layout_type)
		note_write(sink, "LINUX", layout_type, layout, layout_len);
	note_begin(sink, CORE_NOTE_OWNER, CORE_NOTE_TYPE, sizeof(*note));
	*ret_note = sink->total;
	note_put(sink, note, sizeof(*note));
	note_end(sink, sizeof(*note));
}

int head_plan(struct capture_plan *plan)
{
	struct core_note note;
	struct note_sink count;
	uint64_t data_bytes;
	uint64_t at;

	memset(&note, 0, sizeof(note));
	note_sink_init(&count, /* buffer= */ NULL, 0, /* flush= */ NULL, /* user= */ NULL);
	notes_all(plan, &count, &note, &at);
	data_bytes = order_plan(plan->segments, plan->segment_count, plan->regions,
		/* share= */ plan->objects_open, plan->order, plan->order_first);
	if (layout_plan(plan->segments, plan->segment_count, data_bytes, count.total,
		    plan->pages.page_bytes, &plan->layout))
		return -EFBIG;
	plan->note_offset = plan->layout.notes_offset + at;
	return 0;
}

int head_write(struct capture_plan *plan, const struct core_note *note,
	int (*put)(void *user, const void *bytes, size_t len), void *user)
{
	static const unsigned char zeros[256];
	unsigned char header[LAYOUT_HEADER_MAX_BYTES];
	struct note_sink sink;
	uint64_t ignored;

	note_sink_init(&sink, plan->notes, PLAN_NOTES_BYTES, put, user);
	note_put(&sink, header, layout_header(&plan->layout, arch_elf_machine, header));
	for (uint32_t i = 0; i <= plan->segment_count; i++) {
		Elf64_Phdr phdr;

		layout_phdr(&plan->layout, plan->segments, plan->pages.page_bytes, i, &phdr);
		note_put(&sink, &phdr, sizeof(phdr));
	}
	plan->threads_without_registers = 0;
	notes_all(plan, &sink, note, &ignored);
	while (sink.total < plan->layout.data_offset && !sink.error)
		note_put(&sink, zeros,
			min_u64(plan->layout.data_offset - sink.total, sizeof(zeros)));
	return note_flush(&sink);
}

static int write_at(
	bool packed, uint64_t head_bytes, int fd, const void *bytes, size_t len, uint64_t offset)
{
	return packed ? frame_write_head(fd, head_bytes, offset, bytes, len)
		      : fd_write_all_at(fd, bytes, len, offset);
}

int head_write_at(
	const struct capture_plan *plan, int fd, const void *bytes, size_t len, uint64_t offset)
{
	return write_at(plan->packed, plan->layout.data_offset, fd, bytes, len, offset);
}

void head_note_place(const struct capture_plan *plan, struct head_note_place *ret)
{
	*ret = (struct head_note_place){.head_bytes = plan->layout.data_offset,
		.offset = plan->note_offset,
		.packed = plan->packed};
}

int head_patch_note_at(const struct head_note_place *place, int fd, const struct core_note *note)
{
	return write_at(place->packed, place->head_bytes, fd, note, sizeof(*note), place->offset);
}

void head_cut_segment(struct capture_plan *plan, int fd, uint32_t segment, uint64_t bytes)
{
	int r = FAULT_ERRNO(CAPTURE_CUT);
	Elf64_Phdr phdr;

	plan->segments[segment].file_bytes = bytes;
	layout_phdr(&plan->layout, plan->segments, plan->pages.page_bytes, segment + 1, &phdr);
	if (r == 0)
		r = head_write_at(plan, fd, &phdr, sizeof(phdr),
			layout_phdr_offset(&plan->layout, segment + 1));
	if (r && !plan->cut_error)
		plan->cut_error = r;
}

void head_note(const struct capture_plan *plan, const struct capture_result *result,
	uint64_t realtime_ns, struct core_note *ret)
{
	struct str writer;

	memset(ret, 0, sizeof(*ret));
	ret->version = CORE_NOTE_VERSION;
	ret->complete = result->copied_ns && !result->missing;
	ret->missing = result->missing;
	ret->kind = plan->kind;
	ret->threads = result->threads;
	ret->threads_without_registers = result->threads_without_registers;
	ret->mappings = result->mappings;
	ret->mappings_written = result->mappings_written;
	ret->memory_bytes = result->memory_bytes;
	ret->zero_bytes = result->zero_bytes;
	ret->skipped_bytes = result->skipped_bytes;
	ret->dontdump_bytes = result->dontdump_bytes;
	ret->swap_bytes = result->swap_bytes;
	ret->core_bytes = plan->layout.file_bytes;
	ret->begin_ns = result->begin_ns;
	ret->seized_ns = result->seized_ns;
	ret->copied_ns = result->copied_ns;
	ret->realtime_ns = realtime_ns;
	ret->pid = result->pid;
	ret->signal = plan->process.signal;
	str_init(&writer, ret->writer, sizeof(ret->writer));
	(void)str_add(&writer, "oomsnap " OOMSNAP_VERSION); /* fits until version 10000 */
}
