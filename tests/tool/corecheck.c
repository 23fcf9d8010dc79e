// SPDX-License-Identifier: Apache-2.0
/*
 * corecheck: is this core of the leaker complete and right, to the last byte?
 *
 *   corecheck CORE [--min-filled BYTES] [--manifest ADDR] [--no-secret] [--json]
 *
 * It reads the ELF64 core with nothing but libc and <elf.h>, on purpose: it shares no code with the
 * programs that write cores, so it cannot share their mistakes. It finds the manifest that the
 * leaker keeps in its memory (leaker/manifest.h), by its magic at the start of a page, and
 * recomputes every byte that the manifest says was filled. A byte that differs is wrong; one that
 * no PT_LOAD holds, or that lies beyond p_filesz or beyond the end of the file, is missing. What
 * follows the filled part of an entry was never claimed: it may be absent, zero, or right already,
 * and nothing else.
 *
 * Program headers may be in any order and more than 65534 (PN_XNUM). The file is read once through
 * a buffer, its holes are skipped where that is allowed, so size does not matter. With --no-secret
 * all of the file, notes included, is searched for the leaker's secret token. One file, although a
 * long one: whoever doubts a verdict has to read nothing else.
 *
 * Exit status, the first that applies:
 *   2 bad usage               3 the file cannot be read        4 not a sane ELF64 core
 *   5 no manifest             6 the manifest contradicts itself
 *   1 wrong bytes             7 bytes missing                  9 a secret is in the core
 *   8 fewer than --min-filled 10 --no-secret, and the leaker had no secret
 *   0 everything is there and right
 */
#include "leaker/fill.h"
#include "leaker/manifest.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)4 << 20)
#define PAGE_BYTES MANIFEST_PAGE_BYTES

/* More than any kernel's map limit; a header that claims more is refused, not allocated for. */
#define PHNUM_MAX (UINT64_C(1) << 24)

/* Faults that are printed one by one; the counts go on. */
#define REPORTS_MAX 10u

enum exit_code {
	EXIT_ALL_RIGHT = 0,
	EXIT_WRONG = 1,
	EXIT_USAGE = 2,
	EXIT_READ = 3,
	EXIT_NOT_CORE = 4,
	EXIT_NO_MANIFEST = 5,
	EXIT_MANIFEST_BROKEN = 6,
	EXIT_MISSING = 7,
	EXIT_TOO_FEW = 8,
	EXIT_SECRET = 9,
	EXIT_NO_SECRET_TO_FIND = 10,
};

struct segment {
	uint64_t vaddr;
	uint64_t file_bytes; /* that the file really has */
	uint64_t offset;
};

struct core {
	int fd;
	uint64_t size;
	struct segment *segments; /* PT_LOADs by address */
	size_t segment_count;
	unsigned char *buffer; /* BUFFER_BYTES */
};

struct report {
	uint64_t verified;
	uint64_t chunks; /* entries with something filled */
	uint64_t wrong;
	uint64_t missing;
	uint64_t stray; /* wrong bytes behind what was filled; also counted as wrong */
	uint64_t secrets;
	uint64_t broken; /* contradictions in the manifest */
	unsigned printed;
};

struct request {
	const char *path;
	uint64_t min_filled;
	uint64_t manifest; /* 0: find it */
	bool no_secret;
	bool json;
};

/* --- the ELF file ------------------------------------------------------------------------------
 */

/* Ends the program: without the file there is nothing to say. */
static void __attribute__((noreturn, format(printf, 2, 3)))
fail(enum exit_code code, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "corecheck: ");
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit((int)code);
}

static void read_at(const struct core *core, uint64_t offset, void *to, size_t len)
{
	unsigned char *out = to;

	for (size_t done = 0; done < len;) {
		ssize_t r = pread(core->fd, out + done, len - done, (off_t)(offset + done));

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			fail(EXIT_READ, "cannot read %zu bytes at offset %" PRIu64 ": %s",
				len - done, offset + done, r < 0 ? strerror(errno) : "end of file");
		done += (size_t)r;
	}
}

/* The number of program headers, which may stand in section header 0. */
static uint64_t program_header_count(const struct core *core, const Elf64_Ehdr *header)
{
	Elf64_Shdr first;

	if (header->e_phnum != PN_XNUM)
		return header->e_phnum;
	if (header->e_shoff == 0 || header->e_shoff > core->size ||
		core->size - header->e_shoff < sizeof(first))
		fail(EXIT_NOT_CORE, "PN_XNUM without a section header");
	read_at(core, header->e_shoff, &first, sizeof(first));
	return first.sh_info;
}

