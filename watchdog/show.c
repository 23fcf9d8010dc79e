// SPDX-License-Identifier: Apache-2.0
/*
 * What the watchdog shows to oomsnap status: copies figures that the loop has anyway onto the
 * board. No decision, no allocation, no system call; called after every step of a target's engine.
 */
#include <string.h>

#include "base/str.h"
#include "watch.h"

void show_target(struct target *t)
{
	const struct engine *e = &t->engine;
	struct board_entry *b = board_change(&t->watch->board, t->index);

	if (!b)
		return;
	/* A place of a selector of containers has no name until it takes one, and then another's.
	 */
	if ((t->open || containers_places(t->asked) == 1) &&
		strcmp(b->target, t->config->name) != 0) {
		memset(b, 0, sizeof(*b));
		(void)str_copy(b->target, sizeof(b->target), t->config->name); /* same size */
	}
	/* Texts that do not fit are cut: the board is for people. */
	if (t->open) {
		(void)str_copy(b->cgroup, sizeof(b->cgroup), t->found_path);
		(void)str_copy(b->pod, sizeof(b->pod), t->pod.pod);
		(void)str_copy(b->container, sizeof(b->container), t->pod.container);
	}
	(void)str_copy(b->state, sizeof(b->state), engine_state_name(e->state));
	b->guarantee = t->guarantee.guarantee;
	b->seen_ns = e->seen ? e->last.now_ns : 0;
	b->used_bytes = sample_used(&e->last);
	b->limit_bytes = e->last.limit_bytes;
	b->trip_bytes = e->thresholds.trip_bytes;
	b->rate_bytes_s = e->rate_bytes_s;
	b->psi_full_bp = e->last.psi_full_bp;
	board_done(&t->watch->board, t->index);
}

void show_captured(const struct crew_member *m)
{
	struct board_entry *b = board_change(&m->watch->board, m->target->index);

	if (!b)
		return;
	(void)str_copy(b->capture, sizeof(b->capture), m->result.path);
	b->partial = m->result.status == CAPTURE_PARTIAL;
	b->captures++;
	board_done(&m->watch->board, m->target->index);
}
