// SPDX-License-Identifier: Apache-2.0
/*
 * The tripwire without a kernel that runs it: what the compiler of the programs says of the wire
 * structs is what ours says, and a process without rights is told so in a sentence. Programs that
 * run are the business of tests/system/tripwire.bats.
 */
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <grp.h>
#include <linux/types.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bpf/wire.h"
#include "os/bpf.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "tripwire.skel.h"
#pragma GCC diagnostic pop

#define NOBODY 65534

struct field {
	const char *name;
	size_t offset;
};

#define FIELD(type, member)                            \
	{                                              \
#member, offsetof(struct type, member) \
	}

static const struct field target_fields[] = {
	FIELD(wire_target, cgroup_id),
	FIELD(wire_target, threshold_pages),
	FIELD(wire_target, reclaim_pages),
	FIELD(wire_target, notice_pages),
	FIELD(wire_target, stops),
	FIELD(wire_target, repeats),
	FIELD(wire_target, flags),
	FIELD(wire_target, told),
	FIELD(wire_target, looks),
	FIELD(wire_target, reserved),
};

static const struct field stop_fields[] = {
	FIELD(wire_stop, key),
	FIELD(wire_stop, start_boottime_ns),
	FIELD(wire_stop, time_ns),
	FIELD(wire_stop, usage_pages),
	FIELD(wire_stop, ip),
	FIELD(wire_stop, pid),
	FIELD(wire_stop, tgid),
	FIELD(wire_stop, target),
	FIELD(wire_stop, hook),
	FIELD(wire_stop, state),
	FIELD(wire_stop, reserved),
};

static const struct field state_fields[] = {
	FIELD(wire_state, closed),
	FIELD(wire_state, generation),
	FIELD(wire_state, targets),
	FIELD(wire_state, nodes),
	FIELD(wire_state, pid_ns),
	FIELD(wire_state, owner),
	FIELD(wire_state, look_pages),
	FIELD(wire_state, reserved),
	FIELD(wire_state, drops),
	FIELD(wire_state, target),
	FIELD(wire_state, stop),
};

static const struct field record_fields[] = {
	FIELD(wire_record, time_ns),
	FIELD(wire_record, cgroup_id),
	FIELD(wire_record, usage_pages),
	FIELD(wire_record, start_boottime_ns),
	FIELD(wire_record, ip),
	FIELD(wire_record, pid),
	FIELD(wire_record, tgid),
	FIELD(wire_record, target),
	FIELD(wire_record, kind),
	FIELD(wire_record, hook),
	FIELD(wire_record, reserved),
};

static void check_struct(const struct btf *btf, const char *name, size_t size,
	const struct field *fields, size_t count)
{
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);
	const struct btf_type *type;
	const struct btf_member *members;

	assert_true(id > 0);
	type = btf__type_by_id(btf, (uint32_t)id);
	members = btf_members(type);
	assert_int_equal(type->size, size);
	assert_int_equal(btf_vlen(type), count);
	for (uint32_t i = 0; i < count; i++) {
		assert_string_equal(btf__name_by_offset(btf, members[i].name_off), fields[i].name);
		assert_int_equal(btf_member_bit_offset(type, i), fields[i].offset * 8);
	}
}

#define CHECK_STRUCT(btf, type, fields) \
	check_struct(btf, #type, sizeof(struct type), fields, sizeof(fields) / sizeof((fields)[0]))

static void test_both_sides_lay_out_alike(void **state)
{
	struct tripwire_bpf *skeleton = tripwire_bpf__open();
	const struct btf *btf;

	(void)state;
	assert_non_null(skeleton);
	btf = bpf_object__btf(skeleton->obj);
	assert_non_null(btf);
	CHECK_STRUCT(btf, wire_target, target_fields);
	CHECK_STRUCT(btf, wire_stop, stop_fields);
	CHECK_STRUCT(btf, wire_state, state_fields);
	CHECK_STRUCT(btf, wire_record, record_fields);
	tripwire_bpf__destroy(skeleton);
}

static void test_places_are_powers_of_two(void **state)
{
	(void)state;
	/* Programs bound an index with a mask. */
	assert_int_equal(WIRE_TARGETS_MAX & (WIRE_TARGETS_MAX - 1), 0);
	assert_int_equal(WIRE_STOPS_MAX & (WIRE_STOPS_MAX - 1), 0);
	assert_int_equal(WIRE_RING_BYTES & (WIRE_RING_BYTES - 1), 0);
	assert_int_equal(WIRE_RING_BYTES % (uint64_t)sysconf(_SC_PAGESIZE), 0);
}

/* In a child: exit status 0 if the refusal is what it should be. */
static int open_as_nobody(void)
{
	struct tripwire *t = NULL;
	char why[TRIPWIRE_WHY_MAX] = "";
	int r;

	if (getuid() == 0 &&
		(setgroups(0, NULL) != 0 || setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
		return 10;
	r = tripwire_open(&t, why, sizeof(why));
	if (r != TRIPWIRE_UNAVAILABLE || t)
		return 11;
	if (strlen(why) < 20 || strlen(why) >= TRIPWIRE_WHY_MAX - 1 || strchr(why, '\n'))
		return 12;
	/* Either it is our rights, or this kernel could not do it for anybody. */
	if (!strstr(why, "CAP_BPF") && !strstr(why, "kernel") && !strstr(why, "lockdown"))
		return 13;
	return 0;
}

static void test_without_rights_it_says_so(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(open_as_nobody());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(tripwire_event_kind_name(TRIPWIRE_STOPPED), "stopped");
	assert_string_equal(tripwire_event_kind_name(TRIPWIRE_MOVED), "moved");
	assert_string_equal(tripwire_event_kind_name((enum tripwire_event_kind)0), "?");
	assert_string_equal(
		tripwire_event_kind_name((enum tripwire_event_kind)(TRIPWIRE_MOVED + 1)), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_sides_lay_out_alike),
		cmocka_unit_test(test_places_are_powers_of_two),
		cmocka_unit_test(test_without_rights_it_says_so),
		cmocka_unit_test(test_names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
