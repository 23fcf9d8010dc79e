// SPDX-License-Identifier: Apache-2.0
/*
 * Patterns of memory with a file behind it: memfd, System V segments, page cache.
 *
 * Shared memory is charged to the cgroup that touches it first, and reading a page of it that was
 * never written allocates that page. So `memfd` leaves every second chunk a hole: a dumper that
 * reads everything it sees would double what the process uses, and the manifest says which chunks
 * must still be holes.
 *
 * `filecache` is the opposite case: the same charge to the same cgroup, and no leak at all, because
 * the kernel takes the pages back as soon as it needs them. It stops at 1 GiB unless told
 * otherwise, as it fills a disk.
 *
 * Nothing here has a name that outlives the process: the memfd and the file are unlinked from
 * birth, System V segments are marked for removal before they are touched.
 */
#include "fill.h"
#include "leak.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#define RW (PROT_READ | PROT_WRITE)

/* --- memfd -------------------------------------------------------------------------------------
 */

/* One chunk, and a hole of the same size after it. False when the leak is being stopped. */
static bool memfd_pair(struct leak *leak, int fd, off_t at, uint64_t bytes)
{
	struct manifest_entry *entry;
	unsigned char *memory;

	while (ftruncate(fd, at + (off_t)(2 * bytes)) < 0) {
		if (!leak_failed(leak, "ftruncate", 2 * bytes, errno))
			return false;
	}
	for (;;) {
		memory = mmap(NULL, 2 * bytes, RW, MAP_SHARED, fd, at);
		if (memory != MAP_FAILED)
			break;
		if (!leak_failed(leak, "mmap", 2 * bytes, errno))
			return false;
	}
	entry = leak_publish(leak, memory, bytes, MANIFEST_SHARED, 0);
	(void)leak_publish(leak, memory + bytes, bytes, MANIFEST_HOLE, 0);
	leak_fill(leak, entry, memory, bytes, true);
	return true;
}

enum pattern_result pattern_memfd(struct leak *leak)
{
	int fd = memfd_create("leaker", MFD_CLOEXEC);
	uint64_t bytes;
	off_t at = 0;

	if (fd < 0) {
		log_line("leaker: memfd_create: %s", strerror(errno));
		return PATTERN_NOT_PERMITTED;
	}
	while ((bytes = leak_claim(leak, leak->plan.chunk_bytes)) > 0) {
		if (!memfd_pair(leak, fd, at, bytes))
			break;
		at += (off_t)(2 * bytes);
	}
	(void)close(fd); /* the mappings keep the memory */
	return PATTERN_DONE;
}

/* --- System V ----------------------------------------------------------------------------------
 */

/* A segment that is gone with its last mapping. NULL when the leak is being stopped. */
static void *shm_segment(struct leak *leak, uint64_t bytes)
{
	for (;;) {
		const char *what = "shmget";
		int id = shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600);
		int error = errno;

		if (id >= 0) {
			void *memory = shmat(id, NULL, 0);

			error = errno;
			what = "shmat";
			(void)shmctl(id, IPC_RMID, NULL); /* our own segment: cannot fail */
			if (memory != (void *)-1)	  /* NOLINT(performance-no-int-to-ptr) */
				return memory;
		}
		if (!leak_failed(leak, what, bytes, error))
			return NULL;
	}
}

enum pattern_result pattern_sysv_shm(struct leak *leak)
{
	uint64_t bytes;

	while ((bytes = leak_claim(leak, leak->plan.chunk_bytes)) > 0) {
		void *memory = shm_segment(leak, bytes);

		if (!memory)
			break;
		leak_fill(leak, leak_publish(leak, memory, bytes, MANIFEST_SHARED, 0), memory,
			bytes, true);
	}
	return PATTERN_DONE;
}

/* --- page cache --------------------------------------------------------------------------------
 */

/* An unlinked file in DIR. The descriptor, or a negative errno. */
static int open_unlinked(const char *dir)
{
	char path[PATH_MAX];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	/* file systems without O_TMPFILE (older overlayfs) answer one of these two */
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd >= 0 ? fd : -errno;
	if ((size_t)snprintf(path, sizeof(path), "%s/leaker-XXXXXX", dir) >= sizeof(path))
		return -ENAMETOOLONG;
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return -errno;
	(void)unlink(path); /* ours, just made */
	return fd;
}

/* Writes one chunk. False when the leak is being stopped. */
static bool write_chunk(struct leak *leak, int fd, const unsigned char *from, uint64_t bytes)
{
	for (uint64_t done = 0; done < bytes;) {
		ssize_t r = write(fd, from + done, bytes - done);

		if (r > 0)
			done += (uint64_t)r;
		else if (!leak_failed(leak, "write", bytes - done, r < 0 ? errno : ENOSPC))
			return false;
	}
	leak_count(leak, bytes);
	return true;
}

enum pattern_result pattern_filecache(struct leak *leak)
{
	uint64_t bytes, buffer_bytes = leak->plan.chunk_bytes;
	unsigned char *buffer;
	int fd;

	if (leak->fd_count == LEAK_FDS_MAX) {
		log_line("leaker: %u files are held already, free them first", LEAK_FDS_MAX);
		return PATTERN_EXHAUSTED;
	}
	fd = open_unlinked(leak->plan.dir);
	if (fd < 0) {
		log_line("leaker: no file in %.100s: %s", leak->plan.dir, strerror(-fd));
		return PATTERN_NOT_PERMITTED;
	}
	leak->fds[leak->fd_count++] = fd; /* kept: the cache lasts as long as the file */
	buffer = leak_map(leak, NULL, buffer_bytes, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (!buffer)
		return PATTERN_DONE;
	fill_write(leak->manifest.header->seed, (uint64_t)(uintptr_t)buffer, buffer, buffer_bytes);
	while ((bytes = leak_claim(leak, buffer_bytes)) > 0) {
		if (!leak_pace(leak, bytes) || !write_chunk(leak, fd, buffer, bytes))
			break;
	}
	(void)munmap(buffer, buffer_bytes); /* our own mapping: cannot fail */
	return PATTERN_DONE;
}
