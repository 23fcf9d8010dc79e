// SPDX-License-Identifier: Apache-2.0
/*
 * From /proc/PID/cgroup and mountinfo to a directory: pure v2, pure v1, both at once, containers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "parse/cgroup.h"

#define SIZE 64

static bool of_proc(const char *text, const char *controller, char *ret, size_t size)
{
	size_t len = strlen(text);
	char *copy =
		malloc(len ? len : 1); /* not terminated, so that a sanitizer sees an overrun */
	bool ok;

	assert_non_null(copy);
	memcpy(copy, text, len);
	ok = parse_proc_cgroup(copy, len, controller, ret, size);
	free(copy);
	return ok;
}

static void test_proc(void **state)
{
	static const char hybrid[] = "12:cpu,cpuacct:/a\n"
				     "9:memory:/kubepods/pod1\n"
				     "1:name=systemd:/x\n"
				     "0::/system.slice/a:b.service\n";
	char path[SIZE];

	(void)state;
	assert_true(of_proc(hybrid, "memory", path, SIZE));
	assert_string_equal("/kubepods/pod1", path);
	assert_true(of_proc(hybrid, NULL, path, SIZE));
	assert_string_equal("/system.slice/a:b.service", path);
	assert_true(of_proc(hybrid, "cpuacct", path, SIZE));
	assert_string_equal("/a", path);
	assert_true(of_proc(hybrid, "name=systemd", path, SIZE));
	assert_string_equal("/x", path);
	assert_false(of_proc(hybrid, "cpuac", path, SIZE));
	assert_false(of_proc(hybrid, "freezer", path, SIZE));
	assert_true(of_proc("0::/\n", NULL, path, SIZE));
	assert_string_equal("/", path);
	assert_true(of_proc("0::/x (deleted)", NULL, path, SIZE));
	assert_string_equal("/x (deleted)", path);
	assert_true(of_proc("0::/../y\n", NULL, path, SIZE));
	assert_string_equal("/../y", path);
}

static void test_proc_refused(void **state)
{
	static const char *const bad[] = {"", "\n", "0\n", "0:\n", "0::\n", "0::x\n", "1::/x\n",
		"10::/x\n", "0:memory:/x\n", ":::\n", "0:name:/x"};
	char path[SIZE] = "same";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (of_proc(bad[i], NULL, path, SIZE))
			fail_msg("accepted: %s", bad[i]);
	assert_false(of_proc("0::/x\n", "memory", path, SIZE));
	assert_string_equal("same", path);
	/* The terminator needs its place, and half a path is none. */
	assert_true(of_proc("0::/abc\n", NULL, path, 5));
	assert_false(of_proc("0::/abc\n", NULL, path, 4));
}

static bool of_mounts(const char *text, const char *controller, char *point, char *root)
{
	size_t len = strlen(text);
	char *copy = malloc(len ? len : 1);
	bool ok;

	assert_non_null(copy);
	memcpy(copy, text, len);
	ok = parse_cgroup_mount(copy, len, controller, point, root, SIZE);
	free(copy);
	return ok;
}

static void test_mounts(void **state)
{
	static const char text[] =
		"22 1 0:21 / /proc rw,nosuid shared:5 - proc proc rw\n"
		"30 25 0:26 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
		"31 25 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
		"32 25 0:28 /docker/1 /sys/fs/cgroup/memory ro shared:1 master:2 - cgroup none "
		"rw,memory\n"
		"33 25 0:28 / /again rw - cgroup none rw,memory\n";
	char point[SIZE];
	char root[SIZE];

	(void)state;
	assert_true(of_mounts(text, NULL, point, root));
	assert_string_equal("/sys/fs/cgroup/unified", point);
	assert_string_equal("/", root);
	assert_true(of_mounts(text, "memory", point, root));
	assert_string_equal("/sys/fs/cgroup/memory", point);
	assert_string_equal("/docker/1", root);
	assert_true(of_mounts(text, "cpuacct", point, root));
	assert_string_equal("/sys/fs/cgroup/cpu", point);
	assert_false(of_mounts(text, "freezer", point, root));
	assert_false(of_mounts("", NULL, point, root));
}

