/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded strings: text is built in memory that the caller owns and is cut, never overrun, when it
 * does not fit. Nothing here allocates, so it may be used between trip and release.
 */
#ifndef OOMSNAP_BASE_STR_H
#define OOMSNAP_BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A builder over caller-owned memory. text is always terminated; cut says that something is
 * missing. */
struct str {
	char *text;
	size_t size; /* of the memory, terminator included */
	size_t len;  /* without the terminator */
	bool cut;
};

/* Starts an empty builder over size bytes at memory (size > 0), which must outlive it. */
void str_init(struct str *s, char *memory, size_t size);

/* Each appends and returns false once the text no longer fits (then s->cut stays set). */
bool str_add(struct str *s, const char *text);
bool str_add_char(struct str *s, char c);
bool str_add_u64(struct str *s, uint64_t value);
bool str_addf(struct str *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool str_addv(struct str *s, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

/*
 * Appends len bytes as the inside of a JSON string: quotes, backslashes and control characters (C0,
 * DEL, and C1 in UTF-8) are escaped, and bytes that are not UTF-8 become U+FFFD, so that the result
 * is always valid JSON and may be shown on a terminal. Whole characters and escapes only; false,
 * and cut, if some did not fit.
 */
bool str_add_json(struct str *s, const char *text, size_t len);

/*
 * Appends len bytes so that they may be shown on a terminal and stored as one line: control
 * characters (C0, DEL, and C1 in UTF-8) and bytes that are not UTF-8 become \xNN, backslashes stay.
 * Whole characters only; false, and cut, if some did not fit.
 */
bool str_add_safe(struct str *s, const char *text, size_t len);

/*
 * Length (1-4) of the UTF-8 sequence that the len bytes at text begin with; 0 if they begin with
 * none. Overlong forms, surrogates and values above U+10FFFF are none.
 */
size_t str_utf8_len(const char *text, size_t len);

/* Copies text into memory of size bytes, terminated; false if it was cut. */
bool str_copy(char *memory, size_t size, const char *text);

/*
 * Parses a whole string as an unsigned decimal number: no sign, no space, no trailing bytes.
 * Returns false, *ret untouched, for anything else or a value above UINT64_MAX.
 */
bool str_to_u64(const char *text, uint64_t *ret);

bool str_has_prefix(const char *text, const char *prefix);
bool str_has_suffix(const char *text, const char *suffix);

#endif
