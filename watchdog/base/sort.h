/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sorting where nothing may be allocated and the stack is small. Pure.
 */
#ifndef OOMSNAP_BASE_SORT_H
#define OOMSNAP_BASE_SORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SORT_SIZE_MAX 8U /* bytes of an element: a number, or an index */

/* Whether element a is to stand before b; both are aligned as in the array. */
typedef bool sort_before(const void *a, const void *b, const void *user);

/*
 * Sorts count elements of size bytes each, at most SORT_SIZE_MAX, in place. Equal ones may change
 * their order. No recursion and no memory, unlike qsort(3).
 */
void sort_in_place(void *array, uint32_t count, size_t size, sort_before *before, const void *user);

#endif
