#!/usr/bin/env bats
# The hold by ptrace: what a sidecar has that may trace, and neither signal nor freeze.

load helpers
load watch
load ptrace

LIMIT=$((64 << 20))

setup() {
	sidecar_new
}

teardown() {
	watch_teardown
	sidecar_teardown
}

@test "verdict kill without the right to send a signal: killed in the hold, before it runs again" {
	cg_new app 64M
	# The verdict's way takes 40 ms more, in which it would fill the rest of its limit ten times.
	OOMSNAP_FAULT=release-before=wait,verdict-kill=wait watch_start app --set verdict=kill
	[ "$(event_field guarantee GUARANTEE)" = best-effort ]
	cg_spawn app "$LEAKER" --pattern touch --rate 400 --hold yes
	wait_event captured
	[ "$(event_field held HOLD)" = ptrace ]
	wait_until 5 is_gone "$CG_PID"
	[ "$(cg_oom_kill app)" -eq 0 ]
	core_is_whole "$(event_field captured CORE)" $((40 << 20))
	watch_stop
}

@test "verdict resume: nothing that happens to us kills the process" {
	local point
	for point in verdict-wait release-before capture-copied; do
		cg_new "$point" 64M
		OOMSNAP_FAULT="$point=kill" watch_start "$point"
		cg_spawn "$point" "$LEAKER" --pattern touch --rate 100 --total 58M --hold yes
		[ "$point" = release-before ] || wait_event capturer-restarted
		[ "$point" != release-before ] || wait_until 20 is_gone "$WATCH_PID"
		wait_until 2 is_normal "$point" "$CG_PID" $LIMIT
		[ "$(cg_oom_kill "$point")" -eq 0 ]
		kill -KILL "$WATCH_PID" 2> /dev/null || true
		wait "$WATCH_PID" || true
		WATCH_PID=
		wait_until 20 none_of_ours
		is_normal "$point" "$CG_PID" $LIMIT
		cg_rm "$point"
	done
}
