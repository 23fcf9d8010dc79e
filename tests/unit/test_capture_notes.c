// SPDX-License-Identifier: Apache-2.0
/*
 * Notes of a core, read back by the project's own reader of cores, and through sinks of every size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "capture/layout.h"
#include "capture/notes.h"
#include "os/arch.h"
#include "parse/elfcore.h"

#define FILE_BYTES 16384U

struct file {
	unsigned char bytes[FILE_BYTES];
	size_t len;
	size_t fail_after; /* flushes */
};

static int append(void *user, const void *bytes, size_t len)
{
	struct file *f = user;

	if (f->fail_after && --f->fail_after == 0)
		return -EIO;
	assert_true(len <= FILE_BYTES - f->len);
	memcpy(f->bytes + f->len, bytes, len);
	f->len += len;
	return 0;
}

static const struct note_process process = {.pid = 7,
	.ppid = 1,
	.pgrp = 7,
	.sid = 5,
	.uid = 1001,
	.gid = 100,
	.nice = -5,
	.signal = SIGKILL,
	.state = 'S',
	.comm = "worker(1)",
	.args = "worker --port 80"};

static void all_notes(struct note_sink *sink)
{
	static const char names[] = "/bin/worker\0/lib/libc.so.6";
	elf_gregset_t regs;
	struct note_thread thread = {
		.tid = 7, .regs = (const elf_gregset_t *)&regs, .has_fp = true};

	memset(&regs, 0, sizeof(regs));
	arch_set_where(&regs, 0x7ffc1000, 0x401000);
	note_prstatus(sink, &process, &thread);
	note_prpsinfo(sink, &process);
	note_siginfo(sink, &process);
	note_file_begin(sink, 2, sizeof(names), 4096);
	note_file_entry(sink, 0x400000, 0x402000, 0, 4096);
	note_file_entry(sink, 0x7f0000000000, 0x7f0000001000, 0x26000, 4096);
	note_put(sink, names, sizeof(names));
	note_end(sink, note_file_bytes(2, sizeof(names)));
	thread.tid = 8;
	note_prstatus(sink, &process, &thread);
	note_write(sink, "odd", 99, "12345", 5);
}

/* The notes behind a header that says they are all of the file. */
static void as_core(const struct file *notes, unsigned char *file, struct elfcore *ret)
{
	struct layout l;
	Elf64_Phdr p;

	assert_int_equal(0, layout_plan(/* segments= */ NULL, 0, 0, notes->len, 4096, &l));
	(void)layout_header(&l, arch_elf_machine, file);
	layout_phdr(&l, NULL, 4096, 0, &p);
	memcpy(file + layout_phdr_offset(&l, 0), &p, sizeof(p));
	memcpy(file + l.notes_offset, notes->bytes, notes->len);
	assert_int_equal(ELFCORE_OK,
		elfcore_open(file, l.notes_offset + notes->len, l.notes_offset + notes->len, ret));
}

static void test_read_back(void **state)
{
	unsigned char *bytes = calloc(1, 2 * FILE_BYTES);
	unsigned char buffer[256];
	struct file notes = {.len = 0};
	struct note_sink sink;
	struct elfcore core;
	struct elfcore_thread thread;
	struct elfcore_process p;
	struct elfcore_files files;
	struct elfcore_file file;
	struct elfcore_note note;
	uint64_t cursor = 0;

	(void)state;
	assert_non_null(bytes);
	note_sink_init(&sink, buffer, sizeof(buffer), append, &notes);
	all_notes(&sink);
	assert_int_equal(0, note_flush(&sink));
	assert_int_equal(sink.total, notes.len);
	as_core(&notes, bytes, &core);
	for (int32_t tid = 7; tid <= 8; tid++) {
		assert_true(elfcore_thread(&core, &cursor, &thread));
		assert_int_equal(tid, thread.tid);
		assert_int_equal(SIGKILL, thread.signal);
		assert_int_equal(0x7ffc1000, thread.sp);
		assert_int_equal(0x401000, thread.pc);
	}
	assert_false(elfcore_thread(&core, &cursor, &thread));
	assert_true(elfcore_process(&core, &p));
	assert_int_equal(7, p.pid);
	assert_int_equal(1001, p.uid);
	assert_int_equal(100, p.gid);
	assert_string_equal("worker(1)", p.comm);
	assert_string_equal("worker --port 80", p.args);
	assert_true(elfcore_files(&core, &files));
	assert_true(elfcore_file(&files, &file));
	assert_string_equal("/bin/worker", file.name);
	assert_true(elfcore_file(&files, &file));
	assert_string_equal("/lib/libc.so.6", file.name);
	assert_int_equal(0x26000, file.offset_bytes);
	assert_false(elfcore_file(&files, &file));
	assert_true(elfcore_find_note(&core, "odd", 99, &note));
	assert_int_equal(5, note.desc_len);
	assert_memory_equal("12345", note.desc, 5);
	free(bytes);
}

static void test_any_buffer(void **state)
{
	static const size_t sizes[] = {1, 2, 3, 7, 64, 4096, FILE_BYTES};
	unsigned char *buffer = malloc(FILE_BYTES);
	struct file first = {.len = 0};

	(void)state;
	assert_non_null(buffer);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct file f = {.len = 0};
		struct note_sink sink;

		note_sink_init(&sink, buffer, sizes[i], append, &f);
		all_notes(&sink);
		assert_int_equal(0, note_flush(&sink));
		if (i == 0)
			first = f;
		assert_int_equal(first.len, f.len);
		assert_memory_equal(first.bytes, f.bytes, f.len);
	}
	free(buffer);
}

/* Counting without a buffer gives what writing takes: the layout relies on it. */
static void test_counting(void **state)
{
	unsigned char buffer[64];
	struct file f = {.len = 0};
	struct note_sink count;
	struct note_sink sink;

	(void)state;
	note_sink_init(&count, NULL, 0, NULL, NULL);
	all_notes(&count);
	note_sink_init(&sink, buffer, sizeof(buffer), append, &f);
	all_notes(&sink);
	(void)note_flush(&sink);
	assert_int_equal(count.total, f.len);
	assert_int_equal(0, f.len % 4);
}

static void test_error_stays(void **state)
{
	unsigned char buffer[64];
	struct file f = {.fail_after = 3};
	struct note_sink sink;

	(void)state;
	note_sink_init(&sink, buffer, sizeof(buffer), append, &f);
	all_notes(&sink);
	assert_int_equal(-EIO, note_flush(&sink));
	assert_int_equal(2 * sizeof(buffer), f.len); /* nothing behind the gap */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_back),
		cmocka_unit_test(test_any_buffer),
		cmocka_unit_test(test_counting),
		cmocka_unit_test(test_error_stays),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
