// SPDX-License-Identifier: Apache-2.0
/*
 * The configuration as a whole: files and options in, one checked and immutable struct config out.
 *
 * All files are read into memory first (config_file.c). The texts are then gone over twice
 * (config_parse.c): for [defaults], in the order of the files, followed by the --set options; then
 * for the targets, each of which begins as a copy of the finished defaults. So a drop-in may adjust
 * the defaults of targets that are defined before it, and a key in a target's own section always
 * wins. Targets that the command line selects come last; they have the defaults as they are.
 *
 * What no single section can know is checked at the end: keys that contradict each other once the
 * defaults are merged (config_key.c), two targets that select the same, no target at all.
 *
 * The result holds no pointers and is never changed; a reload makes a new one, and only if all of
 * it is good. Nothing here looks at the machine beyond the files: whether a cgroup or a unit exists
 * is found out while watching, since both come and go.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "config_file.h"
#include "config_key.h"
#include "config_parse.h"

struct loader {
	struct config_parser parser;
	struct config_files files;
	struct config *config;
	struct config_error *err;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void cleanup_loader(struct loader **loader)
{
	struct loader *l = *loader;

	if (l) {
		config_files_free(&l->files);
		config_free(l->config);
		free(l);
	}
}

/* --- options --------------------------------------------------------------------------------- */

/* Copies "KEY=VALUE" and finds its parts, blanks around them removed; false: no such form. */
static bool split_assignment(
	const char *assignment, char *memory, size_t size, char **ret_name, char **ret_value)
{
	char *equals;
	char *name = memory;
	char *value;

	if (!str_copy(memory, size, assignment))
		return false;
	equals = strchr(memory, '=');
	if (!equals)
		return false;
	value = equals + 1;
	*equals = '\0';
	while (is_blank(*name))
		name++;
	while (is_blank(*value))
		value++;
	for (size_t n = strlen(name); n > 0 && is_blank(name[n - 1]); n--)
		name[n - 1] = '\0';
	for (size_t n = strlen(value); n > 0 && is_blank(value[n - 1]); n--)
		value[n - 1] = '\0';
	*ret_name = name;
	*ret_value = value;
	return *name && *value;
}

/* Applies --set to *target; CONFIG_OK or CONFIG_BAD. */
static enum config_status apply_override(const char *assignment, struct config_target *target,
	enum config_key_id *ret_key, struct config_error *err)
{
	char memory[CONFIG_VALUE_MAX + 64];
	char reason[CONFIG_ERROR_MAX / 2];
	struct str s = config_parse_error(err);
	const char *nearest = NULL;
	enum config_key_id key;
	unsigned int byte;
	struct str why;
	char *name;
	char *value;

	(void)str_add(&s, "--set ");
	config_parse_show(&s, assignment);
	(void)str_add(&s, ": ");
	if (config_parse_fault(assignment, strlen(assignment), &byte)) {
		(void)str_add(&s, "contains a control character or is not UTF-8");
		return CONFIG_BAD;
	}
	if (!split_assignment(assignment, memory, sizeof(memory), &name, &value)) {
		(void)str_add(&s, "write KEY=VALUE, as in --set trip=80%");
		return CONFIG_BAD;
	}
	key = config_key_find(name, &nearest);
	if (key == CONFIG_KEY_COUNT) {
		config_parse_unknown_key(&s, name, nearest);
		return CONFIG_BAD;
	}
	if (config_key_is_selector(key)) {
		(void)str_addf(&s, "a target is selected by --%s", name);
		return CONFIG_BAD;
	}
	str_init(&why, reason, sizeof(reason));
	if (!config_key_apply(key, value, target, &why)) {
		config_parse_show(&s, value);
		(void)str_addf(&s, " %s", reason);
		return CONFIG_BAD;
	}
	*ret_key = key;
	return CONFIG_OK;
}

enum config_status config_add_override(
	struct config_options *options, const char *assignment, struct config_error *err)
{
	struct config_target scratch = {0};
	enum config_key_id key;
	enum config_status status = apply_override(assignment, &scratch, &key, err);

