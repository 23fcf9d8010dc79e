/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where everything stands in a core file: known to the byte before the first byte is written. Pure.
 */
#ifndef OOMSNAP_CAPTURE_LAYOUT_H
#define OOMSNAP_CAPTURE_LAYOUT_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One PT_LOAD; 40 bytes. */
struct segment {
	uint64_t start;
	uint64_t mem_bytes;
	uint64_t file_bytes; /* a multiple of the page size, at most mem_bytes */
	uint64_t offset;     /* in the file: see layout_plan() */
	uint32_t region;     /* index of its mapping */
	uint8_t prot;	     /* enum maps_prot bits */
	uint8_t rank;	     /* enum order_rank */
	uint16_t unused;
};

struct layout {
	uint64_t header_bytes; /* ELF header, and section 0 where there is one */
	uint64_t phdr_bytes;
	uint64_t notes_offset;
	uint64_t notes_bytes;
	uint64_t data_offset; /* page-aligned */
	uint64_t file_bytes;  /* length of the whole file */
	uint32_t segments;
	bool extended; /* PN_XNUM: the real number of program headers stands in section 0 */
};

enum layout_result {
	LAYOUT_TOO_LARGE = 1, /* offsets beyond what off_t holds */
};

#define LAYOUT_HEADER_MAX_BYTES (sizeof(Elf64_Ehdr) + sizeof(Elf64_Shdr))

/*
 * Segments come with offsets behind the beginning of the data, which is data_bytes long
 * (order_plan()), and get them behind the beginning of the file. 0 or LAYOUT_TOO_LARGE.
 */
int layout_plan(struct segment *segments, uint32_t count, uint64_t data_bytes, uint64_t notes_bytes,
	uint64_t page_bytes, struct layout *ret);

/* Writes the first header_bytes of the file into buffer; returns their number. */
size_t layout_header(const struct layout *layout, uint16_t machine, void *buffer);

/*
 * Program header number i: 0 is PT_NOTE, i > 0 the PT_LOAD of segments[i - 1].
 */
void layout_phdr(const struct layout *layout, const struct segment *segments, uint64_t page_bytes,
	uint32_t i, Elf64_Phdr *ret);

/* Offset in the file of program header i. */
uint64_t layout_phdr_offset(const struct layout *layout, uint32_t i);

#endif
