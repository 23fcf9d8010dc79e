// SPDX-License-Identifier: Apache-2.0
/*
 * Reading cores: one that is built here byte by byte, the same cut at every length, with every byte
 * turned, and with the lies that a forger would tell.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "parse/elfcore.h"

#define CORE_BYTES 16384
#define DATA_OFFSET 8192

struct image {
	uint8_t bytes[CORE_BYTES];
	uint64_t notes_len;
};

static void put32(uint8_t *at, uint32_t v)
{
	memcpy(at, &v, sizeof(v));
}

static void put64(uint8_t *at, uint64_t v)
{
	memcpy(at, &v, sizeof(v));
}

static void add_note(uint8_t *notes, uint64_t *len, const char *owner, uint32_t type,
	const void *desc, size_t size)
{
	Elf64_Nhdr head = {.n_namesz = (Elf64_Word)strlen(owner) + 1,
		.n_descsz = (Elf64_Word)size,
		.n_type = type};

	memcpy(notes + *len, &head, sizeof(head));
	memcpy(notes + *len + sizeof(head), owner, strlen(owner) + 1);
	*len += sizeof(head) + ((head.n_namesz + 3U) & ~3U);
	memcpy(notes + *len, desc, size);
	*len += (size + 3) & ~3ULL;
}

static void add_thread(uint8_t *notes, uint64_t *len, uint32_t tid, uint64_t pc, uint64_t sp)
{
	uint8_t desc[336] = {0};

	desc[12] = 9;
	put32(desc + 32, tid);
	put64(desc + 112 + 8 * 16, pc);
	put64(desc + 112 + 8 * 19, sp);
	add_note(notes, len, "CORE", NT_PRSTATUS, desc, sizeof(desc));
}

static void add_file_note(uint8_t *notes, uint64_t *len)
{
	uint8_t desc[16 + 48 + 12] = {0};

	put64(desc, 2);
	put64(desc + 8, 4096);
	put64(desc + 16, 0x1000);
	put64(desc + 24, 0x2000);
	put64(desc + 40, 0x400000);
	put64(desc + 48, 0x402000);
	put64(desc + 56, 3);
	memcpy(desc + 64, "/a/b\0/bin/x", 12);
	add_note(notes, len, "CORE", NT_FILE, desc, sizeof(desc));
}

static void build(struct image *image, bool extended)
{
	Elf64_Ehdr ehdr = {.e_type = ET_CORE,
		.e_machine = EM_X86_64,
		.e_phoff = sizeof(Elf64_Ehdr) + (extended ? sizeof(Elf64_Shdr) : 0),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 3};
	Elf64_Phdr phdr[3] = {
		{.p_type = PT_NOTE, .p_offset = 1024},
		{.p_type = PT_LOAD,
			.p_offset = DATA_OFFSET,
			.p_vaddr = 0x400000,
			.p_memsz = 8192,
			.p_filesz = 4096,
			.p_flags = PF_R | PF_X},
		{.p_type = PT_LOAD,
			.p_offset = DATA_OFFSET + 4096,
			.p_vaddr = 0x7f0000000000,
			.p_memsz = 4096,
			.p_filesz = 4096,
			.p_flags = PF_R | PF_W},
	};
	uint8_t prpsinfo[136] = {0};
	uint64_t len = 0;

	memset(image, 0, sizeof(*image));
	memcpy(ehdr.e_ident, ELFMAG, SELFMAG);
	ehdr.e_ident[EI_CLASS] = ELFCLASS64;
	ehdr.e_ident[EI_DATA] = ELFDATA2LSB;
	put32(prpsinfo + 16, 1000);
	put32(prpsinfo + 24, 77);
	memcpy(prpsinfo + 40, "leaker", 6);
	memset(prpsinfo + 56, 'a', 79);
	prpsinfo[56 + 79] = ' '; /* not terminated but by the blank that the kernel puts there */
	add_thread(image->bytes + 1024, &len, 77, 0x400123, 0x7f0000000100);
	add_note(image->bytes + 1024, &len, "CORE", NT_PRPSINFO, prpsinfo, sizeof(prpsinfo));
	add_file_note(image->bytes + 1024, &len);
	add_note(image->bytes + 1024, &len, "other", NT_PRSTATUS, prpsinfo, sizeof(prpsinfo));
	add_thread(image->bytes + 1024, &len, 78, 0x1234, 0);
	image->notes_len = phdr[0].p_filesz = len;
	memcpy(image->bytes + ehdr.e_phoff, phdr, sizeof(phdr));
	memcpy(image->bytes, &ehdr, sizeof(ehdr));
}

