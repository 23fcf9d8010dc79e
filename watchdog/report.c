// SPDX-License-Identifier: Apache-2.0
/*
 * Writes the reports into a bundle. See report.h.
 *
 * Runs when the target is long released, so it may allocate: a buffer of REPORT_BYTES_MAX, of which
 * only what is used gets touched. The core is read back through core_view.c, so that what a report
 * says about threads and mappings is what a debugger will find. A report that would not fit is not
 * written at all: half of one is neither JSON nor HTML.
 *
 * The bundle has its final name only after this, so nothing here may end the process or wait for a
 * disk that is known to fail: a core with thousands of threads is not unpacked in a sidecar of
 * 64 MiB, and one that the disk has failed on is not opened. The reports then go without. A disk
 * that fails first here, on the beginning of the core, makes it a partial one.
 */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "capture/place.h"

#define REPORT_BYTES_MAX (16ULL << 20) /* 1,024 threads and points and 48 mappings take ~1 MiB */
#define WHY_MAX 256
/*
 * Of a compressed core's headers and notes, unpacked. With AVX-512 a thread takes 3.3 KiB, so 2,500
 * of them fit; with AMX 12 KiB, and 680. A sidecar of 64 MiB has that much to spare.
 */
#define HEAD_MAX (8ULL << 20)

static int write_file(int dir_fd, const char *name, const struct str *s)
{
	_cleanup_close_ int fd = -1;
	const char *at = s->text;
	size_t left = s->len;
	int r = 0;

	if (s->cut)
		return -E2BIG;
	fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	while (r == 0 && left) {
		ssize_t n = write(fd, at, left);

		if (n < 0 && errno != EINTR)
			r = -errno;
		at += n > 0 ? n : 0;
		left -= n > 0 ? (size_t)n : 0;
	}
	if (r)
		(void)unlinkat(dir_fd, name, 0); /* half a report would mislead */
	return r;
}

int report_write(int bundle_fd, const struct report *report)
{
	struct str s;
	int html;
	int json;
	char *memory = mmap(NULL, REPORT_BYTES_MAX, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	str_init(&s, memory, REPORT_BYTES_MAX);
	report_json(&s, report);
	json = write_file(bundle_fd, REPORT_JSON_NAME, &s);
	str_init(&s, memory, REPORT_BYTES_MAX);
	report_html(&s, report);
	html = write_file(bundle_fd, REPORT_HTML_NAME, &s);
	(void)munmap(memory, REPORT_BYTES_MAX);
	return json ? json : html;
}

/* A path of the bundle as it will be called when everybody may read this. */
static void drop_partial(char *path)
{
	char *at = strstr(path, PLACE_PARTIAL_SUFFIX);
	char *next = at;

	while (next) { /* the last one: the directory above may be called so, too */
		at = next;
		next = strstr(at + 1, PLACE_PARTIAL_SUFFIX);
	}
	if (at)
		memmove(at, at + strlen(PLACE_PARTIAL_SUFFIX),
			strlen(at + strlen(PLACE_PARTIAL_SUFFIX)) + 1);
}

/* Why the core cannot be told about, or NULL with view. *ret_lost: the disk does not give it. */
static const char *read_back(int bundle_fd, const struct capture_request *request,
	const struct capture_result *result, struct core_view *view, char why[static WHY_MAX],
	bool *ret_lost)
{
	const char *name = request->compress == COMPRESS_ZSTD ? "core.zst" : "core";
	_cleanup_close_ int fd = -1;
	int r;

	if (result->missing & CAPTURE_MISSING_IO)
		return "the disk failed while it was written";
	if (!view)
		return strerrordesc_np(ENOMEM);
	fd = openat(bundle_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	r = fd < 0 ? -errno : core_view_read(fd, HEAD_MAX, view, why, WHY_MAX);
	*ret_lost = r == -EIO;
	if (fd < 0)
		return strerrordesc_np(-r);
	if (r)
		return why;
	core_view_name(view, bundle_fd);
	return NULL;
}

static void tell_lost(struct capture_result *result, char *why, size_t why_size)
{
	struct str s;

	result->status = CAPTURE_PARTIAL;
	result->missing |= CAPTURE_MISSING_IO;
	if (!result->error)
		result->error = -EIO;
	if (!why_size || why[0])
		return;
	str_init(&s, why, why_size);
	(void)str_addf(&s,
		"the core of process %d was written, but some of it cannot be read back "
		"(%s)",
		(int)result->pid, strerrordesc_np(EIO));
}

int report_write_bundle(int bundle_fd, const struct capture_request *request,
	struct capture_result *result, const struct incident_record *record,
	const struct history_point *history, uint32_t history_count, char *why, size_t why_size)
{
	struct capture_result final;
	struct report report = {
		.request = request,
		.result = &final,
		.record = record,
		.history = history,
		.history_count = history_count,
		.why = why,
		.wall_offset_ns = report_wall_offset_ns(),
	};
	struct core_view *view = calloc(1, sizeof(*view));
	char why_unread[WHY_MAX];
	bool lost = false;
	int r;

	report.unread = read_back(bundle_fd, request, result, view, why_unread, &lost);
	if (!report.unread)
		report.view = view;
	if (lost)
		tell_lost(result, why, why_size);
	final = *result;
	drop_partial(final.path);
	drop_partial(final.core_path);
	r = report_write(bundle_fd, &report);
	free(view);
	return r;
}

int64_t report_wall_offset_ns(void)
{
	struct timespec mono;
	struct timespec wall;

	(void)clock_gettime(CLOCK_MONOTONIC, &mono); /* cannot fail for these clocks */
	(void)clock_gettime(CLOCK_REALTIME, &wall);
	return (wall.tv_sec - mono.tv_sec) * (int64_t)NS_PER_S + (wall.tv_nsec - mono.tv_nsec);
}
