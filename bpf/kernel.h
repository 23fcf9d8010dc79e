/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The kernel's types as far as the programs here read them. Only names and kinds of fields matter:
 * preserve_access_index makes every access a CO-RE relocation, so that libbpf puts in the offsets
 * of the running kernel (Documentation/bpf/libbpf/libbpf_overview.rst), and a build needs no BTF.
 * Written for Linux 5.15 and later.
 */
#ifndef OOMSNAP_BPF_KERNEL_H
#define OOMSNAP_BPF_KERNEL_H

typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;
typedef _Bool bool;

#define NULL ((void *)0)
#define true 1
#define false 0

/* What bpf(2) takes (include/uapi/linux/bpf.h). */
enum {
	BPF_ANY = 0,
};
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_RINGBUF = 27,
};

#define SIGSTOP 19 /* asm-generic/signal.h: the same on x86, arm64, riscv and powerpc */
#define EBUSY 16

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	long counter;
} atomic_long_t;

struct page_counter {
	atomic_long_t usage;
};

struct kernfs_node {
	__u64 id; /* the inode number of the directory, on 64-bit machines */
};

struct cgroup_root;

struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
	__u64 serial_nr; /* counts up over all of them, never used twice */
};

enum cgroup_subsys_id {
	memory_cgrp_id = 4, /* depends on the configuration: taken by bpf_core_enum_value() */
};

struct css_set {
	struct cgroup_subsys_state *subsys[16];
};

enum lru_list {
	LRU_INACTIVE_FILE = 2,
	NR_LRU_LISTS = 5,
};

/* Linux 6.1 and later, where CONFIG_LRU_GEN is on; the struct has had two names. */
struct lru_gen_folio {
	unsigned long max_seq;
	long nr_pages[40]; /* [4 generations][anonymous, file][MAX_NR_ZONES]: BTF has it flat */
	bool enabled;
};

struct lruvec {
	struct lru_gen_folio lrugen;
};

struct mem_cgroup_per_node {
	struct lruvec lruvec;
	unsigned long lru_zone_size[25]; /* [MAX_NR_ZONES][NR_LRU_LISTS], flat likewise */
};

struct mem_cgroup {
	struct cgroup_subsys_state css;
	struct page_counter memory;
	struct mem_cgroup_per_node *nodeinfo[1]; /* as many as there are nodes */
};

struct ns_common {
	unsigned int inum;
};

struct pid_namespace {
	struct ns_common ns;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1]; /* level + 1 */
};

typedef struct {
	unsigned long sig[1];
} sigset_t;

struct sigpending {
	sigset_t signal;
};

struct signal_struct {
	struct sigpending shared_pending; /* of the process */
};

struct task_struct {
	int pid;
	int tgid;
	__u64 start_boottime;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct css_set *cgroups;
	struct signal_struct *signal;
	struct sigpending pending; /* of this thread alone */
};

/* Linux 6.9 gave the tracepoint mark_victim this field, and the task instead of its pid. */
struct trace_event_raw_mark_victim {
	__u32 uid;
};

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long ip;
};
#define USER_IP(regs) ((regs)->ip)
#elif defined(__TARGET_ARCH_arm64)
struct pt_regs {
	__u64 pc;
};
#define USER_IP(regs) ((regs)->pc)
#else
#error "say where this architecture keeps the instruction pointer"
#endif

#pragma clang attribute pop

#endif
