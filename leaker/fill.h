/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes that the leaker writes, recomputable from a seed and an address. See fill.c.
 */
#ifndef OOMSNAP_LEAKER_FILL_H
#define OOMSNAP_LEAKER_FILL_H

#include <stddef.h>
#include <stdint.h>

/* How strictly fill_check() judges. */
enum fill_strictness {
	FILL_EXACT,   /* every byte must be the right one */
	FILL_OR_ZERO, /* a byte may also be zero: it was never written */
	FILL_STRICTNESS_COUNT,
};

/* Length of one secret token: "SECRET-", 16 hexadecimal digits, a newline. */
#define FILL_SECRET_BYTES 24u

/*
 * The 64-bit word that belongs at ADDRESS, a multiple of 8. Two rounds of multiply and fold: every
 * bit of the address reaches every bit of the word, so that a page copied to the wrong place, or
 * shifted by one word, never compares equal. The seed is scrambled first, so that neighbouring
 * seeds give unrelated memory; that part does not depend on the address and leaves the loops.
 */
static inline uint64_t fill_word(uint64_t seed, uint64_t address)
{
	uint64_t key = (seed ^ (seed >> 30)) * UINT64_C(0x6a3b9d5f82c1e74b);
	uint64_t word = (address + (key ^ (key >> 33))) * UINT64_C(0xd1b54a32d192ed03);

	word ^= word >> 31;
	word *= UINT64_C(0x8cb92ba72f3d8dd7);
	return word ^ (word >> 29);
}

/* The byte that belongs at ADDRESS, which needs no alignment. */
static inline unsigned char fill_byte(uint64_t seed, uint64_t address)
{
	return (unsigned char)(fill_word(seed, address & ~UINT64_C(7)) >> (8 * (address & 7)));
}

/*
 * Writes to TO the LEN bytes that belong at ADDRESS (usually TO itself). Cannot fail, other than by
 * the fault that a write to TO may take.
 */
void fill_write(uint64_t seed, uint64_t address, void *to, size_t len);

/*
 * Compares LEN bytes at FROM with what belongs at ADDRESS.
 * Returns how many bytes are wrong; when there are any, *ret_first is the offset of the first.
 */
size_t fill_check(uint64_t seed, uint64_t address, const void *from, size_t len,
	enum fill_strictness strictness, size_t *ret_first);

/* The byte at OFFSET of a region full of secret tokens; the token depends on the seed alone. */
unsigned char fill_secret_byte(uint64_t seed, size_t offset);

/*
 * Fills LEN bytes at TO with secret tokens. The token is never assembled anywhere else: not in a
 * buffer, not on the stack and not in a vector register, so whoever finds one in a core has found
 * the region itself.
 */
void fill_secret_write(uint64_t seed, void *to, size_t len);

#endif
