// SPDX-License-Identifier: Apache-2.0
/*
 * Planning a core: from a stopped process to tables of threads, regions and segments.
 *
 * maps is read once (0.5 us a mapping) and each line judged by region.c. Two questions are asked of
 * the page tables on the way, many mappings at a time (look.c): has a private mapping of a file
 * pages of its own, and has an anonymous mapping any page at all. A mapping without pages takes no
 * room in the file. One larger than PLAN_HOLE_BYTES is split where so much is empty: a
 * reservation of 64 TiB with three pages becomes three segments with room and four without.
 *
 * MADV_DONTDUMP is not in maps, and smaps, which has it, costs a walk over all page tables (12 ms
 * a GiB, measured; maps: half a millisecond per 1,000 mappings). It is read while the copy already
 * runs: see flags.c.
 *
 * When the main thread has exited its directory in /proc shows no memory, and that of a thread that
 * stands is taken instead.
 *
 * Limits: the tables are as large as struct capture_limits said at start; what is beyond them is
 * counted. The parent's pid in a nested pid namespace is not known and given as 0.
 */
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/sort.h"
#include "capture/plan.h"
#include "capture/reader.h"
#include "os/lines.h"
#include "os/proc.h"
#include "os/registers.h"

/* --- tables -------------------------------------------------------------------------------- */

#define TABLE_ALIGN 64U
#define TOUCH_NAME_BYTES 64U /* a mapping: most have no name, or share one */

static size_t padded(size_t bytes)
{
	return (bytes + TABLE_ALIGN - 1) / TABLE_ALIGN * TABLE_ALIGN;
}

/* The next table, and touches its first bytes. */
static void *take(unsigned char **at, size_t bytes, size_t touched)
{
	void *table = *at;

	memset(table, 0, touched < bytes ? touched : bytes);
	*at += padded(bytes);
	return table;
}

