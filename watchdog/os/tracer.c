// SPDX-License-Identifier: Apache-2.0
/*
 * The tracer thread: a mailbox with room for one call.
 *
 * The mailbox lives on the heap and belongs to the thread and to whoever calls; when a thread is
 * given up as stuck, its mailbox is left to it, and the thread frees nothing but ends. So a call
 * that returns minutes later writes into its own mailbox and never into that of a newer thread.
 *
 * All signals are blocked on it: handlers run on the thread that the program expects them on.
 *
 * Limits: at most STUCK_MAX threads can be given up in the life of a tracer; each keeps its
 * mailbox and stack until it ends. The limit is there so that a host where every target is frozen
 * in the one bad way does not collect threads without end.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/checked.h"
#include "os/tracer.h"

#define STUCK_MAX 16
#define STACK_BYTES (128U << 10) /* proc_status() and its like take 16 KiB of it */

struct mailbox {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	int (*call)(void *arg); /* NULL: nothing to do */
	void *arg;
	int result;
	bool done;
	bool quit;
};

struct tracer {
	struct mailbox *box; /* NULL: could not be renewed */
	bool refused;	     /* the last call: the one before still runs */
	struct mailbox *stuck[STUCK_MAX];
	uint32_t stuck_count;
};

static void *serve(void *user)
{
	struct mailbox *box = user;

	(void)pthread_mutex_lock(&box->lock);
	while (!box->quit) {
		int r;

		if (!box->call || box->done) {
			(void)pthread_cond_wait(&box->changed, &box->lock);
			continue;
		}
		(void)pthread_mutex_unlock(&box->lock);
		r = box->call(box->arg);
		(void)pthread_mutex_lock(&box->lock);
		box->result = r;
		box->done = true;
		(void)pthread_cond_broadcast(&box->changed);
	}
	(void)pthread_mutex_unlock(&box->lock);
	return NULL;
}

static int start(struct mailbox *box)
{
	pthread_attr_t attr;
	sigset_t all;
	sigset_t old;
	int r = pthread_attr_init(&attr);

	if (r)
		return -r;
	(void)sigfillset(&all);
	(void)pthread_attr_setstacksize(&attr, STACK_BYTES);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&box->thread, &attr, serve, box);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)pthread_attr_destroy(&attr);
	return -r;
}

static int mailbox_new(struct mailbox **ret)
{
	struct mailbox *box = calloc(1, sizeof(*box));
	pthread_condattr_t attr;
	int r;

	if (!box)
		return -ENOMEM;
	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_mutex_init(&box->lock, NULL);
	(void)pthread_cond_init(&box->changed, &attr);
	(void)pthread_condattr_destroy(&attr);
	r = start(box);
	if (r) {
		free(box);
		return r;
	}
	*ret = box;
	return 0;
}

/* Asks the thread to end; waits for it, and frees all, unless it is stuck in a call. */
static bool mailbox_end(struct mailbox *box)
{
	bool busy;

	(void)pthread_mutex_lock(&box->lock);
	box->quit = true;
	busy = box->call && !box->done;
	(void)pthread_cond_broadcast(&box->changed);
	(void)pthread_mutex_unlock(&box->lock);
	if (busy)
		return false;
	(void)pthread_join(box->thread, NULL);
	(void)pthread_cond_destroy(&box->changed);
	(void)pthread_mutex_destroy(&box->lock);
	free(box);
	return true;
}

int tracer_new(struct tracer **ret)
{
	struct tracer *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	r = mailbox_new(&t->box);
	if (r) {
		free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void tracer_free(struct tracer *t)
{
	if (!t)
		return;
	if (t->box)
		(void)mailbox_end(t->box); /* a stuck one keeps its mailbox */
	for (uint32_t i = 0; i < t->stuck_count; i++)
		(void)mailbox_end(t->stuck[i]); /* the same, if it is stuck still */
	free(t);
}

void tracer_start(struct tracer *t, int (*call)(void *arg), void *arg)
{
	struct mailbox *box = t->box;

	if (!box)
		return; /* tracer_wait() tells */
	(void)pthread_mutex_lock(&box->lock);
	t->refused = box->call && !box->done;
	if (!t->refused) {
		box->call = call;
		box->arg = arg;
		box->done = false;
		(void)pthread_cond_broadcast(&box->changed);
	}
	(void)pthread_mutex_unlock(&box->lock);
}

int tracer_wait(struct tracer *t, uint64_t deadline_ns, int *ret)
{
	struct timespec until = {.tv_sec = (time_t)(deadline_ns / NS_PER_S),
		.tv_nsec = (long)(deadline_ns % NS_PER_S)};
	struct mailbox *box = t->box;
	int r = 0;

	if (!box || t->refused)
		return TRACER_STUCK;
	(void)pthread_mutex_lock(&box->lock);
	while (!box->done && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&box->changed, &box->lock, &until);
	if (box->done) {
		*ret = box->result;
		box->call = NULL;
		r = 0;
	} else {
		r = TRACER_STUCK;
	}
	(void)pthread_mutex_unlock(&box->lock);
	return r;
}

int tracer_call(struct tracer *t, int (*call)(void *arg), void *arg, uint64_t deadline_ns, int *ret)
{
	tracer_start(t, call, arg);
	return tracer_wait(t, deadline_ns, ret);
}

int tracer_renew(struct tracer *t)
{
	t->refused = false;
	if (t->box && !mailbox_end(t->box)) {
		if (t->stuck_count == STUCK_MAX) {
			t->box = NULL;
			return -EAGAIN;
		}
		t->stuck[t->stuck_count++] = t->box;
	}
	t->box = NULL;
	return mailbox_new(&t->box);
}

bool tracer_still_runs(struct tracer *t)
{
	struct mailbox *box = t->stuck_count ? t->stuck[t->stuck_count - 1] : NULL;
	bool runs;

	if (!box)
		return false;
	(void)pthread_mutex_lock(&box->lock);
	runs = box->call && !box->done;
	(void)pthread_mutex_unlock(&box->lock);
	return runs;
}
