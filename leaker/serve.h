/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running program. See serve.c.
 */
#ifndef OOMSNAP_LEAKER_SERVE_H
#define OOMSNAP_LEAKER_SERVE_H

#include "options.h"

/* The program's exit codes. */
enum serve_exit {
	SERVE_OK = 0,		 /* ended by SIGTERM or SIGINT, or the total with --hold no */
	SERVE_FAILED = 1,	 /* could not start; said on standard error */
	SERVE_USAGE = 2,	 /* the command line was wrong */
	SERVE_NOT_PERMITTED = 3, /* the kernel refuses this pattern to this process */
	SERVE_EXHAUSTED = 4,	 /* another limit came before the total, with --hold no */
};

/*
 * Runs until a signal or a run's end asks for the exit code that is returned. With --main-exits it
 * does not return: the calling thread ends and another one goes on.
 */
int serve_run(const struct options *options);

#endif
