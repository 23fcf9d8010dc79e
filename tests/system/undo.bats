#!/usr/bin/env bats
# The second promise: whatever happens to us, the target is never left worse off.
#
# Fault points of the test build stop or kill our own processes at a named place of an incident.

load helpers
load watch

LIMIT=$((64 << 20))
# The promise, on real hardware. In the machine every instruction is emulated, ten times slower and
# more; there the order of things is tested, not their speed.
WITHIN_MS=100
[ "$OOMSNAP_LANE" = host ] || WITHIN_MS=1000
# After a death at any point, in seconds: the shell's own looks take their time.
SOON=2
[ "$OOMSNAP_LANE" = host ] || SOON=10
ADJ=$(cat /proc/self/oom_score_adj)

# held POINT ACTION: a leaking target that stands still, as our process did ACTION at POINT. Long enough
# for a test on a busy machine to act.
held() {
	cg_new app 64M
	OOMSNAP_WATCH=$TEST_OOMSNAP
	OOMSNAP_FAULT="$1=$2" watch_start app --set hold=stop --set hold_timeout=20s
	cg_spawn app "$LEAKER" --pattern touch --rate 200 --total 60M
	wait_event armed
	wait_until 10 is_stopped "$CG_PID"
}

# normal_after_kill PID...: kills them; the target is as it was within 100 ms.
normal_after_kill() {
	local arguments=(--await 60000) pid
	for pid; do arguments+=(--kill "$pid"); done
	if [ "$CG_VERSION" -eq 1 ]; then
		arguments+=(--expect "$(cg_path app)/memory.oom_control" 'oom_kill_disable 0'
			--expect "$(cg_path app)/memory.limit_in_bytes" "$LIMIT")
	else
		arguments+=(--expect "/proc/$CG_PID/oom_score_adj" "$ADJ"
			--expect "$(cg_path app)/cgroup.events" 'frozen 0'
			--expect "$(cg_path app)/memory.max" "$LIMIT")
	fi
	"$BUILD/tool/aftermath" "${arguments[@]}" --target "$CG_PID" --within "$WITHIN_MS"
	is_normal app "$CG_PID" "$LIMIT"
}

@test "the watchdog is killed while it holds: released within 100 ms" {
	held capture-seized stop
	is_shielded app "$CG_PID"
	normal_after_kill "$WATCH_PID"
}

@test "the watchdog is killed at every point of an incident" {
	local point
	for point in arm-before shield-noted shield-on trip hold-noted hold-on capture-sent \
		release-before release-mid released; do
		cg_new "$point" 64M
		OOMSNAP_WATCH=$TEST_OOMSNAP OOMSNAP_FAULT="$point=kill" \
			watch_start "$point" --set hold=stop
		# Somebody for the hold to stop, as the tripwire may have stopped the leaker.
		cg_spawn "$point" sleep 1000
		cg_spawn "$point" "$LEAKER" --pattern touch --rate 100 --total 60M
		wait_until 30 is_gone "$WATCH_PID"
		within $SOON is_normal "$point" "$CG_PID" $LIMIT || {
			echo "not normal after a death at $point" >&2
			return 1
		}
		wait "$WATCH_PID" || true
		WATCH_PID=
		cg_rm "$point"
	done
}

@test "the capturer is killed at every point of a capture: released, told, replaced" {
	local point
	for point in capture-start capture-seized capture-opened capture-headers capture-pages \
		capture-copied capture-detached; do
		cg_new "$point" 64M
		OOMSNAP_WATCH=$TEST_OOMSNAP OOMSNAP_FAULT="$point=kill" \
			watch_start "$point" --set hold=stop
		cg_spawn "$point" "$LEAKER" --pattern touch --rate 100 --total 60M
		wait_event capture-failed
		wait_event released
		within $SOON is_normal "$point" "$CG_PID" $LIMIT || {
			echo "not normal after a death at $point" >&2
			return 1
		}
		wait_event capturer-restarted
		watch_stop
		cg_rm "$point"
	done
}

