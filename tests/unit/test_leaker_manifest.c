// SPDX-License-Identifier: Apache-2.0
/*
 * The manifest: its format, the order in which it claims and disclaims, its limits, many writers.
 */
#include "leaker/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define WRITERS 4
#define PER_WRITER 3000

static int setup(void **state)
{
	static struct manifest m;

	*state = &m;
	return manifest_init(&m, 42);
}

static int teardown(void **state)
{
	manifest_deinit(*state);
	manifest_deinit(*state); /* twice is harmless */
	return 0;
}

static void test_header(void **state)
{
	struct manifest *m = *state;
	const struct manifest_header *h = m->header;

	assert_memory_equal(h->magic, "oomsnap-manifest", MANIFEST_MAGIC_BYTES);
	assert_int_equal((uintptr_t)h % MANIFEST_PAGE_BYTES, 0);
	assert_int_equal(h->self, (uintptr_t)h);
	assert_int_equal(h->version, MANIFEST_VERSION);
	assert_int_equal(h->header_bytes, 112);
	assert_int_equal(h->entry_bytes, 32);
	assert_int_equal(h->pid, getpid());
	assert_int_equal(h->seed, 42);
	assert_int_equal(h->entries, (uintptr_t)m->entries);
	assert_int_equal(h->count, 0);
	assert_int_equal(h->secret_address, 0);
}

static void test_publish_and_fill(void **state)
{
	struct manifest *m = *state;
	struct manifest_entry *e = manifest_publish(m, 0x1000, 0x3000, MANIFEST_SHARED, 0);

	assert_ptr_equal(e, m->entries);
	assert_int_equal(e->address, 0x1000);
	assert_int_equal(e->length, 0x3000);
	assert_int_equal(e->filled, 0);
	assert_int_equal(e->kind, MANIFEST_SHARED);
	assert_int_equal(m->header->count, 1);
	assert_int_equal(m->header->allocated_bytes, 0x3000);
	manifest_set_filled(e, 0x1000);
	manifest_add_filled(m, 0x1000);
	assert_int_equal(e->filled, 0x1000);
	assert_int_equal(m->header->filled_bytes, 0x1000);
	/* a hole is recorded, and is no memory */
	assert_non_null(manifest_publish(m, 0x9000, 0x3000, MANIFEST_HOLE, 0));
	assert_int_equal(m->header->allocated_bytes, 0x3000);
}

static void test_retract(void **state)
{
	struct manifest *m = *state;
	struct manifest_entry *e = manifest_publish(m, 0x1000, 0x3000, MANIFEST_PRIVATE, 0);

	manifest_retract(m, NULL);
	manifest_retract(m, e);
	assert_int_equal(e->kind, MANIFEST_GONE);
	assert_int_equal(m->header->allocated_bytes, 0);
	assert_int_equal(m->header->count, 1);
}

static void test_kept_entries_stay(void **state)
{
	struct manifest *m = *state;
	struct manifest_entry *kept = manifest_publish(m, 0x1000, 0x2000, MANIFEST_PROTNONE, 0);
	struct manifest_entry *other;

	manifest_set_filled(kept, 0x1000);
	manifest_add_filled(m, 0x1000);
	manifest_keep(m);
	other = manifest_publish(m, 0x8000, 0x4000, MANIFEST_PRIVATE, 0);
	manifest_set_filled(other, 0x4000);
	manifest_add_filled(m, 0x4000);

	manifest_disclaim(m);
	assert_int_equal(m->header->count, 2); /* addresses can still be read */
	assert_int_equal(other->filled, 0);
	assert_int_equal(other->address, 0x8000);
	assert_int_equal(kept->filled, 0x1000);
	assert_int_equal(m->header->filled_bytes, 0x1000);
	assert_int_equal(m->header->allocated_bytes, 0x2000);
	manifest_truncate(m);
	assert_int_equal(m->header->count, 1);
}

