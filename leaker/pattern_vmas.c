// SPDX-License-Identifier: Apache-2.0
/*
 * One mapping for each page.
 *
 * Neighbouring mappings merge when they agree in everything, so every second page is made read-only
 * after it was filled. A process like this has as many program headers in its core as it has pages,
 * more than the 16-bit count of the ELF header holds if the kernel allows that many.
 *
 * It usually does not: vm.max_map_count, 65530 unless changed, comes first. Nothing is raised; the
 * pattern goes as far as it gets, then gives back the SPARE mappings it set aside, so that the
 * process (and a debugger inside it) can still map something, and says how far it came.
 */
#include "leak.h"
#include "log.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES UINT64_C(4096)

/* Mappings set aside: a few thread stacks and malloc arenas, with room for what a tool may need. */
#define SPARE_PAGES UINT64_C(64)

#define FLAGS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

/* SPARE_PAGES mappings of one page. NULL if not to be had. */
static unsigned char *map_spare(void)
{
	unsigned char *spare = mmap(NULL, SPARE_PAGES * PAGE_BYTES, PROT_NONE, FLAGS, -1, 0);

	if (spare == MAP_FAILED)
		return NULL;
	for (uint64_t i = 0; i < SPARE_PAGES; i += 2)
		(void)mprotect(
			spare + i * PAGE_BYTES, PAGE_BYTES, PROT_READ); /* else: fewer spare */
	return spare;
}

/* Maps and fills one page of its own. False when the kernel has no more mappings. */
static bool map_page(struct leak *leak, unsigned char *at, bool read_only)
{
	struct manifest_entry *entry;
	void *memory = mmap(at, PAGE_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (memory == MAP_FAILED)
		return false;
	entry = leak_publish(leak, memory, PAGE_BYTES, MANIFEST_PRIVATE, 0);
	leak_fill(leak, entry, memory, PAGE_BYTES, false);
	return !read_only || mprotect(memory, PAGE_BYTES, PROT_READ) == 0;
}

enum pattern_result pattern_vmas(struct leak *leak)
{
	unsigned char *spare = map_spare();
	uint64_t bytes, pages = 0;
	bool more = true;

	while (more && (bytes = leak_claim(leak, leak->plan.chunk_bytes)) > 0) {
		unsigned char *area;

		if (!leak_pace(leak, bytes))
			break;
		area = mmap(NULL, bytes, PROT_NONE, FLAGS, -1, 0);
		more = area != MAP_FAILED;
		for (uint64_t i = 0; more && i < bytes; i += PAGE_BYTES, pages += more)
			more = !leak_stopping(leak) &&
				map_page(leak, area + i, i / PAGE_BYTES % 2 == 1);
	}
	if (spare)
		(void)munmap(spare, SPARE_PAGES * PAGE_BYTES); /* our own: cannot fail */
	if (more || leak_stopping(leak))
		return PATTERN_DONE;
	log_line("leaker: no more mappings after %llu: %s (vm.max_map_count)",
		(unsigned long long)pages, strerror(ENOMEM));
	return PATTERN_EXHAUSTED;
}
