/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files a managed runtime's own reader wants to find in the core. Pure.
 */
#ifndef OOMSNAP_CAPTURE_READER_H
#define OOMSNAP_CAPTURE_READER_H

#include <stdbool.h>

#include "capture/region.h"
#include "parse/maps.h"

/* Whether the mapping shows that .NET runs in the process. */
bool reader_is_dotnet(const struct maps_entry *entry);

/* Whether .NET's reader takes the mapping from the core, never from disk: for REGION_READER. */
bool reader_wants(const struct maps_entry *entry);

/*
 * Whether a region becomes a part of the core for the reader's sake, once it is known that .NET
 * runs: REGION_READER, or of the program's own file, which may have all assemblies in it. program
 * is the region that the program's headers are in, or NULL.
 */
bool reader_takes(const struct region *region, const struct region *program);

#endif
