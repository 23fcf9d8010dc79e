// SPDX-License-Identifier: Apache-2.0
/*
 * Shell's sort, with Knuth's gaps (1, 4, 13, 40, ...): insertion over ever smaller distances. For a
 * hundred thousand elements it takes about twice the comparisons of a quick sort, and neither a
 * stack that grows with the input nor a second array.
 */
#include "base/sort.h"

#include <assert.h>
#include <string.h>

void sort_in_place(void *array, uint32_t count, size_t size, sort_before *before, const void *user)
{
	_Alignas(uint64_t) unsigned char moved[SORT_SIZE_MAX];
	unsigned char *at = array;
	uint32_t gap = 1;

	assert(size <= sizeof(moved));
	while (gap < count / 3)
		gap = 3 * gap + 1;
	for (; gap; gap /= 3)
		for (uint32_t i = gap; i < count; i++) {
			uint32_t k = i;

			memcpy(moved, at + i * size, size);
			for (; k >= gap && before(moved, at + (k - gap) * size, user); k -= gap)
				memcpy(at + k * size, at + (k - gap) * size, size);
			memcpy(at + k * size, moved, size);
		}
}
