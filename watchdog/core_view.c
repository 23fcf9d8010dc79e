// SPDX-License-Identifier: Apache-2.0
/*
 * A core file as people ask about it. See core_view.h.
 *
 * The file is mapped; of a plain core only headers and notes are touched, whatever its size. What
 * the disk fails on, or somebody cuts meanwhile, is noticed (os/sigbus.c). A compressed core
 * (zstd, any number of frames) is unpacked from its beginning just as far as headers and notes go,
 * and the length of the whole is summed up from the frames' own headers without unpacking them.
 * What the notes and segments say is then read by parse/elfcore.c, which trusts none of it.
 *
 * "Biggest" is measured by what is really there: of a reservation of many gigabytes that the
 * program hardly used, a core has file holes, which SEEK_DATA tells. For cores with very many holes
 * that walk ends after DATA_STEPS_MAX steps, and the rest counts as if it had none.
 *
 * Limits: a compressed core is not checked beyond its frames' sizes.
 */
#include "core_view.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "amount.h"
#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "capture/notes.h"
#include "os/fd.h"
#include "os/sigbus.h"
#include "parse/maps.h"
#include "parse/procstat.h"

#define UNREADABLE                                                     \
	"some of it cannot be read: the disk failed, or somebody cut " \
	"the file; 'dd conv=noerror,sync' saves what is left"
#define HEAD_FIRST_BYTES (1ULL << 20) /* what is unpacked at first */
#define BUNDLE_FILE_MAX (32U << 20)   /* of proc.maps: some 300,000 mappings */
#define DATA_STEPS_MAX 400000	      /* SEEK_DATA calls, some 0.5 us each */

static void explain(char *why, size_t why_size, const char *what)
{
	if (why_size)
		(void)str_copy(why, why_size, what);
}

static void explain_large(char *why, size_t why_size, uint64_t head_max)
{
	struct str s;

	if (!why_size)
		return;
	str_init(&s, why, why_size);
	(void)str_add(&s, "its headers and notes take more than ");
	amount_size(&s, head_max);
}

/* --- the bytes ----------------------------------------------------------------------------- */

/* Length of all that the frames unpack to; *ret_cut where the last one is not whole. */
static uint64_t unpacked_length(const uint8_t *bytes, uint64_t len, bool *ret_cut)
{
	uint64_t total = 0;

	*ret_cut = false;
	while (len) {
		unsigned long long content = ZSTD_getFrameContentSize(bytes, len);
		size_t frame = ZSTD_findFrameCompressedSize(bytes, len);

		if (ZSTD_isError(frame) || content == ZSTD_CONTENTSIZE_ERROR) {
			*ret_cut = true;
			break;
		}
		if (content == ZSTD_CONTENTSIZE_UNKNOWN)
			return UINT64_MAX;
		total = add_sat(total, content);
		bytes += frame;
		len -= frame;
	}
	return total;
}

/* Unpacks until size bytes are there or the input ends. Bytes in *got. 0 or -EBADMSG. */
static int unpack(
	ZSTD_DStream *stream, ZSTD_inBuffer *in, uint8_t *out, uint64_t size, uint64_t *got)
{
	ZSTD_outBuffer to = {.dst = out, .size = size, .pos = *got};
	size_t before;
	size_t r;

	do {
		before = to.pos + in->pos;
		r = ZSTD_decompressStream(stream, &to, in);
		*got = to.pos;
		if (ZSTD_isError(r))
			return -EBADMSG;
	} while (to.pos < size && to.pos + in->pos != before);
	return 0;
}

/* The beginning of a compressed core, as far as headers and notes go; *head is to be freed. */
static int open_compressed(struct core_view *view, const uint8_t *bytes, uint64_t len,
	uint64_t head_max, uint8_t **head)
{
	ZSTD_inBuffer in = {.src = bytes, .size = len};
	ZSTD_DStream *stream = ZSTD_createDStream();
	enum elfcore_status status = ELFCORE_CUT;
	uint64_t want = HEAD_FIRST_BYTES;
	uint64_t got = 0;
	bool cut;
	int r = stream ? 0 : -ENOMEM;

	while (r == 0) {
		uint8_t *grown = realloc(*head, want);

		r = grown ? 0 : -ENOMEM;
		if (!grown)
			break;
		*head = grown;
		r = unpack(stream, &in, grown, want, &got);
		status = elfcore_open(grown, got, got, &view->elf);
		if (status != ELFCORE_CUT || got < want)
			break;
		want = max_u64(want * 2, view->elf.headers_len);
		if (want > head_max)
			r = -EFBIG;
	}
	(void)ZSTD_freeDStream(stream);
	if (status == ELFCORE_OK) /* a frame that is broken further on does not matter here */
		view->elf.file_len = max_u64(got, unpacked_length(bytes, len, &cut));
	return status == ELFCORE_OK ? 0 : r ? r : (int)status;
}

static bool is_zstd(const uint8_t *bytes, uint64_t len)
{
	static const uint8_t magic[] = {0x28, 0xb5, 0x2f, 0xfd}; /* RFC 8878 */

	return len >= sizeof(magic) && memcmp(bytes, magic, sizeof(magic)) == 0;
}

