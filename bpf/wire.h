/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What the tripwire's programs (tripwire.bpf.c) and the watchdog (os/bpf.c) share: one block of
 * memory, mapped by both, and the records of the ring buffer. Fixed widths, explicit padding, sizes
 * asserted here and so on both sides. Counts of memory are pages of the kernel; times of events are
 * CLOCK_MONOTONIC nanoseconds.
 *
 * Includers provide __u32 and __u64: kernel.h on the kernel's side, <linux/types.h> on ours.
 */
#ifndef OOMSNAP_BPF_WIRE_H
#define OOMSNAP_BPF_WIRE_H

#define WIRE_TARGETS_MAX 64    /* a power of two; as many as a configuration may name */
#define WIRE_STOPS_MAX 1024    /* a power of two; processes stopped and not yet forgotten */
#define WIRE_PROBES_MAX 16     /* places in which a process may be noted */
#define WIRE_LEVELS_MAX 8      /* a target is looked for in the task's cgroup and 7 above it */
#define WIRE_RING_BYTES 65536  /* some 600 records; a multiple of every page size in use */
#define WIRE_NODES_MAX 8       /* NUMA nodes whose page cache is looked at */
#define WIRE_LOOK_BYTES 131072 /* at WIRE_HOOK_PAGE: between looks at the charge, on each CPU */

/* Flags of a target. */
#define WIRE_ARMED (1U << 0)
#define WIRE_STOP (1U << 1)	  /* SIGSTOP; without it one record says that it would have */
#define WIRE_ON_CHARGE (1U << 2)  /* at threshold_pages */
#define WIRE_ON_RECLAIM (1U << 3) /* at the first reclaim from reclaim_pages on: a brake's */
#define WIRE_ON_OOM (1U << 4)	  /* when the kernel begins to look for a victim */
#define WIRE_USED (1U << 5)	  /* the threshold is of usage less inactive page cache */
#define WIRE_PROCESSES (1U << 6)  /* records of new processes */

/* Kernel functions and tracepoints at which we may stand. */
enum wire_hook {
	WIRE_HOOK_NONE,
	WIRE_HOOK_CHARGE,  /* fexit/page_counter_try_charge */
	WIRE_HOOK_MEMCG,   /* fexit/try_charge_memcg */
	WIRE_HOOK_PAGE,	   /* tp_btf/mm_page_alloc */
	WIRE_HOOK_RSS,	   /* tp_btf/rss_stat */
	WIRE_HOOK_RECLAIM, /* tp_btf/mm_vmscan_memcg_reclaim_begin */
	WIRE_HOOK_OOM,	   /* fentry/mem_cgroup_out_of_memory */
	WIRE_HOOK_VICTIM,  /* tp_btf/mark_victim */
	WIRE_HOOK_FORK,	   /* tp_btf/sched_process_fork */
	WIRE_HOOK_EXEC,	   /* tp_btf/sched_process_exec */
	WIRE_HOOK_MOVE,	   /* tp_btf/cgroup_attach_task */
	WIRE_HOOK_EXIT,	   /* tp_btf/sched_process_exit: only to see the watchdog end */
	WIRE_HOOK_COUNT
};

enum wire_kind {
	WIRE_KIND_STOPPED = 1, /* SIGSTOP was sent to this process */
	WIRE_KIND_REACHED, /* the same without WIRE_STOP, or notice_pages: once until asked anew */
	WIRE_KIND_VICTIM,  /* the OOM killer has chosen this process */
	WIRE_KIND_FORKED,
	WIRE_KIND_EXECED,
	WIRE_KIND_MOVED, /* into the target, or within it */
	WIRE_KIND_COUNT
};

/* Why something was not done or not told. */
enum wire_drop {
	WIRE_DROP_RING_FULL,  /* a record was lost; a stop stands in the table all the same */
	WIRE_DROP_TABLE_FULL, /* not stopped: there was no place to note it for the undo */
	WIRE_DROP_UNSEEN,     /* not stopped: the watchdog cannot see it, so could not undo it */
	WIRE_DROP_BUSY,	      /* the signal could not be queued; tried again at the next charge */
	WIRE_DROP_REFUSED,    /* the kernel refuses to signal it: it exits, or is global init */
	WIRE_DROP_CLOSED,     /* the watchdog has ended */
	WIRE_DROP_COUNT
};

#define WIRE_NO_TARGET 0xffffffffU

struct wire_target {
	__u64 cgroup_id; /* 0: a free place */
	__u64 threshold_pages;
	__u64 reclaim_pages;
	__u64 notice_pages; /* told from here on while armed; all ones: nowhere */
	__u64 stops;
	__u64 repeats; /* charges of a process that was stopped already */
	__u32 flags;
	__u32 told;  /* WIRE_KIND_REACHED was */
	__u32 looks; /* at the page cache, for WIRE_USED */
	__u32 reserved;
};
_Static_assert(sizeof(struct wire_target) == 64, "wire layout");

/* State of a place in the table of stops. */
#define WIRE_STOP_NOTED 1U /* filled in: the signal is about to be sent, or was */
#define WIRE_STOP_TOLD 2U  /* and its record is in the ring */

/*
 * A process that was stopped. Noted before the signal is sent, so that whoever shares the memory
 * can undo it at any instant.
 */
struct wire_stop {
	__u64 key;		 /* of the process, 0: a free place */
	__u64 start_boottime_ns; /* CLOCK_BOOTTIME, of the process */
	__u64 time_ns;
	__u64 usage_pages;
	__u64 ip;  /* where it was in user mode, 0: unknown */
	__u32 pid; /* of the thread; both as the watchdog's pid namespace counts */
	__u32 tgid;
	__u32 target; /* place in target[] */
	__u32 hook;
	__u32 state;
	__u32 reserved;
};
_Static_assert(sizeof(struct wire_stop) == 64, "wire layout");

struct wire_state {
	__u32 closed;	  /* not 0: every program does nothing any more */
	__u32 generation; /* changes with every target added or removed */
	__u32 targets;	  /* added */
	__u32 nodes;	  /* NUMA nodes of this machine, at most WIRE_NODES_MAX */
	__u32 pid_ns;	  /* inode of the watchdog's pid namespace */
	__u32 owner;	  /* the watchdog, in that namespace */
	__u32 look_pages; /* WIRE_LOOK_BYTES in pages, at least 1 */
	__u32 reserved;
	__u64 drops[WIRE_DROP_COUNT];
	struct wire_target target[WIRE_TARGETS_MAX];
	struct wire_stop stop[WIRE_STOPS_MAX];
};
_Static_assert(sizeof(struct wire_state) ==
		32 + 8 * WIRE_DROP_COUNT + 64 * WIRE_TARGETS_MAX + 64 * WIRE_STOPS_MAX,
	"wire layout");

struct wire_record {
	__u64 time_ns;
	__u64 cgroup_id;
	__u64 usage_pages; /* of the target, for the first two kinds */
	__u64 start_boottime_ns;
	__u64 ip;
	__u32 pid;
	__u32 tgid;
	__u32 target; /* WIRE_NO_TARGET: the process tells, look there (mark_victim before 6.9) */
	__u32 kind;
	__u32 hook;
	__u32 reserved;
};
_Static_assert(sizeof(struct wire_record) == 64, "wire layout");

#endif
