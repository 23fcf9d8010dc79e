// SPDX-License-Identifier: Apache-2.0
/*
 * What the leaker's memory holds.
 *
 * A core of the leaker is worth testing only if its content can be judged byte by byte, and the
 * judge must not need the process any more. So the word at each address is a function of a seed and
 * of the address itself: whoever has the core, the seed and a list of regions (manifest.h) can
 * recompute everything. Zeros, pages from elsewhere, pages shifted and old copies are all detected.
 *
 * Words are defined as little-endian, the only byte order supported; a region may begin and end at
 * any byte, because malloc'd blocks do. The loops are plain scalar code: two multiplications a word
 * overlap well, about 10 GB/s at -O2, which leaves the page faults as the cost of a leak.
 *
 * The secret is another matter: a token that appears in no other memory of the process, for regions
 * that must not reach a core at all. It is written slowly, byte by byte, on purpose.
 */
#include "fill.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are defined as little-endian");

/* Bytes until the next multiple of 8, at most LEN. */
static size_t head_bytes(uint64_t address, size_t len)
{
	size_t head = (size_t)(-address & 7);

	return head < len ? head : len;
}

void fill_write(uint64_t seed, uint64_t address, void *to, size_t len)
{
	unsigned char *out = to;
	size_t i = 0;

	for (size_t head = head_bytes(address, len); i < head; i++)
		out[i] = fill_byte(seed, address + i);
	for (; len - i >= 8; i += 8) {
		uint64_t word = fill_word(seed, address + i);

		memcpy(out + i, &word, 8);
	}
	for (; i < len; i++)
		out[i] = fill_byte(seed, address + i);
}

/* One word, byte by byte: how many of its LEN bytes are wrong, and where the first one is. */
static size_t check_bytes(uint64_t seed, uint64_t address, const unsigned char *in, size_t len,
	enum fill_strictness strictness, size_t *ret_first)
{
	size_t wrong = 0;

	for (size_t i = 0; i < len; i++) {
		if (in[i] == fill_byte(seed, address + i))
			continue;
		if (strictness == FILL_OR_ZERO && in[i] == 0)
			continue;
		if (wrong++ == 0)
			*ret_first = i;
	}
	return wrong;
}

size_t fill_check(uint64_t seed, uint64_t address, const void *from, size_t len,
	enum fill_strictness strictness, size_t *ret_first)
{
	const unsigned char *in = from;
	size_t i = head_bytes(address, len);
	size_t first = 0;
	size_t wrong = check_bytes(seed, address, in, i, strictness, &first);

	/*
	 * Blocks of words are compared at full speed; a block that differs is looked at again,
	 * unless it is all zeros where it may be.
	 */
	while (len - i >= 8) {
		size_t block = (len - i) & ~(size_t)7;
		uint64_t differ = 0, filled = 0;

		if (block > 512)
			block = 512;
		for (size_t j = 0; j < block; j += 8) {
			uint64_t word;

			memcpy(&word, in + i + j, 8);
			differ |= word ^ fill_word(seed, address + i + j);
			filled |= word;
		}
		if (differ && (filled || strictness != FILL_OR_ZERO)) {
			size_t at = 0;
			size_t more =
				check_bytes(seed, address + i, in + i, block, strictness, &at);

			if (more && !wrong)
				first = i + at;
			wrong += more;
		}
		i += block;
	}
	if (i < len) {
		size_t at = 0;
		size_t more = check_bytes(seed, address + i, in + i, len - i, strictness, &at);

		if (more && !wrong)
			first = i + at;
		wrong += more;
	}
	if (wrong)
		*ret_first = first;
	return wrong;
}

unsigned char fill_secret_byte(uint64_t seed, size_t offset)
{
	static const char prefix[] = {'S', 'E', 'C', 'R', 'E', 'T', '-'};
	size_t at = offset % FILL_SECRET_BYTES;

	if (at < sizeof(prefix))
		return (unsigned char)prefix[at];
	if (at == FILL_SECRET_BYTES - 1)
		return '\n';
	/* Any fixed address will do: it only has to give a word that the plain fill does not. */
	return (unsigned char)"0123456789abcdef"[(fill_word(~seed, 0) >>
							 (4 * (at - sizeof(prefix)))) &
		15];
}

void fill_secret_write(uint64_t seed, void *to, size_t len)
{
	volatile unsigned char *out = to;

	for (size_t i = 0; i < len; i++)
		out[i] = fill_secret_byte(seed, i);
}
