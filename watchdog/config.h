/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration: what the ini file, its drop-ins and the command line ask for, as one value
 * that never changes once it is loaded. Reloading makes a second one; the caller swaps the two.
 *
 *     struct config_options options = {.path = argument_of_c};      filled while argv is read
 *     config_add_selector(&options, SELECTOR_CGROUP, optarg, &error);
 *     config_add_override(&options, optarg, &error);                --set trip=80%
 *     config_load(&options, &config, &error);                       at start, and on every SIGHUP
 */
#ifndef OOMSNAP_CONFIG_H
#define OOMSNAP_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/types.h"

#define CONFIG_PATH "/etc/oomsnap/oomsnap.ini" /* drop-ins: this path + ".d", *.ini, sorted */

#define CONFIG_TARGETS_MAX 64
#define CONFIG_OVERRIDES_MAX 64
#define CONFIG_FILES_MAX 64	     /* the file itself and its drop-ins */
#define CONFIG_FILE_BYTES_MAX 262144 /* of one file */
#define CONFIG_DIRECTORY_MAX 512     /* leaves room for a bundle's own name in CAPTURE_PATH_MAX */
#define CONFIG_COMMAND_MAX 1024	     /* on_arm, on_capture: a shell command line */
#define CONFIG_VALUE_MAX 1024	     /* the longest value of any key, terminator included */
#define CONFIG_PLACE_MAX 512	     /* "FILE:LINE" or the option, for messages */
#define CONFIG_ERROR_MAX 2048

enum config_status {
	CONFIG_OK,
	CONFIG_BAD,	   /* a mistake in a file or an option; exit code 2 */
	CONFIG_MISSING,	   /* no such file; exit code 2 */
	CONFIG_UNREADABLE, /* no permission to read it; exit code 4 */
	CONFIG_STATUS_COUNT
};

/* One sentence (or two) for the user: what is wrong, where, and how to mend it. */
struct config_error {
	char text[CONFIG_ERROR_MAX];
};

#define SELECTOR_KINDS(X)                                                                       \
	X(CGROUP, "cgroup")	/* value: absolute path of a cgroup directory */                \
	X(UNIT, "unit")		/* value: name of a systemd unit, with its suffix */            \
	X(PID, "pid")		/* value: decimal, and pid: the process's own cgroup */         \
	X(PROCESS, "process")	/* value: a process's name */                                   \
	X(SIBLINGS, "siblings") /* value "": every other container of this pod */               \
	X(KUBEPODS, "kubepods") /* value: where the node's / is seen, "" for our own: every pod \
				  of the node that opted in */
#define X(id, name) SELECTOR_##id,
enum selector_kind { SELECTOR_KINDS(X) SELECTOR_COUNT };
#undef X

struct selector {
	enum selector_kind kind;
	pid_t pid; /* SELECTOR_PID, else 0 */
	char value[TARGET_PATH_MAX];
};

/* A command line for /bin/sh -c; text is empty where none is wanted. */
struct config_command {
	char text[CONFIG_COMMAND_MAX];
	uint64_t timeout_ns;
};

struct config_target {
	char name[TARGET_NAME_MAX];   /* unique; letters, digits and . _ @ - */
	char place[CONFIG_PLACE_MAX]; /* where it was asked for: "FILE:LINE", "--unit" */
	struct selector selector;     /* of a target; meaningless in config.defaults */
	struct policy policy;
	char directory[CONFIG_DIRECTORY_MAX];
	struct config_command on_arm;
	struct config_command on_capture;
};

struct config {
	char path[CONFIG_PLACE_MAX];   /* of the main file; "" where none was read */
	uint32_t file_count;	       /* files read, drop-ins included */
	struct config_target defaults; /* name "defaults" */
	uint32_t target_count;	       /* at least 1 */
	struct config_target targets[CONFIG_TARGETS_MAX]; /* files first, then the command line */
};

/* What the command line says. The strings are borrowed (from argv) and must outlive it. */
struct config_options {
	const char *path; /* -c FILE; NULL: CONFIG_PATH, or no file at all if there are selectors */
	uint32_t override_count;
	const char *overrides[CONFIG_OVERRIDES_MAX];
	uint32_t selector_count;
	struct {
		enum selector_kind kind;
		const char *value; /* "" for siblings and kubepods */
	} selectors[CONFIG_TARGETS_MAX];
};

/*
 * Adds --set KEY=VALUE, which counts as the last line of [defaults]: it wins over every file's
 * [defaults] and loses against a key of the target's own section. CONFIG_OK, or CONFIG_BAD with
 * *err naming the option (unknown key, bad value, too many).
 */
enum config_status config_add_override(
	struct config_options *options, const char *assignment, struct config_error *err);

/*
 * Adds a target that has no section of its own: --cgroup DIR and its like. value is NULL or "" for
 * SELECTOR_SIBLINGS and SELECTOR_KUBEPODS. The target's name is made from the value.
 * CONFIG_OK, or CONFIG_BAD with *err naming the option.
 */
enum config_status config_add_selector(struct config_options *options, enum selector_kind kind,
	const char *value, struct config_error *err);

/*
 * Reads files and options into a new *ret, which the caller owns and frees with config_free().
 * Allocates; not for use between trip and release. Blocks on the file system only, and never on a
 * FIFO: what is not a regular file is refused, as is one that is writable by everybody or that
 * belongs to neither root nor the caller, since its commands run with our rights.
 * 0; or a positive enum config_status with *err filled; or -ENOMEM.
 */
int config_load(
	const struct config_options *options, struct config **ret, struct config_error *err);

/* As config_load() for text in memory that counts as the file `name` (tests, fuzzing). */
int config_load_text(const char *name, const char *text, size_t len,
	const struct config_options *options, struct config **ret, struct config_error *err);

void config_free(struct config *config); /* accepts NULL */

static inline void cleanup_config_free(struct config **config)
{
	config_free(*config);
}
#define _cleanup_config_free_ __attribute__((cleanup(cleanup_config_free)))

/* "cgroup", "unit", ...; "?" out of range. */
const char *selector_kind_name(enum selector_kind kind);

/*
 * The n-th key that a section may hold (selectors first), its default as the ini file would say it
 * and one line about it; false beyond the last. For help texts and tests.
 */
bool config_key(uint32_t n, const char **ret_name, const char **ret_default);

#endif
