// SPDX-License-Identifier: Apache-2.0
/*
 * The voice: what arrives at a journal (played by a datagram socket of the test) and on stderr
 * (played by pipes, files and sockets), and that nothing waits, allocates or raises a signal when
 * they stall or go away.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "event.h"
#include "event_coredump.h"
#include "line_out.h"

#define ENTRY_MAX (32 << 20)

/* Counts what the process allocates; glibc's own names stay reachable behind these. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);
static volatile unsigned long allocations; /* the compiler thinks that malloc() leaves it alone */

#if !defined(__SANITIZE_ADDRESS__)
void *malloc(size_t size)
{
	allocations++;
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	allocations++;
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	allocations++;
	return __libc_realloc(p, size);
}
#endif

struct fixture {
	char directory[64];
	char socket[96];
	int journal_fd; /* -1: nobody listens */
	int out_read;	/* of the pipe that plays stderr */
	int out_write;
	char entry[ENTRY_MAX];
	size_t entry_len;
};

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int ends[2];

	assert_non_null(f);
	(void)strcpy(f->directory, "/tmp/oomsnap-test-event-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	(void)snprintf(f->socket, sizeof(f->socket), "%s/socket", f->directory);
	f->journal_fd = listen_at(f->socket);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	f->out_read = ends[0];
	f->out_write = ends[1];
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	event_close();
	cleanup_close(&f->journal_fd);
	cleanup_close(&f->out_read);
	cleanup_close(&f->out_write);
	(void)unlink(f->socket);
	(void)rmdir(f->directory);
	free(f);
	return 0;
}

static int open_voice(struct fixture *f, enum event_sink sink)
{
	struct event_options o = {.sink = sink, .fd = f->out_write, .journal_socket = f->socket};

	return event_open(&o);
}

