// SPDX-License-Identifier: Apache-2.0
/*
 * From a process to the facts about its runtime.
 *
 * The mappings tell which runtime it is (a library or a program of a known name); where there are
 * none of them, the sections of the program's own file do (Go; .NET as a single file or compiled
 * ahead of time). Then its environment and its command line are read, for .NET the
 * .runtimeconfig.json beside the application, for a JVM the file of counters that it has mapped.
 * Files are opened by the path that the process itself sees, inside its root (inroot_open()) and
 * only where no other program serves the file system, and counters only if they are the very file
 * that is mapped.
 *
 * Everything read here is the target's own word; see parse/runtime.c for what that can do.
 *
 * Refuses: to write, to trace, to ask the process anything. Limits: the environment as it was at
 * execve(), cut at RUNTIME_SCRATCH_BYTES; of a command line the same; settings files above that
 * size are read in part. Reading maps takes the process's mmap lock for some tens of microseconds a
 * page.
 */
#include "os/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "os/fd.h"
#include "os/inroot.h"
#include "os/lines.h"
#include "os/proc.h"
#include "parse/hsperf.h"
#include "parse/maps.h"
#include "parse/runtime.h"

#define PATH_BYTES 4096
#define NAMES_BYTES 8192 /* of an ELF file's sections; Go's .shstrtab has some 200 */

/* The mapping of a JVM's counters. */
struct counters_file {
	char path[PATH_BYTES];
	uint64_t inode;
	uint32_t major;
	uint32_t minor;
};

static void note_counters(const struct maps_entry *e, struct counters_file *ret)
{
	static const char mark[] = "/hsperfdata_";

	if (!(e->prot & MAPS_SHARED) || e->deleted ||
		!memmem(e->name, e->name_len, mark, sizeof(mark) - 1))
		return;
	(void)maps_name(e->name, e->name_len, ret->path, sizeof(ret->path));
	ret->inode = e->inode;
	ret->major = e->major;
	ret->minor = e->minor;
}

/* Runtimes by name, the more telling first: a JVM may have Python mapped, and so on. */
static int read_mappings(int dir, struct runtime_scratch *scratch, struct counters_file *counters,
	enum runtime_kind *ret)
{
	_cleanup_close_ int fd = -1;
	struct lines lines;
	const char *line;
	size_t len;
	int r = proc_open_file(dir, "maps", &fd);

	if (r != 0)
		return r;
	*ret = RUNTIME_NONE;
	lines_init(&lines, fd, scratch->text, sizeof(scratch->text));
	while (lines_next(&lines, &line, &len)) {
		enum runtime_kind kind;
		struct maps_entry e;

		if (!maps_line(line, len, &e) || !e.inode)
			continue;
		note_counters(&e, counters);
		kind = runtime_of_mapping(e.name, e.name_len);
		if (kind != RUNTIME_NONE && (*ret == RUNTIME_NONE || kind < *ret))
			*ret = kind;
	}
	return lines.error;
}

static enum runtime_kind runtime_of_program(int dir, struct runtime_scratch *scratch)
{
	_cleanup_close_ int fd = -1;
	unsigned char header[64];
	uint64_t offset;
	uint64_t bytes;
	ssize_t n;

	if (inroot_open_program(dir, &fd) != 0)
		return RUNTIME_NONE;
	n = pread(fd, header, sizeof(header), 0);
	if (n < 0 || !runtime_elf_section(header, (size_t)n, &offset))
		return RUNTIME_NONE;
	n = pread(fd, header, sizeof(header), (off_t)offset);
	if (n < 0 || !runtime_elf_names(header, (size_t)n, &offset, &bytes))
		return RUNTIME_NONE;
	n = pread(fd, scratch->text, (size_t)min_u64(bytes, NAMES_BYTES), (off_t)offset);
	return n > 0 ? runtime_of_sections(scratch->text, (size_t)n) : RUNTIME_NONE;
}

/* --- .NET's settings ----------------------------------------------------------------------- */

/* A link of /proc as text; the target's own view for a process in another root. */
static bool read_link(int dir, const char *name, struct str *s)
{
	char path[PATH_BYTES];
	ssize_t n = readlinkat(dir, name, path, sizeof(path) - 1);

	if (n <= 0)
		return false;
	path[n] = '\0';
	return str_add(s, path);
}

/*
 * The settings lie beside the application: APP.dll as the first argument of that name (relative to
 * the working directory), or the program itself where that is not the dotnet command.
 */
static bool settings_path(int dir, const struct runtime_scratch *cmdline, size_t len, struct str *s)
{
	const char *dll;
	size_t dll_len;

	if (runtime_argument(cmdline->text, len, ".dll", 0, &dll, &dll_len)) {
		if (dll[0] != '/' && (!read_link(dir, "cwd", s) || !str_add_char(s, '/')))
			return false;
		return str_addf(s, "%.*s.runtimeconfig.json", (int)(dll_len - 4), dll);
	}
	return read_link(dir, "exe", s) && str_add(s, ".runtimeconfig.json");
}

