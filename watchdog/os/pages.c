// SPDX-License-Identifier: Apache-2.0
/*
 * The page source: what of a target's memory exists, and its bytes.
 *
 * Reading an address through /proc/PID/mem or process_vm_readv(2) does what the program's own
 * access would do: a page that is not there is made (a hole of shared memory becomes a page charged
 * to the target, which can be its end), fetched from swap, or awaited from a userfaultfd or a
 * file server. So nothing is read that has not been listed first, and listing touches nothing:
 *   PAGEMAP_SCAN (Linux 6.7) walks the page tables and returns runs by category, whole areas
 *     without a page table in no time, and the shared zero page and guard regions left out;
 *   /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst) gives 8 bytes a page: bit 63
 *     present, 62 swapped, 61 page of a file or shared; guard regions (bit 58) are left out;
 *   where neither may be read (they are opened with the rights of their owner, which the right to
 *     trace does not include), a private mapping is taken as a whole. An untouched page then reads
 *     as the zero page: no memory, but page tables for it; swapped pages come back. Shared mappings
 *     must not be read like that at all, and the caller does not.
 *
 * Pages are read with process_vm_readv, which copies once, and one by one through /proc/PID/mem
 * where that fails: it reads PROT_NONE pages, too.
 *
 * process_vm_readv pins what it reads, and since Linux 5.19 an anonymous page that a fork has left
 * to two processes is copied before it is pinned (gup_must_unshare() in mm/internal.h): the target
 * would be charged for all that it shares with its children, 128 MiB for 128 MiB. /proc/PID/mem
 * pins nothing. So bit 56 of the pagemap (mapped by this process alone) is looked at before each
 * read, and what lacks it goes through /proc/PID/mem, which costs a second copy in the cache.
 *
 * Limits: between listing and reading the kernel may reclaim a page even of a stopped process; a
 * page swapped out in those microseconds is read back and charged to the target. Where
 * /proc/PID/mem may not be read, shared pages are read like all others.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "os/pages.h"

#define READ_RUNS_MAX 64  /* runs in one process_vm_readv */
#define SCAN_RUNS_MAX 256 /* regions in one PAGEMAP_SCAN */
#define PAGEMAP_ENTRIES 512
#define DESCRIPTORS_MAX 4096 /* of a target that are looked through for one mapping */

/* include/uapi/linux/fs.h of Linux 6.7; the guard category came with 6.15. */
struct scan_region {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};
struct scan_arg {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end;
	uint64_t vec;
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};
#define SCAN_IOCTL _IOWR('f', 16, struct scan_arg)
#define SCAN_FILE (1U << 2)
#define SCAN_PRESENT (1U << 3)
#define SCAN_SWAPPED (1U << 4)
#define SCAN_PFNZERO (1U << 5)
#define SCAN_GUARD (1U << 8)
#define SCAN_KNOWN (1U << 31) /* of ours, in scan_categories: it has been tried */

#define PAGEMAP_BIT_PRESENT (1ULL << 63)
#define PAGEMAP_BIT_SWAPPED (1ULL << 62)
#define PAGEMAP_BIT_FILE (1ULL << 61)
#define PAGEMAP_BIT_EXCLUSIVE (1ULL << 56)
#define PAGEMAP_BIT_GUARD (1ULL << 58)

/* --- PAGEMAP_SCAN -------------------------------------------------------------------------- */

/*
 * One call. Present pages but for the zero page, and swapped ones; of these only such that belong
 * to no file, or only the swapped ones.
 */
static int scan_call(
	struct pages *p, struct scan_arg *arg, enum pages_next_kind kind, bool anonymous)
{
	uint64_t file = anonymous ? 0 : SCAN_FILE;
	uint64_t no_file = kind == PAGES_NEXT_OWN ? SCAN_FILE : 0;
	uint32_t known = atomic_load(&p->scan_categories);
	uint32_t guard = known ? known & SCAN_GUARD : SCAN_GUARD;

	for (;;) {
		int r;

		arg->size = sizeof(*arg);
		arg->category_inverted = SCAN_PFNZERO | guard | no_file;
		arg->category_mask = SCAN_PFNZERO | guard | no_file;
		arg->category_anyof_mask =
			kind == PAGES_NEXT_SWAPPED ? SCAN_SWAPPED : SCAN_PRESENT | SCAN_SWAPPED;
		arg->return_mask = SCAN_PRESENT | SCAN_SWAPPED | file;
		r = ioctl(p->pagemap_fd, SCAN_IOCTL, arg);
		if (r >= 0) {
			atomic_store(&p->scan_categories, SCAN_KNOWN | guard);
			return r;
		}
		if (errno == EINTR)
			continue;
		if (errno != EINVAL || !guard)
			return -errno;
		guard = 0; /* a kernel that does not know this category */
	}
}

