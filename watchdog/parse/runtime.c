// SPDX-License-Identifier: Apache-2.0
/*
 * The settings and names by which a managed runtime is known from outside.
 *
 * Each runtime has rows in three small tables: how its library or program is called, which options
 * and which variables set its heap limit, and in which notation. The notations are the runtimes'
 * own: .NET reads its variables as hexadecimal and refuses a share of 100 or more (GCHeapHardLimit
 * documentation of .NET), Java has its size suffixes and lets the last option win, V8 counts in MiB
 * and takes '-' for '_', Go wants "B", "KiB" and so on (package runtime, GOMEMLIMIT).
 *
 * Nothing here can be trusted: a process may call itself anything and write anything into its
 * environment. The worst that follows is a capture of that process at another moment; a number that
 * does not fit, or that ends in something else, is no setting.
 *
 * Refuses: command lines in files (java @argfiles, NODE_OPTIONS of a package.json), the JVM's own
 * files of flags. Limits: .runtimeconfig.json is searched for the key, not parsed as JSON; the same
 * key elsewhere in that file counts as well.
 */
#include "parse/runtime.h"

#include <string.h>

#include "base/checked.h"
#include "base/str.h"
#include "parse/maps.h"

#define MIB_SHIFT 20

/* --- names --------------------------------------------------------------------------------- */

static bool text_is(const char *text, size_t len, const char *what)
{
	return len == strlen(what) && memcmp(text, what, len) == 0;
}

static bool text_begins(const char *text, size_t len, const char *prefix)
{
	size_t n = strlen(prefix);

	return len >= n && memcmp(text, prefix, n) == 0;
}

/* "python3.11", "libpython3.11.so.1.0": the prefix, then digits and points, then the suffix. */
static bool is_versioned(const char *text, size_t len, const char *prefix, const char *suffix)
{
	size_t at = strlen(prefix);

	if (!text_begins(text, len, prefix))
		return false;
	while (at < len && ((text[at] >= '0' && text[at] <= '9') || text[at] == '.')) {
		if (*suffix && text_begins(text + at, len - at, suffix))
			return true;
		at++;
	}
	return at == len && !*suffix;
}

enum runtime_kind runtime_of_mapping(const char *name, size_t len)
{
	const char *slash = len ? memrchr(name, '/', len) : NULL;
	const char *base = slash ? slash + 1 : name;
	size_t n = len - (size_t)(base - name);

	if (!slash)
		return RUNTIME_NONE;
	if (text_is(base, n, "libcoreclr.so"))
		return RUNTIME_DOTNET;
	if (text_is(base, n, "libjvm.so"))
		return RUNTIME_JAVA;
	if (text_is(base, n, "node") || text_is(base, n, "nodejs") ||
		text_begins(base, n, "libnode.so"))
		return RUNTIME_NODE;
	if (is_versioned(base, n, "python", "") || is_versioned(base, n, "libpython", ".so"))
		return RUNTIME_PYTHON;
	return RUNTIME_NONE;
}

enum runtime_kind runtime_of_sections(const char *names, size_t len)
{
	static const struct {
		const char *name;
		enum runtime_kind kind;
	} sections[] = {
		{".go.buildinfo", RUNTIME_GO},
		{"_tlgEventPtrs_DotNETRuntime", RUNTIME_DOTNET}, /* of libcoreclr, linked in */
		{"__managedcode", RUNTIME_DOTNET},		 /* compiled ahead of time */
	};
	const char *end = names + len;

	/* Each name ends with a 0, and the first is the empty one. */
	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		size_t n = strlen(sections[i].name) + 1;
		const char *at = names;

		while ((at = memmem(at, (size_t)(end - at), sections[i].name, n)) != NULL) {
			if (at > names && at[-1] == '\0')
				return sections[i].kind;
			at++;
		}
	}
	return RUNTIME_NONE;
}

