/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which pages of a process exist, and their bytes, without making one that did not exist.
 *
 * All functions may be called from several threads at once on one struct pages; none allocates.
 */
#ifndef OOMSNAP_OS_PAGES_H
#define OOMSNAP_OS_PAGES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum page_kind {
	PAGE_PRESENT = 1 << 0, /* in memory: reading it costs the target nothing */
	PAGE_SWAPPED = 1 << 1, /* reading it brings it back, charged to the target */
	PAGE_ANON = 1 << 2,    /* not a page of the mapped file (private copy, or no file) */
	PAGE_FORKED = 1 << 3,  /* of its run at least one page is another process's, too */
};

struct page_run {
	uint64_t start;
	uint64_t end;
	uint32_t kind; /* enum page_kind bits */
	uint32_t unused;
};

struct file_identity {
	uint64_t inode;
	uint32_t major;
	uint32_t minor;
};

enum pages_method {
	PAGES_SCAN,    /* PAGEMAP_SCAN, Linux 6.7 */
	PAGES_PAGEMAP, /* /proc/PID/pagemap */
	PAGES_BLIND,   /* neither may be read: every page of a mapping is taken as present */
	PAGES_METHOD_COUNT
};

struct pages {
	pid_t id;	  /* process or thread whose memory it is */
	int proc_fd;	  /* the caller's */
	int pagemap_fd;	  /* -1: PAGES_BLIND */
	int mem_fd;	  /* -1: no right to open it */
	int map_files_fd; /* -1: no right to open it */
	uint64_t page_bytes;
	enum pages_method method;
	atomic_uint scan_categories; /* what PAGEMAP_SCAN of this kernel knows; 0: not tried */
};

/* Opens what may be opened; finds out by trying. proc_fd: proc_open() of id. 0 or -errno. */
int pages_open(struct pages *p, pid_t id, int proc_fd);
void pages_close(struct pages *p);

/*
 * The next runs of existing pages in [start, end) in order, at most max (> 0); neighbours of one
 * kind are one run. *ret_end is where the search stopped: end, or less when runs[] was full.
 * anonymous: the caller knows that no page there is of a file, so that the kernel need not look at
 * each (3 ms a GiB instead of 15); all are PAGE_ANON then. PAGES_BLIND gives one run of the whole,
 * PAGE_PRESENT. 0 or -errno (-ESRCH: the process ended).
 */
int pages_scan(struct pages *p, uint64_t start, uint64_t end, bool anonymous, struct page_run *runs,
	size_t max, size_t *ret_count, uint64_t *ret_end);

enum pages_next_kind {
	PAGES_NEXT_ANY,	    /* any that exists */
	PAGES_NEXT_OWN,	    /* PAGE_ANON or PAGE_SWAPPED */
	PAGES_NEXT_SWAPPED, /* PAGE_SWAPPED */
};

/* Whether a page with these enum page_kind bits, which exists, is of the kind. */
bool pages_kind_is(uint32_t page, enum pages_next_kind kind);

/*
 * The first existing page of this kind in [start, end), or end. A blind source answers start. 0 or
 * -errno.
 */
int pages_next(
	struct pages *p, uint64_t start, uint64_t end, enum pages_next_kind kind, uint64_t *ret);

/*
 * Sets PAGE_FORKED of those of runs[0..count) that have it: pages_scan() does not look for it. A
 * run whose entries cannot be read has it. Documentation/admin-guide/mm/pagemap.rst, bit 56.
 */
void pages_note_forked(struct pages *p, struct page_run *runs, size_t count);

/*
 * Reads count runs (which lie in readable mappings) one behind the other into buffer, which holds
 * the sum of their sizes; PAGE_FORKED ones so that none becomes the target's own. Returns the bytes
 * read, a short count where a page cannot be read, or -errno. process_vm_readv(2),
 * proc_pid_mem(5).
 */
ssize_t pages_read(const struct pages *p, const struct page_run *runs, size_t count, void *buffer);

/*
 * The same through /proc/PID/mem, for mappings that the program itself may not read. On the tracer
 * thread: kernels with PROC_MEM_FORCE_PTRACE let no other. -EACCES without the right to open it.
 */
ssize_t pages_read_protected(
	const struct pages *p, const struct page_run *runs, size_t count, void *buffer);

/*
 * One page, first as above, then through /proc/PID/mem, which also reads what the program has
 * protected against reading (on some kernels for the tracer thread only: PROC_MEM_FORCE_PTRACE).
 * 0, or -errno: -EIO, -EFAULT for a page that cannot be read, -ESRCH when the process has ended.
 */
int pages_read_one(const struct pages *p, uint64_t address, void *buffer, size_t size);

/*
 * The file behind a mapping, opened for reading: through map_files, which works for deleted files
 * and for memory without a name; else, with path, through the root directory of the process, if
 * what lies there has this identity; else through a descriptor that the process has open. Never a
 * device or a pipe (-ENOTSUP). A file of a server may hang in open(2): the caller keeps away from
 * those. *ret_fd is the caller's. 0 or -errno.
 */
int pages_open_file(const struct pages *p, uint64_t start, uint64_t end, const char *path,
	const struct file_identity *identity, int *ret_fd);

/*
 * Whether the file behind a mapping can be had through map_files, as pages_open_file() has a
 * deleted one: it needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN. Asks no file server.
 */
bool pages_sees_file(const struct pages *p, uint64_t start, uint64_t end);

#endif
