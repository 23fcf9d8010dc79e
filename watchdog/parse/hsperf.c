// SPDX-License-Identifier: Apache-2.0
/*
 * hsperfdata, format 2 (OpenJDK, src/hotspot/share/runtime/perfMemory.hpp; unchanged from JDK 5 to
 * 25): a header of 32 bytes (magic, byte order, version, whether it may be read, where the entries
 * begin and how many there are), then entries, each with its own length, the offset of its name,
 * the type of its value and the offset of that. A JVM writes its counters there without a lock: a
 * value of eight bytes is whole, two of them need not be of the same moment.
 *
 * A generation is called sun.gc.generation.N, 0 being the young one and 1 the old one; a heap that
 * is not divided may have only one of them. sun.gc.collector.0 counts young collections, 1 full
 * ones, 2 those that run beside the program; their names begin with the collector's ("G1 young
 * collection pauses", "Z concurrent cycle pauses"). A collector adds to its invocations and sets
 * lastEntryTime where it begins, lastExitTime where it ends; the generations' counters follow a
 * moment after that, in the same pause.
 *
 * The file is the target's: offsets and lengths are checked against the bytes that are there, the
 * walk ends after ENTRIES_MAX entries. Refuses: format 1. Limits: the counters are those of the
 * last collection, not of now.
 */
#include "parse/hsperf.h"

#include <stdint.h>
#include <string.h>

#include "base/checked.h"

#define HEADER_BYTES 32U
#define ENTRY_BYTES 20U
#define ENTRIES_MAX 4096U
#define COLLECTORS 3U
#define TYPE_LONG 'J'
#define TYPE_BYTE 'B'

struct counters {
	uint64_t old_used;
	uint64_t old_max;
	uint64_t only_used; /* of a heap that has one generation */
	uint64_t only_max;
	uint64_t full;
	uint64_t entered[COLLECTORS]; /* in the JVM's own ticks */
	uint64_t left[COLLECTORS];
	bool has_old;
	bool cleaned;
};

struct file {
	const unsigned char *data;
	size_t len;
	bool big_endian;
};

static uint32_t word(const struct file *f, size_t at)
{
	const unsigned char *p = f->data + at;

	return f->big_endian
		? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
		: (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

static uint64_t long_word(const struct file *f, size_t at)
{
	uint64_t first = word(f, at);
	uint64_t second = word(f, at + 4);

	return f->big_endian ? first << 32 | second : second << 32 | first;
}

/* Whether the collector cleans the old generation before it is full. */
static bool name_is_cleaner(const char *text, size_t len)
{
	static const char *const names[] = {"G1", "Z", "Shenandoah"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (len >= strlen(names[i]) && memcmp(text, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/* The counter called "sun.gc.collector.N." and the rest given. */
static bool is_of_collector(const char *name, const char *rest, size_t *ret)
{
	static const char before[] = "sun.gc.collector.";
	const char *number = name + strlen(before);

	if (strncmp(name, before, strlen(before)) != 0 || *number < '0' ||
		*number >= '0' + (char)COLLECTORS || number[1] != '.' ||
		strcmp(number + 2, rest) != 0)
		return false;
	*ret = (size_t)(*number - '0');
	return true;
}

static void take_long(const char *name, uint64_t value, struct counters *c)
{
	size_t n;

	if (strcmp(name, "sun.gc.generation.1.space.0.used") == 0) {
		c->old_used = value;
	} else if (strcmp(name, "sun.gc.generation.1.maxCapacity") == 0) {
		c->old_max = value;
		c->has_old = true;
	} else if (strcmp(name, "sun.gc.generation.0.space.0.used") == 0) {
		c->only_used = value;
	} else if (strcmp(name, "sun.gc.generation.0.maxCapacity") == 0) {
		c->only_max = value; /* the young one, where there are two */
	} else if (strcmp(name, "sun.gc.collector.1.invocations") == 0) {
		c->full = value;
	} else if (is_of_collector(name, "lastEntryTime", &n)) {
		c->entered[n] = value;
	} else if (is_of_collector(name, "lastExitTime", &n)) {
		c->left[n] = value;
	}
}

/* One entry of len bytes at offset at. */
static void take_entry(const struct file *f, size_t at, size_t len, struct counters *c)
{
	uint32_t name_at = word(f, at + 4);
	uint32_t vector = word(f, at + 8);
	unsigned char type = f->data[at + 12];
	uint32_t value_at = word(f, at + 16);
	const char *name = (const char *)f->data + at + name_at;

	if (name_at >= len || value_at >= len || !memchr(name, '\0', len - name_at))
		return;
	if (type == TYPE_LONG && !vector && len - value_at >= sizeof(uint64_t)) {
		take_long(name, long_word(f, at + value_at), c);
	} else if (type == TYPE_BYTE && vector && vector <= len - value_at &&
		(strcmp(name, "sun.gc.collector.0.name") == 0 ||
			strcmp(name, "sun.gc.collector.2.name") == 0)) {
		c->cleaned = c->cleaned ||
			name_is_cleaner((const char *)f->data + at + value_at, vector);
	}
}

static bool open_header(const void *data, size_t len, struct file *ret)
{
	static const unsigned char magic[] = {0xca, 0xfe, 0xc0, 0xc0};
	const unsigned char *bytes = data;

	if (len < HEADER_BYTES || memcmp(bytes, magic, sizeof(magic)) != 0)
		return false;
	if (bytes[4] > 1 || bytes[5] != 2 || !bytes[7])
		return false; /* byte order, version, not readable yet */
	*ret = (struct file){.data = bytes, .len = len, .big_endian = bytes[4] == 0};
	return true;
}

bool hsperf_take(const void *data, size_t len, struct runtime_facts *facts)
{
	struct counters c = {0};
	struct file f;
	uint32_t number;
	size_t at;

	if (!open_header(data, len, &f))
		return false;
	at = word(&f, 24);
	number = word(&f, 28);
	for (uint32_t i = 0; i < number && i < ENTRIES_MAX; i++) {
		uint32_t entry_len;

		if (at > len || len - at < ENTRY_BYTES)
			break;
		entry_len = word(&f, at);
		if (entry_len < ENTRY_BYTES || entry_len > len - at)
			break;
		take_entry(&f, at, entry_len, &c);
		at += entry_len;
	}
	if (!c.has_old) {
		c.old_used = c.only_used;
		c.old_max = c.only_max;
		c.only_max = 0;
	}
	if (!c.old_max)
		return false;
	/* G1 lets each generation have the whole heap; the others divide it. */
	facts->heap_bytes = c.cleaned ? c.old_max : add_sat(c.old_max, c.only_max);
	facts->source = RUNTIME_FROM_PERF_DATA;
	facts->old_used_bytes = c.old_used;
	facts->old_max_bytes = c.old_max;
	facts->full_collections = c.full - (c.full && c.entered[1] > c.left[1]);
	facts->collecting = false;
	for (size_t i = 0; i < COLLECTORS; i++)
		facts->collecting = facts->collecting || c.entered[i] > c.left[i];
	facts->old_is_cleaned = c.cleaned;
	return true;
}
