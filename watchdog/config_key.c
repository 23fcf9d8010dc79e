// SPDX-License-Identifier: Apache-2.0
/*
 * What each key of the configuration means.
 *
 * config_key.h lists the keys with their defaults in the words of the file; here each gets its
 * effect on a target. The defaults go through the same code as the file's values, so that what the
 * documentation says about a default is what the program does, and a unit test holds the shipped
 * example file against the same list.
 *
 * A refused value leaves the target as it was and says how the key is written. Ranges exist where a
 * value outside would be a slip of the finger rather than a wish: a trip of 460 bytes, a deadline
 * of 5 ms. Two keys that contradict each other are found at the end, when the defaults have been
 * merged; a contradiction that only a default of ours would make is none, it gives way instead
 * (arm's 75% under a trip of 60%: policy.c lowers arm).
 *
 * Nothing here looks at the machine: whether a cgroup, a unit or a directory exists is for those to
 * say who open it.
 */
#include "config_key.h"

#include <assert.h>
#include <string.h>

#include "base/checked.h"
#include "config_value.h"
#include "core/policy.h"

#define PID_LARGEST 4194304ULL /* PID_MAX_LIMIT of linux/threads.h on 64 bit */
#define KEEP_LARGEST 100000ULL
#define UNIT_NAME_MAX 255 /* UNIT_NAME_MAX of systemd is 256 with the terminator */
#define PROCESS_NAME_MAX 63
#define TRIP_USED_LEAST_BYTES (1ULL << 20)
#define TRIP_HEADROOM_LEAST_BYTES \
	(512ULL << 10) /* two charge batches: nearer is not seen in time */
#define LEASE_LEAST_BYTES (1ULL << 20)
#define MAX_USE_LEAST_BYTES (1ULL << 20)
#define MINUTE_NS (60 * NS_PER_S)

static const char *const key_names[CONFIG_KEY_COUNT] = {
#define X(id, name, initial, how) [CONFIG_KEY_##id] = (name),
	CONFIG_KEYS(X)
#undef X
};

static const char *const key_initial[CONFIG_KEY_COUNT] = {
#define X(id, name, initial, how) [CONFIG_KEY_##id] = (initial),
	CONFIG_KEYS(X)
#undef X
};

static const char *const key_how[CONFIG_KEY_COUNT] = {
#define X(id, name, initial, how) [CONFIG_KEY_##id] = (how),
	CONFIG_KEYS(X)
#undef X
};

static const char *const selector_names[SELECTOR_COUNT] = {
#define X(id, name) [SELECTOR_##id] = (name),
	SELECTOR_KINDS(X)
#undef X
};

_Static_assert((int)CONFIG_KEY_CGROUP == (int)SELECTOR_CGROUP &&
		(int)CONFIG_KEY_UNIT == (int)SELECTOR_UNIT &&
		(int)CONFIG_KEY_PID == (int)SELECTOR_PID &&
		(int)CONFIG_KEY_PROCESS == (int)SELECTOR_PROCESS &&
		(int)CONFIG_KEY_SIBLINGS == (int)SELECTOR_SIBLINGS &&
		(int)CONFIG_KEY_KUBEPODS == (int)SELECTOR_KUBEPODS,
	"selector keys and selector kinds have the same numbers");

const char *selector_kind_name(enum selector_kind kind)
{
	return (unsigned int)kind < SELECTOR_COUNT ? selector_names[kind] : "?";
}

const char *config_key_name(enum config_key_id key)
{
	return (unsigned int)key < CONFIG_KEY_COUNT ? key_names[key] : "?";
}

bool config_key(uint32_t n, const char **ret_name, const char **ret_default)
{
	if (n >= CONFIG_KEY_COUNT)
		return false;
	*ret_name = key_names[n];
	*ret_default = key_initial[n];
	return true;
}

enum config_key_id config_key_find(const char *name, const char **ret_nearest)
{
	int i = config_value_choice(name, key_names, CONFIG_KEY_COUNT);

