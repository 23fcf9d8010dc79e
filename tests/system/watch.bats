#!/usr/bin/env bats
# The first promise: a leaking process is caught whole before the OOM killer fires, and given back.

load helpers
load watch

# is_captured N MIN_BYTES: the N-th core, whole and read by two readers that are not ours.
is_captured() {
	local core
	core=$(event_field captured CORE "$1")
	core_is_whole "$core" "$2"
	eu-readelf -h -l -n "$core" > "$BATS_TEST_TMPDIR/readelf"
	grep -q PRSTATUS "$BATS_TEST_TMPDIR/readelf"
	# gdb costs seconds where it is emulated: the first of a row is enough there.
	if [ "$OOMSNAP_LANE" = host ] || [ "$1" -eq 1 ]; then
		gdb -nx -batch -ex 'info threads' -ex bt "$LEAKER" "$core" \
			> "$BATS_TEST_TMPDIR/gdb" 2> /dev/null
		grep -q '^#0' "$BATS_TEST_TMPDIR/gdb"
	fi
	rm -rf "$(dirname "$core")"
}

# captures LIMIT RATE MIN_BYTES: 20 leaks in a row, each captured and checked to the last byte, while
# the next one leaks; nothing is OOM-killed. 3 where every instruction is emulated.
captures() {
	local count=20 limit=$1 rate=$2 min=$3 i before
	[ "$OOMSNAP_LANE" = host ] || count=3
	cg_new app "$limit"
	watch_start app --set verdict=kill --set cooldown=1ms --set keep=0
	before=$(cg_oom_kill app)
	for ((i = 1; i <= count; i++)); do
		cg_spawn app "$LEAKER" --pattern touch --rate "$rate" --seed "$i"
		[ "$i" -eq 1 ] || is_captured $((i - 1)) "$min"
		wait_event captured "$i" 30
		wait_until 10 is_gone "$CG_PID"
	done
	is_captured "$count" "$min"
	[ "$(event_count captured)" -eq "$count" ]
	[ "$(event_count capture-partial)" -eq 0 ]
	[ "$(event_count lost)" -eq 0 ]
	[ "$(cg_oom_kill app)" -eq "$before" ]
	watch_stop
}

@test "captures in a row at 10 MB/s are whole, and nothing is killed" {
	captures 14M 10 $((8 << 20))
}

@test "captures in a row at 1 GB/s are whole, and nothing is killed" {
	captures 96M 1000 $((64 << 20))
}

@test "captures in a row at full speed are whole, and nothing is killed" {
	captures 96M max $((64 << 20))
}

@test "one huge system call runs into the shield and is captured at the limit" {
	local pattern
	for pattern in populate read; do
		cg_new "$pattern" 96M
		watch_start "$pattern" --set verdict=kill
		cg_spawn "$pattern" "$LEAKER" --pattern "$pattern" --rate max --total 512M
		wait_event captured 1 30
		[ "$(event_field captured HEADROOM_HOLD_BYTES)" -ge 0 ]
		[ "$(cg_oom_kill "$pattern")" -eq 0 ]
		core_is_whole "$(event_field captured CORE)" 0
		watch_stop
		cg_rm "$pattern"
	done
}

# Nothing but the watchdog's speed stands between the threads and the limit here, and a busy machine
# may be late for it: best of three. What this guards against was there every time: before every thread
# was sent the signal, some 10 MiB more were gone by then.
@test "the kernel's turn-taking does not hold up a stop: 64 threads on few processors" {
	local name room=0
	for name in first second third; do
		cg_new "$name" 128M
		watch_start "$name" --set shield=off --set tripwire=off --set verdict=kill
		cg_spawn "$name" "$LEAKER" --pattern threads --threads 64 --rate max
		wait_until 20 eval 'event_reached held 1 || event_reached lost 1'
		room=$(event_field held HEADROOM_HOLD_BYTES)
		[ "${room:-0}" -lt $((8 << 20)) ] || break
		echo "$name: ${room:-0} bytes were left"
		watch_stop
		cg_rm "$name"
	done
	[ "${room:-0}" -ge $((8 << 20)) ]
	wait_event captured
	core_is_whole "$(event_field captured CORE)" $((96 << 20))
	[ "$(cg_oom_kill "$name")" -eq 0 ]
	watch_stop
}

@test "verdict resume: the process runs on, unharmed, with its old limit" {
	cg_new app 64M
	watch_start app
	cg_spawn app "$LEAKER" --pattern touch --rate max --total 60M
	wait_event captured
	is_normal app "$CG_PID" $((64 << 20))
	[ "$(event_field released VERDICT)" = resume ]
	core_is_whole "$(event_field captured CORE)" $((48 << 20))
	watch_stop
	is_normal app "$CG_PID" $((64 << 20))
}

