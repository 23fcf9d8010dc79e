// SPDX-License-Identifier: Apache-2.0
/*
 * The other containers of our pod. See siblings.h for the contract.
 *
 * A container cannot ask anybody who its siblings are: there is no kubelet in reach and no API
 * token in a pod that needs none. But with a shared pid namespace their processes stand in our
 * /proc, and each leads to its memory cgroup (os/cgroup.c: its own view of it, where the host's
 * path means nothing here). Two processes are of one container if their cgroup is one, by inode.
 *
 * What is passed over: ourselves; the pause process, which holds the namespaces and nothing else; a
 * container that is just being made, whose first process is still the runtime's and whose root is
 * still the host's, so that its "view" would be the root of all groups (inode 1, and no limit).
 *
 * Where the pid namespace is the machine's own, or a pod's with hostPID, "siblings" would be every
 * service of the host. That is refused: node mode (kubepods) takes those that asked for it.
 */
#include "os/siblings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "os/cgroup.h"
#include "os/process.h"

#define INITIAL_PID_NAMESPACE 0xEFFFFFFCU /* include/linux/proc_ns.h: PROC_PID_INIT_INO */
#define ROOT_CGROUP_INODE 1		  /* of either version's hierarchy */

static bool sees_host(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == INITIAL_PID_NAMESPACE;
}

/* The process that holds a pod's namespaces, by the names of those that runtimes use. */
static bool is_pause(pid_t pid, const char *comm)
{
	static const char *const names[] = {"pause", "pod", "catatonit"};

	for (size_t i = 0; pid == 1 && i < ARRAY_LEN(names); i++)
		if (strcmp(comm, names[i]) == 0)
			return true;
	return false;
}

static bool is_runtime(const char *comm)
{
	return str_has_prefix(comm, "runc:[") || strcmp(comm, "crun") == 0;
}

/* Directory and id of a process's cgroup; false where there is none to be had. */
static bool look(pid_t pid, struct sibling *ret)
{
	struct procstat stat_text;
	struct stat st;

	if (process_look(pid, &stat_text) != 0 || stat_text.state == 'Z' ||
		is_pause(pid, stat_text.comm) || is_runtime(stat_text.comm) ||
		cgroup_of_pid(pid, ret->dir, sizeof(ret->dir)) != 0 || stat(ret->dir, &st) != 0)
		return false;
	ret->pid = pid;
	ret->id = st.st_ino;
	(void)str_copy(ret->comm, sizeof(ret->comm), stat_text.comm); /* a cut name is one */
	return ret->id != ROOT_CGROUP_INODE;
}

int siblings_next(siblings_known *known, void *user, struct sibling *ret)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *entry;
	struct sibling own = {0};
	struct sibling here;

	if (sees_host())
		return SIBLINGS_HOST;
	dir = opendir("/proc");
	if (!dir)
		return -errno;
	(void)look(getpid(), &own); /* without a cgroup of our own, id 0, which is nobody's */
	/* /proc lists processes by their number. */
	while ((entry = readdir(dir))) { // NOLINT(concurrency-mt-unsafe): a stream of our own
		uint64_t pid;

		if (!str_to_u64(entry->d_name, &pid) || pid > INT32_MAX ||
			!look((pid_t)pid, &here) || here.id == own.id || known(user, here.id))
			continue;
		*ret = here;
		return 0;
	}
	return SIBLINGS_NONE;
}