	if (i >= 0)
		return (enum config_key_id)i;
	*ret_nearest = config_value_nearest(name, key_names, CONFIG_KEY_COUNT);
	return CONFIG_KEY_COUNT;
}

/* --- one function for each kind of value ----------------------------------------------------- */

static bool is_off(const char *value)
{
	return strcmp(value, "off") == 0;
}

/* Always false, for the callers to return. */
static bool refuse(struct str *why, enum config_key_id key, const char *what)
{
	(void)str_addf(why, "%s: %s", what, key_how[key]);
	return false;
}

static bool take_size(enum config_key_id key, const char *value, uint64_t least_bytes,
	uint64_t *ret_bytes, struct str *why)
{
	uint64_t bytes;
	enum config_value_status status = config_value_size(value, &bytes);

	if (status)
		return refuse(why, key, config_value_hint(status));
	if (bytes < least_bytes)
		return refuse(why, key, "is too small");
	*ret_bytes = bytes;
	return true;
}

static bool take_share(enum config_key_id key, const char *value, uint32_t most_bp,
	uint32_t *ret_bp, struct str *why)
{
	uint32_t bp;
	enum config_value_status status = config_value_share(value, &bp);

	if (status)
		return refuse(why, key, config_value_hint(status));
	if (bp < BP_ONE / 100 || bp > most_bp)
		return refuse(why, key, "is out of range");
	*ret_bp = bp;
	return true;
}

static bool take_time(enum config_key_id key, const char *value, uint64_t least_ns,
	uint64_t most_ns, uint64_t *ret_ns, struct str *why)
{
	uint64_t ns;
	enum config_value_status status = config_value_time(value, &ns);

	if (status)
		return refuse(why, key, config_value_hint(status));
	if (ns < least_ns || ns > most_ns)
		return refuse(why, key, "is out of range");
	*ret_ns = ns;
	return true;
}

/* The index of the name, or -1 with the nearest one suggested. */
static int take_choice(enum config_key_id key, const char *value, const char *const *names,
	size_t count, struct str *why)
{
	int i = config_value_choice(value, names, count);
	const char *nearest;

	if (i >= 0)
		return i;
	nearest = config_value_nearest(value, names, count);
	if (nearest)
		(void)str_addf(why, "is unknown, did you mean %s? Or ", nearest);
	else
		(void)str_add(why, "is unknown: ");
	(void)str_add(why, key_how[key]);
	return -1;
}

#define NAME_OF(id, name) name,
#define TAKE_CHOICE(LIST, field)                                                     \
	{                                                                            \
		static const char *const names[] = {LIST(NAME_OF)};                  \
		int choice_ = take_choice(key, value, names, ARRAY_LEN(names), why); \
                                                                                     \
		if (choice_ < 0)                                                     \
			return false;                                                \
		(field) = (__typeof__(field))choice_;                                \
		return true;                                                         \
	}

static bool take_trip(const char *value, struct policy *policy, struct str *why)
{
	enum config_key_id key = CONFIG_KEY_TRIP;

	if (strcmp(value, "auto") == 0) {
		policy->trip_kind = TRIP_AUTO;
	} else if (str_has_prefix(value, "max-")) {
		if (!take_size(key, value + strlen("max-"), TRIP_HEADROOM_LEAST_BYTES,
			    &policy->trip_bytes, why))
			return false;
		policy->trip_kind = TRIP_HEADROOM;
	} else if (str_has_suffix(value, "%")) {
		if (!take_share(key, value, BP_ONE * 99 / 100, &policy->trip_bp, why))
			return false;
		policy->trip_kind = TRIP_SHARE;
	} else {
		if (!take_size(key, value, TRIP_USED_LEAST_BYTES, &policy->trip_bytes, why))
			return false;
		policy->trip_kind = TRIP_USED;
	}
	return true;
}

static bool take_lease(const char *value, struct policy *policy, struct str *why)
{
	uint64_t bytes = 0;
	uint32_t bp = 0;
	bool ok = is_off(value) ||
		(str_has_suffix(value, "%") ? take_share(CONFIG_KEY_LEASE, value, BP_ONE, &bp, why)
					    : take_size(CONFIG_KEY_LEASE, value, LEASE_LEAST_BYTES,
						      &bytes, why));

	if (ok) {
		policy->lease_bytes = bytes;
		policy->lease_bp = bp;
	}
	return ok;
}

