// SPDX-License-Identifier: Apache-2.0
/*
 * Encoding of the notes of a core (elf(5), <linux/elfcore.h>, fs/binfmt_elf.c of Linux).
 *
 * Readers are picky in ways that their documentation does not tell, and these choices were each
 * seen to matter: without NT_PRPSINFO elfutils calls the file no valid ELF; without NT_AUXV gdb and
 * lldb find no stack; gdb on x86-64 takes pr_cursig from the last thread, so every thread carries
 * the same; ids must be those of the innermost pid namespace, or gdb invents threads; the readers
 * of managed runtimes go by type and ignore the owner, so our own note has a type far from theirs.
 *
 * Everything goes through a sink that spills into the caller's file, since the notes of a process
 * with thousands of threads are larger than any buffer.
 *
 * Limits: CPU times of PRSTATUS stay 0; no debugger shows them.
 */
#include <elf.h>
#include <signal.h>
#include <string.h>

#include "base/checked.h"
#include "capture/notes.h"

#define NOTE_ALIGN 4U

void note_sink_init(struct note_sink *sink, void *buffer, size_t size,
	int (*flush)(void *user, const void *bytes, size_t len), void *user)
{
	*sink = (struct note_sink){.buffer = buffer, .size = size, .flush = flush, .user = user};
}

int note_flush(struct note_sink *sink)
{
	if (sink->len && !sink->error)
		sink->error = sink->flush(sink->user, sink->buffer, sink->len);
	sink->len = 0;
	return sink->error;
}

void note_put(struct note_sink *sink, const void *bytes, size_t len)
{
	const unsigned char *at = bytes;

	sink->total += len;
	if (!sink->buffer)
		return;
	while (len && !sink->error) {
		size_t n = min_u64(len, sink->size - sink->len);

		if (at)
			memcpy(sink->buffer + sink->len, at, n);
		else
			memset(sink->buffer + sink->len, 0, n);
		sink->len += n;
		len -= n;
		at = at ? at + n : NULL;
		if (sink->len == sink->size)
			(void)note_flush(sink); /* remembered in sink->error */
	}
}

static size_t padding(size_t len)
{
	return (NOTE_ALIGN - len % NOTE_ALIGN) % NOTE_ALIGN;
}

void note_begin(struct note_sink *sink, const char *owner, uint32_t type, size_t len)
{
	Elf64_Nhdr header = {.n_namesz = (Elf64_Word)strlen(owner) + 1,
		.n_descsz = (Elf64_Word)len,
		.n_type = type};

	note_put(sink, &header, sizeof(header));
	note_put(sink, owner, header.n_namesz);
	note_put(sink, NULL, padding(header.n_namesz));
}

void note_end(struct note_sink *sink, size_t len)
{
	note_put(sink, NULL, padding(len));
}

void note_write(
	struct note_sink *sink, const char *owner, uint32_t type, const void *desc, size_t len)
{
	note_begin(sink, owner, type, len);
	note_put(sink, desc, len);
	note_end(sink, len);
}

void note_prstatus(struct note_sink *sink, const struct note_process *process,
	const struct note_thread *thread)
{
	struct elf_prstatus s;

	memset(&s, 0, sizeof(s));
	s.pr_info.si_signo = process->signal;
	s.pr_cursig = (short)process->signal;
	s.pr_sighold = thread->blocked;
	s.pr_pid = thread->tid;
	s.pr_ppid = process->ppid;
	s.pr_pgrp = process->pgrp;
	s.pr_sid = process->sid;
	memcpy(&s.pr_reg, thread->regs, sizeof(s.pr_reg));
	s.pr_fpvalid = thread->has_fp;
	note_write(sink, "CORE", NT_PRSTATUS, &s, sizeof(s));
}

/* The kernel's index into "RSDTZW"; anything else shows as 'R' would, with the letter right. */
static char state_index(char letter)
{
	static const char letters[] = "RSDTZW";
	const char *at = letter ? strchr(letters, letter) : NULL;

	return (char)(at ? at - letters : 0);
}

void note_prpsinfo(struct note_sink *sink, const struct note_process *process)
{
	struct elf_prpsinfo p;

	memset(&p, 0, sizeof(p));
	p.pr_state = state_index(process->state);
	p.pr_sname = process->state;
	p.pr_zomb = process->state == 'Z';
	p.pr_nice = (char)process->nice;
	p.pr_flag = process->flags;
	p.pr_uid = process->uid;
	p.pr_gid = process->gid;
	p.pr_pid = process->pid;
	p.pr_ppid = process->ppid;
	p.pr_pgrp = process->pgrp;
	p.pr_sid = process->sid;
	memcpy(p.pr_fname, process->comm, sizeof(p.pr_fname));
	memcpy(p.pr_psargs, process->args, sizeof(p.pr_psargs));
	p.pr_psargs[sizeof(p.pr_psargs) - 1] = '\0';
	note_write(sink, "CORE", NT_PRPSINFO, &p, sizeof(p));
}

void note_siginfo(struct note_sink *sink, const struct note_process *process)
{
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	info.si_signo = process->signal;
	note_write(sink, "CORE", NT_SIGINFO, &info, sizeof(info));
}

size_t note_file_bytes(uint64_t count, uint64_t names_bytes)
{
	return (2 + 3 * count) * sizeof(uint64_t) + names_bytes;
}

void note_file_begin(
	struct note_sink *sink, uint64_t count, uint64_t names_bytes, uint64_t page_bytes)
{
	uint64_t head[2] = {count, page_bytes};

	note_begin(sink, "CORE", NT_FILE, note_file_bytes(count, names_bytes));
	note_put(sink, head, sizeof(head));
}

void note_file_entry(struct note_sink *sink, uint64_t start, uint64_t end, uint64_t offset_bytes,
	uint64_t page_bytes)
{
	uint64_t entry[3] = {start, end, offset_bytes / page_bytes};

	note_put(sink, entry, sizeof(entry));
}
