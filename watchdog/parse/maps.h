/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of /proc/PID/maps and /proc/PID/smaps. Pure: bytes in, struct out; the name is the target's
 * to choose and is never trusted.
 */
#ifndef OOMSNAP_PARSE_MAPS_H
#define OOMSNAP_PARSE_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAPS_LINE_MAX (4096 + 128) /* the kernel cuts d_path() at a page; the rest is fields */

enum maps_prot {
	MAPS_READ = 1 << 0,
	MAPS_WRITE = 1 << 1,
	MAPS_EXEC = 1 << 2,
	MAPS_SHARED = 1 << 3, /* 's' in the fourth column */
};

struct maps_entry {
	uint64_t start;
	uint64_t end;
	uint64_t offset_bytes; /* into the file */
	uint64_t inode;	       /* 0: no file */
	uint32_t major;
	uint32_t minor;
	uint32_t prot;	   /* enum maps_prot bits */
	uint32_t name_len; /* without " (deleted)" where deleted is set */
	const char *name;  /* into the line, not terminated; a newline in it reads "\012" */
	bool deleted;	   /* the name carried " (deleted)": as the kernel says it, and as any file
			      may be called */
};

/* VmFlags of smaps, the ones that decide what goes into a core. */
enum maps_vmflag {
	MAPS_VM_DONTDUMP = 1 << 0, /* dd: madvise(MADV_DONTDUMP) */
	MAPS_VM_IO = 1 << 1,	   /* io: memory of a device */
	MAPS_VM_PFNMAP = 1 << 2,   /* pf: pages without a struct page */
	MAPS_VM_HUGETLB = 1 << 3,  /* ht */
};

/*
 * Reads one line (len bytes, without its newline). False, *ret untouched, for anything that the
 * kernel does not write: a missing field, an end before the start, a number that does not fit.
 */
bool maps_line(const char *line, size_t len, struct maps_entry *ret);

/*
 * For smaps: true if the line is "VmFlags: ..."; *ret gets enum maps_vmflag bits. Unknown flags are
 * skipped.
 */
bool maps_vmflags(const char *line, size_t len, uint32_t *ret);

/*
 * For smaps: true if the line is "KEY: N kB" with this key; *ret_bytes gets the number in bytes.
 */
bool maps_size(const char *line, size_t len, const char *key, uint64_t *ret_bytes);

/*
 * Copies a name with "\012" turned back into a newline, terminated, cut at size - 1 bytes; returns
 * the length. (A file whose name really holds the four characters \012 cannot be told apart.)
 */
size_t maps_name(const char *name, size_t len, char *ret, size_t size);

#endif
