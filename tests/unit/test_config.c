// SPDX-License-Identifier: Apache-2.0
/*
 * The configuration: each key's effect, the order in which files and options win, every error with
 * the sentence that tells it, and the shipped example and manual against the list of keys.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "config.h"

static struct config_error error;

/* The configuration that text makes; the caller frees it. */
static struct config *load_with(const char *text, const struct config_options *options)
{
	struct config *config = NULL;
	int r = config_load_text("f.ini", text, strlen(text), options, &config, &error);

	if (r)
		fail_msg("status %d: %s", r, error.text);
	assert_non_null(config);
	return config;
}

static struct config *load(const char *text)
{
	const struct config_options none = {0};

	return load_with(text, &none);
}

/* text is refused with exactly that sentence. */
static void refused_bytes(const char *text, size_t len, const char *sentence)
{
	const struct config_options none = {0};
	struct config *config = (struct config *)&error; /* must stay as it is */
	int r = config_load_text("f.ini", text, len, &none, &config, &error);

	if (r != CONFIG_BAD || strcmp(error.text, sentence) != 0)
		fail_msg("status %d\n got: %s\nwant: %s", r, error.text, sentence);
	assert_ptr_equal(config, &error);
}

static void refused(const char *text, const char *sentence)
{
	refused_bytes(text, strlen(text), sentence);
}

/* The same for the value of a key in an otherwise good target. */
static void refused_value(const char *line, const char *rest)
{
	char text[4096];
	char sentence[4096];

	(void)snprintf(text, sizeof(text), "[target t]\npid=1\n%s\n", line);
	(void)snprintf(sentence, sizeof(sentence), "f.ini:3: %s", rest);
	refused(text, sentence);
}

static void test_defaults(void **state)
{
	_cleanup_config_free_ struct config *c = load("[target t]\nunit = web\n");
	const struct config_target *t = &c->targets[0];
	const struct policy *p = &t->policy;

	(void)state;
	assert_int_equal(c->target_count, 1);
	assert_int_equal(c->file_count, 1);
	assert_string_equal(c->path, "f.ini");
	assert_string_equal(t->name, "t");
	assert_string_equal(t->place, "f.ini:1");
	assert_int_equal(t->selector.kind, SELECTOR_UNIT);
	assert_string_equal(t->selector.value, "web.service");
	assert_int_equal(p->trip_kind, TRIP_AUTO);
	assert_int_equal(p->trip_eta_ns, 0);
	assert_int_equal(p->trip_psi_bp, 0);
	assert_int_equal(p->arm_bp, 7500);
	assert_int_equal(p->shield, SHIELD_ARMED);
	assert_int_equal(p->brake_bp, 0);
	assert_true(p->tripwire);
	assert_int_equal(p->lease_bytes, 0);
	assert_int_equal(p->lease_bp, 0);
	assert_int_equal(p->hold, HOLD_AUTO);
	assert_int_equal(p->hold_timeout_ns, 2 * NS_PER_S);
	assert_int_equal(p->capture, CAPTURE_FULL);
	assert_int_equal(p->processes, PROCESSES_LEAKER);
	assert_int_equal(p->compress, COMPRESS_NONE);
	assert_int_equal(p->swap, SWAP_LAST);
	assert_string_equal(t->directory, "/var/lib/oomsnap");
	assert_int_equal(p->keep, 5);
	assert_true(p->max_use_bytes == SIZE_UNLIMITED);
	assert_int_equal(p->keep_free_bytes, 256 << 20);
	assert_int_equal(p->deadline_ns, 60 * NS_PER_S);
	assert_int_equal(p->verdict, VERDICT_RESUME);
	assert_int_equal(p->cooldown_ns, 60 * NS_PER_S);
	assert_string_equal(t->on_arm.text, "");
	assert_int_equal(t->on_arm.timeout_ns, 10 * NS_PER_S);
	assert_string_equal(t->on_capture.text, "");
	assert_int_equal(t->on_capture.timeout_ns, 60 * NS_PER_S);
}

