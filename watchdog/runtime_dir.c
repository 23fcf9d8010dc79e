// SPDX-License-Identifier: Apache-2.0
/*
 * The rule for the runtime directory. See runtime_dir.h for the contract.
 */
#include "runtime_dir.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

bool runtime_dir_find(const char *option, char *ret, size_t size)
{
	const char *from_systemd = getenv("RUNTIME_DIRECTORY"); // NOLINT(concurrency-mt-unsafe)
	bool fits = str_copy(ret, size,
		option		       ? option
			: from_systemd ? from_systemd
				       : RUNTIME_DIR);

	/* systemd may name several, separated by colons; the first is ours. */
	ret[strcspn(ret, ":")] = '\0';
	return fits;
}
