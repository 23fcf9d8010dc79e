// SPDX-License-Identifier: Apache-2.0
/*
 * Settings, names and counters of runtimes, as they are written and as they should not be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/checked.h"
#include "parse/hsperf.h"
#include "parse/maps.h"
#include "parse/runtime.h"

#define MIB UINT64_C(1048576)

static void test_names(void **state)
{
	static const struct {
		const char *name;
		enum runtime_kind kind;
	} names[] = {
		{"/usr/share/dotnet/shared/Microsoft.NETCore.App/10.0.1/libcoreclr.so",
			RUNTIME_DOTNET},
		{"/usr/lib/jvm/java-17-openjdk-amd64/lib/server/libjvm.so", RUNTIME_JAVA},
		{"/usr/bin/node", RUNTIME_NODE},
		{"/usr/lib/libnode.so.108", RUNTIME_NODE},
		{"/usr/bin/python3.11", RUNTIME_PYTHON},
		{"/usr/bin/python3", RUNTIME_PYTHON},
		{"/usr/lib/libpython3.11.so.1.0", RUNTIME_PYTHON},
		{"/usr/bin/python3-config", RUNTIME_NONE},
		{"/usr/bin/nodejsx", RUNTIME_NONE},
		{"/usr/bin/notnode", RUNTIME_NONE},
		{"node", RUNTIME_NONE}, /* no path: no file */
		{"/", RUNTIME_NONE},
		{"", RUNTIME_NONE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_int_equal(
			names[i].kind, runtime_of_mapping(names[i].name, strlen(names[i].name)));
}

/* A case: kind, environ, settings, cmdline ('|' stands for a zero byte); bytes, share, source. */
struct setting_case {
	enum runtime_kind kind;
	const char *environ;
	const char *json;
	const char *cmdline;
	uint64_t bytes;
	uint32_t bp;
	enum runtime_source source;
};

static size_t strings(const char *from, char *to)
{
	size_t len = strlen(from);

	for (size_t i = 0; i < len; i++)
		to[i] = from[i] == '|' ? '\0' : from[i];
	return len;
}