static void test_every_key(void **state)
{
	_cleanup_config_free_ struct config *c =
		load("\xef\xbb\xbf; a comment\n"
		     "  # another\r\n"
		     "[target web-1.x]  # behind a heading\n"
		     "\tcgroup = /sys/fs/cgroup/a b//\r\n"
		     "  trip=92.5%\n"
		     "trip_eta = 5s\ntrip_psi = 40%\narm = 80%\nshield = always\nbrake = 95%\n"
		     "tripwire = off\nlease = 10%\nhold = ptrace\nhold_timeout = 500ms\n"
		     "capture = mini\nprocesses = all\ncompress = zstd\nswap = skip\n"
		     "directory = /srv/cores/\nkeep = 0\nmax_use = 20G\nkeep_free = 0\n"
		     "deadline = 2m\nverdict = lease\ncooldown = 0\n"
		     "on_arm = kill -USR1 $OOMSNAP_PID; sleep 1 # = all of it\n"
		     "on_arm_timeout = 100ms\non_capture: /bin/mail \"x\"\n"
		     "on_capture_timeout = 60m");
	const struct config_target *t = &c->targets[0];
	const struct policy *p = &t->policy;

	(void)state;
	assert_string_equal(t->name, "web-1.x");
	assert_string_equal(t->place, "f.ini:3");
	assert_int_equal(t->selector.kind, SELECTOR_CGROUP);
	assert_string_equal(t->selector.value, "/sys/fs/cgroup/a b");
	assert_int_equal(p->trip_kind, TRIP_SHARE);
	assert_int_equal(p->trip_bp, 9250);
	assert_int_equal(p->trip_eta_ns, 5 * NS_PER_S);
	assert_int_equal(p->trip_psi_bp, 4000);
	assert_int_equal(p->arm_bp, 8000);
	assert_int_equal(p->shield, SHIELD_ALWAYS);
	assert_int_equal(p->brake_bp, 9500);
	assert_false(p->tripwire);
	assert_int_equal(p->lease_bp, 1000);
	assert_int_equal(p->lease_bytes, 0);
	assert_int_equal(p->hold, HOLD_PTRACE);
	assert_int_equal(p->hold_timeout_ns, 500 * NS_PER_MS);
	assert_int_equal(p->capture, CAPTURE_MINI);
	assert_int_equal(p->processes, PROCESSES_ALL);
	assert_int_equal(p->compress, COMPRESS_ZSTD);
	assert_int_equal(p->swap, SWAP_SKIP);
	assert_string_equal(t->directory, "/srv/cores");
	assert_int_equal(p->keep, 0);
	assert_true(p->max_use_bytes == 20ULL << 30);
	assert_int_equal(p->keep_free_bytes, 0);
	assert_int_equal(p->deadline_ns, 120 * NS_PER_S);
	assert_int_equal(p->verdict, VERDICT_LEASE);
	assert_int_equal(p->cooldown_ns, 0);
	assert_string_equal(t->on_arm.text, "kill -USR1 $OOMSNAP_PID; sleep 1 # = all of it");
	assert_int_equal(t->on_arm.timeout_ns, 100 * NS_PER_MS);
	assert_string_equal(t->on_capture.text, "/bin/mail \"x\"");
	assert_int_equal(t->on_capture.timeout_ns, 3600 * NS_PER_S);
}

static void test_trip_and_lease_forms(void **state)
{
	_cleanup_config_free_ struct config *c = load("[target a]\npid=1\ntrip=460M\nlease=64M\n"
						      "[target b]\npid=2\ntrip=max-64M\nlease=off\n"
						      "[target c]\npid=3\ntrip=auto\nlease=100%\n");

	(void)state;
	assert_int_equal(c->targets[0].policy.trip_kind, TRIP_USED);
	assert_int_equal(c->targets[0].policy.trip_bytes, 460 << 20);
	assert_int_equal(c->targets[0].policy.lease_bytes, 64 << 20);
	assert_int_equal(c->targets[0].policy.lease_bp, 0);
	assert_int_equal(c->targets[1].policy.trip_kind, TRIP_HEADROOM);
	assert_int_equal(c->targets[1].policy.trip_bytes, 64 << 20);
	assert_int_equal(c->targets[2].policy.trip_kind, TRIP_AUTO);
	assert_int_equal(c->targets[2].policy.lease_bp, 10000);
}

static void test_every_selector(void **state)
{
	_cleanup_config_free_ struct config *c =
		load("[target a]\ncgroup=/\n[target b]\nunit=getty@tty1.service\n"
		     "[target c]\npid=4194304\n[target d]\nprocess=Web Content\n"
		     "[target e]\nsiblings=on\n[target f]\nkubepods=yes\n"
		     "[target g]\nunit=my.app\n[target h]\nunit=system-foo\\x2dbar.slice\n");

	(void)state;
	assert_int_equal(c->target_count, 8);
	assert_string_equal(c->targets[0].selector.value, "/");
	assert_string_equal(c->targets[1].selector.value, "getty@tty1.service");
	assert_int_equal(c->targets[2].selector.pid, 4194304);
	assert_int_equal(c->targets[2].selector.kind, SELECTOR_PID);
	assert_string_equal(c->targets[3].selector.value, "Web Content");
	assert_int_equal(c->targets[4].selector.kind, SELECTOR_SIBLINGS);
	assert_int_equal(c->targets[5].selector.kind, SELECTOR_KUBEPODS);
	assert_string_equal(c->targets[6].selector.value, "my.app.service");
	assert_string_equal(c->targets[7].selector.value, "system-foo\\x2dbar.slice");
	assert_string_equal(selector_kind_name(SELECTOR_KUBEPODS), "kubepods");
	assert_string_equal(selector_kind_name(SELECTOR_COUNT), "?");
}

