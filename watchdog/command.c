// SPDX-License-Identifier: Apache-2.0
/*
 * Runs the user's commands. See command.h for the contract.
 *
 * posix_spawn(3) gives the child a session, default signals and an empty mask, so that a command
 * can neither stop us nor inherit what we block, nor the precedence of our session. Its output goes
 * where ours goes. The deadline ends its whole process group. A command never delays an incident:
 * nobody waits for it, and the engine does not know of it.
 *
 * The captures of one incident are safe within milliseconds of each other, so on_capture has a
 * queue: what a command finds in its environment is noted as the capture is told, and the next one
 * runs when the last has ended, and no target is tripped.
 *
 * Limit: COMMAND_WAITING_MAX captures wait for a target's on_capture; who comes then is told.
 */
#include "command.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"

#define ENVIRONMENT_MAX 10
#define ENVIRONMENT_TEXT (CAPTURE_PATH_MAX + 64)

#define COMMAND_WAITING_MAX 64U		   /* as many as an incident has captures */
#define COMMAND_LATER_NS (100 * NS_PER_MS) /* between looks whether a target is tripped */

/* What a command will find in its environment, when it is its turn. */
struct command_waiting {
	struct command_waiting *next;
	char *list[ENVIRONMENT_MAX + 1];
	char text[]; /* that list points to */
};

static const char *const command_names[COMMAND_COUNT] = {"on_arm", "on_capture"};

static void forget(struct command *c)
{
	c->death = sd_event_source_disable_unref(c->death);
	c->deadline = sd_event_source_disable_unref(c->deadline);
	cleanup_close(&c->pidfd);
	c->pidfd = -1;
	c->pid = 0;
}

static enum command_kind kind_of(const struct command *c)
{
	return (enum command_kind)(c - c->target->command);
}

static void go_on(struct command *c);

static int on_death(sd_event_source *source, const siginfo_t *info, void *user)
{
	struct command *c = user;
	int status = info->si_code == CLD_EXITED ? info->si_status : -info->si_status;

	(void)source;
	watch_wake(c->target->watch);
	tell_command(c->target, command_names[kind_of(c)], c->pid, status);
	forget(c);
	go_on(c);
	return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *user)
{
	struct command *c = user;

	(void)source;
	(void)usec;
	if (c->pid > 0)
		(void)kill(-c->pid, SIGKILL); /* its death is told as the others are */
	return 0;
}

struct environment {
	char text[ENVIRONMENT_MAX][ENVIRONMENT_TEXT];
	char *list[ENVIRONMENT_MAX + 1];
	uint32_t count;
};

static void add(struct environment *e, const char *name, const char *value)
{
	struct str s;

	str_init(&s, e->text[e->count], ENVIRONMENT_TEXT);
	(void)str_addf(&s, "%s=%s", name, value); /* the longest value is a path, and fits */
	e->list[e->count] = e->text[e->count];
	e->count++;
}

