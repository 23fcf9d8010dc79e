// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * The tripwire: stops a process of a target in its own context, inside the kernel, when the memory
 * charged to the target's cgroup reaches a threshold. Loaded and attached by os/bpf.c.
 *
 * Each program stands where the allocating task passes (a charge, a page, a reclaim, the OOM
 * killer's beginning) and looks for the current task's memory cgroup, and those above it, among the
 * targets: by the cgroup's id, the inode of its directory, on v1 and v2 alike. Reading the charge
 * counter costs one load; it is exact but for the batch of 64 pages that each CPU charges ahead.
 * bpf_send_signal(SIGSTOP) acts when the task returns to user mode, so that one large system call
 * goes on to its end; it stops PID 1 of a pid namespace too.
 *
 * A cgroup that is no target is remembered per CPU by its serial number, one 64-bit word written at
 * once, so that it costs one map look-up at most, without a hash.
 *
 * Where every page passes, most pages are only counted, and one look stands for 128 KiB of a CPU,
 * whoever allocates the page that completes them, until one finds the threshold reached. The charge
 * moves in batches of 64 pages anyway. Where a target shares its CPU with others that allocate as
 * much, some looks fall to them: 128 KiB later is the next.
 *
 * A process is stopped once, until user space forgets it: its place in the table of stops is taken
 * by compare-and-swap before the signal is sent, and the table lies in memory that the watchdog and
 * its guardian have mapped. What cannot be noted there is not stopped. A process that the
 * watchdog's pid namespace does not contain is not stopped either, as nobody could undo it.
 *
 * Nothing here decides: thresholds and flags come from user space. It never reads user memory,
 * never writes to anything but its own maps, and does nothing once the watchdog has exited, even
 * where a child still holds the descriptors that keep it attached.
 */
#include "kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "wire.h"

char trip_license[] SEC("license") = "GPL v2";

struct wire_state trip_state;

/* Never set: it puts the type into the object's BTF, where a test compares it with the watchdog's.
 */
const struct wire_record *trip_record_type __attribute__((unused));

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WIRE_TARGETS_MAX);
	__type(key, __u64);   /* cgroup id */
	__type(value, __u32); /* place in trip_state.target */
} trip_index SEC(".maps");

struct trip_cpu {
	__u64 outsider; /* the last cgroup seen here that no target holds: outsider_word() */
	__u32 pages;	/* allocated here since the last look */
	__u32 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct trip_cpu);
} trip_cpus SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, WIRE_RING_BYTES);
} trip_ring SEC(".maps");

#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))
/* Keeps the compiler from forgetting that a number was bounded. */
#define opaque(x) asm volatile("" : "+r"(x))

#define PID_LEVELS_MAX 33    /* MAX_PID_NS_LEVEL and the initial one */
#define SERIAL_SHIFT 24	     /* bits of the generation in an outsider's word */
#define GENERATIONS 4	     /* MAX_NR_GENS */
#define ZONES_MAX 8	     /* MAX_NR_ZONES is 4 or 5 */
#define ORDER_MASK 15U	     /* MAX_PAGE_ORDER is 10, 13 with pages of 64 KiB */
#define CACHE_LOOK_EVERY 16U /* pages between looks at the page cache: a quarter of a batch */

static __always_inline void drop(enum wire_drop why)
{
	__sync_fetch_and_add(&trip_state.drops[why], 1);
}

static __always_inline struct cgroup_subsys_state *memory_css(struct task_struct *task)
{
	return task->cgroups->subsys[bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id)];
}

/* --- a task as the watchdog sees it ----------------------------------------------------------- */

/*
 * Functions that are not static are verified once each, with any numbers as arguments, and not at
 * every call in every state: the loops of the callers would multiply that by a hundred. Kernel
 * pointers are handed to them as numbers, and read with bpf_probe_read_kernel().
 */

static __always_inline __u64 number_of(const void *pointer)
{
	__u64 number = 0;

	/* Read back from the stack it is a number to the verifier. */
	bpf_probe_read_kernel(&number, sizeof(number), &pointer);
	return number;
}

/* The pid of a struct task_struct in the watchdog's pid namespace; 0 where it has none. */
__noinline __u32 trip_seen_pid(__u64 address)
{
	const void *at;
	struct {
		int nr;
		int reserved;
		struct pid_namespace *ns;
	} upid; /* struct upid as it is laid out everywhere */
	struct pid_namespace *ns;
	struct task_struct *task = (struct task_struct *)address;
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	unsigned int level = BPF_CORE_READ(pid, level);

	if (!pid)
		return 0;
	at = (const void *)pid + bpf_core_field_offset(struct pid, numbers);
	for (unsigned int i = 0; i < PID_LEVELS_MAX; i++, at += sizeof(upid)) {
		if (i > level || bpf_probe_read_kernel(&upid, sizeof(upid), at) != 0)
			break;
		ns = upid.ns;
		if (BPF_CORE_READ(ns, ns.inum) == trip_state.pid_ns)
			return (__u32)upid.nr;
	}
	return 0;
}

