/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One capture: stop every thread of a process by ptrace, write its core and the /proc files beside
 * it into a bundle, let go again. The caller decides when, and holds or releases the target by its
 * own means (cgroup freeze, SIGSTOP); nothing here signals, freezes or thaws.
 *
 * Life of a capture:
 *  - capture_new(), at start: all memory is allocated, what is usual touched and (by the caller)
 *    locked;
 *  - capture_set_directory() or capture_set_output(), once: opens and checks the place; at the
 *    latest in the callback of CAPTURE_SEIZED;
 *  - capture_run(): seize, registers, maps, plan, headers, pages, COPIED, detach, fdatasync;
 *  - capture_finish(): fsync, rename .partial -> final, fsync of the directory.
 *
 * Within capture_run() nothing is allocated, forked or exec'd.
 */
#ifndef OOMSNAP_CAPTURE_CAPTURE_H
#define OOMSNAP_CAPTURE_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/types.h"

#define CAPTURE_PATH_MAX 1024

enum capture_status {
	CAPTURE_OK,	   /* complete */
	CAPTURE_PARTIAL,   /* opens, and says what is missing */
	CAPTURE_GONE,	   /* the process ended before there was anything to write */
	CAPTURE_DENIED,	   /* no permission to trace or read it */
	CAPTURE_BUSY,	   /* somebody else traces it */
	CAPTURE_NO_SPACE,  /* not even headers, notes and stacks fit */
	CAPTURE_BAD_PLACE, /* directory or path refused: symlink, device, exists, memory-backed */
	CAPTURE_FAILED,	   /* unforeseen; error holds the errno */
	CAPTURE_STATUS_COUNT
};
const char *capture_status_name(enum capture_status status);

/* Why a capture is partial: a set of bits. */
enum capture_missing {
	CAPTURE_MISSING_DEADLINE = 1 << 0,
	CAPTURE_MISSING_SPACE = 1 << 1,	   /* ENOSPC, max_use, keep_free */
	CAPTURE_MISSING_IO = 1 << 2,	   /* EIO while writing */
	CAPTURE_MISSING_READ = 1 << 3,	   /* pages that could not be read */
	CAPTURE_MISSING_THREADS = 1 << 4,  /* threads without registers */
	CAPTURE_MISSING_MAPPINGS = 1 << 5, /* more mappings than our fixed table holds */
	CAPTURE_MISSING_EXITED = 1 << 6,   /* the process ended meanwhile */
	CAPTURE_MISSING_SHARED = 1 << 7,   /* unmapped pages of shared memory: no right to look */
	CAPTURE_MISSING_SWAP = 1 << 8,	   /* swapped pages left out */
};

struct capture_request {
	char target[TARGET_NAME_MAX]; /* first part of the bundle's name */
	pid_t pid;
	uint64_t start_time;	   /* field 22 of /proc/PID/stat, 0: do not compare */
	uint64_t deadline_ns;	   /* CLOCK_MONOTONIC; 0: none */
	uint64_t seize_timeout_ns; /* for every thread to stand still; then on without it. 0: 2 s */
	uint64_t max_bytes;	   /* with what is set aside; SIZE_UNLIMITED: no bound */
	uint64_t keep_free_bytes;  /* of the file system */
	uint32_t keep;		   /* finished bundles of this target that stay; 0: all */
	int32_t signal; /* that the core claims as its cause; 9 by convention, 0 allowed */
	enum capture_kind kind;
	enum compression compress;
	enum swap_mode swap;
	bool all_pages; /* MADV_DONTDUMP regions too */
	bool set_aside; /* capture_set_aside() follows: its data need not be durable before */
};