/* The last entry is usable, one more is refused and counted. */
static void test_capacity(void **state)
{
	struct manifest *m = *state;
	struct manifest_entry *last = NULL;

	for (uint64_t i = 0; i < MANIFEST_CAPACITY; i++) {
		last = manifest_publish(m, i << 12, 4096, MANIFEST_PRIVATE, 0);
		if (!last)
			fail_msg("entry %llu was refused", (unsigned long long)i);
	}
	assert_ptr_equal(last, m->entries + MANIFEST_CAPACITY - 1);
	assert_null(manifest_publish(m, UINT64_C(1) << 40, 4096, MANIFEST_PRIVATE, 0));
	assert_int_equal(m->header->count, MANIFEST_CAPACITY);
	assert_int_equal(m->header->unrecorded_bytes, 4096);
	assert_int_equal(m->header->allocated_bytes, MANIFEST_CAPACITY * 4096);
	manifest_disclaim(m);
	manifest_truncate(m);
	assert_int_equal(m->header->unrecorded_bytes, 0);
	assert_non_null(manifest_publish(m, 0, 4096, MANIFEST_PRIVATE, 0));
}

struct writer {
	struct manifest *m;
	uint64_t number;
};

static void *write_entries(void *arg)
{
	const struct writer *w = arg;

	for (uint64_t i = 0; i < PER_WRITER; i++) {
		uint64_t address = (w->number << 32) + (i << 12);
		struct manifest_entry *e =
			manifest_publish(w->m, address, 4096, MANIFEST_PRIVATE, 0);

		manifest_set_filled(e, 4096);
		manifest_add_filled(w->m, 4096);
	}
	return NULL;
}

static void test_many_writers(void **state)
{
	struct manifest *m = *state;
	pthread_t threads[WRITERS];
	struct writer writers[WRITERS];
	uint64_t seen[WRITERS] = {0};

	for (uint64_t i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){.m = m, .number = i};
		assert_int_equal(pthread_create(&threads[i], NULL, write_entries, &writers[i]), 0);
	}
	for (size_t i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(m->header->count, WRITERS * PER_WRITER);
	assert_int_equal(m->header->filled_bytes, WRITERS * PER_WRITER * 4096);
	for (uint64_t i = 0; i < m->header->count; i++) {
		uint64_t number = m->entries[i].address >> 32;

		/* none is lost or doubled: each writer's come in its own order */
		assert_int_equal((m->entries[i].address & 0xffffffff) >> 12, seen[number]);
		seen[number]++;
		assert_int_equal(m->entries[i].filled, 4096);
	}
}

static void test_child_starts_empty(void **state)
{
	struct manifest *m = *state;
	int status;
	pid_t pid;

	assert_non_null(manifest_publish(m, 0x1000, 4096, MANIFEST_PRIVATE, 0));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		manifest_after_fork(m);
		_exit(m->header->count == 0 && m->header->pid == getpid() &&
					m->header->allocated_bytes == 0 &&
					manifest_publish(m, 0x2000, 4096, MANIFEST_PRIVATE, 0)
				? 0
				: 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(m->header->count, 1);
	assert_int_equal(m->entries[0].address, 0x1000);
}

static void test_kind_names(void **state)
{
	(void)state;
	assert_string_equal(manifest_kind_name(MANIFEST_GONE), "gone");
	assert_string_equal(manifest_kind_name(MANIFEST_PROTNONE), "protnone");
	assert_string_equal(manifest_kind_name(MANIFEST_KIND_COUNT), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_header, setup, teardown),
		cmocka_unit_test_setup_teardown(test_publish_and_fill, setup, teardown),
		cmocka_unit_test_setup_teardown(test_retract, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept_entries_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_capacity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_writers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_child_starts_empty, setup, teardown),
		cmocka_unit_test(test_kind_names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("leaker_manifest", tests, NULL, NULL);
}