static uint32_t kind_of_categories(uint64_t categories)
{
	return (categories & SCAN_PRESENT ? PAGE_PRESENT : 0U) |
		(categories & SCAN_SWAPPED ? PAGE_SWAPPED : 0U) |
		(categories & SCAN_FILE ? 0U : PAGE_ANON);
}

static int scan(struct pages *p, uint64_t start, uint64_t end, bool anonymous,
	struct page_run *runs, size_t max, size_t *ret_count, uint64_t *ret_end)
{
	struct scan_region regions[SCAN_RUNS_MAX];
	struct scan_arg arg = {.start = start, .end = end, .vec = (uintptr_t)regions};
	int n;

	arg.vec_len = min_u64(max, SCAN_RUNS_MAX);
	n = scan_call(p, &arg, PAGES_NEXT_ANY, anonymous);
	if (n < 0)
		return n;
	for (int i = 0; i < n; i++)
		runs[i] = (struct page_run){.start = regions[i].start,
			.end = regions[i].end,
			.kind = kind_of_categories(regions[i].categories)};
	*ret_count = (size_t)n;
	*ret_end = arg.walk_end > start ? arg.walk_end : end;
	return 0;
}

/* --- pagemap ------------------------------------------------------------------------------- */

static uint32_t kind_of_entry(uint64_t entry)
{
	if (entry & PAGEMAP_BIT_GUARD || !(entry & (PAGEMAP_BIT_PRESENT | PAGEMAP_BIT_SWAPPED)))
		return 0;
	return (entry & PAGEMAP_BIT_PRESENT ? PAGE_PRESENT : PAGE_SWAPPED) |
		(entry & PAGEMAP_BIT_FILE ? 0U : PAGE_ANON);
}

static int walk_pagemap(struct pages *p, uint64_t start, uint64_t end, struct page_run *runs,
	size_t max, size_t *ret_count, uint64_t *ret_end)
{
	uint64_t entries[PAGEMAP_ENTRIES];
	uint64_t at = start;
	size_t count = 0;

	while (at < end) {
		size_t want = min_u64((end - at) / p->page_bytes, PAGEMAP_ENTRIES);
		ssize_t n = pread(p->pagemap_fd, entries, want * sizeof(entries[0]),
			(off_t)(at / p->page_bytes * sizeof(entries[0])));

		if (n < 0)
			return -errno;
		if (n == 0)
			return -ESRCH;
		for (size_t i = 0; i < (size_t)n / sizeof(entries[0]); i++, at += p->page_bytes) {
			uint32_t kind = kind_of_entry(entries[i]);

			if (!kind)
				continue;
			if (count && runs[count - 1].end == at && runs[count - 1].kind == kind) {
				runs[count - 1].end += p->page_bytes;
				continue;
			}
			if (count == max)
				goto full;
			runs[count++] = (struct page_run){
				.start = at, .end = at + p->page_bytes, .kind = kind};
		}
	}
full:
	*ret_count = count;
	*ret_end = at;
	return 0;
}

/* --- the source ---------------------------------------------------------------------------- */

static int open_or_none(int dir_fd, const char *name, int flags)
{
	return openat(dir_fd, name, flags | O_CLOEXEC);
}

int pages_open(struct pages *p, pid_t id, int proc_fd)
{
	struct scan_arg arg = {.start = 0, .end = 0};

	p->id = id;
	p->proc_fd = proc_fd;
	p->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	p->pagemap_fd = open_or_none(proc_fd, "pagemap", O_RDONLY);
	p->mem_fd = open_or_none(proc_fd, "mem", O_RDONLY);
	p->map_files_fd = open_or_none(proc_fd, "map_files", O_PATH | O_DIRECTORY);
	atomic_store(&p->scan_categories, 0);
	if (p->pagemap_fd < 0)
		p->method = PAGES_BLIND;
	else if (scan_call(p, &arg, PAGES_NEXT_ANY, /* anonymous= */ false) >= 0)
		p->method = PAGES_SCAN;
	else
		p->method = PAGES_PAGEMAP;
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* read only: nothing to lose */
	*fd = -1;
}

void pages_close(struct pages *p)
{
	close_fd(&p->pagemap_fd);
	close_fd(&p->mem_fd);
	close_fd(&p->map_files_fd);
}

int pages_scan(struct pages *p, uint64_t start, uint64_t end, bool anonymous, struct page_run *runs,
	size_t max, size_t *ret_count, uint64_t *ret_end)
{
	switch (p->method) {
	case PAGES_SCAN:
		return scan(p, start, end, anonymous, runs, max, ret_count, ret_end);
	case PAGES_PAGEMAP:
		return walk_pagemap(p, start, end, runs, max, ret_count, ret_end);
	case PAGES_BLIND:
	case PAGES_METHOD_COUNT:
		break;
	}
	runs[0] = (struct page_run){.start = start, .end = end, .kind = PAGE_PRESENT | PAGE_ANON};
	*ret_count = 1;
	*ret_end = end;
	return 0;
}