int plan_new(const struct capture_limits *limits, struct capture_plan **ret)
{
	struct capture_plan *plan = calloc(1, sizeof(*plan));
	size_t threads = limits->max_threads;
	size_t regions = limits->max_mappings;
	size_t segments = regions + PLAN_SPLITS_MAX;
	unsigned char *at;

	if (!plan)
		return -ENOMEM;
	plan->memory_bytes = padded(threads * sizeof(*plan->threads)) +
		padded(threads * sizeof(*plan->ns_tids)) +
		padded(threads * sizeof(*plan->stack_pointers)) +
		padded(threads * arch_regset_varying * sizeof(*plan->varying)) +
		padded(regions * sizeof(*plan->regions)) +
		padded(segments * sizeof(*plan->segments)) +
		padded(segments * sizeof(*plan->order)) + padded(PLAN_NAMES_BYTES) +
		padded(PLAN_TEXT_BYTES) + padded(PLAN_NOTES_BYTES) + padded(ARCH_REGSET_MAX_BYTES) +
		padded(PTRACE_BITMAP_BYTES);
	plan->memory = mmap(NULL, plan->memory_bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (plan->memory == MAP_FAILED) {
		free(plan);
		return -ENOMEM;
	}
	at = plan->memory;
	plan->max_threads = limits->max_threads;
	plan->max_regions = limits->max_mappings;
	plan->max_segments = (uint32_t)segments;
#define TAKE(table, count, touched) \
	((table) = take(&at, (count) * sizeof(*(table)), (touched) * sizeof(*(table))))
	TAKE(plan->threads, threads, limits->touch_threads);
	TAKE(plan->ns_tids, threads, limits->touch_threads);
	TAKE(plan->stack_pointers, threads, limits->touch_threads);
	TAKE(plan->varying, threads * arch_regset_varying,
		(size_t)limits->touch_threads * arch_regset_varying);
	TAKE(plan->regions, regions, limits->touch_mappings);
	TAKE(plan->segments, segments, limits->touch_mappings);
	TAKE(plan->order, segments, limits->touch_mappings);
	TAKE(plan->names, PLAN_NAMES_BYTES, (size_t)limits->touch_mappings * TOUCH_NAME_BYTES);
	TAKE(plan->text, PLAN_TEXT_BYTES, PLAN_TEXT_BYTES);
	TAKE(plan->notes, PLAN_NOTES_BYTES, PLAN_NOTES_BYTES);
	TAKE(plan->regset, ARCH_REGSET_MAX_BYTES, ARCH_REGSET_MAX_BYTES);
#undef TAKE
	ptrace_set_init(&plan->set, plan->threads, plan->max_threads,
		take(&at, PTRACE_BITMAP_BYTES, PTRACE_BITMAP_BYTES));
	plan->proc_fd = plan->mm_fd = -1;
	plan->pages.pagemap_fd = plan->pages.mem_fd = plan->pages.map_files_fd = -1;
	*ret = plan;
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* read only: nothing to lose */
	*fd = -1;
}

void plan_close(struct capture_plan *plan)
{
	pages_close(&plan->pages);
	close_fd(&plan->mm_fd);
	close_fd(&plan->proc_fd);
}

void plan_free(struct capture_plan *plan)
{
	if (!plan)
		return;
	plan_close(plan);
	(void)munmap(plan->memory, plan->memory_bytes); /* cannot fail: it is our own */
	free(plan);
}

/* --- the process --------------------------------------------------------------------------- */

static int status_of(int r)
{
	switch (r) {
	case PROC_GONE:
		return CAPTURE_GONE;
	case PROC_DENIED:
		return CAPTURE_DENIED;
	case PROC_BAD:
		return -EPROTO;
	default:
		return r;
	}
}

int plan_open(struct capture_plan *plan, const struct capture_request *request)
{
	int r;

	plan_close(plan);
	plan->stack_pointer_count = plan->region_count = plan->regions_lost = 0;
	plan->segment_count = plan->threads_without_registers = 0;
	plan->file_count = plan->file_names_bytes = plan->blind_bytes = 0;
	plan->object_swap_bytes = 0;
	plan->names[0] = '\0';
	plan->names_len = 1;
	plan->auxv_len = 0;
	plan->cut_error = 0;
	plan->kind = request->kind;
	plan->packed = request->compress != COMPRESS_NONE;
	plan->objects_open = plan->objects_tried = plan->dotnet = false;
	memset(plan->order_first, 0, sizeof(plan->order_first));
	memset(plan->regset_len, 0, sizeof(plan->regset_len));
	memset(&plan->layout, 0, sizeof(plan->layout));
	r = proc_open(request->pid, &plan->proc_fd);
	if (r == 0)
		r = proc_stat(plan->proc_fd, 0, &plan->stat);
	if (r == 0)
		r = proc_status(plan->proc_fd, 0, &plan->status);
	if (r)
		return status_of(r);
	if (plan->status.tgid != request->pid)
		return CAPTURE_GONE; /* a thread's id: its process has another one */
	if (request->start_time && request->start_time != plan->stat.start_time_ticks)
		return CAPTURE_GONE; /* another process has this pid now */
	return 0;
}

bool plan_thread_in_core(const struct capture_plan *plan, uint32_t i)
{
	return plan->threads[i].state != PTRACE_THREAD_GONE;
}

uint32_t plan_thread_count(const struct capture_plan *plan)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < plan->set.count; i++)
		n += plan_thread_in_core(plan, i);
	return n;
}

static bool is_less(const void *a, const void *b, const void *user)
{
	(void)user;
	return *(const uint64_t *)a < *(const uint64_t *)b;
}

static bool stack_pointer(const struct capture_plan *plan, uint32_t i, uint64_t *ret)
{
	const struct ptrace_thread *t = &plan->threads[i];
	elf_gregset_t regs;
	uint64_t pc;
	size_t len;

	if (t->state == PTRACE_THREAD_STOPPED &&
		registers_get(&plan->set, i, NT_PRSTATUS, &regs, sizeof(regs), &len) == 0) {
		*ret = arch_stack_pointer(&regs);
		return true;
	}
	return proc_where(plan->proc_fd, t->tid, ret, &pc) == 0;
}

