// SPDX-License-Identifier: Apache-2.0
/*
 * The crew: capturers that are forked ahead of need, and the watchdog's end of their sockets.
 *
 * A capture takes an idle member and sends it one message. COPIED gives the target back to its
 * engine; the member goes on to make the core durable, then waits for the incident's record (which
 * is complete only once the target is released), writes the reports and is idle again.
 *
 * Several processes of one incident are all taken by the same member, which sets each aside once it
 * is copied and sees to all of them after the release: nothing of that is time for which the target
 * stands still, and no other target lacks a capturer meanwhile. A member to which a process had to
 * be handed over (hold.c) stays with it until the verdict: there the next takes another member.
 *
 * A member that dies or is ended over its deadline fails its own captures only, and a new one is
 * forked once no target is held: between trip and release nothing is forked. Where that fails, or
 * the new one dies as it starts, it is tried again every second.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "command.h"
#include "os/handover.h"
#include "os/process.h"
#include "watch.h"

#define ANSWERS_FIRST (SD_EVENT_PRIORITY_IMPORTANT - 5) /* before looks, after the tripwire */
#define CREW_END_MS 200	  /* one that waits for a disk takes longer: the guardian sees to it */
#define CREW_LET_GO_MS 20 /* takes 1 ms where there is a processor for it */
#define CREW_HUNG_NS LEDGER_HUNG_NS	/* told to let go, and has not */
#define CREW_REFORK_NS (20 * NS_PER_MS) /* between looks whether a new member may be forked */
#define CREW_RETRY_NS NS_PER_S		/* where that fails, or it dies as it starts */

static int fork_member(struct crew_member *m);

/* Whether further processes of the incident wait for their turn. */
static bool more(const struct target *t)
{
	return t->pid_next < t->pid_count;
}

static void step(struct target *t, enum engine_event_kind kind, bool more_processes)
{
	struct engine_event event = {.kind = kind, .more = more_processes};

	watch_step(t, &event);
}

/*
 * Sends the record once the core is durable, or set aside, and the target released. One that cannot
 * be sent is told, and tried again at each beat.
 */
static void send_record(struct crew_member *m)
{
	struct capturer_message *msg = &m->watch->message;
	bool again = m->unsent;

	m->unsent = false;
	if (m->state != CREW_FINISHING || !(m->durable || m->aside) || !m->released)
		return;
	memset(msg, 0, sizeof(*msg));
	msg->kind = CAPTURER_RECORD;
	msg->incident = (uint32_t)m->incident;
	msg->record = m->record;
	m->unsent = send(m->socket, msg, sizeof(*msg), MSG_DONTWAIT | MSG_NOSIGNAL) < 0;
	if (m->unsent && !again)
		tell_error(m->target, "capturer", -errno, "the report cannot be written yet");
}

static void take_result(struct crew_member *m, const struct capturer_message *msg)
{
	m->result = msg->result;
	(void)str_copy(m->why, sizeof(m->why), msg->why); /* same size */
}

/* Of the process that is being copied, or of a bundle that could not be finished. */
static void on_failed(struct crew_member *m)
{
	bool copying = m->state == CREW_COPYING;

	if (!copying && m->aside)
		m->aside--;
	m->state = m->aside ? CREW_FINISHING : CREW_IDLE;
	if (copying)
		step(m->target, ENGINE_EVENT_FAILED, more(m->target));
}

