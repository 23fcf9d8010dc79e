/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values as people write them in the ini file and behind --set: sizes, shares, times, switches,
 * names out of a list. Pure: text in, number out, no allocation.
 */
#ifndef OOMSNAP_CONFIG_VALUE_H
#define OOMSNAP_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "core/types.h"

/* Why a value is refused; config_value_hint() says how to mend it. */
enum config_value_status {
	CONFIG_VALUE_OK,
	CONFIG_VALUE_NO_NUMBER,	  /* does not begin with a digit */
	CONFIG_VALUE_NO_UNIT,	  /* a share without %, a time without ms, s, m */
	CONFIG_VALUE_BAD_UNIT,	  /* something else behind the number */
	CONFIG_VALUE_TOO_PRECISE, /* more digits behind the point than are kept */
	CONFIG_VALUE_TOO_LARGE,	  /* beyond 64 bits, or for a share beyond 1,000,000% */
	CONFIG_VALUE_STATUS_COUNT
};

/*
 * Bytes: digits, at most three behind a point, then nothing, K, M or G (or Ki, Mi, Gi): powers of
 * 1024, rounded down to a byte. *ret is written on CONFIG_VALUE_OK only, here and below.
 */
enum config_value_status config_value_size(const char *text, uint64_t *ret_bytes);

/* A share: digits, at most two behind a point, and %. */
enum config_value_status config_value_share(const char *text, uint32_t *ret_bp);

/* A time: digits, at most three behind a point, then ms, s or m. 0 needs no unit. */
enum config_value_status config_value_time(const char *text, uint64_t *ret_ns);

/* on, yes, true; off, no, false. False for anything else. */
bool config_value_switch(const char *text, bool *ret);

/* The index of text among count names, or -1. */
int config_value_choice(const char *text, const char *const *names, size_t count);

/* "as in 460M: ..." or the like: how such a value is written. Never NULL. */
const char *config_value_hint(enum config_value_status status);

/* How sizes, shares and times are written back in messages: the shortest exact form. */
void config_value_put_size(struct str *s, uint64_t bytes);
void config_value_put_share(struct str *s, uint32_t bp);
void config_value_put_time(struct str *s, uint64_t ns);

/*
 * The name that a mistyped word is nearest to: the fewest bytes added, removed, replaced or
 * exchanged with their neighbour, case ignored. NULL if none is near, that is if more than a third
 * of the longer one would change. Words beyond CONFIG_WORD_MAX bytes are near nothing.
 */
#define CONFIG_WORD_MAX 48
const char *config_value_nearest(const char *word, const char *const *names, size_t count);

#endif
