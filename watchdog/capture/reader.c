// SPDX-License-Identifier: Apache-2.0
/*
 * What the readers of managed runtimes need of files, beside memory: measured with each.
 *
 * Java, Node, Python and Go need nothing: jhsdb, gdb and dlv take code and constants from the same
 * files on disk, which NT_FILE and the build ids name, and what the process has changed is in the
 * core in any case. .NET's (ClrMD, SOS) take from the core: the first read-only mapping of
 * libcoreclr.so, where the table for debuggers is found (without it no reader opens the core), and
 * all of every assembly (*.dll) that is not machine code: names of types and fields. Assemblies
 * without machine code are mapped shared. With "single file" all of them, and libcoreclr.so, too,
 * where the program brings its own, are parts of the program's file: then ClrMD finds no assembly
 * on disk, and needs all that is mapped of that file, machine code too (without it a third of the
 * objects and half of the frames; without the shared mappings not the program's own types).
 *
 * .NET is known by libcoreclr.so, or by the memory object through which it writes its code. So
 * somebody else's *.dll (Wine's) stays out. Limits: a program that brings its own libcoreclr.so in
 * a single file and runs with DOTNET_EnableWriteXorExecute=0 has neither, and needs its file on
 * disk and a reader that takes it from there.
 */
#include "capture/reader.h"

#include <string.h>

static bool ends(const struct maps_entry *e, const char *suffix)
{
	size_t n = strlen(suffix);

	return e->name_len >= n && memcmp(e->name + e->name_len - n, suffix, n) == 0;
}

static bool is_whole(const struct maps_entry *e, const char *name)
{
	return e->name_len == strlen(name) && ends(e, name);
}

bool reader_is_dotnet(const struct maps_entry *e)
{
	return e->inode && (ends(e, "/libcoreclr.so") || is_whole(e, "/memfd:doublemapper"));
}

bool reader_wants(const struct maps_entry *e)
{
	return e->inode && !(e->prot & (MAPS_EXEC | MAPS_WRITE)) &&
		(ends(e, ".dll") || (ends(e, "/libcoreclr.so") && !e->offset_bytes));
}

bool reader_takes(const struct region *r, const struct region *program)
{
	if (r->prot & MAPS_WRITE || !(r->flags & REGION_HAS_FILE) || r->source == REGION_OBJECT)
		return false;
	return r->flags & REGION_READER ||
		(program && r->inode == program->inode && r->major == program->major &&
			r->minor == program->minor);
}