static void on_message(struct crew_member *m, const struct capturer_message *msg)
{
	struct target *t = m->target;

	/* What was sent just before the SIGKILL is read after it: a dead one is not idle again. */
	if (!t || m->state == CREW_ENDING || msg->incident != (uint32_t)m->incident)
		return; /* of a capture that was given up */
	switch ((enum capturer_message_kind)msg->kind) {
	case CAPTURER_SEIZING:
		if (m->state == CREW_COPYING)
			hold_answer(m);
		break;
	case CAPTURER_SEIZED:
		if (m->state == CREW_COPYING) {
			m->seized = true;
			step(t, ENGINE_EVENT_SEIZED, false);
		}
		break;
	case CAPTURER_COPIED:
		if (m->state != CREW_COPYING)
			break;
		m->state = CREW_FINISHING;
		m->aside += m->sets_aside;
		act_note(t, INTERVENTION_COPIED);
		step(t, ENGINE_EVENT_COPIED, more(t));
		break;
	case CAPTURER_DURABLE:
		take_result(m, msg);
		m->durable = true;
		send_record(m);
		break;
	case CAPTURER_DONE:
		take_result(m, msg);
		show_captured(m);
		tell_captured(m);
		command_start(t, COMMAND_ON_CAPTURE, m->result.pid, &m->result);
		m->aside -= m->aside > 0;
		if (!m->aside)
			m->state = CREW_CLEARING;
		break;
	case CAPTURER_READY:
		if (m->state == CREW_CLEARING)
			m->state = CREW_IDLE;
		break;
	case CAPTURER_FAILED:
		take_result(m, msg);
		tell_capture_failed(t, m->incident, m->result.pid, m->why);
		m->holds = false;
		on_failed(m);
		break;
	case CAPTURER_REQUEST: /* our own direction */
	case CAPTURER_RELEASE:
	case CAPTURER_RECORD:
		break;
	}
}

static int on_socket(sd_event_source *source, int fd, uint32_t events, void *user)
{
	struct crew_member *m = user;
	struct capturer_message *msg = &m->watch->message;
	ssize_t n;

	(void)source;
	watch_wake(m->watch);
	n = recv(fd, msg, sizeof(*msg), MSG_DONTWAIT);
	if (n == (ssize_t)sizeof(*msg)) {
		static struct capturer_message copy; /* handling it reuses the scratch */

		copy = *msg;
		on_message(m, &copy);
	} else if (n == 0 || (events & (EPOLLHUP | EPOLLERR))) {
		(void)sd_event_source_set_enabled(m->io, SD_EVENT_OFF); /* its death follows */
	}
	return 0;
}

static void close_member(struct crew_member *m)
{
	m->io = sd_event_source_disable_unref(m->io);
	m->death = sd_event_source_disable_unref(m->death);
	cleanup_close(&m->socket);
	cleanup_close(&m->pidfd);
	m->socket = -1;
	m->pidfd = -1;
	m->holds = false;
	m->state = CREW_DEAD;
	ledger_set_capturer(&m->watch->ledger, m->place, 0);
	ledger_set_tracing(&m->watch->ledger, m->place, false);
}

