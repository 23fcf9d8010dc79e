// SPDX-License-Identifier: Apache-2.0
/*
 * The files beside the core, and the end of a bundle.
 *
 * While the target stands still, the /proc files that tell how it was are copied into the bundle
 * byte for byte (proc.status, proc.maps, ...), through one buffer that was allocated at start. The
 * environment is not among them: it is where people keep passwords, and whoever may see them finds
 * it in the core. A file that is missing or unreadable is left out; a bundle is never given up for
 * want of one.
 *
 * capture_finish() makes the bundle whole in the order that survives a power cut: every file is
 * fsynced, then the directory that names them, then the rename from .partial, then the directory
 * above. So a bundle without .partial is complete on disk, whenever one looks. The rename never
 * replaces anything (RENAME_NOREPLACE; where a file system lacks it, link and unlink for a file,
 * and plain rename for a directory, which refuses to replace a directory that is not empty).
 *
 * Limits: a /proc file is cut at PROC_FILE_MAX_BYTES.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "capture/internal.h"
#include "capture/place.h"
#include "os/fd.h"
#include "parse/procstat.h"

#define NAMED_THREADS_MAX 512		  /* some 20 us each while the target stands still */
#define THREAD_STATUS_BYTES 4096	  /* of task/TID/status; about 1.4 KiB */
#define PROC_FILE_MAX_BYTES (64ULL << 20) /* maps of the most mappings that we handle: ~13 MiB */