	if (status)
		return status;
	if (options->override_count == CONFIG_OVERRIDES_MAX) {
		struct str s = config_parse_error(err);

		(void)str_addf(&s, "--set: at most %d times", CONFIG_OVERRIDES_MAX);
		return CONFIG_BAD;
	}
	options->overrides[options->override_count++] = assignment;
	return CONFIG_OK;
}

/* Sets target->selector; CONFIG_OK or CONFIG_BAD. */
static enum config_status apply_selector(enum selector_kind kind, const char *value,
	struct config_target *target, struct config_error *err)
{
	bool plain = kind == SELECTOR_SIBLINGS || kind == SELECTOR_KUBEPODS;
	const char *text = plain ? "on" : value;
	char reason[CONFIG_ERROR_MAX / 2];
	struct str s = config_parse_error(err);
	unsigned int byte;
	struct str why;

	str_init(&why, reason, sizeof(reason));
	(void)str_addf(&s, "--%s ", selector_kind_name(kind));
	config_parse_show(&s, text);
	if (!*text)
		(void)str_add(&s, ": is empty");
	else if (config_parse_fault(text, strlen(text), &byte))
		(void)str_add(&s, ": contains a control character or is not UTF-8");
	else if (config_key_apply((enum config_key_id)kind, text, target, &why))
		return CONFIG_OK;
	else
		(void)str_addf(&s, ": %s", reason);
	return CONFIG_BAD;
}

enum config_status config_add_selector(struct config_options *options, enum selector_kind kind,
	const char *value, struct config_error *err)
{
	struct config_target scratch = {0};
	enum config_status status = apply_selector(kind, value ? value : "", &scratch, err);

	if (status)
		return status;
	if (options->selector_count == CONFIG_TARGETS_MAX) {
		struct str s = config_parse_error(err);

		(void)str_addf(&s, "--%s: more than %d targets", selector_kind_name(kind),
			CONFIG_TARGETS_MAX);
		return CONFIG_BAD;
	}
	options->selectors[options->selector_count].kind = kind;
	options->selectors[options->selector_count].value = value ? value : "";
	options->selector_count++;
	return CONFIG_OK;
}

/* --- loading --------------------------------------------------------------------------------- */

/* A name for a target that has no section: from its selector, made unique. */
static void make_name(const struct config *config, const struct selector *selector,
	char ret_name[TARGET_NAME_MAX])
{
	const char *slash = strrchr(selector->value, '/');
	const char *text = slash && slash[1] ? slash + 1 : selector->value;
	char stem[TARGET_NAME_MAX - 4]; /* room for -NN */
	struct str s;

	str_init(&s, stem, sizeof(stem));
	if (selector->kind == SELECTOR_PID)
		(void)str_add(&s, "pid-");
	else if (!*text || !strcmp(text, "/"))
		text = *text ? "root" : selector_kind_name(selector->kind);
	(void)str_add(&s, text); /* a cut only shortens the name */
	for (size_t i = 0; i < s.len; i++) {
		char one[2] = {stem[i], '\0'};

		if (!config_parse_name_is_valid(one) && (i == 0 || !strchr("._@-", stem[i])))
			stem[i] = i == 0 ? 'x' : '-';
	}
	(void)str_copy(ret_name, TARGET_NAME_MAX, stem);
	for (unsigned int n = 2; config_parse_find_target(config, ret_name); n++) {
		str_init(&s, ret_name, TARGET_NAME_MAX);
		(void)str_addf(&s, "%s-%u", stem, n);
	}
}

static bool load_selectors(struct loader *l, const struct config_options *options)
{
	for (uint32_t i = 0; i < options->selector_count; i++) {
		enum selector_kind kind = options->selectors[i].kind;
		struct config_target *t = config_parse_add_target(l->config);
		char name[TARGET_NAME_MAX];
		struct str place;

		if (!t) {
			struct str s = config_parse_error(l->err);

			(void)str_addf(&s, "--%s: more than %d targets", selector_kind_name(kind),
				CONFIG_TARGETS_MAX);
			return false;
		}
		if (apply_selector(kind, options->selectors[i].value, t, l->err))
			return false;
		str_init(&place, t->place, sizeof(t->place));
		(void)str_addf(&place, "--%s", selector_kind_name(kind));
		make_name(l->config, &t->selector, name);	/* t counts already: not in place */
		(void)str_copy(t->name, sizeof(t->name), name); /* same size */
	}
	return true;
}

