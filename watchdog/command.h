/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user's own commands: on_arm, while the target still runs, and on_capture, when a bundle is
 * finished. Each runs by /bin/sh -c in a process group of its own, with a deadline.
 */
#ifndef OOMSNAP_COMMAND_H
#define OOMSNAP_COMMAND_H

#include "watch.h"

enum command_kind { COMMAND_ON_ARM, COMMAND_ON_CAPTURE, COMMAND_COUNT };

/*
 * Starts the target's command of that kind, if it has one. Where it runs already, on_arm is left
 * out, and on_capture follows for this capture when it has ended: at most 64 wait for that, and one
 * more is told as an error. The command finds in its environment OOMSNAP_TARGET, OOMSNAP_CGROUP,
 * OOMSNAP_PID (on_arm: a process of the target; on_capture: the captured one), and for on_capture
 * OOMSNAP_PATH and OOMSNAP_CORE. What comes of it is told as an event. Forks: never called while a
 * target is tripped.
 */
void command_start(
	struct target *t, enum command_kind kind, pid_t pid, const struct capture_result *result);

/* Ends the commands of a target that are still running (SIGKILL to their groups); who waits is
 * told. */
void command_stop(struct target *t);

#endif
