/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exit codes of every subcommand. Scripts rely on them: the numbers never change their meaning;
 * the man pages repeat this list.
 */
#ifndef OOMSNAP_EXIT_CODE_H
#define OOMSNAP_EXIT_CODE_H

enum exit_code {
	EXIT_CODE_OK = 0,	    /* done, complete */
	EXIT_CODE_FAILED = 1,	    /* unforeseen: an I/O error, no memory */
	EXIT_CODE_USAGE = 2,	    /* bad arguments or a bad configuration file */
	EXIT_CODE_NO_TARGET = 3,    /* no such process, cgroup, unit or file */
	EXIT_CODE_PERMISSION = 4,   /* not allowed to trace, read or write it */
	EXIT_CODE_PLACE = 5,	    /* no space, or a place that we refuse to write to */
	EXIT_CODE_PARTIAL = 6,	    /* something was written, and it says what is missing */
	EXIT_CODE_BUSY = 7,	    /* somebody else traces the target */
	EXIT_CODE_INTERRUPTED = 130 /* ended by SIGINT or SIGTERM; nothing was left behind */
};

#endif
