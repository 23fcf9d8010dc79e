// SPDX-License-Identifier: Apache-2.0
/*
 * Patterns of private anonymous memory.
 *
 * `touch`, `threads`, `malloc` and `thp` are charged by page faults: a signal or a freeze takes
 * effect between two of them. `populate`, `read` and `mlockall` are charged within one system call,
 * which goes from far below the limit to the limit without ever returning to user mode. There the
 * entry must be published before the call, when the address is not known yet; so the range is
 * reserved with PROT_NONE first and the call is made on top of it.
 *
 * The fill follows after such a call, at the rate of the plan: the rate spaces the calls out, it
 * does not slow the charge. A populated or read page that is not filled yet is zero.
 */
#include "leak.h"
#include "log.h"
#include "size.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

/* The chunks of transparent huge pages: the size on x86-64, and on arm64 with 4K pages. */
#define HUGE_BYTES (UINT64_C(2) << 20)

/* --- charged by page faults --------------------------------------------------------------------
 */

static void touch_until_done(struct leak *leak, int flags, enum manifest_kind kind)
{
	uint64_t bytes;

	while ((bytes = leak_claim(leak, leak->plan.chunk_bytes)) > 0) {
		void *memory = leak_map(leak, NULL, bytes, RW, flags, -1);

		if (!memory)
			return;
		leak_fill(leak, leak_publish(leak, memory, bytes, kind, 0), memory, bytes, true);
	}
}

enum pattern_result pattern_touch(struct leak *leak)
{
	touch_until_done(leak, ANON, MANIFEST_PRIVATE);
	return PATTERN_DONE;
}

enum pattern_result pattern_mmap_shared(struct leak *leak)
{
	touch_until_done(leak, MAP_SHARED | MAP_ANONYMOUS, MANIFEST_SHARED);
	return PATTERN_DONE;
}

static void touch_work(struct leak *leak, uint64_t bytes)
{
	(void)bytes; /* takes chunks of the common total instead */
	touch_until_done(leak, ANON, MANIFEST_PRIVATE);
	workers_park(&leak->workers);
}

enum pattern_result pattern_threads(struct leak *leak)
{
	enum pattern_result result = PATTERN_DONE;

	for (unsigned i = 0; i < leak->plan.threads; i++) {
		int r = workers_spawn(&leak->workers, leak, touch_work, 0, 0);

		if (r < 0) {
			log_line("leaker: only %u of %u threads: %s", i, leak->plan.threads,
				strerror(-r));
			result = PATTERN_EXHAUSTED;
			break;
		}
	}
	workers_wait(&leak->workers);
	return result;
}

/* malloc() that is retried until it works. NULL when the leak is being stopped. */
static void *malloc_retried(struct leak *leak, uint64_t bytes)
{
	for (;;) {
		void *memory = malloc(bytes);

		if (memory)
			return memory;
		if (!leak_failed(leak, "malloc", bytes, errno))
			return NULL;
	}
}

static bool malloc_block(struct leak *leak, uint64_t bytes)
{
	void *memory = malloc_retried(leak, bytes);

	if (!memory)
		return false;
	/* a block may be a recycled one, hence dirty */
	leak_fill(leak, leak_publish(leak, memory, bytes, MANIFEST_HEAP, MANIFEST_DIRTY), memory,
		bytes, true);
	return true;
}

enum pattern_result pattern_malloc(struct leak *leak)
{
	/* Odd on purpose: blocks begin and end anywhere in a page, and few lengths are a multiple
	 * of 8. */
	static const uint64_t small[] = {24, 40, 100, 257, 1000, 4001, 8190};
	const uint64_t batch_bytes = 64 << 10; /* of small blocks, after each large one */
	uint64_t bytes;
	size_t n = 0;

	while ((bytes = leak_claim(leak, leak->plan.chunk_bytes)) > 0) {
		if (!malloc_block(leak, bytes))
			break;
		bytes = leak_claim(leak, batch_bytes);
		while (bytes > 0) {
			uint64_t size = small[n++ % (sizeof(small) / sizeof(small[0]))];

			if (size > bytes)
				size = bytes;
			if (!malloc_block(leak, size))
				return PATTERN_DONE;
			bytes -= size;
		}
	}
	return PATTERN_DONE;
}

