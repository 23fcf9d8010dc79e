/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a mapped file whose disk may fail.
 */
#ifndef OOMSNAP_OS_SIGBUS_H
#define OOMSNAP_OS_SIGBUS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

/* The caller's; filled by sigbus_begin(). */
struct sigbus {
	struct sigaction action; /* as it was before */
	sigset_t mask;
};

/*
 * From here on the calling thread reads zeros where the file mapped at [at, at + len) cannot give a
 * page, instead of ending by SIGBUS (mmap(2): the file was cut; the same for what a disk fails on),
 * and from the first such page on zeros to the end of the mapping. at is the start of a mapping,
 * which stays the caller's to unmap. One at a time in a process: the action on a signal belongs to
 * all threads. A SIGBUS of anything else ends the process as ever. Allocates nothing.
 */
void sigbus_begin(struct sigbus *s, const void *at, size_t len);

/* Ends it, whatever became of it. True if every page that was read was there. */
bool sigbus_end(struct sigbus *s);

#endif
