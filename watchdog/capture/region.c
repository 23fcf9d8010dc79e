// SPDX-License-Identifier: Apache-2.0
/*
 * Which mappings go into a core.
 *
 * Full follows what the kernel dumps by default (coredump_filter 0x33), and adds what the debuggers
 * of managed runtimes were seen to need: private mappings that are writable or were written to,
 * with the bytes of the file where the program has touched nothing; anonymous memory; shared memory
 * without a file of its own, and tmpfs files in /dev/shm; the first page of every clean file
 * mapping (ELF headers, build ids); the code and constants of a file that has been deleted, which
 * nobody finds anywhere else, where we may see it. What else a runtime's debugger needs of files is
 * chosen once all mappings are known (reader.c). Heap leaves out /dev/shm. Mini is what a backtrace
 * with its variables needs: the used part of the stacks, data of program and libraries, small
 * anonymous mappings (thread-local storage and the loader's lists live there), the beginning of the
 * heap.
 *
 * A mapping is judged by its line in maps. Names are the target's choice, so a name may put more
 * into its own core or less, and nothing else.
 *
 * Refuses: devices, and whatever is mapped without being memory (io_uring rings, perf buffers,
 * sockets): reading them can have effects. Limits: tmpfs files elsewhere than /dev/shm count as
 * files, whose pages are left out when they are mapped shared and still have a name.
 */
#include <string.h>

#include "base/checked.h"
#include "capture/region.h"

/* A stack grows down in a mapping of its own; a larger one (Go, fibers) is the heap as well. */
#define STACK_MAPPING_MAX_BYTES (64ULL << 20)
#define MINI_STACK_BYTES (8ULL << 20) /* glibc's default: reaches the TLS block at its top */
#define SMALL_ANON_BYTES \
	(256ULL << 10) /* the loader's lists, thread-local storage: mini takes such whole */
#define DELETED_MAX_BYTES (256ULL << 20) /* a program's code (Node's is 50 MiB), not its data */
#define MINI_HEAP_BYTES (1ULL << 20)	 /* of [heap]: what was allocated at start */

static bool is_name(const struct maps_entry *e, const char *name)
{
	return e->name_len == strlen(name) && memcmp(e->name, name, e->name_len) == 0;
}

static bool has_prefix(const struct maps_entry *e, const char *prefix)
{
	size_t n = strlen(prefix);

	return e->name_len >= n && memcmp(e->name, prefix, n) == 0;
}

/* Memory that has no file system behind it but the kernel's internal tmpfs. */
static bool is_object(const struct maps_entry *e)
{
	return e->deleted || has_prefix(e, "/memfd:") || has_prefix(e, "/SYSV") ||
		is_name(e, "/dev/zero") || has_prefix(e, "/dev/shm/") ||
		has_prefix(e, "[anon_shmem:");
}

bool region_is_sysv(const struct maps_entry *e)
{
	return e->deleted && has_prefix(e, "/SYSV");
}

/*
 * Where io_setup(2) lets a program see which of its operations have ended: shared memory of a file
 * that nobody can open, whose pages all exist from the beginning.
 */
static bool is_ring(const struct maps_entry *e)
{
	return e->deleted && is_name(e, "/[aio]");
}

static bool is_device(const struct maps_entry *e)
{
	if (!e->inode)
		return false;
	if (e->name_len == 0 || (e->name[0] != '/' && !has_prefix(e, "[anon_shmem:")))
		return true; /* anon_inode:[...], socket:[...] */
	return has_prefix(e, "/dev/") && !is_object(e);
}

static bool is_special(const struct maps_entry *e)
{
	return !e->inode && (has_prefix(e, "[vvar") || is_name(e, "[vsyscall]"));
}

bool region_listed(const struct maps_entry *e)
{
	return e->inode || !is_name(e, "[vsyscall]");
}

bool region_has_file(const struct maps_entry *e)
{
	return e->inode && e->name_len && e->name[0] == '/';
}