static int by_address(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	return x->vaddr < y->vaddr ? -1 : x->vaddr > y->vaddr;
}

/* Bytes of [offset, offset + len) that lie before the end of the file. */
static uint64_t bytes_in_file(const struct core *core, uint64_t offset, uint64_t len)
{
	uint64_t left = offset < core->size ? core->size - offset : 0;

	return len < left ? len : left;
}

static void load_segments(struct core *core, const Elf64_Ehdr *header)
{
	uint64_t count = program_header_count(core, header);
	Elf64_Phdr *phdrs;

	if (count == 0 || count > PHNUM_MAX || header->e_phentsize != sizeof(*phdrs) ||
		bytes_in_file(core, header->e_phoff, count * sizeof(*phdrs)) !=
			count * sizeof(*phdrs))
		fail(EXIT_NOT_CORE, "%" PRIu64 " program headers do not fit in the file", count);
	phdrs = calloc(count, sizeof(*phdrs));
	core->segments = calloc(count, sizeof(*core->segments));
	if (!phdrs || !core->segments)
		fail(EXIT_READ, "no memory for %" PRIu64 " program headers", count);
	read_at(core, header->e_phoff, phdrs, count * sizeof(*phdrs));
	for (uint64_t i = 0; i < count; i++) {
		const Elf64_Phdr *p = &phdrs[i];

		if (p->p_type != PT_LOAD)
			continue;
		if (p->p_memsz < p->p_filesz || p->p_vaddr + p->p_memsz < p->p_vaddr)
			fail(EXIT_NOT_CORE, "program header %" PRIu64 " has impossible sizes", i);
		core->segments[core->segment_count++] = (struct segment){
			.vaddr = p->p_vaddr,
			.file_bytes = bytes_in_file(core, p->p_offset, p->p_filesz),
			.offset = p->p_offset,
		};
	}
	free(phdrs);
	qsort(core->segments, core->segment_count, sizeof(*core->segments), by_address);
	for (size_t i = 1; i < core->segment_count; i++) {
		const struct segment *s = &core->segments[i - 1];

		if (s->vaddr + s->file_bytes > s[1].vaddr)
			fail(EXIT_NOT_CORE, "two PT_LOADs hold 0x%" PRIx64, s[1].vaddr);
	}
}

static void open_core(struct core *core, const char *path)
{
	Elf64_Ehdr header;
	struct stat st;

	core->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (core->fd < 0 || fstat(core->fd, &st) < 0)
		fail(EXIT_READ, "%s: %s", path, strerror(errno));
	core->size = (uint64_t)st.st_size;
	core->buffer = malloc(BUFFER_BYTES);
	if (!core->buffer)
		fail(EXIT_READ, "no memory for a buffer");
	if (core->size < sizeof(header))
		fail(EXIT_NOT_CORE, "%s is too short", path);
	read_at(core, 0, &header, sizeof(header));
	if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
		header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
		header.e_type != ET_CORE)
		fail(EXIT_NOT_CORE, "%s is not a little-endian ELF64 core", path);
	load_segments(core, &header);
}

/*
 * The segment that holds ADDRESS in the file, or NULL. *ret_len is for how many bytes the answer
 * holds: to the end of the segment's bytes, or to the next segment (UINT64_MAX: for ever).
 */
static const struct segment *segment_at(
	const struct core *core, uint64_t address, uint64_t *ret_len)
{
	size_t low = 0, high = core->segment_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (core->segments[middle].vaddr <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low > 0) {
		const struct segment *s = &core->segments[low - 1];

		if (address - s->vaddr < s->file_bytes) {
			*ret_len = s->file_bytes - (address - s->vaddr);
			return s;
		}
	}
	*ret_len = low < core->segment_count ? core->segments[low].vaddr - address : UINT64_MAX;
	return NULL;
}

/* Copies memory out of the core. False if any of it is missing. */
static bool copy_memory(const struct core *core, uint64_t address, void *to, size_t len)
{
	unsigned char *out = to;

	while (len > 0) {
		uint64_t run;
		const struct segment *s = segment_at(core, address, &run);
		size_t n;

		if (!s)
			return false;
		n = run < len ? (size_t)run : len;
		read_at(core, s->offset + (address - s->vaddr), out, n);
		out += n;
		address += n;
		len -= n;
	}
	return true;
}

