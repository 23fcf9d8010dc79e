// SPDX-License-Identifier: Apache-2.0
/*
 * Memory pressure as a wake-up of the loop: a trigger of the kernel on the target's own pressure,
 * or on the machine's where that is not allowed (os/psi.c), as an sd-event source.
 *
 * It calls for a look and decides nothing: at most one event a window comes, and what it says is
 * old by then. What pressure there is, the look itself reads. The source is added when
 * a target is found and goes with it; which one it is, is told then.
 *
 * EPOLLERR means that the trigger has ended: the cgroup is gone (the look says so), or PSI was
 * switched off for it (cgroup.pressure), after which the machine's pressure is watched instead.
 * Only the machine's: a trigger that ends as soon as it is made must not keep the loop busy.
 */
#include <errno.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "watch.h"

static int add(struct target *t, int dir_fd);

static int on_pressure(sd_event_source *source, int fd, uint32_t events, void *user)
{
	struct target *t = user;
	bool ended = (events & (EPOLLERR | EPOLLHUP)) != 0;

	(void)source;
	(void)fd;
	watch_wake(t->watch);
	if (ended) {
		FAULT_POINT(PRESSURE_END);
		pressure_stop(t);
	} else {
		FAULT_POINT(PRESSURE);
	}
	watch_look(t);
	if (ended && t->open) {
		(void)add(t, -1); /* what came of it is in t->pressure */
		tell_degraded(t, "memory.pressure", -ENODEV,
			"it wakes us no longer; the target is polled as before");
	}
	return 0;
}

static int add(struct target *t, int dir_fd)
{
	_cleanup_close_ int fd = -1;
	int r;

	psi_open(dir_fd, PSI_MACHINE_PATH, &t->pressure);
	fd = take_fd(&t->pressure.fd); /* the source's from here on */
	if (fd < 0)
		return 0;
	r = sd_event_add_io(t->watch->event, &t->pressure_source, fd, EPOLLPRI, on_pressure, t);
	if (r < 0) {
		t->pressure = (struct psi_trigger){.fd = -1, .source = PSI_NONE, .error = r};
		return r;
	}
	(void)sd_event_source_set_priority(t->pressure_source, SD_EVENT_PRIORITY_IMPORTANT);
	(void)sd_event_source_set_io_fd_own(t->pressure_source, 1);
	(void)take_fd(&fd);
	return 0;
}

void pressure_start(struct target *t)
{
	(void)add(t, cgroup_pressure_dir(&t->cgroup)); /* told by tell_found() */
}

void pressure_stop(struct target *t)
{
	t->pressure_source = sd_event_source_disable_unref(t->pressure_source); /* closes its fd */
}