bool runtime_elf_section(const void *header, size_t len, uint64_t *ret_offset)
{
	static const unsigned char magic[] = {0x7f, 'E', 'L', 'F', 2 /* 64 bits */, 1 /* little */};
	const unsigned char *h = header;
	uint64_t table;
	uint64_t offset;
	uint16_t entry_bytes;
	uint16_t number;

	if (len < 64 || memcmp(h, magic, sizeof(magic)) != 0)
		return false;
	memcpy(&table, h + 40, sizeof(table));
	memcpy(&entry_bytes, h + 58, sizeof(entry_bytes));
	memcpy(&number, h + 62, sizeof(number));
	if (!table || entry_bytes != 64 || !number)
		return false;
	if (!checked_add(table, (uint64_t)number * entry_bytes, &offset) || offset > INT64_MAX)
		return false;
	*ret_offset = offset;
	return true;
}

bool runtime_elf_names(const void *section, size_t len, uint64_t *ret_offset, uint64_t *ret_bytes)
{
	const unsigned char *s = section;
	uint64_t offset;
	uint64_t bytes;

	if (len < 64)
		return false;
	memcpy(&offset, s + 24, sizeof(offset));
	memcpy(&bytes, s + 32, sizeof(bytes));
	if (!offset || offset > INT64_MAX || !bytes)
		return false;
	*ret_offset = offset;
	*ret_bytes = bytes;
	return true;
}

/* --- numbers ------------------------------------------------------------------------------- */

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

/* Digits from *at on; false where there are none or the number does not fit. */
static bool take(const char *text, size_t len, unsigned int base, size_t *at, uint64_t *ret)
{
	size_t from = *at;
	uint64_t value = 0;

	while (*at < len && digit(text[*at]) < (int)base) {
		if (!checked_mul(value, base, &value) ||
			!checked_add(value, (uint64_t)digit(text[*at]), &value))
			return false;
		(*at)++;
	}
	*ret = value;
	return *at > from;
}

/* A whole text in base 16, with or without 0x, or in base 10. */
static bool whole(const char *text, size_t len, unsigned int base, uint64_t *ret)
{
	size_t at = 0;
	uint64_t value;

	if (text_begins(text, len, "0x") || text_begins(text, len, "0X")) {
		base = 16;
		at = 2;
	}
	if (!take(text, len, base, &at, &value) || at != len)
		return false;
	*ret = value;
	return true;
}

static bool shifted(uint64_t value, unsigned int shift, uint64_t *ret)
{
	return checked_mul(value, UINT64_C(1) << shift, ret);
}

/* Java: digits and at most one of k, m, g, t. */
static bool java_size(const char *text, size_t len, uint64_t *ret)
{
	static const char suffixes[] = "kmgt";
	uint64_t value;
	size_t at = 0;
	char c;

	if (!take(text, len, 10, &at, &value))
		return false;
	if (at == len) {
		*ret = value;
		return true;
	}
	c = text[at] >= 'A' && text[at] <= 'Z' ? (char)(text[at] - 'A' + 'a') : text[at];
	if (at + 1 != len || !memchr(suffixes, c, sizeof(suffixes) - 1))
		return false;
	return shifted(value, 10U * (unsigned int)(strchr(suffixes, c) - suffixes + 1), ret);
}

/* Go: digits, then nothing, B, KiB, MiB, GiB or TiB. */
static bool go_size(const char *text, size_t len, uint64_t *ret)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	uint64_t value;
	size_t at = 0;

	if (!take(text, len, 10, &at, &value))
		return false;
	if (at == len) {
		*ret = value;
		return true;
	}
	for (unsigned int i = 0; i < ARRAY_LEN(units); i++)
		if (text_is(text + at, len - at, units[i]))
			return shifted(value, 10 * i, ret);
	return false;
}

