// SPDX-License-Identifier: Apache-2.0
/*
 * Selectors that stand for several containers: siblings (of our own pod) and kubepods (of the
 * node).
 *
 * Such a target of the configuration gets several places among the watch's targets. Each place is a
 * target like any other, with an engine, a history and a place in the ledger of its own, and takes
 * one container that no other place has; when that container has ended, and no core of it is still
 * being finished, the place is free for the next one, as a rule the same container started again.
 * Only the first free place searches, so that the whole costs one search a second.
 *
 * A place is named after what it holds, since the name is in events, bundles and the count of those
 * to keep: TARGET-PROCESS for a sibling (a sidecar does not learn its siblings' names),
 * TARGET-NAMESPACE.CONTAINER on a node. The pod's own name is a field of the events and no part of
 * that: it is another one after each rollout.
 *
 * Containers beyond the places are not watched; the last place that is taken says so.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/str.h"
#include "os/kubepods.h"
#include "os/siblings.h"
#include "watch.h"

#define SIBLING_PLACES 8 /* containers of one pod, beside ours */

_Static_assert(CONTAINERS_NAME_MAX >= KUBEPODS_NAME_MAX, "names of pods fit");

uint32_t containers_places(const struct config_target *config)
{
	switch (config->selector.kind) {
	case SELECTOR_SIBLINGS:
		return SIBLING_PLACES;
	case SELECTOR_KUBEPODS:
		return CONFIG_TARGETS_MAX; /* all that are left */
	case SELECTOR_CGROUP:
	case SELECTOR_UNIT:
	case SELECTOR_PID:
	case SELECTOR_PROCESS:
	case SELECTOR_COUNT:
		break;
	}
	return 1;
}

/* Whether another target has that cgroup, whatever selected it. */
static bool is_taken(void *user, uint64_t id)
{
	const struct target *t = user;
	const struct watch *w = t->watch;

	for (uint32_t i = 0; i < w->target_count; i++)
		if (&w->target[i] != t && w->target[i].open && w->target[i].cgroup.id == id)
			return true;
	return false;
}

/* A core that is still being finished bears the names of its place, and its report the history. */
static bool is_free(const struct target *t)
{
	return !t->open && !crew_busy_with(t);
}

static bool is_first_free(const struct target *t)
{
	const struct watch *w = t->watch;

	for (uint32_t i = 0; i < t->index; i++)
		if (w->target[i].asked == t->asked && is_free(&w->target[i]))
			return false;
	return is_free(t);
}

static bool is_last(const struct target *t)
{
	return t->index + 1 == t->watch->target_count ||
		t->watch->target[t->index + 1].asked != t->asked;
}

static bool name_is_used(const struct target *t, const char *name)
{
	const struct watch *w = t->watch;

	for (uint32_t i = 0; i < w->target_count; i++)
		if (&w->target[i] != t && w->target[i].open &&
			strcmp(w->target[i].config->name, name) == 0)
			return true;
	return false;
}

/* TARGET-WHAT, in the characters of a target's name; unique among those that are watched. */
static void take_name(struct target *t, const char *what)
{
	char stem[TARGET_NAME_MAX - 4]; /* room for -NN */
	struct str s;

	str_init(&s, stem, sizeof(stem));
	(void)str_addf(&s, "%s-%s", t->asked->name, what); /* a cut only shortens the name */
	for (size_t i = 0; i < s.len; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-",
			    stem[i]))
			stem[i] = '-';
	t->named = *t->asked;
	(void)str_copy(t->named.name, sizeof(t->named.name), stem); /* shorter */
	for (unsigned int n = 2; name_is_used(t, t->named.name); n++)
		(void)snprintf(t->named.name, sizeof(t->named.name), "%s-%u", stem, n);
	t->config = &t->named;
}

/* Says once why this selector finds nothing. */
static int useless(struct target *t, const char *mend)
{
	if (strcmp(t->found_path, TARGET_REFUSED) != 0) {
		(void)str_copy(t->found_path, sizeof(t->found_path), TARGET_REFUSED); /* fits */
		tell_degraded(t, selector_kind_name(t->asked->selector.kind), -ENOTSUP, mend);
	}
	return CGROUP_GONE;
}

static int find_sibling(struct target *t, char *dir, size_t size)
{
	struct sibling found;
	int r = siblings_next(is_taken, t, &found);

	if (r == SIBLINGS_HOST)
		return useless(t,
			"we see the processes of the whole machine, not of one pod; in a pod leave "
			"out hostPID, on a node use kubepods, else cgroup or unit");
	if (r != 0)
		return r == SIBLINGS_NONE ? CGROUP_GONE : r;
	take_name(t, found.comm);
	return str_copy(dir, size, found.dir) ? 0 : -ENAMETOOLONG;
}

static int find_kubepod(struct target *t, char *dir, size_t size)
{
	char what[TARGET_NAME_MAX];
	struct kubepod found;
	struct str s;
	int r = kubepods_next(t->asked->selector.value, is_taken, t, &found);

	if (r == KUBEPODS_NO_TREE)
		return useless(t,
			"there is no kubepods group here; in a pod mount the node's /sys/fs/cgroup "
			"and /run below a directory and write kubepods = THAT DIRECTORY");
	if (r != 0)
		return r == KUBEPODS_NONE ? CGROUP_GONE : r;
	str_init(&s, t->pod.pod, sizeof(t->pod.pod));
	if (found.pod[0])
		(void)str_addf(&s, "%s/%s", found.space, found.pod); /* fits */
	(void)str_copy(t->pod.container, sizeof(t->pod.container), found.container);
	str_init(&s, what, sizeof(what));
	(void)str_addf(&s, "%s%s%s", found.space, found.space[0] ? "." : "", found.container);
	take_name(t, what);
	return str_copy(dir, size, found.dir) ? 0 : -ENAMETOOLONG;
}

int containers_find(struct target *t, char *dir, size_t size)
{
	int r;

	if (!is_first_free(t))
		return CGROUP_GONE;
	t->pod = (struct pod_names){0};
	r = t->asked->selector.kind == SELECTOR_SIBLINGS ? find_sibling(t, dir, size)
							 : find_kubepod(t, dir, size);
	if (r == 0 && is_last(t))
		tell_degraded(t, selector_kind_name(t->asked->selector.kind), -E2BIG,
			"this was the last place; containers beyond it are not watched");
	return r;
}