static void take_settings(
	int dir, struct runtime_scratch *scratch, size_t cmdline_len, struct runtime_facts *facts)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_BYTES];
	struct str s;
	ssize_t n;

	str_init(&s, path, sizeof(path));
	if (!settings_path(dir, scratch, cmdline_len, &s) || inroot_open(dir, path, &fd) != 0)
		return;
	n = fd_read_text(fd, scratch->text, sizeof(scratch->text));
	if (n > 0)
		runtime_take_settings(scratch->text, (size_t)n, facts);
}

/* --- a JVM's counters ---------------------------------------------------------------------- */

static void open_counters(int dir, const struct counters_file *file, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (!file->inode || inroot_open(dir, file->path, &fd) != 0)
		return;
	if (fstat(fd, &st) == 0 && st.st_ino == file->inode && major(st.st_dev) == file->major &&
		minor(st.st_dev) == file->minor)
		*ret_fd = take_fd(&fd);
}

int runtime_read_counters(
	int counters_fd, struct runtime_scratch *scratch, struct runtime_facts *facts)
{
	uint64_t full = facts->full_collections;
	ssize_t n = fd_read_text(counters_fd, scratch->text, HSPERF_BYTES_MAX);

	if (n < 0 || !hsperf_take(scratch->text, (size_t)n, facts))
		return PROC_BAD;
	if (facts->full_collections != full || facts->full_collections == facts->live_collections)
		return 0; /* it ended just now: what it left is counted a moment later */
	facts->live_collections = facts->full_collections;
	facts->old_live_bytes = facts->old_used_bytes;
	return 0;
}

/* --- all of it ----------------------------------------------------------------------------- */

static uint64_t machine_bytes(void)
{
	struct sysinfo info;

	return sysinfo(&info) == 0 ? (uint64_t)info.totalram * info.mem_unit : 0;
}

static void take_texts(int dir, struct runtime_scratch *scratch, struct runtime_facts *facts)
{
	size_t len = 0;

	if (proc_read(dir, "environ", scratch->text, sizeof(scratch->text), &len) == 0)
		runtime_take_environ(scratch->text, len, facts);
	if (proc_read(dir, "cmdline", scratch->text, sizeof(scratch->text), &len) != 0)
		return;
	runtime_take_cmdline(scratch->text, len, facts);
	if (facts->kind == RUNTIME_DOTNET)
		take_settings(dir, scratch, len, facts);
}

int runtime_identify(
	pid_t pid, struct runtime_scratch *scratch, struct runtime_facts *ret, int *ret_counters_fd)
{
	struct runtime_facts facts = {.pid = pid};
	struct counters_file counters = {0};
	_cleanup_close_ int counters_fd = -1;
	_cleanup_close_ int dir = -1;
	int r = proc_open(pid, &dir);

	if (r == 0)
		r = read_mappings(dir, scratch, &counters, &facts.kind);
	if (r != 0)
		return r;
	if (facts.kind == RUNTIME_NONE)
		facts.kind = runtime_of_program(dir, scratch);
	facts.machine_bytes = machine_bytes();
	if (facts.kind != RUNTIME_NONE)
		take_texts(dir, scratch, &facts);
	if (facts.kind == RUNTIME_JAVA)
		open_counters(dir, &counters, &counters_fd);
	if (counters_fd >= 0)
		(void)runtime_read_counters(counters_fd, scratch, &facts); /* else by the flags */
	/* What the old generation took in since its last full collection is not known to be live.
	 */
	facts.live_collections = facts.full_collections;
	*ret = facts;
	*ret_counters_fd = take_fd(&counters_fd);
	return 0;
}

int runtime_read_committed(
	uint64_t heap_bytes, struct runtime_scratch *scratch, struct runtime_facts *facts)
{
	struct runtime_range range = {.kind = facts->kind, .heap_bytes = heap_bytes};
	_cleanup_close_ int dir = -1;
	_cleanup_close_ int fd = -1;
	struct lines lines;
	const char *line;
	size_t len;
	int r = proc_open(facts->pid, &dir);

	if (r == 0)
		r = proc_open_file(dir, "maps", &fd);
	if (r != 0)
		return r;
	lines_init(&lines, fd, scratch->text, sizeof(scratch->text));
	while (lines_next(&lines, &line, &len)) {
		struct maps_entry e;

		if (maps_line(line, len, &e))
			runtime_range_add(&range, &e);
	}
	runtime_range_end(&range);
	facts->committed_bytes = range.committed_bytes;
	return lines.error;
}
