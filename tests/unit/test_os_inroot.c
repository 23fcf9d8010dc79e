// SPDX-License-Identifier: Apache-2.0
/*
 * Files in a target's root: what is opened, what is refused, and that a file system whose server
 * never answers keeps nobody waiting. The mounts are in a namespace of this program's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/cgroup.h"
#include "os/inroot.h"
#include "os/proc.h"
#include "parse/mounts.h"

#define WAIT_S 20 /* a test that still waits then is killed by SIGALRM */
#define PATH_BYTES 256

static char place[] = "/tmp/oomsnap-inroot.XXXXXX";

static const char *in_place(const char *name)
{
	static char path[4][PATH_BYTES];
	static unsigned int next;
	char *p = path[next++ % 4];

	(void)snprintf(p, PATH_BYTES, "%s/%s", place, name);
	return p;
}

static int make_place(void **state)
{
	(void)state;
	return mkdtemp(place) ? 0 : -1;
}

static int remove_place(void **state)
{
	static const char *const names[] = {"file", "link", "up", "loop", "pipe", "low/dir/file"};
	static const char *const dirs[] = {"low/dir", "low", "other", "over", "fuse", ""};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		(void)unlink(in_place(names[i]));
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++)
		(void)rmdir(in_place(dirs[i]));
	return 0;
}

static void make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(4, write(fd, "text", 4));
	(void)close(fd);
}

/* The result of opening it, as seen by this very process. */
static int opened(const char *path)
{
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int fd = -1;
	char text[8];
	int r;

	assert_int_equal(0, proc_open(getpid(), &dir));
	(void)alarm(WAIT_S);
	r = inroot_open(dir, path, &fd);
	(void)alarm(0);
	if (r == 0)
		assert_int_equal(4, read(fd, text, sizeof(text)));
	return r;
}

static void test_what_is_opened(void **state)
{
	char path[PATH_BYTES];
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int fd = -1;

	(void)state;
	make_file(in_place("file"));
	assert_int_equal(0, symlink("file", in_place("link")));
	assert_int_equal(0, mkfifo(in_place("pipe"), 0600));
	assert_int_equal(0, opened(in_place("file")));
	assert_int_equal(0, opened(in_place("link")));
	assert_int_equal(0, symlink("../../../../../../var/../tmp", in_place("up")));
	(void)usleep(20000); /* links whose time of access is due */
	(void)snprintf(path, sizeof(path), "%s/up/%s/link", place, place + strlen("/tmp/"));
	assert_int_equal(0, opened(path));
	assert_int_equal(0, symlink("loop", in_place("loop")));
	assert_int_equal(-ELOOP, opened(in_place("loop")));
	assert_int_equal(-ENOTSUP, opened(in_place("pipe")));
	assert_int_equal(-ENOTSUP, opened(place));
	assert_int_equal(PROC_GONE, opened(in_place("nothing")));
	assert_int_equal(-ENOTSUP, opened("/proc/self/status"));
	assert_int_equal(0, proc_open(getpid(), &dir));
	assert_int_equal(0, inroot_open_program(dir, &fd));
}