static void test_settings(void **state)
{
	static const struct setting_case cases[] = {
		{RUNTIME_DOTNET, "A=b|DOTNET_GCHeapHardLimit=C800000|", "", "", 200 * MIB, 0,
			RUNTIME_FROM_ENVIRONMENT},
		{RUNTIME_DOTNET, "DOTNET_GCHeapHardLimit=0xC800000|", "", "", 200 * MIB, 0,
			RUNTIME_FROM_ENVIRONMENT},
		{RUNTIME_DOTNET, "DOTNET_GCHeapHardLimitPercent=32|", "", "", 0, 5000,
			RUNTIME_FROM_ENVIRONMENT},
		{RUNTIME_DOTNET, "DOTNET_GCHeapHardLimitPercent=64|", "", "", 0, 0,
			RUNTIME_FROM_DEFAULT}, /* 100: ignored */
		{RUNTIME_DOTNET, "DOTNET_GCHeapHardLimit=200M|", "", "", 0, 0,
			RUNTIME_FROM_DEFAULT},
		{RUNTIME_DOTNET, "XDOTNET_GCHeapHardLimit=C800000|", "", "", 0, 0,
			RUNTIME_FROM_DEFAULT},
		{RUNTIME_DOTNET, "",
			"{\"configProperties\":{\"System.GC.HeapHardLimit\": 209715200,\"x\":1}}",
			"", 200 * MIB, 0, RUNTIME_FROM_SETTINGS},
		{RUNTIME_DOTNET, "", "\"System.GC.HeapHardLimitPercent\" : \"40\"", "", 0, 4000,
			RUNTIME_FROM_SETTINGS},
		{RUNTIME_DOTNET, "DOTNET_GCHeapHardLimit=100000|",
			"\"System.GC.HeapHardLimit\":209715200", "", MIB, 0,
			RUNTIME_FROM_ENVIRONMENT},
		{RUNTIME_DOTNET, "", "\"System.GC.HeapHardLimit\"", "", 0, 0, RUNTIME_FROM_DEFAULT},
		{RUNTIME_JAVA, "", "", "java|-Xms1m|-Xmx200m|Main|", 200 * MIB, 0,
			RUNTIME_FROM_COMMAND_LINE},
		{RUNTIME_JAVA, "", "", "java|-Xmx1g|-XX:MaxHeapSize=209715200|Main", 200 * MIB, 0,
			RUNTIME_FROM_COMMAND_LINE},
		{RUNTIME_JAVA, "JAVA_TOOL_OPTIONS=-Dx=y -XX:MaxRAMPercentage=62.5|", "", "java|M|",
			0, 6250, RUNTIME_FROM_ENVIRONMENT},
		{RUNTIME_JAVA, "JAVA_TOOL_OPTIONS=-Xmx1g|", "", "java|-Xmx200M|M|", 200 * MIB, 0,
			RUNTIME_FROM_COMMAND_LINE},
		{RUNTIME_JAVA, "", "", "java|-Xmx200q|M|", 0, 0, RUNTIME_FROM_DEFAULT},
		{RUNTIME_JAVA, "", "", "java|-XX:MaxRAMPercentage=100.1|M|", 0, 0,
			RUNTIME_FROM_DEFAULT},
		{RUNTIME_NODE, "", "", "node|--max-old-space-size=200|x.js|", 200 * MIB, 0,
			RUNTIME_FROM_COMMAND_LINE},
		{RUNTIME_NODE, "", "", "node|--max_old_space_size=200|x.js|", 200 * MIB, 0,
			RUNTIME_FROM_COMMAND_LINE},
		{RUNTIME_NODE, "", "", "node|x.js|--max-old-space-size=200|", 0, 0,
			RUNTIME_FROM_DEFAULT}, /* the script's own */
		{RUNTIME_NODE, "NODE_OPTIONS= --inspect  --max-old-space-size=200|", "",
			"node|x.js|", 200 * MIB, 0, RUNTIME_FROM_ENVIRONMENT},
		{RUNTIME_NODE, "", "", "node|--max-old-space-size=99999999999999999999|x.js|", 0, 0,
			RUNTIME_FROM_DEFAULT},
		{RUNTIME_NODE, "", "", "node|--max-old-space-size=17592186044416|x.js|", 0, 0,
			RUNTIME_FROM_DEFAULT}, /* 2^64 bytes */
		{RUNTIME_GO, "GOMEMLIMIT=200MiB|", "", "", 200 * MIB, 0, RUNTIME_FROM_ENVIRONMENT},
		{RUNTIME_GO, "GOMEMLIMIT=209715200|", "", "", 200 * MIB, 0,
			RUNTIME_FROM_ENVIRONMENT},
		{RUNTIME_GO, "GOMEMLIMIT=off|", "", "", 0, 0, RUNTIME_FROM_DEFAULT},
		{RUNTIME_GO, "GOMEMLIMIT=200MB|", "", "", 0, 0, RUNTIME_FROM_DEFAULT},
		{RUNTIME_PYTHON, "DOTNET_GCHeapHardLimit=C800000|GOMEMLIMIT=1GiB|", "",
			"python3|-Xmx1g", 0, 0, RUNTIME_FROM_DEFAULT},
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct setting_case *c = &cases[i];
		struct runtime_facts f = {.kind = c->kind};

		runtime_take_environ(text, strings(c->environ, text), &f);
		runtime_take_settings(text, strings(c->json, text), &f);
		runtime_take_cmdline(text, strings(c->cmdline, text), &f);
		assert_int_equal(c->bytes, f.heap_bytes);
		assert_int_equal(c->bp, f.heap_bp);
		assert_int_equal(c->source, f.source);
	}
}

static void test_arguments(void **state)
{
	static const char line[] = "dotnet\0--roll-forward\0bin/app.dll\0x.dll";
	const char *found;
	size_t len;

	(void)state;
	assert_true(runtime_argument(line, sizeof(line) - 1, ".dll", 0, &found, &len));
	assert_memory_equal("bin/app.dll", found, len);
	assert_true(runtime_argument(line, sizeof(line) - 1, ".dll", 1, &found, &len));
	assert_int_equal(5, len);
	assert_false(runtime_argument(line, sizeof(line) - 1, ".dll", 2, &found, &len));
	assert_true(runtime_argument(line, sizeof(line) - 1, "", 0, &found, &len));
	assert_int_equal(6, len);
	assert_false(runtime_argument(line, 0, "", 0, &found, &len));
}