static void refork_at(sd_event_source *source, uint64_t at_ns)
{
	(void)sd_event_source_set_time(source, at_ns / NS_PER_US);
	(void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/*
 * Tried until it succeeds: where there are too many processes, or no memory, there may be room
 * again later. That it fails is told once.
 */
static int on_refork(sd_event_source *source, uint64_t usec, void *user)
{
	struct crew_member *m = user;
	struct watch *w = m->watch;
	int r = 0;

	(void)usec;
	watch_wake(w);
	if (watch_in_incident(w)) {
		refork_at(source, w->now_ns + CREW_REFORK_NS);
		return 0;
	}
	if (!w->stopping)
		r = fork_member(m);
	if (r < 0) {
		if (!m->failing)
			tell_error(NULL, "capturer", r,
				"a new one cannot be started, and it is tried again every second");
		m->failing = true;
		refork_at(source, w->now_ns + CREW_RETRY_NS);
		return 0;
	}
	(void)sd_event_source_unref(source);
	if (!w->stopping && !m->failing)
		tell_crew_restarted(m, "a capturer died");
	return 0;
}

/* A new one after failures is told once it has lived for a while. */
static void settle(struct crew_member *m)
{
	if (!m->failing || m->state == CREW_DEAD || m->state == CREW_ENDING ||
		m->watch->now_ns < m->forked_ns + CREW_RETRY_NS)
		return;
	m->failing = false;
	tell_crew_restarted(m, "a capturer died");
}

/* Cores that are there, under the names of unfinished captures: who was to finish them is gone. */
static void tell_aside_lost(struct crew_member *m)
{
	char why[CAPTURER_WHY_MAX];
	struct str s;

	if (!m->aside)
		return;
	str_init(&s, why, sizeof(why));
	(void)str_addf(&s,
		"%u captures of this incident were left unfinished, as .partial in %s: their "
		"capturer is gone",
		m->aside, m->target->config->directory); /* a cut sentence is still one */
	tell_capture_failed(m->target, m->incident, 0, why);
	m->aside = 0;
}

static int on_death(sd_event_source *source, const siginfo_t *info, void *user)
{
	struct crew_member *m = user;
	sd_event_source *refork = NULL;
	bool copying = m->state == CREW_COPYING;
	bool finishing = m->state == CREW_FINISHING;
	uint64_t at_ns;

	(void)source;
	watch_wake(m->watch);
	at_ns = m->watch->now_ns;
	if (m->state == CREW_IDLE &&
		at_ns < m->forked_ns + CREW_RETRY_NS) { /* before it was asked anything */
		if (!m->failing)
			tell_error(NULL, "capturer",
				info->si_code == CLD_EXITED ? -info->si_status : -ESRCH,
				"a new one died as it started, and it is tried again every second");
		m->failing = true;
		at_ns += CREW_RETRY_NS;
	}
	close_member(m); /* whatever it traced, the kernel let go of */
	if (copying || (finishing && !m->aside))
		tell_capture_failed(m->target, m->incident, m->result.pid, "its capturer died");
	tell_aside_lost(m);
	if (copying)
		step(m->target, ENGINE_EVENT_FAILED, false);
	if (!m->watch->stopping)
		(void)sd_event_add_time(m->watch->event, &refork, CLOCK_MONOTONIC,
			at_ns / NS_PER_US, 1, on_refork, m); /* else: one member less */
	return 0;
}

/* --- what the others ask for --------------------------------------------------------------- */

static void fill_request(const struct target *t, uint64_t until_ns, struct capturer_message *msg)
{
	const struct policy *p = &t->config->policy;
	struct capture_request *r = &msg->request;

	msg->kind = CAPTURER_REQUEST;
	msg->incident = (uint32_t)t->record.incident;
	msg->target_index = t->index;
	msg->is_hold = t->record.hold == HOLD_PTRACE;
	(void)str_copy(r->target, sizeof(r->target), t->config->name); /* same size */
	(void)str_copy(msg->directory, sizeof(msg->directory), t->config->directory); /* shorter */
	r->pid = t->pids[t->pid_next];
	r->start_time = t->start_times[t->pid_next];
	r->deadline_ns = until_ns;
	r->seize_timeout_ns = p->hold_timeout_ns;
	r->max_bytes = p->max_use_bytes;
	r->keep_free_bytes = p->keep_free_bytes;
	r->keep = p->keep;
	r->signal = SIGKILL;
	r->kind = p->capture;
	r->compress = p->compress;
	r->swap = p->swap;
	r->set_aside = t->pid_count > 1;
}

/* Who has copied the processes before this one and set them aside; NULL: nobody. */
static struct crew_member *member_for(const struct target *t)
{
	for (uint32_t i = 0; i < t->watch->crew_size; i++) {
		struct crew_member *m = &t->watch->crew[i];

		if (m->state == CREW_FINISHING && m->aside && !m->holds && m->target == t &&
			m->incident == t->record.incident)
			return m;
	}
	return NULL;
}

static struct crew_member *member_in(struct watch *w, enum crew_state state)
{
	for (uint32_t i = 0; i < w->crew_size; i++)
		if (w->crew[i].state == state)
			return &w->crew[i];
	return NULL;
}

bool crew_is_there(const struct watch *w)
{
	for (uint32_t i = 0; i < w->crew_size; i++)
		if (w->crew[i].state != CREW_DEAD && w->crew[i].state != CREW_ENDING)
			return true;
	return false;
}

int crew_capture(struct target *t, uint64_t until_ns)
{
	struct watch *w = t->watch;
	struct crew_member *m = member_for(t);

	if (!m)
		m = member_in(w, CREW_IDLE);
	if (!m)
		m = member_in(w, CREW_CLEARING);
	if (!m)
		return crew_is_there(w) ? -EBUSY : -ECHILD;
	memset(&w->message, 0, sizeof(w->message));
	fill_request(t, until_ns, &w->message);
	memset(hold_handover(w, m->place), 0, sizeof(struct handover)); /* nobody is at it */
	if (send(m->socket, &w->message, sizeof(w->message), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	m->state = CREW_COPYING;
	m->holds = w->message.is_hold;
	m->sets_aside = w->message.request.set_aside;
	m->asks = false;
	m->unsent = false;
	m->seized = false;
	m->told_ns = 0;
	m->target = t;
	m->incident = t->record.incident;
	m->durable = false;
	m->released = false;
	memset(&m->result, 0, sizeof(m->result));
	m->result.pid = w->message.request.pid;
	m->why[0] = '\0';
	t->pid_next++;
	return 0;
}

/*
 * Ends the copy of one that has set others aside, which its death would leave unfinished. False:
 * it does not let go in time, or would not before it has seized the process, or been answered.
 */
static bool call_off(struct crew_member *m)
{
	struct pollfd p = {.fd = m->pidfd, .events = POLLIN};

	if (!m->aside || !m->seized || m->holds)
		return false;
	atomic_store(&hold_handover(m->watch, m->place)->called_off, 1);
	for (int ms = 0; ledger_tracing(&m->watch->ledger, m->place); ms++)
		if (ms == CREW_END_MS || poll(&p, 1, 1) > 0)
			return false;
	m->state = CREW_FINISHING;
	m->aside++; /* as far as it was copied */
	return true;
}

void crew_abort(struct target *t)
{
	for (uint32_t i = 0; i < t->watch->crew_size; i++) {
		struct crew_member *m = &t->watch->crew[i];
		struct pollfd p = {.fd = m->pidfd, .events = POLLIN};

		if (m->state != CREW_COPYING || m->target != t || call_off(m))
			continue;
		(void)process_signal(m->pidfd, SIGKILL); /* gone is as good */
		/* Whom it has seized stands still until it is gone: a release is none before. */
		(void)poll(&p, 1, CREW_END_MS);
		tell_capture_failed(t, m->incident, m->result.pid,
			"the capture was given up (deadline, or the target or we ended)");
		tell_aside_lost(m);
		m->state = CREW_ENDING; /* on_death() finds nothing under way, and replaces it */
	}
}

bool crew_busy_with(const struct target *t)
{
	for (uint32_t i = 0; i < t->watch->crew_size; i++) {
		const struct crew_member *m = &t->watch->crew[i];

		if (m->target == t &&
			(m->state == CREW_COPYING || m->state == CREW_FINISHING ||
				m->state == CREW_CLEARING))
			return true;
	}
	return false;
}

bool crew_is_ready(const struct target *t)
{
	return member_in(t->watch, CREW_IDLE) || (crew_is_there(t->watch) && !crew_busy_with(t));
}

/* Until that capturer traces nobody any more, or is dead. */
static void wait_let_go(const struct crew_member *m)
{
	for (int ms = 0; ms < CREW_LET_GO_MS && ledger_tracing(&m->watch->ledger, m->place); ms++) {
		struct pollfd p = {.fd = m->pidfd, .events = POLLIN};

		if (poll(&p, 1, 1) > 0)
			return;
	}
}

void crew_let_go(struct target *t, bool kill)
{
	struct capturer_message *msg = &t->watch->message;

	for (uint32_t i = 0; i < t->watch->crew_size; i++) {
		struct crew_member *m = &t->watch->crew[i];

		if (m->state != CREW_FINISHING || m->target != t || !m->holds)
			continue;
		m->holds = false;
		m->told_ns = t->watch->now_ns;
		memset(msg, 0, sizeof(*msg));
		msg->kind = CAPTURER_RELEASE;
		msg->incident = (uint32_t)m->incident;
		msg->kill = kill;
		/* One that is dead holds nobody; another error is that it hangs. */
		if (send(m->socket, msg, sizeof(*msg), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(*msg))
			wait_let_go(m);
	}
}

void crew_beat(struct watch *w)
{
	for (uint32_t i = 0; i < w->crew_size; i++) {
		struct crew_member *m = &w->crew[i];

		if (m->unsent)
			send_record(m);
		settle(m);
		if (m->state == CREW_FINISHING && m->told_ns &&
			ledger_tracing(&w->ledger, m->place) &&
			w->now_ns - m->told_ns >= CREW_HUNG_NS)
			(void)process_signal(m->pidfd, SIGKILL); /* on_death() tells */
	}
}

void crew_released(struct target *t)
{
	for (uint32_t i = 0; i < t->watch->crew_size; i++) {
		struct crew_member *m = &t->watch->crew[i];

		if (m->target != t || m->incident != t->record.incident || m->released)
			continue;
		m->record = t->record;
		m->released = true;
		send_record(m);
	}
}

/* --- forking ------------------------------------------------------------------------------- */

_Noreturn static void become_capturer(struct crew_member *m, int socket)
{
	struct watch *w = m->watch;
	struct capturer_setup setup = {.socket = socket,
		.watchdog_pidfd = w->self_pidfd,
		.guardian_pidfd = w->guardian_pidfd,
		.ledger = &w->ledger,
		.tripwire = w->tripwire,
		.place = m->place,
		.handover = hold_handover(w, m->place),
		.registers = hold_registers(w, m->place),
		.histories = w->histories};

	capturer_main(&setup);
}

static int fork_member(struct crew_member *m)
{
	struct watch *w = m->watch;
	_cleanup_close_ int here = -1;
	_cleanup_close_ int there = -1;
	int pair[2];
	pid_t pid;
	int r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return -errno;
	here = pair[0];
	there = pair[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		cleanup_close(&here);
		become_capturer(m, there);
	}
	ledger_set_capturer(&w->ledger, m->place, pid);
	m->pid = pid;
	m->forked_ns = w->now_ns;
	m->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	m->socket = take_fd(&here);
	m->target = NULL;
	m->state = CREW_IDLE;
	r = m->pidfd < 0 ? -errno : 0;
	if (r == 0)
		r = sd_event_add_io(w->event, &m->io, m->socket, EPOLLIN, on_socket, m);
	if (r >= 0)
		r = sd_event_add_child_pidfd(w->event, &m->death, m->pidfd, WEXITED, on_death, m);
	/* What a capturer says ends a hold: it does not wait behind the looks at other targets. */
	if (r >= 0)
		r = sd_event_source_set_priority(m->io, ANSWERS_FIRST);
	if (r >= 0)
		r = sd_event_source_set_priority(m->death, ANSWERS_FIRST + 1);
	if (r < 0) {
		(void)kill(pid, SIGKILL); /* our own child, not yet waited for */
		close_member(m);
	}
	return r < 0 ? r : 0;
}

uint32_t crew_wanted(const struct config *config)
{
	/* Two: a second target may trip while the first one's core is being written. */
	return config->target_count > 1 || containers_places(&config->targets[0]) > 1 ? 2 : 1;
}

int crew_start(struct watch *w)
{
	w->crew_size = crew_wanted(w->config);
	for (uint32_t i = 0; i < w->crew_size; i++) {
		struct crew_member *m = &w->crew[i];
		int r;

		*m = (struct crew_member){.watch = w, .place = i, .pidfd = -1, .socket = -1};
		r = fork_member(m);
		if (r < 0)
			return r;
	}
	return 0;
}

void crew_stop(struct watch *w)
{
	for (uint32_t i = 0; i < w->crew_size; i++)
		close_member(
			&w->crew[i]); /* an idle one ends; a busy one finishes its file alone */
	w->crew_size = 0;
}