/* The first offset at or after FROM that is not in a hole of the file; TO if there is none before.
 */
static uint64_t skip_hole(const struct core *core, uint64_t from, uint64_t to)
{
	off_t data = lseek(core->fd, (off_t)from, SEEK_DATA);

	if (data < 0) /* ENXIO: a hole up to the end; anything else: no such service here */
		return errno == ENXIO ? to : from;
	return (uint64_t)data < to ? (uint64_t)data : to;
}

/* --- the manifest ------------------------------------------------------------------------------
 */

static bool is_manifest(const unsigned char *at, uint64_t address)
{
	unsigned char magic[MANIFEST_MAGIC_BYTES];
	struct manifest_header h;

	manifest_magic(magic);
	if (memcmp(at, magic, sizeof(magic)) != 0)
		return false;
	memcpy(&h, at, sizeof(h));
	return h.self == address;
}

/* Looks at the start of every page of one segment. */
static bool search_segment(const struct core *core, const struct segment *s, uint64_t *ret_address)
{
	uint64_t end = s->offset + s->file_bytes;

	for (uint64_t at = s->offset; at < end;) {
		uint64_t page_at = -(s->vaddr + (at - s->offset)) & (PAGE_BYTES - 1);
		uint64_t address;
		size_t len;

		at = skip_hole(core, at + page_at, end);
		if (at >= end)
			return false;
		/* the hole may have ended inside a page of memory */
		at -= (s->vaddr + (at - s->offset)) & (PAGE_BYTES - 1);
		len = end - at < BUFFER_BYTES ? (size_t)(end - at) : BUFFER_BYTES;
		read_at(core, at, core->buffer, len);
		address = s->vaddr + (at - s->offset);
		for (size_t i = 0; i + sizeof(struct manifest_header) <= len; i += PAGE_BYTES) {
			if (is_manifest(core->buffer + i, address + i)) {
				*ret_address = address + i;
				return true;
			}
		}
		at += len;
	}
	return false;
}

static void find_manifest(
	const struct core *core, uint64_t address, struct manifest_header *ret_header)
{
	unsigned char bytes[sizeof(*ret_header)];

	for (size_t i = 0; address == 0 && i < core->segment_count; i++)
		(void)search_segment(core, &core->segments[i], &address);
	if (address == 0)
		fail(EXIT_NO_MANIFEST, "no manifest in any of %zu segments", core->segment_count);
	if (!copy_memory(core, address, bytes, sizeof(bytes)) || !is_manifest(bytes, address))
		fail(EXIT_NO_MANIFEST, "no manifest at 0x%" PRIx64, address);
	memcpy(ret_header, bytes, sizeof(bytes));
	if (ret_header->version != MANIFEST_VERSION ||
		ret_header->header_bytes != sizeof(struct manifest_header) ||
		ret_header->entry_bytes != sizeof(struct manifest_entry))
		fail(EXIT_MANIFEST_BROKEN,
			"a manifest of version %" PRIu32 ", which is not known here",
			ret_header->version);
	if (ret_header->count > ret_header->capacity || ret_header->capacity > MANIFEST_CAPACITY)
		fail(EXIT_MANIFEST_BROKEN, "%" PRIu64 " entries of %" PRIu64,
			(uint64_t)ret_header->count, ret_header->capacity);
}

static struct manifest_entry *load_entries(const struct core *core, const struct manifest_header *h)
{
	size_t count = h->count;
	struct manifest_entry *entries = calloc(count + 1, sizeof(*entries));

	if (!entries)
		fail(EXIT_READ, "no memory for %zu entries", count);
	if (!copy_memory(core, h->entries, entries, count * sizeof(*entries)))
		fail(EXIT_MISSING, "the manifest's own %zu entries are not all in the core", count);
	return entries;
}

