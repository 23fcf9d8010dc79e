/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running watchdog: what loop.c, target.c, act.c, crew.c and tell.c share. One thread, one
 * sd-event loop; everything here belongs to it. Nothing is allocated while a target is tripped.
 */
#ifndef OOMSNAP_WATCH_H
#define OOMSNAP_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "board.h"
#include "capturer.h"
#include "config.h"
#include "core/engine.h"
#include "core/guarantee.h"
#include "core/history.h"
#include "core/rank.h"
#include "core/runtime.h"
#include "os/bpf.h"
#include "os/cgroup.h"
#include "os/ledger.h"
#include "os/psi.h"
#include "os/runtime.h"

#define WATCH_CREW_MAX LEDGER_CAPTURERS_MAX
#define WATCH_NOTICES_MAX 3		 /* arm, trip, out of memory: of the level that limits */
#define WATCH_PIDS_MAX 4096		 /* processes of one target that are ranked and captured */
#define WATCH_FIND_NS NS_PER_S		 /* how often a target that is not there is looked for */
#define WATCH_BEAT_NS NS_PER_S		 /* sign of life while anything is in force */
#define WATCH_SHIELD_NS (50 * NS_PER_MS) /* between two looks for processes to be shielded */
#define WATCH_STAT_NS                                                              \
	20000000ULL /* memory.stat between arm and trip, where usage alone decides \
		     */

#define CONTAINERS_NAME_MAX 254 /* of a pod, namespace or container */

struct watch;

struct target;

/* Where in a cluster a target is; "" for what is not known. */
struct pod_names {
	char pod[2 * CONTAINERS_NAME_MAX]; /* namespace/name */
	char container[CONTAINERS_NAME_MAX];
};

/* One of the user's commands while it runs (command.c). */
struct command {
	struct target *target;
	pid_t pid; /* and process group; 0: it does not run */
	int pidfd;
	sd_event_source *death;
	sd_event_source *deadline;
	struct command_waiting *waiting; /* owned; captures that it is still to be run for */
	sd_event_source *later;		 /* until no target is tripped */
};
#define WATCH_COMMANDS 2 /* on_arm, on_capture */

/* The managed runtime in a target (managed.c). */
struct managed {
	struct runtime_facts facts; /* of the process facts.pid; 0: none is known */
	struct runtime_rule rule;   /* as of the newest look */
	sd_event_source *death;
	int counters_fd;       /* a JVM's; -1: none */
	uint64_t search_ns;    /* when it was last looked for */
	uint64_t committed_ns; /* when facts.committed_bytes was read */
	uint64_t used_bytes;   /* of the target, the highest of the last two seconds */
	uint64_t used_ns;      /* when that was */
	uint64_t oom_kills;    /* of the target, when the process was found */
	uint64_t pause_ns; /* since when a JVM's collection keeps the trip waiting; 0: none does */
	bool older;	   /* than we: it may have started under another limit */
	bool untold;	   /* runtime-found is due, once the thresholds follow it */
};

/* The end of a target's largest process (ending.c). */
struct ending {
	sd_event_source *death; /* NULL: none is watched */
	pid_t pid;
	bool killed;	    /* it has ended, by SIGKILL */
	uint64_t oom_kills; /* in the target, when the watch began */
};

/* The tripwire's side of a target (wiring.c). */
struct wiring {
	bool added;	/* the tripwire knows its cgroup */
	bool armed;	/* it is in force */
	bool failed;	/* it could not be put in force: told, and not tried again */
	bool stopped;	/* stop is the first of those that are not acted upon yet */
	bool look;	/* something else that wants a look */
	uint32_t flags; /* as given to it, with the threshold */
	uint64_t threshold_bytes;
	uint64_t extra_bytes; /* by which the threshold is above the trip until extra_until_ns */
	uint64_t extra_until_ns;
	uint64_t stopped_due_ns; /* next look for whom others have stopped */
	uint64_t early;		 /* stops that were too early */
	pid_t victim;		 /* whom the OOM killer chose last; 0: nobody */
	struct tripwire_event stop;
};

