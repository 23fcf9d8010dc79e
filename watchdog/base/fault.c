// SPDX-License-Identifier: Apache-2.0
/*
 * Fault points of test builds. See fault.h for the list and the grammar.
 *
 * The environment is read once at start, so that a point costs one array look-up and neither
 * allocates nor parses between trip and release. A product build compiles this file to nothing.
 */
#include "base/fault.h"

#ifdef OOMSNAP_TEST

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum fault_action {
	FAULT_NONE,
	FAULT_KILL,
	FAULT_STOP,
	FAULT_WAIT,
	FAULT_MARK,
	FAULT_EIO,
	FAULT_ENOSPC,
	FAULT_ESRCH,
	FAULT_ACTION_COUNT
};

static const char *const fault_names[FAULT_COUNT] = {
#define X(id, name) [FAULT_##id] = (name),
	FAULT_POINTS(X)
#undef X
};

static const char *const fault_actions[FAULT_ACTION_COUNT] = {
	"none", "kill", "stop", "wait", "mark", "eio", "enospc", "esrch"};

static struct {
	enum fault_action action[FAULT_COUNT];
	const char *mark_file;
} fault;

static int find(const char *const *names, int count, const char *name, size_t len)
{
	for (int i = 0; i < count; i++)
		if (strlen(names[i]) == len && strncmp(names[i], name, len) == 0)
			return i;
	return -1;
}

void fault_init(void)
{
	const char *spec = getenv("OOMSNAP_FAULT");

	fault.mark_file = getenv("OOMSNAP_FAULT_FILE");
	while (spec && *spec) {
		size_t len = strcspn(spec, ",");
		size_t eq = strcspn(spec, "=,");
		int id = find(fault_names, FAULT_COUNT, spec, eq);
		int action = eq < len
			? find(fault_actions, FAULT_ACTION_COUNT, spec + eq + 1, len - eq - 1)
			: -1;

		if (id < 0 || action < 0) {
			(void)fprintf(stderr, "OOMSNAP_FAULT: bad part '%.*s'\n", (int)len, spec);
			exit(64);
		}
		fault.action[id] = (enum fault_action)action;
		spec += len + (spec[len] == ',');
	}
}

static void mark(enum fault_id id)
{
	struct timespec ts;
	char line[128];
	int fd;
	int n;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	n = snprintf(line, sizeof(line), "%s %d %lld\n", fault_names[id], (int)getpid(),
		(long long)ts.tv_sec * 1000000000LL + ts.tv_nsec);
	fd = fault.mark_file ? open(fault.mark_file, O_WRONLY | O_APPEND | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	if (n > 0)
		(void)!write(fd, line, (size_t)n);
	(void)close(fd);
}

int fault_point(enum fault_id id)
{
	switch (fault.action[id]) {
	case FAULT_KILL:
		(void)kill(getpid(), SIGKILL);
		break;
	case FAULT_STOP:
		(void)kill(getpid(), SIGSTOP);
		break;
	case FAULT_WAIT: {
		const struct timespec ts = {.tv_nsec = FAULT_WAIT_MS * 1000000L};

		(void)nanosleep(&ts, NULL);
		break;
	}
	case FAULT_MARK:
		mark(id);
		break;
	case FAULT_EIO:
		return -EIO;
	case FAULT_ENOSPC:
		return -ENOSPC;
	case FAULT_ESRCH:
		return -ESRCH;
	case FAULT_NONE:
	case FAULT_ACTION_COUNT:
		break;
	}
	return 0;
}

#else

/* ISO C forbids an empty translation unit. */
extern int fault_unused_in_product_builds;

#endif
