/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the leaker has written where, kept in its own memory so that a core of it carries the
 * answers to the questions asked of it. See manifest.c for how it is written; tests/tool/corecheck
 * reads it.
 */
#ifndef OOMSNAP_LEAKER_MANIFEST_H
#define OOMSNAP_LEAKER_MANIFEST_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The format, version 1: read from cores by other programs, so fixed-width and never reordered. The
 * header stands at the start of a page. `self` is its own address: a copy of the bytes elsewhere (a
 * buffer, a file) is thereby told from the real one.
 */
#define MANIFEST_MAGIC_BYTES 16u
#define MANIFEST_VERSION 1u
#define MANIFEST_CAPACITY \
	(UINT64_C(1) << 20) /* entries; 32 MiB of address space, touched as used */
#define MANIFEST_PAGE_BYTES UINT64_C(4096)

/* X(NAME, text): the kinds of memory that an entry may describe. */
#define MANIFEST_KINDS(X)     \
	X(GONE, "gone")       \
	X(PRIVATE, "private") \
	X(SHARED, "shared")   \
	X(HOLE, "hole")       \
	X(HEAP, "heap")       \
	X(STACK, "stack")     \
	X(PROTNONE, "protnone")

enum manifest_kind {
#define MANIFEST_KIND_ENUM(name, text) MANIFEST_##name,
	MANIFEST_KINDS(MANIFEST_KIND_ENUM)
#undef MANIFEST_KIND_ENUM
		MANIFEST_KIND_COUNT,
};

/* The memory may have held other bytes before: nothing is promised about what follows `filled`. */
#define MANIFEST_DIRTY 1u

struct manifest_entry {
	uint64_t address;
	uint64_t length;
	_Atomic uint64_t
		filled; /* bytes from address on that hold the fill; never more than is true */
	uint32_t kind;	/* enum manifest_kind */
	uint32_t flags;
};

struct manifest_header {
	unsigned char magic[MANIFEST_MAGIC_BYTES];
	uint32_t version;
	uint32_t header_bytes;
	uint32_t entry_bytes;
	int32_t pid;
	uint64_t self;
	uint64_t seed;
	uint64_t capacity;
	_Atomic uint64_t count;
	uint64_t entries;		   /* address of the first struct manifest_entry */
	_Atomic uint64_t allocated_bytes;  /* at most the sum of the entries' lengths */
	_Atomic uint64_t filled_bytes;	   /* at most the sum of the entries' filled */
	_Atomic uint64_t unrecorded_bytes; /* leaked after the entries had run out */
	uint64_t secret_address;	   /* memory that must not be in a core; 0: none */
	uint64_t secret_bytes;
};

_Static_assert(sizeof(struct manifest_entry) == 32, "format");
_Static_assert(offsetof(struct manifest_header, self) == 32, "format");
_Static_assert(offsetof(struct manifest_header, count) == 56, "format");
_Static_assert(offsetof(struct manifest_header, secret_address) == 96, "format");
_Static_assert(sizeof(struct manifest_header) == 112, "format");

/* Writes the magic. It exists in no other memory of the program: it is computed, not stored. */
void manifest_magic(unsigned char magic[static MANIFEST_MAGIC_BYTES]);

/* The printable name of a kind; "unknown" for a number that is none. */
const char *manifest_kind_name(uint32_t kind);

/* The writer's side: one per process. */
struct manifest {
	struct manifest_header *header;
	struct manifest_entry *entries;
	uint64_t committed; /* entries that have memory behind them */
	uint64_t kept;	    /* the first entries, which manifest_truncate() keeps */
	pthread_mutex_t lock;
};

/* Maps a manifest without entries. 0, or the negative errno of mmap(). */
int manifest_init(struct manifest *m, uint64_t seed);
void manifest_deinit(struct manifest *m);

/*
 * Publishes [address, address + length) with nothing filled; call it before the memory is touched.
 * Returns the entry, valid until manifest_truncate(), or NULL when there is no room for another:
 * then the bytes are counted as unrecorded.
 */
struct manifest_entry *manifest_publish(struct manifest *m, uint64_t address, uint64_t length,
	enum manifest_kind kind, uint32_t flags);

/* Withdraws an entry whose memory was never obtained. Accepts NULL. */
void manifest_retract(struct manifest *m, struct manifest_entry *entry);

/* Says that the first FILLED bytes of the entry hold the fill: call it after they do. */
static inline void manifest_set_filled(struct manifest_entry *entry, uint64_t filled)
{
	atomic_store_explicit(&entry->filled, filled, memory_order_release);
}

/* Adds to the sum of filled bytes; call it after manifest_set_filled(). */
static inline void manifest_add_filled(struct manifest *m, uint64_t bytes)
{
	atomic_fetch_add_explicit(&m->header->filled_bytes, bytes, memory_order_release);
}

/* The entries so far belong to the process for good (regions made at start). */
void manifest_keep(struct manifest *m);

/*
 * Giving memory back takes two steps, with nobody publishing or filling meanwhile. Before the
 * memory goes: every entry but the kept ones claims nothing more, and the sums count the kept ones
 * alone. After it went: the entries are forgotten.
 */
void manifest_disclaim(struct manifest *m);
void manifest_truncate(struct manifest *m);

/* In a forked child: it is another process now, with one thread and only the kept entries. */
void manifest_after_fork(struct manifest *m);

#endif