/* A percentage with a fraction, as basis points; false beyond 100. */
static bool percent_bp(const char *text, size_t len, uint32_t *ret)
{
	uint64_t value;
	uint64_t hundredths = 0;
	size_t at = 0;

	if (!take(text, len, 10, &at, &value) || value > 100)
		return false;
	if (at < len && text[at] == '.') {
		for (uint32_t unit = 10; ++at < len; unit /= 10) {
			if (text[at] < '0' || text[at] > '9')
				return false;
			hundredths += (uint64_t)(text[at] - '0') * unit;
		}
	}
	if (at != len || value * 100 + hundredths > BP_ONE)
		return false;
	*ret = (uint32_t)(value * 100 + hundredths);
	return true;
}

/* --- settings ------------------------------------------------------------------------------ */

enum notation {
	NOTATION_HEX,	      /* bytes */
	NOTATION_HEX_PERCENT, /* 1 to 99 */
	NOTATION_NUMBER,      /* bytes, 0x or decimal */
	NOTATION_NUMBER_PERCENT,
	NOTATION_JAVA,
	NOTATION_PERCENT, /* with a fraction */
	NOTATION_MIB,
	NOTATION_GO,
};

/* Whether a number or a share wins does not depend on where it is set: bytes before shares. */
static bool apply(const char *value, size_t len, enum notation notation, enum runtime_source source,
	bool replace, struct runtime_facts *facts)
{
	uint64_t bytes = 0;
	uint64_t percent = 0;
	uint32_t bp = 0;
	bool ok = false;

	switch (notation) {
	case NOTATION_HEX:
	case NOTATION_NUMBER:
		ok = whole(value, len, notation == NOTATION_HEX ? 16 : 10, &bytes);
		break;
	case NOTATION_HEX_PERCENT:
	case NOTATION_NUMBER_PERCENT:
		ok = whole(value, len, notation == NOTATION_HEX_PERCENT ? 16 : 10, &percent) &&
			percent < 100;
		bp = ok ? (uint32_t)percent * 100 : 0;
		break;
	case NOTATION_JAVA:
		ok = java_size(value, len, &bytes);
		break;
	case NOTATION_PERCENT:
		ok = percent_bp(value, len, &bp);
		break;
	case NOTATION_MIB:
		ok = whole(value, len, 10, &bytes) && shifted(bytes, MIB_SHIFT, &bytes);
		break;
	case NOTATION_GO:
		ok = go_size(value, len, &bytes);
		break;
	}
	if (!ok || (!bytes && !bp))
		return false;
	if (bytes && (replace || !facts->heap_bytes)) {
		facts->heap_bytes = bytes;
		facts->source = source;
	} else if (bp && (replace || !facts->heap_bp)) {
		facts->heap_bp = bp;
		if (!facts->heap_bytes)
			facts->source = source;
	}
	return true;
}

struct setting {
	enum runtime_kind kind;
	const char *name; /* up to its value, with '=' where one belongs there */
	enum notation notation;
};

static const struct setting variables[] = {
	{RUNTIME_DOTNET, "DOTNET_GCHeapHardLimit=", NOTATION_HEX},
	{RUNTIME_DOTNET, "COMPlus_GCHeapHardLimit=", NOTATION_HEX},
	{RUNTIME_DOTNET, "DOTNET_GCHeapHardLimitPercent=", NOTATION_HEX_PERCENT},
	{RUNTIME_DOTNET, "COMPlus_GCHeapHardLimitPercent=", NOTATION_HEX_PERCENT},
	{RUNTIME_GO, "GOMEMLIMIT=", NOTATION_GO},
};

/*
 * Variables that hold options, in the order in which the runtime reads them. (_JAVA_OPTIONS, which
 * overrules the command line, is deprecated; a JVM with counters needs none of these.)
 */
static const struct {
	enum runtime_kind kind;
	const char *name;
} option_variables[] = {
	{RUNTIME_JAVA, "JAVA_TOOL_OPTIONS="},
	{RUNTIME_JAVA, "JDK_JAVA_OPTIONS="},
	{RUNTIME_NODE, "NODE_OPTIONS="},
};

