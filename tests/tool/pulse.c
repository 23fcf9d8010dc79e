// SPDX-License-Identifier: Apache-2.0
/*
 * pulse: a process of a given size that notices when it stands still.
 *
 *   pulse SIZE_MIB CONTENT    fill memory, print "ready PID", then watch the clock
 *   pulse SIZE_MIB copy       print the MiB/s of copying so much memory once, by as many threads as
 *                             there are processors
 *   pulse SIZE_MIB keep       the same, and each piece once more, into the page cache: every thread
 *                             writes a file of its own, which is removed, in the working directory
 *
 * For benchmarks that compare dumpers: a tool's own word for the pause that it causes is not to be
 * relied on, and different tools mean different things by it. So the target itself looks at the
 * clock all the time, with short sleeps, and remembers the longest gap. SIGUSR1 makes it print
 * "gap NS", the longest since the last time, and forget it. The sleep and the scheduler are part of
 * the gap: some 0.1 ms on an idle machine, more on a busy one, for every tool alike.
 *
 * Contents: "random" cannot be compressed and has no zero page; in "half-zero" every second page is
 * written with zeros, so it is present; "heap" is malloc'ed blocks of 16 to 4096 bytes, with
 * pointers, small numbers and text, a quarter of them freed again; "mappings" is "random" cut into
 * MAPPINGS mappings by protection, every other one read-only.
 *
 * Limits: one thread but for "copy" and "keep"; pages of 4 KiB.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define PAGE ((size_t)4096)
#define SLEEP_NS 100000L
#define COPIERS_MAX 64
#define MAPPINGS ((size_t)1000)
#define PIECE ((size_t)256 << 10) /* stays in the cache of a processor between its two copies */

static volatile sig_atomic_t asked;

static void on_ask(int signal)
{
	(void)signal;
	asked = 1;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static unsigned char *map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("pulse: mmap");
		exit(1);
	}
	return p;
}

static unsigned char *fill_pages(size_t bytes, bool half_zero)
{
	unsigned char *memory = map(bytes);
	uint64_t state = 88172645463325252U;

	for (size_t at = 0; at < bytes; at += PAGE) {
		bool zero = half_zero && at / PAGE % 2;

		for (size_t i = 0; i < PAGE; i += sizeof(uint64_t)) {
			uint64_t word = zero ? 0 : next_random(&state);

			memcpy(memory + at + i, &word, sizeof(word));
		}
	}
	return memory;
}

static void fill_mappings(size_t bytes)
{
	size_t part = bytes / MAPPINGS / PAGE * PAGE;
	unsigned char *memory = fill_pages(bytes, false);

	for (size_t i = 0; i < MAPPINGS; i += 2)
		if (mprotect(memory + i * part, part, PROT_READ) != 0) {
			perror("pulse: mprotect");
			exit(1);
		}
}

static void fill_heap(size_t bytes)
{
	static const char text[] = "GET /api/v1/items?page=12 HTTP/1.1 Host: example.org ";
	uint64_t state = 1181783497276652981U;
	void **last = NULL;

	for (size_t used = 0; used < bytes;) {
		size_t size = (size_t)16 << next_random(&state) % 9;
		void **block = malloc(size);

		if (!block) {
			perror("pulse: malloc");
			exit(1);
		}
		for (size_t i = 0; i < size; i += 16) {
			block[i / sizeof(void *)] = last;
			memcpy((char *)block + i + 8, text + next_random(&state) % 40, 8);
		}
		if (next_random(&state) % 4 == 0) {
			free(block);
			continue;
		}
		last = block;
		used += size + 8;
	}
}

/* --- the limit ------------------------------------------------------------------------------ */

struct part {
	pthread_barrier_t *begin;
	unsigned char *from;
	unsigned char *to;
	size_t bytes;
	size_t kept;
	int fd; /* -1: it is only copied */
};

