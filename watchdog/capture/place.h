/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What place.c, bundle.c and retain.c share about names and directories of captures. The functions
 * of place.c that capture.c calls are in internal.h.
 */
#ifndef OOMSNAP_CAPTURE_PLACE_H
#define OOMSNAP_CAPTURE_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/capture.h"

#define PLACE_PARTIAL_SUFFIX ".partial"

/* Below this, headers, notes and the stacks of a small process do not fit: not worth starting. */
#define PLACE_LEAST_BYTES (512ULL << 10)

/*
 * How many bytes a capture may write now: the file system's free space for us less keep_free, at
 * most max_bytes less what is set aside of the same incident, and RLIMIT_FSIZE. 0, or
 * CAPTURE_NO_SPACE where that is under PLACE_LEAST_BYTES, or another positive status, with one
 * sentence in why. statvfs(3).
 */
int capture_place_room(const struct capture *c, const struct capture_request *request,
	uint64_t *ret_bytes, char *why, size_t why_size);

/*
 * Copies target with every byte that we do not want in a file name replaced by '_'; never empty,
 * never hidden.
 */
void place_target_name(char *ret, size_t size, const char *target);
bool place_name_char(char ch);

/* Fills c->result.path and .core_path with the final or the .partial names. */
void place_result_paths(struct capture *c, bool final);

/*
 * Removes the bundle called name and the plain files in it, following no link; allocates nothing.
 * A directory inside is none of ours and makes it fail with -ENOTEMPTY or -EISDIR.
 */
int place_remove_bundle(int parent_fd, const char *name);

/*
 * Clears up in a directory of bundles: deletes the oldest finished bundles of target until at most
 * keep are left (0: no bound) and all bundles of the directory together take at most max_use_bytes
 * (SIZE_UNLIMITED: no bound), but never the newest of target, spare of them, at least one; and
 * deletes what dead writers left of it (.partial) once there is a newer finished bundle. Only names
 * of our own pattern are touched, no symbolic link is followed. Allocates: never call it while a
 * target is held. 0 or the first -errno met, having gone on with the rest.
 */
int capture_retain(int directory_fd, const char *target, uint32_t spare, uint32_t keep,
	uint64_t max_use_bytes);

#endif
