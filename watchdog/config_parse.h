/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads one text of the configuration into the targets of a struct config. Used by config.c alone,
 * which decides what is read, in which order, and what the whole must satisfy.
 */
#ifndef OOMSNAP_CONFIG_PARSE_H
#define OOMSNAP_CONFIG_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "config.h"
#include "config_file.h"
#include "config_key.h"

enum config_section { CONFIG_SECTION_NONE, CONFIG_SECTION_DEFAULTS, CONFIG_SECTION_TARGET };

struct config_parser {
	/* Of the caller, filled before the first text. */
	struct config *config;
	struct config_error *err;

	/* Results beside config: one bit (1 << key) for each key that was set. */
	uint64_t defaults_set;			 /* by any [defaults]; the caller adds --set */
	uint64_t target_set[CONFIG_TARGETS_MAX]; /* by the target's own section */
	bool failed;				 /* err is filled */

	/* Position; of config_parse.c. */
	enum config_section pass;
	enum config_section section;
	const struct config_file *file;
	struct config_target *target;
	size_t at;
	uint32_t line;
	bool defaults_seen; /* [defaults] in this file */
	uint64_t section_set;
};

/*
 * Reads the sections that pass names (CONFIG_SECTION_DEFAULTS or CONFIG_SECTION_TARGET) out of one
 * file. Targets begin as copies of config->defaults. False at the first mistake, told in p->err.
 */
bool config_parse(
	struct config_parser *p, const struct config_file *file, enum config_section pass);

/* A new target, a copy of the defaults without a name; NULL if there are CONFIG_TARGETS_MAX. */
struct config_target *config_parse_add_target(struct config *config);
const struct config_target *config_parse_find_target(const struct config *config, const char *name);
bool config_parse_name_is_valid(const char *name);

/* NULL if all bytes are fit for a line, else what is wrong with *ret_byte. */
const char *config_parse_fault(const char *text, size_t len, unsigned int *ret_byte);

/* Pieces of messages: an empty text in err; a value, shortened and made printable. */
struct str config_parse_error(struct config_error *err);
void config_parse_show(struct str *s, const char *value);
void config_parse_unknown_key(struct str *s, const char *name, const char *nearest);

#endif