bool pages_kind_is(uint32_t page, enum pages_next_kind kind)
{
	switch (kind) {
	case PAGES_NEXT_OWN:
		return page & (PAGE_ANON | PAGE_SWAPPED);
	case PAGES_NEXT_SWAPPED:
		return page & PAGE_SWAPPED;
	case PAGES_NEXT_ANY:
		break;
	}
	return true;
}

int pages_next(
	struct pages *p, uint64_t start, uint64_t end, enum pages_next_kind kind, uint64_t *ret)
{
	struct scan_region region;
	struct scan_arg arg = {.start = start,
		.end = end,
		.vec = (uintptr_t)&region,
		.vec_len = 1,
		.max_pages = 1};
	struct page_run runs[8];

	if (p->method == PAGES_SCAN) {
		int n = scan_call(p, &arg, kind, /* anonymous= */ false);

		if (n < 0)
			return n;
		*ret = n > 0 ? region.start : end;
		return 0;
	}
	while (start < end) {
		size_t count = 0;
		int r = pages_scan(p, start, end, /* anonymous= */ false, runs, ARRAY_LEN(runs),
			&count, &start);

		if (r)
			return r;
		for (size_t i = 0; i < count; i++)
			if (pages_kind_is(runs[i].kind, kind)) {
				*ret = runs[i].start;
				return 0;
			}
	}
	*ret = end;
	return 0;
}

static bool is_forked(const struct pages *p, const struct page_run *run)
{
	uint64_t entries[PAGEMAP_ENTRIES];
	uint64_t at = run->start;

	while (at < run->end) {
		size_t want = min_u64((run->end - at) / p->page_bytes, PAGEMAP_ENTRIES);
		ssize_t n = pread(p->pagemap_fd, entries, want * sizeof(entries[0]),
			(off_t)(at / p->page_bytes * sizeof(entries[0])));

		if (n <= 0)
			return true;
		for (size_t i = 0; i < (size_t)n / sizeof(entries[0]); i++, at += p->page_bytes)
			if (entries[i] & PAGEMAP_BIT_PRESENT &&
				!(entries[i] & PAGEMAP_BIT_EXCLUSIVE))
				return true;
	}
	return false;
}

void pages_note_forked(struct pages *p, struct page_run *runs, size_t count)
{
	if (p->method == PAGES_BLIND || p->mem_fd < 0)
		return; /* there is nothing that could be done about it */
	for (size_t i = 0; i < count; i++)
		if ((runs[i].kind & (PAGE_ANON | PAGE_PRESENT)) == (PAGE_ANON | PAGE_PRESENT) &&
			is_forked(p, &runs[i]))
			runs[i].kind |= PAGE_FORKED;
}

static bool by_mem(const struct pages *p, const struct page_run *run)
{
	return run->kind & PAGE_FORKED && p->mem_fd >= 0;
}

/* By process_vm_readv, the first of count runs up to one that is not to be pinned. */
static ssize_t read_pinned(const struct pages *p, const struct page_run *runs, size_t count,
	void *buffer, size_t *ret_count, size_t *ret_wanted)
{
	struct iovec remote[READ_RUNS_MAX];
	struct iovec local = {.iov_base = buffer};
	size_t n = 0;
	ssize_t got;

	for (; n < count && n < READ_RUNS_MAX && !by_mem(p, &runs[n]); n++) {
		remote[n].iov_base = (void *)(uintptr_t)runs[n].start;
		remote[n].iov_len = runs[n].end - runs[n].start;
		local.iov_len += remote[n].iov_len;
	}
	*ret_count = n;
	*ret_wanted = local.iov_len;
	got = process_vm_readv(p->id, &local, 1, remote, n, 0);
	return got < 0 ? -errno : got;
}

static ssize_t read_mem(const struct pages *p, const struct page_run *run, void *buffer)
{
	ssize_t n = pread(p->mem_fd, buffer, run->end - run->start, (off_t)run->start);

	return n < 0 ? -errno : n;
}

ssize_t pages_read(const struct pages *p, const struct page_run *runs, size_t count, void *buffer)
{
	size_t total = 0;

	while (count) {
		char *to = (char *)buffer + total;
		size_t wanted = runs->end - runs->start;
		size_t n = 1;
		ssize_t got = by_mem(p, runs) ? read_mem(p, runs, to)
					      : read_pinned(p, runs, count, to, &n, &wanted);

		if (got < 0)
			return total ? (ssize_t)total : got;
		total += (size_t)got;
		if ((size_t)got < wanted)
			break;
		runs += n;
		count -= n;
	}
	return (ssize_t)total;
}

