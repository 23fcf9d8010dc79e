/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leaker's voice: whole lines on standard output. See log.c.
 */
#ifndef OOMSNAP_LEAKER_LOG_H
#define OOMSNAP_LEAKER_LOG_H

/*
 * Formats one line (without the newline, at most LOG_LINE_BYTES; longer text is cut) and hands it
 * to standard output in one write(). Callable from any thread and from a forked child; allocates
 * nothing. A reader that has gone away is ignored: a leak does not end because nobody listens.
 */
#define LOG_LINE_BYTES 480
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
