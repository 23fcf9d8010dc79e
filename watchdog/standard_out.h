/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a command that prints: what it printed must have reached standard output, or scripts
 * would take half an answer (a full disk, a pipe whose reader has gone) for the whole.
 */
#ifndef OOMSNAP_STANDARD_OUT_H
#define OOMSNAP_STANDARD_OUT_H

/*
 * Flushes standard output. Returns code (of exit_code.h) where everything was written; else says so
 * on standard error, and returns EXIT_CODE_FAILED in place of EXIT_CODE_OK.
 */
int standard_out_end(int code);

#endif