static void keep_part(struct part *part)
{
	for (; part->kept < part->bytes; part->kept += PIECE) {
		/* Where the file system can, as oomsnap does it; elsewhere the write allocates. */
		(void)fallocate(part->fd, FALLOC_FL_KEEP_SIZE, (off_t)part->kept, PIECE);
		memcpy(part->to, part->from + part->kept, PIECE);
		if (pwrite(part->fd, part->to, PIECE, (off_t)part->kept) != (ssize_t)PIECE)
			return; /* the count tells */
	}
}

static void *copy_part(void *arg)
{
	struct part *part = arg;

	memset(part->from, 1, part->bytes);
	memset(part->to, 2, part->fd < 0 ? part->bytes : PIECE);
	(void)pthread_barrier_wait(
		part->begin); /* both calls fail only for a barrier that is none */
	if (part->fd < 0) {
		memcpy(part->to, part->from, part->bytes);
		part->kept = part->bytes * part->to[part->bytes - 1]; /* no copy is left out */
	} else {
		keep_part(part);
	}
	return NULL;
}

static int scratch_file(void)
{
	int fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0) {
		perror("pulse: a file in the working directory");
		exit(1);
	}
	return fd;
}

/* One thread for each processor, each with its share. */
static int copy(size_t bytes, bool keep)
{
	pthread_barrier_t begin;
	pthread_t thread[COPIERS_MAX];
	struct part part[COPIERS_MAX];
	size_t count = (size_t)sysconf(_SC_NPROCESSORS_ONLN);
	size_t sum = 0;
	uint64_t begin_ns;

	count = count < 1 ? 1 : count > COPIERS_MAX ? COPIERS_MAX : count;
	(void)pthread_barrier_init(&begin, NULL, (unsigned int)count + 1);
	for (size_t i = 0; i < count; i++) {
		size_t share = bytes / count / PIECE * PIECE;

		part[i] = (struct part){.begin = &begin,
			.from = map(share),
			.to = map(keep ? PIECE : share),
			.bytes = share,
			.fd = keep ? scratch_file() : -1};
		if (pthread_create(&thread[i], NULL, copy_part, &part[i]) != 0) {
			fputs("pulse: no thread\n", stderr);
			return 1;
		}
	}
	(void)pthread_barrier_wait(&begin);
	begin_ns = now_ns();
	for (size_t i = 0; i < count; i++) {
		(void)pthread_join(thread[i], NULL);
		sum += part[i].kept;
	}
	printf("%.0f\n", (double)sum / MIB * 1e9 / (double)(now_ns() - begin_ns));
	return sum > bytes - count * PIECE ? 0 : 1;
}

static void watch_clock(void)
{
	const struct timespec nap = {.tv_nsec = SLEEP_NS};
	uint64_t last = now_ns();
	uint64_t longest = 0;

	for (;;) {
		uint64_t now;

		(void)nanosleep(&nap, NULL); /* a signal ends it early, which is as good */
		now = now_ns();
		if (now - last > longest)
			longest = now - last;
		last = now;
		if (asked) {
			asked = 0;
			printf("gap %" PRIu64 "\n", longest);
			longest = 0;
			last = now_ns();
		}
	}
}

int main(int argc, char **argv)
{
	size_t bytes = argc == 3 ? strtoull(argv[1], NULL, 10) * MIB : 0;
	const char *content = argc == 3 ? argv[2] : "";

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (bytes && (strcmp(content, "copy") == 0 || strcmp(content, "keep") == 0))
		return copy(bytes, content[0] == 'k');
	if (bytes && strcmp(content, "random") == 0) {
		(void)fill_pages(bytes, false);
	} else if (bytes && strcmp(content, "half-zero") == 0) {
		(void)fill_pages(bytes, true);
	} else if (bytes && strcmp(content, "heap") == 0) {
		fill_heap(bytes);
	} else if (bytes && strcmp(content, "mappings") == 0) {
		fill_mappings(bytes);
	} else {
		fputs("usage: pulse SIZE_MIB random|half-zero|heap|mappings|copy|keep\n", stderr);
		return 2;
	}
	(void)signal(SIGUSR1, on_ask);
	printf("ready %d\n", getpid());
	watch_clock();
}
