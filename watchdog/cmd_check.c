// SPDX-License-Identifier: Apache-2.0
/*
 * oomsnap check: is the configuration valid, and what can be promised for each of its targets?
 *
 * Opens each target as watch would, measures the same means, and prints the guarantee with the
 * first thing that keeps it from being higher and how to mend that; where it would arm and trip;
 * whether captures could be written to the dump directory, and it has room for a core as large as
 * the limit. Touches nothing: no process of a target is stopped, no file is left. A pressure
 * trigger is made and let go of, and so is a tripwire without targets, as only the kernel knows
 * whether it allows them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "cmd.h"
#include "event.h"
#include "exit_code.h"
#include "os/clock.h"
#include "standard_out.h"
#include "watch.h"
#include "watch_arguments.h"
#include "wiring.h"

static const char usage_text[] =
	"Usage: oomsnap check [-c FILE] [--json] [--set KEY=VALUE]... [selectors]\n"
	"\n"
	"Says whether the configuration is valid and what can be promised for each target.\n"
	"\n"
	"  -c, --config FILE     configuration (default " CONFIG_PATH ",\n"
	"                        or none at all where selectors are given)\n"
	"      --set KEY=VALUE   as a last line of [defaults]\n"
	"      --json            one JSON object a target\n"
	"  -h, --help\n"
	"\n" WATCH_SELECTORS_USAGE
	"Exit status: 0 every target is there and better than observe, 1 failed, 2 bad usage or\n"
	"configuration, 3 a target is not there, 4 for a target nothing but observe is possible,\n"
	"5 captures could not be written to their directory.\n";

#define MIB(bytes) ((bytes) / 1048576U)

/* Bytes that the file system of the dump directory (or of its parent) has for us; 0: unknown. */
static uint64_t room(const char *directory)
{
	char path[CONFIG_DIRECTORY_MAX];
	struct statvfs fs;
	char *slash;

	(void)str_copy(path, sizeof(path), directory); /* same size */
	while (statvfs(path, &fs) != 0) {
		slash = strrchr(path, '/');
		if (!slash || slash == path)
			return 0;
		*slash = '\0';
	}
	return (uint64_t)fs.f_bavail * fs.f_frsize;
}

/* How many ms of waiting in how many call for a look. */
static unsigned int ms(uint32_t us)
{
	return us / 1000U;
}

static const char *refusal(const struct psi_trigger *p)
{
	return p->error < 0 ? strerror(-p->error) : ""; // NOLINT(concurrency-mt-unsafe): one thread
}

static void print_pressure(const struct psi_trigger *p)
{
	switch (p->source) {
	case PSI_TARGET:
		(void)printf("  pressure   its own calls for a look: %u ms of waiting in %u ms\n",
			ms(PSI_STALL_US), ms(p->window_us));
		break;
	case PSI_MACHINE:
		(void)printf(
			"  pressure   the machine's calls for a look: %u ms of waiting in %u ms "
			"(its own: %s)\n",
			ms(PSI_STALL_US), ms(p->window_us), refusal(p));
		break;
	case PSI_NONE:
	case PSI_SOURCE_COUNT:
		(void)printf(
			"  pressure   calls for no look, it is polled alone: %s\n", refusal(p));
		break;
	}
}

static void add_runtime(struct str *s, const struct managed *m)
{
	(void)str_addf(s, ",\"runtime\":\"%s\",\"runtime_rule\":\"%s\"",
		runtime_kind_name(m->facts.kind), m->facts.pid ? m->rule.why : "");
	if (!m->facts.pid)
		return;
	(void)str_addf(s, ",\"runtime_pid\":%d", m->facts.pid);
	if (m->rule.heap_bytes != SIZE_UNLIMITED)
		(void)str_addf(s, ",\"heap_bytes\":%" PRIu64 ",\"heap_source\":\"%s\"",
			m->rule.heap_bytes, runtime_source_name(m->facts.source));
}

