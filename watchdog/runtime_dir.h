/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime directory: where the ledger and the board of a watchdog lie. watch and status find it
 * by the same rule.
 */
#ifndef OOMSNAP_RUNTIME_DIR_H
#define OOMSNAP_RUNTIME_DIR_H

#include <stdbool.h>
#include <stddef.h>

#define RUNTIME_DIR "/run/oomsnap"

/*
 * The option's value where one was given (not NULL), else the first of $RUNTIME_DIRECTORY, as
 * systemd sets it, else RUNTIME_DIR; into the size bytes at ret. False where it does not fit.
 */
bool runtime_dir_find(const char *option, char *ret, size_t size);

#endif