static bool take_keep(const char *value, uint32_t *ret, struct str *why)
{
	uint64_t count;

	if (!str_to_u64(value, &count))
		return refuse(why, CONFIG_KEY_KEEP, "is not a whole number");
	if (count > KEEP_LARGEST)
		return refuse(why, CONFIG_KEY_KEEP, "is too large");
	*ret = (uint32_t)count;
	return true;
}

/* Whether a path has a component "..". */
static bool climbs(const char *path)
{
	for (const char *p = path; (p = strstr(p, "..")); p += 2)
		if ((p == path || p[-1] == '/') && (p[2] == '/' || p[2] == '\0'))
			return true;
	return false;
}

static bool take_path(
	enum config_key_id key, const char *value, char *memory, size_t size, struct str *why)
{
	size_t len = strlen(value);

	if (value[0] != '/')
		return refuse(why, key, "is not absolute");
	if (climbs(value))
		return refuse(why, key, "contains ..");
	if (len >= size) {
		(void)str_addf(why, "is too long: at most %zu bytes", size - 1);
		return false;
	}
	while (len > 1 && value[len - 1] == '/')
		len--;
	memcpy(memory, value, len);
	memory[len] = '\0';
	return true;
}

static bool take_command(
	enum config_key_id key, const char *value, struct config_command *command, struct str *why)
{
	if (strlen(value) >= sizeof(command->text))
		return refuse(why, key, "is too long");
	(void)str_copy(command->text, sizeof(command->text), is_off(value) ? "" : value); /* fits */
	return true;
}

/* --- selectors ------------------------------------------------------------------------------- */

static bool take_unit(const char *value, struct selector *selector, struct str *why)
{
	static const char *const types[] = {
		".service", ".scope", ".slice", ".socket", ".mount", ".swap"};
	bool typed = false;
	struct str name;

	if (strlen(value) > UNIT_NAME_MAX - strlen(".service"))
		return refuse(why, CONFIG_KEY_UNIT, "is too long");
	for (const char *c = value; *c; c++)
		if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			    (*c >= '0' && *c <= '9') || strchr(":_.\\@-", *c)))
			return refuse(why, CONFIG_KEY_UNIT, "is no unit name");
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		typed |= str_has_suffix(value, types[i]);
	str_init(&name, selector->value, sizeof(selector->value));
	(void)str_add(&name, value); /* fits: the length was checked */
	if (!typed)
		(void)str_add(&name, types[0]);
	return true;
}

static bool take_pid(const char *value, struct selector *selector, struct str *why)
{
	uint64_t pid;

	if (!str_to_u64(value, &pid) || pid == 0 || pid > PID_LARGEST)
		return refuse(why, CONFIG_KEY_PID, "is no process number");
	selector->pid = (pid_t)pid;
	(void)str_copy(selector->value, sizeof(selector->value), value);
	return true;
}

static bool take_process(const char *value, struct selector *selector, struct str *why)
{
	if (strchr(value, '/'))
		return refuse(why, CONFIG_KEY_PROCESS, "contains /");
	if (strlen(value) > PROCESS_NAME_MAX)
		return refuse(why, CONFIG_KEY_PROCESS, "is too long");
	(void)str_copy(selector->value, sizeof(selector->value), value);
	return true;
}

static bool take_selector(
	enum config_key_id key, const char *value, struct selector *ret, struct str *why)
{
	struct selector selector = {.kind = (enum selector_kind)key};
	bool on = false;
	bool ok = false;

