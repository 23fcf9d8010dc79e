// SPDX-License-Identifier: Apache-2.0
/*
 * Reads one text of the configuration: lines to sections and keys, keys to targets.
 *
 * inih does the splitting into keys and values, and is handed one line at a time by a reader of
 * ours, for four reasons. It tells its handler no line numbers (in the build that distributions
 * ship). It cuts lines longer than its buffer, and section names beyond 49 bytes, without a word.
 * It takes an indented line for more of the value before, and drops what stands behind " ;", which
 * would quietly shorten a command. And it does not mention a section that has no keys. The reader
 * therefore judges each line before inih sees it, reads the section headings itself, and ends the
 * parse at the first mistake.
 *
 * A text is read in one of two passes: for [defaults], or for the targets. What belongs to the
 * other pass is skipped, so that each mistake is found once, with its own place.
 *
 * Refused, each with one sentence that says how to mend it: unknown sections and keys (with the
 * nearest valid one), bad values, anything said twice in one section, a target without a selector
 * or with two, control characters, and bytes that are not UTF-8.
 *
 * Limits: a line holds as many bytes as inih's buffer (LINE_MAX_WANTED where inih lets us choose,
 * else 197); comments may be longer.
 */
#include "config_parse.h"

#include <ini.h>
#include <string.h>

#include "base/checked.h"
#include "config_value.h"

#define LINE_MAX_WANTED 2048
#define SHOWN_MAX 120 /* bytes of a value that a message repeats */

/* Where inih was built so that its line buffer can be chosen at run time, choose it. */
extern int ini_max_line __attribute__((weak));

/* --- messages -------------------------------------------------------------------------------- */

struct str config_parse_error(struct config_error *err)
{
	struct str s;

	str_init(&s, err->text, sizeof(err->text));
	return s;
}

/* Appends a value for a message: shortened, and without control characters. */
void config_parse_show(struct str *s, const char *value)
{
	size_t len = strlen(value);

	(void)str_add_json(
		s, value, len > SHOWN_MAX ? SHOWN_MAX : len); /* a cut is harmless here */
	if (len > SHOWN_MAX)
		(void)str_add(s, "...");
}

/* "FILE:LINE: " and the message. Always false, so that callers can return it. */
__attribute__((format(printf, 2, 3))) static bool fail(
	struct config_parser *p, const char *format, ...)
{
	struct str s = config_parse_error(p->err);
	va_list args;

	(void)str_addf(&s, "%s:%u: ", p->file->name, p->line);
	va_start(args, format);
	(void)str_addv(&s, format, args);
	va_end(args);
	p->failed = true;
	return false;
}

void config_parse_unknown_key(struct str *s, const char *name, const char *nearest)
{
	(void)str_add(s, "unknown key ");
	config_parse_show(s, name);
	if (nearest)
		(void)str_addf(s, "; did you mean %s?", nearest);
	else
		(void)str_add(s, "; the keys are listed in oomsnap.ini(5)");
}

/* --- lines ----------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* NULL, or what is wrong with the bytes of a line. */
const char *config_parse_fault(const char *text, size_t len, unsigned int *ret_byte)
{
	for (size_t i = 0; i < len;) {
		size_t n = str_utf8_len(text + i, len - i);
		unsigned char c = (unsigned char)text[i];

		*ret_byte = c;
		if (n == 0)
			return "is not UTF-8";
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return "is a control character";
		i += n;
	}
	return NULL;
}

bool config_parse_name_is_valid(const char *name)
{
	static const char marks[] = "._@-";

	for (const char *c = name; *c; c++)
		if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			    (*c >= '0' && *c <= '9') || (c > name && strchr(marks, *c))))
			return false;
	return *name != '\0';
}

const struct config_target *config_parse_find_target(const struct config *config, const char *name)
{
	for (uint32_t i = 0; i < config->target_count; i++)
		if (strcmp(config->targets[i].name, name) == 0)
			return &config->targets[i];
	return NULL;
}

struct config_target *config_parse_add_target(struct config *config)
{
	struct config_target *t;

	if (config->target_count == CONFIG_TARGETS_MAX)
		return NULL;
	t = &config->targets[config->target_count++];
	*t = config->defaults;
	t->name[0] = '\0';
	return t;
}

