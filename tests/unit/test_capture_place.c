// SPDX-License-Identifier: Apache-2.0
/*
 * Places, bundles and their retention, on a real file system below TMPDIR (else /tmp).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "capture/internal.h"
#include "capture/place.h"
#include "capture/settle.h"

struct fixture {
	char dir[PATH_MAX];
	char why[512];
	struct capture c;
	struct capture_request request;
	struct capture_result result;
};

static int setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	(void)snprintf(f->dir, sizeof(f->dir), "%s/oomsnap-place-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(f->dir))
		return -1;
	capture_place_init(&f->c.place);
	f->c.scratch = malloc(CAPTURE_SCRATCH_BYTES);
	if (settle_new(&f->c.settle) != 0)
		return -1;
	(void)strcpy(f->request.target, "web");
	f->request.pid = 42;
	f->request.max_bytes = SIZE_UNLIMITED;
	*state = f;
	return f->c.scratch ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int r = nftw(f->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);

	capture_place_close(&f->c);
	settle_free(f->c.settle);
	free(f->c.scratch);
	free(f);
	return r;
}

static const char *path(struct fixture *f, const char *name)
{
	static char text[2][PATH_MAX + 256];
	static unsigned int turn;

	turn ^= 1;
	(void)snprintf(text[turn], sizeof(text[turn]), "%s/%s", f->dir, name);
	return text[turn];
}

static int set_directory(struct fixture *f, const char *name)
{
	f->why[0] = '\0';
	return capture_set_directory(
		&f->c, path(f, name), /* allow_memory= */ true, f->why, sizeof(f->why));
}

static int try_directory(struct fixture *f, const char *name, bool make)
{
	f->why[0] = '\0';
	return capture_try_directory(
		path(f, name), /* allow_memory= */ true, make, f->why, sizeof(f->why));
}

static int set_output(struct fixture *f, const char *name)
{
	f->why[0] = '\0';
	return capture_set_output(
		&f->c, path(f, name), /* allow_memory= */ true, f->why, sizeof(f->why));
}

static unsigned int mode_of(const char *p)
{
	struct stat st;

	assert_int_equal(0, lstat(p, &st));
	return st.st_mode & 07777U;
}

static bool exists(const char *p)
{
	struct stat st;

	return lstat(p, &st) == 0;
}

/* Entries of the directory, without . and .. */
static int count_entries(const char *p)
{
	DIR *dir = opendir(p);
	int n = -2;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n;
}

/* --- directories ----------------------------------------------------------------------------- */

