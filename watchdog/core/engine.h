/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The incident state machine of one target: (policy, state, event, now) -> actions. Pure; the shell
 * (loop.c, act.c) brings the events and carries out the actions, in order, and brings each outcome
 * back as an event.
 */
#ifndef OOMSNAP_CORE_ENGINE_H
#define OOMSNAP_CORE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/policy.h"
#include "core/predict.h"
#include "core/types.h"

#define ENGINE_STATES(X)                                                               \
	X(WATCHING, "watching")	  /* below arm */                                      \
	X(ARMED, "armed")	  /* shield and brake are up, the target runs */       \
	X(HOLDING, "holding")	  /* asked to stop; the capturer seizes its threads */ \
	X(CAPTURING, "capturing") /* stopped; memory is being copied */                \
	X(RELEASING, "releasing") /* part of an undo has to be tried again */          \
	X(COOLDOWN, "cooldown")	  /* runs free; no further trip for a while */         \
	X(GONE, "gone")		  /* no cgroup at the moment */
#define X(id, name) ENGINE_##id,
enum engine_state_id { ENGINE_STATES(X) ENGINE_STATE_COUNT };
#undef X

#define ENGINE_EVENTS(X)                                                                           \
	X(APPEARED, "appeared")	      /* the cgroup is there */                                    \
	X(SAMPLE, "sample")	      /* .sample */                                                \
	X(KERNEL_STOP, "kernel-stop") /* the tripwire stopped a process; .ok: .sample is of now */ \
	X(HELD, "held")		      /* .ok: outcome of HOLD */                                   \
	X(SEIZED, "seized")	      /* capturer: every thread stands still */                    \
	X(COPIED, "copied")	/* capturer: memory read; .more processes are to be captured */    \
	X(FAILED, "failed")	/* capturer: nothing captured, nothing left */                     \
	X(RELEASED, "released") /* .ok: outcome of RELEASE; false: part of it is still due */      \
	X(TICK, "tick")		/* the time of the last TIMER has come */                          \
	X(VANISHED, "vanished") /* the cgroup is gone */                                           \
	X(NODE_SHORT, "node-short") /* .ok false: the node is short of memory; true: no longer */  \
	X(SHUTDOWN, "shutdown")	    /* we are asked to end, or to drop this target */
#define X(id, name) ENGINE_EVENT_##id,
enum engine_event_kind { ENGINE_EVENTS(X) ENGINE_EVENT_COUNT };
#undef X

struct engine_event {
	enum engine_event_kind kind;
	bool ok;
	bool more;
	uint64_t auto_bytes; /* of a sample: where the runtime gives up by itself, SIZE_UNLIMITED */
	struct sample sample;
};

#define ENGINE_ACTIONS(X)                                                       \
	X(STATE, "state")   /* .from -> .to, told to reports and traces */      \
	X(SHIELD, "shield") /* OOM immunity */                                  \
	X(UNSHIELD, "unshield")                                                 \
	X(BRAKE, "brake") /* memory.high */                                     \
	X(UNBRAKE, "unbrake")                                                   \
	X(ON_ARM, "on-arm")	/* run the user's command */                    \
	X(HOLD, "hold")		/* .method */                                   \
	X(LEASE, "lease")	/* raise the limiting level by .bytes */        \
	X(CAPTURE, "capture")	/* the next process; .until_ns */               \
	X(ABORT, "abort")	/* end the capture; the capturer if need be */  \
	X(CONTINUE, "continue") /* what the tripwire stopped goes on; .bytes */ \
	X(RELEASE, "release")	/* undo everything, then .verdict */            \
	X(TIMER, "timer")	/* one at a time; .until_ns, 0: none */         \
	X(REPORT, "report")	/* .report */
#define X(id, name) ENGINE_ACTION_##id,
enum engine_action_kind { ENGINE_ACTIONS(X) ENGINE_ACTION_COUNT };
#undef X

