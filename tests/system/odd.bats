#!/usr/bin/env bats
# Targets that are not one leaking process alone: each ends in a capture or in a clear event, and
# always in release. Others of that kind are in undo.bats (stopped before us, traced by somebody else,
# gone during the hold).

load helpers
load watch

# 200 others; 40 where every instruction is emulated and a fork costs 10 ms.
@test "many other processes in the cgroup: all stand still for the capture, all run on" {
	local pids=() i others=200 total=155M limit=192
	if [ "$OOMSNAP_LANE" != host ]; then
		others=40 total=84M limit=96
	fi
	cg_new app "${limit}M"
	for ((i = 0; i < others; i++)); do
		cg_spawn app sleep 1000
		pids+=("$CG_PID")
	done
	watch_start app --set deadline=20s
	cg_spawn app "$LEAKER" --pattern touch --rate max --total "$total"
	wait_event captured
	core_is_whole "$(event_field captured CORE)" $((64 << 20))
	is_normal app "$CG_PID" $((limit << 20))
	for i in "${pids[@]}"; do
		is_running "$i"
	done
	watch_stop
	[ "$(cg_oom_kill app)" -eq 0 ]
	# The largest process is stopped first: the others' turn costs it nothing.
	local tripped held
	tripped=$(event_field tripped HEADROOM_TRIP_BYTES)
	held=$(event_field held HEADROOM_HOLD_BYTES)
	echo "headroom at trip $tripped, at hold $held"
	[ $((tripped - held)) -lt $((4 << 20)) ]
}

@test "a neighbour that forks as fast as it can hides nothing, and runs on" {
	local before after
	cg_new app 96M
	watch_start app
	# shellcheck disable=SC2016 # expanded by the inner shell
	cg_spawn app bash -c 'while :; do (:); n=$((n + 1)); echo $n > "$0"; done' "$BATS_TEST_TMPDIR/forks"
	local forker=$CG_PID
	cg_spawn app "$LEAKER" --pattern touch --rate 200 --total 89M
	wait_event captured
	core_is_whole "$(event_field captured CORE)" $((64 << 20))
	is_normal app "$CG_PID" $((96 << 20))
	forks() { cat "$BATS_TEST_TMPDIR/forks"; }
	before=$(forks)
	more() { after=$(forks) && [ "${after:-0}" -gt "${before:-0}" ]; }
	wait_until 10 more
	is_running "$forker"
	watch_stop
	[ "$(cg_oom_kill app)" -eq 0 ]
}

@test "a target that stood still before us is captured and stays as it was" {
	cg_new app 64M
	cg_spawn app "$LEAKER" --pattern touch --rate max --total 50M
	wait_until 10 eval '[ "$(cg_usage app)" -gt $((48 << 20)) ]'
	kill -STOP "$CG_PID"
	wait_until 5 is_stopped "$CG_PID"
	watch_start app --set trip=60%
	wait_event captured
	core_is_whole "$(event_field captured CORE)" $((40 << 20))
	is_stopped "$CG_PID"
	watch_stop
	is_stopped "$CG_PID"
	[ "$(cg_oom_kill app)" -eq 0 ]
}

@test "a limit that is lowered below what is used" {
	cg_new app 128M
	watch_start app
	cg_spawn app "$LEAKER" --pattern touch --rate max --total 64M
	wait_until 10 eval '[ "$(cg_usage app)" -gt $((62 << 20)) ]'
	if [ "$CG_VERSION" -eq 1 ]; then
		# The kernel refuses; just above what is used it does not.
		! cg_limit app 32M 2> /dev/null || return 1
		cg_limit app 67M
		wait_event captured
		is_normal app "$CG_PID" $((67 << 20))
		[ "$(cg_oom_kill app)" -eq 0 ]
	else
		# The kernel kills at once, before anybody could look: that is told, with what was missed.
		cg_limit app 32M
		wait_until 20 eval '[ "$(event_count lost)" -ge 1 ] || [ "$(event_count captured)" -ge 1 ]'
	fi
	watch_stop
}
