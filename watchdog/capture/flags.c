// SPDX-License-Identifier: Apache-2.0
/*
 * VmFlags of the mappings, read while the copy workers already run.
 *
 * madvise(MADV_DONTDUMP) is a program's promise to its users that a secret stays out of cores, and
 * it is kept exactly: the flags are read while every thread stands still, and no byte of a mapping
 * is copied before its flags are known. The only place that tells them is the VmFlags line of
 * smaps, for which the kernel walks the page tables of every mapping: 4 us a mapping and 12 ms a
 * GiB, measured, against half a microsecond a mapping for maps (and PROCMAP_QUERY, which does not
 * tell them). So the layout gives every mapping room first, the workers begin with what is known,
 * and the room of what must stay out is taken back by patching one program header.
 *
 * What smaps says of pages that others have mapped as well spares the workers a look at every page
 * before they read it (pages_note_forked()), and whether all of a mapping is there is all that is
 * known of its pages without a pagemap.
 *
 * So is what of shared memory is in swap, which the workers need to know before they read it.
 *
 * Device memory shows here, too (io, pf): it is never read, as that can have effects.
 *
 * Reading ends behind the last mapping that has room in the file. Where smaps cannot be opened at
 * all (a kernel without CONFIG_PROC_PAGE_MONITOR), the flags cannot be known by anybody but the
 * kernel itself, and the core would be empty: then everything is taken, and the caller is told
 * -ENOENT.
 */
#include <errno.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "capture/flags.h"
#include "capture/head.h"
#include "capture/writer.h"
#include "os/clock.h"
#include "os/lines.h"
#include "os/proc.h"
#include "parse/maps.h"

/*
 * Between two words to the writer: as much as a worker takes at once (queue.c), so that it copies
 * many small mappings together; a larger mapping is announced by itself.
 */
#define ANNOUNCE_BYTES (1ULL << 20)
#define ANNOUNCE_MAPPINGS 256
#define SHARED_LINES 3 /* of a mapping that tell what other processes have mapped, too */

struct reader {
	struct capture_plan *plan;
	struct capture_writer *writer;
	int fd;
	uint32_t region;  /* the next one whose flags are not known */
	uint32_t segment; /* the first one of it */
	uint32_t last;	  /* regions from here on have no room in the file */
	uint32_t unannounced;
	uint64_t unannounced_bytes;
	uint64_t dontdump_bytes;
	uint64_t unknown_bytes;
	uint64_t here_bytes;   /* Rss and Swap of the mapping that is being read */
	uint64_t mapped_bytes; /* its Rss */
	uint64_t own_bytes;    /* Anonymous and Swap: not the file's */
	uint64_t shared_bytes; /* Shared_Clean, Shared_Dirty and Shared_Hugetlb */
	uint32_t shared_lines; /* of these, seen */
};

/* Takes the room of the region's segments; adds how much it was to *bytes. */
static void leave_out(struct reader *r, uint64_t *bytes)
{
	struct capture_plan *plan = r->plan;

	(void)atomic_fetch_or(&plan->regions[r->region].flags, REGION_LEFT_OUT);
	for (uint32_t i = r->segment;
		i < plan->segment_count && plan->segments[i].region == r->region; i++) {
		if (!plan->segments[i].file_bytes)
			continue;
		*bytes += plan->segments[i].file_bytes;
		head_cut_segment(plan, r->fd, i, 0);
	}
}

static void next_region(struct reader *r)
{
	struct capture_plan *plan = r->plan;

	while (r->segment < plan->segment_count && plan->segments[r->segment].region <= r->region)
		r->segment++;
	r->unannounced_bytes += plan->regions[r->region].end - plan->regions[r->region].start;
	r->region++;
	r->unannounced++;
	if ((r->unannounced >= ANNOUNCE_MAPPINGS || r->unannounced_bytes >= ANNOUNCE_BYTES) &&
		r->region < plan->region_count) {
		writer_known(r->writer, plan->regions[r->region].start);
		r->unannounced = 0;
		r->unannounced_bytes = 0;
	}
}

/* Regions in front of address were not in smaps: their flags are not known. */
static void skip_to(struct reader *r, uint64_t address)
{
	while (r->region < r->plan->region_count && r->plan->regions[r->region].start < address) {
		leave_out(r, &r->unknown_bytes);
		next_region(r);
	}
}

/* A clean mapping of a file: of its beginning the first page stays, for the ELF header. */
static void leave_file_out(struct reader *r)
{
	struct capture_plan *plan = r->plan;
	struct segment *s = &plan->segments[r->segment];
	uint64_t ignored = 0;

	if (plan->regions[r->region].offset_bytes || s->region != r->region)
		leave_out(r, &ignored);
	else if (s->file_bytes > plan->pages.page_bytes)
		head_cut_segment(plan, r->fd, r->segment, plan->pages.page_bytes);
}

/*
 * Without a pagemap, a mapping without pages is not read at all, and one with few of them only as
 * long as that does not make page tables without end.
 */
static void on_blind(struct reader *r)
{
	const struct region *region = &r->plan->regions[r->region];
	uint64_t bytes = region->end - region->start;
	uint64_t empty_bytes = 0;

	if (region->source == REGION_OVERLAY && !(region->prot & MAPS_WRITE) && !r->own_bytes)
		leave_file_out(r);
	if (region->source != REGION_PAGES)
		return;
	if (!r->here_bytes)
		leave_out(r, &empty_bytes);
	else if (bytes - min_u64(bytes, r->here_bytes) > PLAN_BLIND_WASTE_BYTES)
		leave_out(r, &r->unknown_bytes);
}

