// SPDX-License-Identifier: Apache-2.0
/*
 * The capturer process. See capturer.h for the messages.
 *
 * It is forked by the watchdog long before it is needed, allocates and locks everything then, drops
 * every descriptor that is not its business, and waits. A request runs one capture with the same
 * code as `oomsnap dump`; at the moments that matter the callback tells the watchdog. When ptrace
 * has let go the watchdog may release the target, while the core is still on its way to the disk
 * here; the reports are written last, from the incident's record.
 *
 * The watchdog's death is looked for between two chunks of the copy, by its pidfd and by the end of
 * the socket. Then copying ends at once, whatever is missing: a target that nobody looks after must
 * run again (promise 2 of the design). If the guardian is dead as well, its work is done here. What
 * had been copied is finished under the name of an orphan and says that it is partial. Signals that
 * end services are ignored: who stops the watchdog stops us through it, after our file is whole.
 *
 * A capture that crashes this process or overruns its deadline loses its own file only: the kernel
 * detaches what a dead tracer held, and the watchdog forks a new capturer.
 *
 * Limits: the record is waited for RECORD_WAIT_MS, by captures that were set aside from their
 * common deadline on; then they are finished without it.
 */
#include "capturer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fault.h"
#include "base/str.h"
#include "capture/place.h"
#include "cgroup_files.h"
#include "core/history.h"
#include "guardian.h"
#include "os/cgroup.h"
#include "os/clock.h"
#include "os/handover.h"
#include "os/ledger.h"
#include "os/registers.h"
#include "os/termination.h"
#include "report.h"

#define RECORD_WAIT_MS 120000 /* of the slowest verdict: a hold, a lease and their timeouts */
#define RELEASE_WAIT_NS (3 * NS_PER_S) /* beyond the deadline: the engine's own grace */
#define PROCESS_NAME "oomsnap-capture"

/* All of it static: nothing is allocated after the start, and it is too large for the stack. */
static struct capturer {
	const struct capturer_setup *setup;
	struct capture *capture;
	struct capturer_message in; /* the request, then the record */
	struct capturer_message out;
	struct capture_request request;
	struct capture_result result;
	struct incident_record record;
	char cgroup[TARGET_PATH_MAX]; /* of the process; "": unknown */
	char why[CAPTURER_WHY_MAX];
	uint32_t incident;
	uint32_t target_index;
	int place;     /* enum capture_status of its directory */
	bool is_hold;  /* ptrace is what holds the target: until its release */
	bool let_go;   /* ptrace holds nothing any more */
	bool orphaned; /* the watchdog is gone */
} me;

/* --- who is alive -------------------------------------------------------------------------- */

static bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return fd >= 0 && poll(&p, 1, 0) > 0 && p.revents;
}

/* Whether the watchdog has died or let go of us; remembered. */
static bool orphaned(void)
{
	struct pollfd p = {.fd = me.setup->socket, .events = 0};

	if (!me.orphaned)
		me.orphaned = is_readable(me.setup->watchdog_pidfd) ||
			(poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL)));
	return me.orphaned;
}

/* For as long as the guardian tries, and a little more. */
#define OUTLIVE_MS 610000
static void wait_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	while (poll(&p, 1, OUTLIVE_MS) < 0 && errno == EINTR)
		;
}

/* The guardian's work, where it cannot do it itself. Idempotent. */
static void stand_in_for_guardian(void)
{
	bool watchdog_dead = is_readable(me.setup->watchdog_pidfd);
	bool guardian_dead = me.setup->guardian_pidfd < 0 || is_readable(me.setup->guardian_pidfd);

	if (watchdog_dead && guardian_dead)
		guardian_undo(me.setup->ledger, me.setup->tripwire);
}

/*
 * The same at our own end, for which there is time: a watchdog that dies closes our socket a moment
 * before its pidfd tells of it, and the guardian may be killed before it is through.
 */
static void outlive_the_others(void)
{
	wait_readable(me.setup->watchdog_pidfd);
	if (me.setup->guardian_pidfd >= 0)
		wait_readable(me.setup->guardian_pidfd);
	stand_in_for_guardian();
}

/* --- telling ------------------------------------------------------------------------------- */

