// SPDX-License-Identifier: Apache-2.0
/*
 * Sizes and times as people read them. See amount.h.
 *
 * Everything is computed in integers: a value is scaled to hundredths of the unit, rounded down,
 * and written with as many digits behind the point as leave three figures. Rounding down keeps "99%
 * of the limit" from being told as all of it. Units are powers of 1024, named so.
 */
#include "amount.h"

#include "base/checked.h"
#include "core/types.h"

/* value / one with three figures. */
static void add_three(struct str *s, uint64_t value, uint64_t one)
{
	uint64_t hundredths = mul_div(value, 100, one);

	if (hundredths >= 10000)
		(void)str_addf(s, "%llu", (unsigned long long)(hundredths / 100));
	else if (hundredths >= 1000)
		(void)str_addf(s, "%llu.%llu", (unsigned long long)(hundredths / 100),
			(unsigned long long)(hundredths / 10 % 10));
	else
		(void)str_addf(s, "%llu.%02llu", (unsigned long long)(hundredths / 100),
			(unsigned long long)(hundredths % 100));
}

void amount_size(struct str *s, uint64_t bytes)
{
	static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	size_t unit = 0;

	if (bytes == SIZE_UNLIMITED) {
		(void)str_add(s, "no limit");
		return;
	}
	if (bytes < 1024) {
		(void)str_addf(s, "%u B", (unsigned int)bytes);
		return;
	}
	while (unit + 1 < ARRAY_LEN(units) && bytes >> (10 * (unit + 2)))
		unit++;
	add_three(s, bytes, 1ULL << (10 * (unit + 1)));
	(void)str_addf(s, " %s", units[unit]);
}

void amount_time(struct str *s, uint64_t ns)
{
	if (ns == 0) {
		(void)str_add(s, "0 ms");
	} else if (ns < NS_PER_S) {
		add_three(s, ns, NS_PER_MS);
		(void)str_add(s, " ms");
	} else if (ns < 120 * NS_PER_S) {
		add_three(s, ns, NS_PER_S);
		(void)str_add(s, " s");
	} else {
		(void)str_addf(s, "%llu min", (unsigned long long)(ns / NS_PER_S / 60));
		if (ns / NS_PER_S % 60)
			(void)str_addf(s, " %llu s", (unsigned long long)(ns / NS_PER_S % 60));
	}
}
