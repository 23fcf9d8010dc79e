// SPDX-License-Identifier: Apache-2.0
/*
 * Loading of the tripwire's programs. See bpf_load.h for the contract.
 *
 * Which of the programs a host takes is found out by trying: kernels differ in functions and
 * tracepoints, and some refuse trampolines (fentry, fexit) altogether. All programs are loaded at
 * once; if that is refused, without the trampolines; and only if that is refused too, each is tried
 * alone and those that passed are loaded together. A load takes some 150 ms, most of it for reading
 * the kernel's BTF.
 *
 * libbpf's own messages are suppressed; what they would say is put into one sentence from errno and
 * from what the host shows (BTF, lockdown). Nothing is attached here, and nothing pinned.
 */
#include "os/bpf_load.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "os/fd.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#include "tripwire.skel.h" /* generated: its style is bpftool's */
#pragma GCC diagnostic pop

#define LOCKDOWN_TEXT_MAX 256 /* "none [integrity] confidentiality" */
#define HOOK_BIT(hook) (1U << (hook))
#define ALL_HOOKS (HOOK_BIT(WIRE_HOOK_COUNT) - HOOK_BIT(WIRE_HOOK_CHARGE))
#define TRAMPOLINES \
	(HOOK_BIT(WIRE_HOOK_CHARGE) | HOOK_BIT(WIRE_HOOK_MEMCG) | HOOK_BIT(WIRE_HOOK_OOM))

static const struct program_row {
	const char *program; /* in bpf/tripwire.bpf.c */
	const char *hook;
} program_rows[WIRE_HOOK_COUNT] = {
	[WIRE_HOOK_NONE] = {NULL, "none"},
	[WIRE_HOOK_CHARGE] = {"trip_charge", "fexit/page_counter_try_charge"},
	[WIRE_HOOK_MEMCG] = {"trip_memcg", "fexit/try_charge_memcg"},
	[WIRE_HOOK_PAGE] = {"trip_page", "tp_btf/mm_page_alloc"},
	[WIRE_HOOK_RSS] = {"trip_rss", "tp_btf/rss_stat"},
	[WIRE_HOOK_RECLAIM] = {"trip_reclaim", "tp_btf/mm_vmscan_memcg_reclaim_begin"},
	[WIRE_HOOK_OOM] = {"trip_oom", "fentry/mem_cgroup_out_of_memory"},
	[WIRE_HOOK_VICTIM] = {"trip_victim", "tp_btf/mark_victim"},
	[WIRE_HOOK_FORK] = {"trip_fork", "tp_btf/sched_process_fork"},
	[WIRE_HOOK_EXEC] = {"trip_exec", "tp_btf/sched_process_exec"},
	[WIRE_HOOK_MOVE] = {"trip_move", "tp_btf/cgroup_attach_task"},
	[WIRE_HOOK_EXIT] = {"trip_exit", "tp_btf/sched_process_exit"},
};

const char *bpf_load_hook_name(uint32_t hook)
{
	return hook < WIRE_HOOK_COUNT ? program_rows[hook].hook : "?";
}

static int say_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static struct bpf_program *program_of(const struct tripwire_bpf *skeleton, uint32_t hook)
{
	return bpf_object__find_program_by_name(skeleton->obj, program_rows[hook].program);
}

/* Loads the programs of these hooks. 0 and the skeleton, or -errno. */
static int load(uint32_t hooks, struct tripwire_bpf **ret)
{
	struct tripwire_bpf *skeleton = tripwire_bpf__open();
	int r;

	if (!skeleton)
		return -errno;
	for (uint32_t hook = WIRE_HOOK_CHARGE; hook < WIRE_HOOK_COUNT; hook++)
		(void)bpf_program__set_autoload(
			program_of(skeleton, hook), (hooks & HOOK_BIT(hook)) != 0);
	r = tripwire_bpf__load(skeleton);
	if (r != 0) {
		tripwire_bpf__destroy(skeleton);
		return r;
	}
	*ret = skeleton;
	return 0;
}

/*
 * Those of the hooks whose programs this kernel takes; *ret_error is of the last that it does not.
 * A refusal of the first by EPERM is one of their kind, and the others need not be asked for.
 */