static void tell(enum capturer_message_kind kind, const struct capture_result *result)
{
	memset(&me.out, 0, sizeof(me.out));
	me.out.kind = kind;
	me.out.incident = me.incident;
	me.out.target_index = me.target_index;
	me.out.result = *result;
	(void)str_copy(me.out.why, sizeof(me.out.why), me.why); /* the same size */
	/* A full socket is a hung watchdog, a closed one a dead one: both end by its pidfd. */
	(void)send(me.setup->socket, &me.out, sizeof(me.out), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void let_go(void)
{
	if (me.let_go)
		return;
	me.let_go = true;
	ledger_set_tracing(me.setup->ledger, me.setup->place, false);
	if (orphaned())
		stand_in_for_guardian();
}

/* Whether the watchdog holds the process for us, instead of having handed it over. */
static bool is_kept(void)
{
	return me.is_hold && atomic_load(&me.setup->handover->stage) == HANDOVER_READ;
}

/*
 * The reason, for whoever looks at the container after its end. Written while the process is held:
 * with verdict oom it may be gone a moment later. A note that cannot be left costs nothing else.
 */
static void leave_reason(const struct capture_result *result)
{
	char text[CAPTURE_PATH_MAX + 128];
	size_t path_len = strlen(result->path);
	struct str s;

	if (str_has_suffix(result->path, PLACE_PARTIAL_SUFFIX))
		path_len -= strlen(PLACE_PARTIAL_SUFFIX);
	str_init(&s, text, sizeof(text));
	(void)str_addf(&s,
		"oomsnap: %s (pid %d) was captured as it came near its memory limit; core in "
		"%.*s\n",
		result->comm, (int)result->pid_in_namespace, (int)path_len, result->path);
	(void)termination_write(result->pid, text);
}

/*
 * What is not needed to stop the target waits until it stands: files of /proc and of control groups
 * cost a millisecond, on a busy machine several, and a directory's file system may be busy too.
 */
static bool open_place(void)
{
	const struct capturer_message *in = &me.in;

	if (cgroup_of_pid(me.request.pid, me.cgroup, sizeof(me.cgroup)) != 0)
		me.cgroup[0] = '\0';
	me.place = capture_set_directory(
		me.capture, in->directory, in->allow_memory, me.why, sizeof(me.why));
	return me.place == 0;
}

#define MESSAGE_BIT(kind) (1U << (unsigned int)(kind))
static bool wait_message(uint32_t kinds, int timeout_ms);

/*
 * ptrace is the hold: what is to become of the process is carried out in it. Between a detach and a
 * kill by others a process that leaks at full speed would run into its limit.
 */
static void wait_for_verdict(void)
{
	uint64_t until_ns = add_sat(me.request.deadline_ns, RELEASE_WAIT_NS);
	uint64_t ms = sub_floor(until_ns, clock_now_ns()) / NS_PER_MS;

	FAULT_POINT(VERDICT_WAIT);
	if (wait_message(MESSAGE_BIT(CAPTURER_RELEASE), (int)min_u64(ms, INT_MAX)) &&
		me.in.incident == me.incident && me.in.kill)
		capture_end_process(me.capture);
}

static bool on_moment(void *user, enum capture_moment moment, const struct capture_result *result)
{
	(void)user;
	switch (moment) {
	case CAPTURE_SEIZING:
		FAULT_POINT(TAKE_OVER);
		tell(CAPTURER_SEIZING, result);
		break;
	case CAPTURE_SEIZED:
		if (is_kept()) /* by ptrace as well, and with it the watchdog ends the hold */
			ledger_set_tracing(me.setup->ledger, me.setup->place, false);
		tell(CAPTURER_SEIZED, result);
		if (!open_place())
			return false;
		break;
	case CAPTURE_COPIED:
		if (me.cgroup[0])
			cgroup_files_add(me.capture, me.cgroup);
		leave_reason(result);
		if (me.is_hold) {
			bool kept = is_kept(); /* once told, it may be of the next process */

			tell(CAPTURER_COPIED, result);
			if (!kept)
				wait_for_verdict();
		}
		break;
	case CAPTURE_DETACHED:
		let_go();
		if (!me.is_hold)
			tell(CAPTURER_COPIED, result);
		break;
	case CAPTURE_PROGRESS:
		break;
	}
	return !orphaned() && !atomic_load(&me.setup->handover->called_off);
}

/* --- one exchange -------------------------------------------------------------------------- */

/* Copies the request out of the message and runs it. 0 or a positive enum capture_status. */
static int run_request(void)
{
	static char why[CAPTURER_WHY_MAX];
	const struct capturer_message *in = &me.in;
	int r;

	me.request = in->request;
	me.incident = in->incident;
	me.target_index = in->target_index;
	me.is_hold = in->is_hold;
	me.place = 0;
	me.cgroup[0] = '\0';
	me.let_go = false;
	me.why[0] = '\0';
	memset(&me.result, 0, sizeof(me.result));
	memset(&me.record, 0, sizeof(me.record));
	me.result.pid = in->request.pid;
	FAULT_POINT(CAPTURE_START);
	capture_set_handover(
		me.capture, me.is_hold ? me.setup->handover : NULL, me.setup->registers);
	ledger_set_tracing(me.setup->ledger, me.setup->place, true);
	r = capture_run(me.capture, &me.request, on_moment, NULL, &me.result, why, sizeof(why));
	let_go();
	if (me.place) {
		me.result.status = (enum capture_status)me.place; /* its sentence stands */
		return me.place;
	}
	(void)str_copy(me.why, sizeof(me.why), why);
	return r;
}

/* What can be said about the incident when nobody sends its record. */
static void orphan_record(void)
{
	struct incident_record *record = &me.record;

	memset(record, 0, sizeof(*record));
	(void)str_copy(record->target, sizeof(record->target), me.request.target); /* same size */
	(void)str_copy(record->cgroup, sizeof(record->cgroup), me.cgroup);
	record->incident = me.incident;
	record->orphaned = true;
	record->hold = HOLD_PTRACE;
	record->limit_bytes = SIZE_UNLIMITED;
	record->headroom_trip_bytes = SIZE_UNLIMITED;
	record->headroom_hold_bytes = SIZE_UNLIMITED;
	record->headroom_end_bytes = SIZE_UNLIMITED;
	record->held_ns = me.result.seized_ns;
	record->released_ns = me.result.detached_ns;
}

/* Waits for a message of these kinds. False when the watchdog is gone or the time is up. */
static bool wait_message(uint32_t kinds, int timeout_ms)
{
	struct pollfd p[2] = {
		{.fd = me.setup->socket, .events = POLLIN},
		{.fd = me.setup->watchdog_pidfd, .events = POLLIN},
	};

	for (;;) {
		ssize_t n;
		int r = poll(p, ARRAY_LEN(p), timeout_ms);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return false;
		/* A message that was sent before the death is still good. */
		n = recv(me.setup->socket, &me.in, sizeof(me.in), MSG_DONTWAIT);
		if (n == (ssize_t)sizeof(me.in) && me.in.kind < 32 &&
			kinds & MESSAGE_BIT(me.in.kind))
			return true;
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || p[1].revents) {
			me.orphaned = true;
			return false;
		}
	}
}

/* Reports and final name. Says DONE, or FAILED with the bundle left as .partial. */
static bool finish_bundle(void)
{
	const struct history *history =
		me.setup->histories ? &me.setup->histories[me.target_index] : NULL;
	int r;

	FAULT_POINT(CAPTURE_SYNC);
	/* A report that cannot be written (a full disk) does not cost the core. */
	(void)report_write_bundle(capture_bundle_fd(me.capture), &me.request, &me.result,
		&me.record, history ? history->point : NULL, history ? history->count : 0, me.why,
		sizeof(me.why));
	r = capture_finish(me.capture, &me.result);
	if (r) {
		struct str s;

		me.result.error = r;
		str_init(&s, me.why, sizeof(me.why));
		(void)str_addf(&s, "%s: cannot bring it under its final name: %s", me.result.path,
			strerrordesc_np(-r));
	}
	tell(r ? CAPTURER_FAILED : CAPTURER_DONE, &me.result);
	return r == 0;
}

/* Of older captures, but never of the count that belong to this incident. */
static void clear_up(uint32_t count)
{
	(void)capture_clear_up(me.capture, me.request.target, count, me.request.keep,
		me.request.max_bytes); /* what stays is tried again next time */
	tell(CAPTURER_READY, &me.result);
}

/* The captures of the incident that were set aside. */
static void finish_those_aside(bool has_record)
{
	uint32_t count = 0;

	while (capture_take_up(me.capture, &me.request, &me.result, me.why, sizeof(me.why)) == 0) {
		if (!has_record)
			orphan_record();
		count += finish_bundle(); /* one that fails is told; the others are no worse */
	}
	clear_up(count);
}

/* How long the next message may take: for ever, unless captures wait for their record. */
static int aside_wait_ms(void)
{
	uint64_t ms = sub_floor(me.request.deadline_ns, clock_now_ns()) / NS_PER_MS;

	if (!capture_aside(me.capture))
		return -1;
	return (int)min_u64(add_sat(ms, RECORD_WAIT_MS), INT_MAX);
}

static void on_request(void)
{
	int r = run_request();

	if (r) {
		if (me.result.status == CAPTURE_OK)
			me.result.status = r > 0 ? (enum capture_status)r : CAPTURE_FAILED;
		tell(CAPTURER_FAILED, &me.result);
		return;
	}
	if (me.request.set_aside) {
		(void)capture_set_aside(me.capture); /* crew.c keeps to CAPTURE_ASIDE_MAX */
		return;
	}
	tell(CAPTURER_DURABLE, &me.result);
	if (wait_message(MESSAGE_BIT(CAPTURER_RECORD), RECORD_WAIT_MS) &&
		me.in.incident == me.incident)
		me.record = me.in.record;
	else
		orphan_record();
	if (finish_bundle())
		clear_up(1);
}

/* --- birth --------------------------------------------------------------------------------- */

/* Closes everything but standard error, the socket, the pidfds and the ledger. */
static void keep_descriptors(const struct capturer_setup *setup)
{
	int keep[] = {STDERR_FILENO, setup->socket, setup->watchdog_pidfd, setup->guardian_pidfd,
		setup->ledger->fd};
	int from = 0;

	for (;;) {
		int next = INT_MAX;

		for (size_t i = 0; i < ARRAY_LEN(keep); i++)
			if (keep[i] >= from && keep[i] < next)
				next = keep[i];
		if (next > from)
			(void)close_range((unsigned int)from, (unsigned int)(next - 1), 0);
		if (next == INT_MAX)
			return;
		from = next + 1;
	}
}

static void reset_signals(void)
{
	static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGXFSZ};
	struct sigaction action = {.sa_handler = SIG_IGN};
	sigset_t none;

	for (size_t i = 0; i < ARRAY_LEN(ignored); i++)
		(void)sigaction(ignored[i], &action, NULL); /* cannot fail for these */
	action.sa_handler = SIG_DFL;
	(void)sigaction(SIGCHLD, &action, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL); /* the watchdog reads its own by signalfd */
}

