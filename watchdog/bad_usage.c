// SPDX-License-Identifier: Apache-2.0
/* See bad_usage.h for the contract. */
#include "bad_usage.h"

#include <stdarg.h>
#include <stdio.h>

#include "exit_code.h"

int bad_usage(const char *command, const char *format, ...)
{
	va_list arguments;

	(void)fputs("oomsnap: ", stderr);
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fprintf(stderr, "; see oomsnap %s --help\n", command);
	return EXIT_CODE_USAGE;
}

int bad_option(const char *command, const char *option, bool lacks_value)
{
	return lacks_value ? bad_usage(command, "%s needs a value", option)
			   : bad_usage(command, "there is no option %s", option);
}
