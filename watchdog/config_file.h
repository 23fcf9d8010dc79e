/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds and reads the files of the configuration, whole and bounded. Used by config.c alone.
 */
#ifndef OOMSNAP_CONFIG_FILE_H
#define OOMSNAP_CONFIG_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"

struct config_file {
	char name[CONFIG_PLACE_MAX]; /* as messages say it */
	char *text;		     /* heap, owned; not terminated */
	size_t len;
};

struct config_files {
	uint32_t count;
	struct config_file list[CONFIG_FILES_MAX];
};

/*
 * Reads path and then every *.ini of the directory path + ".d", in the order of their names (bytes,
 * as in the C locale); names that begin with a dot are left out. The directory may be missing; the
 * file may be missing if there are drop-ins. What was read stays in *files on every return, for
 * config_files_free(). 0, a positive enum config_status with *err filled, or -ENOMEM.
 */
int config_files_read(struct config_files *files, const char *path, struct config_error *err);

/* Adds a copy of text as a file of that name. 0 or -ENOMEM; the list must have room (asserted). */
int config_files_add(struct config_files *files, const char *name, const char *text, size_t len);

void config_files_free(struct config_files *files);

#endif