/* Defaults count wherever they stand; the command line's win over them, a target's own over all. */
static void test_who_wins(void **state)
{
	struct config_options options = {0};

	(void)state;
	assert_int_equal(config_add_override(&options, " deadline = 30s ", &error), CONFIG_OK);
	assert_int_equal(config_add_override(&options, "keep=9", &error), CONFIG_OK);
	assert_int_equal(config_add_override(&options, "keep=8", &error), CONFIG_OK);
	assert_int_equal(config_add_override(&options, "on_arm=a=b", &error), CONFIG_OK);

	_cleanup_config_free_ struct config *c = load_with("[target a]\npid=1\nkeep=1\n"
							   "[defaults]\nkeep=2\ndeadline=10s\n"
							   "trip=50%\non_arm=x\n"
							   "[target b]\npid=2\non_arm=off\n",
		&options);
	assert_int_equal(c->targets[0].policy.keep, 1);
	assert_int_equal(c->targets[1].policy.keep, 8);
	assert_int_equal(c->targets[0].policy.deadline_ns, 30 * NS_PER_S);
	assert_int_equal(c->targets[0].policy.trip_bp, 5000);
	assert_string_equal(c->targets[0].on_arm.text, "a=b");
	assert_string_equal(c->targets[1].on_arm.text, "");
	assert_int_equal(c->defaults.policy.keep, 8);
}

static void test_bad_lines(void **state)
{
	char text[4096];

	(void)state;
	refused("",
		"f.ini: no target: add [target NAME] with a selector, as in unit = web.service");
	refused("[defaults]\nkeep = 3\n",
		"f.ini: no target: add [target NAME] with a selector, as in unit = web.service");
	refused("[target t]\npid=1\nnonsense\n", "f.ini:3: neither KEY = VALUE nor [SECTION]");
	refused("keep = 3\n",
		"f.ini:1: a key before the first section: put it under [defaults] or [target "
		"NAME]");
	refused("[target t\npid=1\n", "f.ini:1: the section heading lacks its ]");
	refused("[target t] pid=1\n",
		"f.ini:1: something stands behind the ] of the section heading");
	refused("[targets t]\npid=1\n", "f.ini:1: unknown section: write [target NAME]");
	refused("[default]\nkeep=1\n", "f.ini:1: unknown section: write [defaults]");
	refused("[watch]\n", "f.ini:1: unknown section: write [defaults] or [target NAME]");
	refused("[]\n", "f.ini:1: unknown section: write [defaults] or [target NAME]");
	refused("[target t]\npid = 1 ; mine\n",
		"f.ini:2: a comment needs a line of its own: behind a value, ; would cut it short");
	refused("[target t]\non_arm = a\t; b\npid = 1\n",
		"f.ini:2: a comment needs a line of its own: behind a value, ; would cut it short");
	refused("[target t]\npid = 1\non_arm = a\x01z\n",
		"f.ini:3: the byte 0x01 is a control character: remove it");
	refused("[target t]\n# \xff\npid = 1\n", "f.ini:2: the byte 0xff is not UTF-8: remove it");
	refused_bytes("[target t]\npid = 1\0\n", 20,
		"f.ini:2: the byte 0x00 is a control character: remove it");
	refused("[target t]\rpid = 1\n",
		"f.ini:1: the byte 0x0d is a control character: remove it");

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	memcpy(text, "[target t]\npid=1\non_arm=", 24);
	refused(text, "f.ini:3: the line is too long: at most 2045 bytes");
	memcpy(text, "[target t]\npid=1\n#======", 24); /* a comment may be as long as it likes */
	config_free(load(text));
	memcpy(text, "[target t]\npid=1\non_arm=", 24);
	text[24 + 1024] = '\0';
	(void)snprintf(text + 24 + 1024, 1, "%s", "");
	refused(text,
		"f.ini:3: on_arm = "
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		"xxxxxxxx"
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx... is too long: write off or a shell command of at "
		"most "
		"1023 bytes");
	text[24 + 1023] = '\0';
	config_free(load(text));
}