static __always_inline __u64 user_ip(struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);

	return regs ? USER_IP(regs) : 0;
}

/* --- memory ----------------------------------------------------------------------------------- */

static __always_inline const void *memcg_of(struct cgroup_subsys_state *css)
{
	return (const void *)css - bpf_core_field_offset(struct mem_cgroup, css);
}

static __always_inline __u64 usage_of(struct cgroup_subsys_state *css)
{
	const struct mem_cgroup *memcg = memcg_of(css);

	return (__u64)BPF_CORE_READ(memcg, memory.usage.counter);
}

/* The sum of `zones` numbers of pages, each `stride` after the other. */
static __always_inline __u64 sum_zones(const void *at, unsigned int stride, unsigned int zones)
{
	__u64 sum = 0;

	for (unsigned int zone = 0; zone < ZONES_MAX; zone++, at += stride) {
		long pages;

		if (zone >= zones || bpf_probe_read_kernel(&pages, sizeof(pages), at) != 0)
			break;
		if (pages > 0)
			sum += pages;
	}
	return sum;
}

/* Inactive file pages of a node's part of a cgroup, as the two lists of old have them. */
static __always_inline __u64 inactive_of_lists(const struct mem_cgroup_per_node *node)
{
	const void *at = node;

	if (!bpf_core_field_exists(struct mem_cgroup_per_node, lru_zone_size) ||
		bpf_core_enum_value(enum lru_list, NR_LRU_LISTS) != NR_LRU_LISTS ||
		bpf_core_enum_value(enum lru_list, LRU_INACTIVE_FILE) != LRU_INACTIVE_FILE)
		return 0;
	at += bpf_core_field_offset(struct mem_cgroup_per_node, lru_zone_size);
	return sum_zones(at + LRU_INACTIVE_FILE * sizeof(long), NR_LRU_LISTS * sizeof(long),
		bpf_core_field_size(struct mem_cgroup_per_node, lru_zone_size) /
			(NR_LRU_LISTS * sizeof(long)));
}

/* The same where generations are kept: all but the two youngest count as inactive. */
static __always_inline __u64 inactive_of_generations(const struct mem_cgroup_per_node *node)
{
	const unsigned int zones =
		bpf_core_field_size(struct mem_cgroup_per_node, lruvec.lrugen.nr_pages) /
		(GENERATIONS * 2 * sizeof(long));
	const void *at = node;
	unsigned long youngest = BPF_CORE_READ(node, lruvec.lrugen.max_seq);
	__u64 sum = 0;

	at += bpf_core_field_offset(struct mem_cgroup_per_node, lruvec.lrugen.nr_pages);
	at += zones * sizeof(long); /* beyond the anonymous pages */
	for (unsigned int generation = 0; generation < GENERATIONS; generation++) {
		if (generation != youngest % GENERATIONS &&
			generation != (youngest - 1) % GENERATIONS)
			sum += sum_zones(at, sizeof(long), zones);
		at += 2 * zones * sizeof(long);
	}
	return sum;
}

/*
 * Inactive file pages of this cgroup itself, over all zones and nodes: what memory.stat calls
 * inactive_file, exact and without its flush. What cgroups below it hold is not in, so the rest is
 * never taken for less than it is. 0 where the kernel keeps these figures otherwise than we know.
 */
__noinline __u64 trip_inactive_file(__u64 address)
{
	const void *at = memcg_of((struct cgroup_subsys_state *)address);
	const struct mem_cgroup_per_node *node;
	__u64 sum = 0;

	at += bpf_core_field_offset(struct mem_cgroup, nodeinfo);
	for (unsigned int n = 0; n < WIRE_NODES_MAX; n++, at += sizeof(node)) {
		if (n >= trip_state.nodes || bpf_probe_read_kernel(&node, sizeof(node), at) != 0)
			break;
		if (bpf_core_field_exists(struct mem_cgroup_per_node, lruvec.lrugen.enabled) &&
			BPF_CORE_READ(node, lruvec.lrugen.enabled))
			sum += inactive_of_generations(node);
		else
			sum += inactive_of_lists(node);
	}
	return sum;
}

