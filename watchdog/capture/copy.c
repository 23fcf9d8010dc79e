// SPDX-License-Identifier: Apache-2.0
/*
 * Copying memory of a stopped process into its core.
 *
 * A unit is a stretch of one segment, or of several small ones that follow each other in memory as
 * in the file, so that 65,000 mappings of one page do not cost three calls each. Its pages are
 * listed (pages.c), read in batches of up to one buffer with a single process_vm_readv over many
 * runs, tested for zeros, and written where the layout says. Nothing is read that was not listed,
 * so no page comes to be in the target:
 *   REGION_PAGES    what exists; the rest stays a hole of the file and reads as zeros
 *   REGION_OVERLAY  a private mapping of a file: what exists, and the file's own bytes, read from
 *                   the file, where the program has touched nothing; that is what the program would
 *                   have read there
 *   REGION_OBJECT   shared memory, read through a descriptor of the object along its data extents;
 *                   reading it through the mapping would fill its holes, charged to the target.
 *                   Where it may not be opened, the pages that somebody has mapped (peers.c)
 *   REGION_WHOLE    the kernel's own code page
 *
 * A present page of zeros is not written when it has SPARSE_BYTES of company or is all there is of
 * its run: the file reads the same, shorter on disk. A page that cannot be read is tried once more
 * through /proc/PID/mem, then left a hole and counted; the pages behind it are still taken (guard
 * pages make reads end early in the middle of a mapping).
 *
 * Swapped pages are left for a second round, which comes last: reading them brings them back into
 * memory that the target may not have. A compressed core is written in order and knows one round
 * only; there they lie behind everything else (order.h), but for those of memory objects.
 *
 * Pieces and batches are not rounded to places in the file. Where they are, each write is one large
 * folio of the page cache, a tenth less work on paper; but in a virtual machine that tells its host
 * which memory is free the largest blocks are those that the host has taken back, and a 2 GiB core
 * took four times as long (1.7 s and 0.4).
 *
 * For a compressed core the bytes are gathered in an image of the piece of the core that the caller
 * will pack, holes as the zeros that it came with.
 *
 * Refuses: mappings without PROT_READ, unless it runs on the tracer thread. Limits: what lies
 * behind the end of a file is a hole, as it is a SIGBUS for the program. What a private mapping
 * shows of a file in memory (tmpfs) is read from swap when its turn comes.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fault.h"
#include "capture/copy.h"

#define READ_BATCH_MAX 64U
#define SPARSE_BYTES (64ULL << 10) /* a shorter hole costs more extents than it saves */

void copy_init(struct copier *c, struct direct *direct, unsigned char *buffer, size_t buffer_bytes)
{
	memset(c, 0, sizeof(*c));
	c->direct = direct;
	c->buffer = buffer;
	c->buffer_bytes = buffer_bytes;
	c->file_fd = -1;
	c->file_region = UINT32_MAX;
}

static void forget_file(struct copier *c)
{
	if (c->file_fd >= 0)
		(void)close(c->file_fd); /* read only */
	c->file_fd = -1;
	c->file_region = UINT32_MAX;
}

static bool stopping(const struct copier *c)
{
	return atomic_load(&c->job->stop) != 0;
}

static void on_refused(void *user, const unsigned char *bytes, size_t len, uint64_t offset)
{
	struct copier *c = user;
	int r;

	if (stopping(c)) { /* the file may be another one by now, as in write_out() */
		c->failed_from = min_u64(c->failed_from, offset);
		return;
	}
	r = sink_put(c->job->sink, &c->window, bytes, len, offset);
	if (r)
		c->failed_from = min_u64(c->failed_from, offset);
	(void)copy_wrote(c, r);
}

/* A buffer that nothing is written from any more. */
static unsigned char *next_buffer(struct copier *c)
{
	if (c->direct)
		c->buffer = direct_buffer(c->direct);
	return c->buffer;
}

void copy_begin(struct copier *c, struct copy_job *job, bool protected)
{
	c->job = job;
	c->tally = &job->tally;
	c->failed_from = UINT64_MAX;
	if (c->direct)
		direct_begin(c->direct, job->sink->direct_fd, on_refused, c);
	(void)next_buffer(c);
	c->protected = protected;
	c->image = NULL;
	sink_window_init(&c->window);
}

void copy_end(struct copier *c)
{
	forget_file(c);
	peers_close(&c->peers);
	if (c->direct)
		direct_drain(c->direct);
	sink_window_close(c->job->sink, &c->window);
}