static int create(const struct capture *c, const char *name)
{
	int fd = openat(c->place.bundle_fd, name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

/* 0, also where the source cannot be read; -errno of a failing write, the copy then removed. */
static int copy_proc_file(struct capture *c, int proc_fd, const char *source, const char *name)
{
	_cleanup_close_ int in = openat(proc_fd, source, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int out = -1;
	uint64_t total = 0;
	ssize_t n = 0;
	int r = 0;

	while (in >= 0 && r == 0 && total < PROC_FILE_MAX_BYTES) {
		n = read(in, c->scratch, CAPTURE_SCRATCH_BYTES);
		if (n <= 0)
			break;
		if (out < 0)
			out = create(c, name);
		r = out < 0 ? out : fd_write_all(out, c->scratch, (size_t)n);
		total += (uint64_t)n;
	}
	if (r && out >= 0)
		(void)unlinkat(c->place.bundle_fd, name, 0); /* half a file would mislead */
	return r;
}

/* Appends "TID NAME\n" of one thread, with the id that the core knows it by. */
static void add_thread(struct str *s, int task_fd, const char *tid)
{
	char path[CAPTURE_NAME_MAX];
	char text[THREAD_STATUS_BYTES];
	struct procstatus status;
	struct str p;
	ssize_t n;

	str_init(&p, path, sizeof(path));
	(void)str_addf(&p, "%s/status", tid); /* a number */
	n = fd_read_text_at(task_fd, path, text, sizeof(text) - 1);
	if (n <= 0 || !procstatus_parse(text, (size_t)n, &status))
		return; /* it has ended */
	text[n] = '\0';
	if (str_has_prefix(text, "Name:\t"))
		(void)str_addf(s, "%d %.*s\n", status.ns_pid,
			(int)strcspn(text + strlen("Name:\t"), "\n"), text + strlen("Name:\t"));
}

/* proc.threads: the names that threads have given themselves, which a core has no place for. */
static int write_threads(struct capture *c, int proc_fd)
{
	_cleanup_close_ int task_fd = openat(proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_Alignas(struct dirent64) char buffer[4096];
	uint32_t left = NAMED_THREADS_MAX;
	struct str s;
	ssize_t n;

	str_init(&s, (char *)c->scratch, CAPTURE_SCRATCH_BYTES);
	while (task_fd >= 0 && left && (n = getdents64(task_fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t at = 0; at < n && left;) {
			const struct dirent64 *entry = (const void *)(buffer + at);

			at += entry->d_reclen;
			if (entry->d_name[0] == '.')
				continue;
			add_thread(&s, task_fd, entry->d_name);
			left--;
		}
	return s.len ? capture_add_file(c, "proc.threads", s.text, s.len) : 0;
}

int bundle_snapshot(struct capture *c, int proc_fd)
{
	static const char *const files[][2] = {
		{"status", "proc.status"},
		{"stat", "proc.stat"},
		{"cmdline", "proc.cmdline"},
		{"limits", "proc.limits"},
		{"cgroup", "proc.cgroup"},
		{"oom_score_adj", "proc.oom_score_adj"},
		{"mountinfo", "proc.mountinfo"},
		{"maps", "proc.maps"},
	};
	int error = 0;
	int r;
	ssize_t n;

	if (c->place.bundle_fd < 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		r = copy_proc_file(c, proc_fd, files[i][0], files[i][1]);
		if (r && !error)
			error = r;
	}
	n = readlinkat(proc_fd, "exe", (char *)c->scratch, CAPTURE_SCRATCH_BYTES);
	r = n > 0 ? capture_add_file(c, "proc.exe", c->scratch, (size_t)n) : 0;
	if (r && !error)
		error = r;
	r = write_threads(c, proc_fd);
	return error ? error : r;
}

int capture_add_file(struct capture *c, const char *name, const void *bytes, size_t len)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (c->place.bundle_fd < 0)
		return 0;
	fd = create(c, name);
	if (fd < 0)
		return fd;
	r = fd_write_all(fd, bytes, len);
	if (r)
		(void)unlinkat(c->place.bundle_fd, name, 0); /* half a file would mislead */
	return r;
}

int capture_bundle_fd(const struct capture *c)
{
	return c->place.bundle_fd;
}

/* --- the end ------------------------------------------------------------------------------- */

static int sync_file(int dir_fd, const char *name)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

/* fsyncs every file of the bundle and its directory. */
static int sync_bundle(int fd)
{
	_Alignas(struct dirent64) char buffer[4096];
	ssize_t n;
	int r = 0;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	while (r == 0 && (n = getdents64(fd, buffer, sizeof(buffer))) != 0) {
		if (n < 0)
			return -errno;
		for (ssize_t at = 0; at < n && r == 0;) {
			const struct dirent64 *entry = (const void *)(buffer + at);

			at += entry->d_reclen;
			if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
				r = sync_file(fd, entry->d_name);
		}
	}
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r;
}

static int rename_into_place(const struct capture_place *place)
{
	int fd = place->parent_fd;

	if (renameat2(fd, place->partial_name, fd, place->final_name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (!place->output_mode)
		return renameat(fd, place->partial_name, fd, place->final_name) < 0 ? -errno : 0;
	if (linkat(fd, place->partial_name, fd, place->final_name, 0) < 0)
		return -errno;
	return unlinkat(fd, place->partial_name, 0) < 0 ? -errno : 0;
}

int capture_finish(struct capture *c, struct capture_result *ret)
{
	struct capture_place *place = &c->place;
	int r = 0;

	if (!place->created)
		return -ENOENT;
	if (place->core_fd >= 0 && fsync(place->core_fd) < 0)
		r = -errno;
	if (r == 0 && place->bundle_fd >= 0)
		r = sync_bundle(place->bundle_fd);
	if (r == 0)
		r = rename_into_place(place);
	if (r == 0) {
		place_result_paths(c, /* final= */ true);
		place->created = false;
		if (fsync(place->parent_fd) < 0)
			r = -errno;
		capture_place_done(c);
	}
	memcpy(ret->path, c->result.path, sizeof(ret->path));
	memcpy(ret->core_path, c->result.core_path, sizeof(ret->core_path));
	return r;
}

void capture_discard(struct capture *c)
{
	capture_place_abandon(c);
}