static void on_flags(struct reader *r, uint64_t start, uint32_t flags, bool all_pages)
{
	struct region *region;
	uint64_t device_bytes = 0;

	skip_to(r, start);
	if (r->region == r->plan->region_count)
		return;
	region = &r->plan->regions[r->region];
	if (region->start != start) /* [vsyscall], or a mapping beyond our table */
		return;
	if (r->shared_lines == SHARED_LINES && !r->shared_bytes)
		(void)atomic_fetch_or(&region->flags, REGION_UNSHARED);
	if (r->mapped_bytes == region->end - region->start)
		(void)atomic_fetch_or(&region->flags, REGION_MAPPED);
	/* The kernel dumps its own code page whatever its flags say. */
	if (region->source != REGION_WHOLE && region->source != REGION_NOTHING) {
		if (flags & (MAPS_VM_IO | MAPS_VM_PFNMAP))
			leave_out(r, &device_bytes);
		else if (flags & MAPS_VM_DONTDUMP && !all_pages)
			leave_out(r, &r->dontdump_bytes);
		else if (r->plan->pages.method == PAGES_BLIND)
			on_blind(r);
	}
	/* Page tables do not tell: a page of an object that is in swap is in none. */
	if (region->source == REGION_OBJECT && !(region->flags & REGION_LEFT_OUT) &&
		r->here_bytes > r->mapped_bytes) {
		(void)atomic_fetch_or(&region->flags, REGION_SWAPPED);
		r->plan->object_swap_bytes += r->here_bytes - r->mapped_bytes;
	}
	/* Populated and protected: there, and not to be had without /proc/PID/mem. */
	if (r->plan->pages.method == PAGES_BLIND && !region->inode && !(region->prot & MAPS_READ) &&
		!(flags & MAPS_VM_DONTDUMP))
		r->unknown_bytes += r->own_bytes;
	next_region(r);
}

static uint32_t end_of_room(const struct capture_plan *plan)
{
	if (plan->pages.method == PAGES_BLIND)
		return plan->region_count;
	for (uint32_t i = plan->segment_count; i > 0; i--)
		if (plan->segments[i - 1].file_bytes)
			return plan->segments[i - 1].region + 1;
	return 0;
}

/* A line that is not VmFlags: keys begin with a capital, mappings with an address. */
static void on_line(struct reader *r, const char *line, size_t len, struct maps_entry *entry)
{
	uint64_t bytes;

	if (line[0] >= 'A' && line[0] <= 'Z') {
		bool swap = maps_size(line, len, "Swap", &bytes);

		bool rss = !swap && maps_size(line, len, "Rss", &bytes);

		if (rss)
			r->mapped_bytes = bytes;
		if (swap || rss)
			r->here_bytes += bytes;
		if (swap || maps_size(line, len, "Anonymous", &bytes))
			r->own_bytes += bytes;
		if (maps_size(line, len, "Shared_Clean", &bytes) ||
			maps_size(line, len, "Shared_Dirty", &bytes) ||
			maps_size(line, len, "Shared_Hugetlb", &bytes)) {
			r->shared_bytes += bytes;
			r->shared_lines++;
		}
		return;
	}
	r->here_bytes = r->mapped_bytes = r->own_bytes = r->shared_bytes = 0;
	r->shared_lines = 0;
	(void)maps_line(line, len, entry); /* else: stays what it was, and matches nothing */
}

static int read_all(struct reader *r, int smaps_fd, bool all_pages, uint64_t stop_ns)
{
	struct maps_entry entry = {.start = 0};
	struct lines lines;
	const char *line;
	size_t len;

	lines_init(&lines, smaps_fd, r->plan->text, PLAN_TEXT_BYTES);
	while (r->region < r->last && lines_next(&lines, &line, &len)) {
		uint32_t flags;

		if (!len)
			continue;
		if (line[0] != 'V') {
			on_line(r, line, len, &entry);
			continue;
		}
		if (!maps_vmflags(line, len, &flags))
			continue;
		on_flags(r, entry.start, flags, all_pages);
		if (clock_now_ns() >= stop_ns)
			return -ETIME;
	}
	return lines.error;
}

int flags_read(struct capture_plan *plan, struct capture_writer *writer, int fd, bool all_pages,
	uint64_t stop_ns, uint64_t *ret_dontdump_bytes, uint64_t *ret_unknown_bytes)
{
	struct reader r = {.plan = plan, .writer = writer, .fd = fd, .last = end_of_room(plan)};
	_cleanup_close_ int smaps_fd = -1;
	int error = proc_open_file(plan->mm_fd, "smaps", &smaps_fd);

	if (error == PROC_GONE) {
		error = -ENOENT; /* a kernel without it: everything is taken */
	} else if (error) {
		skip_to(&r, UINT64_MAX); /* what is to be left out is not known */
		error = error > 0 ? -EACCES : error;
	} else {
		error = read_all(&r, smaps_fd, all_pages, stop_ns);
		skip_to(&r, UINT64_MAX);
	}
	*ret_dontdump_bytes = r.dontdump_bytes;
	*ret_unknown_bytes = r.unknown_bytes;
	return error;
}