static bool own_mounts(void)
{
	return unshare(CLONE_NEWNS) == 0 &&
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* A fresh overlay has nothing in the kernel's cache: the walk by names. */
static void test_what_is_not_cached(void **state)
{
	char options[4 * PATH_BYTES];

	(void)state;
	assert_int_equal(0, mkdir(in_place("low"), 0700));
	assert_int_equal(0, mkdir(in_place("low/dir"), 0700));
	assert_int_equal(0, mkdir(in_place("other"), 0700));
	assert_int_equal(0, mkdir(in_place("over"), 0700));
	make_file(in_place("low/dir/file"));
	(void)snprintf(options, sizeof(options), "lowerdir=%s/low:%s/other", place, place);
	if (!own_mounts() || mount("none", in_place("over"), "overlay", MS_RDONLY, options) < 0) {
		print_message("file systems cannot be mounted here\n");
		skip();
	}
	assert_int_equal(0, opened(in_place("over/dir/file")));
	assert_int_equal(0, umount(in_place("over")));
	assert_int_equal(0, mount("none", in_place("over"), "overlay", MS_RDONLY, options));
	assert_int_equal(PROC_GONE, opened(in_place("over/dir/nothing")));
	assert_int_equal(0, umount(in_place("over")));
	assert_int_equal(0, mount("none", in_place("over"), "overlay", MS_RDONLY, options));
	assert_int_equal(-ENOTSUP, opened(in_place("over/../over/dir")));
	assert_int_equal(0, opened(in_place("over/../over/./dir/file")));
	assert_int_equal(0, umount(in_place("over")));
}

/* A file system whose server, the descriptor of /dev/fuse, never answers; skips where none can be.
 */
static void mount_silent(int server)
{
	char options[128];

	(void)mkdir(in_place("fuse"), 0700);
	(void)snprintf(options, sizeof(options),
		"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", server);
	if (server < 0 || !own_mounts() ||
		mount("none", in_place("fuse"), "fuse", 0, options) < 0) {
		print_message("file systems cannot be mounted here\n");
		skip();
	}
}

/* A server that takes no request at all: each of them waits for ever. */
static void test_server_that_never_answers(void **state)
{
	_cleanup_close_ int server = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	(void)state;
	mount_silent(server);
	assert_int_equal(-ENOTSUP, opened(in_place("fuse")));
	assert_int_equal(-ENOTSUP, opened(in_place("fuse/app.runtimeconfig.json")));
	assert_int_equal(-ENOTSUP, opened(in_place("fuse/a/b/c")));
	assert_int_equal(0, umount2(in_place("fuse"), MNT_DETACH));
}

/* What cgroup_open() says of a directory as this process's root shows it. */
static int opened_cgroup(const char *path)
{
	char dir[PATH_BYTES + 32];
	struct cgroup cg;
	int r;

	(void)snprintf(dir, sizeof(dir), "/proc/%d/root%s", (int)getpid(), path);
	(void)alarm(WAIT_S);
	r = cgroup_open(dir, &cg);
	(void)alarm(0);
	if (r == 0)
		cgroup_close(&cg);
	return r;
}

/* A group of our own in "group", in the tree that has the memory files. */
static bool make_group(char *group, size_t size)
{
	static const char *const trees[] = {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"};

	for (size_t i = 0; i < sizeof(trees) / sizeof(*trees); i++) {
		struct cgroup cg;

		(void)snprintf(group, size, "%s/oomsnap-inroot-%d", trees[i], (int)getpid());
		if (mkdir(group, 0700) < 0)
			continue;
		if (cgroup_open(group, &cg) == 0) {
			cgroup_close(&cg);
			return true;
		}
		(void)rmdir(group);
	}
	return false;
}

/* The same server in the place of a cgroup that the target shows, and of a file in one. */
static void test_cgroups_that_never_answer(void **state)
{
	_cleanup_close_ int server = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	_cleanup_close_ int other = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	char group[PATH_BYTES];
	char file[PATH_BYTES + 16];
	char options[128];
	int r;

	(void)state;
	mount_silent(server);
	assert_int_equal(CGROUP_NOT_A_CGROUP, opened_cgroup(in_place("fuse")));
	assert_int_equal(CGROUP_NOT_A_CGROUP, opened_cgroup(in_place("fuse/memory")));
	assert_int_equal(CGROUP_NOT_A_CGROUP, opened_cgroup(place));
	assert_int_equal(0, umount2(in_place("fuse"), MNT_DETACH));
	if (!make_group(group, sizeof(group))) {
		print_message("file systems cannot be mounted here\n");
		skip();
	}
	r = opened_cgroup(group);
	(void)snprintf(file, sizeof(file), "%s/memory.stat", group);
	(void)snprintf(options, sizeof(options),
		"fd=%d,rootmode=100000,user_id=0,group_id=0,allow_other", other);
	if (mount("none", file, "fuse", 0, options) == 0) {
		int over = opened_cgroup(group);

		(void)umount2(file, MNT_DETACH);
		(void)rmdir(group);
		assert_int_equal(-EXDEV, over);
	}
	(void)rmdir(group);
	assert_int_equal(0, r);
}

static void test_types(void **state)
{
	static const char line[] = "36 35 98:0 /a\\040-\\040b /mnt ro,x master:1 - ext4 /dev/r rw";
	static const char *const served[] = {"fuse", "fuse.sshfs", "nfs4", "9p", "proc", "ext", ""};
	const char *type;
	size_t len;

	(void)state;
	assert_true(mounts_type(line, sizeof(line) - 1, 36, &type, &len));
	assert_int_equal(4, len);
	assert_memory_equal("ext4", type, 4);
	assert_true(mounts_is_local(type, len));
	assert_false(mounts_type(line, sizeof(line) - 1, 3, &type, &len));
	assert_false(mounts_type("36 35 98:0 / /mnt", 17, 36, &type, &len));
	assert_false(mounts_type("36", 2, 36, &type, &len));
	assert_false(mounts_type("", 0, 0, &type, &len));
	for (size_t i = 0; i < sizeof(served) / sizeof(*served); i++) {
		assert_false(mounts_is_local(served[i], strlen(served[i])));
		assert_false(mounts_leads_to_cgroup(served[i], strlen(served[i])));
	}
	assert_true(mounts_is_cgroup("cgroup", 6) && mounts_is_cgroup("cgroup2", 7));
	assert_false(mounts_is_cgroup("sysfs", 5) || mounts_is_cgroup("tmpfs", 5));
	assert_true(mounts_leads_to_cgroup("sysfs", 5) && mounts_leads_to_cgroup("tmpfs", 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_opened),
		cmocka_unit_test(test_what_is_not_cached),
		cmocka_unit_test(test_server_that_never_answers),
		cmocka_unit_test(test_cgroups_that_never_answer),
		cmocka_unit_test(test_types),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("os_inroot", tests, make_place, remove_place);
}