static const struct setting options[] = {
	{RUNTIME_JAVA, "-Xmx", NOTATION_JAVA},
	{RUNTIME_JAVA, "-XX:MaxHeapSize=", NOTATION_JAVA},
	{RUNTIME_JAVA, "-XX:MaxRAMPercentage=", NOTATION_PERCENT},
	{RUNTIME_NODE, "--max-old-space-size=", NOTATION_MIB},
	{RUNTIME_NODE, "--max-old-space-size-percentage=", NOTATION_PERCENT},
};

static const struct setting settings[] = {
	{RUNTIME_DOTNET, "\"System.GC.HeapHardLimit\"", NOTATION_NUMBER},
	{RUNTIME_DOTNET, "\"System.GC.HeapHardLimitPercent\"", NOTATION_NUMBER_PERCENT},
};

/* Whether a word begins with the first n bytes of an option's name; V8 takes '_' for '-'. */
static bool option_begins(const char *text, size_t len, const struct setting *s, size_t n)
{
	if (len < n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (text[i] != s->name[i] &&
			(s->kind != RUNTIME_NODE || s->name[i] != '-' || text[i] != '_'))
			return false;
	return true;
}

/* One word of a command line. */
static void take_option(
	const char *text, size_t len, enum runtime_source source, struct runtime_facts *facts)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		const struct setting *s = &options[i];
		size_t n = strlen(s->name);

		if (s->kind == facts->kind && option_begins(text, len, s, n))
			(void)apply(text + n, len - n, s->notation, source, true, facts);
	}
}

/* The words of a variable, divided by blanks. */
static void take_words(const char *text, size_t len, struct runtime_facts *facts)
{
	size_t at = 0;

	while (at < len) {
		size_t from = at;

		while (at < len && text[at] != ' ' && text[at] != '\t' && text[at] != '\n')
			at++;
		if (at > from)
			take_option(text + from, at - from, RUNTIME_FROM_ENVIRONMENT, facts);
		at++;
	}
}

/* The next string of a list of strings that end in a zero byte. */
static bool next_string(const char *text, size_t len, size_t *at, const char **ret, size_t *ret_len)
{
	const char *zero;

	if (*at >= len)
		return false;
	*ret = text + *at;
	zero = memchr(*ret, '\0', len - *at);
	*ret_len = zero ? (size_t)(zero - *ret) : len - *at;
	*at += *ret_len + 1;
	return true;
}

/* The value of a variable; the first counts, as getenv() has it. */
static bool variable(
	const char *text, size_t len, const char *name, const char **ret, size_t *ret_len)
{
	const char *string;
	size_t string_len;
	size_t at = 0;

	while (next_string(text, len, &at, &string, &string_len))
		if (text_begins(string, string_len, name)) {
			*ret = string + strlen(name);
			*ret_len = string_len - strlen(name);
			return true;
		}
	return false;
}

void runtime_take_environ(const char *text, size_t len, struct runtime_facts *facts)
{
	const char *value;
	size_t value_len;

	for (size_t i = 0; i < ARRAY_LEN(variables); i++)
		if (variables[i].kind == facts->kind &&
			variable(text, len, variables[i].name, &value, &value_len))
			(void)apply(value, value_len, variables[i].notation,
				RUNTIME_FROM_ENVIRONMENT, false, facts);
	for (size_t i = 0; i < ARRAY_LEN(option_variables); i++)
		if (option_variables[i].kind == facts->kind &&
			variable(text, len, option_variables[i].name, &value, &value_len))
			take_words(value, value_len, facts);
}

void runtime_take_cmdline(const char *text, size_t len, struct runtime_facts *facts)
{
	const char *string;
	size_t string_len;
	size_t at = 0;

	if (!next_string(text, len, &at, &string, &string_len))
		return; /* the first is the program's name */
	while (next_string(text, len, &at, &string, &string_len)) {
		if (string_len && string[0] != '-' && facts->kind == RUNTIME_NODE)
			return; /* the script: what follows is its own */
		take_option(string, string_len, RUNTIME_FROM_COMMAND_LINE, facts);
	}
}