/* --- stopping --------------------------------------------------------------------------------- */

static __always_inline void send_record(
	enum wire_kind kind, __u32 target, const struct wire_stop *what, struct wire_stop *noted)
{
	struct wire_record *record = bpf_ringbuf_reserve(&trip_ring, sizeof(*record), 0);

	if (!record) {
		drop(WIRE_DROP_RING_FULL);
		return;
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->time_ns = what->time_ns;
	if (target < WIRE_TARGETS_MAX)
		record->cgroup_id = trip_state.target[target].cgroup_id;
	record->usage_pages = what->usage_pages;
	record->start_boottime_ns = what->start_boottime_ns;
	record->ip = what->ip;
	record->pid = what->pid;
	record->tgid = what->tgid;
	record->target = target;
	record->kind = kind;
	record->hook = what->hook;
	if (noted)
		WRITE_ONCE(noted->state, WIRE_STOP_NOTED | WIRE_STOP_TOLD);
	bpf_ringbuf_submit(record, 0);
}

static __always_inline void describe(struct task_struct *task, __u32 hook, struct wire_stop *ret)
{
	struct task_struct *leader = task->group_leader;

	__builtin_memset(ret, 0, sizeof(*ret));
	ret->time_ns = bpf_ktime_get_ns();
	ret->start_boottime_ns = BPF_CORE_READ(leader, start_boottime);
	ret->pid = trip_seen_pid(number_of(task));
	ret->tgid = trip_seen_pid(number_of(leader));
	ret->hook = hook;
}

/*
 * The process has its SIGSTOP, but as long as that is pending the thread that is to take it waits
 * for a CPU, and this one allocates on: it gets one of its own, and whichever acts first stops all.
 * SIGCONT takes back all of them (kernel/signal.c, prepare_signal()).
 */
static __always_inline void stop_thread(struct wire_target *t)
{
	const unsigned long bit = 1UL << (SIGSTOP - 1);
	struct task_struct *task = bpf_get_current_task_btf();

	__sync_fetch_and_add(&t->repeats, 1);
	if (!(task->signal->shared_pending.signal.sig[0] & bit) ||
		(task->pending.signal.sig[0] & bit))
		return;
	if (bpf_send_signal_thread(SIGSTOP) != 0)
		drop(WIRE_DROP_BUSY);
}

/* Takes a place for the process; NULL if it has one already, or if there is none. */
static __always_inline struct wire_stop *claim(__u64 key, struct wire_target *t)
{
	__u32 at = (__u32)((key >> 32) * 2654435761U);

	for (int i = 0; i < WIRE_PROBES_MAX; i++) {
		__u32 place = (at + (__u32)i) & (WIRE_STOPS_MAX - 1);
		struct wire_stop *stop;
		__u64 old;

		opaque(place);
		stop = &trip_state.stop[place & (WIRE_STOPS_MAX - 1)];
		old = READ_ONCE(stop->key);
		if (old == 0)
			old = __sync_val_compare_and_swap(&stop->key, 0, key);
		if (old == 0)
			return stop;
		if (old == key) {
			stop_thread(t);
			return NULL;
		}
	}
	drop(WIRE_DROP_TABLE_FULL);
	return NULL;
}

static __always_inline void give_back(struct wire_stop *stop, enum wire_drop why)
{
	drop(why);
	WRITE_ONCE(stop->state, 0);
	WRITE_ONCE(stop->key, 0);
}

/* Pid and start time (to 1 ms, modulo 52 days) name a process well enough to stop it once. */
static __always_inline __u64 key_of(struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;

	return (__u64)(__u32)task->tgid << 32 |
		(__u32)(BPF_CORE_READ(leader, start_boottime) >> 20);
}

__noinline int trip_stop(__u32 place, __u32 hook, __u64 usage_pages)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct wire_target *t = &trip_state.target[place & (WIRE_TARGETS_MAX - 1)];
	struct wire_stop what, *stop;
	long error;

	stop = claim(key_of(task), t);
	if (!stop)
		return 0;
	describe(task, hook, &what);
	what.usage_pages = usage_pages;
	what.ip = user_ip(task);
	if (what.tgid == 0) {
		give_back(stop, WIRE_DROP_UNSEEN);
		return 0;
	}
	stop->start_boottime_ns = what.start_boottime_ns;
	stop->time_ns = what.time_ns;
	stop->usage_pages = usage_pages;
	stop->ip = what.ip;
	stop->pid = what.pid;
	stop->tgid = what.tgid;
	stop->target = place;
	stop->hook = hook;
	/* A full barrier: what is noted is seen before the mark, and the mark before the signal. */
	(void)__sync_lock_test_and_set(&stop->state, WIRE_STOP_NOTED);
	error = bpf_send_signal(SIGSTOP);
	if (error) {
		give_back(stop, error == -EBUSY ? WIRE_DROP_BUSY : WIRE_DROP_REFUSED);
		return 0;
	}
	__sync_fetch_and_add(&t->stops, 1);
	send_record(WIRE_KIND_STOPPED, place, &what, stop);
	return 0;
}