@test "verdict oom: the kernel has the last word, after the capture" {
	cg_new app 64M
	watch_start app --set verdict=oom
	cg_spawn app "$LEAKER" --pattern touch --rate max
	wait_event captured
	wait_until 10 is_gone "$CG_PID"
	[ "$(cg_oom_kill app)" -eq 1 ]
	core_is_whole "$(event_field captured CORE)" $((48 << 20))
	wait_event killed
	[ "$(event_count lost)" -eq 0 ]
	watch_stop
}

# reader_start NAME [OPTION...]: as a sidecar has it, no notice of the kernel comes: the files of
# cgroups may be read alone, and on v2 nobody can be shielded without SYS_RESOURCE.
reader_start() {
	local inside=$BATS_TEST_TMPDIR/inside
	local OOMSNAP_WATCH=$BATS_TEST_TMPDIR/reader
	printf '#!/bin/sh\nmount -o remount,bind,ro %s && exec setpriv --bounding-set -sys_resource %s "$@"\n' \
		"$(findmnt -nro TARGET -T "$(cg_path "$1")")" "$OOMSNAP" > "$inside"
	printf '#!/bin/sh\nexec unshare -m %s "$@"\n' "$inside" > "$OOMSNAP_WATCH"
	chmod +x "$OOMSNAP_WATCH" "$inside"
	watch_start "$@" --set tripwire=off
	[ "$(event_field guarantee GUARANTEE)" = best-effort ]
}

cg_vanishes() {
	rmdir "$1" 2> /dev/null
}

@test "killed, and the cgroup removed at once as with a container: the kill is told all the same" {
	cg_new app 64M
	reader_start app --set verdict=oom
	cg_spawn app "$LEAKER" --pattern touch --rate 50
	wait_until 20 cg_vanishes "$(cg_path app)"
	wait_event target-gone
	wait_event captured
	[ "$(event_count killed)" -eq 1 ]
	[[ $(event_line killed) == *OOM-killed* ]]
	[ "$(event_count lost)" -eq 0 ]
	watch_stop
}

# bats test_tags=lane:host
@test "the cgroup went with the kernel's count before we could look: what is known is told" {
	need_lane host
	[ "$(printf '6.15\n%s\n' "$(uname -r)" | sort -V | head -1)" = 6.15 ] ||
		skip 'only Linux 6.15 tells how a process has ended whom others have reaped'
	cg_new app 40M
	reader_start app --set verdict=oom
	cg_spawn app "$LEAKER" --pattern touch --rate max --total 38M
	wait_event captured
	# Whoever kills: no count of it can be read any more when we look.
	kill -STOP "$WATCH_PID"
	kill -KILL "$CG_PID"
	wait_until 20 cg_vanishes "$(cg_path app)"
	kill -CONT "$WATCH_PID"
	wait_event target-gone
	[ "$(event_count killed)" -eq 1 ]
	[[ $(event_line killed) == *"ended by SIGKILL near its limit"* ]]
	[ "$(event_count lost)" -eq 0 ]
	watch_stop
}

@test "each way of holding works alone, also where the lower limit is the parent's" {
	local method
	for method in freeze stop ptrace; do
		# Under a parent whose limit is the lower one, as a container under its pod.
		cg_new "$method" 64M
		cg_new "$method/app" 512M
		watch_start "$method/app" --set hold="$method" --set verdict=kill
		[ "$(event_field guarantee LIMIT_BYTES)" -eq $((64 << 20)) ]
		cg_spawn "$method/app" "$LEAKER" --pattern threads --threads 3 --rate 500
		wait_event captured
		[ "$(event_field tripped LIMIT_BYTES)" -eq $((64 << 20)) ]
		core_is_whole "$(event_field captured CORE)" $((40 << 20))
		[ "$(cg_oom_kill "$method/app")" -eq 0 ]
		if [ "$method" != freeze ] || [ "$CG_VERSION" -eq 2 ]; then
			[ "$(event_field held HOLD)" = "$method" ]
		fi
		watch_stop
		cg_rm "$method"
	done
}

@test "the processes live in a group below the target, as crun has it" {
	cg_new app 64M
	cg_new app/container
	watch_start app
	cg_spawn app/container "$LEAKER" --pattern touch --rate 500 --total 60M
	wait_event captured
	[ "$(event_field captured PID)" -eq "$CG_PID" ]
	core_is_whole "$(event_field captured CORE)" $((48 << 20))
	is_normal app "$CG_PID" $((64 << 20))
	[ "$(cg_oom_kill app)" -eq 0 ]
	watch_stop
	# Named by its process: the limit is that of the group above.
	"$OOMSNAP" check --pid "$CG_PID" > "$BATS_TEST_TMPDIR/check"
	grep -q 'limit .*64 MiB (of a parent)' "$BATS_TEST_TMPDIR/check"
}

@test "a limit that changes while we watch is followed" {
	cg_new app 256M
	watch_start app --set verdict=kill
	cg_spawn app "$LEAKER" --pattern touch --rate 20
	cg_limit app 48M
	wait_event limit-changed
	[ "$(event_field limit-changed OLD_LIMIT_BYTES 1)" -eq $((256 << 20)) ]
	[ "$(event_field limit-changed LIMIT_BYTES 1)" -eq $((48 << 20)) ]
	wait_event captured
	[ "$(event_field tripped LIMIT_BYTES)" -eq $((48 << 20)) ]
	watch_stop
}

