/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Special regions that a dumper has to get right, made at start. See region.c.
 */
#ifndef OOMSNAP_LEAKER_REGION_H
#define OOMSNAP_LEAKER_REGION_H

#include "manifest.h"

#include <stdint.h>

struct region_wishes {
	uint64_t dontdump_bytes; /* secrets under MADV_DONTDUMP */
	uint64_t protnone_bytes; /* half of it filled, then PROT_NONE */
	uint64_t reserve_bytes;	 /* address space alone */
};

#define REGION_RESERVE_MAX_BYTES (UINT64_C(64) << 40)

/*
 * Makes the regions wished for (0: none of that kind) and keeps them in the manifest. Sizes are
 * multiples of a page. They stay until the process ends. 0, or a negative errno of mmap(),
 * madvise() or mprotect(), with *ret_what the name of the option that could not be had.
 */
int region_make(struct manifest *m, const struct region_wishes *wishes, const char **ret_what);

#endif
