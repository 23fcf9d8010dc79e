// SPDX-License-Identifier: Apache-2.0
/*
 * Our rights. See privilege.h for the contract.
 *
 * capget(2) by its raw system call, because libcap would be one more library for one bit.
 */
#include "os/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/fd.h"

bool privilege_has(int capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

	if (syscall(SYS_capget, &header, data) != 0)
		return false;
	return (data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
}

bool privilege_initial_namespace(void)
{
	char text[128];
	ssize_t n = fd_read_text_at(AT_FDCWD, "/proc/self/uid_map", text, sizeof(text) - 1);

	if (n <= 0)
		return n == -ENOENT; /* a kernel without user namespaces */
	text[n] = '\0';
	return strstr(text, " 4294967295") != NULL;
}

bool privilege_may_trace(pid_t pid)
{
	char byte;
	struct iovec local = {.iov_base = &byte, .iov_len = 1};
	struct iovec remote = {.iov_base = NULL, .iov_len = 1};

	/* Nobody maps page 0 (vm.mmap_min_addr): EFAULT means that the check before it passed. */
	return process_vm_readv(pid, &local, 1, &remote, 1, 0) >= 0 || errno == EFAULT;
}