	switch (selector.kind) {
	case SELECTOR_CGROUP:
		ok = take_path(key, value, selector.value, sizeof(selector.value), why);
		break;
	case SELECTOR_UNIT:
		ok = take_unit(value, &selector, why);
		break;
	case SELECTOR_PID:
		ok = take_pid(value, &selector, why);
		break;
	case SELECTOR_PROCESS:
		ok = take_process(value, &selector, why);
		break;
	case SELECTOR_KUBEPODS:
		if (value[0] == '/') {
			ok = take_path(key, value, selector.value, sizeof(selector.value), why);
			break;
		}
		ok = (config_value_switch(value, &on) && on) || refuse(why, key, "is not on");
		break;
	case SELECTOR_SIBLINGS:
		ok = (config_value_switch(value, &on) && on) || refuse(why, key, "is not on");
		break;
	case SELECTOR_COUNT:
		break;
	}
	if (ok)
		*ret = selector;
	return ok;
}

/* --- keys ------------------------------------------------------------------------------------- */

static bool apply_times(
	enum config_key_id key, const char *value, struct config_target *t, struct str *why)
{
	struct policy *p = &t->policy;

	switch (key) {
	case CONFIG_KEY_TRIP_ETA:
		if (is_off(value)) {
			p->trip_eta_ns = 0;
			return true;
		}
		return take_time(key, value, 100 * NS_PER_MS, 60 * MINUTE_NS, &p->trip_eta_ns, why);
	case CONFIG_KEY_HOLD_TIMEOUT:
		return take_time(key, value, 10 * NS_PER_MS, MINUTE_NS, &p->hold_timeout_ns, why);
	case CONFIG_KEY_DEADLINE:
		return take_time(key, value, NS_PER_S, 60 * MINUTE_NS, &p->deadline_ns, why);
	case CONFIG_KEY_COOLDOWN:
		return take_time(key, value, 0, 1440 * MINUTE_NS, &p->cooldown_ns, why);
	case CONFIG_KEY_ON_ARM_TIMEOUT:
		return take_time(
			key, value, 100 * NS_PER_MS, 60 * MINUTE_NS, &t->on_arm.timeout_ns, why);
	case CONFIG_KEY_ON_CAPTURE_TIMEOUT:
		return take_time(key, value, 100 * NS_PER_MS, 60 * MINUTE_NS,
			&t->on_capture.timeout_ns, why);
	default:
		assert(false);
		return false;
	}
}

static bool apply_brake(const char *value, struct policy *policy, struct str *why)
{
	uint32_t bp = 0;

	if (!is_off(value) && !take_share(CONFIG_KEY_BRAKE, value, BP_ONE * 99 / 100, &bp, why))
		return false;
	policy->brake_bp = bp;
	return true;
}

static bool apply_choice(
	enum config_key_id key, const char *value, struct policy *p, struct str *why)
{
	switch (key) {
	case CONFIG_KEY_SHIELD:
		TAKE_CHOICE(SHIELD_MODES, p->shield)
	case CONFIG_KEY_HOLD:
		TAKE_CHOICE(HOLD_METHODS, p->hold)
	case CONFIG_KEY_CAPTURE:
		TAKE_CHOICE(CAPTURE_KINDS, p->capture)
	case CONFIG_KEY_PROCESSES:
		TAKE_CHOICE(PROCESS_CHOICES, p->processes)
	case CONFIG_KEY_COMPRESS:
		TAKE_CHOICE(COMPRESSIONS, p->compress)
	case CONFIG_KEY_SWAP:
		TAKE_CHOICE(SWAP_MODES, p->swap)
	case CONFIG_KEY_VERDICT:
		TAKE_CHOICE(VERDICTS, p->verdict)
	default:
		assert(false);
		return false;
	}
}

bool config_key_apply(
	enum config_key_id key, const char *value, struct config_target *target, struct str *why)
{
	struct policy *p = &target->policy;

