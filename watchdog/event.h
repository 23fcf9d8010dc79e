/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only voice: every event that oomsnap tells about, with its MESSAGE_ID and fields, sent to the
 * journal, or as one JSON object a line to stderr where there is no journal. A terminal on stderr
 * gets readable lines (beside the journal's entry).
 *
 *     struct event_message *m = event_begin(EVENT_TRIPPED, target->name);
 *     event_field_str(m, EVENT_FIELD_REASON, trip_reason_name(reason));
 *     event_field_bytes(m, EVENT_FIELD_USED_BYTES, used);
 *     event_send(m, "used %" PRIu64 " of %" PRIu64 " bytes: capturing", used, limit);
 *
 * After event_open() nothing here allocates or blocks. There is one message at a time; no locks:
 * one thread speaks. A forked child that wants to speak calls event_open() again.
 */
#ifndef OOMSNAP_EVENT_H
#define OOMSNAP_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Priorities are syslog's: 2 crit, 3 err, 4 warning, 5 notice, 6 info. */
#define EVENTS(X)                                                                                 \
	X(STARTED, "started", "3fc8bd3794ffc9d68efd27167b84ac4a", 6, "the watchdog runs")         \
	X(STOPPING, "stopping", "4605ff3af4f12bc3faaa5da75cc1fd44", 6,                            \
		"the watchdog ends; everything is undone")                                        \
	X(TARGET_FOUND, "target-found", "d146617e220f16c24f10dfe641d9f12c", 6,                    \
		"a target appeared and is watched")                                               \
	X(TARGET_GONE, "target-gone", "9fb3d8245bb0c63127ae0fbd92dec46d", 6,                      \
		"a target ended or its cgroup was removed")                                       \
	X(GUARANTEE, "guarantee", "dcb42cdea9979828cdb8a4c4dce2911d", 6,                          \
		"what can be promised for a target, and why not more")                            \
	X(DEGRADED, "degraded", "10af6f33c0eb11f713f8edd50b34ba51", 4,                            \
		"something that the configuration asks for does not work here")                   \
	X(ARMED, "armed", "fbbf3f8b10aea0bd01a593bbdcb71b20", 5,                                  \
		"memory is getting short: shield and brake are up")                               \
	X(DISARMED, "disarmed", "f55e03a3883bab0ec39f1457046c1d85", 6,                            \
		"memory came back: shield and brake are down again")                              \
	X(TRIPPED, "tripped", "be5dc0910c5592f81c1c18f4eb1f828e", 4, "a capture begins")          \
	X(HELD, "held", "afc4df569f7514e8d60abac78c37e676", 5, "the target stands still")         \
	X(HOLD_FAILED, "hold-failed", "18864df3661c786e629fd8e85c4a9ef8", 4,                      \
		"the target could not be stopped in time")                                        \
	X(CAPTURED, "captured", "0cb9693cef9cb6b4b49b0e10ea93dcd3", 4, "a complete core is safe") \
	X(CAPTURE_PARTIAL, "capture-partial", "72555f1dda77ce6e8f280a64adf02c72", 3,              \
		"a core is safe, but something is missing in it")                                 \
	X(CAPTURE_FAILED, "capture-failed", "7dc117d251665d8c9b6feaed03cc5882", 3,                \
		"nothing could be captured")                                                      \
	X(RELEASED, "released", "4bc1be05ea1a3f6971ecad6e9122fac7", 5,                            \
		"the incident is over; every intervention is undone")                             \
	X(LOST, "lost", "a9c4996eca6af6d40ff9372f716efdcc", 2,                                    \
		"the kernel killed the target before its capture was complete")                   \
	X(KILLED, "killed", "07848285704e4dac8c805102cfeebcb8", 4,                                \
		"the kernel killed a process of the target after its capture was complete")       \
	X(OOM_AT_LIMIT, "oom-at-limit", "7b2bf13809415befa3422c106f1ae2ee", 4,                    \
		"the limit was hit and the shield held")                                          \
	X(LIMIT_CHANGED, "limit-changed", "ee1fbbe5f38200147e859a95e7c8d8db", 6,                  \
		"the target's effective limit is another one now")                                \
	X(GUARDIAN_RESTARTED, "guardian-restarted", "5a93712a957065d64cb649cc629c972c", 4,        \
		"the guardian died and was started again")                                        \
	X(CAPTURER_RESTARTED, "capturer-restarted", "ed6d3fb77a076587683cff8ad45b407b", 4,        \
		"the capturer died or overran its deadline and was started again")                \
	X(RECOVERED, "recovered", "799cd2cb7f08fd60728f8c8db51c9fae", 4,                          \
		"interventions left by a dead watchdog were undone")                              \
	X(UNDO_FAILED, "undo-failed", "8427ede262ef2a78201b0d8a065a8680", 2,                      \
		"an intervention is still in force and could not be undone")                      \
	X(CONFIG_RELOADED, "config-reloaded", "f11550d6a1a8cf59723feee7e41307ab", 5,              \
		"a new configuration is in force")                                                \
	X(CONFIG_REJECTED, "config-rejected", "27fe68988e84051dcb51b0bdf32378b9", 3,              \
		"the new configuration is bad; the old one stays in force")                       \
	X(PLACE_REFUSED, "place-refused", "5e0b7d3c81f64a0e9d2c46b7a1f3c095", 3,                  \
		"captures could not be written to their directory")                               \
	X(NODE_PRESSURE, "node-pressure", "776d6d96b520d862d310abac1e2b7da2", 4,                  \
		"the whole machine is short of memory, not the target alone")                     \
	X(RUNTIME_FOUND, "runtime-found", "8f1c6a5b7d2e4f0c9a3be1d4670f52c8", 6,                  \
		"which managed runtime is in a target, and where it would give up by itself")     \
	X(RUNTIME_DIED, "runtime-died", "3effd591136c8b77cf66103a6cb0fb98", 3,                    \
		"the target's runtime gave up by itself, below the limit")                        \
	X(COMMAND_RESULT, "command-result", "11a795c24a7b804835f95b729d65d4fb", 6,                \
		"how on_arm or on_capture ended")                                                 \
	X(ERROR, "error", "2b25bfb00a4083ce87c3870e8abcafd4", 3, "something unforeseen failed")

#define X(id, name, message_id, priority, description) EVENT_##id,
enum event_id { EVENTS(X) EVENT_COUNT };
#undef X

/*
 * The fields: OOMSNAP_ + id. T text, U unsigned, I signed. A field that is not known for an event
 * is absent, as is a size that means "no limit".
 */
#define EVENT_FIELDS(X)                                                                   \
	X(EVENT, T, "the event's name, as in this page")                                  \
	X(TARGET, T, "the target's name")                                                 \
	X(INCIDENT, U, "number of the incident since the watchdog started")               \
	X(CGROUP, T, "the target's cgroup directory")                                     \
	X(UNIT, T, "the target's systemd unit")                                           \
	X(POD, T, "namespace/name of the target's pod")                                   \
	X(CONTAINER, T, "name or id of the target's container")                           \
	X(PID, U, "process that the event is about")                                      \
	X(COMM, T, "that process's name")                                                 \
	X(GUARANTEE, T, "observe, best-effort, brake, kernel-stop or guaranteed")         \
	X(WHY, T, "why, in words")                                                        \
	X(REASON, T, "why it tripped: used, eta, psi, limit, tripwire, manual")           \
	X(LIMIT_BYTES, U, "effective limit: the least over the cgroup and its ancestors") \
	X(OLD_LIMIT_BYTES, U, "limit before the change")                                  \
	X(USED_BYTES, U, "current usage less inactive file pages")                        \
	X(ARM_BYTES, U, "usage at which shield and brake go up")                          \
	X(TRIP_BYTES, U, "usage at which a capture begins")                               \
	X(HEADROOM_TRIP_BYTES, U, "limit less used when it tripped")                      \
	X(HEADROOM_HOLD_BYTES, U, "the same when the target stood still")                 \
	X(HEADROOM_END_BYTES, U, "the same at release")                                   \
	X(RATE_BYTES_S, U, "growth in bytes a second")                                    \
	X(ETA_NS, U, "time until the limit at that rate, in nanoseconds")                 \
	X(PSI_FULL_BP, U, "memory pressure full avg10, in hundredths of a percent")       \
	X(PRESSURE, T, "whose memory pressure calls for a look: target, machine, none")   \
	X(TRIPWIRE, T, "where in the kernel the tripwire stands, or none")                \
	X(OOM_EVENTS, U, "out-of-memory situations counted by the kernel")                \
	X(OOM_KILLS, U, "processes of the target that the kernel killed")                 \
	X(HOLD, T, "how it was stopped: freeze, stop, ptrace")                            \
	X(HELD_NS, U, "how long it stood still, in nanoseconds")                          \
	X(HOLD_DELAY_NS, U, "from the trip until it stood still, in nanoseconds")         \
	X(DURABLE_NS, U, "from the trip until the core was safe on disk, in nanoseconds") \
	X(SHIELD, T, "shield in force: on or off")                                        \
	X(BRAKE_BYTES, U, "memory.high that was set")                                     \
	X(LEASE_BYTES, U, "how much the limit was raised")                                \
	X(VERDICT, T, "what became of the target: resume, oom, kill, lease")              \
	X(INTERVENTION, T, "the intervention that the event is about")                    \
	X(PATH, T, "the bundle's directory, or the file that the event is about")         \
	X(CORE, T, "path of the core")                                                    \
	X(CORE_BYTES, U, "length of the core")                                            \
	X(FILE_BYTES, U, "its size on disk")                                              \
	X(MEMORY_BYTES, U, "memory of the target that is in it")                          \
	X(SKIPPED_BYTES, U, "memory that was wanted and is not in it")                    \
	X(MISSING, T, "why it is partial")                                                \
	X(THREADS, U, "threads in it")                                                    \
	X(RUNTIME, T, "managed runtime in the target: dotnet, java, node, python, go")    \
	X(HEAP_BYTES, U, "the heap limit of that runtime")                                \
	X(HEAP_SOURCE, T, "where it is set")                                              \
	X(RULE, T, "the rule by which trip = auto comes before the runtime's own end")    \
	X(MEND, T, "what to set")                                                         \
	X(COMMAND, T, "on_arm or on_capture")                                             \
	X(EXIT_STATUS, I, "exit status of a command or runtime; -N: ended by signal N")   \
	X(OBJECT, T, "the file, process or interface that failed")                        \
	X(ERRNO, U, "errno of what failed")                                               \
	X(VERSION, T, "version of oomsnap")                                               \
	X(TARGETS, U, "number of targets")                                                \
	X(NUMBER, U, "number of things that the event is about")                          \
	X(CONFIG_FILE, T, "configuration file")                                           \
	X(DROPPED, U, "events that could not be told before this one")                    \
	X(CUT, U, "1: something did not fit into this event")

#define X(id, type, description) EVENT_FIELD_##id,
enum event_field { EVENT_FIELDS(X) EVENT_FIELD_COUNT };
#undef X

enum event_sink {
	EVENT_SINK_AUTO,    /* the journal if it can be reached, else JSON; text if a terminal */
	EVENT_SINK_JOURNAL, /* the journal, JSON for what it does not take */
	EVENT_SINK_JSON,
	EVENT_SINK_TEXT,
};

struct event_options {
	enum event_sink sink;
	int fd;			    /* for JSON and text; borrowed; usually STDERR_FILENO */
	const char *journal_socket; /* NULL: the system's; borrowed until event_close() */
};

struct event_message; /* of this module; valid from event_begin() to event_send() */

/*
 * Looks once where events can go. NULL: EVENT_SINK_AUTO on stderr. May be called again (after a
 * fork). 0, or a negative errno of what failed (then events go nowhere, and are counted).
 */
int event_open(const struct event_options *options);
void event_close(void);

/* Starts a message with EVENT and TARGET in it; target may be NULL. A message that was begun and
 * not sent is forgotten. */
struct event_message *event_begin(enum event_id id, const char *target);

/*
 * Each adds one field; the same field twice in a message is our own bug (asserted). Text
 * may be anybody's: control characters and bytes that are not UTF-8 become \xNN; NULL adds nothing.
 * Text beyond EVENT_TEXT_MAX bytes is cut, and OOMSNAP_CUT says so.
 */
#define EVENT_TEXT_MAX 1024
void event_field_str(struct event_message *m, enum event_field field, const char *text);
void event_field_u64(struct event_message *m, enum event_field field, uint64_t value);
void event_field_i64(struct event_message *m, enum event_field field, int64_t value);
void event_field_ns(struct event_message *m, enum event_field field, uint64_t value_ns);
void event_field_bytes(
	struct event_message *m, enum event_field field, uint64_t value_bytes); /* not UNLIMITED */

/*
 * Sends it. The format makes MESSAGE: one sentence without a full stop, made safe as the fields
 * are. Never blocks: an event that a full or closed receiver does not take is counted, and the
 * next one that goes through carries the count in OOMSNAP_DROPPED. Keeps errno.
 */
void event_send(struct event_message *m, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

uint64_t event_dropped(void); /* since event_open() */

/* Facts of an event or field; NULL out of range. Names are "tripped", "OOMSNAP_USED_BYTES". */
const char *event_name(enum event_id id);
const char *event_message_id(enum event_id id);
const char *event_description(enum event_id id);
int event_priority(enum event_id id);
const char *event_field_name(enum event_field field);
bool event_field_is_number(enum event_field field);

#endif