static void fill(struct environment *e, const struct target *t, pid_t pid,
	const struct capture_result *result)
{
	char number[16];

	memset(e, 0, sizeof(*e));
	(void)snprintf(number, sizeof(number), "%d", (int)pid);
	add(e, "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	add(e, "OOMSNAP_TARGET", t->config->name);
	add(e, "OOMSNAP_CGROUP", t->found_path);
	add(e, "OOMSNAP_PID", number);
	if (t->pod.pod[0])
		add(e, "OOMSNAP_POD", t->pod.pod);
	if (t->pod.container[0])
		add(e, "OOMSNAP_CONTAINER", t->pod.container);
	if (result) {
		add(e, "OOMSNAP_PATH", result->path);
		add(e, "OOMSNAP_CORE", result->core_path);
	}
}

static int spawn(const char *text, char *const environment[], pid_t *ret)
{
	/* Our own immunity to the OOM killer is not for the user's commands. */
	static const char wrapper[] = "echo 0 2>/dev/null >/proc/self/oom_score_adj; eval \"$1\"";
	char *const argv[] = {
		(char *)"sh", (char *)"-c", (char *)wrapper, (char *)"oomsnap", (char *)text, NULL};
	posix_spawnattr_t attr;
	sigset_t none;
	sigset_t all;
	int r = posix_spawnattr_init(&attr);

	if (r != 0)
		return -r;
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &all);
	(void)posix_spawnattr_setflags(
		&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	r = posix_spawn(ret, "/bin/sh", NULL, &attr, argv, environment);
	(void)posix_spawnattr_destroy(&attr);
	return -r;
}

static int watch_command(struct command *c, uint64_t timeout_ns)
{
	struct watch *w = c->target->watch;
	int r;

	c->pidfd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	if (c->pidfd < 0)
		return -errno;
	r = sd_event_add_child_pidfd(w->event, &c->death, c->pidfd, WEXITED, on_death, c);
	if (r >= 0)
		r = sd_event_add_time(w->event, &c->deadline, CLOCK_MONOTONIC,
			add_sat(w->now_ns, timeout_ns) / NS_PER_US, 0, on_deadline, c);
	return r;
}

static void start(
	struct command *c, const char *text, uint64_t timeout_ns, char *const environment[])
{
	int r;

	c->pidfd = -1;
	r = spawn(text, environment, &c->pid);
	if (r == 0)
		r = watch_command(c, timeout_ns);
	if (r >= 0)
		return;
	tell_error(c->target, command_names[kind_of(c)], r, "the command cannot be run");
	if (c->pid > 0)
		(void)kill(-c->pid, SIGKILL); /* our own child's group, not yet waited for */
	forget(c);
}

/* --- the queue ----------------------------------------------------------------------------- */

static int put_off(struct command *c, const struct environment *e)
{
	struct command_waiting **end = &c->waiting;
	struct command_waiting *w;
	size_t bytes = 0;
	uint32_t count = 0;
	char *at;

	for (; *end; end = &(*end)->next)
		if (++count == COMMAND_WAITING_MAX)
			return -ENOBUFS;
	for (uint32_t i = 0; i < e->count; i++)
		bytes += strlen(e->text[i]) + 1;
	w = calloc(1, sizeof(*w) + bytes);
	if (!w)
		return -ENOMEM;
	at = w->text;
	for (uint32_t i = 0; i < e->count; i++) {
		w->list[i] = at;
		at = stpcpy(at, e->text[i]) + 1; // NOLINT: as long as was counted
	}
	*end = w;
	return 0;
}

static int on_later(sd_event_source *source, uint64_t usec, void *user)
{
	struct command *c = user;

	(void)source;
	(void)usec;
	watch_wake(c->target->watch);
	c->later = sd_event_source_disable_unref(c->later);
	go_on(c);
	return 0;
}

/* Runs whoever waits, unless one runs already; nothing is forked while a target is tripped. */
static void go_on(struct command *c)
{
	const struct config_command *wanted = &c->target->config->on_capture;
	struct watch *w = c->target->watch;

	while (c->waiting && c->pid <= 0 && !c->later) {
		struct command_waiting *first = c->waiting;

		if (watch_in_incident(w) &&
			sd_event_add_time(w->event, &c->later, CLOCK_MONOTONIC,
				(w->now_ns + COMMAND_LATER_NS) / NS_PER_US, 0, on_later, c) >= 0)
			return;
		c->waiting = first->next;
		start(c, wanted->text, wanted->timeout_ns, first->list);
		free(first);
	}
}

static void forget_waiting(struct command *c)
{
	while (c->waiting) {
		struct command_waiting *first = c->waiting;

		tell_error(c->target, command_names[kind_of(c)], -ECANCELED,
			"it was not run for a capture that waited for it");
		c->waiting = first->next;
		free(first);
	}
	c->later = sd_event_source_disable_unref(c->later);
}

/* --- what the others ask for --------------------------------------------------------------- */

void command_start(
	struct target *t, enum command_kind kind, pid_t pid, const struct capture_result *result)
{
	static struct environment environment; /* the loop is one thread */
	const struct config_command *wanted =
		kind == COMMAND_ON_ARM ? &t->config->on_arm : &t->config->on_capture;
	struct command *c = &t->command[kind];
	int r;

	if (!wanted->text[0] || (c->pid > 0 && kind == COMMAND_ON_ARM))
		return;
	fill(&environment, t, pid, result);
	c->target = t;
	if (c->pid <= 0 && !c->waiting) {
		start(c, wanted->text, wanted->timeout_ns, environment.list);
		return;
	}
	r = put_off(c, &environment);
	if (r < 0)
		tell_error(t, command_names[kind], r,
			"it still runs for earlier captures, and is not run for this one");
}

void command_stop(struct target *t)
{
	for (int kind = 0; kind < COMMAND_COUNT; kind++) {
		struct command *c = &t->command[kind];

		forget_waiting(c);
		if (c->pid <= 0)
			continue;
		(void)kill(-c->pid, SIGKILL); /* our own child's group */
		forget(c);
	}
}
