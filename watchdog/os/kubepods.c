// SPDX-License-Identifier: Apache-2.0
/*
 * The opted-in containers of a node. See kubepods.h for the contract.
 *
 * The kubelet's tree, below the memory hierarchy of v1 or the one of v2:
 *
 *     kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice/      systemd
 *         crio-<id>.scope            CRI-O (crun puts the processes into a container/ below it)
 *         cri-containerd-<id>.scope  containerd
 *     kubepods/burstable/pod<uid>/<id>                                                cgroupfs
 *
 * A directory whose name ends in 64 hexadecimal digits (and ".scope") is a container. What it is
 * called, and whether it opted in, stands in the OCI configuration that its runtime keeps for as
 * long as it exists:
 *
 *     /run/containers/storage/overlay-containers/<id>/userdata/config.json            CRI-O
 *     /run/containerd/io.containerd.runtime.v2.task/k8s.io/<id>/config.json           containerd
 *
 * A container that did not opt in is read once and then remembered by its cgroup's id, so that a
 * full node costs one walk over its directories a second. The memory is a ring: on a node with more
 * containers than it holds, some are read again.
 *
 * Who decides what is watched is whoever may write the pod: the texts are the runtime's own files,
 * written from the pod's spec. No link below the root is followed out of it but those of the root
 * itself. A runtime that keeps its state elsewhere is not found, and its containers are not
 * watched.
 */
#include "os/kubepods.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "os/cgroup.h"
#include "os/fd.h"
#include "parse/oci.h"

#define ID_LEN 64
#define DEPTH_MAX 4		/* of directories between the root of the tree and a container */
#define CONFIG_TEXT_MAX 1048576 /* of config.json; 10 to 60 KiB as a rule */
#define REFUSED_MAX 512		/* containers that did not opt in; a node has 110 to 500 pods */

struct search {
	const char *root;
	kubepods_known *known;
	void *user;
	uint64_t own_id; /* we may be a pod that opted in: never watched by itself */
	struct kubepod *ret;
};

/* One thread searches; texts and memory are too large for its stack. */
static struct {
	char text[CONFIG_TEXT_MAX];
	uint64_t refused[REFUSED_MAX];
	uint32_t refused_next;
} me;

static bool is_refused(uint64_t id)
{
	for (uint32_t i = 0; i < REFUSED_MAX; i++)
		if (me.refused[i] == id)
			return true;
	return false;
}

static void refuse(uint64_t id)
{
	me.refused[me.refused_next] = id;
	me.refused_next = (me.refused_next + 1) % REFUSED_MAX;
}

/* The container's id in a directory name; NULL where it is none (crio-conmon-<id>.scope too). */
static const char *id_in(const char *name, char id[ID_LEN + 1])
{
	const char *prefixes[] = {"crio-", "cri-containerd-", ""};

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		const char *from = name + strlen(prefixes[i]);
		size_t n = 0;

		if (!str_has_prefix(name, prefixes[i]))
			continue;
		while (isxdigit((unsigned char)from[n]))
			n++;
		if (n != ID_LEN || (from[n] && strcmp(from + n, ".scope") != 0))
			continue;
		memcpy(id, from, ID_LEN);
		id[ID_LEN] = '\0';
		return id;
	}
	return NULL;
}

/* Reads a container's config.json into me.text; its length, or 0. */
static size_t read_config(const char *root, const char *id)
{
	static const char *const places[] = {
		"%s/run/containers/storage/overlay-containers/%s/userdata/config.json",
		"%s/run/containerd/io.containerd.runtime.v2.task/k8s.io/%s/config.json"};
	char path[TARGET_PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct str s;
		ssize_t n;

		str_init(&s, path, sizeof(path));
		if (!(i ? str_addf(&s, places[1], root, id) : str_addf(&s, places[0], root, id)))
			continue;
		n = fd_read_text_at(AT_FDCWD, path, me.text, sizeof(me.text));
		if (n > 0)
			return (size_t)n;
	}
	return 0;
}

static bool annotation(
	size_t len, const char *crio, const char *containerd, char *value, size_t size)
{
	return oci_annotation(me.text, len, crio, value, size) ||
		oci_annotation(me.text, len, containerd, value, size);
}

static bool says_on(const char *value)
{
	return strcmp(value, "on") == 0 || strcmp(value, "true") == 0;
}

