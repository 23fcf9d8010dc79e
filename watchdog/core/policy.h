/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to arm, when to trip, when to look again: pure functions of policy and sample.
 */
#ifndef OOMSNAP_CORE_POLICY_H
#define OOMSNAP_CORE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/types.h"

/* The sizes at which things happen, for one limit. */
struct thresholds {
	uint64_t arm_bytes;
	uint64_t disarm_bytes; /* below arm, so that a target at the edge does not flap */
	uint64_t trip_bytes;
};

/*
 * For limit_bytes (SIZE_UNLIMITED: all thresholds are SIZE_UNLIMITED, unless trip is a number of
 * bytes). auto_bytes is where a runtime in the target gives up by itself, SIZE_UNLIMITED if
 * unknown; it counts only with TRIP_AUTO, and where it decides, arm is the share arm_bp of that of
 * which it is 90%. The trip is never placed above the limit less
 * POLICY_TRIP_MARGIN_BYTES, nor arm above trip.
 */
#define POLICY_AUTO_TRIP_BP 9000U	 /* DESIGN: the first of 90% and the runtime's end */
#define POLICY_TRIP_MARGIN_BYTES 524288U /* two charge batches of 64 pages: KERNEL fact 2 */
#define POLICY_DISARM_BP 500U		 /* of the limit, below arm */
void policy_thresholds(const struct policy *policy, uint64_t limit_bytes, uint64_t auto_bytes,
	struct thresholds *ret);

/* Whether and why this sample trips. rate_bytes_s is predict's; TRIP_REASON_NONE: it does not. */
enum trip_reason policy_trips(const struct policy *policy, const struct thresholds *t,
	const struct sample *sample, uint64_t rate_bytes_s);

/*
 * Time until the next look is due, so that it comes well before the predicted trip: a quarter of
 * the ETA at the measured rate, and never later than a burst at POLICY_BURST_BYTES_S would need for
 * the whole way. kernel_notice says that the kernel wakes us at arm and trip by itself (v1
 * thresholds, tripwire): then only the measured rate counts, as long as the next of the two is
 * still above all that is charged. Between POLICY_LOOK_MIN_NS (POLICY_LOOK_SMALL_NS for limits up
 * to POLICY_SMALL_LIMIT_BYTES) and POLICY_LOOK_MAX_NS, or POLICY_LOOK_ARMED_MAX_NS from arm on.
 */
#define POLICY_BURST_BYTES_S 6442450944ULL    /* one core in huge pages: 4.7 GB/s, measured */
#define POLICY_LOOK_MIN_NS 1000000ULL	      /* held 10 of 10 at full speed, 512 MiB */
#define POLICY_LOOK_SMALL_NS 500000ULL	      /* the same at 128 MiB, 9 of 10 at 64 MiB */
#define POLICY_SMALL_LIMIT_BYTES 134217728ULL /* 128 MiB */
#define POLICY_LOOK_MAX_NS 1000000000ULL
#define POLICY_LOOK_IDLE_MAX_NS 250000000ULL /* while the newest rate is not 0 */
/*
 * Bounds what trip_eta and trip_psi miss, and growth of which v1 gives no notice (kernel memory);
 * twenty looks a second cost less than 0.5% of a processor (make bench-watch).
 */
#define POLICY_LOOK_ARMED_MAX_NS 50000000ULL
uint64_t policy_next_look_ns(const struct thresholds *t, const struct sample *sample,
	uint64_t rate_bytes_s, bool kernel_notice);

/*
 * Whether the tripwire is to be in force: from POLICY_TRIPWIRE_WAY_BYTES before the trip on, and
 * until twice that is left. While it is in force each page that anybody on the machine allocates
 * costs a little more, and further off than this a look comes before the trip can be reached.
 */
#define POLICY_TRIPWIRE_WAY_BYTES 1073741824ULL /* 167 ms at POLICY_BURST_BYTES_S */
bool policy_wants_tripwire(const struct policy *policy, const struct thresholds *t,
	const struct sample *sample, bool in_force);

/*
 * Whether a process that the tripwire stopped was stopped too early, as this sample of afterwards
 * shows: by more than what another thread may have given back meanwhile.
 */
#define POLICY_EARLY_SHIFT 6U /* 1/64 of the trip */
#define POLICY_EARLY_LEAST_BYTES \
	1048576U /* and two batches of 64 pages on each of two processors */
bool policy_stopped_early(const struct thresholds *t, const struct sample *sample);

#endif