static void test_bad_sections_and_targets(void **state)
{
	(void)state;
	refused("[defaults]\nkeep=1\n[target t]\npid=1\n[defaults]\nkeep=2\n",
		"f.ini:5: [defaults] for the second time in this file: keep one of them");
	refused("[target t]\npid=1\n[target t]\npid=2\n",
		"f.ini:3: target t is defined already, at f.ini:1: give one of them another name");
	refused("[target t]\n[target u]\npid=2\n",
		"f.ini:1: target t selects nothing: add cgroup, unit, pid, process, siblings or "
		"kubepods");
	refused("[target u]\npid=2\n[target t]\nkeep=2\n",
		"f.ini:3: target t selects nothing: add cgroup, unit, pid, process, siblings or "
		"kubepods");
	refused("[target t]\npid=1\nunit=x\n",
		"f.ini:3: a second selector: target t has pid already; make two targets of it");
	refused("[target t]\npid=1\npid=2\n",
		"f.ini:3: pid for the second time in this section: keep one of them");
	refused("[target t]\npid=1\nkeep=2\nkeep=2\n",
		"f.ini:4: keep for the second time in this section: keep one of them");
	refused("[defaults]\nunit=web\n[target t]\npid=1\n",
		"f.ini:2: unit belongs into a [target NAME] section, not [defaults]");
	refused("[target a]\npid=1\n[target b]\npid=1\n",
		"f.ini:3: target b selects the same as target a at f.ini:1: remove one of them");
	refused("[target]\npid=1\n",
		"f.ini:1: a target's name begins with a letter or digit and goes on with those and "
		". _ "
		"@ -, as in [target web-1]");
	refused("[target ../x]\npid=1\n",
		"f.ini:1: a target's name begins with a letter or digit and goes on with those and "
		". _ "
		"@ -, as in [target web-1]");
	refused("[target a b]\npid=1\n",
		"f.ini:1: a target's name begins with a letter or digit and goes on with those and "
		". _ "
		"@ -, as in [target web-1]");
	refused("[target "
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\npid=1\n",
		"f.ini:1: the target's name is too long: at most 63 bytes");
	config_free(
		load("[target "
		     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]\npid=1\n"));
}

static void test_too_many_targets(void **state)
{
	char text[8192];
	size_t len = 0;

	(void)state;
	for (int i = 1; i <= CONFIG_TARGETS_MAX; i++)
		len += (size_t)snprintf(
			text + len, sizeof(text) - len, "[target t%d]\npid=%d\n", i, i);

	_cleanup_config_free_ struct config *c = load(text);
	assert_int_equal(c->target_count, CONFIG_TARGETS_MAX);
	(void)snprintf(text + len, sizeof(text) - len, "[target x]\npid=999\n");
	refused(text, "f.ini:129: more than 64 targets");
}

static void test_unknown_keys(void **state)
{
	(void)state;
	refused_value("tripp = 90%", "unknown key tripp; did you mean trip?");
	refused_value("keepfree = 1M", "unknown key keepfree; did you mean keep_free?");
	refused_value("Hold = auto", "unknown key Hold; did you mean hold?");
	refused_value("colour = red", "unknown key colour; the keys are listed in oomsnap.ini(5)");
	refused("[defaults]\nbreak = off\n[target t]\npid=1\n",
		"f.ini:2: unknown key break; did you mean brake?");
}

/* One refusal at least for each key. */
static void test_bad_values(void **state)
{
	static const char *const bad[][2] = {
		{"trip = 90",
			"trip = 90 is too small: write auto, a share of the limit as in 90% (1% to "
			"99%), a size as in 460M (from 1M), or what must be left as in max-64M "
			"(from 512K)"},
		{"trip = 100%",
			"trip = 100% is out of range: write auto, a share of the limit as in 90% "
			"(1% to 99%), a size as in 460M (from 1M), or what must be left as in "
			"max-64M (from 512K)"},
		{"trip = max-1K",
			"trip = max-1K is too small: write auto, a share of the limit as in 90% "
			"(1% to 99%), a size as in 460M (from 1M), or what must be left as in "
			"max-64M (from 512K)"},
		{"trip = never",
			"trip = never does not begin with a number: write auto, a share of the "
			"limit as in 90% (1% to 99%), a size as in 460M (from 1M), or what must "
			"be left as in max-64M (from 512K)"},
		{"trip_eta = 5",
			"trip_eta = 5 lacks its unit: write off or a time as in 5s (100ms to 60m)"},
		{"trip_eta = 1ms",
			"trip_eta = 1ms is out of range: write off or a time as in 5s (100ms to "
			"60m)"},
		{"trip_psi = 0%",
			"trip_psi = 0% is out of range: write off or a share of time as in 40% (1% "
			"to 100%)"},
		{"arm = 0.5%",
			"arm = 0.5% is out of range: write a share of the limit as in 75% (1% to "
			"99%)"},
		{"arm = 300M",
			"arm = 300M has something else behind the number: write a share of the "
			"limit as in 75% (1% to 99%)"},
		{"shield = alwais",
			"shield = alwais is unknown, did you mean always? Or write armed, "
			"always or off"},
		{"shield = on", "shield = on is unknown: write armed, always or off"},
		{"brake = 100%",
			"brake = 100% is out of range: write off or a share of the limit as in 95% "
			"(1% to 99%)"},
		{"tripwire = maybe", "tripwire = maybe is unknown: write on or off"},
		{"lease = 1K",
			"lease = 1K is too small: write off, a size as in 64M (from 1M) or a share "
			"of "
			"the limit as in 10% (1% to 100%)"},
		{"lease = 101%",
			"lease = 101% is out of range: write off, a size as in 64M (from 1M) or a "
			"share of the limit as in 10% (1% to 100%)"},
		{"hold = sigstop", "hold = sigstop is unknown: write auto, freeze, stop or ptrace"},
		{"hold_timeout = 2m",
			"hold_timeout = 2m is out of range: write a time as in 2s (10ms to 1m)"},
		{"capture = all", "capture = all is unknown: write full, heap or mini"},
		{"processes = every", "processes = every is unknown: write leaker or all"},
		{"compress = gzip", "compress = gzip is unknown: write none or zstd"},
		{"swap = lasst",
			"swap = lasst is unknown, did you mean last? Or write last or skip"},
		{"directory = cores",
			"directory = cores is not absolute: write an absolute path without .. "
			"as in /var/lib/oomsnap"},
		{"directory = /a/../b",
			"directory = /a/../b contains ..: write an absolute path without .. "
			"as in /var/lib/oomsnap"},
		{"keep = -1",
			"keep = -1 is not a whole number: write how many captures to keep of a "
			"target, "
			"0 for all (to 100000)"},
		{"keep = 100001",
			"keep = 100001 is too large: write how many captures to keep of a target, "
			"0 for all (to 100000)"},
		{"max_use = 0",
			"max_use = 0 is too small: write unlimited or a size as in 20G (from 1M)"},
		{"max_use = 50%",
			"max_use = 50% has something else behind the number: write unlimited or a "
			"size as in 20G (from 1M)"},
		{"keep_free = 256MB",
			"keep_free = 256MB has something else behind the number: write a size as "
			"in 256M, 0 for none"},
		{"deadline = 10ms",
			"deadline = 10ms is out of range: write a time as in 60s (1s to 60m)"},
		{"verdict = killl",
			"verdict = killl is unknown, did you mean kill? Or write resume, oom, "
			"kill or lease"},
		{"cooldown = 2d",
			"cooldown = 2d has something else behind the number: write a time as in "
			"60s (0 to 1440m)"},
		{"on_arm_timeout = 0",
			"on_arm_timeout = 0 is out of range: write a time as in 10s (100ms to "
			"60m)"},
		{"on_capture_timeout = 61m",
			"on_capture_timeout = 61m is out of range: write a time as in 60s (100ms "
			"to 60m)"},
		{"on_capture =", "on_capture has no value: give one, or remove the line"},
		{"keep =", "keep has no value: give one, or remove the line"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		refused_value(bad[i][0], bad[i][1]);
}

static void test_bad_selectors(void **state)
{
	(void)state;
	refused("[target t]\ncgroup = a/b\n",
		"f.ini:2: cgroup = a/b is not absolute: write the "
		"absolute path of a cgroup directory");
	refused("[target t]\ncgroup = /a/..\n",
		"f.ini:2: cgroup = /a/.. contains ..: write the "
		"absolute path of a cgroup directory");
	refused("[target t]\nunit = a/b\n",
		"f.ini:2: unit = a/b is no unit name: write a systemd unit, as in web.service");
	refused("[target t]\npid = 0\n",
		"f.ini:2: pid = 0 is no process number: write the number of a process, 1 to "
		"4194304");
	refused("[target t]\npid = 4194305\n",
		"f.ini:2: pid = 4194305 is no process number: write the "
		"number of a process, 1 to 4194304");
	refused("[target t]\nprocess = /bin/x\n",
		"f.ini:2: process = /bin/x contains /: write the name "
		"of a process, as in /proc/PID/comm");
	refused("[target t]\nsiblings = off\n",
		"f.ini:2: siblings = off is not on: write siblings = on, or leave the key out");
	refused("[target t]\nkubepods = all\n",
		"f.ini:2: kubepods = all is not on: write kubepods = on, or where the node's own / "
		"is "
		"seen, as in /host");
}

static void test_contradictions(void **state)
{
	(void)state;
	refused("[target t]\npid=1\ntrip=70%\narm=80%\n",
		"f.ini:1: target t: arm = 80% is above trip = 70%: the shield would go up after "
		"the "
		"capture; lower arm or raise trip");
	refused("[defaults]\narm=92.5%\n[target t]\npid=1\n",
		"f.ini:3: target t: arm = 92.5% is above trip = auto, 90%: the shield would go up "
		"after the capture; lower arm or raise trip");
	refused("[target t]\npid=1\nverdict=lease\n",
		"f.ini:1: target t: verdict = lease resumes the target with a raised limit, and "
		"lease "
		"is off: set lease, as in lease = 64M");
	/* Our own default of arm gives way; sizes cannot be compared without a limit. */
	config_free(load("[target t]\npid=1\ntrip=60%\n"));
	config_free(load("[target t]\npid=1\ntrip=60M\narm=99%\n"));
	config_free(load("[target t]\npid=1\ntrip=80%\narm=80%\n"));
}

static void test_bad_options(void **state)
{
	static const char *const bad[][2] = {
		{"tirp=80%", "--set tirp=80%: unknown key tirp; did you mean trip?"},
		{"trip", "--set trip: write KEY=VALUE, as in --set trip=80%"},
		{"trip=", "--set trip=: write KEY=VALUE, as in --set trip=80%"},
		{"=80%", "--set =80%: write KEY=VALUE, as in --set trip=80%"},
		{"unit=web", "--set unit=web: a target is selected by --unit"},
		{"deadline=5",
			"--set deadline=5: 5 lacks its unit: write a time as in 60s (1s to 60m)"},
		{"on_arm=a\nb",
			"--set on_arm=a\\u000ab: contains a control character or is not UTF-8"},
	};
	struct config_options options = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(config_add_override(&options, bad[i][0], &error), CONFIG_BAD);
		assert_string_equal(error.text, bad[i][1]);
	}
	assert_int_equal(options.override_count, 0);
	assert_int_equal(config_add_selector(&options, SELECTOR_CGROUP, "x", &error), CONFIG_BAD);
	assert_string_equal(error.text,
		"--cgroup x: is not absolute: write the absolute path of a "
		"cgroup directory");
	assert_int_equal(config_add_selector(&options, SELECTOR_UNIT, "", &error), CONFIG_BAD);
	assert_string_equal(error.text, "--unit : is empty");
	assert_int_equal(
		config_add_selector(&options, SELECTOR_PROCESS, "\xff", &error), CONFIG_BAD);
	assert_int_equal(options.selector_count, 0);
	for (int i = 0; i < CONFIG_OVERRIDES_MAX; i++)
		assert_int_equal(config_add_override(&options, "keep=1", &error), CONFIG_OK);
	assert_int_equal(config_add_override(&options, "keep=1", &error), CONFIG_BAD);
	assert_string_equal(error.text, "--set: at most 64 times");
	for (int i = 0; i < CONFIG_TARGETS_MAX; i++)
		assert_int_equal(
			config_add_selector(&options, SELECTOR_SIBLINGS, NULL, &error), CONFIG_OK);
	assert_int_equal(
		config_add_selector(&options, SELECTOR_SIBLINGS, NULL, &error), CONFIG_BAD);
	assert_string_equal(error.text, "--siblings: more than 64 targets");
}

static void test_selectors_without_a_file(void **state)
{
	static const struct {
		enum selector_kind kind;
		const char *value;
		const char *name;
	} given[] = {
		{SELECTOR_CGROUP, "/sys/fs/cgroup/a/web", "web"},
		{SELECTOR_CGROUP, "/sys/fs/cgroup/b/web", "web-2"},
		{SELECTOR_CGROUP, "/", "root"},
		{SELECTOR_UNIT, "web", "web.service"},
		{SELECTOR_UNIT, "a\\x2db.slice", "a-x2db.slice"},
		{SELECTOR_PID, "42", "pid-42"},
		{SELECTOR_PROCESS, "Web Content", "Web-Content"},
		{SELECTOR_PROCESS, "(sd-pam)", "xsd-pam-"},
		{SELECTOR_SIBLINGS, NULL, "siblings"},
		{SELECTOR_KUBEPODS, "", "kubepods"},
	};
	struct config_options options = {0};
	_cleanup_config_free_ struct config *c = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(given); i++)
		assert_int_equal(
			config_add_selector(&options, given[i].kind, given[i].value, &error),
			CONFIG_OK);
	assert_int_equal(config_add_override(&options, "trip=80%", &error), CONFIG_OK);
	assert_int_equal(config_load(&options, &c, &error), 0);
	assert_int_equal(c->target_count, ARRAY_LEN(given));
	assert_int_equal(c->file_count, 0);
	assert_string_equal(c->path, "");
	for (size_t i = 0; i < ARRAY_LEN(given); i++) {
		assert_string_equal(c->targets[i].name, given[i].name);
		assert_int_equal(c->targets[i].policy.trip_bp, 8000);
	}
	assert_string_equal(c->targets[3].place, "--unit");
	assert_string_equal(c->targets[8].selector.value, "");

	/* The same selector twice, and together with a file's. */
	assert_int_equal(config_add_selector(&options, SELECTOR_PID, "42", &error), CONFIG_OK);
	config_free(c);
	c = NULL;
	assert_int_equal(config_load(&options, &c, &error), CONFIG_BAD);
	assert_string_equal(error.text,
		"--pid: target pid-42-2 selects the same as target pid-42 at --pid: remove one of "
		"them");
	assert_null(c);
}

/* --- files ------------------------------------------------------------------------------------ */

struct place {
	char dir[64];
	char file[96];
	char dropins[96];
};

static int make_place(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	(void)strcpy(p->dir, "/tmp/oomsnap-test-config-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	(void)snprintf(p->file, sizeof(p->file), "%s/c.ini", p->dir);
	(void)snprintf(p->dropins, sizeof(p->dropins), "%s/c.ini.d", p->dir);
	*state = p;
	return 0;
}

static int remove_place(void **state)
{
	struct place *p = *state;
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", p->dir);
	assert_int_equal(system(command), 0); // NOLINT: our own directory
	free(p);
	return 0;
}

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0644), 0);
}