struct capture_result {
	enum capture_status status;
	uint32_t missing; /* enum capture_missing bits */
	int32_t error;	  /* negative errno of what failed, 0 */
	pid_t pid;
	pid_t pid_in_namespace;
	uint32_t uid;
	uint32_t gid;
	char comm[16];
	uint32_t threads;
	uint32_t threads_without_registers;
	uint32_t mappings;
	uint32_t mappings_written;
	uint64_t begin_ns;	 /* capture_run() entered */
	uint64_t seized_ns;	 /* every thread in a ptrace stop */
	uint64_t copied_ns;	 /* last page read */
	uint64_t detached_ns;	 /* let go */
	uint64_t durable_ns;	 /* fdatasync returned */
	uint64_t memory_bytes;	 /* of target memory in the core */
	uint64_t file_bytes;	 /* size on disk (blocks), core only */
	uint64_t core_bytes;	 /* length of the core, unpacked */
	uint64_t zero_bytes;	 /* present pages that were zero and became holes */
	uint64_t skipped_bytes;	 /* wanted and not written */
	uint64_t dontdump_bytes; /* left out as the program asked */
	uint64_t swap_bytes;
	uint64_t cache_bytes;	/* of page cache that the core was allowed to take meanwhile */
	uint64_t freerun_bytes; /* of it, before the kernel holds writers back */
	bool own_cgroup;	/* the target's limit bears what we need: we run in its cgroup */
	char path[CAPTURE_PATH_MAX]; /* of the bundle directory, or the core for
					capture_set_output() */
	char core_path[CAPTURE_PATH_MAX];
};

struct capture; /* opaque; owned by the caller of capture_new() */

struct capture_limits {
	uint32_t max_threads; /* further ones are counted, not written */
	uint32_t max_mappings;
	uint32_t copy_threads; /* 1..4 workers, created now */
	uint32_t buffer_bytes; /* one of a worker's */
	/* For so many all memory is touched now, so that a capture needs none; beyond, the tables
	 * take it as they fill. */
	uint32_t touch_threads;
	uint32_t touch_mappings;
};
/* 32,768 threads, 131,072 mappings, 2 workers, touched for 2,048 and 8,192; the memory that this
 * takes is stated in capture.c. */
extern const struct capture_limits capture_limits_default;

/*
 * Called from capture_run() at the points where the caller may act. SEIZING: who holds the process
 * is to answer now (with capture_set_handover() only). SEIZED: every thread stands in a ptrace
 * stop. COPIED: nothing more will be read, ptrace still holds. DETACHED: ptrace let go (a
 * SIGSTOP or freeze of the caller's is still in force). PROGRESS: now and then, with result's byte
 * counts up to date. The callback must not block, but for that of COPIED, which may wait for what
 * is to become of the process; returning false ends the copy (as a deadline does).
 */
enum capture_moment {
	CAPTURE_SEIZING,
	CAPTURE_SEIZED,
	CAPTURE_COPIED,
	CAPTURE_DETACHED,
	CAPTURE_PROGRESS
};
typedef bool capture_callback(
	void *user, enum capture_moment moment, const struct capture_result *result);

/*
 * Allocates everything that captures will need, starts the copy workers (parked), and touches as
 * much memory as limits says. The calling thread, which is to call capture_run(), and the
 * workers get the nice value -20 where they may and nobody has chosen one. 0, or -ENOMEM, -EAGAIN.
 * capture_free() accepts NULL.
 */
int capture_new(const struct capture_limits *limits, struct capture **ret);
void capture_free(struct capture *c);

/*
 * Opens the bundle's parent directory: created 0700 if missing (its parent must exist), refused if
 * any component that we would create in is a symlink, if it is not ours or is writable by others,
 * or if it is backed by memory (tmpfs, ramfs), unless allow_memory. 0 or a positive
 * enum capture_status (CAPTURE_BAD_PLACE, CAPTURE_DENIED) with one sentence in why[why_size].
 */
int capture_set_directory(
	struct capture *c, const char *path, bool allow_memory, char *why, size_t why_size);

/*
 * Whether capture_set_directory() and a capture in that directory would succeed now, by the same
 * rules and in the same words. Leaves nothing behind: what is written to try it has no name
 * (O_TMPFILE, open(2)), or where the file system knows no such files one that is removed again, and
 * so is a directory that was missing unless make says that it is to stay. 0 or CAPTURE_BAD_PLACE,
 * CAPTURE_DENIED, CAPTURE_NO_SPACE with one sentence in why[why_size]. May wait for the file
 * system: not while a target is held.
 */
int capture_try_directory(
	const char *path, bool allow_memory, bool make, char *why, size_t why_size);

/*
 * For `dump -o PATH`: the core alone, at PATH, which must not exist; its directory must, and is
 * refused if it is backed by memory, unless allow_memory. Written under a temporary name with
 * O_EXCL beside it and linked into place at the end. Returns as capture_set_directory() does.
 */
