/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process says of its runtime: its command line, its environment, a .NET settings file, the
 * counters of a JVM, the names of its mappings. Everything is the target's to choose. Pure.
 */
#ifndef OOMSNAP_PARSE_RUNTIME_H
#define OOMSNAP_PARSE_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/types.h"

/*
 * The runtime whose library, or whose program, is mapped under this name (a whole path);
 * RUNTIME_NONE for any other name. Programs that have their runtime in their own file have no
 * such name: runtime_of_sections().
 */
enum runtime_kind runtime_of_mapping(const char *name, size_t len);

/*
 * The runtime that is a part of a program, by the names of its ELF sections (.shstrtab): Go's, or
 * .NET's, as a single file or compiled ahead of time; RUNTIME_NONE for any other.
 */
enum runtime_kind runtime_of_sections(const char *names, size_t len);

/*
 * Where the section names of an ELF64 file of this machine lie, in two steps: from its header
 * (64 bytes) to the header of the section that holds them, from that (64 bytes) to the names.
 * False where the bytes are no such header. The offsets are the file's word.
 */
bool runtime_elf_section(const void *header, size_t len, uint64_t *ret_offset);
bool runtime_elf_names(const void *section, size_t len, uint64_t *ret_offset, uint64_t *ret_bytes);

/*
 * Take the settings of that runtime into *facts: heap_bytes or heap_bp, and their source. cmdline
 * and environ are the files' text (strings that end in a zero byte; the last may be cut); json is a
 * .runtimeconfig.json. facts->kind says whose settings count. Whatever is no setting, or a bad one,
 * changes nothing. To be called in the order environ, json, cmdline: a later setting counts only
 * where that runtime lets it.
 */
void runtime_take_environ(const char *text, size_t len, struct runtime_facts *facts);
void runtime_take_settings(const char *json, size_t len, struct runtime_facts *facts);
void runtime_take_cmdline(const char *text, size_t len, struct runtime_facts *facts);

/*
 * The n-th string of such a list (0: the first) that ends in suffix ("" for any): its start in
 * *ret and its length; false where there is none.
 */
bool runtime_argument(const char *text, size_t len, const char *suffix, uint32_t n,
	const char **ret, size_t *ret_len);

/*
 * Sums up, line by line of /proc/PID/maps, what a heap has asked the kernel for, touched or not.
 * .NET's collector reserves one unbroken row of anonymous mappings, at least five times as large as
 * its hard limit; what it has asked for is the writable part, but for the stacks of threads, which
 * often lie in the same row, each behind a guard page. V8 takes pages that begin at
 * multiples of 256 KiB. For other runtimes nothing is found.
 */
struct runtime_range {
	enum runtime_kind kind; /* these two are the caller's; the rest starts as 0 */
	uint64_t heap_bytes;	/* the heap limit */
	uint64_t end;		/* .NET: of the row so far */
	uint64_t row_bytes;
	uint64_t writable_bytes;
	bool guarded;		  /* the last one was a guard page */
	uint64_t committed_bytes; /* the result */
};
struct maps_entry;
void runtime_range_add(struct runtime_range *range, const struct maps_entry *entry);
void runtime_range_end(struct runtime_range *range);

#endif
