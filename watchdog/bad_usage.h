/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every command says of arguments that it cannot take: one sentence, and where to look.
 */
#ifndef OOMSNAP_BAD_USAGE_H
#define OOMSNAP_BAD_USAGE_H

#include <stdbool.h>

/*
 * "oomsnap: ...; see oomsnap COMMAND --help" on standard error; nothing can be done where that
 * fails. Returns EXIT_CODE_USAGE.
 */
int bad_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same of an option that getopt_long(3) did not take: unknown, or ':', without its value. */
int bad_option(const char *command, const char *option, bool lacks_value);

#endif