/* --- mappings ------------------------------------------------------------------------------ */

/* Bytes of [offset, offset + len) that are no hole. */
static uint64_t data_bytes(int fd, uint64_t offset, uint64_t len, uint32_t *steps)
{
	off_t end = (off_t)(offset + len);
	off_t at = (off_t)offset;
	uint64_t bytes = 0;

	while (at < end && *steps) {
		off_t data = lseek(fd, at, SEEK_DATA);
		off_t hole;

		if (data < 0 || data >= end)
			return bytes;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0 || hole > end)
			hole = end;
		bytes += (uint64_t)(hole - data);
		at = hole;
		--*steps;
	}
	return at < end ? bytes + (uint64_t)(end - at) : bytes;
}

/* Keeps the mapping if it is among the biggest. */
static void keep_mapping(struct core_view *view, const struct core_view_mapping *mapping)
{
	uint32_t at = view->mapping_count;

	while (at > 0 && view->mapping[at - 1].data_bytes < mapping->data_bytes)
		at--;
	if (at == CORE_VIEW_MAPPINGS)
		return;
	if (view->mapping_count < CORE_VIEW_MAPPINGS)
		view->mapping_count++;
	memmove(&view->mapping[at + 1], &view->mapping[at],
		(view->mapping_count - at - 1) * sizeof(*mapping));
	view->mapping[at] = *mapping;
}

static void read_mappings(int fd, struct core_view *view)
{
	uint32_t steps = DATA_STEPS_MAX;
	struct elfcore_segment segment;

	for (uint32_t i = 0; elfcore_segment(&view->elf, i, &segment); i++) {
		uint64_t present = elfcore_segment_present(&view->elf, &segment);
		struct core_view_mapping mapping = {
			.start = segment.vaddr,
			.bytes = segment.mem_bytes,
			.file_bytes = segment.file_bytes,
			.flags = segment.flags,
			.data_bytes = present,
		};

		if (segment.type != PT_LOAD)
			continue;
		view->memory_bytes = add_sat(view->memory_bytes, segment.mem_bytes);
		view->written_bytes = add_sat(view->written_bytes, segment.file_bytes);
		view->absent_bytes = add_sat(view->absent_bytes, segment.file_bytes - present);
		if (!view->compressed && present && present < INT64_MAX - segment.offset)
			mapping.data_bytes = data_bytes(fd, segment.offset, present, &steps);
		keep_mapping(view, &mapping);
	}
}

/* --- threads and names --------------------------------------------------------------------- */

static void read_threads(struct core_view *view)
{
	struct elfcore_thread thread;
	uint64_t cursor = 0;

	while (elfcore_thread(&view->elf, &cursor, &thread)) {
		bool registers = thread.pc || thread.sp;

		view->threads++;
		if (!registers)
			view->threads_without_registers++;
		if (view->thread_count < CORE_VIEW_THREADS)
			view->thread[view->thread_count++] = (struct core_view_thread){
				.tid = thread.tid,
				.has_registers = registers,
				.pc = thread.pc,
				.sp = thread.sp,
			};
	}
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* The files that mappings are of and that threads are in. */
static void read_files(struct core_view *view)
{
	struct elfcore_files files;
	struct elfcore_file file;

	if (!elfcore_files(&view->elf, &files))
		return;
	while (elfcore_file(&files, &file)) {
		for (uint32_t i = 0; i < view->mapping_count; i++)
			if (view->mapping[i].start >= file.start &&
				view->mapping[i].start < file.end)
				(void)str_copy(
					view->mapping[i].name, CORE_VIEW_NAME_MAX, file.name);
		for (uint32_t i = 0; i < view->thread_count; i++) {
			struct core_view_thread *t = &view->thread[i];
			struct str s;

			if (t->pc < file.start || t->pc >= file.end)
				continue;
			str_init(&s, t->where, sizeof(t->where));
			(void)str_addf(&s, "%.200s+0x%" PRIx64, base_name(file.name),
				t->pc - file.start + file.offset_bytes);
		}
	}
}

/* Anonymous mappings that a stack pointer lies in are called so. */
static void name_stacks(struct core_view *view)
{
	for (uint32_t i = 0; i < view->mapping_count; i++) {
		struct core_view_mapping *m = &view->mapping[i];

		for (uint32_t j = 0; j < view->thread_count && !m->name[0]; j++)
			if (view->thread[j].sp >= m->start &&
				view->thread[j].sp - m->start < m->bytes)
				(void)snprintf(m->name, sizeof(m->name), "[stack of thread %d]",
					view->thread[j].tid);
	}
}

/* What our writer noted about itself; other writers leave no such thing. */
static void read_own_note(struct core_view *view)
{
	struct elfcore_note note;
	struct core_note own;

	view->finished = true;
	if (!elfcore_find_note(&view->elf, CORE_NOTE_OWNER, CORE_NOTE_TYPE, &note) ||
		note.desc_len < sizeof(own))
		return;
	memcpy(&own, note.desc, sizeof(own));
	if (own.version != CORE_NOTE_VERSION)
		return;
	view->ours = true;
	view->finished = own.complete || own.missing;
	view->missing = own.missing;
}

/* --- the whole ----------------------------------------------------------------------------- */

/* What the len bytes of the file say, mapped at bytes. 0 or as core_view_read(). */
static int read_bytes(
	int fd, const uint8_t *bytes, uint64_t len, uint64_t head_max, struct core_view *view)
{
	_cleanup_free_ uint8_t *head = NULL;
	int r;

	view->compressed = is_zstd(bytes, len);
	r = view->compressed ? open_compressed(view, bytes, len, head_max, &head)
			     : (int)elfcore_open(bytes, len, len, &view->elf);
	if (r)
		return r;
	view->has_process = elfcore_process(&view->elf, &view->process);
	read_own_note(view);
	read_mappings(fd, view);
	read_threads(view);
	read_files(view);
	name_stacks(view);
	view->elf.bytes = NULL; /* its numbers stay, what they were read from goes */
	return 0;
}

static int read_file(int fd, uint64_t head_max, struct core_view *view)
{
	struct sigbus sigbus;
	struct stat st;
	void *map;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	view->disk_bytes = (uint64_t)st.st_blocks * 512;
	if (st.st_size == 0)
		return ELFCORE_NOT_ELF;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	sigbus_begin(&sigbus, map, (size_t)st.st_size);
	r = read_bytes(fd, map, (uint64_t)st.st_size, head_max, view);
	if (!sigbus_end(&sigbus))
		r = -EIO;
	(void)munmap(map, (size_t)st.st_size);
	return r;
}

int core_view_read(int fd, uint64_t head_max, struct core_view *ret, char *why, size_t why_size)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	r = read_file(fd, head_max, ret);
	if (r > 0)
		explain(why, why_size, elfcore_status_name((enum elfcore_status)r));
	else if (r == -EBADMSG)
		explain(why, why_size, "broken zstd data");
	else if (r == -EINVAL)
		explain(why, why_size, "not a regular file; name the core itself");
	else if (r == -EISDIR)
		explain(why, why_size, "a directory; name the core in it");
	else if (r == -EFBIG)
		explain_large(why, why_size, head_max);
	else if (r == -EIO)
		explain(why, why_size, UNREADABLE);
	else if (r)
		explain(why, why_size, strerrordesc_np(-r));
	return r;
}

