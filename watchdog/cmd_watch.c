// SPDX-License-Identifier: Apache-2.0
/*
 * oomsnap watch: reads options and configuration, puts back what a dead predecessor left, tries the
 * directories for captures, makes itself fit to act under pressure, and runs the loop.
 *
 * Fit means: all memory that will ever be used is allocated, touched and locked; the scheduler
 * prefers us (a leaking target may keep every core busy); the OOM killer does not. Each of these
 * may be refused without the right to; that is said once, and what works goes on.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/fault.h"
#include "base/str.h"
#include "cmd.h"
#include "event.h"
#include "exit_code.h"
#include "os/clock.h"
#include "os/process.h"
#include "runtime_dir.h"
#include "watch.h"
#include "watch_arguments.h"
#include "wiring.h"

#define OWN_OOM_ADJ (-1000)

static const char usage_text[] =
	"Usage: oomsnap watch [-c FILE] [--dry-run] [--set KEY=VALUE]... [selectors]\n"
	"\n"
	"Watches targets and captures a leaking process before the kernel OOM killer fires.\n"
	"\n"
	"  -c, --config FILE     configuration (default " CONFIG_PATH ",\n"
	"                        or none at all where selectors are given)\n"
	"      --dry-run         decide and tell, touch nothing\n"
	"      --set KEY=VALUE   as a last line of [defaults], e.g. --set trip=80%\n"
	"      --runtime-dir DIR where the ledger lies (default $RUNTIME_DIRECTORY or " RUNTIME_DIR
	")\n"
	"      --json            events as JSON lines on stderr, even where there is a journal\n"
	"  -h, --help\n"
	"\n" WATCH_SELECTORS_USAGE
	"Exit status: 0 ended by SIGTERM or SIGINT, 1 failed, 2 bad usage or configuration,\n"
	"4 not permitted, 5 captures could not be written to their directory.\n";

static int open_ledger(struct watch *w)
{
	uint32_t undone = 0;
	uint32_t left = 0;
	int why = 0;
	int r = ledger_recover(w->runtime_dir, &undone, &left);

	if (r < 0)
		tell_error(NULL, w->runtime_dir, r, "old ledgers cannot be looked for");
	if (undone || left)
		tell_recovered(undone, left);
	r = ledger_open(w->runtime_dir, &w->ledger, &why);
	if (r == 0 && !w->ledger.persistent)
		tell_degraded(NULL, w->runtime_dir, why,
			"the ledger is in memory only, so a next start finds nothing to undo; give "
			"--runtime-dir a writable directory");
	/* Without such a directory, which was told, oomsnap status finds nothing. */
	(void)board_open(w->runtime_dir, w->dry_run, &w->board);
	return r;
}

/* Prefers us over a target that keeps every core busy, and keeps the OOM killer off. */
static void take_precedence(void)
{
	const struct sched_param param = {.sched_priority = 1};

	if (sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &param) != 0 &&
		setpriority(PRIO_PROCESS, 0, -20) != 0)
		tell_degraded(NULL, "scheduling", -errno,
			"grant CAP_SYS_NICE, or samples may come late on a busy host");
	/* For the capturers, which are not real-time. Without the right it stays as it is. */
	(void)process_prefer_session();
	/* Without CAP_SYS_RESOURCE it stays as it is; the unit and the pod can set it for us. */
	(void)process_set_oom_adj(getpid(), OWN_OOM_ADJ);
}

static void lock_memory(void)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		tell_degraded(NULL, "mlockall", -errno,
			"grant CAP_IPC_LOCK or raise RLIMIT_MEMLOCK, or our own memory may be "
			"reclaimed when it matters");
}

static bool tried_before(const struct config *config, uint32_t index)
{
	for (uint32_t i = 0; i < index; i++)
		if (strcmp(config->targets[i].directory, config->targets[index].directory) == 0)
			return true;
	return false;
}

