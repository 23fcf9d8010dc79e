#!/usr/bin/env bats
# The capturer on its own: what becomes of a capture when the watchdog is no longer there, and that
# old captures are cleared up.

load helpers
load watch

# Where a test has put the watchdog to count its processes.
PIDS=/sys/fs/cgroup/pids/$CG_PREFIX

teardown() {
	watch_teardown
	[ ! -d "$PIDS" ] || wait_until 10 rmdir "$PIDS"
}

finished() {
	compgen -G "$DUMPS/*Z-*[0-9]" > /dev/null
}

@test "the watchdog dies before the release: the capturer finishes the bundle as an orphan" {
	cg_new app 64M
	OOMSNAP_WATCH=$TEST_OOMSNAP OOMSNAP_FAULT=release-before=kill watch_start app
	cg_spawn app "$LEAKER" --pattern touch --rate 50 --total 60M --hold yes
	wait "$WATCH_PID" || true
	WATCH_PID=
	wait_until 20 finished
	wait_until 10 is_normal app "$CG_PID" $((64 << 20))
	local bundle=("$DUMPS"/*Z-*)
	[ ${#bundle[@]} -eq 1 ]
	core_is_whole "${bundle[0]}/core" $((40 << 20))
	"$OOMSNAP" inspect "${bundle[0]}/core" > /dev/null
	python3 - "${bundle[0]}/report.json" <<- 'END'
		import json, sys
		r = json.load(open(sys.argv[1]))
		assert r["incident"]["orphaned"] is True, r["incident"]
		assert r["capture"]["complete"] is True, r["capture"]
		assert len(r["history"]) > 1
	END
	grep -q "the watchdog died" "${bundle[0]}/report.html"
}

@test "keep: the oldest bundles of the target go, and no others" {
	cg_new app 64M
	mkdir -m 700 "$DUMPS"
	local name
	name=$(basename "$(cg_path app)")
	mkdir "$DUMPS/$name-20200101T000000Z-1" "$DUMPS/$name-20200102T000000Z-1" \
		"$DUMPS/other-20200101T000000Z-1" "$DUMPS/$name-20200101T000000Z-7.partial"
	echo old > "$DUMPS/$name-20200101T000000Z-1/core"
	watch_start app --set keep=2
	cg_spawn app "$LEAKER" --pattern touch --rate 50 --total 60M --hold yes
	wait_event captured
	wait_until 10 test ! -e "$DUMPS/$name-20200101T000000Z-1"
	wait_until 10 test ! -e "$DUMPS/$name-20200101T000000Z-7.partial"
	[ -d "$DUMPS/$name-20200102T000000Z-1" ]
	[ -d "$DUMPS/other-20200101T000000Z-1" ]
	watch_stop
}

# capturers_take KIB: each capturer that waits has at most that much memory of its own.
capturers_take() {
	local pid found=0 kib
	for pid in $(pgrep -P "$WATCH_PID" -x oomsnap-capture); do
		kib=$(sed -n 's/^Private_Dirty:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/smaps_rollup")
		echo "capturer $pid: $kib KiB"
		[ "$kib" -gt 4096 ] && [ "$kib" -le "$1" ] || return 1
		found=$((found + 1))
	done
	[ "$found" -ge 1 ]
}

# Two of them and who enters a sidecar share its 64 MiB.
# bats test_tags=lane:host
@test "while it waits it takes little memory, with and without the right to lock it" {
	cg_new app 64M
	watch_start app
	wait_until 10 capturers_take 28672 # with its own pages of what the watchdog had when it forked
	watch_stop
	printf '#!/bin/sh\nexec prlimit --memlock=65536 setpriv --bounding-set=-ipc_lock --inh-caps=-all "%s" "$@"\n' \
		"$OOMSNAP" > "$BATS_TEST_TMPDIR/unlocked"
	chmod +x "$BATS_TEST_TMPDIR/unlocked"
	OOMSNAP_WATCH=$BATS_TEST_TMPDIR/unlocked watch_start app
	grep -q '"MESSAGE":"mlockall: ' "$EVENTS"
	wait_until 10 capturers_take 12288
	watch_stop
}

capturer() {
	CAPTURER=$(pgrep -P "$WATCH_PID" -x oomsnap-capture)
}

told() {
	[ "$(grep -c "\"MESSAGE\":\"capturer: $1" "$EVENTS")" -eq "${2:-1}" ]
}

# bats test_tags=lane:host
@test "a capturer that cannot be started is tried again, told once, and said to be missing" {
	need_lane host
	local first
	cg_new app 64M
	watch_start app --set cooldown=2s
	# One that dies as it starts is not followed by the next at once.
	wait_until 10 capturer
	kill -KILL "$CAPTURER"
	wait_until 10 told "a new one died as it started"
	wait_until 10 capturer
	kill -KILL "$CAPTURER"
	wait_event capturer-restarted
	told "a new one died as it started"
	# No room for a process more.
	mkdir "$PIDS"
	echo "$WATCH_PID" > "$PIDS/cgroup.procs"
	echo 1 > "$PIDS/pids.max"
	wait_until 10 capturer
	first=$CAPTURER
	kill -KILL "$CAPTURER"
	wait_until 10 told "a new one cannot be started"
	cg_spawn app "$LEAKER" --pattern touch --rate 50 --total 60M --hold yes
	wait_event capture-failed
	[[ $(event_field capture-failed WHY) == "no capturer is running: "* ]]
	is_running "$CG_PID"
	[ "$(event_count capturer-restarted)" -eq 1 ]
	# Room again: nobody has to start us anew.
	echo max > "$PIDS/pids.max"
	wait_event captured
	wait_event capturer-restarted 2
	told "a new one cannot be started"
	capturer
	[ "$CAPTURER" -ne "$first" ]
	watch_stop
}

# bats test_tags=lane:host
@test "without a cooldown, a target that trips again at once keeps neither a new capturer nor our end waiting" {
	need_lane host
	local failed
	cg_new app 64M
	OOMSNAP_WATCH=$TEST_OOMSNAP OOMSNAP_FAULT=capture-start=kill watch_start app --set cooldown=0
	cg_spawn app "$LEAKER" --pattern touch --rate max --total 60M --hold yes
	wait_event capturer-restarted 2
	# With nobody to fork there is no incident in which nothing could be captured, and no pause.
	mkdir "$PIDS"
	echo "$WATCH_PID" > "$PIDS/cgroup.procs"
	echo 1 > "$PIDS/pids.max"
	wait_until 10 told "a new one cannot be started"
	failed=$(event_count capture-failed)
	wait_event degraded
	[[ $(event_field degraded MESSAGE) == "capturer: the cooldown is over and none can be started: "* ]]
	[ "$(event_count capture-failed)" -le $((failed + 1)) ]
	kill -TERM "$WATCH_PID"
	within 5 is_gone "$WATCH_PID"
	wait "$WATCH_PID"
	WATCH_PID=
	is_normal app "$CG_PID" $((64 << 20))
}

# hang COUNT: that many capturers stand stopped.
hang() {
	local pid count=0
	for pid in $(pgrep -P "$WATCH_PID" -x oomsnap-capture); do
		! is_stopped "$pid" || count=$((count + 1))
	done
	[ "$count" -eq "$1" ]
}

# bats test_tags=lane:host
@test "a capturer that hangs at a finished core: another one is at hand, and without one it is told" {
	need_lane host
	cg_new app 64M
	cg_new other 64M
	OOMSNAP_WATCH=$TEST_OOMSNAP OOMSNAP_FAULT=capture-sync=stop watch_start app --set cooldown=1ms \
		--cgroup "$(cg_path other)"
	cg_spawn app "$LEAKER" --pattern touch --rate max --total 60M --hold yes
	# The second of the crew is for whoever trips next, this target as well.
	wait_event tripped 2
	wait_until 20 hang 2
	wait_event degraded
	[[ $(event_field degraded MESSAGE) == "capturer: the cooldown is over and it is still at the last core: "* ]]
	sleep 3 # longer than until it was told
	[ "$(event_count degraded)" -eq 1 ]
	[ "$(event_count tripped)" -eq 2 ]
	is_normal app "$CG_PID" $((64 << 20))
	wait_until 20 go_on captured 2
	wait_until 20 go_on tripped 3
	[ "$(event_count capture-failed)" -eq 0 ]
	pkill -KILL -P "$WATCH_PID" -x oomsnap-capture # at the third one they would hang again
	watch_stop
}

# bats test_tags=lane:host
@test "a target that ended and is there again before its core is finished: the report has the old one's history" {
	need_lane host
	cg_new app 64M
	OOMSNAP_WATCH=$TEST_OOMSNAP OOMSNAP_FAULT=capture-sync=stop watch_start app
	cg_spawn app "$LEAKER" --pattern touch --rate 40 --total 60M --hold yes
	wait_event released
	wait_until 10 hang 1
	cg_rm app
	wait_event target-gone
	cg_new app 64M
	wait_event target-found 2
	wait_until 20 go_on captured 1
	python3 - "$(event_field captured PATH)/report.json" <<- 'END'
		import json, sys
		r = json.load(open(sys.argv[1]))
		used = [p["used_bytes"] >> 20 for p in r["history"]]
		assert max(used) > 40 and used[-1] < 10, used
	END
	watch_stop
}

# refused DIRECTORY PATTERN [COMMAND...]: watch ends at its start with an event that says so, check says
# the same, and neither leaves anything.
refused() {
	local directory=$1 pattern=$2 status
	shift 2
	: > "$EVENTS"
	status=0
	"$@" "$OOMSNAP" watch --json --runtime-dir "$RUNTIME" --set directory="$directory" \
		--cgroup "$(cg_path app)" < /dev/null 2> "$EVENTS" 3>&- || status=$?
	cat "$EVENTS"
	[ "$status" -eq 5 ]
	[ "$(event_count place-refused)" -eq 1 ]
	# shellcheck disable=SC2053 # a pattern on purpose
	[[ $(event_field place-refused WHY) == $pattern ]]
	[ "$(event_count target-found)" -eq 0 ]
	run "$@" "$OOMSNAP" check --set directory="$directory" --cgroup "$(cg_path app)"
	echo "$output"
	[ "$status" -eq 5 ]
	[[ $output == *"  directory  REFUSED: "$pattern* ]]
	[ -z "$(find "$D" -newer "$BATS_TEST_TMPDIR/before")" ]
}

@test "a directory that captures could not be written to is told at the start, and by check" {
	local D=$DUMPS
	cg_new app 64M
	cg_spawn app sleep 1000
	mkdir -m 700 "$D" "$D/dir" "$RUNTIME"
	ln -s dir "$D/link"
	sleep 0.05 # so that what is changed from here on is newer
	: > "$BATS_TEST_TMPDIR/before"
	refused "$D/missing/dir" '*every directory on the way must exist'
	refused "$D/link" '*is a symbolic link*'
	refused /dev/shm '*'
	refused "/dev/shm/$CG_PREFIX" '*is kept in memory*'
	[ ! -e "/dev/shm/$CG_PREFIX" ]
	# shellcheck disable=SC2016 # for the inner shell
	refused "$D/dir" '*Read-only file system*' unshare -m bash -c \
		'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"' "$D/dir"
	is_normal app "$CG_PID" $((64 << 20))
	# One that is not there yet is made by the watchdog, and not by check.
	"$OOMSNAP" check --set directory="$D/new" --cgroup "$(cg_path app)"
	[ ! -e "$D/new" ]
	watch_start app --set directory="$D/new"
	[ "$(stat -c %a "$D/new")" = 700 ]
	watch_stop
	# Nobody is stopped by a dry run: it tells, and goes on.
	watch_start app --set directory="$D/link" --dry-run
	[ "$(event_count place-refused)" -eq 1 ]
	watch_stop
}