static bool stop(struct copier *c, unsigned int missing, int error)
{
	int none = 0;

	(void)atomic_compare_exchange_strong(
		&c->job->error, &none, error); /* the first one tells */
	(void)atomic_fetch_or(&c->job->stop, missing);
	return false;
}

static void skip(struct copier *c, uint64_t bytes, unsigned int missing)
{
	(void)atomic_fetch_add(&c->job->skipped_bytes, bytes);
	(void)atomic_fetch_or(&c->job->missing, missing);
}

/* --- writing ------------------------------------------------------------------------------- */

static int send(struct copier *c, const unsigned char *bytes, size_t len, uint64_t offset)
{
	struct core_sink *sink = c->job->sink;
	bool cached = !c->direct ||
		(c->fills_cache && sink_has_cache(sink, &c->window) &&
			(c->prefers_cache || !direct_ready(c->direct)));
	int r = sink_take(sink, len);

	if (r)
		return r;
	if (!cached && direct_write(c->direct, bytes, len, offset)) {
		sink_went_direct(sink);
		return 0;
	}
	return sink_put(sink, &c->window, bytes, len, offset);
}

static bool write_out(struct copier *c, const unsigned char *bytes, size_t len, uint64_t offset)
{
	int r;

	if (stopping(c)) /* also: the file may be another one by now */
		return false;
	r = FAULT_ERRNO(CAPTURE_PAGES);
	if (r == 0 && c->image) {
		memcpy(c->image + (offset - c->image_from), bytes, len);
		c->image_used = true;
	} else if (r == 0) {
		r = send(c, bytes, len, offset);
	}
	return copy_wrote(c, r);
}

bool copy_wrote(struct copier *c, int r)
{
	if (r == 0)
		return true;
	return stop(c, r == -ENOSPC ? CAPTURE_MISSING_SPACE : CAPTURE_MISSING_IO, r);
}

static bool is_zero(const unsigned char *bytes, size_t len)
{
	static const unsigned char zeros[64];

	return memcmp(bytes, zeros, sizeof(zeros)) == 0 &&
		memcmp(bytes, bytes + sizeof(zeros), len - sizeof(zeros)) == 0;
}

/* Writes bytes that are contiguous in the target and in the file, leaving out long zeros. */
static bool put(struct copier *c, const unsigned char *bytes, size_t len, uint64_t offset)
{
	size_t page = c->job->plan->pages.page_bytes;
	size_t written = 0; /* up to here everything is written or left a hole */
	size_t zeros = 0;   /* ending at `at` */
	size_t at = 0;

	(void)atomic_fetch_add(&c->tally->memory_bytes, len);
	for (; at < len; at += page) {
		size_t n = min_u64(page, len - at);

		if (is_zero(bytes + at, n)) {
			zeros += n;
			continue;
		}
		if (zeros >= SPARSE_BYTES) {
			size_t from = at - zeros;

			if (from > written &&
				!write_out(c, bytes + written, from - written, offset + written))
				return false;
			(void)atomic_fetch_add(&c->tally->zero_bytes, zeros);
			written = at;
		}
		zeros = 0;
	}
	if (zeros) /* at the end: nothing is gained by writing them */
		(void)atomic_fetch_add(&c->tally->zero_bytes, zeros);
	if (len - zeros > written)
		return write_out(c, bytes + written, len - zeros - written, offset + written);
	return true;
}

/* --- pages of the process ------------------------------------------------------------------ */

/* The page at the front of run is not to be had in bulk. False: end. */
static bool one_page(struct copier *c, const struct segment *s, struct page_run *run)
{
	struct capture_plan *plan = c->job->plan;
	size_t page = plan->pages.page_bytes;
	/* NOLINTNEXTLINE(clang-analyzer-core*): what came short has pages left in its run */
	uint64_t address = run->start;
	int r = pages_read_one(&plan->pages, address, next_buffer(c), page);

	run->start += page;
	if (r == 0)
		return put(c, c->buffer, page, s->offset + (address - s->start));
	if (r == -ESRCH)
		return stop(c, CAPTURE_MISSING_EXITED, r);
	skip(c, page, CAPTURE_MISSING_READ);
	return true;
}