static int load_place(const struct place *p, struct config **ret)
{
	struct config_options options = {.path = p->file};

	return config_load(&options, ret, &error);
}

static void test_dropins(void **state)
{
	const struct place *p = *state;
	_cleanup_config_free_ struct config *c = NULL;
	char sentence[512];

	assert_int_equal(mkdir(p->dropins, 0755), 0);
	write_file(p->dir, "c.ini", "[target a]\npid=1\n[defaults]\nkeep=1\ndeadline=1s\n");
	write_file(p->dropins, "20-b.ini", "[defaults]\nkeep=20\n[target c]\npid=3\n");
	write_file(p->dropins, "10-a.ini", "[target b]\npid=2\n[defaults]\nkeep=10\nswap=skip\n");
	write_file(p->dropins, ".hidden.ini", "nonsense");
	write_file(p->dropins, "30-c.ini.bak", "nonsense");
	assert_int_equal(load_place(p, &c), 0);
	assert_int_equal(c->file_count, 3);
	assert_int_equal(c->target_count, 3);
	assert_string_equal(c->targets[0].name, "a");
	assert_string_equal(c->targets[1].name, "b");
	assert_string_equal(c->targets[2].name, "c");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(c->targets[i].policy.keep, 20);
		assert_int_equal(c->targets[i].policy.swap, SWAP_SKIP);
		assert_int_equal(c->targets[i].policy.deadline_ns, NS_PER_S);
	}
	config_free(c);
	c = NULL;
	write_file(p->dropins, "40-d.ini", "[target a]\npid=4\n");
	assert_int_equal(load_place(p, &c), CONFIG_BAD);
	(void)snprintf(sentence, sizeof(sentence),
		"%s/40-d.ini:1: target a is defined already, at %s:1: give one of them another "
		"name",
		p->dropins, p->file);
	assert_string_equal(error.text, sentence);
}