@test "page cache is no leak" {
	cg_new app 64M
	watch_start app
	# shellcheck disable=SC2016 # expanded by the inner shell
	cg_spawn app bash -c 'exec "$@" > "$0"' "$BATS_TEST_TMPDIR/log" \
		"$LEAKER" --pattern filecache --rate 100 --total 256M --hold yes --dir /var/tmp
	wait_until 60 grep -q 'total reached' "$BATS_TEST_TMPDIR/log"
	wait_until 10 eval '[ "$(cg_usage app)" -gt $((40 << 20)) ]'
	[ "$(event_count tripped)" -eq 0 ]
	is_running "$CG_PID"
	watch_stop
}

# bats test_tags=lane:host
@test "a target whose files cannot be read is told as that, not as gone, and captured all the same" {
	need_lane host
	cg_new app 64M
	watch_start app --set cooldown=1ms --set hold=stop
	cg_spawn app "$LEAKER" --pattern touch --rate 200 --total 60M --start-paused --hold yes
	wait_until 10 awaits_usr1 "$CG_PID"
	files_fail app pread64 memory.usage_in_bytes
	wait_event error
	[[ $(event_field error MESSAGE) == "cgroup files: the target's usage and limit cannot be read; "* ]]
	# The tripwire counts by itself, and what is in force is undone without these files.
	kill -USR1 "$CG_PID"
	wait_event captured
	core_is_whole "$(event_field captured CORE)" $((40 << 20))
	wait_event released
	[[ $(event_line held) != *HEADROOM_HOLD_BYTES* ]]
	wait_until 5 is_normal app "$CG_PID" $((64 << 20))
	files_work
	# And it is watched again by its usage, which is above the trip.
	wait_event captured 2
	[ "$(event_count error)" -eq 1 ]
	[ "$(event_count target-gone)" -eq 0 ]
	[ "$(cg_oom_kill app)" -eq 0 ]
	watch_stop
}

@test "dry run decides and touches nothing" {
	cg_new app 64M
	watch_start app --dry-run
	cg_spawn app "$LEAKER" --pattern touch --rate 100 --total 60M
	wait_event tripped
	wait_event released
	is_normal app "$CG_PID" $((64 << 20))
	[ -z "$(ls -A "$DUMPS" 2> /dev/null)" ]
	watch_stop
}

@test "a target that is not there yet is found when it comes, and again after it went" {
	local dir
	cg_new other 64M
	dir=$(cg_path late)
	: > "$EVENTS"
	"$OOMSNAP" watch --json --runtime-dir "$RUNTIME" --set directory="$DUMPS" \
		--cgroup "$dir" --set tripwire="$WATCH_TRIPWIRE" < /dev/null 2> "$EVENTS" 3>&- &
	WATCH_PID=$!
	wait_event started
	cg_new late 64M
	wait_event target-found
	cg_rm late
	wait_event target-gone
	cg_new late 64M
	wait_event target-found 2
	watch_stop
}

# second_watch NAME [OPTION...]: another watchdog at the same group, with the same runtime directory;
# SECOND_PID, and its events in SECOND.
second_watch() {
	local name=$1
	shift
	SECOND=$EVENTS-second
	"$OOMSNAP" watch --json --runtime-dir "$RUNTIME" --set directory="$DUMPS" \
		--cgroup "$(cg_path "$name")/." --set tripwire=off "$@" < /dev/null 2> "$SECOND" 3>&- &
	SECOND_PID=$!
}

second_says() {
	grep -q "$1" "$SECOND"
}

@test "a target has one watchdog: a second one leaves it alone, and takes over when the first has died" {
	cg_new app 64M
	watch_start app --set cooldown=1s
	second_watch app --dry-run
	wait_until 20 second_says '"target-found"'
	kill "$SECOND_PID"
	wait "$SECOND_PID"
	second_watch app --set cooldown=1s
	wait_until 20 second_says "not watched: watchdog $WATCH_PID watches .* already"
	cg_spawn app "$LEAKER" --pattern touch --rate 200 --total 60M
	wait_event captured
	wait_event released
	is_normal app "$CG_PID" $((64 << 20))
	[ "$(grep -c '"target-found"' "$SECOND")" -eq 0 ]
	[ "$(grep -c 'not watched: ' "$SECOND")" -eq 1 ]
	kill -KILL "$WATCH_PID"
	wait "$WATCH_PID" || true
	WATCH_PID=$SECOND_PID
	wait_until 20 second_says '"target-found"'
	wait_until 20 second_says '"captured"' # it is over its trip still
	wait_until 20 second_says '"released"'
	is_normal app "$CG_PID" $((64 << 20))
	watch_stop
	rm -f "$SECOND"
}