int capture_set_output(
	struct capture *c, const char *path, bool allow_memory, char *why, size_t why_size);

/*
 * Who is to be captured is held by another of our processes, by ptrace. From the callback of
 * CAPTURE_SEIZING on that one answers through handover (os/handover.h): it goes on to hold it, and
 * has put the threads' registers into registers (os/registers.h), or it is taken over thread by
 * thread. In the first case the caller tells whether the hold has ended meanwhile: by false from
 * the callback of CAPTURE_PROGRESS, which is asked once more when all is copied. NULL and NULL, as
 * at the start: nobody holds it. Both stay the caller's.
 */
struct handover;
struct registers;
void capture_set_handover(
	struct capture *c, struct handover *handover, const struct registers *registers);

/*
 * For the callback of CAPTURE_COPIED: the process is killed while it is still held, instead of let
 * go. It needs the right to trace alone, and nothing of it runs in between. Not before the verdict
 * is known to be that: from the return of the callback on the process ends with us.
 */
void capture_end_process(struct capture *c);

/*
 * The whole of a capture up to durable data; see the top. Returns 0 with *ret filled whenever there
 * is something on disk (ret->status CAPTURE_OK or CAPTURE_PARTIAL), else the positive status, with
 * nothing left on disk; one sentence in why[why_size] in both failing and partial cases. On every
 * return ptrace has let go of every thread that it held. callback may be NULL.
 */
int capture_run(struct capture *c, const struct capture_request *request,
	capture_callback *callback, void *user, struct capture_result *ret, char *why,
	size_t why_size);

/*
 * Several processes that stand still at once are captured without a wait for the disk in between:
 * the capture whose capture_run(), with request.set_aside, has just returned 0 is set aside under
 * its .partial name, and the next may run. 0; -ENOSPC where CAPTURE_ASIDE_MAX are aside; -ENOENT
 * where there is none, or it is no bundle.
 */
#define CAPTURE_ASIDE_MAX 64U
int capture_set_aside(struct capture *c);

/*
 * The first of those that are aside is the one that was run last again: its data is made durable
 * (fdatasync(2)), and capture_finish() may follow. *ret, *ret_request and why as they would have
 * been for capture_run(). The directory must not have been set to another one meanwhile. 0, or
 * -ENOENT: none is aside.
 */
int capture_take_up(struct capture *c, struct capture_request *ret_request,
	struct capture_result *ret, char *why, size_t why_size);

/* How many are aside. */
uint32_t capture_aside(const struct capture *c);

/*
 * The descriptor of the bundle's directory (still .partial) after capture_run() returned 0, for the
 * reports that the caller writes beside the core; -1 after capture_set_output(). Owned by c.
 */
int capture_bundle_fd(const struct capture *c);

/*
 * Writes the file name with len bytes into the bundle of the running or finished capture_run(), for
 * what the caller knows about the target at the hold (cgroup files). Allocates nothing. A no-op
 * after capture_set_output(). 0 or -errno (-EEXIST for a name that is there).
 */
int capture_add_file(struct capture *c, const char *name, const void *bytes, size_t len);

/*
 * fsyncs every file of the bundle, renames .partial to the final name and fsyncs the directory.
 * On success ret->path and ret->core_path hold the final names. 0, or -errno with the bundle left
 * under its .partial name (which ret->path then holds).
 */
int capture_finish(struct capture *c, struct capture_result *ret);

/*
 * Clears up in the directory of capture_set_directory(): deletes the oldest finished bundles of
 * target until at most keep are left (0: no bound) and all bundles there together take at most
 * max_use_bytes, but never its newest, spare of them (those of one incident), at least one; and
 * what dead writers left of it, once there is a newer finished bundle. Only names of our own
 * pattern, no symbolic link followed. Allocates: never while a target is held. 0 or the first
 * -errno met, having gone on with the rest; 0 in output mode.
 */
int capture_clear_up(struct capture *c, const char *target, uint32_t spare, uint32_t keep,
	uint64_t max_use_bytes);

/* Removes what capture_run() left (the caller decided against it). Idempotent. */
void capture_discard(struct capture *c);

#endif
