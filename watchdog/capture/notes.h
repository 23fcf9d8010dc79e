/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The notes of a core, as bytes. Pure but for the sink's flush, which the caller brings.
 */
#ifndef OOMSNAP_CAPTURE_NOTES_H
#define OOMSNAP_CAPTURE_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/procfs.h>

/*
 * Where notes go: into buffer, which is handed to flush when it is full. Without a buffer (NULL)
 * bytes are only counted. After an error everything is swallowed, and error stays.
 */
struct note_sink {
	unsigned char *buffer;
	size_t size;
	size_t len;
	uint64_t total;						 /* bytes put so far */
	int (*flush)(void *user, const void *bytes, size_t len); /* 0 or -errno */
	void *user;
	int error;
};

void note_sink_init(struct note_sink *sink, void *buffer, size_t size,
	int (*flush)(void *user, const void *bytes, size_t len), void *user);

/* Appends bytes; note_flush() hands over what is left and returns the error, or 0. */
void note_put(struct note_sink *sink, const void *bytes, size_t len);
int note_flush(struct note_sink *sink);

/* A whole note: header, owner, desc, padding to 4 bytes. desc NULL: zeros. */
void note_write(
	struct note_sink *sink, const char *owner, uint32_t type, const void *desc, size_t len);

/* The same in pieces, for a desc that is put bit by bit: begin, note_put()s of len bytes, end. */
void note_begin(struct note_sink *sink, const char *owner, uint32_t type, size_t len);
void note_end(struct note_sink *sink, size_t len);

/* What a core says of its process; numbers as seen inside the innermost pid namespace. */
struct note_process {
	int32_t pid;
	int32_t ppid;
	int32_t pgrp;
	int32_t sid;
	uint32_t uid;
	uint32_t gid;
	uint64_t flags;
	int32_t nice;
	int32_t signal; /* that the core claims as its cause */
	char state;
	char comm[16];
	char args[80]; /* of the command line, blanks between */
};

struct note_thread {
	int32_t tid;
	uint64_t blocked; /* signals: bit N-1 is signal N */
	const elf_gregset_t *regs;
	bool has_fp; /* a floating point note follows */
};

void note_prstatus(struct note_sink *sink, const struct note_process *process,
	const struct note_thread *thread);
void note_prpsinfo(struct note_sink *sink, const struct note_process *process);
void note_siginfo(struct note_sink *sink, const struct note_process *process);

/* NT_FILE in three steps; names_bytes with their terminators. */
size_t note_file_bytes(uint64_t count, uint64_t names_bytes);
void note_file_begin(
	struct note_sink *sink, uint64_t count, uint64_t names_bytes, uint64_t page_bytes);
void note_file_entry(struct note_sink *sink, uint64_t start, uint64_t end, uint64_t offset_bytes,
	uint64_t page_bytes);

/*
 * Our own note: what this core holds and what is missing from it. It says "incomplete" from the
 * first moment and is patched when the copy has ended. Fixed width, little endian; a reader goes by
 * version and takes no more than desc_len says.
 */
#define CORE_NOTE_OWNER "oomsnap"
#define CORE_NOTE_TYPE 0x4f4f4d31U /* not one that another reader gives a meaning to */
#define CORE_NOTE_VERSION 1U

struct core_note {
	uint32_t version;
	uint32_t complete; /* 1: nothing that was wanted is missing */
	uint32_t missing;  /* enum capture_missing bits */
	uint32_t kind;	   /* enum capture_kind */
	uint32_t threads;
	uint32_t threads_without_registers;
	uint32_t mappings;
	uint32_t mappings_written;
	uint64_t memory_bytes; /* the counts of struct capture_result */
	uint64_t zero_bytes;
	uint64_t skipped_bytes;
	uint64_t dontdump_bytes;
	uint64_t swap_bytes;
	uint64_t core_bytes;
	uint64_t begin_ns; /* CLOCK_MONOTONIC of the host */
	uint64_t seized_ns;
	uint64_t copied_ns;   /* 0: not yet */
	uint64_t realtime_ns; /* CLOCK_REALTIME at begin_ns */
	int32_t pid;	      /* in the host's namespace */
	int32_t signal;
	char writer[24]; /* "oomsnap 0.1.0" */
};
_Static_assert(sizeof(struct core_note) == 144, "core_note is part of the file format");

#endif