/* Fills batch[] from the front of runs[0..count) up to the size of the buffer. */
static size_t fill_batch(
	const struct copier *c, const struct page_run *runs, size_t count, struct page_run *batch)
{
	size_t room = c->buffer_bytes;
	size_t n = 0;

	for (; n < count && n < READ_BATCH_MAX && room; n++) {
		uint64_t len = min_u64(runs[n].end - runs[n].start, room);

		batch[n] = (struct page_run){
			.start = runs[n].start, .end = runs[n].start + len, .kind = runs[n].kind};
		room -= len;
	}
	return n;
}

/* All of runs[0..count), which are used up on the way. */
static bool copy_runs(
	struct copier *c, const struct segment *s, struct page_run *runs, size_t count)
{
	const struct pages *pages = &c->job->plan->pages;
	struct page_run batch[READ_BATCH_MAX];

	while (count) {
		size_t n = fill_batch(c, runs, count, batch);
		const unsigned char *at = next_buffer(c);
		ssize_t got = c->protected ? pages_read_protected(pages, batch, n, c->buffer)
					   : pages_read(pages, batch, n, c->buffer);
		uint64_t left = got > 0 ? (uint64_t)got : 0;

		if (got == -ESRCH)
			return stop(c, CAPTURE_MISSING_EXITED, -ESRCH);
		for (size_t i = 0; i < n; i++) {
			uint64_t len = batch[i].end - batch[i].start;
			uint64_t have = min_u64(len, left) / pages->page_bytes * pages->page_bytes;

			if (have && !put(c, at, have, s->offset + (batch[i].start - s->start)))
				return false;
			at += have;
			left -= have;
			runs->start += have;
			if (runs->start >= runs->end) {
				runs++;
				count--;
			}
			if (have < len) {
				if (!one_page(c, s, runs))
					return false;
				if (runs->start >= runs->end) {
					runs++;
					count--;
				}
				break;
			}
		}
		if (stopping(c))
			return false;
	}
	return true;
}

/* The regions of a run, of which the unit's first one is the lowest that it may be in. */
static void note_swapped(struct capture_plan *plan, uint32_t first, const struct page_run *run)
{
	for (uint32_t i = first; i < plan->region_count && plan->regions[i].start < run->end; i++)
		if (plan->regions[i].end > run->start)
			(void)atomic_fetch_or(&plan->regions[i].flags, REGION_SWAPPED);
}

/* Whether this round reads a run; notes on its regions that a second one is needed. */
static bool wanted(struct copier *c, uint32_t region, const struct page_run *run)
{
	bool swapped = !(run->kind & PAGE_PRESENT);

	switch (c->job->swap) {
	case COPY_SWAP_TOO:
		break;
	case COPY_SWAP_ONLY:
		return swapped;
	case COPY_SWAP_LATER:
		if (swapped)
			note_swapped(c->job->plan, region, run);
		return !swapped;
	}
	return true;
}

/* --- files behind mappings ----------------------------------------------------------------- */

static int open_file(struct copier *c, uint32_t index)
{
	struct capture_plan *plan = c->job->plan;
	const struct region *r = &plan->regions[index];
	struct file_identity identity = {.inode = r->inode, .major = r->major, .minor = r->minor};

	if (c->file_region == index)
		return c->file_error;
	forget_file(c);
	c->file_region = index;
	c->file_error = pages_open_file(
		&plan->pages, r->start, r->end, plan_name(plan, r), &identity, &c->file_fd);
	return c->file_error;
}

/* Bytes of the file for [from, to) of the mapping. */
static bool copy_file(struct copier *c, const struct segment *s, uint64_t from, uint64_t to)
{
	const struct region *r = &c->job->plan->regions[s->region];

	if (from == to)
		return true;
	if (open_file(c, s->region)) {
		skip(c, to - from, CAPTURE_MISSING_READ);
		return true;
	}
	while (from < to) {
		size_t want = min_u64(to - from, c->buffer_bytes);
		ssize_t n = pread(c->file_fd, next_buffer(c), want,
			(off_t)(r->offset_bytes + (from - r->start)));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			skip(c, to - from, CAPTURE_MISSING_READ);
		if (n <= 0)
			break;					  /* behind the end of the file */
		if ((size_t)n % c->job->plan->pages.page_bytes) { /* the last page of the file */
			size_t page = c->job->plan->pages.page_bytes;
			size_t full = ((size_t)n + page - 1) / page * page;

			memset(c->buffer + n, 0, full - (size_t)n);
			n = (ssize_t)full;
		}
		if (!put(c, c->buffer, (size_t)n, s->offset + (from - s->start)))
			return false;
		from += (uint64_t)n;
	}
	return !stopping(c);
}

