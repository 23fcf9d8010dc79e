// SPDX-License-Identifier: Apache-2.0
/*
 * Preloaded into the test build: counts what must not happen between trip and release.
 *
 * The fault points of the test build (action "mark") write a line when they are passed. This
 * library sees those lines go by and keeps a window open in each process: in the watchdog from
 * "trip" to "released", in the capturer from "capture-start" to "capture-sync". While it is open
 * every allocation, mapping, fork, thread and exec is counted; when it closes the counts are
 * written to the same file: "calm PROCESS WINDOW allocations N mappings N forks N execs N".
 * OOMSNAP_CALM_ABORT makes the first one abort instead, for a debugger to show who it was.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_bool window;
static atomic_uint allocations;
static atomic_uint mappings;
static atomic_uint forks;
static atomic_uint execs;

static void count(atomic_uint *what)
{
	if (!atomic_load(&window))
		return;
	atomic_fetch_add(what, 1);
	if (getenv("OOMSNAP_CALM_ABORT")) // NOLINT(concurrency-mt-unsafe): read only
		abort();
}

static void *real(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

/* glibc's own names: calling them needs no dlsym(), which allocates. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
	count(&allocations);
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	count(&allocations);
	return __libc_calloc(n, size);
}

void *realloc(void *ptr, size_t size)
{
	count(&allocations);
	return __libc_realloc(ptr, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size)
{
	count(&allocations);
	*ret = __libc_memalign(alignment, size);
	return *ret ? 0 : 12; /* ENOMEM */
}

void *aligned_alloc(size_t alignment, size_t size)
{
	count(&allocations);
	return __libc_memalign(alignment, size);
}

void *mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	count(&mappings);
	return (void *)syscall(SYS_mmap, addr, length, prot, flags, fd, offset);
}

pid_t fork(void)
{
	pid_t (*next)(void) = (pid_t(*)(void))real("fork");

	count(&forks);
	return next();
}

int pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
	int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *) =
		(int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))real(
			"pthread_create");

	count(&forks);
	return next(ret, attr, start, arg);
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	int (*next)(pid_t *, const char *, const posix_spawn_file_actions_t *,
		const posix_spawnattr_t *, char *const[],
		char *const[]) = (int (*)(pid_t *, const char *, const posix_spawn_file_actions_t *,
		const posix_spawnattr_t *, char *const[], char *const[]))real("posix_spawn");

	count(&execs);
	return next(pid, path, actions, attr, argv, envp);
}

int execve(const char *path, char *const argv[], char *const envp[])
{
	count(&execs);
	return (int)syscall(SYS_execve, path, argv, envp);
}

static bool starts(const char *text, size_t len, const char *word)
{
	size_t n = strlen(word);

	return len > n && memcmp(text, word, n) == 0 && text[n] == ' ';
}

static void close_window(int fd, const char *name)
{
	char line[160];
	int n;

	atomic_store(&window, false);
	n = snprintf(line, sizeof(line),
		"calm %d %s allocations %u mappings %u forks %u execs %u\n", (int)getpid(), name,
		atomic_load(&allocations), atomic_load(&mappings), atomic_load(&forks),
		atomic_load(&execs));
	if (n > 0)
		(void)!syscall(SYS_write, fd, line, (size_t)n);
}

ssize_t write(int fd, const void *buffer, size_t len)
{
	if (starts(buffer, len, "trip") || starts(buffer, len, "capture-start"))
		atomic_store(&window, true);
	else if (starts(buffer, len, "released") && atomic_load(&window))
		close_window(fd, "watchdog");
	else if (starts(buffer, len, "capture-sync") && atomic_load(&window))
		close_window(fd, "capturer");
	return syscall(SYS_write, fd, buffer, len);
}
