/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What we are allowed to do, asked of the kernel once (capabilities(7)).
 */
#ifndef OOMSNAP_OS_PRIVILEGE_H
#define OOMSNAP_OS_PRIVILEGE_H

#include <stdbool.h>
#include <sys/types.h>

/* Whether the capability (CAP_*) is in our effective set. */
bool privilege_has(int capability);

/* Whether we are in the initial user namespace (/proc/self/uid_map maps everything to itself). */
bool privilege_initial_namespace(void);

/*
 * Whether ptrace would be allowed: process_vm_readv of page 0 asks the kernel for the same check
 * (PTRACE_MODE_ATTACH_REALCREDS) and reads nothing.
 */
bool privilege_may_trace(pid_t pid);

#endif
