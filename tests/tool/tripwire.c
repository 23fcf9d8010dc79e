// SPDX-License-Identifier: Apache-2.0
/*
 * tripwire: drives the watchdog's tripwire (os/bpf.c) alone, for tests and benchmarks.
 *
 *   tripwire --probe
 *   tripwire [OPTION...] --cgroup DIR --threshold BYTES
 *     --tell            do not stop, only say it        --used     threshold is of used memory
 *     --oom  --reclaim  trip there instead of at a charge
 *     --processes       tell of new processes           --unarmed  add the target, do not arm it
 *     --hook NAME       watch charges there; exit status 4 where that cannot be had
 *     --child           fork a child that keeps every descriptor and outlives us, as a bug would
 *
 * Prints "ready HOOK" once armed, then a line per event ("stopped tgid=.. pid=.. usage=.. hook=..
 * start=.. ip=.. late_us=..": microseconds from the event in the kernel until we read it), and
 * takes commands on stdin, a line each, answered by "ok": arm, disarm, rest, forget, undo, count,
 * notice BYTES, quit. Ends with "count" figures when stdin ends, and leaves stopped what is
 * stopped. "undo" is the guardian's part: it is done in a forked child that has left everything but
 * the shared memory.
 *
 * Exit status: 0; 1 something failed, and it says what; 2 usage; 3 no tripwire on this host; 4 no
 * such hook.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "os/bpf.h"
#include "os/clock.h"

#define LINE_MAX_BYTES 64
#define NOTICE "notice "
#define CHILD_LIFE_MS 60000 /* of --child, should nobody end it */

struct driver {
	struct tripwire *tripwire;
	uint64_t cgroup_id;
	uint64_t threshold_bytes;
	uint32_t flags;
	const char *hook;
	bool probe;
	bool unarmed;
	bool child;
};

static int usage(void)
{
	(void)fputs(
		"usage: tripwire --probe | [OPTION...] --cgroup DIR --threshold BYTES\n", stderr);
	return 2;
}

static int failed(const char *what, int result)
{
	(void)fprintf(stderr, "tripwire: %s: %s (%d)\n", what,
		result < 0 ? strerror(-result) : "see enum tripwire_result", result);
	return 1;
}

static void on_event(const struct tripwire_event *e, void *user)
{
	uint64_t late_us = (clock_now_ns() - e->time_ns) / NS_PER_US;

	(void)user;
	printf("%s tgid=%d pid=%d usage=%" PRIu64 " hook=%s start=%" PRIu64 " ip=%#" PRIx64
	       " cgroup=%" PRIu64 " late_us=%" PRIu64 "\n",
		tripwire_event_kind_name(e->kind), (int)e->tgid, (int)e->pid, e->usage_bytes,
		e->hook, e->start_time_ticks, e->ip, e->cgroup_id, late_us);
}

static void print_count(const struct driver *d)
{
	struct tripwire_counters c;

	tripwire_count(d->tripwire, &c);
	printf("count stops=%" PRIu64 " repeats=%" PRIu64 " lost=%" PRIu64 " no_place=%" PRIu64
	       " unseen=%" PRIu64 " busy=%" PRIu64 " refused=%" PRIu64 " after_end=%" PRIu64 "\n",
		c.stops, c.repeats, c.records_lost, c.no_place, c.unseen, c.signal_busy,
		c.signal_refused, c.after_end);
}

static int undo_in_child(struct driver *d)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return failed("fork", -errno);
	if (pid == 0) {
		uint32_t done, left;

		tripwire_leave(d->tripwire);
		tripwire_shut(d->tripwire);
		left = tripwire_undo(d->tripwire, &done);
		printf("undone %u left %u\n", done, left);
		(void)fflush(stdout);
		_exit(left ? 1 : 0);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		return failed("undo in the child", -ECHILD);
	return 0;
}

/* 0, an exit code, or -1: quit. */
static int command(struct driver *d, const char *line)
{
	uint64_t bytes;
	int r = 0;

	if (strncmp(line, NOTICE, sizeof(NOTICE) - 1) == 0 &&
		str_to_u64(line + sizeof(NOTICE) - 1, &bytes))
		r = tripwire_notice(d->tripwire, d->cgroup_id, bytes);
	else if (strcmp(line, "arm") == 0)
		r = tripwire_arm(d->tripwire, d->cgroup_id);
	else if (strcmp(line, "disarm") == 0)
		r = tripwire_disarm(d->tripwire, d->cgroup_id);
	else if (strcmp(line, "rest") == 0)
		tripwire_rest(d->tripwire);
	else if (strcmp(line, "forget") == 0)
		tripwire_forget(d->tripwire, d->cgroup_id);
	else if (strcmp(line, "undo") == 0)
		r = undo_in_child(d);
	else if (strcmp(line, "count") == 0)
		print_count(d);
	else if (strcmp(line, "quit") == 0)
		return -1;
	else
		return failed(line, -EINVAL);
	if (r != 0)
		return failed(line, r);
	puts("ok");
	return 0;
}