ssize_t pages_read_protected(
	const struct pages *p, const struct page_run *runs, size_t count, void *buffer)
{
	size_t total = 0;

	if (p->mem_fd < 0)
		return -EACCES;
	for (size_t i = 0; i < count; i++) {
		size_t len = runs[i].end - runs[i].start;
		ssize_t n = read_mem(p, &runs[i], (char *)buffer + total);

		if (n < 0 && !total)
			return n;
		if (n > 0)
			total += (size_t)n;
		if (n < (ssize_t)len)
			break;
	}
	return (ssize_t)total;
}

int pages_read_one(const struct pages *p, uint64_t address, void *buffer, size_t size)
{
	struct iovec local = {.iov_base = buffer, .iov_len = size};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)address, .iov_len = size};
	ssize_t n = process_vm_readv(p->id, &local, 1, &remote, 1, 0);

	if (n == (ssize_t)size)
		return 0;
	if (n < 0 && errno == ESRCH)
		return -ESRCH;
	if (p->mem_fd < 0)
		return -EFAULT;
	n = pread(p->mem_fd, buffer, size, (off_t)address);
	if (n == (ssize_t)size)
		return 0;
	if (n == 0) /* the memory is gone with its last user */
		return -ESRCH;
	return n < 0 ? -errno : -EIO;
}

/* --- files behind mappings ----------------------------------------------------------------- */

/*
 * Opens what path_fd (O_PATH) stands for, if it is a plain file: opening a device or a pipe can do
 * things. The type is asked for without a round trip to a file server.
 */
static int reopen_plain(int path_fd, const struct file_identity *wanted, int *ret_fd)
{
	struct statx st;
	char name[40];
	int fd;

	if (statx(path_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO, &st) < 0)
		return -errno;
	if (!S_ISREG(st.stx_mode))
		return -ENOTSUP;
	if (wanted &&
		(st.stx_ino != wanted->inode || st.stx_dev_major != wanted->major ||
			st.stx_dev_minor != wanted->minor))
		return -EXDEV;
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", path_fd); /* 14 + 11 bytes */
	fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* A path as the target sees it: its links must not lead out of the target's root. */
static int open_in_root(const struct pages *p, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	_cleanup_close_ int root = openat(p->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	long fd;

	if (root < 0)
		return -errno;
	fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
	return fd < 0 ? -errno : (int)fd;
}

/*
 * A descriptor of the same file among those that the target has open: how memory without a path is
 * reached without the rights that map_files asks for.
 */
static int open_by_descriptor(
	const struct pages *p, const struct file_identity *identity, int *ret_fd)
{
	_Alignas(struct dirent64) char buffer[4096];
	_cleanup_close_ int dir = openat(p->proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t tried = 0;
	ssize_t n;

	if (dir < 0)
		return -errno;
	while ((n = getdents64(dir, buffer, sizeof(buffer))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *entry = (const void *)(buffer + at);
			_cleanup_close_ int fd = -1;

			at += entry->d_reclen;
			if (entry->d_name[0] == '.')
				continue;
			if (tried++ == DESCRIPTORS_MAX)
				return -E2BIG;
			fd = openat(dir, entry->d_name, O_PATH | O_CLOEXEC);
			if (fd >= 0 && reopen_plain(fd, identity, ret_fd) == 0)
				return 0;
		}
	return n < 0 ? -errno : -ENOENT;
}

/* What is mapped there, as O_PATH, or -1. */
static int open_mapped(const struct pages *p, uint64_t start, uint64_t end)
{
	char name[40];

	(void)snprintf(name, sizeof(name), "%llx-%llx", (unsigned long long)start,
		(unsigned long long)end); /* 33 bytes at most */
	return p->map_files_fd < 0 ? -1 : openat(p->map_files_fd, name, O_PATH | O_CLOEXEC);
}

bool pages_sees_file(const struct pages *p, uint64_t start, uint64_t end)
{
	_cleanup_close_ int fd = open_mapped(p, start, end);

	return fd >= 0;
}

int pages_open_file(const struct pages *p, uint64_t start, uint64_t end, const char *path,
	const struct file_identity *identity, int *ret_fd)
{
	_cleanup_close_ int fd = open_mapped(p, start, end);

	if (fd >= 0 && reopen_plain(fd, /* wanted= */ NULL, ret_fd) == 0)
		return 0;
	if (path && path[0] == '/') {
		int in_root = open_in_root(p, path);

		cleanup_close(&fd);
		fd = in_root;
		if (fd >= 0 && reopen_plain(fd, identity, ret_fd) == 0)
			return 0;
	}
	/* A System V segment has no descriptor, and what has its inode is something else. */
	if (path && strncmp(path, "/SYSV", strlen("/SYSV")) == 0)
		return -ENOENT;
	return open_by_descriptor(p, identity, ret_fd);
}