__noinline int trip_tell(__u32 place, __u32 hook, __u64 usage_pages)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct wire_target *t = &trip_state.target[place & (WIRE_TARGETS_MAX - 1)];
	struct wire_stop what;

	if (READ_ONCE(t->told) || __sync_val_compare_and_swap(&t->told, 0, 1) != 0)
		return 0;
	describe(task, hook, &what);
	what.usage_pages = usage_pages;
	what.ip = user_ip(task);
	send_record(WIRE_KIND_REACHED, place, &what, NULL);
	return 0;
}

/* Whether this hook is one at which the target, with this much charged, is to be stopped. */
static __always_inline bool reached(struct wire_target *t, __u32 flags,
	struct cgroup_subsys_state *css, enum wire_hook hook, __u64 usage_pages)
{
	if (hook == WIRE_HOOK_OOM)
		return flags & WIRE_ON_OOM;
	if (hook == WIRE_HOOK_RECLAIM)
		return (flags & WIRE_ON_RECLAIM) && usage_pages >= t->reclaim_pages;
	if (!(flags & WIRE_ON_CHARGE) || usage_pages < t->threshold_pages)
		return false;
	if (!(flags & WIRE_USED))
		return true;
	/* Near a threshold that is mostly page cache, a look for each page would cost too much. */
	if (hook == WIRE_HOOK_RSS && READ_ONCE(t->looks) % CACHE_LOOK_EVERY != 0) {
		t->looks++;
		return false;
	}
	t->looks++;
	return usage_pages >= t->threshold_pages + trip_inactive_file(number_of(css));
}

/* Whether the target was to be stopped. */
static __always_inline bool consider(
	struct cgroup_subsys_state *css, __u32 place, enum wire_hook hook)
{
	struct wire_target *t;
	__u32 flags;
	__u64 usage_pages;

	t = &trip_state.target[place & (WIRE_TARGETS_MAX - 1)];
	flags = READ_ONCE(t->flags);
	if (!(flags & WIRE_ARMED))
		return false;
	usage_pages = usage_of(css);
	if (usage_pages >= READ_ONCE(t->notice_pages))
		trip_tell(place, hook, usage_pages);
	if (!reached(t, flags, css, hook, usage_pages))
		return false;
	if (READ_ONCE(trip_state.closed))
		drop(WIRE_DROP_CLOSED);
	else if (flags & WIRE_STOP)
		trip_stop(place, hook, usage_pages);
	else
		trip_tell(place, hook, usage_pages);
	return true;
}

/* --- which target ----------------------------------------------------------------------------- */

/* What stands for "no target holds this cgroup, as the targets are now". */
static __always_inline __u64 outsider_word(struct cgroup_subsys_state *css)
{
	return css->serial_nr << SERIAL_SHIFT |
		(READ_ONCE(trip_state.generation) & ((1U << SERIAL_SHIFT) - 1));
}

static __always_inline struct trip_cpu *this_cpu(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&trip_cpus, &zero);
}

/* Whether a target was found that is to be stopped. */
static __always_inline bool look(struct trip_cpu *cpu, enum wire_hook hook)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct cgroup_subsys_state *css = memory_css(task);
	__u64 word = outsider_word(css);
	__u32 found = 0;
	bool any = false;

	if (cpu && READ_ONCE(cpu->outsider) == word)
		return false;
	for (int level = 0; level < WIRE_LEVELS_MAX && css; level++, css = css->parent) {
		__u64 id = css->cgroup->kn->id;
		__u32 *place = bpf_map_lookup_elem(&trip_index, &id);

		if (!place)
			continue;
		any |= consider(css, *place, hook);
		if (++found == trip_state.targets)
			break;
	}
	if (!found && cpu)
		WRITE_ONCE(cpu->outsider, word);
	return any;
}

static __always_inline int look_now(enum wire_hook hook)
{
	(void)look(this_cpu(), hook);
	return 0;
}

/*
 * A record of the task for the nearest target above it that wants such records. A function of its
 * own: put into its callers, the loop may begin where kernels before 6.3 see a jump backwards that
 * they refuse (check_cfg()).
 */