static void test_sections(void **state)
{
	static const char go[] = "\0.text\0.go.buildinfo\0.gopclntab";
	static const char other[] = "\0.text\0.data";
	static const char file[] = "\0.data\0_tlgEventPtrs_DotNETRuntime\0.bss";
	static const char ahead[] = "\0.text\0__managedcode\0.data";
	static const char longer[] = "\0.text\0x__managedcode\0__managedcode2";
	unsigned char header[64] = {0x7f, 'E', 'L', 'F', 2, 1};
	uint64_t offset;
	uint64_t bytes;

	(void)state;
	assert_int_equal(RUNTIME_GO, runtime_of_sections(go, sizeof(go)));
	assert_int_equal(RUNTIME_NONE, runtime_of_sections(other, sizeof(other)));
	assert_int_equal(RUNTIME_NONE, runtime_of_sections(go, 10));
	assert_int_equal(RUNTIME_DOTNET, runtime_of_sections(file, sizeof(file)));
	assert_int_equal(RUNTIME_DOTNET, runtime_of_sections(ahead, sizeof(ahead)));
	assert_int_equal(RUNTIME_NONE, runtime_of_sections(longer, sizeof(longer)));
	assert_false(runtime_elf_section(header, sizeof(header), &offset)); /* no sections */
	header[40] = 0x80;						    /* e_shoff */
	header[58] = 64;
	header[62] = 3;
	assert_true(runtime_elf_section(header, sizeof(header), &offset));
	assert_int_equal(0x80 + 3 * 64, offset);
	assert_false(runtime_elf_section(header, 63, &offset));
	memset(header + 40, 0xff, 8);
	assert_false(runtime_elf_section(header, sizeof(header), &offset));
	assert_false(runtime_elf_names(header, 63, &offset, &bytes));
	memset(header, 0, sizeof(header));
	assert_false(runtime_elf_names(header, 64, &offset, &bytes));
	header[24] = 9;
	header[32] = 7;
	assert_true(runtime_elf_names(header, 64, &offset, &bytes));
	assert_int_equal(9, offset);
	assert_int_equal(7, bytes);
}

static uint64_t committed(enum runtime_kind kind, uint64_t heap, const char *maps)
{
	struct runtime_range range = {.kind = kind, .heap_bytes = heap};

	while (*maps) {
		size_t len = strcspn(maps, "\n");
		struct maps_entry e;

		assert_true(maps_line(maps, len, &e));
		runtime_range_add(&range, &e);
		maps += len + (maps[len] == '\n');
	}
	runtime_range_end(&range);
	return range.committed_bytes;
}

