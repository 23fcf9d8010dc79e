/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of one process goes into its core: threads, mappings, segments, sizes. All tables are fixed
 * and made once; a plan is filled anew for every capture.
 */
#ifndef OOMSNAP_CAPTURE_PLAN_H
#define OOMSNAP_CAPTURE_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "capture/capture.h"
#include "capture/layout.h"
#include "capture/look.h"
#include "capture/notes.h"
#include "capture/order.h"
#include "capture/region.h"
#include "os/arch.h"
#include "os/pages.h"
#include "os/ptrace.h"
#include "parse/procstat.h"

#define PLAN_NAMES_BYTES (4U << 20)   /* distinct file names; NT_FILE of the kernel is no larger */
#define PLAN_TEXT_BYTES (64U << 10)   /* maps and smaps arrive a page per read */
#define PLAN_NOTES_BYTES (256U << 10) /* buffer that headers and notes are written through */
#define PLAN_AUXV_BYTES 1024U	      /* 64 pairs; the kernel has about 25 */
#define PLAN_SPLITS_MAX 8192U	      /* segments beyond one per mapping */
#define PLAN_HOLE_BYTES (1ULL << 30)  /* an empty stretch this long gets no room in the file */

#define PLAN_BLIND_BYTES (64ULL << 30)	    /* largest mapping that is read without a pagemap */
#define PLAN_BLIND_WASTE_BYTES (1ULL << 30) /* of pages that are not there, in one of those */
#define PLAN_CANCELS 32			    /* more than a tracer gives up threads */

struct capture_plan {
	/* Tables, owned; sizes from struct capture_limits. */
	unsigned char *memory; /* one allocation that the tables lie in */
	size_t memory_bytes;
	struct ptrace_thread *threads;
	int32_t *ns_tids;
	uint64_t *stack_pointers; /* sorted; of the threads that have one */
	struct region *regions;
	struct segment *segments;
	uint32_t *order;       /* see order_plan() */
	char *names;	       /* each terminated; [0] is the empty one */
	char *text;	       /* PLAN_TEXT_BYTES */
	unsigned char *notes;  /* PLAN_NOTES_BYTES */
	unsigned char *regset; /* ARCH_REGSET_MAX_BYTES */
	uint32_t *varying;     /* sizes of the register sets that vary, thread by thread */
	uint32_t max_threads;
	uint32_t max_regions;
	uint32_t max_segments;

	/* Of the running capture. */
	int proc_fd; /* /proc/PID */
	int mm_fd;   /* the same, or that of a living thread */
	pid_t id;    /* whose memory is read */
	struct ptrace_set set;
	atomic_bool cancels[PLAN_CANCELS]; /* set.cancel points into it; one that was used up stays
					      set, for the thread that will wake up to it */
	uint32_t cancel;		   /* index */
	struct pages pages;
	struct look look; /* at them, while the plan is made */
	struct procstat stat;
	struct procstatus status;
	struct note_process process;
	struct layout layout;
	enum capture_kind kind;
	bool packed;	   /* the core is compressed */
	bool objects_open; /* memory objects can be read by themselves */
	bool objects_tried;
	bool dotnet;  /* .NET runs in the process */
	uint8_t rank; /* of the region that is being added */
	uint32_t order_first[ORDER_RANKS + 1];
	uint32_t stack_pointer_count;
	uint32_t region_count;
	uint32_t regions_lost; /* beyond max_regions */
	uint32_t segment_count;
	uint32_t names_len;
	uint32_t threads_without_registers;
	uint64_t file_count; /* entries of NT_FILE */
	uint64_t file_names_bytes;
	uint64_t object_swap_bytes; /* of memory objects, as often as they are mapped: smaps */
	uint64_t blind_bytes;	    /* readable, too large to be read without a pagemap, left out */
	uint64_t note_offset;	    /* of our own note's desc in the file */
	int cut_error;		    /* first of head_cut_segment() */
	size_t auxv_len;
	size_t regset_len[ARCH_REGSETS_MAX]; /* 0: this processor has none. See plan_regset_len() */
	unsigned char auxv[PLAN_AUXV_BYTES];
};

/* Allocates everything, and touches what limits says. 0 or -ENOMEM. plan_free() accepts NULL. */
int plan_new(const struct capture_limits *limits, struct capture_plan **ret);
void plan_free(struct capture_plan *plan);

/*
 * Opens the process and checks that it is the one that was meant. 0, CAPTURE_GONE, CAPTURE_DENIED
 * or -errno. plan_close() gives back what it and the later steps opened.
 */
int plan_open(struct capture_plan *plan, const struct capture_request *request);
void plan_close(struct capture_plan *plan);

/*
 * On the tracer thread, once the threads stand: stack pointers, sizes of the register sets. 0,
 * CAPTURE_GONE, -ENOTSUP for a 32-bit program.
 */
int plan_registers(struct capture_plan *plan);

/*
 * Bytes of register set k (of arch_regsets) of thread i, as plan_registers() found it: 0 where it
 * has none. Where the sets do not vary it is one number for all threads.
 */
size_t plan_regset_len(const struct capture_plan *plan, uint32_t i, size_t k);

/* Thread ids inside the namespace, name, command line, auxiliary vector. 0, CAPTURE_GONE. */
int plan_process(struct capture_plan *plan, const struct capture_request *request);

/* Reads maps, chooses, and makes the segments. 0, CAPTURE_GONE, CAPTURE_DENIED or -errno. */
int plan_mappings(struct capture_plan *plan, enum capture_kind kind);

/* Whether thread i is in the core: it has not ended. */
bool plan_thread_in_core(const struct capture_plan *plan, uint32_t i);
uint32_t plan_thread_count(const struct capture_plan *plan);

/* The name of a mapping's file, "" where there is none. */
const char *plan_name(const struct capture_plan *plan, const struct region *region);

#endif
