// SPDX-License-Identifier: Apache-2.0
/*
 * Reading a mapped file whose disk may fail. See sigbus.h for the contract.
 *
 * A mapping reads a file in place and costs no memory that the kernel could not take back, which
 * counts where we run in a small control group; but it has no way to return an error: a page that
 * the disk does not give is a SIGBUS. The handler puts zeros in the place of the rest of the
 * mapping and notes it. The read goes on, on bytes that its reader must not trust anyway, and who
 * began it asks at the end whether what was read is what the file has. Nothing is jumped out of,
 * so that no library in between is left half done.
 *
 * Refuses: addresses outside of the mapping; for those the signal's default action comes back into
 * force, and the instruction meets it a second time.
 *
 * Limits: mmap(2) is not on POSIX's list of what a handler may call; on Linux it is one system call
 * and nothing else. The page is a parameter of the signal (si_addr, sigaction(2)).
 */
#include "os/sigbus.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* What a handler can know, it knows from here. */
static _Thread_local struct {
	uintptr_t from; /* 0: nothing is guarded */
	uintptr_t to;
	uintptr_t page_bytes;
	volatile sig_atomic_t lost;
} guarded;

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr;
	int error = errno;

	(void)context;
	at -= at % (guarded.page_bytes ? guarded.page_bytes : 1);
	if (!guarded.from || at < guarded.from || at >= guarded.to ||
		mmap((void *)at, guarded.to - at, PROT_READ, // NOLINT(performance-no-int-to-ptr)
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
			0) == MAP_FAILED)
		(void)signal(number, SIG_DFL);
	else
		guarded.lost = 1;
	errno = error;
}

void sigbus_begin(struct sigbus *s, const void *at, size_t len)
{
	const struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
	sigset_t set;

	guarded.from = (uintptr_t)at;
	guarded.to = guarded.from + len;
	guarded.page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
	guarded.lost = 0;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGBUS);
	(void)sigaction(SIGBUS, &action, &s->action); /* cannot fail for a valid signal */
	/* One that is blocked is not handled: the kernel ends the process. */
	(void)pthread_sigmask(SIG_UNBLOCK, &set, &s->mask);
}

bool sigbus_end(struct sigbus *s)
{
	(void)pthread_sigmask(SIG_SETMASK, &s->mask, NULL);
	(void)sigaction(SIGBUS, &s->action, NULL);
	guarded.from = 0;
	return !guarded.lost;
}