/* Sizes of the register sets that are the same for every thread. */
static int measure_regsets(struct capture_plan *plan, uint32_t thread)
{
	elf_gregset_t regs;
	size_t len;
	int r = registers_get(&plan->set, thread, NT_PRSTATUS, &regs, sizeof(regs), &len);

	if (r)
		return r;
	if (len != sizeof(regs))
		return -ENOTSUP; /* 68 bytes of a 32-bit program */
	for (size_t i = 0; i < arch_regset_count; i++)
		if (registers_get(&plan->set, thread, arch_regsets[i].type, plan->regset,
			    ARCH_REGSET_MAX_BYTES, &plan->regset_len[i]))
			plan->regset_len[i] = 0;
	return 0;
}

/* The same for those that vary, of one thread. What it does not tell has no note. */
static void measure_varying(struct capture_plan *plan, uint32_t i)
{
	uint32_t *at = plan->varying + i * arch_regset_varying;

	for (size_t k = 0; k < arch_regset_count; k++) {
		size_t len = 0;

		if (!arch_regsets[k].varies)
			continue;
		if (plan->threads[i].state != PTRACE_THREAD_STOPPED ||
			registers_get(&plan->set, i, arch_regsets[k].type, plan->regset,
				ARCH_REGSET_MAX_BYTES, &len))
			len = 0;
		*at++ = (uint32_t)arch_regset_bytes(k, plan->regset, len);
	}
}

size_t plan_regset_len(const struct capture_plan *plan, uint32_t i, size_t k)
{
	const uint32_t *at = plan->varying + i * arch_regset_varying;

	if (!arch_regsets[k].varies)
		return plan->regset_len[k];
	for (size_t before = 0; before < k; before++)
		at += arch_regsets[before].varies;
	return *at;
}

int plan_registers(struct capture_plan *plan)
{
	bool measured = false;

	for (uint32_t i = 0; i < plan->set.count; i++) {
		if (plan->threads[i].state == PTRACE_THREAD_STOPPED && !measured) {
			int r = measure_regsets(plan, i);

			if (r < 0)
				return r;
			if (r == PTRACE_GONE)
				continue;
			measured = true;
		}
		measure_varying(plan, i);
		if (plan_thread_in_core(plan, i) &&
			stack_pointer(plan, i, &plan->stack_pointers[plan->stack_pointer_count]))
			plan->stack_pointer_count++;
	}
	sort_in_place(plan->stack_pointers, plan->stack_pointer_count,
		sizeof(plan->stack_pointers[0]), is_less, NULL);
	return plan_thread_count(plan) ? 0 : CAPTURE_GONE;
}

static int32_t tid_in_namespace(const struct capture_plan *plan, pid_t tid)
{
	struct procstatus status;

	if (plan->status.ns_levels <= 1 || proc_status(plan->proc_fd, tid, &status))
		return tid;
	return status.ns_pid;
}

/* The first 79 bytes of the command line, with blanks where the arguments end, the last one too. */
static void read_args(const struct capture_plan *plan, char *ret, size_t size)
{
	size_t len;

	if (proc_read(plan->proc_fd, "cmdline", ret, size - 1, &len))
		return;
	for (size_t i = 0; i < len; i++)
		if (ret[i] == '\0')
			ret[i] = ' ';
}

/* The directory whose memory files work: the process's own, or that of a thread that stands. */
static int open_memory(struct capture_plan *plan, pid_t pid)
{
	plan->id = pid;
	if (plan->stat.state == 'Z' || (plan->set.count && !plan_thread_in_core(plan, 0)))
		for (uint32_t i = 0; i < plan->set.count; i++)
			if (plan_thread_in_core(plan, i)) {
				plan->id = plan->threads[i].tid;
				break;
			}
	return status_of(proc_open(plan->id, &plan->mm_fd));
}

