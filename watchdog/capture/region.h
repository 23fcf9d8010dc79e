/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which mapping goes into a core, from where its bytes are taken, and how soon. Pure.
 */
#ifndef OOMSNAP_CAPTURE_REGION_H
#define OOMSNAP_CAPTURE_REGION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/types.h"
#include "parse/maps.h"

/* In the order in which they are copied: a core that is cut off has the first ones. */
enum region_class {
	REGION_STACK,	/* holds a thread's stack pointer */
	REGION_RUNTIME, /* data of the program, loader and runtime; what unwinders look for */
	REGION_ANON,	/* heaps */
	REGION_SHARED,	/* shared memory */
	REGION_FILE,	/* clean pages of files, where a runtime's debugger needs them */
	REGION_CLASS_COUNT
};

enum region_source {
	REGION_NOTHING, /* not in the core */
	REGION_PAGES,	/* the pages that exist in the process */
	REGION_OVERLAY, /* those, and the file's bytes where there are none */
	REGION_OBJECT,	/* the memory object itself, by its data extents */
	REGION_WHOLE,	/* every page, read without looking: the kernel's own code for us */
	REGION_SOURCE_COUNT
};

/* 48 bytes; there may be 131,072 of them. */
struct region {
	uint64_t start;
	uint64_t end;
	uint64_t offset_bytes; /* into the file */
	uint64_t inode;
	uint32_t major;
	uint32_t minor;
	uint32_t name;	       /* offset into the plan's names; 0: none */
	uint8_t prot;	       /* enum maps_prot bits */
	uint8_t class;	       /* enum region_class */
	uint8_t source;	       /* enum region_source */
	_Atomic uint8_t flags; /* enum region_flag bits; set by several threads */
};

enum region_flag {
	REGION_LEFT_OUT = 1 << 0, /* dontdump, or memory of a device: learned from VmFlags */
	REGION_SWAPPED = 1 << 1,  /* has swapped pages: a second round is needed; of an object
				     learned from smaps */
	REGION_HAS_FILE = 1 << 2, /* belongs into NT_FILE */
	REGION_UNSEEN = 1 << 3,	  /* could not be read at all */
	REGION_SYSV = 1 << 4,	  /* System V shared memory: its inode is its id, and may be that of
				     another object of the same device */
	REGION_READER = 1 << 5,	  /* of a file that .NET's debugger reads from the core: reader.c */
	REGION_UNSHARED =
		1 << 6,		/* no page of it is mapped by another process: learned from smaps */
	REGION_MAPPED = 1 << 7, /* the process has mapped every page of it: likewise */
};

/* What is known of a mapping besides its line in maps. */
struct region_facts {
	const struct maps_entry *entry;
	bool has_sp;	/* a thread's stack pointer points into it */
	bool sees_file; /* its file can be had, though it has no name any more; asked only where
			   region_wants_file() says so */
	bool has_anon;	/* some page is not the file's; asked only where region_wants_anon() says so
			 */
};

struct region_choice {
	enum region_class class;
	enum region_source source;
	uint64_t from; /* the part to write; from == to with REGION_NOTHING */
	uint64_t to;
};

/* Whether the choice depends on has_anon: a private mapping of a file that cannot be written. */
bool region_wants_anon(const struct maps_entry *entry);

/* Whether it depends on sees_file: such a mapping of a file that has been deleted. */
bool region_wants_file(const struct maps_entry *entry);

/* Whether a mapping appears in the core's program headers at all ([vsyscall] does not). */
bool region_listed(const struct maps_entry *entry);

/* Whether it shows a System V segment, for REGION_SYSV. */
bool region_is_sysv(const struct maps_entry *entry);

/* Whether it is a mapping of a file, for NT_FILE. */
bool region_has_file(const struct maps_entry *entry);

/* page_bytes: of the target. DONTDUMP is not decided here: it is not in maps. */
void region_choose(const struct region_facts *facts, enum capture_kind kind, uint64_t page_bytes,
	struct region_choice *ret);

#endif
