// SPDX-License-Identifier: Apache-2.0
/*
 * One rule per runtime: where does it give up, and when is it time.
 *
 * .NET aborts with OutOfMemoryException once its heap has asked the kernel for about 97% of its
 * hard limit; the target then uses the limit and 8 to 19 MiB more (measured under 128 MiB, 512 MiB
 * and 2 GiB, server and workstation collector). 95% of the hard limit as usage comes before that by
 * 9, 20 and 72 MiB. Arrays that were allocated and never touched do not show in the usage: where
 * what the heap has asked for reaches 90%, it is time whatever is used. (A heap that is touched is
 * caught by the first rule before it has asked for so much: the runtime itself takes 30 MiB or
 * more.) Native memory is no part of the heap: what is used beyond that and is none of what the
 * heap has asked for moves the first rule up by as much.
 *
 * A JVM's heap is full of garbage most of the time, so its usage says nothing. Its old generation,
 * as its own counters show it after a collection, does. Collectors that clean it as it fills (G1,
 * ZGC, Shenandoah) begin well below 90% of it; above that, what is there is live. The others
 * (Serial, Parallel) let it fill up and then collect everything: what is left then is live, and
 * counts. Without counters the heap limit itself is the rule: an OutOfMemoryError comes 15 to 50
 * MiB above it, but a service that merely fills its heap is captured as well.
 *
 * V8 gives up once its old space has taken its limit in pages of 256 KiB, however full those are:
 * with objects of 64 KiB, of which three fit, at a usage of 0.86 of it; with small ones at 1.04 to
 * 1.08. So the pages count as well as the usage. They include the young space (up to 48 MiB, most
 * often 2 to 16), and so come before the end: 1.002 to 2.2 of the limit were there at the last look
 * before it, in 15 of 15 runs (32, 64 and 256 MiB; small and large arrays, objects, maps, strings).
 * Usage alone says nothing where much of it is Buffers, which are no part of the heap: a trip waits
 * for the pages to come near the limit, all that the target has used since they were counted being
 * taken for them. Go's limit is soft: it collects more and
 * more to stay at it, so a usage above it is a leak. CPython has no limit.
 *
 * .NET and Java keep the limit that they computed when they started, whatever becomes of the
 * container's: start_limit_bytes. Refuses: to know better than a setting. Limits: usage is that of
 * the whole target; processes beside the largest make a capture come earlier than needed.
 */
#include "core/runtime.h"

#include "base/checked.h"

static void nothing(struct runtime_rule *ret)
{
	ret->heap_bytes = SIZE_UNLIMITED;
	ret->trip_bytes = SIZE_UNLIMITED;
	ret->why = "";
}

static bool limited_at_start(const struct runtime_facts *f)
{
	return f->start_limit_bytes != SIZE_UNLIMITED && f->start_limit_bytes != 0;
}

/* What the runtime takes for the memory of its machine. */
static uint64_t memory_at_start(const struct runtime_facts *f)
{
	if (!limited_at_start(f))
		return f->machine_bytes;
	return f->machine_bytes ? min_u64(f->machine_bytes, f->start_limit_bytes)
				: f->start_limit_bytes;
}

/*
 * The usage at which a heap may reach so many bytes: those, or what is used and is no part of the
 * heap, beyond what the runtime needs beside it, with them. What was used since the heap was looked
 * at is taken for a part of it.
 */
static uint64_t usage_of_heap(
	const struct runtime_facts *f, uint64_t heap_bytes, uint64_t beside_bytes)
{
	uint64_t left = sub_floor(sub_floor(heap_bytes, f->committed_bytes), beside_bytes);

	if (!f->committed_bytes)
		return heap_bytes;
	return max_u64(heap_bytes, add_sat(f->committed_at_bytes, left));
}

static void dotnet(const struct runtime_facts *f, uint64_t used_bytes, struct runtime_rule *ret)
{
	uint64_t heap = f->heap_bytes;

	if (!heap && f->heap_bp)
		heap = share_bp(memory_at_start(f), f->heap_bp);
	else if (!heap && limited_at_start(f))
		heap = max_u64(
			share_bp(f->start_limit_bytes, RUNTIME_DOTNET_BP), RUNTIME_DOTNET_LEAST);
	if (!heap)
		return; /* no limit, no setting: no hard limit */
	ret->heap_bytes = heap;
	ret->trip_bytes = usage_of_heap(f, share_bp(heap, RUNTIME_TRIP_BP), RUNTIME_DOTNET_BESIDE);
	ret->why = "95% of the collector's hard limit";
	if (f->committed_bytes >= share_bp(heap, RUNTIME_COMMITTED_BP) &&
		used_bytes < ret->trip_bytes) {
		ret->trip_bytes = used_bytes;
		ret->why = "90% of the collector's hard limit, as memory that the heap has asked "
			   "for and not touched";
	}
}