/* What a capture would meet is told before, in the same words, and nothing stays. */
static void test_directory_is_tried(void **state)
{
	struct fixture *f = *state;
	static const char *const refused[] = {"missing/new", "file", "link", "open"};

	assert_int_equal(0, try_directory(f, "new//", /* make= */ false));
	assert_false(exists(path(f, "new")));
	assert_int_equal(0, try_directory(f, "new", /* make= */ true));
	assert_int_equal(0700, mode_of(path(f, "new")));
	assert_int_equal(0, try_directory(f, "new", /* make= */ false));
	assert_int_equal(0, count_entries(path(f, "new")));

	assert_int_equal(0, close(open(path(f, "file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
	assert_int_equal(0, symlink("new", path(f, "link")));
	assert_int_equal(0, mkdir(path(f, "open"), 0700));
	assert_int_equal(0, chmod(path(f, "open"), 0777));
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		char why[sizeof(f->why)];
		int status = set_directory(f, refused[i]);

		(void)strcpy(why, f->why);
		assert_int_not_equal(0, status);
		assert_int_equal(status, try_directory(f, refused[i], /* make= */ true));
		assert_string_equal(why, f->why);
	}
	assert_false(exists(path(f, "missing")));

	/* Who may read it and not write. */
	assert_int_equal(0, chmod(path(f, "new"), 0500));
	if (geteuid() != 0) {
		assert_int_equal(CAPTURE_DENIED, try_directory(f, "new", /* make= */ false));
		assert_non_null(strstr(f->why, "cannot write in the directory"));
	}
	assert_int_equal(0, chmod(path(f, "new"), 0700));
	/* The kernel's own file systems take no file, whoever asks. */
	assert_int_not_equal(
		0, capture_try_directory("/proc/self/fdinfo", true, true, f->why, sizeof(f->why)));
}

static void test_directory_is_made(void **state)
{
	struct fixture *f = *state;
	mode_t old = umask(0);

	assert_int_equal(0, set_directory(f, "new//"));
	assert_int_equal(0700, mode_of(path(f, "new")));
	assert_int_equal(0, set_directory(f, "new"));
	(void)umask(old);
	assert_int_equal(CAPTURE_BAD_PLACE, set_directory(f, "missing/new"));
	assert_non_null(strstr(f->why, "every directory on the way must exist"));
	assert_int_equal(
		CAPTURE_BAD_PLACE, capture_set_directory(&f->c, "", true, f->why, sizeof(f->why)));
}

static void test_directory_is_refused(void **state)
{
	struct fixture *f = *state;
	int fd = open(path(f, "file"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(CAPTURE_BAD_PLACE, set_directory(f, "file"));
	assert_non_null(strstr(f->why, "is not a directory"));
	assert_int_equal(0, mkdir(path(f, "real"), 0700));
	assert_int_equal(0, symlink("real", path(f, "link")));
	assert_int_equal(CAPTURE_BAD_PLACE, set_directory(f, "link"));
	assert_non_null(strstr(f->why, "is a symbolic link"));
	assert_int_equal(CAPTURE_BAD_PLACE, set_directory(f, "link///"));
	assert_int_equal(0, symlink("nowhere", path(f, "dangling")));
	assert_int_equal(CAPTURE_BAD_PLACE, set_directory(f, "dangling"));
	assert_false(exists(path(f, "nowhere")));
	assert_int_equal(0, chmod(path(f, "real"), 0720));
	assert_int_equal(CAPTURE_BAD_PLACE, set_directory(f, "real"));
	assert_non_null(strstr(f->why, "writable by others"));
	assert_int_equal(0, chmod(path(f, "real"), 0755)); /* readable is the admin's decision */
	assert_int_equal(0, set_directory(f, "real"));
}

static void test_directory_of_somebody_else(void **state)
{
	struct fixture *f = *state;
	int r;

	if (geteuid() == 0) {
		assert_int_equal(0, mkdir(path(f, "theirs"), 0755));
		assert_int_equal(0, chown(path(f, "theirs"), 65534, 65534));
		r = set_directory(f, "theirs");
	} else {
		r = capture_set_directory(&f->c, "/usr", true, f->why, sizeof(f->why));
	}
	assert_int_equal(CAPTURE_BAD_PLACE, r);
	assert_non_null(strstr(f->why, "belongs to user"));
}

static void test_memory_is_refused(void **state)
{
	struct fixture *f = *state;
	char dir[] = "/dev/shm/oomsnap-place-XXXXXX";
	int strict;
	int allowed;

	if (!mkdtemp(dir)) {
		print_message("# skip: no tmpfs at /dev/shm\n");
		skip();
	}
	strict = capture_set_directory(&f->c, dir, false, f->why, sizeof(f->why));
	allowed = capture_set_directory(&f->c, dir, true, NULL, 0);
	(void)rmdir(dir);
	assert_int_equal(CAPTURE_BAD_PLACE, strict);
	assert_non_null(strstr(f->why, "in memory"));
	assert_int_equal(0, allowed);
}

/* --- bundles --------------------------------------------------------------------------------- */

static void create(struct fixture *f)
{
	assert_int_equal(0, capture_place_create(&f->c, &f->request, f->why, sizeof(f->why)));
}

static void test_bundle_life(void **state)
{
	struct fixture *f = *state;
	mode_t old = umask(0);
	char partial[CAPTURE_PATH_MAX];

	assert_int_equal(0, set_directory(f, "d"));
	create(f);
	(void)umask(old);
	(void)strcpy(partial, f->c.result.path);
	assert_true(str_has_suffix(partial, "-42.partial"));
	assert_int_equal(0700, mode_of(partial));
	assert_int_equal(0600, mode_of(f->c.result.core_path));
	assert_true(fcntl(f->c.place.core_fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(0, capture_add_file(&f->c, "note", "abc", 3));
	assert_int_equal(-EEXIST, capture_add_file(&f->c, "note", "abc", 3));
	assert_int_equal(0600,
		mode_of(path(f, strcat(strcpy(f->why, partial + strlen(f->dir) + 1), "/note"))));
	assert_int_equal(0, capture_finish(&f->c, &f->result));
	assert_false(exists(partial));
	assert_true(exists(f->result.path));
	assert_true(exists(f->result.core_path));
	assert_true(str_has_prefix(f->result.core_path, f->result.path));
	assert_int_equal(-ENOENT, capture_finish(&f->c, &f->result));
	capture_discard(&f->c); /* of nothing: what is finished stays */
	assert_true(exists(f->result.core_path));
}

static void test_discard(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(0, set_directory(f, "d"));
	create(f);
	assert_int_equal(0, capture_add_file(&f->c, "note", "abc", 3));
	capture_discard(&f->c);
	capture_discard(&f->c);
	assert_int_equal(0, count_entries(path(f, "d")));
	assert_int_equal(-1, f->c.place.core_fd);
}

/* Several captures of one process within a second get names of their own. */
static void test_same_second(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(0, set_directory(f, "d"));
	for (int i = 0; i < 5; i++) {
		create(f);
		assert_int_equal(0, capture_finish(&f->c, &f->result));
	}
	assert_int_equal(5, count_entries(path(f, "d")));
}

static void test_names(void **state)
{
	char name[TARGET_NAME_MAX];

	(void)state;
	place_target_name(name, sizeof(name), "../../etc/pass wd\n");
	assert_string_equal("_._.._etc_pass_wd_", name);
	place_target_name(name, sizeof(name), "");
	assert_string_equal("target", name);
	place_target_name(name, sizeof(name), "user@1000.service");
	assert_string_equal("user@1000.service", name);
}

static void test_room(void **state)
{
	struct fixture *f = *state;
	struct rlimit old;
	struct rlimit limit;
	uint64_t room;

	assert_int_equal(0, set_directory(f, "d"));
	f->request.max_bytes = 10 << 20;
	assert_int_equal(0, capture_place_room(&f->c, &f->request, &room, NULL, 0));
	assert_int_equal(10 << 20, room);
	f->request.max_bytes = SIZE_UNLIMITED;
	f->request.keep_free_bytes = SIZE_UNLIMITED;
	assert_int_equal(
		CAPTURE_NO_SPACE, capture_place_create(&f->c, &f->request, f->why, sizeof(f->why)));
	assert_non_null(strstr(f->why, "no room for a core"));
	assert_int_equal(0, count_entries(path(f, "d")));
	f->request.keep_free_bytes = 0;
	assert_int_equal(0, getrlimit(RLIMIT_FSIZE, &old));
	limit = (struct rlimit){.rlim_cur = 1 << 20, .rlim_max = old.rlim_max};
	assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &limit));
	assert_int_equal(0, capture_place_room(&f->c, &f->request, &room, NULL, 0));
	assert_int_equal(0, setrlimit(RLIMIT_FSIZE, &old));
	assert_int_equal(1 << 20, room);
}

/* --- output ---------------------------------------------------------------------------------- */

static void test_output_life(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(0, set_output(f, "my.core"));
	create(f);
	assert_false(exists(path(f, "my.core")));
	assert_int_equal(-1, capture_bundle_fd(&f->c));
	assert_int_equal(0, capture_add_file(&f->c, "note", "abc", 3)); /* a no-op */
	assert_int_equal(1, count_entries(f->dir));
	assert_int_equal(0, capture_finish(&f->c, &f->result));
	assert_string_equal(path(f, "my.core"), f->result.path);
	assert_int_equal(0600, mode_of(f->result.core_path));
	assert_int_equal(1, count_entries(f->dir));
	assert_int_equal(CAPTURE_BAD_PLACE, set_output(f, "my.core"));
	assert_non_null(strstr(f->why, "exists and is not overwritten"));
}

static void test_output_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(CAPTURE_BAD_PLACE, set_output(f, "missing/core"));
	assert_int_equal(CAPTURE_BAD_PLACE, set_output(f, ""));
	assert_int_equal(CAPTURE_BAD_PLACE, set_output(f, ".."));
	assert_int_equal(0, symlink("target", path(f, "link")));
	assert_int_equal(CAPTURE_BAD_PLACE, set_output(f, "link"));
	assert_non_null(strstr(f->why, "symbolic link"));
	assert_int_equal(0, mkdir(path(f, "dir"), 0700));
	assert_int_equal(CAPTURE_BAD_PLACE, set_output(f, "dir"));
	assert_non_null(strstr(f->why, "is a directory"));
	assert_int_equal(0, symlink("dir", path(f, "dirlink")));
	assert_int_equal(CAPTURE_BAD_PLACE, set_output(f, "dirlink/core"));
	assert_int_equal(0, mkfifo(path(f, "fifo"), 0600));
	assert_int_equal(CAPTURE_BAD_PLACE, set_output(f, "fifo"));
	assert_int_equal(CAPTURE_BAD_PLACE,
		capture_set_output(
			&f->c, "/dev/null", /* allow_memory= */ true, f->why, sizeof(f->why)));
	assert_non_null(strstr(f->why, "device"));
}

/* Somebody else takes the name while we write: nothing of theirs is replaced. */
static void test_output_name_taken(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	int fd;

	assert_int_equal(0, set_output(f, "core"));
	create(f);
	fd = open(path(f, "core"), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
	assert_int_equal(6, write(fd, "theirs", 6));
	(void)close(fd);
	assert_int_equal(-EEXIST, capture_finish(&f->c, &f->result));
	assert_true(exists(f->result.path)); /* ours, under its temporary name */
	assert_int_equal(0, stat(path(f, "core"), &st));
	assert_int_equal(6, st.st_size);
	capture_discard(&f->c);
	assert_int_equal(1, count_entries(f->dir));
}

/* --- retention ------------------------------------------------------------------------------- */

static void make_bundle(struct fixture *f, const char *name, size_t kib)
{
	char core[PATH_MAX + 512];
	char block[1024];
	int fd;

	memset(block, 'x', sizeof(block));
	assert_int_equal(0, mkdir(path(f, name), 0700));
	(void)snprintf(core, sizeof(core), "%s/core", path(f, name));
	fd = open(core, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	for (size_t i = 0; i < kib; i++)
		assert_int_equal(sizeof(block), write(fd, block, sizeof(block)));
	(void)close(fd);
}

static void retain_all_of(struct fixture *f, uint32_t spare, uint32_t keep, uint64_t max_use)
{
	int fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(0, capture_retain(fd, "web", spare, keep, max_use));
	(void)close(fd);
}

static void retain(struct fixture *f, uint32_t keep, uint64_t max_use)
{
	retain_all_of(f, 1, keep, max_use);
}

static void test_retain_keeps_newest(void **state)
{
	struct fixture *f = *state;
	static const char *const others[] = {
		"web-20260101T000000Z-x",	  /* no pid */
		"web-20260101T000000-1",	  /* no Z */
		"web-2026010T000000Z-1",	  /* a digit short */
		"web-x-20260101T000000Z-1",	  /* target web-x */
		"xweb-20260101T000000Z-1",	  /* another target */
		"web-20260101T000000Z-1.old",	  /* a suffix of somebody's */
		"web-20260101T000000Z-1.partial~" /* the same */
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		make_bundle(f, others[i], 1);
	make_bundle(f, "web-20260101T000000Z-9", 1);
	make_bundle(f, "web-20260102T000000Z-10", 1);
	make_bundle(f, "web-20260102T000000Z-10.2", 1);
	make_bundle(f, "web-20260103T000000Z-1", 1);
	retain(f, 0, SIZE_UNLIMITED);
	assert_true(exists(path(f, "web-20260101T000000Z-9")));
	retain(f, 2, SIZE_UNLIMITED);
	assert_false(exists(path(f, "web-20260101T000000Z-9")));
	assert_false(exists(path(f, "web-20260102T000000Z-10")));
	assert_true(exists(path(f, "web-20260102T000000Z-10.2")));
	assert_true(exists(path(f, "web-20260103T000000Z-1")));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_true(exists(path(f, others[i])));
	retain(f, 2, 1);
	assert_false(exists(path(f, "web-20260102T000000Z-10.2")));
	assert_true(exists(path(f, "web-20260103T000000Z-1"))); /* never the newest */
}

static void test_retain_by_size(void **state)
{
	struct fixture *f = *state;

	make_bundle(f, "other-20260101T000000Z-1", 64);
	make_bundle(f, "web-20260101T000000Z-1", 64);
	make_bundle(f, "web-20260102T000000Z-1", 64);
	make_bundle(f, "web-20260103T000000Z-1", 64);
	retain(f, 0, 200 << 10);
	assert_true(exists(path(f, "other-20260101T000000Z-1")));
	assert_false(exists(path(f, "web-20260101T000000Z-1")));
	assert_true(exists(path(f, "web-20260102T000000Z-1")));
	assert_true(exists(path(f, "web-20260103T000000Z-1")));
}

/* Those of one incident are never removed for each other, whatever keep and max_use say. */
static void test_retain_spares_incident(void **state)
{
	struct fixture *f = *state;

	make_bundle(f, "web-20260101T000000Z-1", 64);
	make_bundle(f, "web-20260102T000000Z-7", 64); /* who leaks: copied first, and the oldest */
	make_bundle(f, "web-20260102T000001Z-5", 64);
	make_bundle(f, "web-20260102T000001Z-6", 64);
	retain_all_of(f, 3, 1, 100 << 10);
	assert_false(exists(path(f, "web-20260101T000000Z-1")));
	assert_true(exists(path(f, "web-20260102T000000Z-7")));
	assert_true(exists(path(f, "web-20260102T000001Z-5")));
	assert_true(exists(path(f, "web-20260102T000001Z-6")));
}

/* Nor does each of them have max_use for itself. */
static void test_room_beside_those_aside(void **state)
{
	struct fixture *f = *state;
	uint64_t room;

	assert_int_equal(0, set_directory(f, "d"));
	create(f);
	f->c.result.file_bytes = 4 << 20;
	assert_int_equal(0, capture_set_aside(&f->c));
	f->request.max_bytes = 10 << 20;
	assert_int_equal(0, capture_place_room(&f->c, &f->request, &room, f->why, sizeof(f->why)));
	assert_int_equal(6 << 20, room);
	f->request.max_bytes = 4 << 20;
	assert_int_equal(CAPTURE_NO_SPACE,
		capture_place_room(&f->c, &f->request, &room, f->why, sizeof(f->why)));
	assert_non_null(strstr(f->why, "max_use"));
}

static void test_retain_follows_no_link(void **state)
{
	struct fixture *f = *state;

	make_bundle(f, "precious", 1);
	assert_int_equal(0, symlink("precious", path(f, "web-20250101T000000Z-1")));
	make_bundle(f, "web-20260101T000000Z-1", 1);
	assert_int_equal(
		0, symlink("../precious", path(f, "web-20260101T000000Z-1/dir"))); /* in a bundle */
	make_bundle(f, "web-20260102T000000Z-1", 1);
	retain(f, 1, SIZE_UNLIMITED);
	assert_true(exists(path(f, "precious/core")));
	assert_true(exists(path(f, "web-20250101T000000Z-1")));
	assert_false(exists(path(f, "web-20260101T000000Z-1")));
	assert_true(exists(path(f, "web-20260102T000000Z-1")));
}

static void test_retain_leftovers(void **state)
{
	struct fixture *f = *state;
	int fd;

	make_bundle(f, "web-20260101T000000Z-1.partial", 1); /* dead */
	make_bundle(f, "web-20260101T000000Z-2.partial", 1); /* still written */
	make_bundle(f, "web-20260103T000000Z-1.partial", 1); /* dead, but the last that we know */
	retain(f, 1, SIZE_UNLIMITED);
	assert_true(exists(path(f, "web-20260101T000000Z-1.partial"))); /* no finished one yet */
	make_bundle(f, "web-20260102T000000Z-1", 1);
	fd = open(path(f, "web-20260101T000000Z-2.partial"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(0, flock(fd, LOCK_EX));
	retain(f, 1, SIZE_UNLIMITED);
	assert_false(exists(path(f, "web-20260101T000000Z-1.partial")));
	assert_true(exists(path(f, "web-20260101T000000Z-2.partial")));
	assert_true(exists(path(f, "web-20260103T000000Z-1.partial")));
	(void)close(fd);
	retain(f, 1, SIZE_UNLIMITED);
	assert_false(exists(path(f, "web-20260101T000000Z-2.partial")));
}

/* The writer itself holds that lock. */
static void test_live_writer_is_left_alone(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(0, capture_set_directory(&f->c, f->dir, true, f->why, sizeof(f->why)));
	create(f);
	make_bundle(f, "web-99990101T000000Z-1", 1);
	assert_int_equal(0, capture_clear_up(&f->c, "web", 1, 1, SIZE_UNLIMITED));
	assert_true(exists(f->c.result.core_path));
	capture_place_close(&f->c); /* as death would */
	retain(f, 1, SIZE_UNLIMITED);
	assert_int_equal(1, count_entries(f->dir));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_directory_is_made),
		TEST(test_directory_is_tried),
		TEST(test_directory_is_refused),
		TEST(test_directory_of_somebody_else),
		TEST(test_memory_is_refused),
		TEST(test_bundle_life),
		TEST(test_discard),
		TEST(test_same_second),
		TEST(test_names),
		TEST(test_room),
		TEST(test_output_life),
		TEST(test_output_is_refused),
		TEST(test_output_name_taken),
		TEST(test_retain_keeps_newest),
		TEST(test_retain_by_size),
		TEST(test_retain_spares_incident),
		TEST(test_room_beside_those_aside),
		TEST(test_retain_follows_no_link),
		TEST(test_retain_leftovers),
		TEST(test_live_writer_is_left_alone),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
