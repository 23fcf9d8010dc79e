// SPDX-License-Identifier: Apache-2.0
/*
 * Finds and reads the files of the configuration.
 *
 * A file is opened without waiting (a FIFO would block us for ever), looked at through its
 * descriptor, and read whole, so that what was judged is what is parsed. It must be a regular file
 * of at most CONFIG_FILE_BYTES_MAX bytes that belongs to root or to us and that not everybody may
 * write: on_arm and on_capture are commands, and they run with our rights. Symbolic links are
 * followed, because that is how a Kubernetes ConfigMap presents its files; the checks are made on
 * what the link leads to.
 *
 * Each drop-in is judged like the file itself. One bad file fails the whole: half a configuration
 * is not what anybody asked for.
 */
#include "config_file.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"

#define DROPIN_SUFFIX ".ini"

__attribute__((format(printf, 3, 4))) static int fail(
	struct config_error *err, int status, const char *format, ...)
{
	struct str s;
	va_list args;

	str_init(&s, err->text, sizeof(err->text));
	va_start(args, format);
	(void)str_addv(&s, format, args); /* a cut shortens the message */
	va_end(args);
	return status;
}

static int fail_errno(struct config_error *err, const char *path, int error)
{
	if (error == ENOENT || error == ENOTDIR)
		return fail(err, CONFIG_MISSING,
			"%s: no such file: write it, or name a target on the command line, as in "
			"--unit web.service",
			path);
	if (error == EACCES || error == EPERM)
		return fail(err, CONFIG_UNREADABLE,
			"%s: no permission to read it: run as its owner, or let us read it", path);
	if (error == ELOOP)
		return fail(err, CONFIG_BAD, "%s: its symbolic links lead in a circle", path);
	return fail(err, CONFIG_UNREADABLE, "%s: cannot read it: %s", path, strerror(error));
}

static int check_file(const struct stat *st, const char *path, struct config_error *err)
{
	if (!S_ISREG(st->st_mode))
		return fail(err, CONFIG_BAD, "%s: not a regular file", path);
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return fail(err, CONFIG_BAD,
			"%s: belongs to user %u, who could make us run commands: chown it to root",
			path, st->st_uid);
	if (st->st_mode & S_IWOTH)
		return fail(err, CONFIG_BAD,
			"%s: everybody may write it and make us run commands: chmod o-w it", path);
	if (st->st_size > CONFIG_FILE_BYTES_MAX)
		return fail(err, CONFIG_BAD, "%s: too large: at most %d bytes", path,
			CONFIG_FILE_BYTES_MAX);
	return 0;
}

/* Reads up to size bytes; the count or a negative errno. */
static ssize_t read_all(int fd, char *memory, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = read(fd, memory + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

static int read_file(struct config_files *files, const char *path, struct config_error *err)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct config_file *file;
	struct stat st;
	ssize_t len;
	int r;

	if (fd < 0)
		return fail_errno(err, path, errno);
	if (fstat(fd, &st) < 0)
		return fail_errno(err, path, errno);
	r = check_file(&st, path, err);
	if (r)
		return r;
	if (files->count == CONFIG_FILES_MAX)
		return fail(err, CONFIG_BAD, "%s: more than %d files", path, CONFIG_FILES_MAX);
	file = &files->list[files->count];
	file->text = malloc(CONFIG_FILE_BYTES_MAX + 1);
	if (!file->text)
		return -ENOMEM;
	files->count++;
	(void)str_copy(file->name, sizeof(file->name), path); /* a cut shortens messages */
	len = read_all(fd, file->text, CONFIG_FILE_BYTES_MAX + 1);
	if (len < 0)
		return fail_errno(err, path, (int)-len);
	if (len > CONFIG_FILE_BYTES_MAX)
		return fail(err, CONFIG_BAD, "%s: too large: at most %d bytes", path,
			CONFIG_FILE_BYTES_MAX);
	file->len = (size_t)len;
	return 0;
}

static int is_dropin(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && str_has_suffix(entry->d_name, DROPIN_SUFFIX);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int read_dropins(struct config_files *files, const char *directory, struct config_error *err)
{
	struct dirent **names = NULL;
	int count = scandir(directory, &names, is_dropin, by_name);
	int r = 0;

	if (count < 0) {
		if (errno == ENOENT)
			return 0;
		return errno == ENOMEM ? -ENOMEM : fail_errno(err, directory, errno);
	}
	for (int i = 0; i < count; i++) {
		char path[CONFIG_PLACE_MAX];
		struct str s;

		str_init(&s, path, sizeof(path));
		if (r == 0 && !str_addf(&s, "%s/%s", directory, names[i]->d_name))
			r = fail(err, CONFIG_BAD, "%s: the path is too long", path);
		if (r == 0)
			r = read_file(files, path, err);
		free(names[i]);
	}
	free(names);
	return r;
}

int config_files_read(struct config_files *files, const char *path, struct config_error *err)
{
	char directory[CONFIG_PLACE_MAX];
	struct config_error missing;
	struct str s;
	int main_status;
	int r;

	str_init(&s, directory, sizeof(directory));
	if (!str_addf(&s, "%s.d", path))
		return fail(err, CONFIG_BAD, "%.64s...: the path is too long", path);
	main_status = read_file(files, path, &missing);
	if (main_status && main_status != CONFIG_MISSING) {
		*err = missing;
		return main_status;
	}
	r = read_dropins(files, directory, err);
	if (r)
		return r;
	if (files->count == 0)
		*err = missing;
	return files->count == 0 ? CONFIG_MISSING : 0;
}

int config_files_add(struct config_files *files, const char *name, const char *text, size_t len)
{
	struct config_file *file = &files->list[files->count];

	assert(files->count < CONFIG_FILES_MAX);
	file->text = malloc(len + 1);
	if (!file->text)
		return -ENOMEM;
	memcpy(file->text, text, len);
	file->len = len;
	(void)str_copy(file->name, sizeof(file->name), name); /* a cut shortens messages */
	files->count++;
	return 0;
}

void config_files_free(struct config_files *files)
{
	for (uint32_t i = 0; i < files->count; i++)
		free(files->list[i].text);
	files->count = 0;
}
