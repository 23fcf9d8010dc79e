/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared memory without a name, seen through those who share it: for a writer without the right to
 * open the object behind a mapping (/proc/PID/map_files asks for CAP_CHECKPOINT_RESTORE).
 */
#ifndef OOMSNAP_CAPTURE_PEERS_H
#define OOMSNAP_CAPTURE_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/pages.h"

#define PEERS_MAX 32U /* processes that are asked; a mapping of each of them */

struct capture_plan;

struct peer {
	struct pages pages;
	int proc_fd;
	uint64_t start; /* of its mapping of the object */
	uint64_t end;
	uint64_t offset_bytes;
};

/* One belongs to one copier; zeros to begin with. */
struct peers {
	struct capture_plan *plan; /* NULL: nobody was looked for yet */
	uint32_t region;	   /* whose object they share */
	uint32_t count;
	bool was_read; /* anything of them, since peers_stayed() */
	struct peer peer[PEERS_MAX];
};

/*
 * Looks for other processes of the target's control group that have mapped the object of that
 * region, unless that is what was looked for last. Those that may not be traced are passed over.
 * Reads a file of every process that /proc shows, and maps of those of the group; buffer is scratch
 * for these.
 */
void peers_find(struct peers *peers, struct capture_plan *plan, uint32_t region, void *buffer,
	size_t buffer_bytes);

enum peers_result {
	PEERS_READ,    /* buffer has *ret_got bytes, of another process's page tables */
	PEERS_OWN,     /* up to *end the target has mapped them itself */
	PEERS_UNSEEN,  /* up to *end nobody has mapped any */
	PEERS_REFUSED, /* a page that is there could not be read */
};

/*
 * What is known of the region from the address on, up to *end (no more than the buffer holds),
 * which is lowered to where the answer ends. No page is made: only present ones are read.
 */
enum peers_result peers_read(
	struct peers *peers, uint64_t from, uint64_t *end, void *buffer, size_t *ret_got);

/*
 * Whether each of them still has its mapping where it was found, or nothing was read of them since
 * this was asked last: else what was read may be of something else. buffer is scratch.
 */
bool peers_stayed(struct peers *peers, void *buffer, size_t buffer_bytes);

/* Closes what is open of them. */
void peers_close(struct peers *peers);

#endif