/* A target of the configuration and what is known of it. */
#define TARGET_REFUSED "?"

struct target {
	struct watch *watch;
	uint32_t index; /* in watch->targets: the ledger's and the crew's name for it */
	const struct config_target *config; /* &named, where one target stands for containers */
	const struct config_target *asked;  /* as the configuration has it */
	struct config_target named;
	struct pod_names pod; /* as far as they are known */
	struct engine engine;
	struct engine_means means;
	struct cgroup cgroup;
	bool open;   /* cgroup is */
	int rival;   /* the watchdog that it was left to, as was told; 0: none */
	bool leased; /* its verdict was to run on under the raised limit */
	pid_t only;  /* the selector named one process: nobody else is stopped or captured */
	uint64_t shield_due_ns;
	uint64_t stat_due_ns;
	uint64_t unread_ns;    /* when its files could not be read last; 0: never */
	uint64_t put_off_ns;   /* since when its search is put off; 0: it is not */
	uint64_t prolonged_ns; /* since when its cooldown waits for a capturer; 0: it does not */
	bool prolonged_told;
	uint64_t recorded_ns;	 /* of the newest history point */
	struct history *history; /* in shared memory */
	struct guarantee_answer guarantee;
	int hold_error;			  /* of the newest try to stop it */
	int undo_error;			  /* of the newest release; 0: none is known */
	struct incident_record record;	  /* of the running incident, or the last one */
	char found_path[TARGET_PATH_MAX]; /* or TARGET_REFUSED: nothing was found, and why is told
					   */
	uint64_t found_limit;		  /* effective limit when it was found */
	uint64_t found_kills;		  /* and OOM kills in it */
	uint64_t found_ns;		  /* and when that was */
	bool history_is_old;		  /* the history has points of before */
	struct managed managed;
	struct ending ending;
	struct wiring wiring;

	uint32_t pid_count; /* to be captured in this incident, in order */
	uint32_t pid_next;
	uint32_t pid_over; /* further processes, for which there is no place */
	pid_t *pids;	   /* WATCH_PIDS_MAX */
	uint64_t start_times[CAPTURE_ASIDE_MAX]; /* of the first pids, those to be captured */
	struct rank_candidate *candidates; /* WATCH_PIDS_MAX; who held what at the last look */
	uint32_t candidate_count;

	sd_event_source *look;	/* the next sample, or the next search while not open */
	sd_event_source *timer; /* the engine's */
	sd_event_source *notice[WATCH_NOTICES_MAX];
	struct command command[WATCH_COMMANDS];
	sd_event_source *pressure_source;
	struct psi_trigger pressure; /* what it is; fd is the source's, and -1 here */
	uint64_t notice_limit;	     /* limit for which the notices are registered; 0: none */
	uint64_t notice_trip;	     /* and the trip */
};

/* A capturer process. */
enum crew_state {
	CREW_DEAD,
	CREW_IDLE,
	CREW_COPYING,	/* the target is held for it */
	CREW_ENDING,	/* killed over its deadline; its death is on the way */
	CREW_FINISHING, /* copied; the core is being made durable, or waits for the record */
	CREW_CLEARING,	/* done but for older bundles that go; a request would wait for that */
};

struct crew_member {
	struct watch *watch;
	uint32_t place;
	enum crew_state state;
	pid_t pid;
	uint64_t forked_ns;
	bool failing; /* it could not be forked, or died as it started: told, and tried again */
	int pidfd;
	int socket;
	sd_event_source *io;
	sd_event_source *death;
	struct target *target; /* of the running capture */
	uint64_t incident;
	bool sets_aside;	       /* what it copies waits for others of the incident */
	uint32_t aside;		       /* captures of this incident that wait for its record */
	bool asks;		       /* for a process, and has no answer yet (hold.c) */
	bool holds;		       /* what it copied, by ptrace, until crew_let_go() */
	uint64_t told_ns;	       /* when crew_let_go() told it; 0: not, or it never held */
	bool durable;		       /* the core is; result holds what the capturer said */
	bool released;		       /* the target is; record may be sent */
	bool unsent;		       /* record could not be */
	bool seized;		       /* it has said so, of the process that it copies */
	struct incident_record record; /* as it was at the release */
	struct capture_result result;
	char why[CAPTURER_WHY_MAX];
};

