/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board: what a running watchdog shows to oomsnap status. One page of figures for each target
 * in a file below the runtime directory, DIR/PID.status, mapped by both sides: the watchdog writes
 * there what it knows anyway, by plain stores into locked memory, and never hears of a reader.
 *
 * The file is locked (flock) as long as the watchdog or one of its two children lives; a file that
 * nobody locks is a dead one's, is not read, and is removed by the next start.
 */
#ifndef OOMSNAP_BOARD_H
#define OOMSNAP_BOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/capture.h"
#include "config.h"
#include "core/types.h"

#define BOARD_STATE_MAX 16

/* What is shown of a target. Sizes and times as in core/types.h. */
struct board_entry {
	char target[TARGET_NAME_MAX];
	char cgroup[TARGET_PATH_MAX];	/* "" until it was found */
	char pod[512];			/* namespace/name; "" where there is none */
	char container[256];		/* "" where there is none */
	char state[BOARD_STATE_MAX];	/* of the engine */
	char capture[CAPTURE_PATH_MAX]; /* directory of the last one; "": none yet */
	bool partial;			/* the last one is */
	uint32_t captures;		/* since the start, partial ones too */
	enum guarantee guarantee;
	uint32_t psi_full_bp;
	uint64_t seen_ns; /* when used, limit and rate were as they are here; 0: never */
	uint64_t used_bytes;
	uint64_t limit_bytes;
	uint64_t trip_bytes;
	uint64_t rate_bytes_s;
};

struct board_map; /* the shared memory */

struct board {
	struct board_map *map; /* NULL: nothing is shown; every function below then does nothing */
	int fd;		       /* owned; holds the lock */
	char path[TARGET_PATH_MAX];
};

/*
 * Makes DIR/PID.status, locked and touched, and removes those of the dead. 0, or -errno where DIR
 * (which ledger_open() makes) cannot be written to: then nothing is shown. dry_run: whoever looks
 * for it with board_rival() finds none here. For the watchdog.
 */
int board_open(const char *dir, bool dry_run, struct board *ret);

/* Unmaps and removes the file. */
void board_close(struct board *b);

/* How many targets there are; the others' entries are empty afterwards. */
void board_resize(struct board *b, uint32_t targets);

/*
 * The entry of a target, to be changed in place until board_done(): a reader waits for it. NULL
 * where nothing is shown. No allocation, no system call.
 */
struct board_entry *board_change(struct board *b, uint32_t index);
void board_done(struct board *b, uint32_t index);

/* One running watchdog as a reader finds it. */
struct board_watchdog {
	int pid;
	bool dry_run;
	uint32_t targets;
	struct board_entry target[CONFIG_TARGETS_MAX];
};

/*
 * Calls seen for every running watchdog whose board lies in DIR, with a copy that is valid during
 * the call. Returns how many there were, or -errno of the directory or of a board in it.
 */
int board_read(const char *dir, void (*seen)(const struct board_watchdog *watchdog, void *user),
	void *user);

/*
 * The id of another watchdog, whose board lies in DIR, that watches this cgroup (the path of its
 * directory), or 0: there is none, or it does not show. A board that is left of a dead watchdog
 * while its children end counts for none, and so does a dry run's.
 */
int board_rival(const char *dir, const char *cgroup);

#endif
