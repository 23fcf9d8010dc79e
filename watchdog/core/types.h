/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plain data that the layers hand to each other: what was seen (sample), what the user wants
 * (policy), what happened (event), what is to be done (action), and what is told afterwards
 * (incident_record). No pointers into anybody's memory, so every one of these may be copied, sent
 * over a socket between our processes, and replayed from a trace.
 *
 * Times are CLOCK_MONOTONIC nanoseconds (_ns), sizes bytes (_bytes), shares basis points (_bp).
 * SIZE_UNLIMITED stands for "no limit" as memory.max says "max".
 */
#ifndef OOMSNAP_CORE_TYPES_H
#define OOMSNAP_CORE_TYPES_H

#include <stdbool.h>
#include <stdint.h>

#define SIZE_UNLIMITED UINT64_MAX
#define TARGET_NAME_MAX 64   /* bytes with the terminator; section names of the ini file */
#define TARGET_PATH_MAX 1024 /* bytes of a cgroup directory path with the terminator */

/* --- what was seen ------------------------------------------------------------------------- */

/* One look at a target, taken at the level (the cgroup or an ancestor) with the least headroom. */
struct sample {
	uint64_t now_ns;
	uint64_t current_bytes;	      /* memory.current / memory.usage_in_bytes */
	uint64_t inactive_file_bytes; /* of memory.stat, with what is being written to disk; may be
					 older than current_bytes, never newer */
	uint64_t limit_bytes;	      /* SIZE_UNLIMITED where no level limits */
	uint64_t oom_events;	      /* memory.events oom; v1: rising edges of under_oom seen */
	uint64_t oom_kills;	      /* memory.events oom_kill, summed over the levels */
	uint32_t level;		      /* 0 the cgroup itself, n its nth ancestor */
	uint32_t psi_some_bp;	      /* memory.pressure some avg10; 0 where there is no PSI */
	uint32_t psi_full_bp;
	bool under_oom;	 /* v1: tasks wait at the limit */
	bool stat_fresh; /* inactive_file_bytes was read for this sample */
};

/* used = current - inactive_file, what kubelet calls the working set. */
static inline uint64_t sample_used(const struct sample *s)
{
	return s->current_bytes > s->inactive_file_bytes ? s->current_bytes - s->inactive_file_bytes
							 : 0;
}

static inline uint64_t sample_headroom(const struct sample *s)
{
	uint64_t used = sample_used(s);

	if (s->limit_bytes == SIZE_UNLIMITED)
		return SIZE_UNLIMITED;
	return s->limit_bytes > used ? s->limit_bytes - used : 0;
}

/* --- what the user wants ------------------------------------------------------------------- */

enum trip_kind {
	TRIP_AUTO,     /* the first of 90% and the runtime's own end */
	TRIP_SHARE,    /* trip_bp of the limit */
	TRIP_USED,     /* trip_bytes used */
	TRIP_HEADROOM, /* trip_bytes left: "max-64M" */
	TRIP_KIND_COUNT
};

#define SHIELD_MODES(X)                               \
	X(ARMED, "armed")   /* from arm to release */ \
	X(ALWAYS, "always") /* as long as we watch */ \
	X(OFF, "off")
#define HOLD_METHODS(X)                                                         \
	X(AUTO, "auto")	    /* the first of the others that this host allows */ \
	X(FREEZE, "freeze") /* cgroup.freeze, v1 freezer */                     \
	X(STOP, "stop")	    /* SIGSTOP to every process */                      \
	X(PTRACE, "ptrace") /* by the capturer alone: PTRACE_INTERRUPT */
#define CAPTURE_KINDS(X)                                   \
	X(FULL, "full") /* everything a debugger needs */  \
	X(HEAP, "heap") /* private and anonymous memory */ \
	X(MINI, "mini") /* registers, stacks, loader data */
#define VERDICTS(X)                                                         \
	X(RESUME, "resume") /* thaw and let life go on */                   \
	X(OOM, "oom")	    /* drop every protection: the kernel decides */ \
	X(KILL, "kill")	    /* SIGKILL, cgroup.kill */                      \
	X(LEASE, "lease")   /* resume with the raised limit */
#define COMPRESSIONS(X) X(NONE, "none") X(ZSTD, "zstd")
#define PROCESS_CHOICES(X)                               \
	X(LEAKER, "leaker") /* the process that leaks */ \
	X(ALL, "all")	    /* every process of the target */
#define SWAP_MODES(X) X(LAST, "last") X(SKIP, "skip")

