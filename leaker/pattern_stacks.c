// SPDX-License-Identifier: Apache-2.0
/*
 * Many threads, each of which uses a part of its stack and then sleeps.
 *
 * What leaks here is threads: a pool without a bound, handlers that never return. For a dumper it
 * means thousands of register sets, and memory that belongs to no heap. Each thread fills a piece
 * of its own stack of the size of a chunk, and stays inside the function that owns that piece,
 * because below the stack pointer nothing would be safe from the next call.
 */
#include "leak.h"
#include "log.h"

#include <string.h>

static void stack_work(struct leak *leak, uint64_t bytes)
{
	/* The stack was made for it: workers_spawn() was asked for this many bytes and more. */
	unsigned char *part = __builtin_alloca(bytes);

	leak_fill(leak, leak_publish(leak, part, bytes, MANIFEST_STACK, MANIFEST_DIRTY), part,
		bytes, false);
	workers_park(&leak->workers);
}

enum pattern_result pattern_stacks(struct leak *leak)
{
	enum pattern_result result = PATTERN_DONE;

	for (unsigned i = 0; i < leak->plan.threads; i++) {
		uint64_t bytes = leak_claim(leak, leak->plan.chunk_bytes);
		int r;

		if (bytes == 0 || !leak_pace(leak, bytes))
			break;
		r = workers_spawn(&leak->workers, leak, stack_work, bytes, bytes);
		if (r < 0) {
			log_line("leaker: no more threads after %u: %s", i, strerror(-r));
			leak_unclaim(leak, bytes);
			result = PATTERN_EXHAUSTED;
			break;
		}
	}
	workers_wait(&leak->workers);
	return result;
}