static __noinline int tell_process(
	struct task_struct *task, enum wire_kind kind, enum wire_hook hook, __u32 flag)
{
	struct cgroup_subsys_state *css = memory_css(task);
	struct wire_stop what;

	for (int level = 0; level < WIRE_LEVELS_MAX && css; level++, css = css->parent) {
		__u64 id = css->cgroup->kn->id;
		__u32 *place = bpf_map_lookup_elem(&trip_index, &id);

		if (!place || !(trip_state.target[*place & (WIRE_TARGETS_MAX - 1)].flags & flag))
			continue;
		describe(task, hook, &what);
		send_record(kind, *place, &what, NULL);
		break;
	}
	return 0;
}

/* --- where we stand --------------------------------------------------------------------------- */

SEC("fexit/page_counter_try_charge")
int trip_charge(void *ctx)
{
	return look_now(WIRE_HOOK_CHARGE);
}

SEC("fexit/try_charge_memcg")
int trip_memcg(void *ctx)
{
	return look_now(WIRE_HOOK_MEMCG);
}

SEC("tp_btf/mm_page_alloc")
int trip_page(__u64 *ctx)
{
	struct trip_cpu *cpu = this_cpu();
	__u32 pages;

	if (!cpu)
		return 0;
	pages = cpu->pages + (1U << ((__u32)ctx[1] & ORDER_MASK)); /* (page, order, flags, type) */
	if (pages >= trip_state.look_pages && !look(cpu, WIRE_HOOK_PAGE))
		pages = 0;
	cpu->pages = pages; /* where one was found, the next page looks again */
	return 0;
}

SEC("tp_btf/rss_stat")
int trip_rss(void *ctx)
{
	return look_now(WIRE_HOOK_RSS);
}

SEC("tp_btf/mm_vmscan_memcg_reclaim_begin")
int trip_reclaim(void *ctx)
{
	return look_now(WIRE_HOOK_RECLAIM);
}

SEC("fentry/mem_cgroup_out_of_memory")
int trip_oom(void *ctx)
{
	return look_now(WIRE_HOOK_OOM);
}

SEC("tp_btf/mark_victim")
int trip_victim(__u64 *ctx)
{
	struct wire_stop what;

	if (bpf_core_field_exists(struct trace_event_raw_mark_victim, uid))
		return tell_process((struct task_struct *)ctx[0], WIRE_KIND_VICTIM,
			WIRE_HOOK_VICTIM, WIRE_ARMED | WIRE_PROCESSES);
	__builtin_memset(&what, 0, sizeof(what));
	what.time_ns = bpf_ktime_get_ns();
	what.tgid = (__u32)ctx[0]; /* as the initial pid namespace counts */
	what.pid = what.tgid;
	what.hook = WIRE_HOOK_VICTIM;
	send_record(WIRE_KIND_VICTIM, WIRE_NO_TARGET, &what, NULL);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int trip_fork(__u64 *ctx)
{
	struct task_struct *child = (struct task_struct *)ctx[1];

	if (child->pid != child->tgid)
		return 0; /* a thread */
	return tell_process(child, WIRE_KIND_FORKED, WIRE_HOOK_FORK, WIRE_PROCESSES);
}

SEC("tp_btf/sched_process_exec")
int trip_exec(__u64 *ctx)
{
	return tell_process(
		(struct task_struct *)ctx[0], WIRE_KIND_EXECED, WIRE_HOOK_EXEC, WIRE_PROCESSES);
}

/* After the move: (destination, its path, the task or its leader, whether all threads moved). */
SEC("tp_btf/cgroup_attach_task")
int trip_move(__u64 *ctx)
{
	struct cgroup *to = (struct cgroup *)ctx[0];
	struct task_struct *task = (struct task_struct *)ctx[2];
	struct cgroup_subsys_state *css = memory_css(task);

	if (css->cgroup->root != to->root)
		return 0; /* in a hierarchy without the memory controller */
	return tell_process(task, WIRE_KIND_MOVED, WIRE_HOOK_MOVE, WIRE_PROCESSES);
}

/* A watchdog that ends, in whatever way, leaves no tripwire, whoever inherited its descriptors. */
SEC("tp_btf/sched_process_exit")
int trip_exit(__u64 *ctx)
{
	struct task_struct *task = (struct task_struct *)ctx[0];

	if (task->pid == task->tgid && trip_seen_pid(number_of(task)) == trip_state.owner)
		WRITE_ONCE(trip_state.closed, 1);
	return 0;
}