/* Receives one entry, from the datagram or the memory file behind it; false if there is none. */
static bool receive(struct fixture *f)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec piece = {f->entry, sizeof(f->entry)};
	struct msghdr message = {.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(f->journal_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c;

	if (n < 0)
		return false;
	f->entry_len = (size_t)n;
	c = CMSG_FIRSTHDR(&message);
	if (c) {
		const int wanted = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
		int fd;

		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		assert_int_equal(n, 0);
		assert_int_equal(fcntl(fd, F_GET_SEALS) & wanted, wanted);
		n = pread(fd, f->entry, sizeof(f->entry), 0);
		assert_true(n > 0);
		f->entry_len = (size_t)n;
		(void)close(fd);
	}
	return true;
}

/* The value of a field of the received entry, terminated, in static memory; NULL if absent. */
static const char *field(const struct fixture *f, const char *name)
{
	static char value[ENTRY_MAX];
	size_t at = 0;

	while (at < f->entry_len) {
		const char *start = f->entry + at;
		const char *end = memchr(start, '\n', f->entry_len - at);
		uint64_t len;

		assert_non_null(end);
		at += (size_t)(end - start) + 1;
		assert_null(memchr(start, '=', (size_t)(end - start)));
		assert_true(at + sizeof(len) <= f->entry_len);
		memcpy(&len, f->entry + at, sizeof(len));
		at += sizeof(len);
		assert_true(len < f->entry_len - at);
		assert_int_equal(f->entry[at + len], '\n');
		if (strlen(name) == (size_t)(end - start) &&
			memcmp(start, name, strlen(name)) == 0) {
			memcpy(value, f->entry + at, len);
			value[len] = '\0';
			return value;
		}
		at += len + 1;
	}
	return NULL;
}

static void assert_field(const struct fixture *f, const char *name, const char *wanted)
{
	const char *value = field(f, name);

	if (!value)
		fail_msg("no field %s", name);
	assert_string_equal(value, wanted);
}

/* What the pipe holds now, terminated. */
static const char *out_text(const struct fixture *f)
{
	static char text[1 << 17];
	struct pollfd p = {.fd = f->out_read, .events = POLLIN};
	ssize_t n = 0;

	if (poll(&p, 1, 0) == 1)
		n = read(f->out_read, text, sizeof(text) - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static void say_tripped(void)
{
	struct event_message *m = event_begin(EVENT_TRIPPED, "web");

	event_field_str(m, EVENT_FIELD_REASON, "used");
	event_field_bytes(m, EVENT_FIELD_USED_BYTES, UINT64_MAX - 1);
	event_field_bytes(m, EVENT_FIELD_LIMIT_BYTES, UINT64_MAX);
	event_field_ns(m, EVENT_FIELD_ETA_NS, 1500000000);
	event_field_i64(m, EVENT_FIELD_EXIT_STATUS, -9);
	event_field_str(m, EVENT_FIELD_WHY, NULL);
	event_send(m, "used %d%% of \"it\"", 90);
}

static void test_journal_gets_every_field(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(open_voice(f, EVENT_SINK_AUTO), 0);
	say_tripped();
	assert_true(receive(f));
	assert_field(f, "MESSAGE", "used 90% of \"it\"");
	assert_field(f, "MESSAGE_ID", event_message_id(EVENT_TRIPPED));
	assert_field(f, "PRIORITY", "4");
	assert_field(f, "SYSLOG_IDENTIFIER", "oomsnap");
	assert_field(f, "OOMSNAP_EVENT", "tripped");
	assert_field(f, "OOMSNAP_TARGET", "web");
	assert_field(f, "OOMSNAP_REASON", "used");
	assert_field(f, "OOMSNAP_USED_BYTES", "18446744073709551614");
	assert_field(f, "OOMSNAP_ETA_NS", "1500000000");
	assert_field(f, "OOMSNAP_EXIT_STATUS", "-9");
	assert_null(field(f, "OOMSNAP_LIMIT_BYTES")); /* no limit: no field */
	assert_null(field(f, "OOMSNAP_WHY"));
	assert_null(field(f, "OOMSNAP_CUT"));
	assert_null(field(f, "OOMSNAP_DROPPED"));
	assert_string_equal(out_text(f), "");
	assert_int_equal(event_dropped(), 0);
}

static void test_json_without_a_journal(void **state)
{
	struct fixture *f = *state;
	const char *text;

	(void)unlink(f->socket);
	assert_int_equal(open_voice(f, EVENT_SINK_AUTO), 0);
	say_tripped();
	text = out_text(f);
	assert_non_null(strstr(text, "{\"TIMESTAMP\":\"20"));
	assert_non_null(strstr(text, ",\"PRIORITY\":4,"));
	assert_non_null(strstr(text, ",\"MESSAGE\":\"used 90% of \\\"it\\\"\","));
	assert_non_null(strstr(text, ",\"OOMSNAP_TARGET\":\"web\","));
	assert_non_null(strstr(text, ",\"OOMSNAP_USED_BYTES\":18446744073709551614,"));
	assert_non_null(strstr(text, ",\"OOMSNAP_EXIT_STATUS\":-9"));
	assert_string_equal(text + strlen(text) - 2, "}\n");
	assert_int_equal(strcspn(text, "\n"), strlen(text) - 1);
}

static void test_a_stale_socket_counts_as_none(void **state)
{
	struct fixture *f = *state;
	struct event_options o = {
		.sink = EVENT_SINK_JOURNAL, .fd = f->out_write, .journal_socket = f->socket};

	cleanup_close(&f->journal_fd);
	f->journal_fd = -1;
	assert_int_equal(event_open(&o), -ECONNREFUSED);
	say_tripped();
	assert_non_null(strstr(out_text(f), "\"OOMSNAP_EVENT\":\"tripped\""));
}

/* journald went away and came back: nothing is lost, and nobody had to notice. */
static void test_a_restarted_journal_is_found_again(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(open_voice(f, EVENT_SINK_AUTO), 0);
	cleanup_close(&f->journal_fd);
	(void)unlink(f->socket);
	say_tripped();
	assert_non_null(strstr(out_text(f), "\"OOMSNAP_EVENT\":\"tripped\""));
	f->journal_fd = listen_at(f->socket);
	say_tripped();
	assert_true(receive(f));
	assert_string_equal(out_text(f), "");
	assert_int_equal(event_dropped(), 0);
}

static void test_hostile_text_is_made_safe(void **state)
{
	struct fixture *f = *state;
	struct event_message *m;

	assert_int_equal(open_voice(f, EVENT_SINK_JOURNAL), 0);
	m = event_begin(EVENT_HELD, "t");
	event_field_str(m, EVENT_FIELD_COMM, "a\nPRIORITY=0\x1b[2J\x7f");
	event_field_str(m, EVENT_FIELD_PATH, "/caf\xc3\xa9/\xff\xc2\x9b\\x2d");
	event_send(m, "stopped %s", "x\ny");
	assert_true(receive(f));
	assert_field(f, "OOMSNAP_COMM", "a\\x0aPRIORITY=0\\x1b[2J\\x7f");
	assert_field(f, "OOMSNAP_PATH", "/caf\xc3\xa9/\\xff\\xc2\\x9b\\x2d");
	assert_field(f, "MESSAGE", "stopped x\\x0ay");
	assert_field(f, "PRIORITY", "5");
}

static void test_long_text_is_cut_and_says_so(void **state)
{
	struct fixture *f = *state;
	char text[3 * EVENT_TEXT_MAX];
	struct event_message *m;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memcpy(text + EVENT_TEXT_MAX - 1, "\xc3\xa9", 2); /* straddles the end */
	assert_int_equal(open_voice(f, EVENT_SINK_JOURNAL), 0);
	m = event_begin(EVENT_ERROR, "t");
	event_field_str(m, EVENT_FIELD_WHY, text);
	event_send(m, "%s", text);
	assert_true(receive(f));
	assert_int_equal(strlen(field(f, "OOMSNAP_WHY")), EVENT_TEXT_MAX - 1);
	assert_int_equal(strlen(field(f, "MESSAGE")), EVENT_TEXT_MAX - 1);
	assert_field(f, "OOMSNAP_CUT", "1");
}

/* Every field at its largest, in both forms; MESSAGE keeps its room. */
static void test_a_full_message_still_goes(void **state)
{
	struct fixture *f = *state;
	char text[EVENT_TEXT_MAX + 1];

	memset(text, '"', sizeof(text) - 1); /* the worst to escape */
	text[sizeof(text) - 1] = '\0';
	for (int round = 0; round < 2; round++) {
		struct event_message *m;

		assert_int_equal(open_voice(f, round ? EVENT_SINK_JSON : EVENT_SINK_JOURNAL), 0);
		m = event_begin(EVENT_ERROR, text);
		for (int i = EVENT_FIELD_INCIDENT; i < EVENT_FIELD_DROPPED; i++) {
			enum event_field id = (enum event_field)i;

			if (id == EVENT_FIELD_EXIT_STATUS)
				event_field_i64(m, id, INT64_MIN);
			else if (event_field_is_number(id))
				event_field_u64(m, id, UINT64_MAX);
			else
				event_field_str(m, id, text);
		}
		event_send(m, "the end");
	}
	assert_true(receive(f));
	assert_field(f, "MESSAGE", "the end");
	assert_field(f, "OOMSNAP_CUT", "1");
	assert_non_null(strstr(out_text(f), "\"MESSAGE\":\"the end\""));
}

/* A journal that does not read: after its queue is full, lines go to stderr, and nothing waits. */
static void test_a_stalled_journal_does_not_stop_us(void **state)
{
	struct fixture *f = *state;
	int entries = 0;
	int lines = 0;
	const char *text;

	(void)alarm(20);
	assert_int_equal(open_voice(f, EVENT_SINK_AUTO), 0);
	for (int i = 0; i < 64; i++)
		say_tripped();
	text = out_text(f);
	for (const char *c = text; (c = strchr(c, '\n')); c++)
		lines++;
	while (receive(f))
		entries++;
	(void)alarm(0);
	assert_true(entries > 0);
	assert_true(lines > 0);
	assert_int_equal(entries + lines, 64);
	assert_int_equal(event_dropped(), 0);
}

/* stderr that nobody reads: what does not fit is counted, and told when there is room again. */
static void test_a_stalled_stderr_is_counted(void **state)
{
	struct fixture *f = *state;
	unsigned int lines = 0;
	char wanted[64];
	uint64_t dropped;

	(void)alarm(20);
	assert_int_equal(open_voice(f, EVENT_SINK_JSON), 0);
	for (int i = 0; i < 2000; i++)
		say_tripped();
	(void)alarm(0);
	dropped = event_dropped();
	assert_true(dropped > 0 && dropped < 2000);
	assert_int_equal(fcntl(f->out_write, F_GETFL) & O_NONBLOCK, 0); /* not ours to change */
	for (const char *text = out_text(f); *text; text = out_text(f))
		for (const char *c = text; (c = strchr(c, '\n')); c++)
			lines++;
	assert_int_equal(lines, 2000 - dropped);
	say_tripped();
	(void)snprintf(
		wanted, sizeof(wanted), "\"OOMSNAP_DROPPED\":%llu", (unsigned long long)dropped);
	assert_non_null(strstr(out_text(f), wanted));
	say_tripped();
	assert_null(strstr(out_text(f), "OOMSNAP_DROPPED"));
	assert_int_equal(event_dropped(), dropped);
}

static volatile sig_atomic_t pipe_signals;

static void on_pipe(int signal)
{
	(void)signal;
	pipe_signals = 1;
}

static void test_a_closed_stderr_raises_no_signal(void **state)
{
	struct fixture *f = *state;
	struct sigaction action = {.sa_handler = on_pipe};
	struct sigaction old;
	sigset_t pending;

	assert_int_equal(sigaction(SIGPIPE, &action, &old), 0);
	assert_int_equal(open_voice(f, EVENT_SINK_JSON), 0);
	cleanup_close(&f->out_read);
	f->out_read = -1;
	errno = ENOTTY;
	say_tripped();
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(event_dropped(), 1);
	assert_int_equal(sigpending(&pending), 0);
	assert_false(sigismember(&pending, SIGPIPE));
	assert_int_equal(pipe_signals, 0);
	assert_int_equal(sigaction(SIGPIPE, &old, NULL), 0);
}

static void test_no_stderr_at_all(void **state)
{
	struct event_options o = {.sink = EVENT_SINK_JSON, .fd = -1};

	(void)state;
	assert_int_equal(event_open(&o), -EBADF);
	say_tripped();
	assert_int_equal(event_dropped(), 1);
}

/* A file is written as it is: opening it again would overwrite its beginning. */
static void test_a_file_is_appended_to(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int fd = memfd_create("stderr", MFD_CLOEXEC);
	struct event_options o = {.sink = EVENT_SINK_JSON, .fd = fd};
	char text[8192] = "";

	(void)f;
	assert_int_equal(write(fd, "before\n", 7), 7);
	assert_int_equal(event_open(&o), 0);
	say_tripped();
	say_tripped();
	assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
	assert_memory_equal(text, "before\n{\"TIME", 13);
	assert_non_null(strstr(text, "}\n{\"TIME"));
}

/* Each way of line_out, with a receiver that stalls in the middle of a line. */
static void test_a_torn_line_does_not_spoil_the_next(void **state)
{
	int ends[2];
	struct line_out o = LINE_OUT_CLOSED;
	static char line[8192];
	char text[65536 + 8192];
	ssize_t n;
	int r = 0;

	(void)state;
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(line_out_open(&o, ends[1]), 0);
	assert_int_equal(o.way, LINE_OUT_WRITE);
	assert_int_equal(write(ends[1], line, 100), 100); /* so that pages do not end with lines */
	while (r == 0)
		r = line_out_write(&o, line, sizeof(line));
	assert_int_equal(r, -EAGAIN);
	assert_true(read(ends[0], text, sizeof(text)) > 0);
	assert_int_equal(line_out_write(&o, "next\n", 5), 0);
	n = read(ends[0], text, sizeof(text));
	assert_int_equal(n, 6); /* a newline ends what was torn */
	assert_memory_equal(text, "\nnext\n", 6);
	line_out_close(&o);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

static void test_a_socket_and_a_polled_pipe_do_not_block(void **state)
{
	static const char line[] = "0123456789 0123456789 0123456789 0123456789 0123456789\n";
	int ends[2];

	(void)state;
	(void)alarm(20);
	for (int way = 0; way < 2; way++) {
		struct line_out o = LINE_OUT_CLOSED;
		int r = 0;

		assert_int_equal(way == 0 ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)
					  : pipe2(ends, O_CLOEXEC),
			0);
		if (way == 0) {
			assert_int_equal(line_out_open(&o, ends[1]), 0);
			assert_int_equal(o.way, LINE_OUT_SOCKET);
		} else {
			o = (struct line_out){.fd = ends[1], .way = LINE_OUT_POLL};
		}
		for (int i = 0; i < 1000000 && r == 0; i++)
			r = line_out_write(&o, line, sizeof(line) - 1);
		assert_int_equal(r, -EAGAIN);
		(void)close(ends[0]);
		assert_int_equal(line_out_write(&o, line, sizeof(line) - 1), -EPIPE);
		line_out_close(&o);
		(void)close(ends[1]);
	}
	(void)alarm(0);
}

static void test_sending_allocates_nothing(void **state)
{
	struct fixture *f = *state;

#if defined(__SANITIZE_ADDRESS__)
	(void)f;
	print_message("the sanitizer allocates by itself; counted in the other builds\n");
	skip();
#endif
	for (int sink = EVENT_SINK_AUTO; sink <= EVENT_SINK_TEXT; sink++) {
		unsigned long before;

		assert_int_equal(open_voice(f, (enum event_sink)sink), 0);
		before = allocations;
		for (int i = 0; i < 3; i++)
			say_tripped();
		assert_int_equal(allocations, before);
		while (receive(f))
			;
		(void)out_text(f);
	}
	/* The counter itself must be able to move. */
	unsigned long before = allocations;
	void *volatile p = malloc(1);

	free(p);
	assert_int_equal(allocations, before + 1);
}

static void test_text_for_a_terminal(void **state)
{
	struct fixture *f = *state;
	const char *text;

	assert_int_equal(open_voice(f, EVENT_SINK_TEXT), 0);
	say_tripped();
	text = out_text(f);
	assert_int_equal(text[8], 'Z');
	assert_string_equal(text + 9, " warning web: used 90% of \"it\"\n");
}

static void test_the_lists_are_sound(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < EVENT_COUNT; i++) {
		const char *id = event_message_id((enum event_id)i);

		assert_int_equal(strlen(id), 32);
		assert_int_equal(strspn(id, "0123456789abcdef"), 32);
		assert_in_range(event_priority((enum event_id)i), 2, 6);
		for (unsigned int j = 0; j < i; j++) {
			assert_string_not_equal(id, event_message_id((enum event_id)j));
			assert_string_not_equal(
				event_name((enum event_id)i), event_name((enum event_id)j));
		}
	}
	for (unsigned int i = 0; i < EVENT_FIELD_COUNT; i++) {
		const char *name = event_field_name((enum event_field)i);

		assert_int_equal(strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"), strlen(name));
		assert_true(strlen(name) <= 32);
	}
	assert_null(event_name(EVENT_COUNT));
	assert_null(event_field_name(EVENT_FIELD_COUNT));
}

/* A record with texts far larger than a datagram. */
static void test_coredump_record(void **state)
{
	struct fixture *f = *state;
	static char maps[20 << 20]; /* beyond any socket's buffer */
	struct capture_result result = {.status = CAPTURE_PARTIAL,
		.pid = 4321,
		.uid = 1001,
		.gid = 1002,
		.comm = "le\nak",
		.path = "/var/lib/oomsnap/web-1",
		.core_path = "/var/lib/oomsnap/web-1/core"};
	struct event_coredump facts = {.result = &result,
		.target = "web",
		.exe = "/usr/bin/leak",
		.proc_maps = {maps, sizeof(maps)}};

	memset(maps, 'm', sizeof(maps));
	assert_int_equal(event_coredump(&facts, f->socket), 0);
	assert_true(receive(f));
	assert_field(f, "MESSAGE_ID", "fc2e22bc6ee647b6b90729ab34a250b1");
	assert_field(f, "COREDUMP_PID", "4321");
	assert_field(f, "COREDUMP_UID", "1001");
	assert_field(f, "COREDUMP_GID", "1002");
	assert_field(f, "COREDUMP_SIGNAL", "9");
	assert_field(f, "COREDUMP_SIGNAL_NAME", "SIGKILL");
	assert_field(f, "COREDUMP_COMM", "le\\x0aak");
	assert_field(f, "COREDUMP_EXE", "/usr/bin/leak");
	assert_field(f, "COREDUMP_FILENAME", "/var/lib/oomsnap/web-1/core");
	assert_field(f, "COREDUMP_TRUNCATED", "1");
	assert_field(f, "OOMSNAP_TARGET", "web");
	assert_int_equal(strlen(field(f, "COREDUMP_PROC_MAPS")), sizeof(maps));
	assert_null(field(f, "COREDUMP_ENVIRON"));
	result.status = CAPTURE_OK;
	facts.signal = 6;
	facts.proc_maps.data = NULL;
	assert_int_equal(event_coredump(&facts, f->socket), 0);
	assert_true(receive(f));
	assert_field(f, "COREDUMP_SIGNAL", "6");
	assert_null(field(f, "COREDUMP_TRUNCATED"));
	assert_null(field(f, "COREDUMP_PROC_MAPS"));
	(void)unlink(f->socket);
	assert_int_equal(event_coredump(&facts, f->socket), -ENOENT);
}

/* A file of the tree, terminated; the caller frees it. */
static char *read_shipped(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char *text;

	if (!f)
		fail_msg("%s: %s (run from the top of the tree)", path, strerror(errno));
	text = calloc(1, 1 << 17);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 17) - 1, f) > 0);
	return text;
}