#define X(id, name) SHIELD_##id,
enum shield_mode { SHIELD_MODES(X) SHIELD_COUNT };
#undef X
#define X(id, name) HOLD_##id,
enum hold_method { HOLD_METHODS(X) HOLD_COUNT };
#undef X
#define X(id, name) CAPTURE_##id,
enum capture_kind { CAPTURE_KINDS(X) CAPTURE_KIND_COUNT };
#undef X
#define X(id, name) VERDICT_##id,
enum verdict { VERDICTS(X) VERDICT_COUNT };
#undef X
#define X(id, name) COMPRESS_##id,
enum compression { COMPRESSIONS(X) COMPRESS_COUNT };
#undef X
#define X(id, name) PROCESSES_##id,
enum process_choice { PROCESS_CHOICES(X) PROCESSES_COUNT };
#undef X
#define X(id, name) SWAP_##id,
enum swap_mode { SWAP_MODES(X) SWAP_COUNT };
#undef X

#define GUARANTEES(X)                                                              \
	X(OBSERVE, "observe")	      /* can only report */                        \
	X(BEST_EFFORT, "best-effort") /* polling and ptrace */                     \
	X(BRAKE, "brake")	      /* memory.high below the limit */            \
	X(KERNEL_STOP, "kernel-stop") /* tripwire; one huge system call escapes */ \
	X(GUARANTEED, "guaranteed")   /* shield: the kernel cannot kill before the capture ends */
#define X(id, name) GUARANTEE_##id,
enum guarantee { GUARANTEES(X) GUARANTEE_COUNT };
#undef X

/* What is wanted for one target. Everything is resolved: no "unset" values. */
struct policy {
	enum trip_kind trip_kind;
	uint32_t trip_bp;
	uint64_t trip_bytes;
	uint64_t trip_eta_ns; /* 0: off; trip when the predicted end is nearer than this */
	uint32_t trip_psi_bp; /* 0: off; trip when memory PSI full avg10 reaches this */
	uint32_t arm_bp;      /* share of the limit at which shield and brake go up */
	uint64_t brake_bp;    /* 0: off; memory.high as a share of the limit */
	uint64_t lease_bytes; /* 0: off; bounded raise of the limit while held */
	uint32_t lease_bp;    /* the same as a share of the limit; at most one of the two is set */
	uint64_t hold_timeout_ns;
	uint64_t deadline_ns;	/* of a capture, from the request to the last byte read */
	uint64_t cooldown_ns;	/* after a release, before the next trip */
	uint64_t max_use_bytes; /* of the dump directory; SIZE_UNLIMITED: no bound */
	uint64_t keep_free_bytes;
	uint32_t keep; /* captures kept per target; 0: all */
	bool tripwire;
	enum shield_mode shield;
	enum hold_method hold;
	enum capture_kind capture;
	enum process_choice processes;
	enum compression compress;
	enum swap_mode swap;
	enum verdict verdict;
};

/* --- the runtime in the target -------------------------------------------------------------- */

#define RUNTIME_KINDS(X)                                                     \
	X(NONE, "none")	    /* a native program, or one that is not known */ \
	X(DOTNET, "dotnet") /* libcoreclr.so */                              \
	X(JAVA, "java")	    /* libjvm.so */                                  \
	X(NODE, "node")                                                      \
	X(PYTHON, "python") /* CPython */                                    \
	X(GO, "go")
#define RUNTIME_SOURCES(X)                    \
	X(DEFAULT, "its default")             \
	X(COMMAND_LINE, "its command line")   \
	X(ENVIRONMENT, "its environment")     \
	X(SETTINGS, "its runtimeconfig.json") \
	X(PERF_DATA, "its hsperfdata") /* the counters that a JVM keeps for its tools */
#define X(id, name) RUNTIME_##id,
enum runtime_kind { RUNTIME_KINDS(X) RUNTIME_KIND_COUNT };
#undef X
#define X(id, name) RUNTIME_FROM_##id,
enum runtime_source { RUNTIME_SOURCES(X) RUNTIME_SOURCE_COUNT };
#undef X

/* What was found out, from outside, about the runtime in a target's largest process. */
struct runtime_facts {
	enum runtime_kind kind;
	enum runtime_source source;  /* of what is set: of heap_bytes, or else of heap_bp */
	uint64_t heap_bytes;	     /* the heap limit as it is set; 0: not as bytes */
	uint32_t heap_bp;	     /* the same as a share of the container's limit; 0: not so */
	int32_t pid;		     /* the process */
	uint64_t start_limit_bytes;  /* the container's limit when the process was first seen */
	uint64_t machine_bytes;	     /* memory of the machine; 0: unknown */
	uint64_t committed_bytes;    /* .NET, Node: what its heap has asked for, touched or not */
	uint64_t committed_at_bytes; /* .NET, Node: what the target used when that was read */
	uint64_t old_max_bytes;	   /* Java: the most that the old generation may have; 0: unknown */
	uint64_t old_used_bytes;   /* Java: what it holds, as of the last collection */
	uint64_t old_live_bytes;   /* Java: what it held after its last full collection; 0: none */
	uint64_t full_collections; /* Java: how many have ended */
	uint64_t live_collections; /* Java: full_collections when old_live_bytes was learnt */
	bool collecting;     /* Java: in a pause of its collector: the heap cannot be walked, nobody
				runs */
	bool old_is_cleaned; /* Java: a collector that cleans it before it is full (G1, ZGC) */
};