/* Maps BYTES (a multiple of HUGE_BYTES) at an aligned address. NULL when being stopped. */
static void *map_aligned(struct leak *leak, uint64_t bytes)
{
	unsigned char *raw = leak_map(leak, NULL, bytes + HUGE_BYTES, RW, ANON, -1);
	uint64_t head;

	if (!raw)
		return NULL;
	head = -(uint64_t)(uintptr_t)raw & (HUGE_BYTES - 1);
	if (head > 0)
		(void)munmap(raw, head); /* parts of a mapping just made: cannot fail */
	(void)munmap(raw + head + bytes, HUGE_BYTES - head);
	return raw + head;
}

enum pattern_result pattern_thp(struct leak *leak)
{
	uint64_t bytes;

	while ((bytes = leak_claim(leak, leak->plan.chunk_bytes)) > 0) {
		uint64_t rounded = (bytes + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
		unsigned char *memory = map_aligned(leak, rounded);

		if (!memory)
			break;
		if (rounded > bytes)
			(void)munmap(memory + bytes, rounded - bytes); /* part of it: cannot fail */
		if (madvise(memory, bytes, MADV_HUGEPAGE) < 0) {
			log_line("leaker: no transparent huge pages here: madvise: %s",
				strerror(errno));
			(void)munmap(memory, bytes);
			return PATTERN_NOT_PERMITTED;
		}
		leak_fill(leak, leak_publish(leak, memory, bytes, MANIFEST_PRIVATE, 0), memory,
			bytes, true);
	}
	return PATTERN_DONE;
}

/* --- charged within one system call ------------------------------------------------------------
 */

/* Reserves the next chunk and publishes it. NULL when there is none to be had. */
static void *reserve_chunk(
	struct leak *leak, uint64_t *ret_bytes, struct manifest_entry **ret_entry)
{
	uint64_t bytes = leak_claim(leak, leak->plan.chunk_bytes);
	void *memory =
		bytes > 0 ? leak_map(leak, NULL, bytes, PROT_NONE, ANON | MAP_NORESERVE, -1) : NULL;

	if (!memory)
		return NULL;
	*ret_bytes = bytes;
	*ret_entry = leak_publish(leak, memory, bytes, MANIFEST_PRIVATE, 0);
	return memory;
}

/* Reserves, maps on top with FLAGS (where the charge happens), fills; until the total is reached.
 */
static void map_in_one_call(struct leak *leak, int flags)
{
	struct manifest_entry *entry;
	uint64_t bytes;
	void *memory;

	while ((memory = reserve_chunk(leak, &bytes, &entry)) != NULL) {
		if (!leak_map(leak, memory, bytes, RW, ANON | MAP_FIXED | flags, -1)) {
			leak_retract(leak, entry, bytes);
			return;
		}
		leak_fill(leak, entry, memory, bytes, true);
	}
}

enum pattern_result pattern_populate(struct leak *leak)
{
	map_in_one_call(leak, MAP_POPULATE);
	return PATTERN_DONE;
}

enum pattern_result pattern_mlockall(struct leak *leak)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0) {
		log_line("leaker: mlockall is not permitted: %s (raise RLIMIT_MEMLOCK or grant "
			 "CAP_IPC_LOCK)",
			strerror(errno));
		return PATTERN_NOT_PERMITTED;
	}
	map_in_one_call(leak, 0);
	return PATTERN_DONE;
}

enum pattern_result pattern_read(struct leak *leak)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct manifest_entry *entry;
	uint64_t bytes;
	void *memory;

	if (fd < 0) {
		log_line("leaker: /dev/zero: %s", strerror(errno));
		return PATTERN_NOT_PERMITTED;
	}
	while ((memory = reserve_chunk(leak, &bytes, &entry)) != NULL) {
		ssize_t got;

		if (!leak_map(leak, memory, bytes, RW, ANON | MAP_FIXED, -1)) {
			leak_retract(leak, entry, bytes);
			break;
		}
		/* The kernel reads at most 2 GiB less a page at once; the fill touches what it
		 * left. */
		got = read(fd, memory, bytes);
		if (got < 0)
			log_line("Memory allocation failed: read of %" PRIu64 " bytes: %s", bytes,
				strerror(errno));
		else if ((uint64_t)got < bytes)
			log_line("leaker: read returned %zd of %" PRIu64 " bytes", got, bytes);
		leak_fill(leak, entry, memory, bytes, true);
	}
	(void)close(fd); /* only read from */
	return PATTERN_DONE;
}
