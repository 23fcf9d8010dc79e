// SPDX-License-Identifier: Apache-2.0
/*
 * The end of a target's largest process, as soon as the kernel tells of it.
 *
 * What runs containers removes the cgroup of one that has ended, within tens of milliseconds, and
 * the kernel's count of OOM kills goes with it. Looks come more seldom than that where nothing is
 * due (in the cooldown after a capture, far from the limit), so a kill would go unsaid. The kernel
 * counts its kill before the victim's pidfd becomes readable (__oom_kill_process() in
 * mm/oom_kill.c, exit_notify() in kernel/exit.c): a look at that moment finds the count.
 *
 * Where even that look comes too late, the way the process ended is what is left to tell by.
 *
 * Limits: one process per target, chosen when the target is found, searched for a runtime, or
 * armed.
 */
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "os/process.h"
#include "watch.h"

static int on_death(sd_event_source *source, int fd, uint32_t events, void *user)
{
	struct target *t = user;
	struct ending *e = &t->ending;
	int status = 0;

	(void)source;
	(void)events;
	watch_wake(t->watch);
	e->killed = process_exit_status(fd, e->pid, &status) == 0 && WIFSIGNALED(status) &&
		WTERMSIG(status) == SIGKILL;
	e->death = sd_event_source_disable_unref(e->death); /* closes the pidfd */
	watch_look(t);
	return 0;
}

sd_event_source *ending_source(struct target *t, pid_t pid, sd_event_io_handler_t handler)
{
	_cleanup_close_ int fd = -1;
	sd_event_source *source = NULL;

	if (!t->watch->event || process_open(pid, /* start_time= */ 0, &fd) != 0 ||
		sd_event_add_io(t->watch->event, &source, fd, EPOLLIN, handler, t) < 0)
		return NULL;
	(void)sd_event_source_set_io_fd_own(source, 1);
	(void)take_fd(&fd);
	return source;
}

void ending_watch(struct target *t, pid_t pid)
{
	struct ending *e = &t->ending;
	sd_event_source *death;

	if (e->death && e->pid == pid)
		return;
	death = ending_source(t, pid, on_death);
	if (!death)
		return; /* gone: what comes next is found by the next search */
	ending_forget(t);
	(void)sd_event_source_set_priority(death, SD_EVENT_PRIORITY_IMPORTANT);
	e->death = death;
	e->pid = pid;
	e->oom_kills = target_oom_kills(t);
}

bool ending_unseen_kill(const struct target *t)
{
	const struct ending *e = &t->ending;

	return e->killed && t->engine.last.oom_kills == e->oom_kills &&
		t->record.verdict != VERDICT_KILL &&
		sample_used(&t->engine.last) >= t->engine.thresholds.arm_bytes;
}

void ending_forget(struct target *t)
{
	t->ending.death = sd_event_source_disable_unref(t->ending.death);
	t->ending = (struct ending){0};
}