static void print_json(const struct target *t, bool found, const char *place_refusal)
{
	const struct thresholds *th = &t->engine.thresholds;
	char text[8192];
	char wire[WIRING_TEXT_MAX];
	struct str s;

	str_init(&s, text, sizeof(text));
	(void)str_add(&s, "{\"target\":\"");
	(void)str_add_json(&s, t->config->name, strlen(t->config->name));
	(void)str_addf(&s, "\",\"found\":%s", found ? "true" : "false");
	if (found) {
		(void)str_add(&s, ",\"cgroup\":\"");
		(void)str_add_json(&s, t->cgroup.level[0].path, strlen(t->cgroup.level[0].path));
		(void)str_addf(&s,
			"\",\"version\":\"%s\",\"guarantee\":\"%s\",\"why\":\"%s\","
			"\"mend\":\"%s\"",
			cgroup_version_name(&t->cgroup), guarantee_name(t->guarantee.guarantee),
			t->guarantee.why, t->guarantee.mend);
		if (t->engine.last.limit_bytes != SIZE_UNLIMITED)
			(void)str_addf(&s,
				",\"limit_bytes\":%" PRIu64 ",\"arm_bytes\":%" PRIu64
				",\"trip_bytes\":%" PRIu64,
				t->engine.last.limit_bytes, th->arm_bytes, th->trip_bytes);
		(void)str_addf(&s, ",\"used_bytes\":%" PRIu64, sample_used(&t->engine.last));
		(void)str_addf(&s,
			",\"pressure\":\"%s\",\"pressure_window_ms\":%u,"
			"\"pressure_refusal\":\"%s\"",
			psi_source_name(t->pressure.source), ms(t->pressure.window_us),
			refusal(&t->pressure));
		(void)str_addf(&s, ",\"tripwire\":\"%s\"", wiring_text(t, wire, sizeof(wire)));
		add_runtime(&s, &t->managed);
	}
	(void)str_add(&s, ",\"directory\":\"");
	(void)str_add_json(&s, t->config->directory, strlen(t->config->directory));
	(void)str_addf(&s, "\",\"free_bytes\":%" PRIu64 ",\"directory_refusal\":\"",
		room(t->config->directory));
	(void)str_add_json(&s, place_refusal, strlen(place_refusal));
	(void)str_add(&s, "\"}");
	(void)puts(text);
}

static void print_directory(const struct target *t, const char *place_refusal)
{
	const struct sample *s = &t->engine.last;
	uint64_t free_bytes = room(t->config->directory);

	if (place_refusal[0]) {
		(void)printf("  directory  REFUSED: %s\n", place_refusal);
		return;
	}
	(void)printf("  directory  %s, %" PRIu64 " MiB free%s\n", t->config->directory,
		MIB(free_bytes),
		s->limit_bytes != SIZE_UNLIMITED &&
				free_bytes <
					add_sat(s->limit_bytes, t->config->policy.keep_free_bytes)
			? ": TOO LITTLE for a core as large as the limit"
			: "");
}

/* Why there is nothing to look at: either that was told, with what to do, or it may still come. */
static void print_absent(const struct target *t)
{
	const struct selector *s = &t->config->selector;

	if (strcmp(t->found_path, TARGET_REFUSED) == 0)
		(void)puts("  not watched: standard error says why, and how to mend it");
	else
		(void)printf(
			"  not there: %s = %s finds no cgroup at the moment; it will be watched "
			"when it comes\n",
			selector_kind_name(s->kind), s->value[0] ? s->value : "on");
}

static void print_text(const struct target *t, bool found, const char *place_refusal)
{
	const struct sample *s = &t->engine.last;
	char runtime[256];
	char wire[WIRING_TEXT_MAX];

	(void)printf("target %s\n", t->config->name);
	if (!found) {
		print_absent(t);
		print_directory(t, place_refusal);
		return;
	}
	(void)printf(
		"  cgroup     %s (%s)\n", t->cgroup.level[0].path, cgroup_version_name(&t->cgroup));
	(void)printf("  guarantee  %s\n", guarantee_name(t->guarantee.guarantee));
	if (t->guarantee.why[0])
		(void)printf(
			"  because    %s\n  to raise   %s\n", t->guarantee.why, t->guarantee.mend);
	if (s->limit_bytes != SIZE_UNLIMITED)
		(void)printf("  limit      %" PRIu64 " MiB (%s), used %" PRIu64
			     " MiB; arms at %" PRIu64 " MiB, trips at %" PRIu64 " MiB\n",
			MIB(s->limit_bytes), s->level ? "of a parent" : "its own",
			MIB(sample_used(s)), MIB(t->engine.thresholds.arm_bytes),
			MIB(t->engine.thresholds.trip_bytes));
	(void)wiring_text(t, wire, sizeof(wire));
	(void)printf("  tripwire   %s\n", wire);
	tell_runtime_text(t, runtime, sizeof(runtime));
	(void)printf("  runtime    %s\n", runtime);
	print_pressure(&t->pressure);
	print_directory(t, place_refusal);
}