static void test_dropins_alone(void **state)
{
	const struct place *p = *state;
	_cleanup_config_free_ struct config *c = NULL;

	assert_int_equal(load_place(p, &c), CONFIG_MISSING);
	assert_non_null(strstr(error.text, "no such file: write it, or name a target"));
	assert_int_equal(mkdir(p->dropins, 0755), 0);
	assert_int_equal(load_place(p, &c), CONFIG_MISSING);
	write_file(p->dropins, "a.ini", "[target a]\npid=1\n");
	assert_int_equal(load_place(p, &c), 0);
	assert_int_equal(c->target_count, 1);
}

static void test_files_that_are_refused(void **state)
{
	const struct place *p = *state;
	_cleanup_config_free_ struct config *c = NULL;
	_cleanup_free_ char *big = malloc(CONFIG_FILE_BYTES_MAX + 2);
	char link_path[128];

	assert_non_null(big);
	write_file(p->dir, "c.ini", "[target a]\npid=1\n");
	assert_int_equal(chmod(p->file, 0666), 0);
	assert_int_equal(load_place(p, &c), CONFIG_BAD);
	assert_non_null(
		strstr(error.text, "everybody may write it and make us run commands: chmod"));

	assert_int_equal(unlink(p->file), 0);
	assert_int_equal(mkfifo(p->file, 0644), 0);
	(void)alarm(10); /* it must not wait for a writer */
	assert_int_equal(load_place(p, &c), CONFIG_BAD);
	(void)alarm(0);
	assert_non_null(strstr(error.text, "c.ini: not a regular file"));

	assert_int_equal(unlink(p->file), 0);
	assert_int_equal(symlink("c.ini", p->file), 0);
	assert_int_equal(load_place(p, &c), CONFIG_BAD);
	assert_non_null(strstr(error.text, "lead in a circle"));

	/* A ConfigMap's file is a link. */
	assert_int_equal(unlink(p->file), 0);
	write_file(p->dir, "data", "[target a]\npid=1\n");
	(void)snprintf(link_path, sizeof(link_path), "%s/data", p->dir);
	assert_int_equal(symlink(link_path, p->file), 0);
	assert_int_equal(load_place(p, &c), 0);
	config_free(c);
	c = NULL;

	memset(big, '#', CONFIG_FILE_BYTES_MAX + 1);
	big[CONFIG_FILE_BYTES_MAX + 1] = '\0';
	write_file(p->dir, "data", big);
	assert_int_equal(load_place(p, &c), CONFIG_BAD);
	assert_non_null(strstr(error.text, "too large: at most 262144 bytes"));

	write_file(p->dir, "data", "[target a]\npid=1\n");
	assert_int_equal(chmod(link_path, 0), 0);
	if (geteuid() != 0) {
		assert_int_equal(load_place(p, &c), CONFIG_UNREADABLE);
		assert_non_null(strstr(error.text, "no permission to read it"));
		return;
	}
	assert_int_equal(chown(link_path, 1234, 0), 0);
	assert_int_equal(load_place(p, &c), CONFIG_BAD);
	assert_non_null(strstr(error.text, "belongs to user 1234, who could make us run commands"));
	assert_int_equal(seteuid(1234), 0);
	assert_int_equal(
		load_place(p, &c), CONFIG_UNREADABLE); /* the directory is not for others */
	assert_int_equal(seteuid(0), 0);
}