/* Every event is in the catalog, with a subject and words on what to do; nothing else is. */
static void test_catalog(void **state)
{
	_cleanup_free_ char *text = read_shipped("conf/oomsnap.catalog");
	unsigned int entries = 0;

	(void)state;
	for (unsigned int i = 0; i < EVENT_COUNT; i++) {
		char wanted[64];

		(void)snprintf(wanted, sizeof(wanted),
			"\n-- %s\nSubject: ", event_message_id((enum event_id)i));
		if (!strstr(text, wanted))
			fail_msg("conf/oomsnap.catalog lacks %s (%s)", event_name((enum event_id)i),
				event_message_id((enum event_id)i));
	}
	for (const char *entry = text; (entry = strstr(entry, "\n-- ")); entry += 4, entries++) {
		char id[33] = "";
		bool known = false;

		(void)strncat(id, entry + 4, 32);
		for (unsigned int i = 0; i < EVENT_COUNT; i++)
			known |= strcmp(id, event_message_id((enum event_id)i)) == 0;
		if (!known)
			fail_msg("conf/oomsnap.catalog explains %s, which nobody sends", id);
	}
	assert_int_equal(entries, EVENT_COUNT);
	/* A variable that is no field would never be filled. */
	for (const char *at = text; (at = strstr(at, "@OOMSNAP_")); at++) {
		size_t len = strcspn(at + 1, "@");
		bool known = false;

		for (unsigned int f = 0; f < EVENT_FIELD_COUNT; f++) {
			const char *name = event_field_name((enum event_field)f);

			known |= strlen(name) == len && strncmp(name, at + 1, len) == 0;
		}
		if (!known)
			fail_msg("conf/oomsnap.catalog uses %.*s", (int)len, at + 1);
	}
}

