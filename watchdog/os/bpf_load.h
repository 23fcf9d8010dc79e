/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading of the tripwire's programs, for bpf.c alone: which of them this kernel takes, their
 * descriptors and their memory, and in words why there are none.
 */
#ifndef OOMSNAP_OS_BPF_LOAD_H
#define OOMSNAP_OS_BPF_LOAD_H

#include <linux/types.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/wire.h"

struct tripwire_bpf; /* the skeleton */

/* All descriptors belong to the skeleton: bpf_load_free() or bpf_load_leave() closes them. */
struct bpf_load {
	struct tripwire_bpf *skeleton;
	struct wire_state *shared;	 /* the programs' .bss, mapped shared */
	int program_fd[WIRE_HOOK_COUNT]; /* -1: not loaded */
	int index_fd;			 /* cgroup id -> place in shared->target */
	int ring_fd;
};

/*
 * Loads every program that this kernel takes. 0, or -errno where it takes none; *ret_error is the
 * errno of the last that was refused, 0 if none was. *ret is to be given to bpf_load_free().
 */
int bpf_load_all(struct bpf_load *ret, int *ret_error);

/* Unloads and unmaps. Fine with a zeroed struct. */
void bpf_load_free(struct bpf_load *l);

/* In a forked child: closes the descriptors and keeps the memory. Nothing else may follow. */
void bpf_load_leave(struct bpf_load *l);

/* As libbpf names where a program stands: "tp_btf/mm_page_alloc"; "?" out of range. */
const char *bpf_load_hook_name(uint32_t hook);

/* One sentence: why error came of loading or attaching, and how to mend it. */
void bpf_load_explain(int error, char *why, size_t size);

#endif