	switch (key) {
	case CONFIG_KEY_CGROUP:
	case CONFIG_KEY_UNIT:
	case CONFIG_KEY_PID:
	case CONFIG_KEY_PROCESS:
	case CONFIG_KEY_SIBLINGS:
	case CONFIG_KEY_KUBEPODS:
		return take_selector(key, value, &target->selector, why);
	case CONFIG_KEY_TRIP:
		return take_trip(value, p, why);
	case CONFIG_KEY_TRIP_PSI:
		if (is_off(value)) {
			p->trip_psi_bp = 0;
			return true;
		}
		return take_share(key, value, BP_ONE, &p->trip_psi_bp, why);
	case CONFIG_KEY_ARM:
		return take_share(key, value, BP_ONE * 99 / 100, &p->arm_bp, why);
	case CONFIG_KEY_BRAKE:
		return apply_brake(value, p, why);
	case CONFIG_KEY_TRIPWIRE:
		return config_value_switch(value, &p->tripwire) || refuse(why, key, "is unknown");
	case CONFIG_KEY_LEASE:
		return take_lease(value, p, why);
	case CONFIG_KEY_SHIELD:
	case CONFIG_KEY_HOLD:
	case CONFIG_KEY_CAPTURE:
	case CONFIG_KEY_PROCESSES:
	case CONFIG_KEY_COMPRESS:
	case CONFIG_KEY_SWAP:
	case CONFIG_KEY_VERDICT:
		return apply_choice(key, value, p, why);
	case CONFIG_KEY_DIRECTORY:
		return take_path(key, value, target->directory, sizeof(target->directory), why);
	case CONFIG_KEY_KEEP:
		return take_keep(value, &p->keep, why);
	case CONFIG_KEY_MAX_USE:
		if (strcmp(value, "unlimited") == 0) {
			p->max_use_bytes = SIZE_UNLIMITED;
			return true;
		}
		return take_size(key, value, MAX_USE_LEAST_BYTES, &p->max_use_bytes, why);
	case CONFIG_KEY_KEEP_FREE:
		return take_size(key, value, 0, &p->keep_free_bytes, why);
	case CONFIG_KEY_TRIP_ETA:
	case CONFIG_KEY_HOLD_TIMEOUT:
	case CONFIG_KEY_DEADLINE:
	case CONFIG_KEY_COOLDOWN:
	case CONFIG_KEY_ON_ARM_TIMEOUT:
	case CONFIG_KEY_ON_CAPTURE_TIMEOUT:
		return apply_times(key, value, target, why);
	case CONFIG_KEY_ON_ARM:
		return take_command(key, value, &target->on_arm, why);
	case CONFIG_KEY_ON_CAPTURE:
		return take_command(key, value, &target->on_capture, why);
	case CONFIG_KEY_COUNT:
		break;
	}
	assert(false);
	return false;
}

void config_key_defaults(struct config_target *target)
{
	char memory[256];
	struct str why;

	str_init(&why, memory, sizeof(memory));
	for (unsigned int key = 0; key < CONFIG_KEY_COUNT; key++) {
		bool ok = !key_initial[key] ||
			config_key_apply((enum config_key_id)key, key_initial[key], target, &why);

		assert(ok);
		(void)ok; /* NDEBUG; a unit test applies each default */
	}
}

static bool is_set(uint64_t set, enum config_key_id key)
{
	return (set >> key) & 1;
}

bool config_key_check(const struct config_target *target, uint64_t set, struct str *why)
{
	const struct policy *p = &target->policy;
	uint32_t trip_bp = p->trip_kind == TRIP_SHARE ? p->trip_bp
		: p->trip_kind == TRIP_AUTO	      ? POLICY_AUTO_TRIP_BP
					    : 0; /* bytes: not comparable without a limit */

	if (is_set(set, CONFIG_KEY_ARM) && trip_bp && p->arm_bp > trip_bp) {
		(void)str_add(why, "arm = ");
		config_value_put_share(why, p->arm_bp);
		(void)str_addf(
			why, " is above trip = %s", p->trip_kind == TRIP_AUTO ? "auto, " : "");
		config_value_put_share(why, trip_bp);
		(void)str_add(
			why, ": the shield would go up after the capture; lower arm or raise trip");
		return false;
	}
	if (p->verdict == VERDICT_LEASE && p->lease_bytes == 0 && p->lease_bp == 0) {
		(void)str_add(why,
			"verdict = lease resumes the target with a raised limit, and lease is off: "
			"set "
			"lease, as in lease = 64M");
		return false;
	}
	return true;
}