static bool begin_defaults(struct config_parser *p)
{
	p->section = CONFIG_SECTION_DEFAULTS;
	if (p->defaults_seen)
		return fail(p, "[defaults] for the second time in this file: keep one of them");
	p->defaults_seen = true;
	return true;
}

static bool begin_target(struct config_parser *p, const char *name)
{
	const struct config_target *other;
	struct str place;

	p->section = CONFIG_SECTION_TARGET;
	p->target = NULL;
	if (p->pass != CONFIG_SECTION_TARGET)
		return true; /* judged in its own pass */
	if (strlen(name) >= TARGET_NAME_MAX)
		return fail(
			p, "the target's name is too long: at most %d bytes", TARGET_NAME_MAX - 1);
	if (!config_parse_name_is_valid(name))
		return fail(p,
			"a target's name begins with a letter or digit and goes on with those and "
			". _ @ -, as in [target web-1]");
	other = config_parse_find_target(p->config, name);
	if (other)
		return fail(p, "target %s is defined already, at %s: give one of them another name",
			name, other->place);
	p->target = config_parse_add_target(p->config);
	if (!p->target)
		return fail(p, "more than %d targets", CONFIG_TARGETS_MAX);
	(void)str_copy(p->target->name, sizeof(p->target->name), name); /* fits */
	str_init(&place, p->target->place, sizeof(p->target->place));
	(void)str_addf(&place, "%s:%u", p->file->name, p->line); /* a cut shortens a message */
	return true;
}

/* A selector for each target; called when a section ends. */
static bool end_section(struct config_parser *p)
{
	const uint64_t selectors = (1ULL << SELECTOR_COUNT) - 1;

	if (p->section != CONFIG_SECTION_TARGET || !p->target || (p->section_set & selectors))
		return true;
	struct str s = config_parse_error(p->err);

	(void)str_addf(&s,
		"%s: target %s selects nothing: add cgroup, unit, pid, process, siblings or "
		"kubepods",
		p->target->place, p->target->name);
	p->failed = true;
	return false;
}

/* A line "[...]" without its leading blanks; text is terminated. */
static bool begin_section(struct config_parser *p, char *text)
{
	static const char *const words[] = {"defaults", "target"};
	char *end = strchr(text, ']');
	const char *nearest;
	size_t word_len;
	char *name;

	if (!end_section(p))
		return false;
	p->section_set = 0;
	if (!end)
		return fail(p, "the section heading lacks its ]");
	for (const char *rest = end + 1; *rest; rest++) {
		if (*rest == ';' || *rest == '#')
			break;
		if (!is_blank(*rest))
			return fail(p, "something stands behind the ] of the section heading");
	}
	*end = '\0';
	name = text + 1;
	while (is_blank(*name))
		name++;
	for (size_t n = strlen(name); n > 0 && is_blank(name[n - 1]); n--)
		name[n - 1] = '\0';
	if (strcmp(name, "defaults") == 0)
		return begin_defaults(p);
	word_len = strcspn(name, " \t");
	if (word_len == strlen("target") && str_has_prefix(name, "target")) {
		name += word_len;
		while (is_blank(*name))
			name++;
		return begin_target(p, name);
	}
	name[word_len] = '\0';
	nearest = config_value_nearest(name, words, ARRAY_LEN(words));
	return fail(p, "unknown section: write [%s]",
		!nearest			    ? "defaults] or [target NAME"
			: strcmp(nearest, "target") ? nearest
						    : "target NAME");
}

/*
 * inih's reader, with the contract of fgets(): the next line into out[size], NULL at the end. A bad
 * line ends the parse. What inih gets has no leading blanks (they would make it a continuation) and
 * always fits.
 */