/* --- units --------------------------------------------------------------------------------- */

/* The pages of [from, to), and what overlay takes from the file between them. */
static bool copy_pages(
	struct copier *c, const struct segment *s, uint64_t from, uint64_t to, bool overlay)
{
	struct capture_plan *plan = c->job->plan;
	const struct region *region = &plan->regions[s->region];
	bool alone = to <= region->end; /* else more small ones follow */
	bool anonymous = alone && !region->inode && region->source == REGION_PAGES;
	bool files = overlay && c->job->swap != COPY_SWAP_ONLY; /* done by the first round */
	bool unshared = alone && region->flags & REGION_UNSHARED;

	while (from < to) {
		uint64_t next;
		size_t count;
		size_t kept = 0;
		int r = pages_scan(
			&plan->pages, from, to, anonymous, c->runs, COPY_RUNS_MAX, &count, &next);

		if (r)
			return stop(
				c, r == -ESRCH ? CAPTURE_MISSING_EXITED : CAPTURE_MISSING_READ, r);
		for (size_t i = 0; files && i < count; i++) {
			if (!copy_file(c, s, from, c->runs[i].start))
				return false;
			from = c->runs[i].end;
		}
		if (files && !copy_file(c, s, from, next))
			return false;
		for (size_t i = 0; i < count; i++)
			if (wanted(c, s->region, &c->runs[i]))
				c->runs[kept++] = c->runs[i];
		for (size_t i = 0; i < kept; i++)
			if (!(c->runs[i].kind & PAGE_PRESENT))
				(void)atomic_fetch_add(
					&c->job->swap_bytes, c->runs[i].end - c->runs[i].start);
		if (!unshared)
			pages_note_forked(&plan->pages, c->runs, kept);
		if (!copy_runs(c, s, c->runs, kept))
			return false;
		from = next;
	}
	return true;
}

/* Nobody has mapped so much of an object; without a pagemap nothing is known of it at all. */
static void unseen(struct copier *c, uint32_t region, uint64_t bytes)
{
	if (c->job->plan->pages.method == PAGES_BLIND) {
		(void)atomic_fetch_or(&c->job->plan->regions[region].flags, REGION_UNSEEN);
		skip(c, bytes, CAPTURE_MISSING_SHARED);
	} else {
		(void)atomic_fetch_or(&c->job->missing, CAPTURE_MISSING_SHARED);
	}
}

/*
 * Pages of shared memory that another process has mapped, through that one, where the object itself
 * may not be opened. What nobody has mapped cannot be told from what is not there: asking for it
 * would make it.
 */
static bool copy_from_peers(struct copier *c, const struct segment *s, uint64_t from, uint64_t to)
{
	const size_t page = c->job->plan->pages.page_bytes;
	const uint64_t begin = from;

	peers_find(&c->peers, c->job->plan, s->region, next_buffer(c), c->buffer_bytes);
	while (from < to && !stopping(c)) {
		uint64_t end = min_u64(to, from + c->buffer_bytes);
		size_t got;

		switch (peers_read(&c->peers, from, &end, next_buffer(c), &got)) {
		case PEERS_READ:
			if (!put(c, c->buffer, got, s->offset + (from - s->start)))
				return false;
			from += got;
			break;
		case PEERS_OWN: /* copied already */
			from = end;
			break;
		case PEERS_UNSEEN:
			unseen(c, s->region, end - from);
			from = end;
			break;
		case PEERS_REFUSED:
			skip(c, page, CAPTURE_MISSING_READ);
			from += page;
			break;
		}
	}
	if (!peers_stayed(&c->peers, next_buffer(c), c->buffer_bytes))
		unseen(c, s->region, to - begin);
	return !stopping(c);
}

/*
 * Which pages of the file are in memory: from its first page at offset on, at most
 * COPY_WINDOW_PAGES. No page is touched, and none could be: the mapping is for nobody to read. A
 * kernel that does not want to tell says that all are there, mincore(2). 0 or -errno.
 */
static int look_resident(struct copier *c, uint64_t offset, size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_NONE, MAP_SHARED, c->file_fd, (off_t)offset);
	int r;

	if (at == MAP_FAILED)
		return -errno;
	r = mincore(at, bytes, c->resident) < 0 ? -errno : 0;
	(void)munmap(at, bytes); /* as it was mapped */
	return r;
}

