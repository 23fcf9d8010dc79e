// SPDX-License-Identifier: Apache-2.0
/*
 * Regions that are not leaks but traps for a dumper.
 *
 *   --dontdump   memory that its owner declared unfit for core dumps (MADV_DONTDUMP): full of
 * secret tokens, of which none may be found in a core. It is advised before the first token is
 * written.
 *   --protnone   memory that was written and then protected from all access, as guard schemes of
 *                allocators and runtimes do: its content is as real as any other. The first half is
 *                filled, the second never touched.
 *   --reserve    address space without memory, up to 64T: a dumper that walks it page by page, or
 *                writes a file of its size, is never done.
 */
#include "region.h"

#include "fill.h"

#include <errno.h>
#include <sys/mman.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static int make_dontdump(struct manifest *m, uint64_t bytes)
{
	void *memory = mmap(NULL, bytes, RW, ANON, -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	if (madvise(memory, bytes, MADV_DONTDUMP) < 0)
		return -errno;
	m->header->secret_address = (uint64_t)(uintptr_t)memory;
	m->header->secret_bytes = bytes;
	fill_secret_write(m->header->seed, memory, bytes);
	return 0;
}

static int make_protnone(struct manifest *m, uint64_t bytes)
{
	uint64_t half = bytes / 2 & ~(MANIFEST_PAGE_BYTES - 1);
	void *memory = mmap(NULL, bytes, RW, ANON, -1, 0);
	uint64_t address = (uint64_t)(uintptr_t)memory;
	struct manifest_entry *entry;

	if (memory == MAP_FAILED)
		return -errno;
	entry = manifest_publish(m, address, bytes, MANIFEST_PROTNONE, 0);
	fill_write(m->header->seed, address, memory, half);
	if (entry) {
		manifest_set_filled(entry, half);
		manifest_add_filled(m, half);
	}
	return mprotect(memory, bytes, PROT_NONE) < 0 ? -errno : 0;
}

static int make_reserve(uint64_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? -errno : 0;
}

int region_make(struct manifest *m, const struct region_wishes *wishes, const char **ret_what)
{
	int r = 0;

	*ret_what = "--dontdump";
	if (wishes->dontdump_bytes > 0)
		r = make_dontdump(m, wishes->dontdump_bytes);
	if (r == 0 && wishes->protnone_bytes > 0) {
		*ret_what = "--protnone";
		r = make_protnone(m, wishes->protnone_bytes);
	}
	if (r == 0 && wishes->reserve_bytes > 0) {
		*ret_what = "--reserve";
		r = make_reserve(wishes->reserve_bytes);
	}
	manifest_keep(m);
	return r;
}
