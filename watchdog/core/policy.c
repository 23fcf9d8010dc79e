// SPDX-License-Identifier: Apache-2.0
/*
 * The decisions that hang on numbers alone. See policy.h for the contract.
 *
 * Everything is integer arithmetic that saturates, so that an absurd limit or rate gives a large
 * number and never a small one by wrapping. A sample whose inactive_file is older than its current
 * can only make used too large or too small by what the cache moved since; near the thresholds the
 * caller reads both together.
 */
#include "core/policy.h"

#include "base/checked.h"
#include "core/predict.h"

static uint64_t trip_bytes(const struct policy *policy, uint64_t limit_bytes, uint64_t auto_bytes)
{
	uint64_t trip = SIZE_UNLIMITED;
	bool limited = limit_bytes != SIZE_UNLIMITED;

	switch (policy->trip_kind) {
	case TRIP_AUTO:
		if (limited)
			trip = share_bp(limit_bytes, POLICY_AUTO_TRIP_BP);
		trip = min_u64(trip, auto_bytes);
		break;
	case TRIP_SHARE:
		if (limited)
			trip = share_bp(limit_bytes, policy->trip_bp);
		break;
	case TRIP_USED:
		trip = policy->trip_bytes;
		break;
	case TRIP_HEADROOM:
		if (limited)
			trip = sub_floor(limit_bytes, policy->trip_bytes);
		break;
	case TRIP_KIND_COUNT:
		break;
	}
	if (limited)
		trip = min_u64(trip, sub_floor(limit_bytes, POLICY_TRIP_MARGIN_BYTES));
	return trip;
}

void policy_thresholds(const struct policy *policy, uint64_t limit_bytes, uint64_t auto_bytes,
	struct thresholds *ret)
{
	uint64_t trip = trip_bytes(policy, limit_bytes, auto_bytes);
	uint64_t base = limit_bytes != SIZE_UNLIMITED ? limit_bytes : trip;

	ret->trip_bytes = trip;
	ret->arm_bytes = trip;
	ret->disarm_bytes = trip;
	if (base == SIZE_UNLIMITED)
		return;
	ret->arm_bytes = min_u64(share_bp(base, policy->arm_bp), trip);
	/* A runtime's own end takes the limit's place: as far from the trip as there. */
	if (policy->trip_kind == TRIP_AUTO && trip == auto_bytes)
		ret->arm_bytes = min_u64(ret->arm_bytes,
			share_bp(mul_div(trip, BP_ONE, POLICY_AUTO_TRIP_BP), policy->arm_bp));
	ret->disarm_bytes = sub_floor(ret->arm_bytes, share_bp(base, POLICY_DISARM_BP));
}

enum trip_reason policy_trips(const struct policy *policy, const struct thresholds *t,
	const struct sample *sample, uint64_t rate_bytes_s)
{
	if (sample->under_oom)
		return TRIP_REASON_LIMIT;
	if (sample_used(sample) >= t->trip_bytes)
		return TRIP_REASON_USED;
	/* ETA and pressure count only from arm on: a small target that doubles is no emergency. */
	if (sample_used(sample) < t->arm_bytes)
		return TRIP_REASON_NONE;
	if (policy->trip_eta_ns &&
		predict_eta_ns(sample_headroom(sample), rate_bytes_s) < policy->trip_eta_ns)
		return TRIP_REASON_ETA;
	if (policy->trip_psi_bp && sample->psi_full_bp >= policy->trip_psi_bp)
		return TRIP_REASON_PSI;
	return TRIP_REASON_NONE;
}

uint64_t policy_next_look_ns(const struct thresholds *t, const struct sample *sample,
	uint64_t rate_bytes_s, bool kernel_notice)
{
	uint64_t least = sample->limit_bytes <= POLICY_SMALL_LIMIT_BYTES ? POLICY_LOOK_SMALL_NS
									 : POLICY_LOOK_MIN_NS;
	bool armed = sample_used(sample) >= t->arm_bytes;
	uint64_t most = armed  ? POLICY_LOOK_ARMED_MAX_NS
		: rate_bytes_s ? POLICY_LOOK_IDLE_MAX_NS
			       : POLICY_LOOK_MAX_NS;
	uint64_t way = sub_floor(t->trip_bytes, sample_used(sample));
	uint64_t wait = predict_eta_ns(way, rate_bytes_s) / 4;

	/* Page cache can hold usage above the next notice's threshold for good: it never comes. */
	if (!kernel_notice || sample->current_bytes >= (armed ? t->trip_bytes : t->arm_bytes))
		wait = min_u64(wait, predict_eta_ns(way, POLICY_BURST_BYTES_S));
	return clamp_u64(wait, least, most);
}

bool policy_wants_tripwire(const struct policy *policy, const struct thresholds *t,
	const struct sample *sample, bool in_force)
{
	uint64_t way = sub_floor(t->trip_bytes, sample_used(sample));

	if (!policy->tripwire || t->trip_bytes == SIZE_UNLIMITED)
		return false;
	return way <= POLICY_TRIPWIRE_WAY_BYTES * (in_force ? 2U : 1U);
}

bool policy_stopped_early(const struct thresholds *t, const struct sample *sample)
{
	uint64_t less = max_u64(t->trip_bytes >> POLICY_EARLY_SHIFT, POLICY_EARLY_LEAST_BYTES);

	return !sample->under_oom && sample_used(sample) < sub_floor(t->trip_bytes, less);
}
