// SPDX-License-Identifier: Apache-2.0
/*
 * Whole captures of a child of our own, read back byte by byte: no rights are needed for that.
 *
 * The child makes one mapping of every kind, tells their addresses through shared memory, and
 * sleeps. Allocations are counted between the beginning and the end of capture_run(): there must be
 * none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#include "base/checked.h"
#include "capture/capture.h"
#include "capture/notes.h"
#include "os/clock.h"
#include "os/process.h"
#include "os/proc.h"
#include "parse/elfcore.h"

#define PAGE 4096UL
#define AREA (1UL << 20)
#define RESERVATION (1UL << 43)
#define SECRET "hunter2-hunter2-hunter2"
#define WAIT_MS 20000

/* --- counting allocations ------------------------------------------------------------------ */

static atomic_bool counting;
static atomic_uint allocations;

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *ptr, size_t size);

static void count_one(void)
{
	if (atomic_load(&counting))
		(void)atomic_fetch_add(&allocations, 1);
}

void *malloc(size_t size)
{
	count_one();
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	count_one();
	return __libc_calloc(count, size);
}

void *realloc(void *ptr, size_t size)
{
	count_one();
	return __libc_realloc(ptr, size);
}
#endif

/* --- the child ----------------------------------------------------------------------------- */

struct told {
	_Atomic uint32_t ready;
	_Atomic uint32_t signals;
	unsigned char *sparse;	  /* every fourth page, and zeros in the last 64 */
	unsigned char *protected; /* filled, then PROT_NONE */
	unsigned char *secret;
	unsigned char *memory_file;  /* memfd, two pages of 256 */
	unsigned char *memory_half;  /* the second half of it, once more */
	unsigned char *noise;	     /* nothing that can be packed */
	unsigned char *private_file; /* our program, one byte changed */
	unsigned char *reservation;
	uint64_t private_file_byte; /* of the page that nobody touched */
};

struct child {
	pid_t pid;
	struct told *told;
};

static struct told *volatile child_told;

static void on_signal(int number)
{
	(void)number;
	(void)atomic_fetch_add(&child_told->signals, 1);
}

__attribute__((noreturn)) static void *idle(void *user)
{
	(void)user;
	for (;;)
		(void)pause();
}

static unsigned char *area(size_t len, int prot)
{
	void *p = mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		_exit(3);
	return p;
}

static void make_files(struct told *t)
{
	int memory = memfd_create("test", MFD_CLOEXEC);
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	unsigned char byte;

	if (memory < 0 || self < 0 || ftruncate(memory, (off_t)AREA) < 0)
		_exit(3);
	t->memory_file = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	t->memory_half = mmap(NULL, AREA / 2, PROT_READ, MAP_SHARED, memory, (off_t)(AREA / 2));
	t->memory_file[3 * PAGE] = 0x33;
	if (pwrite(memory, "Z", 1, 200 * PAGE) != 1) /* in the object, not in our page tables */
		_exit(3);
	t->private_file = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, self, 0);
	t->private_file[PAGE] = 0xa5;
	if (pread(self, &byte, 1, 1) != 1) /* 'E' of the ELF header, read past the mapping */
		_exit(3);
	t->private_file_byte = byte;
}

static void fill_noise(unsigned char *at, size_t len)
{
	uint64_t x = 88172645463325252ULL; /* xorshift64 */

	for (size_t i = 0; i < len; i += sizeof(x)) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		memcpy(at + i, &x, sizeof(x));
	}
}

static void run_child(struct told *t, int threads)
{
	child_told = t;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGUSR1, on_signal);
	t->sparse = area(AREA, PROT_READ | PROT_WRITE);
	(void)madvise(t->sparse, AREA, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < AREA / PAGE - 64; i += 4)
		t->sparse[i * PAGE] = (unsigned char)(i + 1);
	memset(t->sparse + AREA - 64 * PAGE, 0, 64 * PAGE);
	t->protected = area(4 * PAGE, PROT_READ | PROT_WRITE);
	memset(t->protected, 0x5a, 4 * PAGE);
	(void)mprotect(t->protected, 4 * PAGE, PROT_NONE);
	t->secret = area(4 * PAGE, PROT_READ | PROT_WRITE);
	memcpy(t->secret + PAGE, SECRET, sizeof(SECRET));
	(void)madvise(t->secret, 4 * PAGE, MADV_DONTDUMP);
	t->reservation = area(RESERVATION, PROT_NONE);
	(void)mprotect(t->reservation + RESERVATION / 2, PAGE, PROT_READ | PROT_WRITE);
	t->reservation[RESERVATION / 2] = 0x77;
	t->noise = area(AREA, PROT_READ | PROT_WRITE);
	fill_noise(t->noise, AREA);
	make_files(t);
	for (int i = 0; i < threads; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, idle, NULL))
			_exit(3);
	}
	atomic_store(&t->ready, 1);
	(void)idle(NULL);
}

