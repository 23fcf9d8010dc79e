/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a managed runtime gives up by itself, and at which usage a capture comes before that. Pure
 * rules over facts that os/runtime.c gathers.
 */
#ifndef OOMSNAP_CORE_RUNTIME_H
#define OOMSNAP_CORE_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "core/types.h"

#define RUNTIME_TRIP_BP 9500U		  /* of the heap limit, .NET and Node; see runtime.c */
#define RUNTIME_COMMITTED_BP 9000U	  /* of .NET's heap limit, asked for and not touched */
#define RUNTIME_DOTNET_BP 7500U		  /* .NET's default, of the container's limit */
#define RUNTIME_DOTNET_BESIDE 41943040U	  /* 40 MiB: .NET's own memory beside its heap */
#define RUNTIME_DOTNET_LEAST 20971520U	  /* 20 MiB: its default is never below */
#define RUNTIME_JAVA_BP 2500U		  /* MaxRAMPercentage */
#define RUNTIME_JAVA_SMALL_BP 5000U	  /* MinRAMPercentage */
#define RUNTIME_JAVA_SMALL 130862284U	  /* MaxHeapSize of a small machine: 96 MiB x 1.3 */
#define RUNTIME_JAVA_CLEANED_BP 9000U	  /* of the old generation, G1 and its kind */
#define RUNTIME_JAVA_LIVE_BP 8000U	  /* of the old generation, after a full collection */
#define RUNTIME_NODE_LEAST 268435456U	  /* 256 MiB */
#define RUNTIME_NODE_MOST 2147483648U	  /* 2 GiB; twice that from RUNTIME_NODE_LARGE on */
#define RUNTIME_NODE_LARGE 16106127360ULL /* 15 GiB */
#define RUNTIME_GO_BP 10500U		  /* of GOMEMLIMIT */
#define RUNTIME_GO_BESIDE 8388608U	  /* 8 MiB: program text and what Go does not count */

/*
 * The rule for these facts, for a target that uses used_bytes at the moment (two of the rules say
 * how much may still be added). ret->trip_bytes is what policy_thresholds() calls auto_bytes.
 */
void runtime_rule(const struct runtime_facts *facts, uint64_t used_bytes, struct runtime_rule *ret);

/*
 * Whether a process of this runtime, that ended while the target used used_bytes, was at its own
 * limit: RUNTIME_NEAR_BP of where the rule would have had it captured, or a JVM's old generation
 * RUNTIME_NEAR_OLD_BP full.
 */
#define RUNTIME_NEAR_BP 9000U
#define RUNTIME_NEAR_OLD_BP 8500U
bool runtime_was_near(
	const struct runtime_facts *facts, const struct runtime_rule *rule, uint64_t used_bytes);

/* What to set so that it is captured, or lives, next time: a static sentence. */
const char *runtime_advice(enum runtime_kind kind);

#endif
