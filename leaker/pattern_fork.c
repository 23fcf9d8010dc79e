// SPDX-License-Identifier: Apache-2.0
/*
 * A tree of processes, each leaking its share.
 *
 * Node k of the tree makes nodes 2k+2 and 2k+3; the leaker itself is the root, makes nodes 0 and 1
 * and leaks nothing. Total and rate are divided evenly. Every node is a process with a manifest of
 * its own: the parent's pages are shared copy-on-write, and the child's list starts empty.
 *
 * Children end with their parent (PR_SET_PDEATHSIG, which watches the thread that forked: the
 * leak's own thread, which never ends). How the root learns that all of them are done, or dead:
 * each holds the write end of a pipe until then, so the pipe's end is the end of the last one,
 * however it came. The dead are reaped elsewhere: by serve.c in the leaker, automatically in the
 * children.
 */
#include "leak.h"
#include "log.h"
#include "size.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE_BYTES UINT64_C(4096)

struct tree {
	unsigned nodes;
	uint64_t share_bytes; /* of each node; node 0 takes what the division leaves over as well */
	uint64_t rest_bytes;
	uint64_t rate_bytes_s;
	int alive_fd; /* the pipe's write end */
};

// NOLINTBEGIN(misc-no-recursion): each level is a process of its own, with a copied stack
static void node_main(struct leak *leak, const struct tree *tree, unsigned node, pid_t parent);

/* Forks NODE and stores its pidfd. 0 or a negative errno; does not return in the child. */
static int fork_node(struct leak *leak, const struct tree *tree, unsigned node)
{
	pid_t self = getpid(), pid;

	if (leak->child_count == LEAK_CHILDREN_MAX)
		return -EAGAIN;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		node_main(leak, tree, node, self);
	leak->children[leak->child_count] = (int)syscall(SYS_pidfd_open, pid, 0);
	if (leak->children[leak->child_count] >= 0)
		leak->child_count++; /* without one (it died already) there is nothing to kill later
				      */
	return 0;
}

/* Forks the children of NODE, -1 being the root. */
static void fork_children(struct leak *leak, const struct tree *tree, int node)
{
	for (unsigned child = (unsigned)(2 * node + 2); child <= (unsigned)(2 * node + 3);
		child++) {
		int r = child < tree->nodes ? fork_node(leak, tree, child) : 0;

		if (r < 0)
			log_line("leaker: fork: %s", strerror(-r));
	}
}

/* A child's life: set itself up, fork its own children, leak, stay. */
static void node_main(struct leak *leak, const struct tree *tree, unsigned node, pid_t parent)
{
	sigset_t none;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a valid signal: cannot fail */
	if (getppid() != parent)
		_exit(0); /* it died before the line above */
	(void)signal(SIGCHLD, SIG_IGN);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	leak->child_count = 0;
	leak_after_fork(
		leak, tree->share_bytes + (node == 0 ? tree->rest_bytes : 0), tree->rate_bytes_s);
	log_line("leaker: child pid=%d manifest=%p", getpid(), (void *)leak->manifest.header);
	fork_children(leak, tree, (int)node);

	(void)pattern_touch(leak);
	atomic_fetch_add(&leak->shared->finished, 1);
	(void)close(tree->alive_fd); /* that it closes is the message */
	for (;;)
		(void)pause();
}

// NOLINTEND(misc-no-recursion)

/* Waits until nobody holds the pipe any more. */
static void wait_for_children(int fd)
{
	char nothing;

	/* no deadline: children leak for as long as the plan says, and a stop ends their work */
	while (read(fd, &nothing, 1) < 0 && errno == EINTR)
		;
}

enum pattern_result pattern_fork(struct leak *leak)
{
	const struct pattern_plan *plan = &leak->plan;
	struct tree tree = {.nodes = plan->threads, .rate_bytes_s = plan->rate_bytes_s};
	unsigned finished;
	int ends[2];
	int r = leak_share(leak);

	if (r < 0) {
		log_line("leaker: memory shared with the children: %s", strerror(-r));
		return PATTERN_EXHAUSTED;
	}
	tree.share_bytes = plan->total_bytes;
	if (plan->total_bytes != UINT64_MAX) {
		tree.share_bytes = plan->total_bytes / tree.nodes & ~(PAGE_BYTES - 1);
		tree.rest_bytes = plan->total_bytes - tree.share_bytes * tree.nodes;
	}
	if (tree.rate_bytes_s != SIZE_RATE_MAX && tree.rate_bytes_s >= tree.nodes)
		tree.rate_bytes_s /= tree.nodes;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		log_line("leaker: pipe: %s", strerror(errno));
		return PATTERN_EXHAUSTED;
	}
	tree.alive_fd = ends[1];
	atomic_store(&leak->shared->finished, 0);
	fork_children(leak, &tree, -1);
	(void)close(ends[1]);
	wait_for_children(ends[0]);
	(void)close(ends[0]);
	finished = atomic_load(&leak->shared->finished);
	if (finished == tree.nodes)
		return PATTERN_DONE;
	log_line("leaker: %u of %u children reached their share, the others died", finished,
		tree.nodes);
	return PATTERN_EXHAUSTED;
}