static void test_manual_names_every_event_and_field(void **state)
{
	_cleanup_free_ char *text = read_shipped("deploy/man/oomsnap.8");
	char wanted[64];

	(void)state;
	for (unsigned int i = 0; i < EVENT_COUNT; i++) {
		(void)snprintf(
			wanted, sizeof(wanted), "\n.It Li %s\n", event_name((enum event_id)i));
		if (!strstr(text, wanted))
			fail_msg("oomsnap.8 lacks the event%s", wanted);
	}
	for (unsigned int i = 0; i < EVENT_FIELD_COUNT; i++) {
		(void)snprintf(wanted, sizeof(wanted), "\n.It Li %s\n",
			event_field_name((enum event_field)i));
		if (!strstr(text, wanted))
			fail_msg("oomsnap.8 lacks the field%s", wanted);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_journal_gets_every_field),
		T(test_json_without_a_journal),
		T(test_a_stale_socket_counts_as_none),
		T(test_a_restarted_journal_is_found_again),
		T(test_hostile_text_is_made_safe),
		T(test_long_text_is_cut_and_says_so),
		T(test_a_full_message_still_goes),
		T(test_a_stalled_journal_does_not_stop_us),
		T(test_a_stalled_stderr_is_counted),
		T(test_a_closed_stderr_raises_no_signal),
		T(test_no_stderr_at_all),
		T(test_a_file_is_appended_to),
		T(test_a_torn_line_does_not_spoil_the_next),
		T(test_a_socket_and_a_polled_pipe_do_not_block),
		T(test_sending_allocates_nothing),
		T(test_text_for_a_terminal),
		T(test_the_lists_are_sound),
		T(test_coredump_record),
		T(test_catalog),
		T(test_manual_names_every_event_and_field),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