/* --- the bundle around a core ---------------------------------------------------------------- */

/* The next line of text from *at on, without its newline. */
static bool next_line(const char *text, size_t len, size_t *at, const char **ret, size_t *ret_len)
{
	const char *end;

	if (*at >= len)
		return false;
	*ret = text + *at;
	end = memchr(*ret, '\n', len - *at);
	*ret_len = end ? (size_t)(end - *ret) : len - *at;
	*at += *ret_len + 1;
	return true;
}

/* Names that only /proc knows: [heap], [stack], memfd:..., /dev/shm/... */
static void name_mappings(struct core_view *view, const char *text, size_t len)
{
	struct maps_entry entry;
	const char *start;
	size_t line_len;
	size_t at = 0;

	while (next_line(text, len, &at, &start, &line_len)) {
		if (!maps_line(start, line_len, &entry) || !entry.name_len)
			continue;
		for (uint32_t i = 0; i < view->mapping_count; i++)
			if (view->mapping[i].start == entry.start)
				(void)maps_name(entry.name, entry.name_len, view->mapping[i].name,
					CORE_VIEW_NAME_MAX);
	}
}

/* Lines of "TID NAME". */
static void name_threads(struct core_view *view, const char *text, size_t len)
{
	const char *start;
	size_t line_len;
	size_t at = 0;

	while (next_line(text, len, &at, &start, &line_len)) {
		char line[64];
		char *blank;
		uint64_t tid;

		if (line_len >= sizeof(line))
			continue;
		memcpy(line, start, line_len);
		line[line_len] = '\0';
		blank = strchr(line, ' ');
		if (!blank)
			continue;
		*blank = '\0';
		for (uint32_t i = 0; str_to_u64(line, &tid) && i < view->thread_count; i++)
			if ((uint64_t)view->thread[i].tid == tid)
				(void)str_copy(view->thread[i].name, sizeof(view->thread[i].name),
					blank + 1);
	}
}

/* Bytes, or -errno; -EINVAL for what could block or is none of ours. */
static ssize_t read_plain(int dir_fd, const char *name, char *text)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? fd_read_text_at(dir_fd, name, text, BUNDLE_FILE_MAX) : -EINVAL;
}

void core_view_name(struct core_view *view, int bundle_fd)
{
	char *text = malloc(BUNDLE_FILE_MAX);
	ssize_t n;

	if (!text)
		return;
	n = read_plain(bundle_fd, "proc.maps", text);
	if (n > 0)
		name_mappings(view, text, (size_t)n);
	n = read_plain(bundle_fd, "proc.threads", text);
	if (n > 0)
		name_threads(view, text, (size_t)n);
	free(text);
}

bool core_view_complete(const struct core_view *view)
{
	return view->finished && !view->missing && !view->absent_bytes;
}
