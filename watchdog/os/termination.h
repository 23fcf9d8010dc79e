/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's termination log: the file whose text Kubernetes shows as the reason for its end
 * (`kubectl describe pod`, terminationMessagePath).
 */
#ifndef OOMSNAP_OS_TERMINATION_H
#define OOMSNAP_OS_TERMINATION_H

#include <sys/types.h>

/* Where Kubernetes puts it in a container unless the pod says otherwise. */
#define TERMINATION_PATH "/dev/termination-log"

/* The positive return, besides 0 and -errno. */
enum termination_result {
	TERMINATION_NONE = 1, /* no such file: the process is in no container of Kubernetes */
};

/*
 * Appends a line to the termination log in the root of a process, as that process sees it. Never
 * waits; allocates nothing. 0, TERMINATION_NONE, -EXDEV (what is there is not a regular file of its
 * own), -EFBIG (it is as long as Kubernetes shows), -errno.
 */
int termination_write(pid_t pid, const char *line);

#endif
