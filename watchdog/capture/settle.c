// SPDX-License-Identifier: Apache-2.0
/*
 * The part of a capture for which its process need not stand still: our own note says what became
 * of the core, and the data is brought to the disk.
 *
 * Where several processes of a target stand still at once, one capturer copies them one after the
 * other, and all this would be time for which they stand still. So captures can be set aside in
 * between: kept of each are its open files, its names, its request and result, and its note with
 * the place of it, since the plan that knows where everything lies is filled anew for the next
 * process. Headers and notes are valid meanwhile: what we do not come back to can be opened, under
 * its .partial name. A disk that fails later is told in the note, at the place that was kept.
 *
 * Allocates nothing after settle_new(). Limit: CAPTURE_ASIDE_MAX at a time, two descriptors each.
 */
#include "capture/settle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fault.h"
#include "capture/head.h"
#include "os/clock.h"

/* A core whose data is not known to be on the disk. */
struct unsettled {
	struct capture_request request;
	struct capture_result result;
	struct core_note note;
	struct head_note_place note_place;
	int bundle_fd; /* as in struct capture_place: owned */
	int core_fd;
	char final_name[CAPTURE_NAME_MAX];
	char partial_name[CAPTURE_NAME_MAX];
	char core_name[CAPTURE_NAME_MAX];
};

struct settle {
	struct core_note note; /* of the newest capture_run() */
	struct head_note_place note_place;
	uint32_t count; /* set aside */
	uint32_t taken; /* of them, taken up again */
	struct unsettled aside[CAPTURE_ASIDE_MAX];
};

int settle_new(struct settle **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void settle_free(struct settle *settle)
{
	for (uint32_t i = settle ? settle->taken : 0; settle && i < settle->count; i++) {
		(void)close(settle->aside[i].core_fd); /* the files stay, as .partial */
		(void)close(settle->aside[i].bundle_fd);
	}
	free(settle);
}

/* Data of a core to the disk. A failure goes into the result, and into the note as well as this
 * disk can. */
static void make_durable(struct capture *c, const struct head_note_place *at,
	const struct core_note *note, int error)
{
	struct capture_result *result = &c->result;
	struct core_note failed = *note;
	int fd = c->place.core_fd;

	if (error == 0)
		error = FAULT_ERRNO(CAPTURE_SYNC);
	if (error == 0 && fdatasync(fd) < 0)
		error = -errno;
	if (error) {
		result->missing |= CAPTURE_MISSING_IO;
		result->error = result->error ? result->error : error;
		failed.complete = false;
		failed.missing = result->missing;
		(void)head_patch_note_at(at, fd, &failed);
	}
	result->durable_ns = clock_now_ns();
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static void fill_result(struct capture *c)
{
	struct stat st;

	if (fstat(c->place.core_fd, &st) == 0)
		c->result.file_bytes = (uint64_t)st.st_blocks * 512;
	c->result.status = c->result.missing ? CAPTURE_PARTIAL : CAPTURE_OK;
}

void settle(struct run *run)
{
	struct capture *c = run->c;
	struct settle *s = c->settle;
	int error;

	head_note(run->plan, run->result, run->realtime_ns, &s->note);
	head_note_place(run->plan, &s->note_place);
	error = head_patch_note_at(&s->note_place, c->place.core_fd, &s->note);
	run->result->core_bytes = run->plan->layout.file_bytes;
	if (error || !c->request.set_aside)
		make_durable(c, &s->note_place, &s->note, error);
	fill_result(c);
}

/* --- set aside ----------------------------------------------------------------------------- */

uint32_t capture_aside(const struct capture *c)
{
	return c->settle->count - c->settle->taken;
}

uint64_t settle_aside_bytes(const struct capture *c)
{
	const struct settle *s = c->settle;
	uint64_t bytes = 0;

	for (uint32_t i = s->taken; i < s->count; i++)
		bytes = add_sat(bytes, s->aside[i].result.file_bytes);
	return bytes;
}

int capture_set_aside(struct capture *c)
{
	struct capture_place *place = &c->place;
	struct settle *s = c->settle;
	struct unsettled *u;

	if (!place->created || place->output_mode)
		return -ENOENT;
	if (s->count == CAPTURE_ASIDE_MAX)
		return -ENOSPC;
	u = &s->aside[s->count++];
	u->request = c->request;
	u->result = c->result;
	u->note = s->note;
	u->note_place = s->note_place;
	memcpy(u->final_name, place->final_name, sizeof(u->final_name));
	memcpy(u->partial_name, place->partial_name, sizeof(u->partial_name));
	memcpy(u->core_name, place->core_name, sizeof(u->core_name));
	u->bundle_fd = place->bundle_fd;
	u->core_fd = place->core_fd;
	place->bundle_fd = place->core_fd = -1; /* u's from here on */
	place->created = false;
	return 0;
}

/* Makes it the capture that was run last. */
static void take_up(struct capture *c, const struct unsettled *u)
{
	struct capture_place *place = &c->place;

	capture_place_done(c); /* of one that could not be finished: its files stay */
	c->request = u->request;
	c->result = u->result;
	memcpy(place->final_name, u->final_name, sizeof(place->final_name));
	memcpy(place->partial_name, u->partial_name, sizeof(place->partial_name));
	memcpy(place->core_name, u->core_name, sizeof(place->core_name));
	place->bundle_fd = u->bundle_fd;
	place->core_fd = u->core_fd;
	place->created = true;
}

int capture_take_up(struct capture *c, struct capture_request *ret_request,
	struct capture_result *ret, char *why, size_t why_size)
{
	struct run run = {.c = c, .result = &c->result, .why = why, .why_size = why_size};
	struct settle *s = c->settle;
	const struct unsettled *u = &s->aside[s->taken];

	if (s->taken == s->count)
		return -ENOENT;
	if (why_size)
		why[0] = '\0';
	take_up(c, u);
	if (!c->result.durable_ns)
		make_durable(c, &u->note_place, &u->note, /* error= */ 0);
	fill_result(c);
	why_partial(&run);
	if (++s->taken == s->count)
		s->taken = s->count = 0;
	*ret_request = c->request;
	*ret = c->result;
	return 0;
}