/* Everything that can be asked of a core, so that a sanitizer sees what is touched. */
static uint64_t walk(const struct elfcore *core)
{
	struct elfcore_segment segment;
	struct elfcore_process process;
	struct elfcore_thread thread;
	struct elfcore_files files;
	struct elfcore_file file;
	uint64_t cursor = 0;
	uint64_t sum = 0;

	for (uint32_t i = 0; elfcore_segment(core, i, &segment); i++)
		sum += elfcore_segment_present(core, &segment) + segment.vaddr;
	while (elfcore_thread(core, &cursor, &thread))
		sum += thread.pc;
	if (elfcore_process(core, &process))
		sum += strlen(process.comm) + strlen(process.args);
	if (elfcore_files(core, &files))
		while (elfcore_file(&files, &file))
			sum += strlen(file.name) + file.start;
	return sum;
}

static void test_reads_all(void **state)
{
	struct elfcore_process process;
	struct elfcore_segment segment;
	struct elfcore_thread thread;
	struct elfcore_files files;
	struct elfcore_file file;
	struct elfcore core;
	struct image image;
	uint64_t cursor = 0;

	(void)state;
	build(&image, false);
	assert_int_equal(ELFCORE_OK, elfcore_open(image.bytes, CORE_BYTES, CORE_BYTES, &core));
	assert_int_equal(3, core.phnum);
	assert_int_equal(2, core.segments);
	assert_true(elfcore_segment(&core, 1, &segment));
	assert_int_equal(0x400000, segment.vaddr);
	assert_int_equal(4096, elfcore_segment_present(&core, &segment));
	assert_false(elfcore_segment(&core, 3, &segment));
	assert_true(elfcore_thread(&core, &cursor, &thread));
	assert_int_equal(77, thread.tid);
	assert_int_equal(9, thread.signal);
	assert_int_equal(0x400123, thread.pc);
	assert_int_equal(0x7f0000000100, thread.sp);
	assert_true(elfcore_thread(&core, &cursor, &thread));
	assert_int_equal(78, thread.tid);
	assert_false(elfcore_thread(&core, &cursor, &thread));
	assert_true(elfcore_process(&core, &process));
	assert_string_equal("leaker", process.comm);
	assert_int_equal(77, process.pid);
	assert_int_equal(1000, process.uid);
	assert_int_equal(79, strlen(process.args));
	assert_true(elfcore_files(&core, &files));
	assert_true(elfcore_file(&files, &file));
	assert_string_equal("/a/b", file.name);
	assert_true(elfcore_file(&files, &file));
	assert_string_equal("/bin/x", file.name);
	assert_int_equal(3 * 4096, file.offset_bytes);
	assert_false(elfcore_file(&files, &file));
}

/* What is missing at the end of the file is told, once headers and notes are there. */
static void test_cut(void **state)
{
	struct elfcore_segment segment;
	struct elfcore core;
	struct image image;
	uint64_t head;

	(void)state;
	build(&image, false);
	head = 1024 + image.notes_len;
	for (uint64_t len = 0; len <= CORE_BYTES; len++) {
		uint8_t *exact = malloc(len + !len); /* so that one byte too far is seen */
		enum elfcore_status status;

		assert_non_null(exact);
		memcpy(exact, image.bytes, len);
		status = elfcore_open(exact, len, len, &core);
		assert_int_equal(status,
			len < SELFMAG	     ? ELFCORE_NOT_ELF
				: len < head ? ELFCORE_CUT
					     : ELFCORE_OK);
		if (status == ELFCORE_CUT)
			assert_true(core.headers_len > len);
		if (status == ELFCORE_OK) {
			(void)walk(&core);
			assert_true(elfcore_segment(&core, 2, &segment));
			assert_int_equal(
				sub_floor(min_u64(len, DATA_OFFSET + 8192), DATA_OFFSET + 4096),
				elfcore_segment_present(&core, &segment));
		}
		free(exact);
	}
}

