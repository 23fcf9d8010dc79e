// SPDX-License-Identifier: Apache-2.0
/*
 * See standard_out.h for the contract.
 *
 * stdio keeps a failure in the stream and not in the last call: a text longer than its buffer is
 * written, and fails, before there is anything left to flush. So both are asked.
 */
#include "standard_out.h"

#include <stdio.h>

#include "exit_code.h"

int standard_out_end(int code)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	(void)fputs("oomsnap: cannot write to standard output\n", stderr);
	return code == EXIT_CODE_OK ? EXIT_CODE_FAILED : code;
}
