// SPDX-License-Identifier: Apache-2.0
/*
 * A capture as systemd-coredump would have told it.
 *
 * coredumpctl looks for entries with one MESSAGE_ID and reads COREDUMP_* fields from them; who sent
 * them does not matter to it, nor where COREDUMP_FILENAME points. PID, UID, GID, SIGNAL and COMM
 * are mandatory: without UID or SIGNAL `coredumpctl list` of systemd 252 ends on an assertion for
 * every user of the machine, and newer ones ignore the entry. So these five are always there, and
 * the signal is never 0, which 252 prints as SIG-34; a core whose request named none is told as
 * SIGKILL, which is what the kernel was about to send.
 *
 * SYSLOG_IDENTIFIER says oomsnap, since that is who speaks, and OOMSNAP_TARGET names the target, so
 * the record can be told from a crash. A partial core is told as COREDUMP_TRUNCATED.
 *
 * Left out on purpose: the environment, which holds secrets, and open descriptors. The names that
 * the target chose are made safe; the texts of /proc are sent as they are, as systemd does, and no
 * reader of ours prints them.
 *
 * Limits: the record may be refused for now by a journal that does not keep up; the bundle on disk
 * is complete without it.
 */
#include "event_coredump.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"
#include "journal.h"

#define COREDUMP_MESSAGE_ID "fc2e22bc6ee647b6b90729ab34a250b1" /* SD_MESSAGE_COREDUMP */
#define TEXTS_MAX 16384 /* of all values that are made here */

struct record {
	struct journal_field fields[JOURNAL_FIELDS_MAX];
	size_t count;
	struct str text;
	char memory[TEXTS_MAX];
};

static void add_bytes(struct record *r, const char *name, const char *data, size_t len)
{
	r->fields[r->count++] = (struct journal_field){name, data, len};
}

static void add_text(struct record *r, const char *name, const char *value)
{
	size_t at = r->text.len;

	if (!value || !*value)
		return;
	(void)str_add_safe(&r->text, value, strlen(value)); /* a cut value is still a value */
	add_bytes(r, name, r->text.text + at, r->text.len - at);
}

static void add_u64(struct record *r, const char *name, uint64_t value)
{
	size_t at = r->text.len;

	(void)str_add_u64(&r->text, value); /* the numbers come first: there is room */
	add_bytes(r, name, r->text.text + at, r->text.len - at);
}

static void add_proc(struct record *r, const char *name, struct event_coredump_text text)
{
	if (text.data && text.len)
		add_bytes(r, name, text.data, text.len);
}

static void add_message(struct record *r, const struct event_coredump *facts)
{
	const struct capture_result *result = facts->result;
	char memory[512];
	struct str s;

	str_init(&s, memory, sizeof(memory));
	(void)str_addf(&s,
		"Process %d (%.16s) of user %" PRIu32
		" was captured by oomsnap before it ran out of memory%s. Target %s, bundle %.200s",
		(int)result->pid, result->comm, result->uid,
		result->status == CAPTURE_PARTIAL ? "; the core is partial" : "",
		facts->target ? facts->target : "-", result->path); /* a cut shortens a path */
	add_text(r, "MESSAGE", memory);
}

static uint64_t now_us(void)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with this clock */
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int event_coredump(const struct event_coredump *facts, const char *journal_socket)
{
	const struct capture_result *result = facts->result;
	struct journal journal = JOURNAL_CLOSED;
	uint64_t signal = facts->signal > 0 ? (uint64_t)facts->signal : SIGKILL;
	const char *abbreviation = sigabbrev_np((int)signal);
	char signal_name[16] = "SIG";
	char host[HOST_NAME_MAX + 1] = "";
	struct record r = {0};
	int status;

	str_init(&r.text, r.memory, sizeof(r.memory));
	add_bytes(&r, "MESSAGE_ID", COREDUMP_MESSAGE_ID, strlen(COREDUMP_MESSAGE_ID));
	add_bytes(&r, "PRIORITY", "2", 1);
	add_bytes(&r, "SYSLOG_IDENTIFIER", "oomsnap", strlen("oomsnap"));
	add_u64(&r, "COREDUMP_PID", (uint64_t)result->pid);
	add_u64(&r, "COREDUMP_UID", result->uid);
	add_u64(&r, "COREDUMP_GID", result->gid);
	add_u64(&r, "COREDUMP_SIGNAL", signal);
	add_u64(&r, "COREDUMP_TIMESTAMP", facts->at_realtime_us ? facts->at_realtime_us : now_us());
	add_text(&r, "COREDUMP_COMM", result->comm[0] ? result->comm : "?");
	if (abbreviation) {
		(void)strncat(signal_name, abbreviation, sizeof(signal_name) - 4);
		add_text(&r, "COREDUMP_SIGNAL_NAME", signal_name);
	}
	add_message(&r, facts);
	add_bytes(&r, "COREDUMP_FILENAME", result->core_path, strlen(result->core_path));
	if (result->status == CAPTURE_PARTIAL)
		add_bytes(&r, "COREDUMP_TRUNCATED", "1", 1);
	if (gethostname(host, sizeof(host) - 1) == 0)
		add_text(&r, "COREDUMP_HOSTNAME", host);
	add_text(&r, "OOMSNAP_TARGET", facts->target);
	add_text(&r, "COREDUMP_EXE", facts->exe);
	add_text(&r, "COREDUMP_UNIT", facts->unit);
	add_text(&r, "COREDUMP_SLICE", facts->slice);
	add_text(&r, "COREDUMP_CGROUP", facts->cgroup);
	add_text(&r, "COREDUMP_CMDLINE", facts->cmdline);
	add_proc(&r, "COREDUMP_PROC_STATUS", facts->proc_status);
	add_proc(&r, "COREDUMP_PROC_MAPS", facts->proc_maps);
	add_proc(&r, "COREDUMP_PROC_LIMITS", facts->proc_limits);
	add_proc(&r, "COREDUMP_PROC_CGROUP", facts->proc_cgroup);
	add_proc(&r, "COREDUMP_PROC_MOUNTINFO", facts->proc_mountinfo);
	status = journal_open(&journal, journal_socket);
	if (status == 0)
		status = journal_send(&journal, r.fields, r.count);
	journal_close(&journal);
	return status;
}