/*
 * Whether the container opted in, by its own environment or by its pod's annotation. CRI-O hands
 * the pod's annotations to each of its containers, as such or as JSON in one of its own.
 */
static bool opted_in(size_t len)
{
	static char annotations[65536];
	char value[16];

	if (oci_environment(me.text, len, "OOMSNAP_WATCH", value, sizeof(value)))
		return says_on(value); /* the container's own word, also against the pod's */
	if (oci_annotation(me.text, len, "oomsnap/watch", value, sizeof(value)))
		return says_on(value);
	return oci_annotation(me.text, len, "io.kubernetes.cri-o.Annotations", annotations,
		       sizeof(annotations)) &&
		oci_string_member(
			annotations, strlen(annotations), "oomsnap/watch", value, sizeof(value)) &&
		says_on(value);
}

/* The sandbox holds the pod's namespaces, and runs nothing but the pause process. */
static bool is_sandbox(size_t len)
{
	char value[32];

	return annotation(len, "io.kubernetes.cri-o.ContainerType",
		       "io.kubernetes.cri.container-type", value, sizeof(value)) &&
		strcmp(value, "sandbox") == 0;
}

/* Looks at a directory that has a container's name; true if it is what is searched for. */
static bool consider(const struct search *s, const char *dir, const char *id)
{
	struct kubepod *k = s->ret;
	struct stat st;
	size_t len;

	if (stat(dir, &st) != 0 || st.st_ino == s->own_id || is_refused(st.st_ino) ||
		s->known(s->user, st.st_ino))
		return false;
	len = read_config(s->root, id);
	if (len == 0)
		return false; /* not written yet, or of no runtime that we know: asked again */
	if (is_sandbox(len) || !opted_in(len)) {
		refuse(st.st_ino);
		return false;
	}
	k->id = st.st_ino;
	(void)str_copy(k->container_id, sizeof(k->container_id), id); /* same size */
	if (!str_copy(k->dir, sizeof(k->dir), dir))
		return false;
	if (!annotation(len, "io.kubernetes.pod.namespace", "io.kubernetes.cri.sandbox-namespace",
		    k->space, sizeof(k->space)))
		k->space[0] = '\0';
	if (!annotation(len, "io.kubernetes.pod.name", "io.kubernetes.cri.sandbox-name", k->pod,
		    sizeof(k->pod)))
		k->pod[0] = '\0';
	if (!annotation(len, "io.kubernetes.container.name", "io.kubernetes.cri.container-name",
		    k->container, sizeof(k->container)))
		(void)str_copy(k->container, sizeof(k->container), id);
	return true;
}

/* Walks the directories below dir, containers not included. True when one was found. */
static bool walk(const struct search *s, const char *dir, int depth) // NOLINT(misc-no-recursion)
{
	_cleanup_closedir_ DIR *d = opendir(dir);
	const struct dirent *entry;

	while (d && (entry = readdir(d))) { // NOLINT(concurrency-mt-unsafe): a stream of our own
		char path[TARGET_PATH_MAX];
		char id[ID_LEN + 1];
		struct str text;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		str_init(&text, path, sizeof(path));
		if (!str_addf(&text, "%s/%s", dir, entry->d_name))
			continue;
		if (id_in(entry->d_name, id)) {
			if (consider(s, path, id))
				return true;
		} else if (depth < DEPTH_MAX && walk(s, path, depth + 1)) {
			return true;
		}
	}
	return false;
}

int kubepods_next(const char *root, kubepods_known *known, void *user, struct kubepod *ret)
{
	static const char *const trees[] = {"/sys/fs/cgroup/memory/kubepods.slice",
		"/sys/fs/cgroup/memory/kubepods", "/sys/fs/cgroup/kubepods.slice",
		"/sys/fs/cgroup/kubepods"};
	struct search search = {.root = root, .known = known, .user = user, .ret = ret};
	struct stat own;
	char path[TARGET_PATH_MAX];

	if (cgroup_of_pid(getpid(), path, sizeof(path)) == 0 && stat(path, &own) == 0)
		search.own_id = own.st_ino;
	for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
		struct str s;

		str_init(&s, path, sizeof(path));
		if (!str_addf(&s, "%s%s", root, trees[i]))
			return -ENAMETOOLONG;
		if (access(path, F_OK) == 0)
			return walk(&search, path, 0) ? 0 : KUBEPODS_NONE;
	}
	return KUBEPODS_NO_TREE;
}