@test "the guardian is killed: a new one takes over, and it works" {
	local guardian
	cg_new app 64M
	OOMSNAP_WATCH=$TEST_OOMSNAP
	OOMSNAP_FAULT=capture-seized=stop watch_start app --set hold=stop --set hold_timeout=20s
	guardian=$(children_named "$WATCH_PID" oomsnap-guard)
	kill -KILL "$guardian"
	wait_event guardian-restarted
	cg_spawn app "$LEAKER" --pattern touch --rate 200 --total 60M
	wait_until 10 is_stopped "$CG_PID"
	wait_event armed
	normal_after_kill "$WATCH_PID"
}

@test "watchdog and guardian are killed together: the capturer lets go" {
	# The capturer lingers at each window of pages: 40 ms are less than it takes to notice, and a second
	# in all, in which a shell would come too late.
	local guardian
	cg_new app 64M
	OOMSNAP_WATCH=$TEST_OOMSNAP
	OOMSNAP_FAULT=capture-pages=wait watch_start app --set hold=stop --set hold_timeout=20s
	guardian=$(children_named "$WATCH_PID" oomsnap-guard)
	cg_spawn app "$LEAKER" --pattern touch --rate 200 --total 60M
	normal_after_kill "$WATCH_PID" "$guardian"
}

@test "guardian and capturer are killed together: the watchdog lets go" {
	held capture-seized stop
	normal_after_kill "$(children_named "$WATCH_PID" oomsnap-guard)" \
		"$(children_named "$WATCH_PID" oomsnap-capture)"
	wait_event guardian-restarted
	wait_event capturer-restarted
	watch_stop
}

@test "all three are killed: the next start puts everything back, and says so" {
	held capture-seized stop
	local all
	all=$(pgrep -P "$WATCH_PID" | tr '\n' ' ')
	# Stopped first: none of them is to see another one die.
	# shellcheck disable=SC2086 # a list
	kill -STOP "$WATCH_PID" $all
	# shellcheck disable=SC2086
	kill -KILL "$WATCH_PID" $all
	wait "$WATCH_PID" || true
	is_stopped "$CG_PID"
	is_shielded app "$CG_PID"
	# While one of them still ends, the ledger is held: the next start, at once, has to wait for that.
	watch_start app --dry-run
	wait_event recovered
	is_normal app "$CG_PID" $LIMIT
	watch_stop
}

@test "a watchdog that hangs with something in force is ended by the guardian" {
	cg_new app 64M
	watch_start app
	cg_spawn app "$LEAKER" --pattern touch --rate 100 --total 50M
	wait_event armed
	is_shielded app "$CG_PID"
	kill -STOP "$WATCH_PID"
	wait_until 30 is_gone "$WATCH_PID"
	within $SOON is_normal app "$CG_PID" $LIMIT
}

@test "a watchdog that stood still together with its guardian is not taken for hung" {
	local guardian
	cg_new app 64M
	watch_start app
	guardian=$(children_named "$WATCH_PID" oomsnap-guard)
	cg_spawn app "$LEAKER" --pattern touch --rate 100 --total 50M
	wait_event armed
	is_shielded app "$CG_PID"
	kill -STOP "$guardian" "$WATCH_PID"
	sleep 6 # longer than LEDGER_HUNG_NS: the pause is what is tested
	kill -CONT "$guardian"
	sleep 1 # the guardian looks, and finds a last sign of life that is 7 s old
	[ "$(state "$WATCH_PID")" = T ]
	kill -CONT "$WATCH_PID"
	kill -KILL "$CG_PID"
	wait_event disarmed
	watch_stop
}

@test "SIGTERM during a hold: released first, then we end" {
	held capture-seized stop
	watch_stop
	is_normal app "$CG_PID" $LIMIT
}

@test "a capture that never ends is given up at its deadline" {
	cg_new app 64M
	OOMSNAP_WATCH=$TEST_OOMSNAP OOMSNAP_FAULT=capture-pages=stop \
		watch_start app --set hold=stop --set deadline=1s
	cg_spawn app "$LEAKER" --pattern touch --rate 100 --total 60M
	wait_event capture-failed 1 10
	wait_event released
	is_normal app "$CG_PID" $LIMIT
	wait_event capturer-restarted
	watch_stop
}