static bool soon(bool (*holds)(void *user), void *user)
{
	uint64_t until = clock_now_ns() + WAIT_MS * NS_PER_MS;

	while (!holds(user)) {
		if (clock_now_ns() > until)
			return false;
		(void)poll(NULL, 0, 1);
	}
	return true;
}

static bool is_ready(void *user)
{
	return atomic_load(&((struct child *)user)->told->ready) != 0;
}

static struct child start_child(int threads)
{
	struct child c;

	/* Through a descriptor that the child has open as well: without rights that is how the
	 * capture gets at shared memory. */
	int fd = memfd_create("told", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(0, ftruncate(fd, (off_t)PAGE));
	c.told = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(MAP_FAILED, c.told);
	c.pid = fork();
	assert_true(c.pid >= 0);
	if (c.pid == 0) {
		run_child(c.told, threads);
		_exit(3);
	}
	(void)close(fd);
	if (!soon(is_ready, &c))
		fail_msg("the child did not get ready");
	return c;
}

static void end_child(struct child *c)
{
	int status;
	pid_t r;

	(void)kill(c->pid, SIGKILL);
	/*
	 * Comes back only if no thread of it is traced any more. Where it died while traced, the
	 * tracer has reaped it already: we are its parent and its tracer's process in one.
	 */
	r = waitpid(c->pid, &status, 0);
	assert_true(r == c->pid || (r < 0 && errno == ECHILD));
	assert_int_equal(PROCESS_GONE, process_look(c->pid, &(struct procstat){.pid = 0}));
	(void)munmap(c->told, PAGE);
}

/* --- the capture --------------------------------------------------------------------------- */

struct place {
	char dir[64];
	char core[96];
	struct capture *capture;
	struct capture_result result;
	char why[256];
};

static int set_up(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	(void)snprintf(p->dir, sizeof(p->dir), "%s/oomsnap-test-XXXXXX",
		access("/var/tmp", W_OK) == 0 ? "/var/tmp" : "/tmp");
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->core, sizeof(p->core), "%s/core", p->dir);
	assert_int_equal(0, capture_new(&capture_limits_default, &p->capture));
	assert_int_equal(0, capture_set_output(p->capture, p->core, true, p->why, sizeof(p->why)));
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	capture_discard(p->capture);
	capture_free(p->capture);
	(void)unlink(p->core);
	/* Fails if a temporary file was left. */
	assert_int_equal(0, rmdir(p->dir));
	free(p);
	return 0;
}

static struct capture_request request_of(const struct child *c)
{
	return (struct capture_request){.target = "test",
		.pid = c->pid,
		.max_bytes = SIZE_UNLIMITED,
		.signal = SIGKILL,
		.kind = CAPTURE_FULL,
		.compress = COMPRESS_NONE};
}

static int run(struct place *p, const struct capture_request *request, capture_callback *callback,
	void *user)
{
	int r;

	atomic_store(&allocations, 0);
	atomic_store(&counting, true);
	r = capture_run(p->capture, request, callback, user, &p->result, p->why, sizeof(p->why));
	atomic_store(&counting, false);
	assert_int_equal(0, atomic_load(&allocations));
	return r;
}

static void finish(struct place *p)
{
	assert_int_equal(0, capture_finish(p->capture, &p->result));
	assert_string_equal(p->core, p->result.core_path);
}

/* --- reading back -------------------------------------------------------------------------- */

struct image {
	struct elfcore core;
	unsigned char *bytes;
	size_t len;
};