static uint32_t find_loadable(uint32_t hooks, int *ret_error)
{
	uint32_t good = 0;

	for (uint32_t hook = WIRE_HOOK_CHARGE; hook < WIRE_HOOK_COUNT; hook++) {
		struct tripwire_bpf *alone = NULL;
		int r;

		if (!(hooks & HOOK_BIT(hook)))
			continue;
		r = load(HOOK_BIT(hook), &alone);
		if (r == 0) {
			tripwire_bpf__destroy(alone);
			good |= HOOK_BIT(hook);
			continue;
		}
		*ret_error = r;
		if (r == -EPERM && good == 0)
			break;
	}
	return good;
}

/*
 * Loads what can be loaded. Most kernels take all, some everything but trampolines; only for others
 * each program is tried. 0 or -errno.
 */
static int load_most(struct tripwire_bpf **ret, int *ret_error)
{
	uint32_t hooks = ALL_HOOKS;
	int r = load(hooks, ret);

	if (r == 0 || r == -ENOMEM || r == -ENOSYS)
		return r;
	*ret_error = r;
	hooks = find_loadable(TRAMPOLINES, ret_error) | (ALL_HOOKS & ~TRAMPOLINES);
	r = load(hooks, ret);
	if (r == 0)
		return 0;
	*ret_error = r;
	hooks = (hooks & TRAMPOLINES) | find_loadable(ALL_HOOKS & ~TRAMPOLINES, ret_error);
	return hooks ? load(hooks, ret) : *ret_error;
}

int bpf_load_all(struct bpf_load *ret, int *ret_error)
{
	libbpf_print_fn_t before = libbpf_set_print(say_nothing);
	int r;

	*ret_error = 0;
	r = load_most(&ret->skeleton, ret_error);
	(void)libbpf_set_print(before);
	if (r != 0)
		return r;
	ret->shared = &ret->skeleton->bss->trip_state;
	ret->index_fd = bpf_map__fd(ret->skeleton->maps.trip_index);
	ret->ring_fd = bpf_map__fd(ret->skeleton->maps.trip_ring);
	for (uint32_t hook = 0; hook < WIRE_HOOK_COUNT; hook++) {
		const struct bpf_program *program =
			hook == WIRE_HOOK_NONE ? NULL : program_of(ret->skeleton, hook);

		ret->program_fd[hook] = program ? bpf_program__fd(program) : -1;
		if (ret->program_fd[hook] < 0)
			ret->program_fd[hook] = -1;
	}
	return 0;
}

void bpf_load_free(struct bpf_load *l)
{
	tripwire_bpf__destroy(l->skeleton);
	l->skeleton = NULL;
}

void bpf_load_leave(struct bpf_load *l)
{
	struct bpf_map *map;
	int fd;

	for (uint32_t hook = 0; hook < WIRE_HOOK_COUNT; hook++)
		cleanup_close(&l->program_fd[hook]);
	bpf_object__for_each_map(map, l->skeleton->obj)
	{
		fd = bpf_map__fd(map);
		cleanup_close(&fd);
	}
	fd = btf__fd(bpf_object__btf(l->skeleton->obj));
	cleanup_close(&fd);
}

/* --- what is known of the host ---------------------------------------------------------------- */

static bool file_has(const char *path, const char *what)
{
	char text[LOCKDOWN_TEXT_MAX];
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : fd_read_text(fd, text, sizeof(text) - 1);

	if (n < 0)
		return false;
	text[n] = '\0';
	return strstr(text, what) != NULL;
}

void bpf_load_explain(int error, char *why, size_t size)
{
	struct str s;

	str_init(&s, why, size);
	if (error == -ENOSYS)
		(void)str_add(
			&s, "the kernel has no bpf(2): one with CONFIG_BPF_SYSCALL is needed");
	else if (access("/sys/kernel/btf/vmlinux", R_OK) != 0)
		(void)str_add(&s,
			"the kernel does not tell its types (/sys/kernel/btf/vmlinux): one "
			"with CONFIG_DEBUG_INFO_BTF is needed, and /sys in this container");
	else if (file_has("/sys/kernel/security/lockdown", "[confidentiality]"))
		(void)str_add(&s,
			"lockdown=confidentiality forbids programs that read kernel "
			"memory: boot with lockdown=integrity or none");
	else if (error == -EPERM || error == -EACCES)
		(void)str_add(&s,
			"the kernel refuses BPF programs to this process: give it CAP_BPF "
			"and CAP_PERFMON (or CAP_SYS_ADMIN), and a seccomp profile that "
			"allows bpf(2)");
	else
		(void)str_addf(&s,
			"no program that watches memory charges could be loaded and "
			"attached (%s): Linux 5.15 or later with memory cgroups is needed",
			strerror(-error));
}
