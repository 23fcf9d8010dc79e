/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of a section: their names, defaults, grammar and effect, each said once. Pure. Used by
 * config.c alone; everybody else includes config.h.
 */
#ifndef OOMSNAP_CONFIG_KEY_H
#define OOMSNAP_CONFIG_KEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "config.h"

/*
 * X(id, name, default, how): the default as the file would say it, NULL for a selector; how is the
 * end of an error message. The selectors come first, in the order of SELECTOR_KINDS.
 */
#define CONFIG_KEYS(X)                                                                             \
	X(CGROUP, "cgroup", NULL, "write the absolute path of a cgroup directory")                 \
	X(UNIT, "unit", NULL, "write a systemd unit, as in web.service")                           \
	X(PID, "pid", NULL, "write the number of a process, 1 to 4194304")                         \
	X(PROCESS, "process", NULL, "write the name of a process, as in /proc/PID/comm")           \
	X(SIBLINGS, "siblings", NULL, "write siblings = on, or leave the key out")                 \
	X(KUBEPODS, "kubepods", NULL,                                                              \
		"write kubepods = on, or where the node's own / is seen, as in /host")             \
	X(TRIP, "trip", "auto",                                                                    \
		"write auto, a share of the limit as in 90% (1% to 99%), a size as in 460M (from " \
		"1M), or what must be left as in max-64M (from 512K)")                             \
	X(TRIP_ETA, "trip_eta", "off", "write off or a time as in 5s (100ms to 60m)")              \
	X(TRIP_PSI, "trip_psi", "off", "write off or a share of time as in 40% (1% to 100%)")      \
	X(ARM, "arm", "75%", "write a share of the limit as in 75% (1% to 99%)")                   \
	X(SHIELD, "shield", "armed", "write armed, always or off")                                 \
	X(BRAKE, "brake", "off", "write off or a share of the limit as in 95% (1% to 99%)")        \
	X(TRIPWIRE, "tripwire", "on", "write on or off")                                           \
	X(LEASE, "lease", "off",                                                                   \
		"write off, a size as in 64M (from 1M) or a share of the limit as in 10% (1% to "  \
		"100%)")                                                                           \
	X(HOLD, "hold", "auto", "write auto, freeze, stop or ptrace")                              \
	X(HOLD_TIMEOUT, "hold_timeout", "2s", "write a time as in 2s (10ms to 1m)")                \
	X(CAPTURE, "capture", "full", "write full, heap or mini")                                  \
	X(PROCESSES, "processes", "leaker", "write leaker or all")                                 \
	X(COMPRESS, "compress", "none", "write none or zstd")                                      \
	X(SWAP, "swap", "last", "write last or skip")                                              \
	X(DIRECTORY, "directory", "/var/lib/oomsnap",                                              \
		"write an absolute path without .. as in /var/lib/oomsnap")                        \
	X(KEEP, "keep", "5", "write how many captures to keep of a target, 0 for all (to 100000)") \
	X(MAX_USE, "max_use", "unlimited", "write unlimited or a size as in 20G (from 1M)")        \
	X(KEEP_FREE, "keep_free", "256M", "write a size as in 256M, 0 for none")                   \
	X(DEADLINE, "deadline", "60s", "write a time as in 60s (1s to 60m)")                       \
	X(VERDICT, "verdict", "resume", "write resume, oom, kill or lease")                        \
	X(COOLDOWN, "cooldown", "60s", "write a time as in 60s (0 to 1440m)")                      \
	X(ON_ARM, "on_arm", "off", "write off or a shell command of at most 1023 bytes")           \
	X(ON_ARM_TIMEOUT, "on_arm_timeout", "10s", "write a time as in 10s (100ms to 60m)")        \
	X(ON_CAPTURE, "on_capture", "off", "write off or a shell command of at most 1023 bytes")   \
	X(ON_CAPTURE_TIMEOUT, "on_capture_timeout", "60s", "write a time as in 60s (100ms to 60m)")

#define X(id, name, initial, how) CONFIG_KEY_##id,
enum config_key_id { CONFIG_KEYS(X) CONFIG_KEY_COUNT };
#undef X

_Static_assert(CONFIG_KEY_COUNT <= 64, "a set of keys fits into 64 bits");

static inline bool config_key_is_selector(enum config_key_id key)
{
	return (unsigned int)key < SELECTOR_COUNT;
}

const char *config_key_name(enum config_key_id key);

/* The key of that name, or CONFIG_KEY_COUNT with the nearest name in *ret_nearest (or NULL). */
enum config_key_id config_key_find(const char *name, const char **ret_nearest);

/*
 * Gives the key a value in *target. False, *target untouched, if it is refused: then `why` holds
 * the rest of a sentence that began with "KEY = VALUE ".
 */
bool config_key_apply(
	enum config_key_id key, const char *value, struct config_target *target, struct str *why);

/* Sets every key but the selectors to its default. */
void config_key_defaults(struct config_target *target);

/*
 * What no single key can know. `set` holds a bit 1 << key for each key that somebody set for this
 * target or in [defaults]. False with a sentence in `why`.
 */
bool config_key_check(const struct config_target *target, uint64_t set, struct str *why);

#endif