@test "who was stopped before us stays stopped" {
	cg_new app 64M
	cg_spawn app "$LEAKER" --pattern touch --rate 100 --total 59M
	local leaker=$CG_PID
	cg_spawn app sleep 1000
	kill -STOP "$CG_PID"
	wait_until 5 is_stopped "$CG_PID"
	watch_start app --set hold=stop --set hold_timeout=20s
	wait_event captured
	is_running "$leaker"
	is_stopped "$CG_PID"
	watch_stop
	is_stopped "$CG_PID"
}

@test "a process that is traced by somebody else is left to him, and the target goes on" {
	cg_new app 64M
	cg_spawn app "$LEAKER" --pattern touch --rate 20 --total 60M
	# At a signal that it does not know to pass on gdb would end, and detach.
	gdb -nx -batch -p "$CG_PID" -ex 'handle SIGSTOP SIGCONT nostop noprint pass' -ex continue \
		> /dev/null 2>&1 < /dev/null 3>&- &
	local gdb=$!
	wait_until 10 grep -q "TracerPid:.[1-9]" "/proc/$CG_PID/status"
	watch_start app
	wait_event capture-failed 1 30
	wait_event released
	[[ $(event_field capture-failed WHY) == *trac* ]]
	watch_stop
	kill -INT "$gdb" || true
	kill -KILL "$CG_PID"
	wait "$gdb" || true
}

@test "a target that ends during the hold, cgroup and all" {
	held capture-seized stop
	cg_rm app
	wait_event released
	wait_event target-gone
	watch_stop
}

# bats test_tags=lane:host
@test "what a release cannot undo is named, with the error, and undone as soon as it can be" {
	need_lane host
	cg_new app 64M
	OOMSNAP_WATCH=$TEST_OOMSNAP OOMSNAP_FAULT=capture-seized=stop watch_start app --set hold=stop --set hold_timeout=20s
	cg_spawn app "$LEAKER" --pattern touch --rate 200 --total 60M --hold yes
	wait_until 10 is_stopped "$CG_PID"
	wait_event armed
	is_shielded app "$CG_PID"
	files_fail app write memory.oom_control
	pkill -CONT -P "$WATCH_PID" -x oomsnap-capture
	wait_event undo-failed
	[[ $(event_line undo-failed) == *"not undone yet: shield (Input/output error): the target runs, and it is tried again every 100 ms"* ]]
	[ "$(event_field undo-failed NUMBER)" -eq 1 ]
	wait_until 5 is_running "$CG_PID"
	is_shielded app "$CG_PID"
	[ "$(event_count released)" -eq 0 ]
	files_work
	wait_event released
	within $SOON is_normal app "$CG_PID" $LIMIT
	[ "$(event_count undo-failed)" -eq 1 ]
	watch_stop
}

@test "a raised limit that cannot be lowered at a reload is lowered as soon as it can be" {
	local log=$BATS_TEST_TMPDIR/log url
	cg_new app 64M
	watch_start app --set verdict=lease --set lease=64M
	# shellcheck disable=SC2016 # expanded by the inner shell
	cg_spawn app bash -c 'exec "$@" > "$0"' "$log" \
		"$LEAKER" --listen 127.0.0.1:0 --pattern touch --rate 200 --total 90M
	wait_event captured
	wait_until 20 grep -q 'total reached' "$log"
	[ "$(cg_limit app)" -eq $((128 << 20)) ]
	kill -HUP "$WATCH_PID"
	wait_event config-reloaded
	# More is used than the old limit allows: the kernel of v1 refuses it, that of v2 would kill.
	[ "$(cg_limit app)" -eq $((128 << 20)) ]
	url=http://$(sed -n 's/.*listen=\([0-9.:]*\).*/\1/p' "$log" | head -1)
	curl -fsS --max-time 10 "$url/stop?free=1" > /dev/null
	limit_is_back() { [ "$(cg_limit app)" -eq $LIMIT ]; }
	wait_until 5 limit_is_back
	is_running "$CG_PID"
	[ "$(cg_oom_kill app)" -eq 0 ]
	watch_stop
}