static int on_input(struct driver *d)
{
	char text[LINE_MAX_BYTES], *rest = text, *line;
	ssize_t n = read(STDIN_FILENO, text, sizeof(text) - 1);

	if (n <= 0)
		return -1;
	text[n] = '\0'; /* writers send whole lines, and wait for the answer */
	while ((line = strsep(&rest, "\n")) != NULL) {
		int r = *line ? command(d, line) : 0;

		if (r != 0)
			return r;
	}
	return 0;
}

static int serve(struct driver *d)
{
	struct pollfd fds[2] = {
		{.fd = tripwire_fd(d->tripwire), .events = POLLIN},
		{.fd = STDIN_FILENO, .events = POLLIN},
	};
	int r = 0;

	while (r == 0) {
		if (poll(fds, 2, -1) < 0)
			return failed("poll", -errno);
		r = tripwire_consume(d->tripwire, on_event, NULL);
		if (r < 0)
			return failed("consume", r);
		r = fds[1].revents ? on_input(d) : 0;
		(void)fflush(stdout);
	}
	print_count(d);
	return r < 0 ? 0 : r;
}

static int start(struct driver *d)
{
	int r;

	if (d->hook && tripwire_use_hook(d->tripwire, d->hook) != 0)
		return 4;
	r = tripwire_add(d->tripwire, d->cgroup_id, d->threshold_bytes, 0, d->flags);

	if (r != 0)
		return failed("add", r);
	if (d->child && fork() == 0) {
		(void)poll(NULL, 0, CHILD_LIFE_MS);
		_exit(0);
	}
	if (!d->unarmed) {
		r = tripwire_arm(d->tripwire, d->cgroup_id);
		if (r != 0)
			return failed("arm", r);
	}
	printf("ready %s\n", tripwire_hook_name(d->tripwire));
	(void)fflush(stdout);
	return serve(d);
}

static int probe(const struct driver *d, uint64_t open_ns)
{
	printf("hook=%s oom=%d reclaim=%d processes=%d victims=%d open_us=%" PRIu64 "\n",
		tripwire_hook_name(d->tripwire), tripwire_can(d->tripwire, TRIPWIRE_ON_OOM),
		tripwire_can(d->tripwire, TRIPWIRE_ON_RECLAIM),
		tripwire_can(d->tripwire, TRIPWIRE_PROCESSES), tripwire_sees_victims(d->tripwire),
		open_ns / NS_PER_US);
	return 0;
}

static bool parse(struct driver *d, int argc, char **argv)
{
	static const struct option options[] = {
		{"probe", no_argument, NULL, 'p'},
		{"cgroup", required_argument, NULL, 'c'},
		{"threshold", required_argument, NULL, 't'},
		{"tell", no_argument, NULL, 'T'},
		{"used", no_argument, NULL, 'U'},
		{"oom", no_argument, NULL, 'O'},
		{"reclaim", no_argument, NULL, 'R'},
		{"processes", no_argument, NULL, 'P'},
		{"hook", required_argument, NULL, 'H'},
		{"unarmed", no_argument, NULL, 'u'},
		{"child", no_argument, NULL, 'C'},
		{NULL, 0, NULL, 0},
	};
	struct stat st;
	int c;

	d->flags = TRIPWIRE_STOP | TRIPWIRE_ON_CHARGE;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'p')
			d->probe = true;
		else if (c == 'c' && stat(optarg, &st) == 0)
			d->cgroup_id = st.st_ino;
		else if (c == 't' && str_to_u64(optarg, &d->threshold_bytes))
			continue;
		else if (c == 'T')
			d->flags &= ~TRIPWIRE_STOP;
		else if (c == 'U')
			d->flags |= TRIPWIRE_USED;
		else if (c == 'O')
			d->flags = (d->flags & ~TRIPWIRE_ON_CHARGE) | TRIPWIRE_ON_OOM;
		else if (c == 'R')
			d->flags = (d->flags & ~TRIPWIRE_ON_CHARGE) | TRIPWIRE_ON_RECLAIM;
		else if (c == 'P')
			d->flags |= TRIPWIRE_PROCESSES;
		else if (c == 'H')
			d->hook = optarg;
		else if (c == 'u')
			d->unarmed = true;
		else if (c == 'C')
			d->child = true;
		else
			return false;
	}
	return optind == argc && (d->probe || d->cgroup_id);
}

int main(int argc, char **argv)
{
	struct driver d = {0};
	char why[TRIPWIRE_WHY_MAX];
	uint64_t before_ns = clock_now_ns();
	int r;

	if (!parse(&d, argc, argv))
		return usage();
	r = tripwire_open(&d.tripwire, why, sizeof(why));
	if (r == TRIPWIRE_UNAVAILABLE) {
		(void)fprintf(stderr, "tripwire: %s\n", why);
		return 3;
	}
	if (r != 0)
		return failed("open", r);
	r = d.probe ? probe(&d, clock_now_ns() - before_ns) : start(&d);
	tripwire_close(d.tripwire);
	return r;
}
