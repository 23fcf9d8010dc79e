// SPDX-License-Identifier: Apache-2.0
/*
 * The tripwire's user side. See bpf.h for the contract, bpf/tripwire.bpf.c for the programs,
 * bpf_load.c for how they are loaded.
 *
 * Each program that this kernel took is attached once at the start, as some kernels refuse only
 * that; of the four that can watch charges the first that can be attached is used. Order: the
 * charge of a batch (once in 64 pages), the charge of a page, the allocation of a page, the change
 * of an RSS counter. Those at functions stay attached until the end, and do nothing while no target
 * is armed: where the kernel patches its functions for a program, coming and going both wait until
 * each task of the machine has been seen to switch (synchronize_rcu_tasks() in
 * kernel/trace/ftrace.c), which takes a tenth of a second, and seconds where processors are scarce.
 * Those at tracepoints wait for nothing, and some of them run for each page of the machine: they
 * are attached with bpf_raw_tracepoint_open(), which allocates nothing on our side, when the first
 * target is armed, and detached when none needs them.
 *
 * Thresholds, flags and the table of stops are the programs' .bss, mapped shared: arming is a
 * store. The hash from cgroup ids to places is written before the count of generations moves on, so
 * that a program that remembers "no target" under the new count has seen the new hash.
 *
 * The kernel takes 38 programs at one function (BPF_MAX_TRAMP_LINKS): where more of us run on one
 * machine, a next one finds the first function refused at its start and stands at the next.
 *
 * Limits: 64 targets, 1,024 processes stopped at a time. Where the loader sits in a time namespace
 * with an offset of its own, start times are moved by it, as /proc/PID/stat moves them.
 */
#include "os/bpf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "os/bpf_load.h"
#include "os/fd.h"
#include "os/process.h"

#define OFFSETS_TEXT_MAX 256 /* of /proc/self/timens_offsets: two lines */
#define HOOK_BIT(hook) (1U << (hook))

_Static_assert(TRIPWIRE_STOP == WIRE_STOP && TRIPWIRE_ON_CHARGE == WIRE_ON_CHARGE &&
		TRIPWIRE_ON_RECLAIM == WIRE_ON_RECLAIM && TRIPWIRE_ON_OOM == WIRE_ON_OOM &&
		TRIPWIRE_USED == WIRE_USED && TRIPWIRE_PROCESSES == WIRE_PROCESSES,
	"flags are handed on as they are");
_Static_assert((int)TRIPWIRE_STOPPED == (int)WIRE_KIND_STOPPED &&
		(int)TRIPWIRE_MOVED == (int)WIRE_KIND_MOVED,
	"kinds are handed on as they are");

struct tripwire {
	struct bpf_load load;
	struct wire_state *shared; /* load.shared: mapped by us and by everyone forked from us */
	struct ring_buffer *ring;
	uint32_t usable; /* bits of enum wire_hook */
	enum wire_hook charge_hook;
	int link[WIRE_HOOK_COUNT]; /* -1: not attached */
	uint64_t page_bytes;
	uint64_t tick_ns;
	int64_t boottime_offset_ns; /* of our time namespace */
	uint64_t ring_losses;	    /* of the shared counter, when stops were last looked for */
	tripwire_event_fn *fn;	    /* of the running tripwire_consume() */
	void *user;
	int told; /* events of it */
};

/* At functions, not at tracepoints. */
#define STAYING_HOOKS \
	(HOOK_BIT(WIRE_HOOK_CHARGE) | HOOK_BIT(WIRE_HOOK_MEMCG) | HOOK_BIT(WIRE_HOOK_OOM))
#define PROCESS_HOOKS \
	(HOOK_BIT(WIRE_HOOK_FORK) | HOOK_BIT(WIRE_HOOK_EXEC) | HOOK_BIT(WIRE_HOOK_MOVE))

/* --- attaching -------------------------------------------------------------------------------- */

static int attach(struct tripwire *t, uint32_t hook)
{
	int fd;

	if (t->link[hook] >= 0)
		return 0;
	fd = bpf_raw_tracepoint_open(NULL, t->load.program_fd[hook]);
	if (fd < 0)
		return fd;
	t->link[hook] = fd; /* CLOEXEC, as all descriptors of bpf(2) are born */
	return 0;
}

