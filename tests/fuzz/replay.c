// SPDX-License-Identifier: Apache-2.0
/*
 * The main() of a fuzz target in `make check`: hands every file of its corpus to the target, one
 * test each, in TAP. The corpus of fuzz_NAME is tests/fuzz/corpus/NAME, or what the arguments name
 * (files or directories). A corpus that is missing or empty is a failure; a target that finds
 * something wrong ends the program, and so breaks the plan.
 */
#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/str.h"

#define CORPUS "tests/fuzz/corpus"
#define INPUT_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int is_visible(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Hands over one file; the data has exactly its size, so that a sanitizer sees an overrun. */
static bool replay_file(const char *path, unsigned int number)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	_cleanup_free_ uint8_t *buffer = malloc(INPUT_MAX);
	_cleanup_free_ uint8_t *exact = NULL;
	size_t len;

	if (!f || !buffer) {
		printf("not ok %u - %s: %s\n", number, path, strerror(errno));
		return false;
	}
	len = fread(buffer, 1, INPUT_MAX, f);
	exact = malloc(len ? len : 1);
	if (ferror(f) || !exact) {
		printf("not ok %u - %s: cannot be read\n", number, path);
		return false;
	}
	memcpy(exact, buffer, len);
	(void)LLVMFuzzerTestOneInput(exact, len); /* always 0 */
	printf("ok %u - %s\n", number, path);
	return fflush(stdout) == 0;
}

static bool replay_directory(const char *directory)
{
	struct dirent **entries = NULL;
	int count = scandir(directory, &entries, is_visible, alphasort);
	bool good = count > 0;

	printf("1..%d\n", count > 0 ? count : 1);
	if (count <= 0)
		printf("not ok 1 - %s holds nothing: %s\n", directory,
			count < 0 ? strerror(errno) : "it is empty");
	for (int i = 0; i < count; i++) {
		char path[1024];
		struct str s;

		str_init(&s, path, sizeof(path));
		if (!str_addf(&s, "%s/%s", directory, entries[i]->d_name) ||
			!replay_file(path, (unsigned int)i + 1))
			good = false;
		free(entries[i]);
	}
	free(entries);
	return good;
}

int main(int argc, char **argv)
{
	const char *name = basename(argv[0]);
	char path[1024];
	struct stat st;
	struct str s;
	bool good = true;

	str_init(&s, path, sizeof(path));
	if (argc <= 1) {
		(void)str_addf(&s, CORPUS "/%s", /* cut: the directory will not be there */
			str_has_prefix(name, "fuzz_") ? name + strlen("fuzz_") : name);
		return replay_directory(path) ? 0 : 1;
	}
	for (int i = 1; i < argc; i++) {
		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode)) {
			good &= replay_directory(argv[i]);
		} else {
			printf("1..1\n");
			good &= replay_file(argv[i], 1);
		}
	}
	return good ? 0 : 1;
}