static bool load_defaults(struct loader *l, const struct config_options *options)
{
	struct config *c = l->config;

	(void)str_copy(c->defaults.name, sizeof(c->defaults.name), "defaults");
	(void)str_copy(c->defaults.place, sizeof(c->defaults.place), "[defaults]");
	config_key_defaults(&c->defaults);
	for (uint32_t i = 0; i < l->files.count; i++)
		if (!config_parse(&l->parser, &l->files.list[i], CONFIG_SECTION_DEFAULTS))
			return false;
	for (uint32_t i = 0; i < options->override_count; i++) {
		enum config_key_id key;

		if (apply_override(options->overrides[i], &c->defaults, &key, l->err))
			return false;
		l->parser.defaults_set |= 1ULL << key;
	}
	return true;
}

/* What one target alone cannot know, and what its keys say together. */
static bool check_targets(struct loader *l)
{
	const struct config *c = l->config;
	char reason[CONFIG_ERROR_MAX / 2];
	struct str s = config_parse_error(l->err);
	struct str why;

	str_init(&why, reason, sizeof(reason));
	for (uint32_t i = 0; i < c->target_count; i++) {
		const struct config_target *t = &c->targets[i];

		if (!config_key_check(t, l->parser.defaults_set | l->parser.target_set[i], &why)) {
			(void)str_addf(&s, "%s: target %s: %s", t->place, t->name, reason);
			return false;
		}
		for (uint32_t j = 0; j < i; j++) {
			const struct config_target *other = &c->targets[j];

			if (t->selector.kind != other->selector.kind ||
				strcmp(t->selector.value, other->selector.value) != 0)
				continue;
			(void)str_addf(&s,
				"%s: target %s selects the same as target %s at %s: remove one of "
				"them",
				t->place, t->name, other->name, other->place);
			return false;
		}
	}
	if (c->target_count == 0) {
		(void)str_addf(&s,
			"%s: no target: add [target NAME] with a selector, as in unit = "
			"web.service",
			l->files.count ? l->files.list[0].name : "command line");
		return false;
	}
	return true;
}

/* Takes over *loader. */
static int load(struct loader *loader, const struct config_options *options, struct config **ret)
{
	__attribute__((cleanup(cleanup_loader))) struct loader *l = loader;

	l->parser.config = l->config;
	l->parser.err = l->err;
	l->config->file_count = l->files.count;
	if (l->files.count)
		(void)str_copy(l->config->path, sizeof(l->config->path), l->files.list[0].name);
	if (!load_defaults(l, options))
		return CONFIG_BAD;
	for (uint32_t i = 0; i < l->files.count; i++)
		if (!config_parse(&l->parser, &l->files.list[i], CONFIG_SECTION_TARGET))
			return CONFIG_BAD;
	if (!load_selectors(l, options) || !check_targets(l))
		return CONFIG_BAD;
	l->err->text[0] = '\0';
	*ret = take_ptr(l->config);
	return 0;
}

static struct loader *loader_new(struct config_error *err)
{
	struct loader *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->err = err;
	l->config = calloc(1, sizeof(*l->config));
	if (!l->config) {
		free(l);
		return NULL;
	}
	return l;
}

int config_load(const struct config_options *options, struct config **ret, struct config_error *err)
{
	__attribute__((cleanup(cleanup_loader))) struct loader *l = loader_new(err);
	const char *path = options->path;
	int r;

	if (!l)
		return -ENOMEM;
	if (!path && options->selector_count == 0)
		path = CONFIG_PATH;
	if (path) {
		r = config_files_read(&l->files, path, err);
		if (r)
			return r;
	}
	return load(take_ptr(l), options, ret);
}

int config_load_text(const char *name, const char *text, size_t len,
	const struct config_options *options, struct config **ret, struct config_error *err)
{
	__attribute__((cleanup(cleanup_loader))) struct loader *l = loader_new(err);
	int r;

	if (!l)
		return -ENOMEM;
	r = config_files_add(&l->files, name, text, len);
	if (r)
		return r;
	return load(take_ptr(l), options, ret);
}

void config_free(struct config *config)
{
	free(config);
}