/*
 * Tries every directory for captures before anything is in force: a refusal that is met only once a
 * target is held costs it the pause for nothing. Space may come; all else is as a bad
 * configuration.
 */
static enum exit_code try_directories(const struct watch *w)
{
	enum exit_code code = EXIT_CODE_OK;
	char why[CAPTURER_WHY_MAX];

	for (uint32_t i = 0; i < w->config->target_count; i++) {
		const char *directory = w->config->targets[i].directory;
		int r;

		if (tried_before(w->config, i))
			continue;
		r = capture_try_directory(directory, /* allow_memory= */ false,
			/* make= */ !w->dry_run, why, sizeof(why));
		if (r == 0)
			continue;
		tell_place_refused(directory, why);
		if (r != CAPTURE_NO_SPACE && !w->dry_run)
			code = EXIT_CODE_PLACE;
	}
	return code;
}

static int set_up(struct watch *w)
{
	sigset_t mask;
	int r;

	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGTERM);
	(void)sigaddset(&mask, SIGINT);
	(void)sigaddset(&mask, SIGHUP);
	(void)sigaddset(&mask, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &mask, NULL);
	(void)signal(SIGPIPE, SIG_IGN); // NOLINT(bugprone-signal-handler)
	w->guardian_pidfd = -1;
	w->now_ns = clock_now_ns();
	w->self_pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (w->self_pidfd < 0)
		return -errno;
	w->histories = mmap(NULL, CONFIG_TARGETS_MAX * sizeof(*w->histories),
		PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (w->histories == MAP_FAILED)
		return -errno;
	r = sd_event_new(&w->event);
	if (r >= 0)
		r = hold_open(w);
	return r < 0 ? r : open_ledger(w);
}

static int run(struct watch *w)
{
	int r = set_up(w);

	if (r < 0) {
		tell_error(NULL, "start", r, "the watchdog cannot be set up");
		return r == -EPERM || r == -EACCES ? EXIT_CODE_PERMISSION : EXIT_CODE_FAILED;
	}
	r = (int)try_directories(w);
	if (r == EXIT_CODE_OK) {
		wiring_open(w);
		take_precedence();
		lock_memory();
		r = watch_run(w);
		wiring_close(w);
	}
	board_close(&w->board);
	ledger_close(&w->ledger);
	w->event = sd_event_unref(w->event);
	return r;
}

int cmd_watch(int argc, char **argv)
{
	static struct watch watch; /* large, and as long-lived as the process */
	static struct watch_arguments arguments;
	struct event_options events = {.sink = EVENT_SINK_AUTO, .fd = STDERR_FILENO};
	struct config_error error;
	int r = watch_arguments_parse(argc, argv, usage_text, &arguments);

	if (r >= 0)
		return r;
	fault_init();
	watch.options = &arguments.options;
	watch.dry_run = arguments.dry_run;
	r = config_load(&arguments.options, &watch.config, &error);
	if (r != 0) {
		(void)fprintf(stderr, "oomsnap: %s\n", r > 0 ? error.text : "no memory");
		return r == CONFIG_UNREADABLE ? EXIT_CODE_PERMISSION
			: r > 0		      ? EXIT_CODE_USAGE
					      : EXIT_CODE_FAILED;
	}
	if (arguments.json)
		events.sink = EVENT_SINK_JSON;
	r = event_open(&events);
	if (r < 0)
		(void)fprintf(stderr, "oomsnap: events have nowhere to go: %s\n",
			strerror(-r)); // NOLINT(concurrency-mt-unsafe)
	if (!runtime_dir_find(
		    arguments.runtime_dir, watch.runtime_dir, sizeof(watch.runtime_dir))) {
		(void)fprintf(stderr, "oomsnap: the runtime directory's name is too long\n");
		return EXIT_CODE_USAGE;
	}
	r = run(&watch);
	config_free(watch.config);
	event_close();
	return r;
}