static void test_too_many_files(void **state)
{
	const struct place *p = *state;
	struct config *c = NULL;
	char name[32];

	assert_int_equal(mkdir(p->dropins, 0755), 0);
	write_file(p->dir, "c.ini", "[target a]\npid=1\n");
	for (int i = 0; i < CONFIG_FILES_MAX; i++) {
		(void)snprintf(name, sizeof(name), "%03d.ini", i);
		write_file(p->dropins, name, "# nothing\n");
	}
	assert_int_equal(load_place(p, &c), CONFIG_BAD);
	assert_non_null(strstr(error.text, "063.ini: more than 64 files"));
	assert_null(c);
}

/* --- what is shipped ---------------------------------------------------------------------------
 */

static char *read_shipped(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char *text;

	if (!f)
		fail_msg("%s: %s (run from the top of the tree)", path, strerror(errno));
	text = calloc(1, 1 << 17);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 17) - 1, f) > 0);
	return text;
}

/* The example says every key with its default, and is good as it stands once a target is there. */
static void test_shipped_example(void **state)
{
	_cleanup_free_ char *text = read_shipped("conf/oomsnap.ini");
	_cleanup_free_ char *open = calloc(1, 1 << 17);
	_cleanup_config_free_ struct config *plain = NULL;
	_cleanup_config_free_ struct config *c = NULL;
	const char *name;
	const char *initial;

	(void)state;
	for (uint32_t n = 0; config_key(n, &name, &initial); n++) {
		char wanted[256];

		(void)snprintf(
			wanted, sizeof(wanted), "\n#%s = %s\n", name, initial ? initial : "");
		if (!initial)
			*strrchr(wanted, '\n') = '\0';
		if (!strstr(text, wanted))
			fail_msg("conf/oomsnap.ini lacks%s", wanted);
	}
	/* "#key" and "#[target" are opened, "# words" stay comments. */
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n") + 1;
		bool closed = line[0] == '#' && line[1] != ' ' && line[1] != '\n';

		(void)strncat(open, line + closed, len - closed);
		line += len;
	}
	c = load(open);
	assert_int_equal(c->target_count, SELECTOR_COUNT);
	for (unsigned int i = 0; i < SELECTOR_COUNT; i++) {
		bool seen = false;

		for (uint32_t t = 0; t < c->target_count; t++)
			seen |= c->targets[t].selector.kind == (enum selector_kind)i;
		assert_true(seen);
	}
	plain = load("[target t]\npid=1\n");
	assert_memory_equal(
		&c->defaults.policy, &plain->defaults.policy, sizeof(plain->defaults.policy));
	assert_string_equal(c->defaults.directory, plain->defaults.directory);
}

