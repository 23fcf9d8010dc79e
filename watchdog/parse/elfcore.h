/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading an ELF core file that is in memory (mapped, or the unpacked beginning of a compressed
 * one): header, segments, notes, threads, mapped files. Pure; works on bytes that the caller owns
 * and trusts none of them. Any core of a 64-bit little-endian Linux process opens, not only ours.
 */
#ifndef OOMSNAP_PARSE_ELFCORE_H
#define OOMSNAP_PARSE_ELFCORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum elfcore_status {
	ELFCORE_OK,
	ELFCORE_NOT_ELF,   /* no ELF magic */
	ELFCORE_NOT_CORE,  /* an ELF file of another type */
	ELFCORE_FOREIGN,   /* 32-bit or big-endian: not supported */
	ELFCORE_CUT,	   /* ends before its program headers or notes do */
	ELFCORE_MALFORMED, /* sizes or offsets that no writer would produce */
	ELFCORE_STATUS_COUNT
};
const char *elfcore_status_name(enum elfcore_status status);

struct elfcore {
	const uint8_t *bytes; /* the caller's; outlives this */
	uint64_t len;	      /* bytes in hand, from offset 0 of the core */
	uint64_t file_len;    /* length of the whole core, at least len */
	uint64_t phoff;
	uint64_t headers_len; /* bytes that headers and notes take from the start of the file */
	uint32_t phnum;
	uint32_t segments; /* PT_LOAD among phnum */
	uint16_t machine;  /* EM_X86_64, EM_AARCH64, ... */
	uint64_t notes_offset;
	uint64_t notes_len;
};

struct elfcore_segment {
	uint64_t vaddr;
	uint64_t mem_bytes;
	uint64_t file_bytes;
	uint64_t offset;
	uint32_t type; /* PT_LOAD, PT_NOTE, ... */
	uint32_t flags;
};

struct elfcore_note {
	const char *owner; /* not terminated */
	uint32_t owner_len;
	uint32_t type;
	const uint8_t *desc;
	uint32_t desc_len;
};

/* One NT_PRSTATUS. pc and sp are 0 for a machine whose registers are not known here. */
struct elfcore_thread {
	uint64_t pc;
	uint64_t sp;
	int32_t tid;
	int32_t signal;
};

/* NT_PRPSINFO. */
struct elfcore_process {
	int32_t pid;
	uint32_t uid;
	uint32_t gid;
	char comm[17];
	char args[81];
};

/* One entry of NT_FILE. name points into the core's bytes and is terminated. */
struct elfcore_file {
	uint64_t start;
	uint64_t end;
	uint64_t offset_bytes;
	const char *name;
};

/* A walk over the entries of NT_FILE; filled by elfcore_files(). */
struct elfcore_files {
	const uint8_t *entry;
	const char *name;
	const char *end; /* of the note */
	uint64_t left;
	uint64_t page_bytes;
};

/*
 * Reads the headers of the len bytes at bytes, which are the beginning of a core of file_len bytes
 * (len == file_len where all of it is in hand). ELFCORE_OK with *ret filled, else what is wrong.
 * ELFCORE_CUT may be mended by more bytes: ret->headers_len then says how many are needed at least.
 */
enum elfcore_status elfcore_open(
	const void *bytes, uint64_t len, uint64_t file_len, struct elfcore *ret);

/* The program header number i (< phnum); false beyond the end. */
bool elfcore_segment(const struct elfcore *core, uint32_t i, struct elfcore_segment *ret);

/*
 * The next note at *cursor (0 at first), which is moved on. False at the end, or where the rest is
 * not a note; *cursor is then notes_len only in the first case.
 */
bool elfcore_note(const struct elfcore *core, uint64_t *cursor, struct elfcore_note *ret);

/* The first note of this owner and type; false if there is none. */
bool elfcore_find_note(
	const struct elfcore *core, const char *owner, uint32_t type, struct elfcore_note *ret);

/* The next thread from *cursor (0 at first) on; false at the end. */
bool elfcore_thread(const struct elfcore *core, uint64_t *cursor, struct elfcore_thread *ret);

/* What NT_PRPSINFO says; false without one. Strings are terminated, their bytes the target's. */
bool elfcore_process(const struct elfcore *core, struct elfcore_process *ret);

/* Begins a walk over NT_FILE; false without one. elfcore_file() returns false at its end. */
bool elfcore_files(const struct elfcore *core, struct elfcore_files *ret);
bool elfcore_file(struct elfcore_files *files, struct elfcore_file *ret);

/* Bytes of the segment that the file really has room for: less than file_bytes in a cut core. */
uint64_t elfcore_segment_present(const struct elfcore *core, const struct elfcore_segment *segment);

#endif