static void __attribute__((format(printf, 2, 3)))
note(struct report *report, const char *format, ...)
{
	va_list args;

	if (report->printed++ >= REPORTS_MAX)
		return;
	va_start(args, format);
	fprintf(stderr, "corecheck: ");
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

static int by_entry_address(const void *a, const void *b)
{
	const struct manifest_entry *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

/* What manifest.c promises at every instant. Sorts the entries by address. */
static void check_invariants(
	struct report *report, const struct manifest_header *h, struct manifest_entry *entries)
{
	uint64_t lengths = 0, filled = 0, end = 0;

	qsort(entries, h->count, sizeof(*entries), by_entry_address);
	for (uint64_t i = 0; i < h->count; i++) {
		const struct manifest_entry *e = &entries[i];

		if (e->kind == MANIFEST_GONE)
			continue;
		if (e->kind >= MANIFEST_KIND_COUNT || e->filled > e->length ||
			e->address + e->length < e->address || e->address < end ||
			(e->kind == MANIFEST_HOLE && e->filled > 0)) {
			report->broken++;
			note(report, "entry at 0x%" PRIx64 " contradicts itself or its neighbour",
				e->address);
		}
		end = e->address + e->length;
		filled += e->filled;
		if (e->kind != MANIFEST_HOLE)
			lengths += e->length;
	}
	if (h->allocated_bytes > lengths || h->filled_bytes > filled) {
		report->broken++;
		note(report,
			"sums: allocated %" PRIu64 " of %" PRIu64 ", filled %" PRIu64
			" of %" PRIu64,
			(uint64_t)h->allocated_bytes, lengths, (uint64_t)h->filled_bytes, filled);
	}
}

/* --- the memory --------------------------------------------------------------------------------
 */

/* Compares what one segment has of [address, address + len) with the fill. */
static void check_run(const struct core *core, struct report *report, uint64_t seed,
	const struct segment *s, uint64_t address, uint64_t len, enum fill_strictness strictness)
{
	while (len > 0) {
		size_t n = len < BUFFER_BYTES ? (size_t)len : BUFFER_BYTES;
		size_t first = 0, wrong;

		read_at(core, s->offset + (address - s->vaddr), core->buffer, n);
		wrong = fill_check(seed, address, core->buffer, n, strictness, &first);
		if (wrong > 0)
			note(report, "%zu bytes wrong from 0x%" PRIx64 " on%s", wrong,
				address + first,
				strictness == FILL_EXACT ? "" : " (behind what was filled)");
		report->wrong += wrong;
		if (strictness == FILL_EXACT)
			report->verified += n - wrong;
		else
			report->stray += wrong;
		address += n;
		len -= n;
	}
}

static void check_range(const struct core *core, struct report *report, uint64_t seed,
	uint64_t address, uint64_t len, enum fill_strictness strictness)
{
	while (len > 0) {
		uint64_t run;
		const struct segment *s = segment_at(core, address, &run);

		if (run > len)
			run = len;
		if (s) {
			check_run(core, report, seed, s, address, run, strictness);
		} else if (strictness == FILL_EXACT) {
			report->missing += run;
			note(report, "%" PRIu64 " bytes missing from 0x%" PRIx64 " on", run,
				address);
		}
		address += run;
		len -= run;
	}
}

static void check_entries(const struct core *core, struct report *report,
	const struct manifest_header *h, const struct manifest_entry *entries)
{
	for (uint64_t i = 0; i < h->count; i++) {
		const struct manifest_entry *e = &entries[i];

		if (e->kind == MANIFEST_GONE || e->filled > e->length)
			continue;
		report->chunks += e->filled > 0;
		check_range(core, report, h->seed, e->address, e->filled, FILL_EXACT);
		if (!(e->flags & MANIFEST_DIRTY))
			check_range(core, report, h->seed, e->address + e->filled,
				e->length - e->filled, FILL_OR_ZERO);
	}
}

/* Counts the secret tokens in the whole file, holes excepted. */
static void search_secret(const struct core *core, struct report *report, uint64_t seed)
{
	const size_t overlap = FILL_SECRET_BYTES - 1;
	unsigned char token[FILL_SECRET_BYTES];

	for (size_t i = 0; i < sizeof(token); i++)
		token[i] = fill_secret_byte(seed, i);
	for (uint64_t at = skip_hole(core, 0, core->size); at < core->size;) {
		uint64_t left = core->size - at;
		size_t len = left < BUFFER_BYTES ? (size_t)left : BUFFER_BYTES;
		const unsigned char *p = core->buffer, *end = p + len;

		read_at(core, at, core->buffer, len);
		while ((p = memmem(p, (size_t)(end - p), token, sizeof(token) - 1)) != NULL) {
			if (report->secrets++ == 0)
				note(report, "a secret at file offset %" PRIu64,
					at + (uint64_t)(p - core->buffer));
			p += sizeof(token) - 1;
		}
		if (len == left)
			break;
		at += len - overlap;
		/* a token cannot begin in the overlap and continue in a hole, which is zeros */
		at = skip_hole(core, at, core->size);
	}
}

/* --- the verdict -------------------------------------------------------------------------------
 */

static enum exit_code verdict(
	const struct request *request, const struct manifest_header *h, const struct report *report)
{
	if (report->broken > 0)
		return EXIT_MANIFEST_BROKEN;
	if (report->wrong > 0)
		return EXIT_WRONG;
	if (report->missing > 0)
		return EXIT_MISSING;
	if (report->secrets > 0)
		return EXIT_SECRET;
	if (report->verified < request->min_filled)
		return EXIT_TOO_FEW;
	if (request->no_secret && h->secret_bytes == 0)
		return EXIT_NO_SECRET_TO_FIND;
	return EXIT_ALL_RIGHT;
}

static void print_report(const struct request *request, const struct manifest_header *h,
	const struct report *r, enum exit_code code)
{
	if (request->json) {
		printf("{\"ok\":%s,\"code\":%d,\"verified_bytes\":%" PRIu64 ",\"chunks\":%" PRIu64
		       ",\"wrong_bytes\":%" PRIu64 ",\"missing_bytes\":%" PRIu64
		       ",\"stray_bytes\":%" PRIu64 ",\"entries\":%" PRIu64
		       ",\"contradictions\":%" PRIu64 ",\"secrets\":%" PRIu64
		       ",\"allocated_bytes\":%" PRIu64 ",\"unrecorded_bytes\":%" PRIu64
		       ",\"pid\":%d,\"seed\":%" PRIu64 ",\"manifest\":\"0x%" PRIx64 "\"}\n",
			code == EXIT_ALL_RIGHT ? "true" : "false", code, r->verified, r->chunks,
			r->wrong, r->missing, r->stray, (uint64_t)h->count, r->broken, r->secrets,
			(uint64_t)h->allocated_bytes, (uint64_t)h->unrecorded_bytes, h->pid,
			h->seed, h->self);
		return;
	}
	printf("corecheck: %" PRIu64 " bytes in %" PRIu64 " chunks verified, %" PRIu64
	       " wrong, %" PRIu64 " missing\n",
		r->verified, r->chunks, r->wrong, r->missing);
	if (r->secrets > 0)
		printf("corecheck: %" PRIu64 " secrets found\n", r->secrets);
	if (code == EXIT_TOO_FEW)
		printf("corecheck: at least %" PRIu64 " bytes were expected\n",
			request->min_filled);
	if (code == EXIT_NO_SECRET_TO_FIND)
		printf("corecheck: this leaker had no secret (leaker --dontdump SIZE)\n");
}

static bool parse_number(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 0);
	return errno == 0 && end != text && *end == '\0' && text[0] != '-';
}

static bool parse_request(int argc, char *argv[], struct request *request)
{
	static const struct option longopts[] = {
		{"min-filled", required_argument, NULL, 'f'},
		{"manifest", required_argument, NULL, 'm'},
		{"no-secret", no_argument, NULL, 's'},
		{"json", no_argument, NULL, 'j'},
		{NULL, 0, NULL, 0},
	};
	bool ok = true;
	int c;

	optind = 0; /* glibc: begin anew */
	while ((c = getopt_long(argc, argv, "", longopts, NULL)) != -1) {
		if (c == 'f')
			ok &= parse_number(optarg, &request->min_filled);
		else if (c == 'm')
			ok &= parse_number(optarg, &request->manifest) && request->manifest != 0;
		else if (c == 's')
			request->no_secret = true;
		else if (c == 'j')
			request->json = true;
		else
			ok = false;
	}
	if (optind == argc - 1)
		request->path = argv[optind];
	return ok && request->path;
}

int main(int argc, char *argv[])
{
	struct request request = {.path = NULL};
	struct report report = {.verified = 0};
	struct core core = {.fd = -1};
	struct manifest_header header;
	struct manifest_entry *entries;
	enum exit_code code;

	if (!parse_request(argc, argv, &request)) {
		fprintf(stderr,
			"usage: corecheck CORE [--min-filled BYTES] [--manifest ADDR] "
			"[--no-secret] [--json]\n");
		return EXIT_USAGE;
	}
	open_core(&core, request.path);
	find_manifest(&core, request.manifest, &header);
	entries = load_entries(&core, &header);
	check_invariants(&report, &header, entries);
	check_entries(&core, &report, &header, entries);
	if (request.no_secret)
		search_secret(&core, &report, header.seed);
	code = verdict(&request, &header, &report);
	print_report(&request, &header, &report, code);
	free(entries);
	free(core.segments);
	free(core.buffer);
	(void)close(core.fd); /* only read from */
	return (int)code;
}