_Noreturn void capturer_main(const struct capturer_setup *setup)
{
	int r;

	me.setup = setup;
	if (setup->registers)
		(void)registers_protect(
			setup->registers); /* our own mistakes are not the watchdog's */
	(void)prctl(PR_SET_NAME, PROCESS_NAME, 0, 0, 0);
	reset_signals();
	keep_descriptors(setup);
	/* Without the right to lock, it works as long as nobody swaps us out. MCL_FUTURE would pull
	 * whole cores into memory when they are mapped for the reports. The program itself is
	 * fetched; of the tables, which come then, what is there is kept. */
	(void)mlockall(MCL_CURRENT);
	r = capture_new(&capture_limits_default, &me.capture);
	if (r < 0)
		_exit(-r); /* the watchdog sees its death, and says why */
	(void)mlockall(MCL_CURRENT | MCL_ONFAULT);
	while (!orphaned()) {
		bool told =
			wait_message(MESSAGE_BIT(CAPTURER_REQUEST) | MESSAGE_BIT(CAPTURER_RECORD),
				aside_wait_ms());

		if (told && me.in.kind == CAPTURER_REQUEST) {
			on_request();
		} else if (told && me.in.incident == me.incident && capture_aside(me.capture)) {
			me.record = me.in.record;
			finish_those_aside(/* has_record= */ true);
		} else if (!told && !me.orphaned) {
			if (!capture_aside(me.capture))
				break; /* poll(2) itself fails: a new one is forked */
			finish_those_aside(/* has_record= */ false);
		}
	}
	if (capture_aside(me.capture)) {
		stand_in_for_guardian(); /* before the disk is waited for */
		finish_those_aside(/* has_record= */ false);
	}
	outlive_the_others();
	_exit(0);
}