static char *read_line(char *out, int size, void *user)
{
	struct config_parser *p = user;
	const char *text = p->file->text + p->at;
	size_t left = p->file->len - p->at;
	const char *newline;
	const char *fault;
	unsigned int byte = 0;
	size_t len;

	if (p->failed || left == 0)
		return NULL;
	p->line++;
	newline = memchr(text, '\n', left);
	len = newline ? (size_t)(newline - text) : left;
	p->at += len + (newline != NULL);
	if (len > 0 && text[len - 1] == '\r')
		len--;
	if (p->line == 1 && len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	fault = config_parse_fault(text, len, &byte);
	if (fault) {
		(void)fail(p, "the byte 0x%02x %s: remove it", byte, fault);
		return NULL;
	}
	while (len > 0 && is_blank(*text)) {
		text++;
		len--;
	}
	if (len > 0 && (*text == ';' || *text == '#'))
		len = 0; /* a comment may be as long as it likes */
	if (len + 3 > (size_t)size) {
		(void)fail(p, "the line is too long: at most %d bytes", size - 3);
		return NULL;
	}
	memcpy(out, text, len);
	out[len] = '\0';
	if (*out == '[') {
		if (!begin_section(p, out))
			return NULL;
		out[0] = '\0'; /* inih need not know */
		return out;
	}
	for (size_t i = 1; i < len; i++)
		if (out[i] == ';' && is_blank(out[i - 1])) {
			(void)fail(p,
				"a comment needs a line of its own: behind a value, ; would cut "
				"it short");
			return NULL;
		}
	return out;
}

/* --- keys ------------------------------------------------------------------------------------ */

static bool take_key(struct config_parser *p, enum config_key_id key, const char *value)
{
	struct config_target *t = p->target ? p->target : &p->config->defaults;
	uint64_t bit = 1ULL << key;
	const uint64_t selectors = (1ULL << SELECTOR_COUNT) - 1;
	const char *name = config_key_name(key);
	char memory[CONFIG_ERROR_MAX / 2];
	struct str why;

	if (p->section_set & bit)
		return fail(p, "%s for the second time in this section: keep one of them", name);
	if (config_key_is_selector(key)) {
		if (p->section == CONFIG_SECTION_DEFAULTS)
			return fail(
				p, "%s belongs into a [target NAME] section, not [defaults]", name);
		if (p->section_set & selectors)
			return fail(p,
				"a second selector: target %s has %s already; make two targets of "
				"it",
				t->name, selector_kind_name(t->selector.kind));
	}
	if (!*value)
		return fail(p, "%s has no value: give one, or remove the line", name);
	str_init(&why, memory, sizeof(memory));
	if (!config_key_apply(key, value, t, &why)) {
		struct str shown;
		char shown_memory[SHOWN_MAX * 6 + 4];

		str_init(&shown, shown_memory, sizeof(shown_memory));
		config_parse_show(&shown, value);
		return fail(p, "%s = %s %s", name, shown.text, why.text);
	}
	p->section_set |= bit;
	if (p->section == CONFIG_SECTION_DEFAULTS)
		p->defaults_set |= bit;
	else
		p->target_set[t - p->config->targets] |= bit;
	return true;
}

/* inih's handler: nonzero is success. inih's own idea of the section is not looked at. */
static int on_key(void *user, const char *section, const char *name, const char *value)
{
	struct config_parser *p = user;
	const char *nearest = NULL;
	enum config_key_id key;

	(void)section;
	if (p->failed)
		return 0;
	if (p->section == CONFIG_SECTION_NONE)
		return fail(p,
			"a key before the first section: put it under [defaults] or "
			"[target NAME]");
	if (p->section != p->pass)
		return 1;
	key = config_key_find(name, &nearest);
	if (key == CONFIG_KEY_COUNT) {
		char memory[CONFIG_ERROR_MAX / 2];
		struct str s;

		str_init(&s, memory, sizeof(memory));
		config_parse_unknown_key(&s, name, nearest);
		return fail(p, "%s", s.text);
	}
	return take_key(p, key, value ? value : "");
}

bool config_parse(struct config_parser *p, const struct config_file *file, enum config_section pass)
{
	int result;

	p->file = file;
	p->pass = pass;
	p->at = 0;
	p->line = 0;
	p->section = CONFIG_SECTION_NONE;
	p->section_set = 0;
	p->defaults_seen = false;
	p->target = NULL;
	if (&ini_max_line)
		ini_max_line = LINE_MAX_WANTED;
	result = ini_parse_stream(read_line, p, on_key, p);
	if (p->failed)
		return false;
	if (result != 0) {
		p->line = result > 0 ? (uint32_t)result : 0;
		return fail(p, "neither KEY = VALUE nor [SECTION]");
	}
	return end_section(p);
}