#define ENGINE_REPORTS(X)                                                         \
	X(ARMED, "armed")                                                         \
	X(DISARMED, "disarmed")                                                   \
	X(TRIPPED, "tripped")                                                     \
	X(HOLD_FAILED, "hold-failed")                                             \
	X(HELD, "held")                                                           \
	X(RELEASED, "released")                                                   \
	X(LOST, "lost")		/* oom_kill went up */                            \
	X(AT_LIMIT, "at-limit") /* the limit was hit and the shield held */       \
	X(LIMIT_CHANGED, "limit-changed")                                         \
	X(OVERDUE, "overdue")		/* hold or capture passed its deadline */ \
	X(UNDO_PENDING, "undo-pending") /* part of an undo is still due */        \
	X(NODE_SHORT, "node-short")
#define X(id, name) ENGINE_REPORT_##id,
enum engine_report { ENGINE_REPORTS(X) ENGINE_REPORT_COUNT };
#undef X

struct engine_action {
	enum engine_action_kind kind;
	enum engine_state_id from;
	enum engine_state_id to;
	enum hold_method method;
	enum verdict verdict;
	enum trip_reason reason; /* STATE into HOLDING, REPORT of TRIPPED */
	enum engine_report report;
	uint64_t bytes; /* LEASE; REPORT of LIMIT_CHANGED: the limit before; CONTINUE: how far below
			   the trip it was stopped, 0 where that was no mistake */
	uint64_t until_ns;
};

#define ENGINE_ACTIONS_MAX 16
struct engine_actions {
	uint32_t count;
	struct engine_action action[ENGINE_ACTIONS_MAX];
};

/* Which interventions this host and target allow; computed by the shell, constant meanwhile. */
struct engine_means {
	bool shield;
	bool brake;
	bool freeze;
	bool stop;
	bool kernel_notice; /* the kernel wakes us at arm and trip */
};

struct engine {
	enum engine_state_id state;
	struct engine_means means;
	struct predict predict;
	struct thresholds thresholds;
	struct sample last;
	uint64_t limit_bytes; /* outside of incidents: what we raise ourselves is no change */
	uint64_t rate_bytes_s;
	uint64_t look_after_ns;	   /* how long the shell may wait before the next SAMPLE */
	uint64_t since_ns;	   /* of the state */
	uint64_t capture_until_ns; /* of this incident, all processes together; 0: none yet */
	enum hold_method method;
	enum trip_reason reason;
	uint32_t kicks; /* leases of this hold */
	bool shielded;	/* as asked; the shell knows what came of it */
	bool braked;
	bool seen; /* last holds a sample of this cgroup */
	bool node_short;
	bool captured; /* COPIED of this incident came */
	bool vanished; /* during the incident */
	bool shutdown;
};

/*
 * With the shield of cgroup v1 tasks wait for memory inside the kernel, where no signal and no
 * ptrace reaches them. A raise of the limit by this much lets them return to user mode, where the
 * pending stop takes them before they allocate again (measured: usage +0.25 MiB).
 */
#define ENGINE_KICK_BYTES 2097152ULL
#define ENGINE_KICKS_MAX 8U
#define ENGINE_HOLD_LOOK_NS 1000000ULL	     /* while holding: to see under_oom at once */
#define ENGINE_CAPTURE_LOOK_NS 100000000ULL  /* while capturing: for the chart */
#define ENGINE_COOLDOWN_LOOK_NS 100000000ULL /* in cooldown, near the limit or not */
#define ENGINE_FAILED_NS 20000000ULL	     /* least cooldown where nothing was captured */
#define ENGINE_RETRY_NS 100000000ULL	     /* of an undo that could not be completed */
#define ENGINE_GRACE_NS 1000000000ULL	     /* beyond the capturer's own deadlines */
/* Beyond the deadline of the copy: a worker that a disk does not answer is waited for 2 s first,
 * and what was copied until then is worth more than that time. */
#define ENGINE_COPY_GRACE_NS 3000000000ULL

/* Starts in GONE: the first event is APPEARED. */
void engine_init(struct engine *e, const struct engine_means *means);

/* One step. *ret is overwritten. Deterministic; never more than ENGINE_ACTIONS_MAX actions. */
void engine_step(struct engine *e, const struct policy *policy, const struct engine_event *event,
	uint64_t now_ns, struct engine_actions *ret);

/* Whether an incident is on: the target is stopped, or may be. */
bool engine_in_incident(const struct engine *e);

const char *engine_state_name(enum engine_state_id v);
const char *engine_event_name(enum engine_event_kind v);
const char *engine_action_name(enum engine_action_kind v);
const char *engine_report_name(enum engine_report v);

#endif