int plan_process(struct capture_plan *plan, const struct capture_request *request)
{
	struct note_process *p = &plan->process;
	int r = open_memory(plan, request->pid);

	if (r)
		return r;
	r = pages_open(&plan->pages, plan->id, plan->mm_fd);
	if (r)
		return r;
	*p = (struct note_process){.pid = plan->status.ns_pid,
		.ppid = plan->status.ns_levels > 1 ? 0 : plan->stat.ppid,
		.pgrp = plan->status.ns_levels > 1 ? plan->status.ns_pgid : plan->stat.pgrp,
		.sid = plan->status.ns_levels > 1 ? plan->status.ns_sid : plan->stat.session,
		.uid = plan->status.uid,
		.gid = plan->status.gid,
		.flags = plan->stat.flags,
		.nice = (int32_t)plan->stat.nice,
		.signal = request->signal,
		.state = plan->stat.state};
	memcpy(p->comm, plan->stat.comm, sizeof(p->comm) - 1);
	read_args(plan, p->args, sizeof(p->args));
	for (uint32_t i = 0; i < plan->set.count; i++)
		plan->ns_tids[i] = tid_in_namespace(plan, plan->threads[i].tid);
	if (proc_auxv(plan->mm_fd, plan->id, plan->stat.stack_start, plan->auxv, sizeof(plan->auxv),
		    &plan->auxv_len))
		plan->auxv_len = 0; /* the core is worse without and still worth having */
	return 0;
}

/* --- names --------------------------------------------------------------------------------- */

const char *plan_name(const struct capture_plan *plan, const struct region *region)
{
	return plan->names + region->name;
}

static uint32_t store_name(struct capture_plan *plan, const struct maps_entry *e)
{
	const struct region *before =
		plan->region_count ? &plan->regions[plan->region_count - 1] : NULL;
	size_t len = e->name_len + (e->deleted ? sizeof(" (deleted)") - 1 : 0);
	uint32_t at = plan->names_len;

	if (before && before->name && before->inode == e->inode && before->major == e->major &&
		before->minor == e->minor)
		return before->name; /* the segments of one library follow each other */
	if (!len || len + 1 > PLAN_NAMES_BYTES - at)
		return 0;
	/* " (deleted)" stands behind the name in the same line, and in the kernel's NT_FILE. */
	plan->names_len += (uint32_t)maps_name(e->name, len, plan->names + at, len + 1) + 1;
	return at;
}

/* --- segments ------------------------------------------------------------------------------ */

/* bytes of room for [from, to), or none. Merges with its neighbour where the table is full. */
static void add_segment(struct capture_plan *plan, uint64_t from, uint64_t to, bool room)
{
	uint32_t region = plan->region_count;
	struct segment *s;

	if (from == to)
		return;
	s = plan->segment_count ? &plan->segments[plan->segment_count - 1] : NULL;
	/* Every region to come must find its one entry. */
	if (plan->max_segments - plan->segment_count <= plan->max_regions - region && s &&
		s->region == region && s->start + s->mem_bytes == from) {
		if (room)
			s->file_bytes = s->mem_bytes + (to - from);
		s->mem_bytes += to - from;
		return;
	}
	// NOLINTNEXTLINE(clang-analyzer-core*): the table is there before the first mapping
	plan->segments[plan->segment_count++] = (struct segment){.start = from,
		.mem_bytes = to - from,
		.file_bytes = room ? to - from : 0,
		.region = region,
		.prot = plan->regions[region].prot,
		.rank = plan->rank};
}

/* [from, to), with no room for empty stretches of PLAN_HOLE_BYTES, nor for the whole if empty. */
static int add_pages(struct capture_plan *plan, uint64_t from, uint64_t to)
{
	uint64_t at = from;

	while (at < to) {
		uint64_t full;
		uint64_t next;
		int r = look_next(&plan->look, at, to, PAGES_NEXT_ANY, &next);

		if (r)
			return r;
		if (next == to && at == from) {
			add_segment(plan, from, to, /* room= */ false);
			return 0;
		}
		if (next - at >= PLAN_HOLE_BYTES) {
			add_segment(plan, at, next, /* room= */ false);
			at = next;
			continue;
		}
		/* Filled as far as we care; where it is not, that costs a hole in the file. */
		full = at;
		while (next < to && next - full < PLAN_HOLE_BYTES) {
			full = min_u64(to, next + PLAN_HOLE_BYTES);
			r = look_next(&plan->look, full, to, PAGES_NEXT_ANY, &next);
			if (r)
				return r;
		}
		if (next - full < PLAN_HOLE_BYTES)
			full = to;
		add_segment(plan, at, full, /* room= */ true);
		at = full;
	}
	return 0;
}

#define RED_ZONE_BYTES 256U /* below the stack pointer; the x86-64 ABI says 128 */
#define MINI_STACK_BYTES (8ULL << 20)

