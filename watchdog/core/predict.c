// SPDX-License-Identifier: Apache-2.0
/*
 * Growth and ETA from the last few samples. See predict.h for the contract.
 *
 * A ring of PREDICT_POINTS observations. Two slopes are taken: over the newest step, which sees a
 * burst within one sample, and over the span of the last PREDICT_WINDOW_NS, which sees a leak whose
 * steps are smaller than the charge batch of the kernel (64 pages). The newest point stands for
 * itself only once it is PREDICT_MIN_STEP_NS behind the one before: until then the next one takes
 * its place, and the newest step reaches back beyond it. Sampling is adaptive, so the
 * points are not equally spaced and the ring covers anything from milliseconds to seconds.
 */
#include "core/predict.h"

#include "base/checked.h"

void predict_reset(struct predict *p)
{
	p->count = 0;
	p->next = 0;
}

/* Index of the point that is back steps older than the newest (0: the newest). */
static uint32_t point(const struct predict *p, uint32_t back)
{
	return (p->next + 2 * PREDICT_POINTS - 1 - back) % PREDICT_POINTS;
}

void predict_add(struct predict *p, uint64_t now_ns, uint64_t used_bytes)
{
	if (p->count > 0) {
		uint32_t last = point(p, 0);
		uint32_t before = point(p, 1);

		if (now_ns <= p->at_ns[last])
			return;
		if (p->count > 1 && p->at_ns[last] - p->at_ns[before] < PREDICT_MIN_STEP_NS) {
			p->at_ns[last] = now_ns;
			p->used_bytes[last] = used_bytes;
			return;
		}
	}
	p->at_ns[p->next] = now_ns;
	p->used_bytes[p->next] = used_bytes;
	p->next = (p->next + 1) % PREDICT_POINTS;
	if (p->count < PREDICT_POINTS)
		p->count++;
}

static uint64_t slope(const struct predict *p, uint32_t old, uint32_t new)
{
	uint64_t grown = sub_floor(p->used_bytes[new], p->used_bytes[old]);
	uint64_t took_ns = p->at_ns[new] - p->at_ns[old];

	return took_ns ? mul_div(grown, NS_PER_S, took_ns) : 0;
}

uint64_t predict_rate_bytes_s(const struct predict *p)
{
	uint32_t newest = point(p, 0);
	uint32_t step = newest; /* where the newest step begins */
	uint32_t oldest = newest;

	for (uint32_t back = 1; back < p->count; back++) {
		uint32_t i = point(p, back);
		uint64_t span_ns = p->at_ns[newest] - p->at_ns[i];

		if (span_ns < PREDICT_MIN_STEP_NS)
			continue;
		if (step == newest)
			step = i;
		if (span_ns > PREDICT_WINDOW_NS)
			break;
		oldest = i;
	}
	return max_u64(slope(p, step, newest), slope(p, oldest, newest));
}

uint64_t predict_eta_ns(uint64_t headroom_bytes, uint64_t rate_bytes_s)
{
	return rate_bytes_s ? mul_div(headroom_bytes, NS_PER_S, rate_bytes_s) : UINT64_MAX;
}
