/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small reads and writes on descriptors, without allocation. Kernel files (cgroup, proc) give their
 * whole text from offset 0 in one read as long as the buffer is large enough.
 */
#ifndef OOMSNAP_OS_FD_H
#define OOMSNAP_OS_FD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Reads from offset 0 until the end or until size bytes; the text is not terminated. Returns the
 * number of bytes, or -errno. A file longer than size is cut: ask for more than the file can hold.
 */
ssize_t fd_read_text(int fd, char *buffer, size_t size);

/*
 * The same in one read: for files of a cgroup, whose text the kernel makes in one piece. Saves the
 * second call that finds the end, in what is read up to a thousand times a second.
 */
ssize_t fd_read_piece(int fd, char *buffer, size_t size);

/* Opens NAME below dir_fd, reads it as fd_read_text() does, closes it. Bytes or -errno. */
ssize_t fd_read_text_at(int dir_fd, const char *name, char *buffer, size_t size);

/*
 * openat(2) of a name in the directory itself: no link is followed, and no mount is entered, so
 * that whatever somebody mounted over it is asked nothing and cannot keep us waiting (openat2(2),
 * RESOLVE_NO_XDEV, Linux 5.6; before it plainly by openat(2)). For directories that others can
 * mount in. The descriptor, which is the caller's, or -errno; -EXDEV where something is mounted
 * there.
 */
int fd_open_in(int dir_fd, const char *name, int flags);

/* fd_read_text_at() by fd_open_in(). */
ssize_t fd_read_text_in(int dir_fd, const char *name, char *buffer, size_t size);

/* Writes len bytes in one write(2), as the control files of cgroups want it. 0 or -errno. */
int fd_write_text(int fd, const char *text, size_t len);

/* Writes everything, over short writes and EINTR. 0 or -errno. */
int fd_write_all(int fd, const void *bytes, size_t len);

/* The same to an offset of a file; -ENOSPC also where nothing can be written any more. */
int fd_write_all_at(int fd, const void *bytes, size_t len, uint64_t offset);

/*
 * Makes sure that descriptors 0, 1 and 2 exist, by /dev/null where one is closed: what is opened
 * later must not become a standard stream. Called first of all; without /dev/null nothing changes.
 */
void fd_ensure_standard(void);

/* Opens path below dir_fd for writing and writes text into it in one piece. 0 or -errno. */
int fd_write_text_at(int dir_fd, const char *path, const char *text);

#endif
