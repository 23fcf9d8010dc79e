/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The config.json that a container runtime keeps of each container (OCI runtime specification): its
 * annotations and its environment. Pure.
 */
#ifndef OOMSNAP_PARSE_OCI_H
#define OOMSNAP_PARSE_OCI_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Copies the text of an annotation, escapes undone, with its terminator into value[size]. False
 * where there is no such annotation, the text is no JSON as far as it had to be read, or the value
 * does not fit.
 */
bool oci_annotation(const char *text, size_t len, const char *name, char *value, size_t size);

/* The same for NAME=VALUE in process.env; the last one counts, as for execve(2)'s readers. */
bool oci_environment(const char *text, size_t len, const char *name, char *value, size_t size);

/*
 * The member `name` of the JSON object in text, where it is a string: for annotations that are
 * themselves JSON (CRI-O's io.kubernetes.cri-o.Annotations).
 */
bool oci_string_member(const char *text, size_t len, const char *name, char *value, size_t size);

#endif
