// SPDX-License-Identifier: Apache-2.0
/*
 * Registers that change hands in the place of their threads. See registers.h for the contract.
 *
 * Every set is read straight to where it stays, one behind the other, and the zeros at its end are
 * given up: of the 11 KiB of a processor with AMX that is all but 2.7 KiB as long as a thread does
 * not multiply matrices.
 *
 * The reader is in another process, which must survive whatever it finds: each length and place is
 * held against the room that there is, and a thread id against what the kernel gives out.
 *
 * Limits: a thread that is killed while it is read, or stands no more, is as one that never stood.
 */
#include "os/registers.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"

#define SET_ALIGN 16U

static uint32_t type_of(size_t slot)
{
	return slot ? arch_regsets[slot - 1].type : NT_PRSTATUS;
}

/* --- by who holds -------------------------------------------------------------------------- */

/* *used: of r->bytes. False: no room for it. */
static bool take_set(
	struct registers *r, uint32_t *used, pid_t tid, size_t slot, struct registers_set *ret)
{
	unsigned char *at;
	size_t len = 0;
	size_t stored;

	*ret = (struct registers_set){.at = *used};
	if (*used > REGISTERS_ROOM_BYTES)
		return false;
	at = r->bytes + *used;
	if (ptrace_registers(tid, type_of(slot), at, ARCH_REGSET_MAX_BYTES, &len))
		return true; /* this processor has no such set, or the thread is dying */
	if (slot)
		len = arch_regset_bytes(slot - 1, at, len);
	stored = len;
	while (stored && !at[stored - 1])
		stored--;
	ret->len = (uint32_t)len;
	ret->stored = (uint32_t)stored;
	*used += (uint32_t)((stored + SET_ALIGN - 1) / SET_ALIGN * SET_ALIGN);
	return true;
}

static bool take_thread(
	struct registers *r, uint32_t count, uint32_t *used, const struct ptrace_thread *t)
{
	struct registers_thread *to;

	if (count == REGISTERS_THREADS_MAX)
		return false;
	to = &r->threads[count];
	memset(to, 0, sizeof(*to));
	to->tid = t->tid;
	to->state = t->state;
	if (t->state == PTRACE_THREAD_STOPPED) {
		for (size_t slot = 0; slot <= arch_regset_count; slot++)
			if (!take_set(r, used, t->tid, slot, &to->sets[slot]))
				return false;
		if (ptrace_blocked(t->tid, &to->blocked))
			to->blocked = 0; /* as for a thread of which nothing is known */
	}
	return true;
}

int registers_read(struct registers *r, const struct ptrace_set *set, uint16_t mark, pid_t pid)
{
	uint32_t used = 0; /* counted here: who reads it shares the memory */
	uint32_t count = 0;
	bool stands = false;

	r->count = r->used = 0;
	for (uint32_t i = 0; i < set->count; i++) {
		const struct ptrace_thread *t = &set->threads[i];

		if (t->mark != mark || t->pid != pid)
			continue;
		if (!take_thread(r, count, &used, t))
			return REGISTERS_FULL;
		count++;
		stands |= t->state == PTRACE_THREAD_STOPPED;
	}
	r->count = count;
	r->used = used;
	return stands ? 0 : REGISTERS_NONE;
}

/* --- by who writes the core ---------------------------------------------------------------- */

int registers_protect(struct registers *r)
{
	return mprotect(r, sizeof(*r), PROT_READ) < 0 ? -errno : 0;
}

int registers_list(const struct registers *r, struct ptrace_set *set)
{
	uint32_t count = (uint32_t)min_u64(r->count, min_u64(REGISTERS_THREADS_MAX, set->max));
	uint32_t late = 0;

	set->registers = r;
	set->count = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct ptrace_thread t = {.tid = r->threads[i].tid,
			.state = (uint8_t)min_u64(
				r->threads[i].state, PTRACE_THREAD_STATE_COUNT - 1)};

		if (t.tid <= 0 || (uint32_t)t.tid >= PTRACE_TID_LIMIT)
			return -EPROTO;
		late += t.state == PTRACE_THREAD_WAITING;
		set->threads[set->count++] = t;
	}
	return !set->count ? PTRACE_GONE : late ? PTRACE_LATE : 0;
}

static const struct registers_set *find(const struct registers_thread *t, uint32_t type)
{
	for (size_t slot = 0; slot <= arch_regset_count; slot++)
		if (type_of(slot) == type)
			return &t->sets[slot];
	return NULL;
}

int registers_get(const struct ptrace_set *set, uint32_t i, uint32_t type, void *buffer,
	size_t size, size_t *ret_len)
{
	const struct registers *r = set->registers;
	const struct registers_set *found;
	struct registers_set s;
	size_t len;

	if (!r)
		return ptrace_registers(set->threads[i].tid, type, buffer, size, ret_len);
	found = i < REGISTERS_THREADS_MAX ? find(&r->threads[i], type) : NULL;
	if (!found)
		return -EINVAL;
	s = *found; /* once: what is tested is what is used */
	if (!s.len)
		return type == NT_PRSTATUS ? PTRACE_GONE : -ENODEV;
	if (s.len > ARCH_REGSET_MAX_BYTES || s.stored > s.len || s.at > REGISTERS_ROOM_BYTES)
		return -EPROTO;
	len = min_u64(s.len, size);
	memset(buffer, 0, len);
	memcpy(buffer, r->bytes + s.at, min_u64(s.stored, len));
	*ret_len = len;
	return 0;
}

int registers_blocked(const struct ptrace_set *set, uint32_t i, uint64_t *ret)
{
	if (!set->registers)
		return ptrace_blocked(set->threads[i].tid, ret);
	if (i >= REGISTERS_THREADS_MAX)
		return PTRACE_GONE;
	*ret = set->registers->threads[i].blocked;
	return 0;
}