static void test_committed(void **state)
{
	/* 1 MiB and 3 MiB of a row of 16 MiB; then a row that is too short, and a large empty one.
	 */
	static const char dotnet[] = "10000000-10100000 rw-p 00000000 00:00 0 \n"
				     "10100000-10c00000 ---p 00000000 00:00 0 \n"
				     "10c00000-10f00000 rw-p 00000000 00:00 0 \n"
				     "10f00000-11000000 ---p 00000000 00:00 0 \n"
				     "20000000-20800000 rw-p 00000000 00:00 0 \n"
				     "20800000-20900000 r-xp 00000000 00:00 0 \n"
				     "30000000-40000000 ---p 00000000 00:00 0 \n";
	/* Two stacks below that row, and one above it. */
	static const char stacks[] = "0effe000-0efff000 ---p 00000000 00:00 0 \n"
				     "0efff000-0f7ff000 rw-p 00000000 00:00 0 \n"
				     "0f7ff000-0f800000 ---p 00000000 00:00 0 \n"
				     "0f800000-10000000 rw-p 00000000 00:00 0 \n"
				     "10000000-10100000 rw-p 00000000 00:00 0 \n"
				     "10100000-11000000 ---p 00000000 00:00 0 \n"
				     "11000000-11001000 ---p 00000000 00:00 0 \n"
				     "11001000-11801000 rw-p 00000000 00:00 0 \n";
	/* The kernel has made one mapping of a stack and the heap above it: rather too much. */
	static const char merged[] = "0f7ff000-0f800000 ---p 00000000 00:00 0 \n"
				     "0f800000-10200000 rw-p 00000000 00:00 0 \n"
				     "10200000-11000000 ---p 00000000 00:00 0 \n";
	/* A page that was given back lies in the heap's middle. */
	static const char hole[] = "10000000-10100000 rw-p 00000000 00:00 0 \n"
				   "10100000-10101000 ---p 00000000 00:00 0 \n"
				   "10101000-10301000 rw-p 00000000 00:00 0 \n"
				   "10301000-11000000 ---p 00000000 00:00 0 \n";
	static const char node[] = "10000000-10100000 rw-p 00000000 00:00 0 \n"
				   "10140000-10180000 rw-p 00000000 00:00 0 \n"
				   "10181000-10281000 rw-p 00000000 00:00 0 \n"
				   "20000000-30000000 ---p 00000000 00:00 0 \n"
				   "30000000-30100000 rw-p 00000000 00:00 0          [heap]\n"
				   "40000000-40100000 rw-p 00000000 08:01 77         /x\n";

	(void)state;
	assert_int_equal(4 * MIB, committed(RUNTIME_DOTNET, 3 * MIB, dotnet));
	assert_int_equal(MIB, committed(RUNTIME_DOTNET, 3 * MIB, stacks));
	assert_int_equal(10 * MIB, committed(RUNTIME_DOTNET, 3 * MIB, merged));
	assert_int_equal(3 * MIB, committed(RUNTIME_DOTNET, 3 * MIB, hole));
	assert_int_equal(0, committed(RUNTIME_DOTNET, 300 * MIB, dotnet));
	assert_int_equal(0, committed(RUNTIME_DOTNET, UINT64_MAX / 2, dotnet));
	assert_int_equal(MIB + MIB / 4, committed(RUNTIME_NODE, MIB, node));
	assert_int_equal(0, committed(RUNTIME_JAVA, MIB, node));
}

/* --- hsperfdata ---------------------------------------------------------------------------- */

struct perf {
	unsigned char bytes[4096];
	size_t len;
	uint32_t entries;
	bool big;
};

static void put(struct perf *p, size_t at, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		p->bytes[at + i] = (unsigned char)(value >> 8 * (p->big ? bytes - 1 - i : i));
}

static void perf_begin(struct perf *p, bool big)
{
	static const unsigned char magic[] = {0xca, 0xfe, 0xc0, 0xc0};

	*p = (struct perf){.big = big, .len = 32};
	memcpy(p->bytes, magic, sizeof(magic));
	p->bytes[4] = big ? 0 : 1;
	p->bytes[5] = 2;
	p->bytes[7] = 1;
	put(p, 24, 32, 4);
}

static void perf_add(struct perf *p, const char *name, uint64_t value, const char *text)
{
	size_t name_len = strlen(name) + 1;
	size_t data = (20 + name_len + 7) / 8 * 8;
	size_t len = (data + (text ? strlen(text) + 1 : 8) + 7) / 8 * 8;

	put(p, p->len, len, 4);
	put(p, p->len + 4, 20, 4);
	put(p, p->len + 8, text ? strlen(text) + 1 : 0, 4);
	p->bytes[p->len + 12] = text ? 'B' : 'J';
	put(p, p->len + 16, data, 4);
	memcpy(p->bytes + p->len + 20, name, name_len);
	if (text)
		memcpy(p->bytes + p->len + data, text, strlen(text) + 1);
	else
		put(p, p->len + data, value, 8);
	p->len += len;
	put(p, 28, ++p->entries, 4);
}

static void perf_fill(struct perf *p, bool big, const char *collector)
{
	perf_begin(p, big);
	perf_add(p, "sun.gc.collector.0.name", 0, collector);
	perf_add(p, "sun.gc.generation.0.maxCapacity", 50 * MIB, NULL);
	perf_add(p, "sun.gc.generation.1.maxCapacity", 100 * MIB, NULL);
	perf_add(p, "sun.gc.generation.1.space.0.used", 70 * MIB, NULL);
	perf_add(p, "sun.gc.collector.1.invocations", 3, NULL);
}