struct watch {
	sd_event *event;
	const struct config_options *options;
	struct config *config;
	struct ledger ledger;
	struct board board;
	char runtime_dir[CONFIG_DIRECTORY_MAX];
	bool dry_run;
	bool stopping;
	bool node_short; /* at the last beat */
	uint64_t now_ns; /* of this wakeup: the only clock that decisions see */
	uint64_t incidents;
	uint64_t stop_by_ns; /* while stopping */
	int self_pidfd;
	pid_t guardian_pid;
	int guardian_pidfd;
	sd_event_source *guardian_death;
	sd_event_source *beat;
	struct hold *hold;	    /* hold.c */
	sd_event_source *hold_rest; /* tries again to let go whom it could not */
	uint64_t hold_rest_ns;	    /* until it does */
	struct tripwire *tripwire;  /* NULL: none, and tripwire_why says why and how to mend it */
	sd_event_source *tripwire_io;
	sd_event_source *tripwire_later; /* acts on what was taken from it out of turn */
	uint64_t tripwire_lost;		 /* records of it that were lost so far */
	uint64_t tripwire_rest_ns;	 /* nobody needs its programs from then on */
	char tripwire_why[TRIPWIRE_WHY_MAX];
	struct history *histories; /* shared with the capturers: CONFIG_TARGETS_MAX */
	uint32_t target_count;
	struct target target[CONFIG_TARGETS_MAX];
	uint32_t crew_size;
	struct crew_member crew[WATCH_CREW_MAX];
	struct runtime_scratch scratch;
	struct capturer_message message; /* scratch: too large for the stack of a callback */
};

/* --- loop.c -------------------------------------------------------------------------------- */

/* The start of every callback: reads the clock into now_ns and gives a sign of life. */
void watch_wake(struct watch *w);

/* Whether any target is tripped: then nothing is forked. */
bool watch_in_incident(const struct watch *w);

/* Feeds an event to a target's engine and performs what it asks for, outcomes included. */
void watch_step(struct target *t, struct engine_event *event);

/* Samples a target now and steps on it. */
void watch_look(struct target *t);

/* The tripwire stopped a process of it (wiring.stop): samples it now and steps on that. */
void watch_kernel_stop(struct target *t);

/* Runs until SIGTERM or SIGINT has been carried out. An exit code. */
int watch_run(struct watch *w);

/* --- target.c ------------------------------------------------------------------------------ */

/*
 * Looks for the target's cgroup and opens it. True if it is open now; says once why not, if that is
 * not simply that it does not exist yet.
 */
bool target_find(struct target *t);
void target_close(struct target *t);

/*
 * Tells that its files are there and cannot be read, by the error of cgroup_sample() that is not
 * CGROUP_GONE: once, and again only after a minute in which they could.
 */
void target_tell_unreadable(struct target *t, int error);

/* The OOM kills in its cgroup as of the newest look, or as it was found. */
uint64_t target_oom_kills(const struct target *t);

/* Registers kernel notices for the present limit, where the version has them. */
void target_register_notices(struct target *t);

/* --- managed.c ----------------------------------------------------------------------------- */

/* Looks for a managed runtime in an open target, now. */
void managed_search(struct target *t);

/* The same where it is due; reads proc files of up to four processes. */
void managed_search_again(struct target *t);

/* Forgets it: the target is left. */
void managed_close(struct target *t);

/*
 * Reads again what changes, for a target that uses used_bytes: the usage at which a capture is due
 * before the runtime gives up, SIZE_UNLIMITED where it does not. managed.rule says the same.
 */
uint64_t managed_look(struct target *t, uint64_t used_bytes);