/*
 * Looks at one target, which stays open: the next place of its selector takes another container. A
 * further place that finds none says nothing; *ret_found is whether it found one.
 */
static enum exit_code check_target(struct watch *w, const struct config_target *config, bool json,
	bool further, bool *ret_found)
{
	static pid_t pids[WATCH_PIDS_MAX];
	struct target *t = &w->target[w->target_count];
	enum exit_code code = EXIT_CODE_OK;
	char place_refusal[CAPTURER_WHY_MAX] = "";
	bool found;

	t->watch = w;
	t->index = w->target_count++;
	t->config = config;
	t->asked = config;
	t->pids = pids;
	found = target_find(t);
	if (found && cgroup_sample(&t->cgroup, w->now_ns, 0, &t->engine.last) != 0)
		found = false;
	*ret_found = found;
	if (!found && further)
		return EXIT_CODE_OK;
	if (found)
		psi_open(cgroup_pressure_dir(&t->cgroup), PSI_MACHINE_PATH, &t->pressure);
	if (capture_try_directory(config->directory, /* allow_memory= */ false,
		    /* make= */ false, place_refusal, sizeof(place_refusal)) != 0)
		code = EXIT_CODE_PLACE;
	if (json)
		print_json(t, found, place_refusal);
	else
		print_text(t, found, place_refusal);
	if (!found)
		code = EXIT_CODE_NO_TARGET;
	else if (t->guarantee.guarantee == GUARANTEE_OBSERVE)
		code = EXIT_CODE_PERMISSION;
	if (found)
		cleanup_close(&t->pressure.fd);
	return code;
}

/* A selector of containers is checked for each of those that are there, or once for none. */
static enum exit_code check_all(struct watch *w, const struct config_target *config, bool json)
{
	enum exit_code code = EXIT_CODE_OK;
	bool found = true;

	for (uint32_t k = 0;
		found && k < containers_places(config) && w->target_count < CONFIG_TARGETS_MAX;
		k++) {
		enum exit_code one = check_target(w, config, json, k > 0, &found);

		if (code == EXIT_CODE_OK)
			code = one;
	}
	return code;
}

int cmd_check(int argc, char **argv)
{
	static struct watch watch; /* large */
	static struct watch_arguments arguments;
	struct event_options events = {.sink = EVENT_SINK_TEXT, .fd = STDERR_FILENO};
	struct config_error error;
	enum exit_code code = EXIT_CODE_OK;
	int r = watch_arguments_parse(argc, argv, usage_text, &arguments);

	if (r >= 0)
		return r;
	r = config_load(&arguments.options, &watch.config, &error);
	if (r != 0) {
		(void)fprintf(stderr, "oomsnap: %s\n", r > 0 ? error.text : "no memory");
		return r == CONFIG_UNREADABLE ? EXIT_CODE_PERMISSION
			: r > 0		      ? EXIT_CODE_USAGE
					      : EXIT_CODE_FAILED;
	}
	(void)event_open(&events); /* what target_find() has to say goes to stderr */
	wiring_open(&watch);
	watch.now_ns = clock_now_ns();
	for (uint32_t i = 0; i < watch.config->target_count; i++) {
		enum exit_code one = check_all(&watch, &watch.config->targets[i], arguments.json);

		if (code == EXIT_CODE_OK)
			code = one;
	}
	for (uint32_t i = 0; i < watch.target_count; i++)
		target_close(&watch.target[i]);
	wiring_close(&watch);
	config_free(watch.config);
	return standard_out_end((int)code);
}