/*
 * [from, to) of an object that is in swap in part. To read a page of it from swap charges the
 * target, as it does for a private one, and is left for the second round. That one takes all of it
 * once more: what the kernel has read around a page since is not told from what was here before.
 */
static bool copy_swapped_object(
	struct copier *c, const struct segment *s, uint64_t from, uint64_t to)
{
	const struct region *r = &c->job->plan->regions[s->region];
	const size_t page = c->job->plan->pages.page_bytes;
	const bool later = c->job->swap == COPY_SWAP_LATER;
	bool more = true;

	while (more && from < to) {
		size_t bytes = min_u64(to - from, COPY_WINDOW_PAGES * page);
		size_t pages = (bytes + page - 1) / page;

		/* Where nobody tells, none is taken for being there. */
		if (look_resident(c, r->offset_bytes + (from - r->start), bytes))
			memset(c->resident, 0, pages);
		for (size_t i = 0, end; more && i < pages; i = end) {
			bool here = c->resident[i] & 1;
			uint64_t run_to;

			for (end = i + 1; end < pages && (c->resident[end] & 1) == here; end++)
				;
			run_to = min_u64(to, from + end * page);
			if (!here && !later)
				(void)atomic_fetch_add(
					&c->job->swap_bytes, run_to - (from + i * page));
			if (here || !later) {
				c->tally = later ? &c->job->object_tally : &c->job->tally;
				more = copy_file(c, s, from + i * page, run_to);
				c->tally = &c->job->tally;
			}
		}
		from += bytes;
	}
	return more;
}

static bool copy_object(struct copier *c, const struct segment *s, uint64_t from, uint64_t to)
{
	const struct region *r = &c->job->plan->regions[s->region];
	uint64_t base = r->start - r->offset_bytes; /* address of the object's first byte */
	struct page_run run = {.start = from, .end = to, .kind = PAGE_PRESENT};

	if (open_file(c, s->region)) {
		if (c->job->swap == COPY_SWAP_ONLY)
			return true; /* others' page tables do not tell of it */
		if (r->flags & REGION_MAPPED)
			return copy_runs(c, s, &run, 1);
		return (c->job->plan->pages.method == PAGES_BLIND ||
			       copy_pages(c, s, from, to, /* overlay= */ false)) &&
			copy_from_peers(c, s, from, to);
	}
	while (from < to) {
		off_t data = lseek(c->file_fd, (off_t)(from - base), SEEK_DATA);
		off_t hole;
		uint64_t end;

		/* A server that has died ends this object: what cannot be read is counted. */
		if (data < 0)
			return errno == ENXIO || copy_file(c, s, from, to);
		hole = lseek(c->file_fd, data, SEEK_HOLE);
		from = max_u64(from, base + (uint64_t)data);
		if (from >= to)
			break;
		end = hole < 0 ? to : min_u64(to, base + (uint64_t)hole);
		if (r->flags & REGION_SWAPPED ? !copy_swapped_object(c, s, from, end)
					      : !copy_file(c, s, from, end))
			return false;
		from = hole < 0 ? to : base + (uint64_t)hole;
	}
	return true;
}

bool copy_goes_on(const struct capture_plan *plan, uint32_t first, uint32_t next)
{
	const struct segment *a = &plan->segments[first];
	const struct segment *b = &plan->segments[next];

	return plan->regions[a->region].source == REGION_PAGES &&
		plan->regions[b->region].source == REGION_PAGES && b->start >= a->start &&
		b->start - a->start == b->offset - a->offset;
}

bool copy_unit(struct copier *c, uint32_t segment, uint64_t from, uint64_t to)
{
	const struct segment *s = &c->job->plan->segments[segment];
	const struct region *r = &c->job->plan->regions[s->region];
	struct page_run run = {.start = from, .end = to, .kind = PAGE_PRESENT};

	if (stopping(c))
		return false;
	switch ((enum region_source)r->source) {
	case REGION_PAGES:
		return copy_pages(c, s, from, to, /* overlay= */ false);
	case REGION_OVERLAY:
		return copy_pages(c, s, from, to, /* overlay= */ true);
	case REGION_OBJECT:
		return copy_object(c, s, from, to);
	case REGION_WHOLE:
		return c->job->swap == COPY_SWAP_ONLY || copy_runs(c, s, &run, 1);
	case REGION_NOTHING:
	case REGION_SOURCE_COUNT:
		break;
	}
	return true;
}