/* How long the next look may wait, of the after_ns that the engine allows. */
uint64_t managed_look_after(const struct target *t, uint64_t after_ns);

/* --- ending.c ------------------------------------------------------------------------------ */

/*
 * Has handler called, with t, when that process of it has ended; the descriptor that it is given is
 * its pidfd, and the source's. NULL where it is gone already, no pidfd can be had, or there is no
 * event loop (oomsnap check).
 */
sd_event_source *ending_source(struct target *t, pid_t pid, sd_event_io_handler_t handler);

/*
 * Looks at the target once more as soon as this process of it has ended, instead of the one that
 * was watched until now. Without effect where it is gone already or no pidfd can be had.
 */
void ending_watch(struct target *t, pid_t pid);

/*
 * Whether that process was ended by SIGKILL, not by our own verdict, near the limit, and no look
 * has found an OOM kill since: for a target whose cgroup is gone with the kernel's count.
 */
bool ending_unseen_kill(const struct target *t);

/* Watches no process any more, and forgets how the last one ended. */
void ending_forget(struct target *t);

/* --- containers.c -------------------------------------------------------------------------- */

/*
 * How many targets one of the configuration stands for: 1, or the places of a selector of
 * containers (siblings, kubepods), each of which takes a container that no other one has.
 */
uint32_t containers_places(const struct config_target *config);

/*
 * For a target of such a selector: the directory of the next container that is nobody's, and its
 * names into t->named and t->pod. 0, CGROUP_GONE while there is none, CGROUP_*, -errno.
 */
int containers_find(struct target *t, char *dir, size_t size);

/* --- pressure.c ---------------------------------------------------------------------------- */

/* Has the kernel's memory pressure call for looks, as far as it allows; t->pressure says how. */
void pressure_start(struct target *t);
void pressure_stop(struct target *t);

/* --- act.c --------------------------------------------------------------------------------- */

/* Carries out one action. True if *ret_outcome is to be fed to the engine next. */
bool act_perform(
	struct target *t, const struct engine_action *action, struct engine_event *ret_outcome);

/* The same for --dry-run: decides and tells, touches nothing. */
bool act_pretend(
	struct target *t, const struct engine_action *action, struct engine_event *ret_outcome);

/* Remembers an intervention in the incident's timeline: of now, or of another moment. */
void act_note(struct target *t, enum intervention what);
void act_note_at(struct target *t, enum intervention what, uint64_t at_ns, uint64_t used_bytes);

/* --- hold.c -------------------------------------------------------------------------------- */

/* Allocates what the hold by ptrace needs; after w->event. 0 or -errno. */
int hold_open(struct watch *w);

/*
 * What a capturer of that place takes a process over through, and where it finds the registers of
 * one that stays with the watchdog: NULL where no hold by ptrace is to be expected. Valid as long
 * as w.
 */
struct handover *hold_handover(struct watch *w, uint32_t place);
struct registers *hold_registers(struct watch *w, uint32_t place);

/*
 * Holds every process of the target by ptrace until hold_release(), the largest before all others;
 * noted in the ledger first. Whom it may not hold runs on. 0, or -ENOSPC (the ledger is full): then
 * nobody is held.
 */
int hold_seize(struct target *t, const struct rank_top *first);

/* At each look: those that could not stop at once, whom they have given birth to meanwhile, and who
 * has moved in. */
void hold_settle(struct target *t);

/*
 * That capturer is asking for the process that it is to capture (CAPTURER_SEIZING): its registers
 * are read and it stays held here, or it is handed over.
 */
void hold_answer(struct crew_member *m);

/* Kills whom the hold has; they are let go by hold_release(). Nothing before Linux 5.19. */
void hold_kill(struct target *t);

/*
 * Lets everybody of the target go. Who sleeps in the kernel follows when he wakes up; the ledger's
 * entry stays until then. Nothing where nobody is held.
 */
void hold_release(struct target *t);

/* --- crew.c -------------------------------------------------------------------------------- */

