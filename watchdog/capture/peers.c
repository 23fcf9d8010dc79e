// SPDX-License-Identifier: Apache-2.0
/*
 * Shared memory through the page tables of those who share it. See peers.h for the contract.
 *
 * A fork does not copy the page tables of shared memory: a child that has not touched such a page
 * yet has none, while its parent has. The page exists all the same, and reading it through the
 * child would be no different from making it. So each process of the target that maps the same
 * object (device and inode) is asked for its page tables, and a page that one of them has is read
 * there.
 *
 * Who belongs to the target is told by /proc/PID/cgroup, which must read the same: so a sidecar
 * finds them that has no path to their control group.
 *
 * Without a pagemap (another user's may not be opened) smaps tells at least whether all pages of a
 * mapping are there: then it is as good, else it is none.
 *
 * Refuses: System V segments, whose inode is an id that another name space may have given to
 * something else. Limits: what nobody of these has mapped any more may be there or not, and the
 * core is partial. One mapping of the object is looked at in each process, and PEERS_MAX processes.
 * In a hold of a whole control group they stand still like the one that is captured; else they run,
 * as they do where the object is read by itself. One that has moved its mapping meanwhile, and may
 * have had something else there, makes the core partial.
 */
#include "capture/peers.h"

#include <string.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "capture/plan.h"
#include "os/lines.h"
#include "os/proc.h"

#define GROUP_BYTES 4096U /* of /proc/PID/cgroup: a line for each hierarchy */

struct search {
	struct peers *peers;
	const struct region *region;
	char *buffer;
	size_t buffer_bytes;
	char group[GROUP_BYTES];
	size_t group_len;
};

/* Its mapping of the object: the first one, or, without a pagemap, the first that is all there. */
static bool find_mapping(const struct search *search, int proc_fd, struct peer *peer)
{
	const struct region *r = search->region;
	bool blind = peer->pages.method == PAGES_BLIND;
	_cleanup_close_ int fd = -1;
	struct lines lines;
	const char *line;
	size_t len;
	bool found = false;

	if (proc_open_file(proc_fd, blind ? "smaps" : "maps", &fd))
		return false;
	lines_init(&lines, fd, search->buffer, search->buffer_bytes);
	while (lines_next(&lines, &line, &len)) {
		struct maps_entry e;
		uint64_t bytes;

		if (found && maps_size(line, len, "Rss", &bytes) &&
			bytes == peer->end - peer->start)
			return true;
		if (!maps_line(line, len, &e))
			continue;
		found = e.inode == r->inode && e.major == r->major && e.minor == r->minor &&
			e.prot & MAPS_SHARED && !region_is_sysv(&e);
		if (!found)
			continue;
		peer->start = e.start;
		peer->end = e.end;
		peer->offset_bytes = e.offset_bytes;
		if (!blind)
			return true;
	}
	return false;
}

static bool is_of_group(const struct search *search, int proc_fd)
{
	char group[GROUP_BYTES];
	size_t len;

	return proc_read(proc_fd, "cgroup", group, sizeof(group), &len) == 0 &&
		len == search->group_len && memcmp(group, search->group, len) == 0;
}

static bool on_process(void *user, pid_t pid)
{
	struct search *search = user;
	struct peers *peers = search->peers;
	struct peer *peer = &peers->peer[peers->count];
	_cleanup_close_ int fd = -1;

	if (pid == peers->plan->stat.pid || proc_open(pid, &fd) || !is_of_group(search, fd) ||
		pages_open(&peer->pages, pid, fd))
		return true;
	if (!find_mapping(search, fd, peer)) {
		pages_close(&peer->pages);
		return true;
	}
	peer->proc_fd = take_fd(&fd);
	peers->count++;
	return peers->count < PEERS_MAX;
}

void peers_close(struct peers *peers)
{
	for (uint32_t i = 0; i < peers->count; i++) {
		pages_close(&peers->peer[i].pages);
		cleanup_close(&peers->peer[i].proc_fd);
	}
	peers->count = 0;
	peers->plan = NULL;
}

void peers_find(struct peers *peers, struct capture_plan *plan, uint32_t region, void *buffer,
	size_t buffer_bytes)
{
	struct search search = {.peers = peers,
		.region = &plan->regions[region],
		.buffer = buffer,
		.buffer_bytes = buffer_bytes};

	if (peers->plan == plan && peers->region == region)
		return;
	peers_close(peers);
	peers->plan = plan;
	peers->region = region;
	peers->was_read = false;
	if (plan->regions[region].flags & REGION_SYSV ||
		proc_read(plan->proc_fd, "cgroup", search.group, sizeof(search.group),
			&search.group_len))
		return;
	(void)proc_processes(on_process, &search); /* cut short: fewer are known */
}

/*
 * The first present page of [from, end) of a process, as a run, in the addresses of that process.
 * False: none.
 */
static bool first_run(struct pages *pages, uint64_t from, uint64_t end, struct page_run *ret)
{
	while (from < end) {
		size_t count = 0;

		if (pages_scan(pages, from, end, /* anonymous= */ false, ret, 1, &count, &from))
			return false;
		if (count && ret->kind & PAGE_PRESENT)
			return true;
	}
	return false;
}

enum peers_result peers_read(
	struct peers *peers, uint64_t from, uint64_t *end, void *buffer, size_t *ret_got)
{
	struct capture_plan *plan = peers->plan;
	const struct region *r = &plan->regions[peers->region];
	uint64_t next = *end; /* of the first page that anybody has */
	struct page_run run;
	bool refused = false;

	if (plan->pages.method != PAGES_BLIND && first_run(&plan->pages, from, *end, &run)) {
		if (run.start == from) {
			*end = run.end;
			return PEERS_OWN;
		}
		next = run.start;
	}
	for (uint32_t i = 0; i < peers->count; i++) {
		struct peer *p = &peers->peer[i];
		uint64_t at = r->offset_bytes + (from - r->start); /* in the object */
		uint64_t length =
			min_u64(*end - from, sub_floor(p->offset_bytes + (p->end - p->start), at));
		ssize_t got;

		if (at < p->offset_bytes) { /* its mapping begins further on */
			next = min_u64(next, from + (p->offset_bytes - at));
			continue;
		}
		at = p->start + (at - p->offset_bytes);
		if (!first_run(&p->pages, at, at + length, &run))
			continue;
		if (run.start > at) {
			next = min_u64(next, from + (run.start - at));
			continue;
		}
		run.end = min_u64(run.end, at + (next - from));
		/* Through a descriptor of that memory: after an exec it reads nothing. */
		got = pages_read_protected(&p->pages, &run, 1, buffer);
		if (got < (ssize_t)plan->pages.page_bytes) {
			refused = true;
			continue;
		}
		peers->was_read = true;
		*ret_got = (size_t)got / plan->pages.page_bytes * plan->pages.page_bytes;
		return PEERS_READ;
	}
	if (refused)
		return PEERS_REFUSED;
	*end = next;
	return PEERS_UNSEEN;
}

bool peers_stayed(struct peers *peers, void *buffer, size_t buffer_bytes)
{
	const struct search search = {.peers = peers,
		.region = &peers->plan->regions[peers->region],
		.buffer = buffer,
		.buffer_bytes = buffer_bytes};

	for (uint32_t i = 0; peers->was_read && i < peers->count; i++) {
		const struct peer *p = &peers->peer[i];
		struct peer now = *p;

		if (!find_mapping(&search, p->proc_fd, &now) || now.start != p->start ||
			now.end != p->end || now.offset_bytes != p->offset_bytes)
			return false;
	}
	peers->was_read = false;
	return true;
}