/* Each byte of headers and notes set to values that hurt. */
static void test_turned_bytes(void **state)
{
	static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	struct elfcore core;
	struct image image;
	uint64_t head;

	(void)state;
	build(&image, true);
	head = 1024 + image.notes_len;
	for (uint64_t i = 0; i < head; i++)
		for (size_t v = 0; v < sizeof(values); v++) {
			uint8_t old = image.bytes[i];
			uint8_t *exact = malloc(head);

			assert_non_null(exact);
			image.bytes[i] = values[v];
			memcpy(exact, image.bytes, head);
			if (elfcore_open(exact, head, CORE_BYTES, &core) == ELFCORE_OK)
				(void)walk(&core);
			image.bytes[i] = old;
			free(exact);
		}
}

static void test_many_segments(void **state)
{
	const uint32_t count = 70000;
	const uint64_t len = 128 + (uint64_t)count * sizeof(Elf64_Phdr);
	uint8_t *bytes = calloc(1, len);
	Elf64_Shdr section = {.sh_info = count};
	struct elfcore_segment segment;
	struct elfcore core;
	struct image image;
	Elf64_Ehdr ehdr;

	(void)state;
	assert_non_null(bytes);
	build(&image, true);
	memcpy(&ehdr, image.bytes, sizeof(ehdr));
	ehdr.e_phnum = PN_XNUM;
	ehdr.e_shoff = 64;
	ehdr.e_shentsize = sizeof(section);
	ehdr.e_shnum = 1;
	ehdr.e_phoff = 128;
	memcpy(bytes, &ehdr, sizeof(ehdr));
	memcpy(bytes + 64, &section, sizeof(section));
	for (uint32_t i = 0; i < count; i++) {
		Elf64_Phdr phdr = {.p_type = PT_LOAD, .p_vaddr = i};

		memcpy(bytes + 128 + i * sizeof(phdr), &phdr, sizeof(phdr));
	}
	assert_int_equal(ELFCORE_OK, elfcore_open(bytes, len, len, &core));
	assert_int_equal(count, core.segments);
	assert_true(elfcore_segment(&core, count - 1, &segment));
	assert_int_equal(count - 1, segment.vaddr);
	assert_int_equal(ELFCORE_CUT, elfcore_open(bytes, len - 1, len - 1, &core));
	section.sh_info = 5; /* then PN_XNUM would not have been needed */
	memcpy(bytes + 64, &section, sizeof(section));
	assert_int_equal(ELFCORE_MALFORMED, elfcore_open(bytes, len, len, &core));
	ehdr.e_shoff = 0; /* PN_XNUM without its section */
	memcpy(bytes, &ehdr, sizeof(ehdr));
	assert_int_equal(ELFCORE_MALFORMED, elfcore_open(bytes, len, len, &core));
	free(bytes);
}

static void test_others(void **state)
{
	struct elfcore core;
	struct image image;

	(void)state;
	build(&image, false);
	image.bytes[EI_CLASS] = ELFCLASS32;
	assert_int_equal(ELFCORE_FOREIGN, elfcore_open(image.bytes, CORE_BYTES, 0, &core));
	build(&image, false);
	image.bytes[16] = ET_EXEC;
	assert_int_equal(ELFCORE_NOT_CORE, elfcore_open(image.bytes, CORE_BYTES, 0, &core));
	build(&image, false);
	put64(image.bytes + 32, UINT64_MAX - 10); /* e_phoff: wraps */
	assert_int_equal(ELFCORE_MALFORMED, elfcore_open(image.bytes, CORE_BYTES, 0, &core));
	assert_int_equal(ELFCORE_NOT_ELF, elfcore_open("", 0, 0, &core));
	for (int i = 0; i < ELFCORE_STATUS_COUNT; i++)
		assert_string_not_equal("?", elfcore_status_name((enum elfcore_status)i));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_all),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_turned_bytes),
		cmocka_unit_test(test_many_segments),
		cmocka_unit_test(test_others),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