static void test_counters(void **state)
{
	(void)state;
	for (int big = 0; big < 2; big++) {
		struct runtime_facts f = {.kind = RUNTIME_JAVA};
		struct perf p;

		perf_fill(&p, big, "Serial full collection pauses");
		assert_true(hsperf_take(p.bytes, p.len, &f));
		assert_int_equal(70 * MIB, f.old_used_bytes);
		assert_int_equal(100 * MIB, f.old_max_bytes);
		assert_int_equal(150 * MIB, f.heap_bytes);
		assert_int_equal(3, f.full_collections);
		assert_false(f.old_is_cleaned);
		assert_int_equal(RUNTIME_FROM_PERF_DATA, f.source);
		perf_fill(&p, big, "G1 full collection pauses");
		assert_true(hsperf_take(p.bytes, p.len, &f));
		assert_true(f.old_is_cleaned);
		assert_int_equal(100 * MIB, f.heap_bytes);
	}
}

/* A collection counts once it has ended; any collector may be the one that is at work. */
static void test_collecting(void **state)
{
	static const struct {
		const char *entry, *exit;
		uint64_t full;
	} rows[] = {
		{"sun.gc.collector.0.lastEntryTime", "sun.gc.collector.0.lastExitTime", 3},
		{"sun.gc.collector.1.lastEntryTime", "sun.gc.collector.1.lastExitTime", 2},
		{"sun.gc.collector.2.lastEntryTime", "sun.gc.collector.2.lastExitTime", 3},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct runtime_facts f = {.kind = RUNTIME_JAVA};
		struct perf p;

		perf_fill(&p, false, "Serial");
		perf_add(&p, rows[i].entry, 900, NULL);
		perf_add(&p, rows[i].exit, 800, NULL);
		assert_true(hsperf_take(p.bytes, p.len, &f));
		assert_true(f.collecting);
		assert_int_equal(rows[i].full, f.full_collections);
		perf_fill(&p, false, "Serial");
		perf_add(&p, rows[i].entry, 900, NULL);
		perf_add(&p, rows[i].exit, 900, NULL);
		assert_true(hsperf_take(p.bytes, p.len, &f));
		assert_false(f.collecting);
		assert_int_equal(3, f.full_collections);
	}
}

static void test_bad_counters(void **state)
{
	struct runtime_facts f = {.kind = RUNTIME_JAVA, .heap_bytes = 7};
	struct perf p;

	(void)state;
	for (size_t byte = 0; byte < 4; byte++) { /* magic */
		perf_fill(&p, false, "G1");
		p.bytes[byte] ^= 1;
		assert_false(hsperf_take(p.bytes, p.len, &f));
	}
	perf_fill(&p, false, "G1");
	p.bytes[5] = 1; /* an old format */
	assert_false(hsperf_take(p.bytes, p.len, &f));
	perf_fill(&p, false, "G1");
	p.bytes[7] = 0; /* the JVM still starts */
	assert_false(hsperf_take(p.bytes, p.len, &f));
	perf_fill(&p, false, "G1");
	put(&p, 24, UINT32_MAX, 4); /* entries beyond the end */
	assert_false(hsperf_take(p.bytes, p.len, &f));
	perf_fill(&p, false, "G1");
	put(&p, 32, 0, 4); /* an entry without length: no endless walk */
	assert_false(hsperf_take(p.bytes, p.len, &f));
	perf_begin(&p, false);
	perf_add(&p, "sun.gc.generation.1.space.0.used", 1, NULL);
	assert_false(hsperf_take(p.bytes, p.len, &f));
	assert_int_equal(7, f.heap_bytes);
	/* Cut anywhere: no more than what is there is read (the sanitizers watch). */
	perf_fill(&p, false, "G1");
	for (size_t len = 0; len < p.len; len++)
		(void)hsperf_take(p.bytes, len, &f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_sections),
		cmocka_unit_test(test_committed),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_collecting),
		cmocka_unit_test(test_bad_counters),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