static void test_manual_names_every_key(void **state)
{
	_cleanup_free_ char *text = read_shipped("deploy/man/oomsnap.ini.5");
	const char *name;
	const char *initial;

	(void)state;
	for (uint32_t n = 0; config_key(n, &name, &initial); n++) {
		char wanted[128];

		(void)snprintf(wanted, sizeof(wanted), "\n.It Ic %s\n", name);
		if (!strstr(text, wanted))
			fail_msg("oomsnap.ini.5 lacks %s", wanted);
		(void)snprintf(
			wanted, sizeof(wanted), "\nDefault:\n.Li %s\n", initial ? initial : "");
		if (initial && !strstr(strstr(text, name), wanted))
			fail_msg("oomsnap.ini.5 does not say the default of %s", name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_key),
		cmocka_unit_test(test_trip_and_lease_forms),
		cmocka_unit_test(test_every_selector),
		cmocka_unit_test(test_who_wins),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_bad_sections_and_targets),
		cmocka_unit_test(test_too_many_targets),
		cmocka_unit_test(test_unknown_keys),
		cmocka_unit_test(test_bad_values),
		cmocka_unit_test(test_bad_selectors),
		cmocka_unit_test(test_contradictions),
		cmocka_unit_test(test_bad_options),
		cmocka_unit_test(test_selectors_without_a_file),
		cmocka_unit_test_setup_teardown(test_dropins, make_place, remove_place),
		cmocka_unit_test_setup_teardown(test_dropins_alone, make_place, remove_place),
		cmocka_unit_test_setup_teardown(
			test_files_that_are_refused, make_place, remove_place),
		cmocka_unit_test_setup_teardown(test_too_many_files, make_place, remove_place),
		cmocka_unit_test(test_shipped_example),
		cmocka_unit_test(test_manual_names_every_key),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