static void detach(struct tripwire *t, uint32_t hook)
{
	cleanup_close(&t->link[hook]);
	t->link[hook] = -1;
}

/* Attaches a loaded program for the first time. *ret_error: why it could not be. */
static void try_attaching(struct tripwire *t, uint32_t hook, int *ret_error)
{
	int r = t->load.program_fd[hook] < 0 ? -ENOENT : attach(t, hook);

	if (r == 0)
		t->usable |= HOOK_BIT(hook);
	else if (r != -ENOENT)
		*ret_error = r;
	if (!(STAYING_HOOKS & HOOK_BIT(hook)))
		detach(t, hook);
}

/* Chooses where charges are watched, and finds out what else can be had. */
static void choose_hooks(struct tripwire *t, int *ret_error)
{
	for (uint32_t hook = WIRE_HOOK_CHARGE; hook < WIRE_HOOK_COUNT; hook++) {
		if (hook == WIRE_HOOK_MEMCG && t->charge_hook != WIRE_HOOK_NONE)
			continue; /* tripwire_use_hook() may want it */
		try_attaching(t, hook, ret_error);
		if (hook <= WIRE_HOOK_RSS && t->charge_hook == WIRE_HOOK_NONE &&
			(t->usable & HOOK_BIT(hook)))
			t->charge_hook = (enum wire_hook)hook;
	}
}

/* --- what is known of the host ---------------------------------------------------------------- */

