/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sizes and times as people read them: three figures and a unit. For messages and reports; never
 * parsed back (config_value.h writes exact forms).
 */
#ifndef OOMSNAP_AMOUNT_H
#define OOMSNAP_AMOUNT_H

#include <stdint.h>

#include "base/str.h"

/* "0 B", "512 B", "1.50 MiB", "21.3 GiB"; "no limit" for SIZE_UNLIMITED. */
void amount_size(struct str *s, uint64_t bytes);

/* "0 ms", "0.45 ms", "12.3 ms", "1.35 s", "4 min 10 s". */
void amount_time(struct str *s, uint64_t ns);

#endif