void runtime_take_settings(const char *json, size_t len, struct runtime_facts *facts)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		size_t n = strlen(settings[i].name);
		const char *found = len ? memmem(json, len, settings[i].name, n) : NULL;
		size_t at;
		size_t from;

		if (!found || settings[i].kind != facts->kind)
			continue;
		at = (size_t)(found - json) + n;
		while (at < len && json[at] && strchr(" \t\r\n:\"", json[at]))
			at++;
		from = at;
		while (at < len && (digit(json[at]) < 16 || json[at] == 'x' || json[at] == 'X'))
			at++;
		(void)apply(json + from, at - from, settings[i].notation, RUNTIME_FROM_SETTINGS,
			false, facts);
	}
}

bool runtime_argument(const char *text, size_t len, const char *suffix, uint32_t n,
	const char **ret, size_t *ret_len)
{
	const char *string;
	size_t string_len;
	size_t at = 0;
	size_t end = strlen(suffix);

	while (next_string(text, len, &at, &string, &string_len)) {
		if (string_len < end || memcmp(string + string_len - end, suffix, end) != 0)
			continue;
		if (n-- == 0) {
			*ret = string;
			*ret_len = string_len;
			return true;
		}
	}
	return false;
}

/* --- what a heap has asked for ------------------------------------------------------------- */

#define RANGE_TIMES 5U			/* .NET's collector reserves five times its hard limit */
#define GUARD_BYTES 4096U		/* below a thread's stack (glibc's default: one page) */
#define STACK_BYTES (8U << 20)		/* ulimit -s where nobody has set it */
#define SMALL_STACK_BYTES (1536U << 10) /* .NET's own choice, for helpers and on musl */
#define V8_PAGE_BYTES UINT64_C(262144)	/* so are its pages aligned */

void runtime_range_end(struct runtime_range *range)
{
	uint64_t least;

	if (range->kind != RUNTIME_DOTNET)
		return;
	if (!checked_mul(range->heap_bytes, RANGE_TIMES, &least))
		least = UINT64_MAX;
	if (range->row_bytes >= least) /* rows of other things have next to nothing in them */
		range->committed_bytes = max_u64(range->committed_bytes, range->writable_bytes);
	range->row_bytes = 0;
	range->writable_bytes = 0;
}

/*
 * What a guard page lies below, if it is as long as stacks are. The kernel makes one mapping of a
 * stack and of heap beside it, and a page that the heap has not asked for looks like a guard page:
 * what is longer or shorter counts as heap.
 */
static bool is_stack(const struct maps_entry *entry)
{
	uint64_t bytes = entry->end - entry->start;

	return entry->prot & MAPS_WRITE && (bytes == STACK_BYTES || bytes == SMALL_STACK_BYTES);
}

void runtime_range_add(struct runtime_range *range, const struct maps_entry *entry)
{
	uint64_t bytes = entry->end - entry->start;
	bool ours = !entry->inode && !entry->name_len && !(entry->prot & (MAPS_EXEC | MAPS_SHARED));

	if (range->kind == RUNTIME_NODE) {
		if (ours && entry->prot & MAPS_WRITE && entry->start % V8_PAGE_BYTES == 0)
			range->committed_bytes = add_sat(range->committed_bytes, bytes);
		return;
	}
	if (!ours || entry->start != range->end) {
		runtime_range_end(range);
		range->guarded = false;
	}
	range->end = entry->end;
	if (!ours)
		return;
	/* Stacks are writable and hardly touched: 30 threads may have asked for 240 MiB. */
	if (range->guarded) {
		range->guarded = false;
		if (is_stack(entry)) {
			runtime_range_end(range);
			return;
		}
		range->row_bytes = add_sat(range->row_bytes, GUARD_BYTES);
	}
	if (!entry->prot && bytes == GUARD_BYTES) {
		range->guarded = true;
		return;
	}
	range->row_bytes = add_sat(range->row_bytes, bytes);
	if (entry->prot & MAPS_WRITE)
		range->writable_bytes = add_sat(range->writable_bytes, bytes);
}
