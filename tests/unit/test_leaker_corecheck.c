// SPDX-License-Identifier: Apache-2.0
/*
 * corecheck is a judge, so this asks whether it can convict: cores are made here, sound ones and
 * ones with a single fault each, and every fault must give its own exit code.
 *
 * The program is compiled into this one under another name and run in a child process. The "memory"
 * of the cores never existed: the manifest and the fill are computed for addresses of our choosing.
 */
#define main corecheck_main
int corecheck_main(int argc, char *argv[]);
#include "../tool/corecheck.c" // NOLINT(bugprone-suspicious-include): a program has no header
#undef main

#include <setjmp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <cmocka.h>

#define SEED 7
#define BASE UINT64_C(0x10000000)	   /* the chunk that is filled */
#define CHUNK (16 * PAGE_BYTES)		   /* its length */
#define FILLED (12 * PAGE_BYTES)	   /* of which this much is claimed */
#define SECRETS UINT64_C(0x20000000)	   /* two pages of secrets, if the core has them */
#define MANIFEST_AT UINT64_C(0x7f00000000) /* header page and one page of entries */
#define OUTSIDE UINT64_C(0x30000000)	   /* no segment has it */

#define SEGMENTS_MAX 8
#define ENTRIES_MAX 4

/* A core in the making: what it will contain can be changed before it is written. */
struct fake {
	struct manifest_header header;
	struct manifest_entry entries[ENTRIES_MAX];
	unsigned char chunk[CHUNK];
	unsigned char secrets[2 * PAGE_BYTES];
	bool with_secrets;	   /* the region is in the core */
	bool reversed;		   /* PT_LOADs in descending order */
	bool split;		   /* the chunk in two segments, the second one first in the file */
	bool xnum;		   /* the count stands in section header 0, after many PT_NULLs */
	bool holes;		   /* zeros are not written */
	uint64_t chunk_file_bytes; /* p_filesz of the chunk, when not split */
	uint64_t truncate;	   /* bytes cut off the end of the file */
	unsigned char ident_class;
	uint16_t type;
};

static struct fake fake;
static char output[4096]; /* of the last run, both streams */

static void fake_init(struct fake *f)
{
	struct manifest_header *h = &f->header;

	memset(f, 0, sizeof(*f));
	manifest_magic(h->magic);
	h->version = MANIFEST_VERSION;
	h->header_bytes = sizeof(*h);
	h->entry_bytes = sizeof(f->entries[0]);
	h->pid = 4711;
	h->self = MANIFEST_AT;
	h->seed = SEED;
	h->capacity = MANIFEST_CAPACITY;
	h->count = 1;
	h->entries = MANIFEST_AT + PAGE_BYTES;
	h->allocated_bytes = CHUNK;
	h->filled_bytes = FILLED;
	f->entries[0] = (struct manifest_entry){
		.address = BASE, .length = CHUNK, .filled = FILLED, .kind = MANIFEST_PRIVATE};
	fill_write(SEED, BASE, f->chunk, FILLED + 100); /* a stop in the middle of a page */
	f->chunk_file_bytes = CHUNK;
	f->ident_class = ELFCLASS64;
	f->type = ET_CORE;
}

struct part {
	Elf64_Phdr phdr;
	const void *bytes;
	size_t len;
};

static struct part part(uint64_t address, const void *bytes, size_t len)
{
	return (struct part){
		.phdr = {.p_type = PT_LOAD, .p_vaddr = address, .p_filesz = len, .p_memsz = len},
		.bytes = bytes,
		.len = len,
	};
}

/* What goes into the file, in the order in which it stands there. */
static size_t collect(
	const struct fake *f, unsigned char *manifest, struct part parts[SEGMENTS_MAX])
{
	size_t n = 0;

	memset(manifest, 0, 2 * PAGE_BYTES);
	memcpy(manifest, &f->header, sizeof(f->header));
	memcpy(manifest + PAGE_BYTES, f->entries, sizeof(f->entries));
	if (f->split) {
		parts[n++] = part(
			BASE + 5 * PAGE_BYTES, f->chunk + 5 * PAGE_BYTES, CHUNK - 5 * PAGE_BYTES);
		parts[n++] = part(BASE, f->chunk, 5 * PAGE_BYTES);
	} else {
		parts[n] = part(BASE, f->chunk, f->chunk_file_bytes);
		parts[n++].phdr.p_memsz = CHUNK;
	}
	/* address space without bytes, as large as it gets */
	parts[n] = part(UINT64_C(0x100000000000), NULL, 0);
	parts[n++].phdr.p_memsz = UINT64_C(1) << 46;
	if (f->with_secrets)
		parts[n++] = part(SECRETS, f->secrets, sizeof(f->secrets));
	parts[n++] = part(MANIFEST_AT, manifest, 2 * PAGE_BYTES);
	return n;
}

