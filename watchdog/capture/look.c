// SPDX-License-Identifier: Apache-2.0
/*
 * One look at the page tables for many neighbouring mappings.
 *
 * A plan asks up to three things of each mapping: has it any page, has it pages of its own, has it
 * swapped ones. A call for each question costs 2 us where nothing else runs and ten times that on a
 * busy machine, while a library is four mappings in a row and an address space has whole fields of
 * mappings of one page. So a small mapping is looked at together with what follows it, LOOK_BYTES
 * at once, and the questions are answered from the runs that were found there: the kernel walks
 * over the gaps between mappings in no time, and gives what is alike in two neighbours as one run.
 *
 * A mapping larger than that is asked for by itself, as before: the kernel ends its walk at the
 * first page that fits, and that is nearly always the first.
 *
 * A look may reach beyond the end of the address space, which the kernel refuses: then the mapping
 * is asked for by itself, too. So it is without a pagemap (PAGES_BLIND), which costs no call.
 */
#include "capture/look.h"

#include "base/checked.h"

void look_init(struct look *look, struct pages *pages)
{
	look->pages = pages;
	look->from = look->to = 0;
	look->count = look->first = 0;
}

static int look_at(struct look *l, uint64_t start)
{
	l->from = l->to = start; /* nothing, if the next line fails */
	l->count = l->first = 0;
	return pages_scan(l->pages, start, add_sat(start, LOOK_BYTES), /* anonymous= */ false,
		l->runs, LOOK_RUNS_MAX, &l->count, &l->to);
}

/* The first page of the kind in what was seen of [start, end). */
static bool find(
	struct look *l, uint64_t start, uint64_t end, enum pages_next_kind kind, uint64_t *ret)
{
	if (l->first && l->runs[l->first - 1].end > start)
		l->first = 0; /* asked for something in front of the last one */
	while (l->first < l->count && l->runs[l->first].end <= start)
		l->first++;
	for (size_t i = l->first; i < l->count && l->runs[i].start < end; i++)
		if (pages_kind_is(l->runs[i].kind, kind)) {
			*ret = max_u64(start, l->runs[i].start);
			return true;
		}
	return false;
}

int look_next(
	struct look *l, uint64_t start, uint64_t end, enum pages_next_kind kind, uint64_t *ret)
{
	uint64_t at = start;

	while (at < end) {
		if (at < l->from || at >= l->to) {
			if (l->pages->method == PAGES_BLIND || end - at > LOOK_BYTES ||
				look_at(l, at))
				return pages_next(l->pages, at, end, kind, ret);
		}
		if (find(l, at, end, kind, ret))
			return 0;
		at = l->to;
	}
	*ret = end;
	return 0;
}
