#!/usr/bin/env bats
# oomsnap status: what a running watchdog shows of its targets, and what is said where none runs.

load helpers
load watch

teardown() {
	watch_teardown
}

# status [OPTION...]
status() {
	"$OOMSNAP" status --runtime-dir "$RUNTIME" "$@"
}

# shows NAME FIELD: the value of the target whose cgroup is NAME's, from --json; "" for none.
shows() {
	status --json | grep -F "\"cgroup\":\"$(cg_path "$1")\"" | sed -nE "s/.*\"$2\":\"?([^,\"}]*).*/\1/p"
}

is_shown() {
	[ "$(shows "$1" "$2")" = "$3" ]
}

uses() {
	[ "$(cg_usage "$1")" -ge "$2" ]
}

shows_at_least() {
	[ "$(shows "$1" "$2")" -ge "$3" ]
}

is_watching() {
	status | grep -q watching
}

is_gone_on_board() {
	status --json | grep -F "$(basename "$(cg_path "$1")")" | grep -q '"state":"gone"'
}

@test "status: each target with its figures, before and after a capture" {
	local used
	cg_new app 64M
	cg_new calm 128M
	cg_spawn calm "$LEAKER" --pattern touch --rate max --total 20M
	cg_spawn app "$LEAKER" --pattern touch --rate max --total 10M
	wait_until 10 uses calm $((20 << 20))
	watch_start app --cgroup "$(cg_path calm)" --cgroup "$(cg_path none)" --set verdict=resume
	wait_event guarantee 2
	wait_until 10 is_shown calm state watching
	[ "$(shows app limit_bytes)" -eq $((64 << 20)) ]
	[ "$(shows app trip_bytes)" -lt $((64 << 20)) ]
	[ "$(shows app captures)" -eq 0 ]
	[ "$(shows calm guarantee)" = "$(event_field guarantee GUARANTEE)" ]
	wait_until 10 shows_at_least calm used_bytes $((19 << 20))
	used=$(shows calm used_bytes)
	echo "used $used of $(cg_usage calm)"
	[ "$used" -gt $((19 << 20)) ] && [ "$used" -lt $((40 << 20)) ]
	wait_until 10 is_gone_on_board none
	run status
	echo "$output"
	[ "${#lines[@]}" -eq 4 ]
	[[ ${lines[0]} == TARGET* ]]

	cg_spawn app "$LEAKER" --pattern touch --rate 60 --total 50M
	wait_event captured
	wait_until 10 is_shown app captures 1
	[ "$(shows app last_capture)" = "$(event_field captured PATH)" ]
	[ "$(shows app last_capture_complete)" = true ]
	status | grep -F "$(event_field captured PATH)"
	watch_stop
	run status
	echo "$output"
	[ "$status" -eq 3 ]
	[[ $output == *"no watchdog runs with $RUNTIME"* ]]
	[ -z "$(find "$RUNTIME" -name '*.status*')" ]
}

nobody_runs() {
	status > /dev/null 2>&1
	[ $? -eq 3 ]
}

@test "status: a watchdog that was killed is not shown, and the next start clears its board away" {
	cg_new app 64M
	cg_spawn app "$LEAKER" --pattern touch --rate max --total 10M
	watch_start app
	wait_until 10 is_watching
	kill -KILL "$WATCH_PID"
	wait "$WATCH_PID" || true
	wait_until 10 nobody_runs
	[ "$(find "$RUNTIME" -name '*.status' | wc -l)" -eq 1 ]
	watch_start app
	wait_until 10 is_watching
	[ "$(find "$RUNTIME" -name '*.status' | wc -l)" -eq 1 ]
	watch_stop
}

@test "status: bad usage, a directory that is not ours, a file that is no board" {
	run status --jsn
	[ "$status" -eq 2 ]
	[[ $output == *"there is no option --jsn"* ]]
	run status more
	[ "$status" -eq 2 ]
	mkdir -p "$RUNTIME"
	echo nonsense > "$RUNTIME/1.status"
	mkfifo "$RUNTIME/2.status"
	ln -s /etc/passwd "$RUNTIME/3.status"
	run status
	echo "$output"
	[ "$status" -ne 0 ]
	rm -rf "$RUNTIME"
}
