// SPDX-License-Identifier: Apache-2.0
/*
 * The program from its first to its last moment: regions, HTTP, the leak, readiness, signals.
 *
 * Every signal that means something is blocked in all threads and taken from sigwaitinfo() by one:
 * handlers would run on any thread, in the middle of a fill. It also makes the program a good first
 * process of a container, where a signal without a handler is ignored: SIGTERM and SIGINT end it,
 * and whatever dies there is reaped, be it a child of `fork` or an orphan that the kernel handed
 * over.
 *
 * "Ready" is said once everything is in place and before the first byte is leaked. With
 * --start-paused the leak then waits for SIGUSR1, so that a test can put the process into its
 * cgroup and start watching; the signal is blocked from the start and therefore never lost.
 *
 * The end is _exit(): nothing buffered is left to write, and a process at its memory limit should
 * not walk through its memory to die.
 */
#include "serve.h"

#include "http.h"
#include "leak.h"
#include "log.h"
#include "size.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* One program per process: it lives as long as the process does, and threads refer to it. */
struct program {
	struct options options;
	struct leak leak;
	struct http http;
	sigset_t signals;
};

/* On the leak's thread, after each run. */
static void on_end(void *arg, enum pattern_result result)
{
	const struct program *p = arg;

	if (!p->options.leak_at_once)
		return;
	if (result == PATTERN_NOT_PERMITTED)
		_exit(SERVE_NOT_PERMITTED);
	if (!p->options.hold && !leak_stopping(&p->leak))
		_exit(result == PATTERN_EXHAUSTED ? SERVE_EXHAUSTED : SERVE_OK);
}

static int complain(const char *what, int error)
{
	fprintf(stderr, "leaker: %s: %s\n", what, strerror(error));
	return SERVE_FAILED;
}

static int start_http(struct program *p, struct listen_address *ret_bound)
{
	int fd = listen_open(&p->options.listen, ret_bound);

	if (fd < 0)
		return fd;
	return http_start(&p->http, &p->leak, &p->options.plan, fd);
}

static bool write_line(int fd, const char *line)
{
	size_t len = strlen(line);

	return write(fd, line, len) == (ssize_t)len;
}

/* Writes LINE to the descriptor and the file asked for. 0 or a negative errno. */
static int say_ready(const struct options *o, const char *line)
{
	int fd, r = 0;

	if (o->ready_fd >= 0) {
		if (!write_line(o->ready_fd, line))
			return -errno;
		(void)close(o->ready_fd); /* whoever reads it sees the end of it */
	}
	if (!o->ready_file)
		return 0;
	fd = open(o->ready_file, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (!write_line(fd, line))
		r = -errno;
	(void)close(fd); /* the line is short: it was written whole or not at all */
	return r;
}

static int announce(const struct program *p, const struct listen_address *bound)
{
	char line[LOG_LINE_BYTES + 1], where[LISTEN_TEXT_BYTES] = "none";
	int r;

	if (bound->len > 0) {
		listen_format(bound, where);
		log_line("leaker: listening on http://%s/", where);
	}
	(void)snprintf(line, sizeof(line),
		"leaker: ready pid=%d manifest=0x%" PRIx64 " listen=%s\n", getpid(),
		p->leak.manifest.header->self, where); /* far shorter than the buffer */
	log_line("%.*s", (int)strcspn(line, "\n"), line);
	r = say_ready(&p->options, line);
	return r < 0 ? complain(p->options.ready_file ? p->options.ready_file : "--ready-fd", -r)
		     : SERVE_OK;
}

static void begin_leak(struct program *p)
{
	struct pattern_plan plan = p->options.plan;

	pattern_plan(&plan);
	if (leak_start(&p->leak, &plan, 64 * SIZE_MB) == LEAK_BUSY)
		log_line("leaker: it runs already");
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (WIFSIGNALED(status))
			log_line("leaker: child %d killed by signal %d", pid, WTERMSIG(status));
	}
}

/* Takes signals until one says that this is the end. */
static void *signal_loop(void *arg)
{
	struct program *p = arg;

	for (;;) {
		siginfo_t info;
		/* no deadline: an idle service has nothing to do */
		int sig = sigwaitinfo(&p->signals, &info);

		if (sig == SIGTERM || sig == SIGINT) {
			log_line("leaker: ended by signal %d", sig);
			_exit(SERVE_OK);
		}
		if (sig == SIGCHLD)
			reap();
		if (sig == SIGUSR1 && p->options.leak_at_once)
			begin_leak(p);
	}
	return NULL;
}

static void block_signals(struct program *p)
{
	/* sets of valid signals: none of this can fail */
	(void)sigemptyset(&p->signals);
	(void)sigaddset(&p->signals, SIGTERM);
	(void)sigaddset(&p->signals, SIGINT);
	(void)sigaddset(&p->signals, SIGCHLD);
	(void)sigaddset(&p->signals, SIGUSR1);
	(void)pthread_sigmask(SIG_BLOCK, &p->signals, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
}

int serve_run(const struct options *options)
{
	static struct program program; /* static: it outlives the main thread */
	struct listen_address bound = {.len = 0};
	struct program *p = &program;
	const char *what;
	pthread_t thread;
	int r;

	p->options = *options;
	block_signals(p);
	r = leak_init(&p->leak, options->seed, on_end, p);
	if (r < 0)
		return complain("cannot start", -r);
	r = region_make(&p->leak.manifest, &options->regions, &what);
	if (r < 0)
		return complain(what, -r);
	if (options->serve_http) {
		r = start_http(p, &bound);
		if (r < 0)
			return complain("--listen", -r);
	}
	r = announce(p, &bound);
	if (r != SERVE_OK)
		return r;
	if (options->leak_at_once && !options->start_paused)
		begin_leak(p);
	if (options->main_exits) {
		r = pthread_create(&thread, NULL, signal_loop, p);
		if (r != 0)
			return complain("--main-exits", r);
		pthread_exit(NULL);
	}
	(void)signal_loop(p); /* ends the process */
	return SERVE_FAILED;
}
