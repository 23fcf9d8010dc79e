// SPDX-License-Identifier: Apache-2.0
/*
 * vectors: a process whose threads hold known values in their vector registers.
 *
 *   vectors
 *
 * Each thread of the table below fills registers and then runs in a loop of one instruction, so
 * that they still hold the values when it is stopped: the kernel may drop what the calling
 * convention lets a system call change. Prints "REGISTERS VALUE" for each thread that this
 * processor can have, the value in hexadecimal and repeated over the whole register, then "ready",
 * and sleeps.
 *
 *   x86-64   vectors: ymm15 (AVX)
 *   arm64    vectors: v31; scalable: z31 at the machine's vector length; short: z31 at a length of
 *            the thread's own, 16 bytes; matrix: the first row of ZA (SME)
 *
 * Exit status: 2 usage; 3 a thread cannot be started.
 */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

#define ROW_BYTES 256 /* of ZA with the longest vectors */

struct spinner {
	const char *registers;
	uint64_t value;
	bool (*can)(void);
	void (*spin)(uint32_t *filled, uint64_t value, const void *row);
	uint32_t filled; /* set by the thread once its registers are */
	uint64_t row[ROW_BYTES / sizeof(uint64_t)];
};

#if defined(__x86_64__)

static bool has_avx2(void)
{
	return __builtin_cpu_supports("avx2") != 0;
}

static void spin_avx(uint32_t *filled, uint64_t value, const void *row)
{
	(void)row;
	__asm__ volatile("vmovq %1, %%xmm0\n"
			 "vpbroadcastq %%xmm0, %%ymm15\n"
			 "movl $1, (%0)\n"
			 "1: jmp 1b\n"
			 :
			 : "r"(filled), "r"(value)
			 : "memory", "xmm0", "xmm15");
}

static struct spinner spinners[] = {
	{.registers = "vectors", .value = 0xa5c30001a5c30001, .can = has_avx2, .spin = spin_avx},
};

#elif defined(__aarch64__)

#ifndef HWCAP_SVE
#define HWCAP_SVE (1UL << 22)
#endif
#ifndef HWCAP2_SME
#define HWCAP2_SME (1UL << 23)
#endif
#ifndef PR_SVE_SET_VL
#define PR_SVE_SET_VL 50
#endif
#define SHORT_VECTOR_BYTES 16UL

static bool always(void)
{
	return true;
}

static bool has_sve(void)
{
	return (getauxval(AT_HWCAP) & HWCAP_SVE) != 0;
}

static bool has_sme(void)
{
	return (getauxval(AT_HWCAP2) & HWCAP2_SME) != 0;
}

static void spin_simd(uint32_t *filled, uint64_t value, const void *row)
{
	(void)row;
	__asm__ volatile("dup v31.2d, %1\n"
			 "str %w2, [%0]\n"
			 "1: b 1b\n"
			 :
			 : "r"(filled), "r"(value), "r"(1)
			 : "memory", "v31");
}

static void spin_sve(uint32_t *filled, uint64_t value, const void *row)
{
	(void)row;
	__asm__ volatile(".arch_extension sve\n"
			 "dup z31.d, %1\n"
			 "str %w2, [%0]\n"
			 "1: b 1b\n"
			 :
			 : "r"(filled), "r"(value), "r"(1)
			 : "memory", "v31");
}

static void spin_short(uint32_t *filled, uint64_t value, const void *row)
{
	if (prctl(PR_SVE_SET_VL, SHORT_VECTOR_BYTES, 0, 0, 0) < 0)
		exit(3);
	spin_sve(filled, value, row);
}

static void spin_za(uint32_t *filled, uint64_t value, const void *row)
{
	(void)value;
	__asm__ volatile(".arch_extension sme\n"
			 "smstart za\n"
			 "mov w12, #0\n"
			 "ldr za[w12, 0], [%2]\n"
			 "str %w1, [%0]\n"
			 "1: b 1b\n"
			 :
			 : "r"(filled), "r"(1), "r"(row)
			 : "memory", "w12");
}

static struct spinner spinners[] = {
	{.registers = "vectors", .value = 0xa5c30001a5c30001, .can = always, .spin = spin_simd},
	{.registers = "scalable", .value = 0xa5c30002a5c30002, .can = has_sve, .spin = spin_sve},
	{.registers = "short", .value = 0xa5c30003a5c30003, .can = has_sve, .spin = spin_short},
	{.registers = "matrix", .value = 0xa5c30004a5c30004, .can = has_sme, .spin = spin_za},
};

#else
#error "no vectors of this processor are known here"
#endif

static void *run(void *arg)
{
	struct spinner *s = arg;

	s->spin(&s->filled, s->value, s->row);
	return NULL;
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc != 1)
		return 2;
	for (size_t i = 0; i < sizeof(spinners) / sizeof(spinners[0]); i++) {
		struct spinner *s = &spinners[i];
		pthread_t thread;

		if (!s->can())
			continue;
		for (size_t k = 0; k < sizeof(s->row) / sizeof(s->row[0]); k++)
			s->row[k] = s->value;
		if (pthread_create(&thread, /* attr= */ NULL, run, s))
			return 3;
		while (!__atomic_load_n(&s->filled, __ATOMIC_ACQUIRE))
			(void)sched_yield();
		printf("%s %" PRIx64 "\n", s->registers, s->value);
	}
	puts("ready");
	(void)fflush(stdout);
	for (;;)
		(void)pause();
}
