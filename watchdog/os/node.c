// SPDX-License-Identifier: Apache-2.0
/*
 * The machine's own shortage. See node.h for the contract.
 *
 * Read once a second while anything is in force. MemAvailable counts what could be reclaimed, so
 * that a page cache full of clean files is no shortage; pressure tells of a machine that only just
 * keeps up with reclaiming.
 */
#include "os/node.h"

#include <fcntl.h>
#include <string.h>

#include "base/checked.h"
#include "os/fd.h"
#include "parse/memcg.h"

#define MEMINFO_TEXT_MAX 4096
#define PRESSURE_TEXT_MAX 256

/* "Key:     123 kB" in kB. */
static bool meminfo_kib(const char *text, unsigned long len, const char *key, uint64_t *ret)
{
	size_t key_len = strlen(key);

	for (size_t at = 0; at + key_len < len; at++) {
		uint64_t value = 0;

		if ((at > 0 && text[at - 1] != '\n') || memcmp(text + at, key, key_len) != 0)
			continue;
		at += key_len;
		while (at < len && text[at] == ' ')
			at++;
		if (at == len || text[at] < '0' || text[at] > '9')
			return false;
		for (; at < len && text[at] >= '0' && text[at] <= '9'; at++)
			value = add_sat(mul_div(value, 10, 1), (uint64_t)(text[at] - '0'));
		*ret = value;
		return true;
	}
	return false;
}

bool node_is_short_in(const char *meminfo, unsigned long meminfo_len, const char *pressure,
	unsigned long pressure_len)
{
	struct psi_averages psi;
	uint64_t available;
	uint64_t total;

	if (meminfo_kib(meminfo, meminfo_len, "MemTotal:", &total) &&
		meminfo_kib(meminfo, meminfo_len, "MemAvailable:", &available) &&
		available < share_bp(total, NODE_AVAILABLE_BP))
		return true;
	return pressure && parse_psi(pressure, pressure_len, &psi) &&
		psi.full_avg10_bp >= NODE_PRESSURE_BP;
}

bool node_is_short(void)
{
	char meminfo[MEMINFO_TEXT_MAX];
	char pressure[PRESSURE_TEXT_MAX];
	ssize_t m = fd_read_text_at(AT_FDCWD, "/proc/meminfo", meminfo, sizeof(meminfo));
	ssize_t p = fd_read_text_at(AT_FDCWD, "/proc/pressure/memory", pressure, sizeof(pressure));

	return node_is_short_in(meminfo, m > 0 ? (unsigned long)m : 0, p > 0 ? pressure : NULL,
		p > 0 ? (unsigned long)p : 0);
}