bool region_wants_anon(const struct maps_entry *e)
{
	return e->inode && !(e->prot & (MAPS_WRITE | MAPS_SHARED)) && !is_device(e);
}

bool region_wants_file(const struct maps_entry *e)
{
	return e->deleted && region_wants_anon(e) && e->end - e->start <= DELETED_MAX_BYTES;
}

static struct region_choice whole(
	const struct maps_entry *e, enum region_class class, enum region_source source)
{
	return (struct region_choice){
		.class = class, .source = source, .from = e->start, .to = e->end};
}

static struct region_choice nothing(const struct maps_entry *e)
{
	return (struct region_choice){
		.class = REGION_FILE, .source = REGION_NOTHING, .from = e->start, .to = e->start};
}

static struct region_choice choose_file(
	const struct region_facts *f, bool deleted_too, uint64_t page_bytes)
{
	const struct maps_entry *e = f->entry;
	struct region_choice c;

	if (e->prot & MAPS_WRITE || f->has_anon)
		return whole(e, f->has_sp ? REGION_STACK : REGION_RUNTIME, REGION_OVERLAY);
	if (deleted_too && region_wants_file(e) && f->sees_file)
		return whole(e, REGION_FILE, REGION_OVERLAY);
	if (e->offset_bytes)
		return nothing(e);
	c = whole(e, REGION_RUNTIME, REGION_OVERLAY);
	c.to = min_u64(e->end, e->start + page_bytes);
	return c;
}

static struct region_choice choose_anon(const struct region_facts *f)
{
	const struct maps_entry *e = f->entry;
	bool stack = is_name(e, "[stack]") ||
		(f->has_sp && e->end - e->start <= STACK_MAPPING_MAX_BYTES);

	if (is_name(e, "[vdso]"))
		return whole(e, REGION_RUNTIME, REGION_WHOLE);
	/* The loader keeps its list of libraries and their zeroed data in small ones. */
	if (!stack && e->end - e->start <= SMALL_ANON_BYTES)
		return whole(e, REGION_RUNTIME, REGION_PAGES);
	return whole(e, stack ? REGION_STACK : REGION_ANON, REGION_PAGES);
}

static struct region_choice choose_full(
	const struct region_facts *f, enum capture_kind kind, uint64_t page_bytes)
{
	const struct maps_entry *e = f->entry;

	if (is_special(e) || is_device(e))
		return nothing(e);
	if (is_ring(e))
		return whole(e, REGION_RUNTIME, REGION_PAGES);
	if (e->prot & MAPS_SHARED) {
		if (!is_object(e) ||
			(kind != CAPTURE_FULL && has_prefix(e, "/dev/shm/") && !e->deleted))
			return nothing(e);
		return whole(e, f->has_sp ? REGION_STACK : REGION_SHARED, REGION_OBJECT);
	}
	return e->inode ? choose_file(f, kind != CAPTURE_MINI, page_bytes) : choose_anon(f);
}

static void shrink_to_mini(const struct region_facts *f, struct region_choice *c)
{
	const struct maps_entry *e = f->entry;
	uint64_t bytes = c->to - c->from;

	switch (c->class) {
	case REGION_STACK: /* the planner cuts it at the stack pointers */
	case REGION_RUNTIME:
		return;
	case REGION_ANON:
		if (f->has_sp || bytes <= SMALL_ANON_BYTES)
			return;
		if (is_name(e, "[heap]")) {
			c->to = c->from + min_u64(bytes, MINI_HEAP_BYTES);
			return;
		}
		break;
	case REGION_SHARED:
	case REGION_FILE:
	case REGION_CLASS_COUNT:
		break;
	}
	*c = nothing(e);
}

void region_choose(const struct region_facts *facts, enum capture_kind kind, uint64_t page_bytes,
	struct region_choice *ret)
{
	*ret = choose_full(facts, kind, page_bytes);
	if (kind == CAPTURE_MINI)
		shrink_to_mini(facts, ret);
}
