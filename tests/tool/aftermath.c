// SPDX-License-Identifier: Apache-2.0
/*
 * aftermath: how long a target stands on after some of our processes were killed.
 *
 *     aftermath [--await MS] --kill PID [--kill PID]... --target PID [--expect FILE TEXT]...
 *         --within MS
 *
 * With --await it waits until the target is traced and stands still, so long at most: a shell looks
 * too seldom for what is short. Sends SIGKILL to each --kill, one right after the other, then looks
 * every 100 us until the target runs (state neither T nor t in /proc/PID/stat) and each FILE begins
 * with, or has a line that begins with, TEXT. Prints the time that it took. Exit status 0: within
 * the time; 1: later (up to ten times the bound) or never; 2: bad usage. A shell cannot measure
 * this: each of its looks costs milliseconds. Takes precedence over what else runs where it may:
 * not its own turn is measured.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define LIST_MAX 16
#define LOOK_NS 100000L

static uint64_t now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000U + (uint64_t)ts.tv_nsec / 1000U;
}

static bool read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, size - 1);
	(void)close(fd);
	if (n < 0)
		return false;
	text[n] = '\0';
	return true;
}

/* Whether the process is in one of these states. */
static bool is_in(pid_t pid, const char *states)
{
	char path[64];
	char text[512];
	const char *paren;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (!read_text(path, text, sizeof(text)))
		return false;
	paren = strrchr(text, ')');
	return paren && paren[1] == ' ' && strchr(states, paren[2]);
}

static bool holds(const char *path, const char *want)
{
	char text[4096];
	const char *line = text;

	if (!read_text(path, text, sizeof(text)))
		return false;
	while (line) {
		if (strncmp(line, want, strlen(want)) == 0)
			return true;
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	return false;
}

struct job {
	pid_t kill[LIST_MAX];
	int kills;
	const char *file[LIST_MAX];
	const char *text[LIST_MAX];
	int expects;
	pid_t target;
	long within_ms;
	long await_ms;
};

static bool parse(int argc, char **argv, struct job *job)
{
	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];

		if (i + 1 >= argc)
			return false;
		if (strcmp(a, "--kill") == 0 && job->kills < LIST_MAX) {
			job->kill[job->kills++] = (pid_t)strtol(argv[++i], NULL, 10);
		} else if (strcmp(a, "--target") == 0) {
			job->target = (pid_t)strtol(argv[++i], NULL, 10);
		} else if (strcmp(a, "--await") == 0) {
			job->await_ms = strtol(argv[++i], NULL, 10);
		} else if (strcmp(a, "--within") == 0) {
			job->within_ms = strtol(argv[++i], NULL, 10);
		} else if (strcmp(a, "--expect") == 0 && i + 2 < argc && job->expects < LIST_MAX) {
			job->file[job->expects] = argv[++i];
			job->text[job->expects++] = argv[++i];
		} else {
			return false;
		}
	}
	for (int i = 0; i < job->kills; i++)
		if (job->kill[i] <= 1)
			return false;
	return job->target > 0 && job->within_ms > 0;
}

static bool normal(const struct job *job)
{
	if (!is_in(job->target, "RSD"))
		return false;
	for (int i = 0; i < job->expects; i++)
		if (!holds(job->file[i], job->text[i]))
			return false;
	return true;
}

/* Until the target is traced and stands still, or the time is up. */
static void await(const struct job *job)
{
	const struct timespec look = {.tv_nsec = LOOK_NS};
	uint64_t until = now_us() + (uint64_t)job->await_ms * 1000U;

	while (!is_in(job->target, "t") && now_us() < until)
		(void)nanosleep(&look, NULL);
}

int main(int argc, char **argv)
{
	const struct sched_param first = {.sched_priority = 1};
	const struct timespec look = {.tv_nsec = LOOK_NS};
	struct job job = {0};
	uint64_t from;
	uint64_t bound;

	if (!parse(argc, argv, &job)) {
		(void)fprintf(stderr,
			"usage: aftermath [--await MS] --kill PID... --target PID "
			"[--expect FILE TEXT]... --within MS\n");
		return 2;
	}
	bound = (uint64_t)job.within_ms * 1000U;
	(void)sched_setscheduler(0, SCHED_RR, &first); /* else its turn counts, too */
	if (job.await_ms > 0)
		await(&job);
	if (job.kills && normal(&job)) {
		(void)fprintf(
			stderr, "aftermath: the target is normal before anything was killed\n");
		return 1;
	}
	from = now_us();
	for (int i = 0; i < job.kills; i++)
		if (kill(job.kill[i], SIGKILL) != 0)
			perror("aftermath: kill");
	while (!normal(&job)) {
		if (now_us() - from > 10 * bound) {
			(void)printf("aftermath: not normal after %llu us\n",
				(unsigned long long)(now_us() - from));
			return 1;
		}
		(void)nanosleep(&look, NULL);
	}
	from = now_us() - from;
	(void)printf("aftermath: normal after %llu us\n", (unsigned long long)from);
	return from <= bound ? 0 : 1;
}