static struct image open_image(const struct place *p)
{
	struct image image;
	struct stat st;
	int fd = open(p->core, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(0, fstat(fd, &st));
	image.len = (size_t)st.st_size;
	image.bytes = mmap(NULL, image.len, PROT_READ, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
	assert_ptr_not_equal(MAP_FAILED, image.bytes);
	(void)close(fd);
	assert_int_equal(ELFCORE_OK, elfcore_open(image.bytes, image.len, image.len, &image.core));
	return image;
}

/* The byte of the target at address, or -1 if it is not in the core. */
static int byte_at(const struct image *image, const unsigned char *address)
{
	uint64_t at = (uintptr_t)address;
	struct elfcore_segment s;

	for (uint32_t i = 0; elfcore_segment(&image->core, i, &s); i++)
		if (s.type == 1 && at >= s.vaddr && at - s.vaddr < s.mem_bytes)
			return at - s.vaddr < s.file_bytes ? image->bytes[s.offset + (at - s.vaddr)]
							   : -1;
	return -1;
}

/* Where the byte of the target at address stands in the file. */
static uint64_t offset_of(const struct image *image, const unsigned char *address)
{
	uint64_t at = (uintptr_t)address;
	struct elfcore_segment s;

	for (uint32_t i = 0; elfcore_segment(&image->core, i, &s); i++)
		if (s.type == 1 && at >= s.vaddr && at - s.vaddr < s.file_bytes)
			return s.offset + (at - s.vaddr);
	fail_msg("%p is not in the core", (const void *)address);
	return 0;
}

/* By value: notes lie at multiples of 4. */
static struct core_note our_note(const struct image *image)
{
	struct core_note ours;
	struct elfcore_note note;

	assert_true(elfcore_find_note(&image->core, CORE_NOTE_OWNER, CORE_NOTE_TYPE, &note));
	assert_int_equal(sizeof(struct core_note), note.desc_len);
	memcpy(&ours, note.desc, sizeof(ours));
	return ours;
}

static uint32_t threads_in(const struct image *image)
{
	struct elfcore_thread t;
	uint64_t cursor = 0;
	uint32_t n = 0;

	while (elfcore_thread(&image->core, &cursor, &t)) {
		assert_true(t.sp && t.pc);
		assert_int_equal(SIGKILL, t.signal);
		n++;
	}
	return n;
}

/* What stands before the first byte of memory: headers and notes. */
static size_t before_memory(const struct image *image)
{
	uint64_t least = image->core.headers_len;
	struct elfcore_segment s;

	for (uint32_t i = 0; elfcore_segment(&image->core, i, &s); i++)
		if (s.file_bytes > 0 && s.offset < least)
			least = s.offset;
	return (size_t)least;
}

static void check_memory(const struct image *image, const struct told *t)
{
	for (size_t i = 0; i < AREA / PAGE; i++) {
		bool filled = i < AREA / PAGE - 64 && i % 4 == 0;

		assert_int_equal(
			filled ? (unsigned char)(i + 1) : 0, byte_at(image, t->sparse + i * PAGE));
	}
	for (size_t i = 0; i < 4 * PAGE; i += 512)
		assert_int_equal(0x5a, byte_at(image, t->protected + i));
	assert_int_equal(-1, byte_at(image, t->secret));
	assert_int_equal(-1, byte_at(image, t->secret + PAGE));
	assert_null(memmem(image->bytes, before_memory(image), SECRET, sizeof(SECRET)));
	assert_int_equal(0x77, byte_at(image, t->reservation + RESERVATION / 2));
	assert_true(image->len < RESERVATION / 64);
	assert_int_equal(0x33, byte_at(image, t->memory_file + 3 * PAGE));
	assert_int_equal('Z', byte_at(image, t->memory_file + 200 * PAGE));
	assert_int_equal(0, byte_at(image, t->memory_file + 100 * PAGE));
	assert_int_equal('Z', byte_at(image, t->memory_half + (200 - 128) * PAGE));
	assert_int_equal(
		offset_of(image, t->memory_file) + AREA / 2, offset_of(image, t->memory_half));
	assert_int_equal(0xa5, byte_at(image, t->private_file + PAGE));
	assert_int_equal((int)t->private_file_byte, byte_at(image, t->private_file + 1));
}

static bool secret_in_data(const struct image *image, const struct told *t)
{
	struct elfcore_segment s;

	for (uint32_t i = 0; elfcore_segment(&image->core, i, &s); i++) {
		bool reserved = s.vaddr >= (uintptr_t)t->reservation &&
			s.vaddr < (uintptr_t)t->reservation + RESERVATION;

		/* Our own program is among the mappings and has the text as a constant: compare
		 * only where it would be a copy of the child's page. */
		if (s.type == 1 && s.file_bytes && !reserved &&
			s.vaddr <= (uintptr_t)t->secret + PAGE &&
			(uintptr_t)t->secret + PAGE < s.vaddr + s.file_bytes)
			return true;
	}
	return false;
}

static void test_complete(void **state)
{
	struct place *p = *state;
	struct child c = start_child(2);
	struct capture_request request = request_of(&c);
	struct image image;
	struct core_note note;

	assert_int_equal(0, run(p, &request, NULL, NULL));
	assert_string_equal("", p->why);
	assert_int_equal(CAPTURE_OK, p->result.status);
	assert_int_equal(0, p->result.missing);
	assert_int_equal(3, p->result.threads);
	assert_int_equal(0, p->result.threads_without_registers);
	assert_true(p->result.dontdump_bytes >= 4 * PAGE);
	assert_true(p->result.zero_bytes >= 64 * PAGE);
	assert_true(p->result.begin_ns <= p->result.seized_ns &&
		p->result.seized_ns <= p->result.copied_ns &&
		p->result.copied_ns <= p->result.detached_ns &&
		p->result.detached_ns <= p->result.durable_ns);
	finish(p);
	image = open_image(p);
	check_memory(&image, c.told);
	assert_false(secret_in_data(&image, c.told));
	assert_int_equal(3, threads_in(&image));
	note = our_note(&image);
	assert_int_equal(1, note.complete);
	assert_int_equal(c.pid, note.pid);
	assert_int_equal(p->result.memory_bytes, note.memory_bytes);
	(void)munmap(image.bytes, image.len);
	end_child(&c);
}

static void test_all_pages(void **state)
{
	struct place *p = *state;
	struct child c = start_child(0);
	struct capture_request request = request_of(&c);
	struct image image;

	request.all_pages = true;
	assert_int_equal(0, run(p, &request, NULL, NULL));
	finish(p);
	image = open_image(p);
	assert_int_equal(SECRET[0], byte_at(&image, c.told->secret + PAGE));
	(void)munmap(image.bytes, image.len);
	end_child(&c);
}

static void test_mini(void **state)
{
	struct place *p = *state;
	struct child c = start_child(1);
	struct capture_request request = request_of(&c);
	struct image image;

	request.kind = CAPTURE_MINI;
	assert_int_equal(0, run(p, &request, NULL, NULL));
	assert_int_equal(CAPTURE_OK, p->result.status);
	finish(p);
	image = open_image(p);
	assert_int_equal(-1, byte_at(&image, c.told->sparse));
	assert_int_equal(0xa5, byte_at(&image, c.told->private_file + PAGE));
	assert_int_equal(2, threads_in(&image));
	(void)munmap(image.bytes, image.len);
	end_child(&c);
}

/* --- what the target must not notice ------------------------------------------------------- */

static bool has_signals(void *user)
{
	return atomic_load(&((struct child *)user)->told->signals) != 0;
}

static bool send_signal(void *user, enum capture_moment moment, const struct capture_result *result)
{
	struct child *c = user;

	(void)result;
	if (moment == CAPTURE_SEIZED)
		assert_int_equal(0, kill(c->pid, SIGUSR1));
	if (moment == CAPTURE_COPIED) /* stands still: it has not run its handler */
		assert_int_equal(0, atomic_load(&c->told->signals));
	return true;
}

static void test_signals_arrive(void **state)
{
	struct place *p = *state;
	struct child c = start_child(1);
	struct capture_request request = request_of(&c);

	assert_int_equal(0, run(p, &request, send_signal, &c));
	assert_int_equal(CAPTURE_OK, p->result.status);
	assert_true(soon(has_signals, &c));
	assert_int_equal(1, atomic_load(&c.told->signals));
	end_child(&c);
}

static char state_of(pid_t pid)
{
	struct procstat stat;

	assert_int_equal(0, process_look(pid, &stat));
	return stat.state;
}

static bool is_asleep(void *user)
{
	return state_of(((struct child *)user)->pid) == 'S';
}

static bool is_stopped(void *user)
{
	return state_of(((struct child *)user)->pid) == 'T';
}

static void test_stopped_stays_stopped(void **state)
{
	struct place *p = *state;
	struct child c = start_child(2);
	struct capture_request request = request_of(&c);

	assert_int_equal(0, kill(c.pid, SIGSTOP));
	assert_true(soon(is_stopped, &c));
	assert_int_equal(0, run(p, &request, NULL, NULL));
	assert_int_equal(0, p->result.threads_without_registers);
	assert_true(soon(is_stopped, &c)); /* on its way back into the stop it shows as running */
	end_child(&c);
}

/* --- captures that do not go well ---------------------------------------------------------- */

static void test_deadline(void **state)
{
	struct place *p = *state;
	struct child c = start_child(1);
	struct capture_request request = request_of(&c);
	struct image image;

	request.deadline_ns = clock_now_ns() + 1;
	assert_int_equal(0, run(p, &request, NULL, NULL));
	assert_int_equal(CAPTURE_PARTIAL, p->result.status);
	assert_true(p->result.missing & CAPTURE_MISSING_DEADLINE);
	assert_non_null(strstr(p->why, "deadline"));
	finish(p);
	image = open_image(p);
	assert_int_equal(0, our_note(&image).complete);
	assert_true(our_note(&image).missing & CAPTURE_MISSING_DEADLINE);
	(void)munmap(image.bytes, image.len);
	end_child(&c);
}

static bool call_off(void *user, enum capture_moment moment, const struct capture_result *result)
{
	(void)user;
	(void)result;
	return moment != CAPTURE_SEIZED;
}

static void test_called_off(void **state)
{
	struct place *p = *state;
	struct child c = start_child(1);
	struct capture_request request = request_of(&c);

	assert_int_equal(CAPTURE_FAILED, run(p, &request, call_off, NULL));
	assert_true(soon(is_asleep, &c));
	end_child(&c);
}

static bool kill_it(void *user, enum capture_moment moment, const struct capture_result *result)
{
	(void)result;
	if (moment == CAPTURE_SEIZED)
		(void)kill(*(pid_t *)user, SIGKILL);
	return true;
}

static void test_killed_meanwhile(void **state)
{
	struct place *p = *state;
	struct child c = start_child(3);
	struct capture_request request = request_of(&c);
	int r = run(p, &request, kill_it, &c.pid);

	if (r == 0) {
		assert_int_equal(CAPTURE_PARTIAL, p->result.status);
		assert_true(p->result.missing & CAPTURE_MISSING_EXITED);
	} else {
		assert_int_equal(CAPTURE_GONE, r);
	}
	end_child(&c); /* can be reaped: nothing of it is left in our hands */
}

static void test_gone(void **state)
{
	struct place *p = *state;
	struct child c = start_child(0);
	struct capture_request request = request_of(&c);

	request.start_time = 1;
	assert_int_equal(CAPTURE_GONE, run(p, &request, NULL, NULL));
	assert_int_equal(CAPTURE_GONE, p->result.status);
	end_child(&c);
	request.start_time = 0;
	assert_int_equal(CAPTURE_GONE, run(p, &request, NULL, NULL));
	assert_non_null(strstr(p->why, "ended"));
}

static void test_room(void **state)
{
	struct place *p = *state;
	struct child c = start_child(0);
	struct capture_request request = request_of(&c);

	request.max_bytes = 1000;
	assert_int_equal(CAPTURE_NO_SPACE, run(p, &request, NULL, NULL));
	assert_true(soon(is_asleep, &c));
	/* Headers and stacks fit, everything does not: the child has about 2.5 MiB. */
	request.max_bytes = 800U << 10;
	assert_int_equal(0, run(p, &request, NULL, NULL));
	assert_int_equal(CAPTURE_PARTIAL, p->result.status);
	assert_true(p->result.missing & CAPTURE_MISSING_SPACE);
	assert_true(p->result.file_bytes <= request.max_bytes + (64U << 10));
	end_child(&c);
}

static void test_busy(void **state)
{
	struct place *p = *state;
	struct child c = start_child(0);
	struct capture_request request = request_of(&c);

	if (ptrace(PTRACE_SEIZE, c.pid, NULL, NULL) < 0)
		fail_msg("cannot trace our own child: %s", strerror(errno));
	assert_int_equal(CAPTURE_BUSY, run(p, &request, NULL, NULL));
	end_child(&c);
}

/* One capture object serves many processes, one after the other. */
static void test_again(void **state)
{
	struct place *p = *state;

	for (int i = 0; i < 5; i++) {
		struct child c = start_child(i);
		struct capture_request request = request_of(&c);

		assert_int_equal(0, run(p, &request, NULL, NULL));
		assert_string_equal("", p->why);
		assert_int_equal(CAPTURE_OK, p->result.status);
		assert_int_equal(i + 1, p->result.threads);
		capture_discard(p->capture);
		end_child(&c);
	}
}

/* --- compressed cores ---------------------------------------------------------------------- */

/* Unpacks into a sparse file of its own, as zstd(1) does. */
static void unpack(const char *from, const char *to)
{
	FILE *in = fopen(from, "re");
	FILE *out = fopen(to, "we");
	ZSTD_DStream *stream = ZSTD_createDStream();
	static unsigned char packed[1U << 16];
	static unsigned char plain[PAGE];
	ZSTD_inBuffer i = {.src = packed};
	ZSTD_outBuffer o = {.dst = plain, .size = PAGE};
	off_t length = 0;
	size_t r = 0;

	assert_non_null(in);
	assert_non_null(out);
	for (;;) {
		static const unsigned char zeros[PAGE];

		if (i.pos == i.size && o.pos < o.size) {
			i.size = fread(packed, 1, sizeof(packed), in);
			i.pos = 0;
		}
		if (i.pos == i.size && o.pos == 0 && i.size == 0)
			break;
		r = ZSTD_decompressStream(stream, &o, &i);
		assert_false(ZSTD_isError(r));
		if (o.pos < o.size && i.size)
			continue;
		if (memcmp(plain, zeros, o.pos) != 0)
			assert_int_equal(o.pos, pwrite(fileno(out), plain, o.pos, length));
		length += (off_t)o.pos;
		o.pos = 0;
	}
	assert_int_equal(0, r); /* the last frame was whole */
	assert_int_equal(0, ftruncate(fileno(out), length));
	(void)ZSTD_freeDStream(stream);
	(void)fclose(in);
	(void)fclose(out);
}

/* The next byte that is in no hole, from `at` on; or the length. */
static off_t next_data(int fd, off_t at, off_t length)
{
	off_t data = lseek(fd, at, SEEK_DATA);

	return data < 0 ? length : data;
}

/* Every byte of two cores of one process that stood still, but for our note. */
static void compare(const char *a_path, const char *b_path, uint64_t note_at)
{
	int a = open(a_path, O_RDONLY | O_CLOEXEC);
	int b = open(b_path, O_RDONLY | O_CLOEXEC);
	off_t length = lseek(a, 0, SEEK_END);
	unsigned char pages[2][PAGE];

	assert_true(a >= 0 && b >= 0);
	assert_int_equal(length, lseek(b, 0, SEEK_END));
	for (off_t at = 0; at < length;) {
		off_t page = next_data(a, at, length);
		off_t other = next_data(b, at, length);
		size_t len;

		page = (page < other ? page : other) / (off_t)PAGE * (off_t)PAGE;
		if (page >= length)
			break; /* nothing but a hole is left */
		len = (size_t)(length - page) < PAGE ? (size_t)(length - page) : PAGE;
		assert_int_equal(len, pread(a, pages[0], len, page));
		assert_int_equal(len, pread(b, pages[1], len, page));
		for (size_t i = 0; i < len; i++)
			if (pages[0][i] != pages[1][i] &&
				((uint64_t)page + i < note_at ||
					(uint64_t)page + i >= note_at + sizeof(struct core_note)))
				fail_msg("byte %zu differs", (size_t)page + i);
		at = page + (off_t)PAGE;
	}
	(void)close(a);
	(void)close(b);
}

/* Captures once more, compressed, and leaves what it unpacks to at p->core. */
static void capture_packed(struct place *p, const struct capture_request *request)
{
	char packed[128];

	(void)snprintf(packed, sizeof(packed), "%s/core.zst", p->dir);
	assert_int_equal(0, capture_set_output(p->capture, packed, true, p->why, sizeof(p->why)));
	assert_int_equal(0, run(p, request, NULL, NULL));
	assert_int_equal(0, capture_finish(p->capture, &p->result));
	(void)unlink(p->core);
	unpack(packed, p->core);
	(void)unlink(packed);
}

static void test_packed(void **state)
{
	struct place *p = *state;
	struct child c = start_child(0); /* a thread more could still be on its way to sleep */
	struct capture_request request = request_of(&c);
	struct elfcore_note note;
	struct image image;
	char plain[128];

	assert_int_equal(0, kill(c.pid, SIGSTOP));
	assert_true(soon(is_stopped, &c));
	assert_int_equal(0, run(p, &request, NULL, NULL));
	finish(p);
	(void)snprintf(plain, sizeof(plain), "%s/plain", p->dir);
	assert_int_equal(0, rename(p->core, plain));
	request.compress = COMPRESS_ZSTD;
	capture_packed(p, &request);
	assert_int_equal(CAPTURE_OK, p->result.status);
	/* The child's noise cannot be packed, and of the rest hardly anything is left. */
	assert_in_range(p->result.file_bytes, AREA, AREA + p->result.core_bytes / 8);
	image = open_image(p);
	assert_int_equal(image.len, p->result.core_bytes);
	check_memory(&image, c.told);
	assert_true(elfcore_find_note(&image.core, CORE_NOTE_OWNER, CORE_NOTE_TYPE, &note));
	compare(plain, p->core, (uint64_t)((const unsigned char *)note.desc - image.bytes));
	(void)munmap(image.bytes, image.len);
	(void)unlink(plain);
	end_child(&c);
}

/* What does not fit is cut off, at the end of a frame, and the headers say so. */
static void test_packed_room(void **state)
{
	struct place *p = *state;
	struct child c = start_child(1);
	struct capture_request request = request_of(&c);
	struct image image;
	struct elfcore_segment segment;

	request.compress = COMPRESS_ZSTD;
	request.max_bytes = 900U << 10;
	capture_packed(p, &request);
	assert_int_equal(CAPTURE_PARTIAL, p->result.status);
	assert_true(p->result.missing & CAPTURE_MISSING_SPACE);
	/* The last block is a whole one, and another may be the file system's own. */
	assert_true(p->result.file_bytes <= request.max_bytes + 2UL * PAGE);
	image = open_image(p);
	assert_true(our_note(&image).missing & CAPTURE_MISSING_SPACE);
	assert_int_equal(0xa5, byte_at(&image, c.told->private_file + PAGE)); /* runtime data */
	assert_int_equal(-1, byte_at(&image, c.told->noise + AREA - 1));
	for (uint32_t i = 0; elfcore_segment(&image.core, i, &segment); i++)
		assert_int_equal(
			segment.file_bytes, elfcore_segment_present(&image.core, &segment));
	assert_int_equal(2, threads_in(&image));
	(void)munmap(image.bytes, image.len);
	end_child(&c);
}

static void test_packed_deadline(void **state)
{
	struct place *p = *state;
	struct child c = start_child(0);
	struct capture_request request = request_of(&c);
	struct image image;

	request.compress = COMPRESS_ZSTD;
	request.deadline_ns = clock_now_ns() + 1;
	capture_packed(p, &request);
	assert_int_equal(CAPTURE_PARTIAL, p->result.status);
	image = open_image(p);
	assert_true(our_note(&image).missing & CAPTURE_MISSING_DEADLINE);
	assert_int_equal(-1, byte_at(&image, c.told->noise + AREA - 1));
	(void)munmap(image.bytes, image.len);
	end_child(&c);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(test_complete),
		CASE(test_all_pages),
		CASE(test_mini),
		CASE(test_signals_arrive),
		CASE(test_stopped_stays_stopped),
		CASE(test_deadline),
		CASE(test_called_off),
		CASE(test_killed_meanwhile),
		CASE(test_gone),
		CASE(test_room),
		CASE(test_busy),
		CASE(test_again),
		CASE(test_packed),
		CASE(test_packed_room),
		CASE(test_packed_deadline),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
