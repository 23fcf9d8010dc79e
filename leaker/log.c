// SPDX-License-Identifier: Apache-2.0
/*
 * Log lines.
 *
 * stdio is avoided for three reasons. Its buffer would be allocated at the first use, which may be
 * the moment when memory has run out; its lock could be held by another thread while one forks; and
 * what a killed process had buffered would be lost, while the last line before the kill is the one
 * that a test reads. One write() a line keeps lines of several processes whole as well.
 *
 * A pipe that nobody empties blocks the writer, and so the leak: that is the reader's choice.
 */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void log_line(const char *format, ...)
{
	char line[LOG_LINE_BYTES + 2];
	va_list args;
	size_t len;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (n < 0)
		return;
	len = (size_t)n < LOG_LINE_BYTES ? (size_t)n : LOG_LINE_BYTES;
	line[len++] = '\n';
	for (size_t done = 0; done < len;) {
		ssize_t r = write(STDOUT_FILENO, line + done, len - done);

		if (r < 0 && errno != EINTR)
			return;
		if (r > 0)
			done += (size_t)r;
	}
}
