// SPDX-License-Identifier: Apache-2.0
/*
 * pagefault: what a page fault costs here and now, for benchmarks of what hangs on it.
 *
 *   pagefault ROUNDS [MIB]
 *   pagefault ROUNDS MIB serve      the same again for each line that it reads
 *
 * A round maps anonymous memory (8 MiB, or MIB) without huge pages, writes one byte into each page
 * and unmaps it again; only the writing is timed, in time of the CPU, and a round is shorter than
 * a time slice. Prints "min=NS median=NS" per fault: the median of the rounds is what a program
 * sees, the least is what the machine can do when nobody disturbs. One process that serves is the
 * better comparison: two processes differ by where their memory lies.
 *
 * Exit status: 0; 1 no memory, or no clock; 2 usage.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 1000
#define MIB_MAX 1024

static uint64_t cpu_ns(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) != 0)
		exit(1);
	return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

/* Picoseconds, so that a nanosecond's difference survives the division. */
static uint64_t round_ps(size_t bytes, size_t page)
{
	uint64_t start, spent, faults = 0;
	volatile char *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED || madvise((void *)memory, bytes, MADV_NOHUGEPAGE) != 0) {
		perror("pagefault: memory");
		exit(1);
	}
	start = cpu_ns();
	for (size_t at = 0; at < bytes; at += page, faults++)
		memory[at] = 1;
	spent = cpu_ns() - start;
	if (munmap((void *)memory, bytes) != 0) {
		perror("pagefault: munmap");
		exit(1);
	}
	return faults ? spent * 1000 / faults : 0;
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void measure(long rounds, size_t bytes, size_t page)
{
	static uint64_t ps[ROUNDS_MAX];

	for (long i = 0; i < rounds; i++)
		ps[i] = round_ps(bytes, page);
	qsort(ps, (size_t)rounds, sizeof(ps[0]), by_size);
	printf("min=%" PRIu64 ".%03" PRIu64 " median=%" PRIu64 ".%03" PRIu64 "\n", ps[0] / 1000,
		ps[0] % 1000, ps[rounds / 2] / 1000, ps[rounds / 2] % 1000);
	(void)fflush(stdout); /* whoever asked waits for it */
}

int main(int argc, char **argv)
{
	char line[16];
	long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 0;
	long mib = argc > 2 ? strtol(argv[2], NULL, 10) : 8;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	bool serve = argc == 4 && strcmp(argv[3], "serve") == 0;

	if (argc > (serve ? 4 : 3) || rounds < 1 || rounds > ROUNDS_MAX || mib < 1 ||
		mib > MIB_MAX) {
		(void)fputs("usage: pagefault ROUNDS [MIB [serve]]\n", stderr);
		return 2;
	}
	(void)round_ps((size_t)mib << 20, page); /* page tables and caches warm up */
	if (!serve)
		measure(rounds, (size_t)mib << 20, page);
	while (serve && fgets(line, sizeof(line), stdin))
		measure(rounds, (size_t)mib << 20, page);
	return 0;
}
