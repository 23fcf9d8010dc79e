// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as a configuration file: it is refused with a sentence fit for a terminal, or it makes
 * targets that keep what config.h promises.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/str.h"
#include "config.h"
#include "config_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what)
{
	if (holds)
		return;
	(void)fprintf(stderr, "fuzz_config: %s\n", what);
	abort();
}

static void check_message(const char *text)
{
	size_t len = strlen(text);

	demand(strncmp(text, "f.ini:", 6) == 0, "a message without its place");
	for (size_t i = 0; i < len;) {
		size_t n = str_utf8_len(text + i, len - i);

		demand(n > 0, "a message that is not UTF-8");
		demand(n > 1 || ((unsigned char)text[i] >= 0x20 && text[i] != 0x7f),
			"a control character in a message");
		i += n;
	}
}

static void check_policy(const struct policy *p)
{
	demand(p->trip_kind < TRIP_KIND_COUNT, "trip_kind");
	demand(p->trip_kind != TRIP_SHARE || (p->trip_bp >= 100 && p->trip_bp <= 9900), "trip_bp");
	demand((p->trip_kind != TRIP_USED && p->trip_kind != TRIP_HEADROOM) ||
			p->trip_bytes >= 512 << 10,
		"trip_bytes");
	demand(p->arm_bp >= 100 && p->arm_bp <= 9900, "arm_bp");
	demand(p->brake_bp <= 9900, "brake_bp");
	demand(p->lease_bp == 0 || p->lease_bytes == 0, "two leases");
	demand(p->hold_timeout_ns > 0 && p->hold_timeout_ns <= 60 * NS_PER_S, "hold_timeout");
	demand(p->deadline_ns >= NS_PER_S && p->deadline_ns <= 3600 * NS_PER_S, "deadline");
	demand(p->shield < SHIELD_COUNT && p->hold < HOLD_COUNT, "shield, hold");
	demand(p->capture < CAPTURE_KIND_COUNT && p->processes < PROCESSES_COUNT, "capture");
	demand(p->compress < COMPRESS_COUNT && p->swap < SWAP_COUNT, "compress, swap");
	demand(p->verdict < VERDICT_COUNT, "verdict");
	demand(p->verdict != VERDICT_LEASE || p->lease_bp || p->lease_bytes, "lease without one");
}

static void check_target(const struct config *c, uint32_t i)
{
	const struct config_target *t = &c->targets[i];

	demand(t->name[0] != '\0' && t->name[0] != '.' && !strchr(t->name, '/'), "a target's name");
	demand(t->directory[0] == '/', "directory");
	demand(t->selector.kind < SELECTOR_COUNT, "selector");
	demand((t->selector.pid > 0) == (t->selector.kind == SELECTOR_PID), "selector.pid");
	demand(t->selector.kind != SELECTOR_CGROUP || t->selector.value[0] == '/', "cgroup");
	check_policy(&t->policy);
	for (uint32_t j = 0; j < i; j++)
		demand(strcmp(t->name, c->targets[j].name) != 0, "a name twice");
}

/* The first line again as a value of each pure parser. */
static void check_values(const char *text)
{
	static const char *const names[] = {"trip", "trip_eta", "arm", "shield", "verdict"};
	uint64_t number;
	uint32_t share;
	bool on;

	(void)config_value_size(text, &number);
	(void)config_value_time(text, &number);
	(void)config_value_share(text, &share);
	(void)config_value_switch(text, &on);
	(void)config_value_nearest(text, names, ARRAY_LEN(names));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct config_options none = {0};
	struct config_error error = {.text = ""};
	struct config *c = NULL;
	char line[128];
	int r;

	(void)snprintf(line, sizeof(line), "%.*s", (int)(size < 127 ? size : 127),
		size ? (const char *)data : "");
	check_values(line);
	r = config_load_text("f.ini", (const char *)data, size, &none, &c, &error);
	demand(r == CONFIG_OK || r == CONFIG_BAD, "an unexpected status");
	demand((r == CONFIG_OK) == (c != NULL), "a result beside an error");
	if (r == CONFIG_BAD) {
		check_message(error.text);
		return 0;
	}
	demand(error.text[0] == '\0', "an error beside a result");
	demand(c->target_count >= 1 && c->target_count <= CONFIG_TARGETS_MAX, "target_count");
	for (uint32_t i = 0; i < c->target_count; i++)
		check_target(c, i);
	config_free(c);
	return 0;
}