/* One more than the last number of "0" or "0-3": NUMA nodes that there may be. */
static uint32_t count_nodes(void)
{
	char text[64];
	_cleanup_close_ int fd = open("/sys/devices/system/node/possible", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fd_read_text(fd, text, sizeof(text) - 1);
	const char *last;
	unsigned long nodes;

	if (n <= 0)
		return 1;
	text[n] = '\0';
	last = text + strcspn(text, "-");
	nodes = strtoul(*last == '-' ? last + 1 : text, NULL, 10) + 1;
	return (uint32_t)min_u64(nodes, WIRE_NODES_MAX);
}

/* What our time namespace adds to CLOCK_BOOTTIME (time_namespaces(7)). */
static int64_t boottime_offset(void)
{
	char text[OFFSETS_TEXT_MAX];
	_cleanup_close_ int fd = open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fd_read_text(fd, text, sizeof(text) - 1);
	const char *line;
	char *end;
	int64_t seconds;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	line = strstr(text, "boottime");
	if (!line)
		return 0;
	seconds = strtoll(line + strlen("boottime"), &end, 10);
	return seconds * (int64_t)NS_PER_S + strtoll(end, NULL, 10);
}

static void introduce(struct tripwire *t)
{
	struct stat st;

	t->page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	t->tick_ns = NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
	t->boottime_offset_ns = boottime_offset();
	t->shared->nodes = count_nodes();
	t->shared->look_pages =
		(uint32_t)max_u64(1, WIRE_LOOK_BYTES / (uint64_t)sysconf(_SC_PAGESIZE));
	t->shared->owner = (uint32_t)getpid();
	if (stat("/proc/self/ns/pid", &st) == 0)
		t->shared->pid_ns = (uint32_t)st.st_ino;
}

/* --- events ----------------------------------------------------------------------------------- */

static uint64_t ticks_of(const struct tripwire *t, uint64_t start_boottime_ns)
{
	return (start_boottime_ns + (uint64_t)t->boottime_offset_ns) / t->tick_ns;
}

static void tell(struct tripwire *t, const struct wire_record *record)
{
	const struct tripwire_event event = {
		.kind = (enum tripwire_event_kind)record->kind,
		.hook = bpf_load_hook_name(record->hook),
		.time_ns = record->time_ns,
		.cgroup_id = record->cgroup_id,
		.usage_bytes = record->usage_pages * t->page_bytes,
		.start_time_ticks = ticks_of(t, record->start_boottime_ns),
		.ip = record->ip,
		.pid = (pid_t)record->pid,
		.tgid = (pid_t)record->tgid,
	};

	t->told++;
	t->fn(&event, t->user);
}

static int on_record(void *user, void *data, size_t size)
{
	struct tripwire *t = user;

	if (t->fn && size >= sizeof(struct wire_record))
		tell(t, data);
	return 0;
}

/* Stops that found the ring full stand in the table alone. */
static void tell_lost_stops(struct tripwire *t)
{
	uint64_t losses = __atomic_load_n(&t->shared->drops[WIRE_DROP_RING_FULL], __ATOMIC_ACQUIRE);

	if (losses == t->ring_losses)
		return;
	t->ring_losses = losses;
	for (uint32_t i = 0; i < WIRE_STOPS_MAX; i++) {
		struct wire_stop *stop = &t->shared->stop[i];
		struct wire_record record = {0};

		if (__atomic_load_n(&stop->state, __ATOMIC_ACQUIRE) != WIRE_STOP_NOTED)
			continue;
		record.time_ns = stop->time_ns;
		record.cgroup_id =
			t->shared->target[stop->target & (WIRE_TARGETS_MAX - 1)].cgroup_id;
		record.usage_pages = stop->usage_pages;
		record.start_boottime_ns = stop->start_boottime_ns;
		record.ip = stop->ip;
		record.pid = stop->pid;
		record.tgid = stop->tgid;
		record.kind = WIRE_KIND_STOPPED;
		record.hook = stop->hook;
		__atomic_store_n(&stop->state, WIRE_STOP_NOTED | WIRE_STOP_TOLD, __ATOMIC_RELEASE);
		tell(t, &record);
	}
}

int tripwire_consume(struct tripwire *t, tripwire_event_fn *fn, void *user)
{
	int r;

	t->fn = fn;
	t->user = user;
	t->told = 0;
	r = ring_buffer__consume(t->ring);
	tell_lost_stops(t);
	t->fn = NULL;
	return r < 0 ? r : t->told;
}

int tripwire_fd(const struct tripwire *t)
{
	return ring_buffer__epoll_fd(t->ring);
}

/* --- opening and closing ---------------------------------------------------------------------- */

static void release(struct tripwire *t)
{
	for (uint32_t hook = 0; hook < WIRE_HOOK_COUNT; hook++)
		detach(t, hook);
	ring_buffer__free(t->ring);
	bpf_load_free(&t->load);
	free(t);
}

/* Fills t. 0, or the negative errno for which there is no tripwire here. */
static int build(struct tripwire *t)
{
	int error;
	int r = bpf_load_all(&t->load, &error);

	if (r != 0)
		return r;
	t->shared = t->load.shared;
	introduce(t);
	choose_hooks(t, &error);
	if (t->charge_hook == WIRE_HOOK_NONE || t->shared->pid_ns == 0)
		return error ? error : -ENOENT;
	t->ring = ring_buffer__new(t->load.ring_fd, on_record, t, NULL);
	return t->ring ? 0 : -errno;
}

int tripwire_open(struct tripwire **ret, char *why, size_t size)
{
	struct tripwire *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	for (uint32_t hook = 0; hook < WIRE_HOOK_COUNT; hook++)
		t->link[hook] = -1;
	r = build(t);
	if (r == 0) {
		*ret = t;
		return 0;
	}
	release(t);
	if (r == -ENOMEM)
		return r;
	bpf_load_explain(r, why, size);
	return TRIPWIRE_UNAVAILABLE;
}

void tripwire_close(struct tripwire *t)
{
	if (t)
		release(t);
}

void tripwire_leave(struct tripwire *t)
{
	int fd = ring_buffer__epoll_fd(t->ring);

	for (uint32_t hook = 0; hook < WIRE_HOOK_COUNT; hook++)
		detach(t, hook);
	cleanup_close(&fd);
	bpf_load_leave(&t->load);
}

const char *tripwire_hook_name(const struct tripwire *t)
{
	return bpf_load_hook_name(t->charge_hook);
}

int tripwire_use_hook(struct tripwire *t, const char *name)
{
	for (uint32_t hook = WIRE_HOOK_CHARGE; hook <= WIRE_HOOK_RSS; hook++) {
		int error = 0;

		if (strcmp(name, bpf_load_hook_name(hook)) != 0)
			continue;
		try_attaching(t, hook, &error);
		if (!(t->usable & HOOK_BIT(hook)))
			break;
		if (t->charge_hook != hook)
			detach(t, t->charge_hook); /* one that stayed would trip first */
		t->charge_hook = (enum wire_hook)hook;
		return 0;
	}
	return TRIPWIRE_NO_HOOK;
}

bool tripwire_can(const struct tripwire *t, uint32_t flags)
{
	uint32_t need = 0;

	if (flags & TRIPWIRE_ON_RECLAIM)
		need |= HOOK_BIT(WIRE_HOOK_RECLAIM);
	if (flags & TRIPWIRE_ON_OOM)
		need |= HOOK_BIT(WIRE_HOOK_OOM);
	if (flags & TRIPWIRE_PROCESSES)
		need |= PROCESS_HOOKS;
	return (t->usable & need) == need;
}

bool tripwire_sees_victims(const struct tripwire *t)
{
	return (t->usable & HOOK_BIT(WIRE_HOOK_VICTIM)) != 0;
}

/* --- targets ---------------------------------------------------------------------------------- */

static struct wire_target *find(const struct tripwire *t, uint64_t cgroup_id)
{
	for (uint32_t i = 0; i < WIRE_TARGETS_MAX; i++)
		if (t->shared->target[i].cgroup_id == cgroup_id)
			return &t->shared->target[i];
	return NULL;
}

/* The hooks at which a target with these flags wants us to stand. */
static uint32_t hooks_of(const struct tripwire *t, uint32_t flags)
{
	uint32_t hooks = 0;

	if (flags & WIRE_PROCESSES)
		hooks |= PROCESS_HOOKS | HOOK_BIT(WIRE_HOOK_VICTIM);
	if (flags & WIRE_ARMED) {
		hooks |= HOOK_BIT(WIRE_HOOK_VICTIM) | HOOK_BIT(WIRE_HOOK_EXIT);
		if (flags & WIRE_ON_CHARGE)
			hooks |= HOOK_BIT(t->charge_hook);
		if (flags & WIRE_ON_RECLAIM)
			hooks |= HOOK_BIT(WIRE_HOOK_RECLAIM);
		if (flags & WIRE_ON_OOM)
			hooks |= HOOK_BIT(WIRE_HOOK_OOM);
	}
	return hooks & t->usable;
}

/* Attaches what a target with these flags wants and is not there. 0, or the first -errno. */
static int attach_for(struct tripwire *t, uint32_t flags)
{
	uint32_t hooks = hooks_of(t, flags);
	int first = 0;

	for (uint32_t hook = WIRE_HOOK_CHARGE; hook < WIRE_HOOK_COUNT; hook++) {
		int r = hooks & HOOK_BIT(hook) ? attach(t, hook) : 0;

		if (r != 0 && first == 0)
			first = r;
	}
	return first;
}

void tripwire_rest(struct tripwire *t)
{
	uint32_t hooks = 0;

	for (uint32_t i = 0; i < WIRE_TARGETS_MAX; i++)
		if (t->shared->target[i].cgroup_id)
			hooks |= hooks_of(t, t->shared->target[i].flags);
	for (uint32_t hook = WIRE_HOOK_CHARGE; hook < WIRE_HOOK_COUNT; hook++)
		if (!((hooks | STAYING_HOOKS) & HOOK_BIT(hook)))
			detach(t, hook);
}

static void set_flags(struct wire_target *target, uint32_t flags)
{
	__atomic_store_n(&target->flags, flags, __ATOMIC_SEQ_CST);
}

static void next_generation(struct tripwire *t)
{
	(void)__atomic_add_fetch(&t->shared->generation, 1, __ATOMIC_SEQ_CST);
}

static int insert(struct tripwire *t, struct wire_target *target, uint64_t cgroup_id)
{
	const __u32 place = (__u32)(target - t->shared->target);
	const __u64 key = cgroup_id;

	memset(target, 0, sizeof(*target));
	target->cgroup_id = cgroup_id;
	target->notice_pages = UINT64_MAX;
	t->shared->targets++;
	if (bpf_map_update_elem(t->load.index_fd, &key, &place, BPF_ANY) != 0) {
		int r = -errno;

		target->cgroup_id = 0;
		t->shared->targets--;
		return r;
	}
	next_generation(t);
	return 0;
}

int tripwire_add(struct tripwire *t, uint64_t cgroup_id, uint64_t threshold_bytes,
	uint64_t reclaim_bytes, uint32_t flags)
{
	struct wire_target *target;
	int r;

	if (!tripwire_can(t, flags))
		return TRIPWIRE_NO_HOOK;
	target = find(t, cgroup_id);
	if (!target) {
		target = find(t, 0);
		if (!target)
			return TRIPWIRE_FULL;
		r = insert(t, target, cgroup_id);
		if (r != 0)
			return r;
	}
	__atomic_store_n(
		&target->threshold_pages, threshold_bytes / t->page_bytes, __ATOMIC_SEQ_CST);
	__atomic_store_n(&target->reclaim_pages, reclaim_bytes / t->page_bytes, __ATOMIC_SEQ_CST);
	set_flags(target, (flags & ~WIRE_ARMED) | (target->flags & WIRE_ARMED));
	return attach_for(t, target->flags);
}

void tripwire_forget(struct tripwire *t, uint64_t cgroup_id)
{
	const struct wire_target *target = find(t, cgroup_id);

	for (uint32_t i = 0; target && i < WIRE_STOPS_MAX; i++) {
		struct wire_stop *stop = &t->shared->stop[i];

		if (!__atomic_load_n(&stop->state, __ATOMIC_ACQUIRE) ||
			&t->shared->target[stop->target & (WIRE_TARGETS_MAX - 1)] != target)
			continue;
		__atomic_store_n(&stop->state, 0, __ATOMIC_SEQ_CST);
		__atomic_store_n(&stop->key, 0, __ATOMIC_SEQ_CST);
	}
}

int tripwire_remove(struct tripwire *t, uint64_t cgroup_id)
{
	struct wire_target *target = find(t, cgroup_id);
	const __u64 key = cgroup_id;

	if (!target || !cgroup_id)
		return TRIPWIRE_UNKNOWN;
	set_flags(target, 0);
	/* It can only be missing, and then that is well. */
	(void)bpf_map_delete_elem(t->load.index_fd, &key);
	tripwire_forget(t, cgroup_id);
	target->cgroup_id = 0;
	t->shared->targets--;
	next_generation(t);
	return 0;
}

int tripwire_prepare(struct tripwire *t, uint64_t cgroup_id)
{
	const struct wire_target *target = find(t, cgroup_id);

	if (!target || !cgroup_id)
		return TRIPWIRE_UNKNOWN;
	return attach_for(t, target->flags | WIRE_ARMED);
}

int tripwire_arm(struct tripwire *t, uint64_t cgroup_id)
{
	struct wire_target *target = find(t, cgroup_id);
	int r;

	if (!target || !cgroup_id)
		return TRIPWIRE_UNKNOWN;
	tripwire_forget(t, cgroup_id);
	__atomic_store_n(&target->told, 0, __ATOMIC_SEQ_CST);
	set_flags(target, target->flags | WIRE_ARMED);
	r = attach_for(t, target->flags);
	if (r != 0)
		set_flags(target, target->flags & ~WIRE_ARMED);
	return r;
}

int tripwire_disarm(struct tripwire *t, uint64_t cgroup_id)
{
	struct wire_target *target = find(t, cgroup_id);

	if (!target || !cgroup_id)
		return TRIPWIRE_UNKNOWN;
	set_flags(target, target->flags & ~WIRE_ARMED);
	return 0;
}

int tripwire_notice(struct tripwire *t, uint64_t cgroup_id, uint64_t charged_bytes)
{
	struct wire_target *target = find(t, cgroup_id);
	uint64_t pages = charged_bytes == UINT64_MAX ? UINT64_MAX : charged_bytes / t->page_bytes;

	if (!target || !cgroup_id)
		return TRIPWIRE_UNKNOWN;
	__atomic_store_n(&target->notice_pages, pages, __ATOMIC_SEQ_CST);
	__atomic_store_n(&target->told, 0, __ATOMIC_SEQ_CST);
	return 0;
}

bool tripwire_is_armed(const struct tripwire *t, uint64_t cgroup_id)
{
	const struct wire_target *target = find(t, cgroup_id);

	return target && cgroup_id && (target->flags & WIRE_ARMED);
}

/* --- undoing ---------------------------------------------------------------------------------- */

void tripwire_shut(struct tripwire *t)
{
	__atomic_store_n(&t->shared->closed, 1, __ATOMIC_SEQ_CST);
}

static int continue_process(const struct tripwire *t, const struct wire_stop *stop)
{
	_cleanup_close_ int fd = -1;
	int r = process_open((pid_t)stop->tgid, ticks_of(t, stop->start_boottime_ns), &fd);

	if (r == 0)
		r = process_signal(fd, SIGCONT);
	return r;
}

/* Of one target, or of all where it is NULL. How many could not be continued. */
static uint32_t continue_all(
	struct tripwire *t, const struct wire_target *target, uint32_t *ret_done)
{
	uint32_t left = 0, done = 0;

	for (uint32_t i = 0; i < WIRE_STOPS_MAX; i++) {
		struct wire_stop *stop = &t->shared->stop[i];
		int r;

		if (!__atomic_load_n(&stop->state, __ATOMIC_ACQUIRE) ||
			(target &&
				&t->shared->target[stop->target & (WIRE_TARGETS_MAX - 1)] !=
					target))
			continue;
		r = continue_process(t, stop);
		if (r < 0) {
			left++;
			continue;
		}
		if (r == 0)
			done++;
		__atomic_store_n(&stop->state, 0, __ATOMIC_SEQ_CST);
		__atomic_store_n(&stop->key, 0, __ATOMIC_SEQ_CST);
	}
	*ret_done = done;
	return left;
}

uint32_t tripwire_continue(struct tripwire *t, uint64_t cgroup_id)
{
	const struct wire_target *target = cgroup_id ? find(t, cgroup_id) : NULL;
	uint32_t done;

	return target ? continue_all(t, target, &done) : 0;
}

bool tripwire_has_stopped(const struct tripwire *t, pid_t pid, uint64_t start_time_ticks)
{
	for (uint32_t i = 0; i < WIRE_STOPS_MAX; i++) {
		const struct wire_stop *stop = &t->shared->stop[i];

		if (__atomic_load_n(&stop->state, __ATOMIC_ACQUIRE) &&
			stop->tgid == (uint32_t)pid &&
			ticks_of(t, stop->start_boottime_ns) == start_time_ticks)
			return true;
	}
	return false;
}

uint32_t tripwire_undo(struct tripwire *t, uint32_t *ret_done)
{
	return continue_all(t, /* target= */ NULL, ret_done);
}

/* --- figures ---------------------------------------------------------------------------------- */

static uint64_t dropped(const struct tripwire *t, enum wire_drop why)
{
	return __atomic_load_n(&t->shared->drops[why], __ATOMIC_RELAXED);
}

void tripwire_count(const struct tripwire *t, struct tripwire_counters *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (uint32_t i = 0; i < WIRE_TARGETS_MAX; i++) {
		ret->stops += __atomic_load_n(&t->shared->target[i].stops, __ATOMIC_RELAXED);
		ret->repeats += __atomic_load_n(&t->shared->target[i].repeats, __ATOMIC_RELAXED);
	}
	ret->records_lost = dropped(t, WIRE_DROP_RING_FULL);
	ret->no_place = dropped(t, WIRE_DROP_TABLE_FULL);
	ret->unseen = dropped(t, WIRE_DROP_UNSEEN);
	ret->signal_busy = dropped(t, WIRE_DROP_BUSY);
	ret->signal_refused = dropped(t, WIRE_DROP_REFUSED);
	ret->after_end = dropped(t, WIRE_DROP_CLOSED);
}

const char *tripwire_event_kind_name(enum tripwire_event_kind v)
{
	static const char *const names[] = {
		[TRIPWIRE_STOPPED] = "stopped",
		[TRIPWIRE_REACHED] = "reached",
		[TRIPWIRE_VICTIM] = "victim",
		[TRIPWIRE_FORKED] = "forked",
		[TRIPWIRE_EXECED] = "execed",
		[TRIPWIRE_MOVED] = "moved",
	};

	return v >= TRIPWIRE_STOPPED && v <= TRIPWIRE_MOVED ? names[v] : "?";
}