/* What follows from the facts. */
struct runtime_rule {
	uint64_t heap_bytes; /* its heap limit; SIZE_UNLIMITED: it has none */
	uint64_t trip_bytes; /* used at which a capture is due before it gives up; SIZE_UNLIMITED */
	const char *why;     /* a static text: which rule it was; "" where there is none */
};

/* --- what is told afterwards ---------------------------------------------------------------- */

#define TRIP_REASONS(X)                                                         \
	X(NONE, "none")                                                         \
	X(USED, "used")		/* used reached the threshold */                \
	X(ETA, "eta")		/* the predicted end was too near */            \
	X(PSI, "psi")		/* pressure */                                  \
	X(LIMIT, "limit")	/* the limit itself was hit; the shield held */ \
	X(TRIPWIRE, "tripwire") /* stopped inside the kernel */                 \
	X(MANUAL, "manual")	/* oomsnap dump */
#define X(id, name) TRIP_REASON_##id,
enum trip_reason { TRIP_REASONS(X) TRIP_REASON_COUNT };
#undef X

#define INTERVENTIONS(X)                                                    \
	X(ARM, "arm")		      /* decided */                         \
	X(SHIELD, "shield")	      /* OOM immunity is on */              \
	X(BRAKE, "brake")	      /* memory.high is down */             \
	X(KERNEL_STOP, "kernel-stop") /* the tripwire stopped it */         \
	X(TRIP, "trip")		      /* decided */                         \
	X(HOLD, "hold")		      /* every process was asked to stop */ \
	X(LEASE, "lease")	      /* the limit is raised */             \
	X(SEIZED, "seized")	      /* every thread stands still */       \
	X(COPIED, "copied")	      /* memory is read */                  \
	X(DETACHED, "detached")	      /* ptrace let go */                   \
	X(RELEASE, "release")	      /* nothing of ours is in force */     \
	X(DURABLE, "durable")	      /* the bundle is on disk */           \
	X(LOST, "lost")		      /* the kernel killed */               \
	X(UNSHIELD, "unshield")	      /* OOM immunity is off */
#define X(id, name) INTERVENTION_##id,
enum intervention { INTERVENTIONS(X) INTERVENTION_COUNT };
#undef X

#define TIMELINE_MAX 32 /* interventions of one incident that are told */
struct timeline_entry {
	uint64_t at_ns;
	uint64_t used_bytes; /* 0 where it was not looked at */
	enum intervention what;
	uint32_t reserved;
};

/* A point of the target's last minutes, for the report's chart. */
struct history_point {
	uint64_t at_ns;
	uint64_t used_bytes;
	uint64_t limit_bytes;
	uint64_t rate_bytes_s; /* growth; 0 while shrinking */
	uint32_t psi_some_bp;
	uint32_t psi_full_bp;
};
#define HISTORY_MAX 1024 /* points kept per target; older ones are thinned, newest are exact */

/* The watchdog's side of an incident, as it goes into report.json beside the core's own facts. */
struct incident_record {
	char target[TARGET_NAME_MAX];
	char cgroup[TARGET_PATH_MAX];
	uint64_t incident; /* number since start of the watchdog */
	uint64_t trip_ns;
	uint64_t held_ns;
	uint64_t released_ns;
	uint64_t limit_bytes;
	uint64_t trip_threshold_bytes;
	uint64_t used_at_trip_bytes;
	uint64_t headroom_trip_bytes; /* the guarantee margin, at trip, hold and end */
	uint64_t headroom_hold_bytes;
	uint64_t headroom_end_bytes;
	uint64_t rate_bytes_s; /* at trip */
	uint64_t oom_kills_before;
	uint64_t oom_kills_after;
	uint64_t oom_events_before;
	uint64_t oom_events_after;
	enum guarantee guarantee;
	enum trip_reason reason;
	enum hold_method hold; /* as it was really done, never HOLD_AUTO */
	enum verdict verdict;
	bool shielded;
	bool leased;
	bool lost;     /* a process of the target was OOM-killed before the capture ended */
	bool orphaned; /* the watchdog died; the capturer finished alone */
	uint32_t timeline_count;
	struct timeline_entry timeline[TIMELINE_MAX];
};

/* Printable names; "?" for a value out of range. */
const char *shield_mode_name(enum shield_mode v);
const char *hold_method_name(enum hold_method v);
const char *capture_kind_name(enum capture_kind v);
const char *verdict_name(enum verdict v);
const char *compression_name(enum compression v);
const char *process_choice_name(enum process_choice v);
const char *swap_mode_name(enum swap_mode v);
const char *guarantee_name(enum guarantee v);
const char *trip_reason_name(enum trip_reason v);
const char *intervention_name(enum intervention v);
const char *runtime_kind_name(enum runtime_kind v);
const char *runtime_source_name(enum runtime_source v);

#endif
