/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scope-bound release of file descriptors, heap memory, streams and directories.
 *
 * A variable declared with one of these attributes is released when its scope ends, on every path.
 * Handing the value over to a longer-lived owner is explicit: take_fd() or take_ptr() empties the
 * variable and returns what it held. The release functions accept the empty value (-1 or NULL) and
 * keep errno, so that a failing path still reports the error that made it fail.
 */
#ifndef OOMSNAP_BASE_CLEANUP_H
#define OOMSNAP_BASE_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_close(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd); /* nothing that a reader or a closed writer could still mend */
	errno = saved;
}

static inline void cleanup_free(void *ptr)
{
	int saved = errno;

	free(*(void **)ptr);
	errno = saved;
}

static inline void cleanup_fclose(FILE **stream)
{
	int saved = errno;

	if (*stream)
		(void)fclose(*stream); /* writers check fflush() before they let go */
	errno = saved;
}

static inline void cleanup_closedir(DIR **dir)
{
	int saved = errno;

	if (*dir)
		(void)closedir(*dir);
	errno = saved;
}

#define _cleanup_close_ __attribute__((cleanup(cleanup_close)))
#define _cleanup_free_ __attribute__((cleanup(cleanup_free)))
#define _cleanup_fclose_ __attribute__((cleanup(cleanup_fclose)))
#define _cleanup_closedir_ __attribute__((cleanup(cleanup_closedir)))

/* Returns *fd and leaves -1 in its place: the caller owns the descriptor now. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Returns the pointer held by VAR and leaves NULL in its place: the caller owns it now. */
#define take_ptr(var)                           \
	({                                      \
		__typeof__(var) taken_ = (var); \
		(var) = NULL;                   \
		taken_;                         \
	})

#endif
