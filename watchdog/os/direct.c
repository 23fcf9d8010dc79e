// SPDX-License-Identifier: Apache-2.0
/*
 * Direct writes by Linux's asynchronous I/O (io_submit(2)).
 *
 * A buffered write costs a page of the page cache and a copy for each page, is made under the lock
 * of the file, so that two threads are no faster than one, and is held back by the kernel when much
 * is dirty on the machine. A direct one costs the processor next to nothing and no memory; what it
 * costs is the disk's time, in which a synchronous write would keep its thread and the file's lock.
 * Sent asynchronously the lock is held for the moment of sending only, so that direct and buffered
 * writes to different parts of one file go on side by side.
 *
 * io_uring would do the same, but it is switched off in many containers; io_submit is allowed by
 * their default filters. The kernel's documentation: io_submit(2), open(2) on O_DIRECT.
 *
 * What the disk does not take (a file system without direct writes, other alignment, no space, an
 * I/O error) is handed to the caller, who writes it the other way and learns why that fails, too.
 * After a refusal in principle nothing more is tried.
 *
 * Nothing is allocated after direct_new(). Limits: io_submit may sleep, for the journal of the file
 * system or a full queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "os/direct.h"

struct write {
	struct iocb iocb;
	uint32_t slot;
	bool busy;
};

struct direct {
	aio_context_t context; /* 0: none */
	unsigned char *buffers;
	size_t slot_bytes;
	uint32_t slot_count;
	uint32_t current;
	int fd;
	bool off; /* this file takes none */
	direct_refused *refused;
	void *user;
	uint32_t busy;			  /* writes */
	uint32_t users[DIRECT_SLOTS_MAX]; /* writes from each slot */
	struct write writes[DIRECT_WRITES_MAX];
};

int direct_new(unsigned char *buffers, uint32_t count, size_t slot_bytes, struct direct **ret)
{
	struct direct *d;

	if (!count || count > DIRECT_SLOTS_MAX || slot_bytes % DIRECT_ALIGN_BYTES ||
		(uintptr_t)buffers % DIRECT_ALIGN_BYTES)
		return -EINVAL;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->buffers = buffers;
	d->slot_bytes = slot_bytes;
	d->slot_count = count;
	d->fd = -1;
	if (syscall(SYS_io_setup, DIRECT_WRITES_MAX, &d->context) < 0)
		d->context = 0;
	*ret = d;
	return 0;
}

void direct_free(struct direct *d)
{
	if (!d)
		return;
	if (d->context)
		(void)syscall(SYS_io_destroy, d->context); /* nothing is on its way */
	free(d);
}

void direct_begin(struct direct *d, int fd, direct_refused *refused, void *user)
{
	d->fd = fd;
	d->off = fd < 0 || !d->context;
	d->refused = refused;
	d->user = user;
	d->current = 0;
}

int direct_open(int fd)
{
	char name[40];
	int direct;

	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd); /* 14 + 11 bytes */
	direct = open(name, O_WRONLY | O_DIRECT | O_CLOEXEC);
	return direct < 0 ? -errno : direct;
}

static void on_event(struct direct *d, const struct io_event *event)
{
	struct write *w = &d->writes[event->data];
	const struct iocb *iocb = &w->iocb;
	uint64_t done = event->res > 0 ? (uint64_t)event->res : 0;

	if (event->res == -EINVAL || event->res == -EOPNOTSUPP)
		d->off = true;
	if (done < iocb->aio_nbytes)
		d->refused(d->user, (const unsigned char *)(uintptr_t)iocb->aio_buf + done,
			iocb->aio_nbytes - done, (uint64_t)iocb->aio_offset + done);
	w->busy = false;
	d->busy--;
	d->users[w->slot]--;
}

/* Takes what has ended; waits for one write at least, or for none. */
static void reap(struct direct *d, bool wait)
{
	struct timespec no_time = {0};
	struct io_event events[8];
	long n;

	do {
		n = syscall(SYS_io_getevents, d->context, wait ? 1L : 0L, (long)ARRAY_LEN(events),
			events, wait ? NULL : &no_time);
	} while (n < 0 && errno == EINTR);
	for (long i = 0; i < n; i++)
		on_event(d, &events[i]);
}

unsigned char *direct_buffer(struct direct *d)
{
	for (;;) {
		for (uint32_t i = 0; i < d->slot_count; i++) {
			uint32_t slot = (d->current + i) % d->slot_count;

			if (!d->users[slot]) {
				d->current = slot;
				return d->buffers + slot * d->slot_bytes;
			}
		}
		reap(d, /* wait= */ true);
	}
}

bool direct_ready(struct direct *d)
{
	for (int look = 0; look < 2; look++) {
		for (uint32_t slot = 0; slot < d->slot_count; slot++)
			if (slot != d->current && !d->users[slot])
				return true;
		if (look == 0 && d->busy)
			reap(d, /* wait= */ false);
	}
	return false;
}

static struct write *free_write(struct direct *d)
{
	while (d->busy == DIRECT_WRITES_MAX)
		reap(d, /* wait= */ true);
	for (uint32_t i = 0;; i++)
		if (!d->writes[i].busy)
			return &d->writes[i];
}

bool direct_write(struct direct *d, const unsigned char *bytes, size_t len, uint64_t offset)
{
	struct iocb *list;
	struct write *w;

	if (d->off || len < DIRECT_LEAST_BYTES ||
		((uintptr_t)bytes | len | offset) % DIRECT_ALIGN_BYTES)
		return false;
	w = free_write(d);
	w->iocb = (struct iocb){.aio_data = (uint64_t)(w - d->writes),
		.aio_lio_opcode = IOCB_CMD_PWRITE,
		.aio_fildes = (uint32_t)d->fd,
		.aio_buf = (uintptr_t)bytes,
		.aio_nbytes = len,
		.aio_offset = (int64_t)offset};
	w->slot = d->current;
	list = &w->iocb;
	if (syscall(SYS_io_submit, d->context, 1L, &list) != 1) {
		d->off |= errno != EAGAIN && errno != EINTR;
		return false;
	}
	w->busy = true;
	d->busy++;
	d->users[w->slot]++;
	return true;
}

void direct_drain(struct direct *d)
{
	while (d->busy)
		reap(d, /* wait= */ true);
}