static uint64_t java_heap(const struct runtime_facts *f)
{
	uint64_t memory = memory_at_start(f);

	if (f->heap_bytes)
		return f->heap_bytes;
	if (f->heap_bp)
		return share_bp(memory, f->heap_bp);
	if (share_bp(memory, RUNTIME_JAVA_SMALL_BP) < RUNTIME_JAVA_SMALL)
		return share_bp(memory, RUNTIME_JAVA_SMALL_BP);
	return share_bp(memory, RUNTIME_JAVA_BP);
}

static void java(const struct runtime_facts *f, uint64_t used_bytes, struct runtime_rule *ret)
{
	uint64_t most;

	ret->heap_bytes = java_heap(f);
	if (!ret->heap_bytes) {
		ret->heap_bytes = SIZE_UNLIMITED;
		return;
	}
	if (!f->old_max_bytes) {
		ret->trip_bytes = ret->heap_bytes;
		ret->why = "the heap limit; it keeps no counters that would say what is live";
		return;
	}
	if (f->old_is_cleaned) {
		most = share_bp(f->old_max_bytes, RUNTIME_JAVA_CLEANED_BP);
		ret->trip_bytes = add_sat(used_bytes, sub_floor(most, f->old_used_bytes));
		ret->why = "90% of the old generation after a collection";
		return;
	}
	most = share_bp(f->old_max_bytes, RUNTIME_JAVA_LIVE_BP);
	ret->why = "80% of the old generation after a full collection";
	if (f->old_live_bytes >= most)
		ret->trip_bytes = used_bytes;
}

static void node(const struct runtime_facts *f, uint64_t used_bytes, struct runtime_rule *ret)
{
	uint64_t memory = memory_at_start(f);
	uint64_t most = RUNTIME_NODE_MOST;
	uint64_t heap = f->heap_bytes;

	if (memory >= RUNTIME_NODE_LARGE)
		most *= 2;
	if (!heap && f->heap_bp)
		heap = share_bp(memory, f->heap_bp);
	if (!heap)
		heap = clamp_u64(memory / 2, RUNTIME_NODE_LEAST, most);
	ret->heap_bytes = heap;
	ret->trip_bytes = usage_of_heap(f, share_bp(heap, RUNTIME_TRIP_BP), /* beside_bytes= */ 0);
	ret->why = "95% of V8's heap limit";
	if (f->committed_bytes >= heap && used_bytes < ret->trip_bytes) {
		ret->trip_bytes = used_bytes;
		ret->why = "V8's heap limit, as memory that it has asked for";
	}
}

static void go(const struct runtime_facts *f, struct runtime_rule *ret)
{
	if (!f->heap_bytes)
		return;
	ret->heap_bytes = f->heap_bytes;
	ret->trip_bytes = add_sat(share_bp(f->heap_bytes, RUNTIME_GO_BP), RUNTIME_GO_BESIDE);
	ret->why = "5% above GOMEMLIMIT, which the collector does not keep any more";
}

void runtime_rule(const struct runtime_facts *facts, uint64_t used_bytes, struct runtime_rule *ret)
{
	nothing(ret);
	switch (facts->kind) {
	case RUNTIME_DOTNET:
		dotnet(facts, used_bytes, ret);
		break;
	case RUNTIME_JAVA:
		java(facts, used_bytes, ret);
		break;
	case RUNTIME_NODE:
		node(facts, used_bytes, ret);
		break;
	case RUNTIME_GO:
		go(facts, ret);
		break;
	case RUNTIME_NONE:
	case RUNTIME_PYTHON:
	case RUNTIME_KIND_COUNT:
		break;
	}
}

bool runtime_was_near(
	const struct runtime_facts *facts, const struct runtime_rule *rule, uint64_t used_bytes)
{
	if (facts->old_max_bytes)
		return facts->old_used_bytes >= share_bp(facts->old_max_bytes, RUNTIME_NEAR_OLD_BP);
	return rule->trip_bytes != SIZE_UNLIMITED &&
		used_bytes >= share_bp(rule->trip_bytes, RUNTIME_NEAR_BP);
}

const char *runtime_advice(enum runtime_kind kind)
{
	switch (kind) {
	case RUNTIME_DOTNET:
		return "leave trip = auto, or set trip below 95% of the heap limit; "
		       "DOTNET_GCHeapHardLimit (hexadecimal bytes) raises it";
	case RUNTIME_JAVA:
		return "leave trip = auto and -XX:+UsePerfData on; -Xmx or "
		       "-XX:MaxRAMPercentage raises the heap limit";
	case RUNTIME_NODE:
		return "leave trip = auto, or set trip below 95% of the heap limit; "
		       "--max-old-space-size (MiB) raises it";
	case RUNTIME_GO:
	case RUNTIME_PYTHON:
	case RUNTIME_NONE:
	case RUNTIME_KIND_COUNT:
		break;
	}
	return "set trip below the usage at which it ended";
}
