/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pressure trigger of the kernel (Documentation/accounting/psi.rst): a descriptor on which poll()
 * reports EPOLLPRI when tasks have waited for memory for a share of a window. It calls for a look
 * and measures nothing: at most one event a window comes.
 */
#ifndef OOMSNAP_OS_PSI_H
#define OOMSNAP_OS_PSI_H

#include <stdint.h>

#define PSI_SOURCES(X)                                            \
	X(TARGET, "target")   /* memory.pressure of the cgroup */ \
	X(MACHINE, "machine") /* /proc/pressure/memory */         \
	X(NONE, "none")	      /* no trigger: polling alone */
#define X(id, name) PSI_##id,
enum psi_source { PSI_SOURCES(X) PSI_SOURCE_COUNT };
#undef X

/*
 * 150 ms of waiting, as "some" of the tasks have it: systemd's own default is 200 ms in 2 s, and we
 * only look. In a window of 1 s; without CAP_SYS_RESOURCE the kernel takes multiples of 2 s alone.
 */
#define PSI_STALL_US 150000U
#define PSI_WINDOW_US 1000000U
#define PSI_WINDOW_UNPRIVILEGED_US 2000000U

#define PSI_MACHINE_PATH "/proc/pressure/memory"

struct psi_trigger {
	int fd; /* owned by the caller; -1 with PSI_NONE; closing it ends the trigger */
	enum psi_source source;
	uint32_t window_us; /* 0 with PSI_NONE */
	int error;	    /* of the last place that was refused: negative errno; 0: none was */
};

/*
 * Opens a trigger for the cgroup at dir_fd (-1: none, as on cgroup v1), or else for the machine at
 * machine_path (PSI_MACHINE_PATH; tests name another), or none: refusals are answers here, the
 * last of them in ret->error. Usual ones: -ENOENT (no PSI in this kernel or this cgroup),
 * -EOPNOTSUPP (psi=0, cgroup v1), -EPERM, -EACCES, -EROFS (in a container), -EXDEV (what is called
 * memory.pressure there lies on no cgroup file system: never written to).
 */
void psi_open(int dir_fd, const char *machine_path, struct psi_trigger *ret);

/* "target", "machine", "none"; "?" for a value out of range. */
const char *psi_source_name(enum psi_source v);

#endif