static void put(int fd, uint64_t offset, const void *bytes, size_t len)
{
	assert_int_equal(pwrite(fd, bytes, len, (off_t)offset), len);
}

/* Writes the page unless it is zero and holes are wanted. */
static void put_page(
	const struct fake *f, int fd, uint64_t offset, const unsigned char *page, size_t len)
{
	static const unsigned char zeros[PAGE_BYTES];

	if (!f->holes || memcmp(page, zeros, len) != 0)
		put(fd, offset, page, len);
}

/* A core in a memfd, at *ret_path. The descriptor is owned by the caller. */
static int write_core(const struct fake *f, char ret_path[64])
{
	static unsigned char manifest[2 * PAGE_BYTES];
	int fd = memfd_create("core", MFD_CLOEXEC);
	struct part parts[SEGMENTS_MAX];
	size_t n = collect(f, manifest, parts);
	/* with PN_XNUM, PT_NULLs make up the number: it only has to be too large for 16 bits */
	uint64_t padding = f->xnum ? 70000 : 0, phnum = n + padding;
	Elf64_Ehdr header = {
		.e_ident = {0x7f, 'E', 'L', 'F', f->ident_class, ELFDATA2LSB, EV_CURRENT},
		.e_type = f->type,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = f->xnum ? PN_XNUM : (uint16_t)phnum,
	};
	uint64_t at = sizeof(header) + phnum * sizeof(Elf64_Phdr);

	assert_true(fd >= 0);
	if (f->xnum) {
		Elf64_Shdr first = {.sh_info = (uint32_t)phnum};

		header.e_shoff = at;
		header.e_shentsize = sizeof(first);
		header.e_shnum = 1;
		put(fd, at, &first, sizeof(first));
	}
	at = (at + sizeof(Elf64_Shdr) + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	put(fd, 0, &header, sizeof(header));
	for (size_t i = 0; i < n; i++) {
		struct part *p = &parts[i];
		size_t place = f->reversed ? n - 1 - i : i;

		p->phdr.p_offset = at;
		put(fd, sizeof(header) + (padding + place) * sizeof(p->phdr), &p->phdr,
			sizeof(p->phdr));
		for (size_t done = 0; done < p->len; done += PAGE_BYTES) {
			size_t len = p->len - done < PAGE_BYTES ? p->len - done : PAGE_BYTES;

			put_page(f, fd, at + done, (const unsigned char *)p->bytes + done, len);
		}
		at += (p->len + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
	}
	assert_int_equal(ftruncate(fd, (off_t)(at - f->truncate)), 0);
	(void)snprintf(ret_path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

/* Runs corecheck CORE EXTRA... in a child; `output` has what it said. Its exit code. */
static int run_program(const char *path, const char *extra, const char *extra_value)
{
	char name[] = "corecheck", file[64], option[32] = "", value[32] = "";
	char *argv[] = {name, file, option, value, NULL};
	int argc = extra_value ? 4 : extra ? 3 : 2;
	int said = memfd_create("output", MFD_CLOEXEC), status;
	ssize_t len;
	pid_t pid;

	(void)snprintf(file, sizeof(file), "%s", path);
	(void)snprintf(option, sizeof(option), "%s", extra ? extra : "");
	(void)snprintf(value, sizeof(value), "%s", extra_value ? extra_value : "");
	argv[argc] = NULL;
	assert_true(said >= 0);
	(void)fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (dup2(said, STDOUT_FILENO) < 0 || dup2(said, STDERR_FILENO) < 0)
			_exit(100);
		status = corecheck_main(argc, argv);
		(void)fflush(NULL);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	len = pread(said, output, sizeof(output) - 1, 0);
	assert_true(len >= 0);
	output[len] = '\0';
	(void)close(said);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int judge(const struct fake *f, const char *extra, const char *extra_value)
{
	char path[64];
	int fd = write_core(f, path);
	int code = run_program(path, extra, extra_value);

	(void)close(fd);
	return code;
}

static void expect(enum exit_code code, const char *said)
{
	int got = judge(&fake, NULL, NULL);

	if (got != (int)code || !strstr(output, said))
		fail_msg("exit %d, not %d: %s", got, code, output);
}

#define RIGHT "corecheck: 49152 bytes in 1 chunks verified, 0 wrong, 0 missing\n"

static int setup(void **state)
{
	(void)state;
	fake_init(&fake);
	return 0;
}

static void test_sound_cores(void **state)
{
	(void)state;
	assert_int_equal(FILLED, 49152);
	expect(EXIT_ALL_RIGHT, RIGHT);
	fake.reversed = true;
	expect(EXIT_ALL_RIGHT, RIGHT);
	fake.split = true;
	expect(EXIT_ALL_RIGHT, RIGHT);
	fake.holes = true;
	expect(EXIT_ALL_RIGHT, RIGHT);
	fake.xnum = true;
	expect(EXIT_ALL_RIGHT, RIGHT);
}

/* One flipped bit anywhere in what was filled is found, and named. */
static void test_one_flipped_bit(void **state)
{
	static const uint64_t places[] = {0, 1, 4095, 4096, 20000, FILLED - 1};

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char where[32];

		fake.chunk[places[i]] ^= 0x10;
		(void)snprintf(
			where, sizeof(where), "0x%llx", (unsigned long long)(BASE + places[i]));
		expect(EXIT_WRONG, where);
		assert_non_null(strstr(output, "49151 bytes in 1 chunks verified, 1 wrong"));
		fake.chunk[places[i]] ^= 0x10;
	}
	expect(EXIT_ALL_RIGHT, RIGHT);
}

static void test_zeroed_page_is_wrong(void **state)
{
	(void)state;
	memset(fake.chunk + 3 * PAGE_BYTES, 0, PAGE_BYTES);
	fake.holes = true;
	expect(EXIT_WRONG, "wrong");
}

/* What follows the filled part: zero or right is well, anything else is not, dirty memory excepted.
 */
static void test_behind_the_filled_part(void **state)
{
	(void)state;
	fake.chunk[FILLED + 200] = 1;
	expect(EXIT_WRONG, "behind what was filled");
	fake.entries[0].flags = MANIFEST_DIRTY;
	expect(EXIT_ALL_RIGHT, RIGHT);
}

static void test_bytes_not_in_the_file(void **state)
{
	(void)state;
	fake.chunk_file_bytes = FILLED; /* the rest was never claimed */
	expect(EXIT_ALL_RIGHT, RIGHT);
	fake.chunk_file_bytes = FILLED - PAGE_BYTES;
	expect(EXIT_MISSING, "0 wrong, 4096 missing");
	fake.chunk_file_bytes = 0;
	expect(EXIT_MISSING, "0 wrong, 49152 missing");
}

static void test_memory_in_no_segment(void **state)
{
	(void)state;
	fake.entries[1] = (struct manifest_entry){
		.address = OUTSIDE, .length = PAGE_BYTES, .filled = 0, .kind = MANIFEST_PRIVATE};
	fake.entries[2] = (struct manifest_entry){
		.address = OUTSIDE + PAGE_BYTES, .length = PAGE_BYTES, .kind = MANIFEST_HOLE};
	fake.header.count = 3;
	expect(EXIT_ALL_RIGHT, RIGHT);
	fake.entries[1].filled = 10;
	expect(EXIT_MISSING, "10 bytes missing from 0x30000000");
}

/* A core that was cut off: the manifest stands last, so it is what is lost. */
static void test_truncated(void **state)
{
	(void)state;
	fake.truncate = PAGE_BYTES;
	expect(EXIT_MISSING, "entries are not all in the core");
	fake.truncate = 2 * PAGE_BYTES;
	expect(EXIT_NO_MANIFEST, "no manifest");
}

static void test_not_a_core(void **state)
{
	char path[64];
	int fd = memfd_create("empty", MFD_CLOEXEC);

	(void)state;
	fake.ident_class = ELFCLASS32;
	expect(EXIT_NOT_CORE, "not a little-endian ELF64 core");
	fake.ident_class = ELFCLASS64;
	fake.type = ET_EXEC;
	expect(EXIT_NOT_CORE, "not a little-endian ELF64 core");
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(run_program(path, NULL, NULL), EXIT_NOT_CORE);
	assert_int_equal(run_program("/nonexistent/core", NULL, NULL), EXIT_READ);
	(void)close(fd);
}

static void test_no_manifest(void **state)
{
	(void)state;
	fake.header.magic[0] ^= 1;
	expect(EXIT_NO_MANIFEST, "no manifest");
	fake_init(&fake);
	fake.header.self += PAGE_BYTES; /* a copy of one, not the one */
	expect(EXIT_NO_MANIFEST, "no manifest");
}

static void test_manifest_by_address(void **state)
{
	(void)state;
	assert_int_equal(judge(&fake, "--manifest", "0x7f00000000"), EXIT_ALL_RIGHT);
	assert_int_equal(judge(&fake, "--manifest", "0x7f00001000"), EXIT_NO_MANIFEST);
	assert_int_equal(judge(&fake, "--manifest", "0"), EXIT_USAGE);
}

/* Each of these is one contradiction. */
static void test_broken_manifests(void **state)
{
	(void)state;
	fake.header.version++;
	expect(EXIT_MANIFEST_BROKEN, "version");
	fake_init(&fake);
	fake.header.count = fake.header.capacity + 1;
	expect(EXIT_MANIFEST_BROKEN, "entries of");
	fake_init(&fake);
	fake.entries[0].filled = CHUNK + 1;
	expect(EXIT_MANIFEST_BROKEN, "contradicts itself");
	fake_init(&fake);
	fake.entries[0].kind = MANIFEST_KIND_COUNT;
	expect(EXIT_MANIFEST_BROKEN, "contradicts itself");
	fake_init(&fake);
	fake.entries[0].length = UINT64_MAX;
	expect(EXIT_MANIFEST_BROKEN, "contradicts itself");
	fake_init(&fake);
	fake.header.filled_bytes = FILLED + 1;
	expect(EXIT_MANIFEST_BROKEN, "sums");
	fake_init(&fake);
	fake.header.allocated_bytes = CHUNK + 1;
	expect(EXIT_MANIFEST_BROKEN, "sums");
	fake_init(&fake);
	fake.entries[1] = fake.entries[0]; /* two entries for the same memory */
	fake.header.count = 2;
	expect(EXIT_MANIFEST_BROKEN, "its neighbour");
	fake.entries[1].kind = MANIFEST_GONE; /* unless one was withdrawn */
	expect(EXIT_ALL_RIGHT, RIGHT);
}

static void test_secrets(void **state)
{
	(void)state;
	assert_int_equal(judge(&fake, "--no-secret", NULL), EXIT_NO_SECRET_TO_FIND);
	fake.header.secret_address = SECRETS;
	fake.header.secret_bytes = sizeof(fake.secrets);
	assert_int_equal(judge(&fake, "--no-secret", NULL), EXIT_ALL_RIGHT);
	fake.with_secrets = true; /* the region, without its content: zeros are no secret */
	assert_int_equal(judge(&fake, "--no-secret", NULL), EXIT_ALL_RIGHT);
	for (size_t i = 0; i < FILL_SECRET_BYTES; i++) /* one token at an odd place */
		fake.secrets[PAGE_BYTES - 5 + i] = fill_secret_byte(SEED, i);
	assert_int_equal(judge(&fake, "--no-secret", NULL), EXIT_SECRET);
	assert_non_null(strstr(output, "1 secrets found"));
	assert_int_equal(judge(&fake, NULL, NULL), EXIT_ALL_RIGHT);	 /* not asked for */
	fill_secret_write(SEED + 1, fake.secrets, sizeof(fake.secrets)); /* somebody else's */
	assert_int_equal(judge(&fake, "--no-secret", NULL), EXIT_ALL_RIGHT);
}

static void test_min_filled(void **state)
{
	(void)state;
	assert_int_equal(judge(&fake, "--min-filled", "49152"), EXIT_ALL_RIGHT);
	assert_int_equal(judge(&fake, "--min-filled", "49153"), EXIT_TOO_FEW);
	assert_int_equal(judge(&fake, "--min-filled", "lots"), EXIT_USAGE);
	assert_int_equal(judge(&fake, "--nosuch", NULL), EXIT_USAGE);
}

static void test_json(void **state)
{
	(void)state;
	assert_int_equal(judge(&fake, "--json", NULL), EXIT_ALL_RIGHT);
	assert_non_null(strstr(output, "{\"ok\":true,\"code\":0,\"verified_bytes\":49152,"));
	fake.chunk[0] ^= 1;
	assert_int_equal(judge(&fake, "--json", NULL), EXIT_WRONG);
	assert_non_null(strstr(output, "{\"ok\":false,\"code\":1,\"verified_bytes\":49151,"));
	assert_non_null(strstr(output, "\"wrong_bytes\":1,"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_sound_cores, setup),
		cmocka_unit_test_setup(test_one_flipped_bit, setup),
		cmocka_unit_test_setup(test_zeroed_page_is_wrong, setup),
		cmocka_unit_test_setup(test_behind_the_filled_part, setup),
		cmocka_unit_test_setup(test_bytes_not_in_the_file, setup),
		cmocka_unit_test_setup(test_memory_in_no_segment, setup),
		cmocka_unit_test_setup(test_truncated, setup),
		cmocka_unit_test_setup(test_not_a_core, setup),
		cmocka_unit_test_setup(test_no_manifest, setup),
		cmocka_unit_test_setup(test_manifest_by_address, setup),
		cmocka_unit_test_setup(test_broken_manifests, setup),
		cmocka_unit_test_setup(test_secrets, setup),
		cmocka_unit_test_setup(test_min_filled, setup),
		cmocka_unit_test_setup(test_json, setup),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("leaker_corecheck", tests, NULL, NULL);
}
