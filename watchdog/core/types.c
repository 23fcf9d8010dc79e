// SPDX-License-Identifier: Apache-2.0
/*
 * Printable names of the enums in types.h, from the same lists as the enums themselves, so that a
 * new value cannot lack a name. The names are those of the ini file and of the event fields.
 */
#include "core/types.h"

#include <stddef.h>

#define DEFINE_NAME(function, type, LIST, COUNT)                                 \
	const char *function(enum type v)                                        \
	{                                                                        \
		static const char *const names[] = {LIST(NAME_OF)};              \
                                                                                 \
		return (unsigned int)v < (unsigned int)(COUNT) ? names[v] : "?"; \
	}
#define NAME_OF(id, name) name,

DEFINE_NAME(shield_mode_name, shield_mode, SHIELD_MODES, SHIELD_COUNT)
DEFINE_NAME(hold_method_name, hold_method, HOLD_METHODS, HOLD_COUNT)
DEFINE_NAME(capture_kind_name, capture_kind, CAPTURE_KINDS, CAPTURE_KIND_COUNT)
DEFINE_NAME(verdict_name, verdict, VERDICTS, VERDICT_COUNT)
DEFINE_NAME(compression_name, compression, COMPRESSIONS, COMPRESS_COUNT)
DEFINE_NAME(process_choice_name, process_choice, PROCESS_CHOICES, PROCESSES_COUNT)
DEFINE_NAME(swap_mode_name, swap_mode, SWAP_MODES, SWAP_COUNT)
DEFINE_NAME(guarantee_name, guarantee, GUARANTEES, GUARANTEE_COUNT)
DEFINE_NAME(trip_reason_name, trip_reason, TRIP_REASONS, TRIP_REASON_COUNT)
DEFINE_NAME(intervention_name, intervention, INTERVENTIONS, INTERVENTION_COUNT)
DEFINE_NAME(runtime_kind_name, runtime_kind, RUNTIME_KINDS, RUNTIME_KIND_COUNT)
DEFINE_NAME(runtime_source_name, runtime_source, RUNTIME_SOURCES, RUNTIME_SOURCE_COUNT)