/* How many capturers a configuration takes. */
uint32_t crew_wanted(const struct config *config);

/* Forks the crew (and later replaces members). 0 or -errno. */
int crew_start(struct watch *w);
void crew_stop(struct watch *w);

/*
 * Hands the target's next process to an idle capturer, or to the one that has copied those before
 * it. 0, -EBUSY where there is none, -ECHILD where no capturer runs at all, -errno.
 */
int crew_capture(struct target *t, uint64_t until_ns);

/*
 * Ends the capture of a target that is still copying: the capturer dies and lets go. One that has
 * set others of the incident aside ends the copy by itself instead, if it does so at once, and
 * finishes them all.
 */
void crew_abort(struct target *t);

/* Whether a capture of this target is not finished yet. */
bool crew_busy_with(const struct target *t);

/* Whether any capturer runs, and be it busy. */
bool crew_is_there(const struct watch *w);

/*
 * Whether a further capture of this target has a chance: a capturer is idle, or all of them are
 * busy with other targets, for which there is no telling how soon they are done.
 */
bool crew_is_ready(const struct target *t);

/*
 * Carries out the verdict on whom a capturer has copied and still holds (hold = ptrace): killed in
 * that hold, or let go. Waits until that is done, at most CREW_LET_GO_MS.
 */
void crew_let_go(struct target *t, bool kill);

/*
 * At each beat: a capturer that still holds long after crew_let_go() hangs, and its end lets go; a
 * record that could not be sent is tried again; one that is there after failures is told.
 */
void crew_beat(struct watch *w);

/* The target is released: its captures may be finished. */
void crew_released(struct target *t);

/* --- show.c -------------------------------------------------------------------------------- */

/* Puts what is known of the target on the board; the capture, once there is one. */
void show_target(struct target *t);
void show_captured(const struct crew_member *m);

/* --- tell.c -------------------------------------------------------------------------------- */

void tell_started(const struct watch *w);
void tell_stopping(const struct watch *w);
void tell_found(const struct target *t);
void tell_gone(const struct target *t);
void tell_rival(const struct target *t);

/* Its process was killed, and the cgroup is gone with the count (ending_unseen_kill()). */
void tell_unseen_kill(const struct target *t);

/* tell_runtime.c. The text: runtime, heap limit and rule in one line, as check shows it. */
void tell_runtime_text(const struct target *t, char *memory, size_t size);
void tell_runtime_found(const struct target *t);
/* status as wait(2) gives it; NULL: unknown. */
void tell_runtime_died(const struct target *t, const int *status);
void tell_guarantee(const struct target *t);
void tell_report(const struct target *t, const struct engine_action *action);
void tell_captured(const struct crew_member *m);
/* The same for coredumpctl, where there is a journal (tell_coredump.c). */
void tell_coredump(const struct crew_member *m);
/* Its cooldown is over and goes on, as !crew_is_ready(). */
void tell_prolonged(const struct target *t);
/* Of that incident of it; pid 0: of no process in particular. */
void tell_capture_failed(const struct target *t, uint64_t incident, pid_t pid, const char *why);
/* Something that was asked for does not work: object, negative errno, how to mend it. */
void tell_degraded(const struct target *t, const char *object, int error, const char *mend);
void tell_error(const struct target *t, const char *object, int error, const char *what);
/* A directory in which no capture could be written; why is capture_try_directory()'s sentence. */
void tell_place_refused(const char *directory, const char *why);
/* The first stop by the tripwire that was too early; further ones are not told. */
void tell_stopped_early(const struct target *t);
/* Events of the tripwire that found its ring full. */
void tell_records_lost(uint64_t count);
/* status as OOMSNAP_EXIT_STATUS: negative for a signal. */
void tell_command(const struct target *t, const char *name, pid_t pid, int status);
void tell_crew_restarted(const struct crew_member *m, const char *why);
void tell_guardian_restarted(const struct watch *w);
void tell_recovered(uint32_t undone, uint32_t left);
void tell_reload(const struct watch *w, const char *problem);

#endif