/* Index of the first stack pointer at or above address. */
static uint32_t first_stack_pointer(const struct capture_plan *plan, uint64_t address)
{
	uint32_t low = 0;
	uint32_t high = plan->stack_pointer_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (plan->stack_pointers[middle] < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool holds_stack_pointer(const struct capture_plan *plan, uint64_t start, uint64_t end)
{
	uint32_t i = first_stack_pointer(plan, start);

	return i < plan->stack_pointer_count && plan->stack_pointers[i] < end;
}

/* For mini: of a mapping with stacks only what lies above the stack pointers. */
static int add_stacks(struct capture_plan *plan, uint64_t from, uint64_t to)
{
	uint64_t page = plan->pages.page_bytes;
	uint64_t at = from;

	for (uint32_t i = first_stack_pointer(plan, from);
		i < plan->stack_pointer_count && plan->stack_pointers[i] < to; i++) {
		uint64_t low = sub_floor(plan->stack_pointers[i], RED_ZONE_BYTES) / page * page;
		uint64_t high = min_u64(to, low + MINI_STACK_BYTES);
		int r;

		low = max_u64(low, at);
		if (low >= high)
			continue;
		add_segment(plan, at, low, /* room= */ false);
		r = add_pages(plan, low, high);
		if (r)
			return r;
		at = high;
	}
	add_segment(plan, at, to, /* room= */ false);
	return 0;
}

static int add_choice(struct capture_plan *plan, const struct region *region,
	const struct region_choice *c, bool has_sp)
{
	int r = 0;

	add_segment(plan, region->start, c->from, /* room= */ false);
	if (c->source == REGION_PAGES && plan->kind == CAPTURE_MINI && has_sp)
		r = add_stacks(plan, c->from, c->to);
	else if (c->source == REGION_PAGES)
		r = add_pages(plan, c->from, c->to);
	else
		add_segment(plan, c->from, c->to, /* room= */ c->source != REGION_NOTHING);
	add_segment(plan, c->to, region->end, /* room= */ false);
	return r;
}

/* --- mappings ------------------------------------------------------------------------------ */

/*
 * Without a pagemap every page of a mapping is read. What the program may not read, we cannot
 * either without /proc/PID/mem; and a reservation of terabytes has no end.
 */
static void choose_blind(
	struct capture_plan *plan, const struct maps_entry *e, struct region_choice *choice)
{
	bool endless = choice->to - choice->from > PLAN_BLIND_BYTES;

	if (e->prot & MAPS_READ && !endless)
		return;
	if (e->prot & MAPS_READ)
		plan->blind_bytes += choice->to - choice->from;
	*choice =
		(struct region_choice){.source = REGION_NOTHING, .from = e->start, .to = e->start};
}

/*
 * A compressed core is written front to back, so what has swapped pages comes behind what has none.
 * Also finds out, with the first one, whether memory objects can be opened.
 */
static int rank_region(struct capture_plan *plan, const struct region *r)
{
	uint64_t swapped = r->end;
	int error = 0;

	if (plan->packed && plan->status.swap_bytes && plan->pages.method != PAGES_BLIND &&
		(r->source == REGION_PAGES || r->source == REGION_OVERLAY))
		error = look_next(&plan->look, r->start, r->end, PAGES_NEXT_SWAPPED, &swapped);
	plan->rank = (uint8_t)order_rank_of(r, swapped < r->end);
	if (r->source == REGION_OBJECT && !plan->objects_tried) {
		const struct file_identity identity = {
			.inode = r->inode, .major = r->major, .minor = r->minor};
		_cleanup_close_ int fd = -1;

		plan->objects_tried = true;
		plan->objects_open = pages_open_file(&plan->pages, r->start, r->end,
					     plan_name(plan, r), &identity, &fd) == 0;
	}
	return error;
}

static int add_mapping(struct capture_plan *plan, const struct maps_entry *e)
{
	struct region *region = &plan->regions[plan->region_count];
	struct region_facts facts = {
		.entry = e, .has_sp = holds_stack_pointer(plan, e->start, e->end)};
	struct region_choice choice;
	uint64_t anon;
	int r;

	if (!region_listed(e))
		return 0;
	if (plan->region_count == plan->max_regions) {
		plan->regions_lost++;
		return 0;
	}
	if (region_wants_anon(e) && plan->pages.method == PAGES_BLIND) {
		facts.has_anon = true; /* until smaps says otherwise: flags.c */
	} else if (region_wants_anon(e)) {
		r = look_next(&plan->look, e->start, e->end, PAGES_NEXT_OWN, &anon);
		if (r)
			return r;
		facts.has_anon = anon < e->end;
	}
	if (region_wants_file(e))
		facts.sees_file = pages_sees_file(&plan->pages, e->start, e->end);
	region_choose(&facts, plan->kind, plan->pages.page_bytes, &choice);
	if (plan->pages.method == PAGES_BLIND)
		choose_blind(plan, e, &choice);
	*region = (struct region){.start = e->start,
		.end = e->end,
		.offset_bytes = e->offset_bytes,
		.inode = e->inode,
		.major = e->major,
		.minor = e->minor,
		.name = store_name(plan, e),
		.prot = (uint8_t)e->prot,
		.class = (uint8_t)choice.class,
		.source = (uint8_t)choice.source};
	plan->dotnet |= reader_is_dotnet(e);
	if (region_is_sysv(e))
		region->flags |= REGION_SYSV;
	if (reader_wants(e))
		region->flags |= REGION_READER;
	if (region_has_file(e) && region->name) {
		region->flags |= REGION_HAS_FILE;
		plan->file_count++;
		plan->file_names_bytes += strlen(plan_name(plan, region)) + 1;
	}
	r = rank_region(plan, region);
	if (r == 0)
		r = add_choice(plan, region, &choice, facts.has_sp);
	plan->region_count++;
	return r;
}

/* --- for the reader ------------------------------------------------------------------------ */

/* The mapping that the program's own headers are in, or NULL where nothing tells. */
static const struct region *program_region(const struct capture_plan *plan)
{
	uint64_t pair[2];

	for (size_t at = 0; at + sizeof(pair) <= plan->auxv_len; at += sizeof(pair)) {
		memcpy(pair, plan->auxv + at, sizeof(pair));
		if (pair[0] != AT_PHDR)
			continue;
		for (uint32_t i = 0; i < plan->region_count; i++)
			if (plan->regions[i].start <= pair[1] && pair[1] < plan->regions[i].end)
				return plan->regions[i].flags & REGION_HAS_FILE ? &plan->regions[i]
										: NULL;
	}
	return NULL;
}

/* Gives room to what was left out before it was known which runtime this is. */
static void add_for_reader(struct capture_plan *plan)
{
	const struct region *program = program_region(plan);

	for (uint32_t i = 0; i < plan->segment_count; i++) {
		struct segment *s = &plan->segments[i];
		struct region *r = &plan->regions[s->region];

		if (s->file_bytes == s->mem_bytes || !reader_takes(r, program))
			continue;
		if (r->source == REGION_NOTHING)
			r->class = REGION_FILE;
		r->source = REGION_OVERLAY;
		s->file_bytes = s->mem_bytes;
		s->rank = REGION_FILE;
	}
}

int plan_mappings(struct capture_plan *plan, enum capture_kind kind)
{
	_cleanup_close_ int fd = -1;
	struct lines lines;
	const char *line;
	size_t len;
	int r = proc_open_file(plan->mm_fd, "maps", &fd);

	plan->kind = kind;
	if (r)
		return status_of(r);
	look_init(&plan->look, &plan->pages);
	lines_init(&lines, fd, plan->text, PLAN_TEXT_BYTES);
	while (lines_next(&lines, &line, &len)) {
		struct maps_entry entry;

		if (!maps_line(line, len, &entry))
			return -EPROTO;
		r = add_mapping(plan, &entry);
		if (r)
			return r == -ESRCH ? CAPTURE_GONE : r;
	}
	if (lines.error)
		return lines.error == -ESRCH ? CAPTURE_GONE : lines.error;
	if (plan->dotnet && kind != CAPTURE_MINI)
		add_for_reader(plan);
	return plan->region_count ? 0 : CAPTURE_GONE;
}