static void test_mount_escapes(void **state)
{
	char point[SIZE];
	char root[SIZE];

	(void)state;
	assert_true(of_mounts(
		"1 2 0:3 /r\\011s /a\\040b\\134c rw - cgroup2 none rw", NULL, point, root));
	assert_string_equal("/a b\\c", point);
	assert_string_equal("/r\ts", root);
	assert_true(of_mounts("1 2 0:3 /\\400 /a\\04 rw - cgroup2 none rw", NULL, point, root));
	assert_string_equal("/a\\04", point); /* no escape that the kernel writes */
	assert_string_equal("/\\400", root);
	/* A mount point cannot pass itself off for the file system type. */
	assert_false(of_mounts("1 2 0:3 / /- rw - tmpfs cgroup2 rw", NULL, point, root));
	assert_false(of_mounts("1 2 0:3 / - cgroup2 none rw - tmpfs x rw", NULL, point, root));
}

static void test_mounts_refused(void **state)
{
	static const char *const bad[] = {
		"1 2 0:3 / /m rw - cgroup2 none",
		"1 2 0:3 / /m rw - cgroup2",
		"1 2 0:3 / /m rw -",
		"1 2 0:3 / /m rw",
		"1 2 0:3 / /m rw cgroup2 none rw",
		"1 2 0:3 / /m rw - cgroup22 none rw",
		"1 2 0:3 / /m rw - cgroup none rw",
	};
	char point[SIZE];
	char root[SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (of_mounts(bad[i], NULL, point, root))
			fail_msg("accepted: %s", bad[i]);
	/* 63 bytes fit, 64 do not. */
	assert_true(
		of_mounts("1 2 0:3 / /23456789012345678901234567890123456789012345678901234567890"
			  "123 rw - cgroup2 none rw",
			NULL, point, root));
	assert_false(
		of_mounts("1 2 0:3 / /2345678901234567890123456789012345678901234567890123456789"
			  "01234 rw - cgroup2 none rw",
			NULL, point, root));
}

static void assert_join(const char *root, const char *path, const char *expected)
{
	char dir[SIZE];

	if (!cgroup_path_join("/cg", root, path, dir, sizeof(dir)))
		fail_msg("%s below %s was refused", path, root);
	assert_string_equal(expected, dir);
}

static void test_join(void **state)
{
	char dir[SIZE];

	(void)state;
	assert_join("/", "/", "/cg");
	assert_join("/", "/a/b", "/cg/a/b");
	assert_join("/docker/1", "/docker/1", "/cg");
	assert_join("/docker/1", "/docker/1/x", "/cg/x");
	assert_join("/..", "/../x", "/cg/x");
	assert_join("/", "/..x/y", "/cg/..x/y");
	assert_false(cgroup_path_join("/cg", "/docker/1", "/docker/12", dir, SIZE));
	assert_false(cgroup_path_join("/cg", "/docker/1", "/docker", dir, SIZE));
	assert_false(cgroup_path_join("/cg", "/docker/1", "/", dir, SIZE));
	assert_false(cgroup_path_join("/cg", "/", "/..", dir, SIZE));
	assert_false(cgroup_path_join("/cg", "/", "/../x", dir, SIZE));
	assert_false(cgroup_path_join("/cg", "/a", "/a/../x", dir, SIZE));
	assert_true(cgroup_path_join("/cg", "/", "/abc", dir, 8));
	assert_false(cgroup_path_join("/cg", "/", "/abc", dir, 7));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_proc),
		cmocka_unit_test(test_proc_refused),
		cmocka_unit_test(test_mounts),
		cmocka_unit_test(test_mount_escapes),
		cmocka_unit_test(test_mounts_refused),
		cmocka_unit_test(test_join),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
