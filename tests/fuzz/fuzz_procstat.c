// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as stat, status and syscall: what is accepted is terminated, and nothing is written
 * where a text is refused.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parse/procstat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what)
{
	if (holds)
		return;
	(void)fprintf(stderr, "fuzz_procstat: %s\n", what);
	abort();
}

static bool untouched(const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (((const unsigned char *)bytes)[i] != 0xee)
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct procstat stat;
	struct procstatus status;
	struct procsyscall where;

	memset(&stat, 0xee, sizeof(stat));
	memset(&status, 0xee, sizeof(status));
	memset(&where, 0xee, sizeof(where));
	if (procstat_parse(text, size, &stat)) {
		demand(memchr(stat.comm, '\0', sizeof(stat.comm)) != NULL, "an endless name");
		demand(stat.state != '\n' && stat.state != ' ', "no state");
	} else {
		demand(untouched(&stat, sizeof(stat)), "stat written and refused");
	}
	if (procstatus_parse(text, size, &status))
		demand(status.ns_levels >= 1, "no namespace");
	else
		demand(untouched(&status, sizeof(status)), "status written and refused");
	if (procsyscall_parse(text, size, &where))
		demand(!where.running || (!where.sp && !where.pc), "running with registers");
	else
		demand(untouched(&where, sizeof(where)), "syscall written and refused");
	return 0;
}
