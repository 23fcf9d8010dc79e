// SPDX-License-Identifier: Apache-2.0
/*
 * The manifest: a list, inside the leaker's memory, of what it filled.
 *
 * The process may be stopped, dumped or killed between any two instructions, so the order of stores
 * is the contract:
 *   - an entry is complete before `count` covers it, and is there before its memory is touched;
 *   - `filled` grows after the bytes it speaks of were written;
 *   - the sums grow after the entries that they sum up, and shrink before them.
 * Whoever reads a core therefore finds nothing claimed that is not so; at worst a page is filled
 * and not yet claimed.
 *
 * All address space is reserved at the start, and made writable in steps as entries are used: with
 * mlockall() in force, writable memory is resident memory. The magic is computed, so that the only
 * place which holds it is the header. Publishing takes a lock, which costs nothing beside the page
 * faults of the memory it announces; `filled` is one plain store a page.
 *
 * Limit: MANIFEST_CAPACITY entries. A leak larger than that goes on, and its bytes are counted as
 * unrecorded instead of being described.
 */
#include "manifest.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* Entries made writable at a time: 64 KiB. */
#define COMMIT_ENTRIES UINT64_C(2048)

#define RESERVE_BYTES \
	(MANIFEST_PAGE_BYTES + MANIFEST_CAPACITY * (uint64_t)sizeof(struct manifest_entry))

void manifest_magic(unsigned char magic[static MANIFEST_MAGIC_BYTES])
{
	/* "oomsnap-manifest", stored with every bit turned so that .rodata does not hold it */
	static const volatile unsigned char turned[MANIFEST_MAGIC_BYTES] = {0x90, 0x90, 0x92, 0x8c,
		0x91, 0x9e, 0x8f, 0xd2, 0x92, 0x9e, 0x91, 0x96, 0x99, 0x9a, 0x8c, 0x8b};

	for (size_t i = 0; i < MANIFEST_MAGIC_BYTES; i++)
		magic[i] = (unsigned char)~turned[i];
}

const char *manifest_kind_name(uint32_t kind)
{
	static const char *const names[] = {
#define MANIFEST_KIND_NAME(name, text) text,
		MANIFEST_KINDS(MANIFEST_KIND_NAME)
#undef MANIFEST_KIND_NAME
	};

	return kind < MANIFEST_KIND_COUNT ? names[kind] : "unknown";
}

int manifest_init(struct manifest *m, uint64_t seed)
{
	unsigned char *base = mmap(
		NULL, RESERVE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct manifest_header *h = (struct manifest_header *)base;

	if (base == MAP_FAILED)
		return -errno;
	if (mprotect(base, MANIFEST_PAGE_BYTES, PROT_READ | PROT_WRITE) < 0) {
		int r = -errno;

		(void)munmap(base, RESERVE_BYTES); /* our own mapping: cannot fail */
		return r;
	}
	h->version = MANIFEST_VERSION;
	h->header_bytes = sizeof(*h);
	h->entry_bytes = sizeof(struct manifest_entry);
	h->pid = getpid();
	h->self = (uint64_t)(uintptr_t)h;
	h->seed = seed;
	h->capacity = MANIFEST_CAPACITY;
	h->entries = h->self + MANIFEST_PAGE_BYTES;
	atomic_thread_fence(memory_order_release);
	manifest_magic(h->magic);

	m->header = h;
	m->entries = (struct manifest_entry *)(base + MANIFEST_PAGE_BYTES);
	m->committed = 0;
	m->kept = 0;
	(void)pthread_mutex_init(&m->lock, NULL); /* cannot fail with default attributes */
	return 0;
}

void manifest_deinit(struct manifest *m)
{
	if (!m->header)
		return;
	(void)munmap(m->header, RESERVE_BYTES); /* our own mapping: cannot fail */
	(void)pthread_mutex_destroy(&m->lock);
	m->header = NULL;
}

/* Makes entry INDEX writable. False when there is no such entry or no memory for it. */
static bool commit(struct manifest *m, uint64_t index)
{
	uint64_t bytes = COMMIT_ENTRIES * sizeof(struct manifest_entry);

	if (index < m->committed)
		return true;
	if (index >= MANIFEST_CAPACITY)
		return false;
	if (mprotect(&m->entries[m->committed], bytes, PROT_READ | PROT_WRITE) < 0)
		return false;
	m->committed += COMMIT_ENTRIES;
	return true;
}

struct manifest_entry *manifest_publish(struct manifest *m, uint64_t address, uint64_t length,
	enum manifest_kind kind, uint32_t flags)
{
	struct manifest_entry *entry = NULL;
	uint64_t index;

	(void)pthread_mutex_lock(&m->lock);
	index = atomic_load_explicit(&m->header->count, memory_order_relaxed);
	if (commit(m, index)) {
		entry = &m->entries[index];
		entry->address = address;
		entry->length = length;
		atomic_store_explicit(&entry->filled, 0, memory_order_relaxed);
		entry->kind = kind;
		entry->flags = flags;
		atomic_store_explicit(&m->header->count, index + 1, memory_order_release);
	}
	(void)pthread_mutex_unlock(&m->lock);
	/* A hole is address space, not memory. */
	if (!entry)
		atomic_fetch_add(&m->header->unrecorded_bytes, length);
	else if (kind != MANIFEST_HOLE)
		atomic_fetch_add(&m->header->allocated_bytes, length);
	return entry;
}

void manifest_retract(struct manifest *m, struct manifest_entry *entry)
{
	if (!entry)
		return;
	if (entry->kind != MANIFEST_HOLE)
		atomic_fetch_sub(&m->header->allocated_bytes, entry->length);
	atomic_thread_fence(memory_order_release);
	entry->kind = MANIFEST_GONE;
	atomic_thread_fence(memory_order_release);
	entry->length = 0;
}

void manifest_keep(struct manifest *m)
{
	m->kept = atomic_load(&m->header->count);
}

void manifest_disclaim(struct manifest *m)
{
	uint64_t count = atomic_load(&m->header->count);
	uint64_t allocated = 0, filled = 0;

	for (uint64_t i = 0; i < m->kept; i++) {
		if (m->entries[i].kind != MANIFEST_HOLE)
			allocated += m->entries[i].length;
		filled += atomic_load(&m->entries[i].filled);
	}
	atomic_store(&m->header->filled_bytes, filled);
	atomic_store(&m->header->allocated_bytes, allocated);
	atomic_store(&m->header->unrecorded_bytes, 0);
	for (uint64_t i = m->kept; i < count; i++)
		manifest_set_filled(&m->entries[i], 0);
}

void manifest_truncate(struct manifest *m)
{
	atomic_store(&m->header->count, m->kept);
}

void manifest_after_fork(struct manifest *m)
{
	/* Whoever held the lock is not here any more. */
	(void)pthread_mutex_init(&m->lock, NULL);
	manifest_disclaim(m);
	manifest_truncate(m);
	m->header->pid = getpid();
}
