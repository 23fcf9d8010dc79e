#!/usr/bin/env bats
# bats file_tags=lane:vm
# oomsnap watch and what cgroup v2 alone has: pressure triggers, memory.high, memory.oom.group,
# memory.events level by level, and private cgroup namespaces with the view through /proc/PID/root.

load helpers
load watch

POINTS=/var/tmp/$CG_PREFIX-points

setup() {
	need_lane vm
	: > "$POINTS"
}

teardown() {
	watch_teardown
	rm -rf "$POINTS" "$POINTS.d"
}

cg_value() {
	cat "$(cg_path "$1")/$2"
}

points() {
	grep -c "^$1 " "$POINTS" || true
}

passed() {
	[ "$(points "$1")" -ge "$2" ]
}

@test "the target's memory pressure calls for a look; what ends is replaced, and keeps nobody busy" {
	cg_new app 512M
	OOMSNAP_FAULT_FILE=$POINTS OOMSNAP_FAULT=pressure=mark,pressure-end=mark \
		OOMSNAP_WATCH=$TEST_OOMSNAP watch_start app
	[ "$(event_field target-found PRESSURE)" = target ]
	[ "$(points pressure)" -eq 0 ]
	# Far from arm, and yet it waits for memory: throttled above memory.high.
	echo 16M > "$(cg_path app)/memory.high"
	cg_spawn app "$LEAKER" --pattern touch --rate max --total 64M
	wait_until 30 passed pressure 1
	[ "$(event_count armed)" -eq 0 ]
	# Its trigger ends with its pressure file; the machine's takes over.
	echo 0 > "$(cg_path app)/cgroup.pressure"
	wait_until 20 passed pressure-end 1
	wait_event degraded
	[ "$(event_field degraded OBJECT)" = memory.pressure ]
	is_running "$CG_PID"
	cg_rm app
	wait_event target-gone
	[ "$(points pressure-end)" -eq 1 ]
	# The end of the cgroup itself ends the trigger, too.
	cg_new app 64M
	wait_event target-found 2
	[ "$(event_field target-found PRESSURE)" = target ]
	cg_rm app
	wait_event target-gone 2
	[ "$(points pressure-end)" -le 2 ]
	watch_stop
}

# pressure_of COMMAND...: what check says below that command, as "SOURCE WINDOW REFUSAL".
pressure_of() {
	"$@" "$OOMSNAP" check --json --cgroup "$(cg_path app)" |
		sed -n 's/.*"pressure":"\([a-z]*\)","pressure_window_ms":\([0-9]*\),"pressure_refusal":"\([^"]*\)".*/\1 \2 \3/p'
}

@test "where the target's own pressure is refused the machine's is taken, or none" {
	local found
	local ro='mount -o remount,bind,ro /sys/fs/cgroup && exec "$@"'
	local none='mount -t tmpfs none /proc/pressure && '$ro
	cg_new app 64M
	[ "$(pressure_of env)" = "target 1000 " ]
	[ "$(pressure_of unshare -m bash -c "$ro" -)" = "machine 1000 Read-only file system" ]
	[ "$(pressure_of unshare -m bash -c "$none" -)" = "none 0 No such file or directory" ]
	echo 0 > "$(cg_path app)/cgroup.pressure"
	[ "$(pressure_of env)" = "machine 1000 No such file or directory" ]
	echo 1 > "$(cg_path app)/cgroup.pressure"
	# Without CAP_SYS_RESOURCE older kernels refuse, newer ones take windows of 2 s.
	found=$(pressure_of setpriv --bounding-set -sys_resource)
	echo "$found"
	[ "$found" = "none 0 Operation not permitted" ] || [ "$found" = "target 2000 " ]
}

@test "the brake is on from arm to release" {
	cg_new app 64M
	# Near each other: behind the brake a leak creeps.
	watch_start app --set shield=off --set arm=50% --set brake=78% --set trip=80%
	[ "$(event_field guarantee GUARANTEE)" = brake ]
	[ "$(cg_value app memory.high)" = max ]
	cg_spawn app "$LEAKER" --pattern touch --rate 20 --total 60M
	wait_event armed
	wait_until 5 eval '[ "$(cg_value app memory.high)" != max ]'
	[ "$(cg_value app memory.high)" -le $((64 * 78 * 1048576 / 100)) ]
	wait_event captured 1 60
	[ "$(cg_value app memory.high)" = max ]
	is_normal app "$CG_PID" $((64 << 20))
	[ "$(cg_oom_kill app)" -eq 0 ]
	watch_stop
}

@test "memory.oom.group: nobody is killed before the capture; with verdict oom everybody after it" {
	local idle
	cg_new app 64M
	echo 1 > "$(cg_path app)/memory.oom.group"
	watch_start app --set verdict=oom
	cg_spawn app sleep 1000
	idle=$CG_PID
	cg_spawn app "$LEAKER" --pattern touch --rate max
	wait_event captured
	core_is_whole "$(event_field captured CORE)" $((48 << 20))
	wait_until 20 is_gone "$CG_PID"
	wait_until 20 is_gone "$idle"
	[ "$(cg_oom_kill app)" -ge 2 ] # 6.1 was seen to count three for the two
	wait_event killed
	[ "$(event_count lost)" -eq 0 ]
	watch_stop
}

@test "the parent runs out of memory: seen there, and nobody of the target is killed" {
	cg_new pod 64M
	cg_new pod/app max
	watch_start pod/app --set shield=always --set verdict=kill --set trip=99%
	cg_spawn pod/app "$LEAKER" --pattern populate --rate max --total 512M
	wait_event oom-at-limit 1 30
	[ "$(event_field oom-at-limit OOM_EVENTS)" -gt 0 ]
	[ "$(awk '$1 == "oom" {print $2}' "$(cg_path pod/app)/memory.events.local")" -eq 0 ]
	wait_event captured 1 60
	[ "$(event_field tripped LIMIT_BYTES)" -eq $((64 << 20)) ]
	[ "$(cg_oom_kill pod)" -eq 0 ]
	[ "$(event_count lost)" -eq 0 ]
	watch_stop
}

# A cgroup namespace of its own and the view that a container runtime mounts for it.
CONTAINED='umount /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && eval "$0" && exec "$@"'

# check_from_inside PID: what check finds when it runs in a container of its own.
check_from_inside() {
	cg_run us unshare -C -m bash -c "$CONTAINED" : "$OOMSNAP" check --json --pid "$1"
}

@test "from another cgroup namespace the target's own view is read, and never written to" {
	local view
	cg_new us 256M
	cg_new app 64M
	cg_spawn app unshare -C -m bash -c "$CONTAINED" : "$LEAKER" --pattern touch --rate 20 --total 60M
	view=/proc/$CG_PID/root/sys/fs/cgroup
	wait_until 10 test -e "$view/memory.max"
	: > "$EVENTS"
	cg_run us unshare -C -m bash -c "$CONTAINED" : \
		"$OOMSNAP" watch --json --runtime-dir "$RUNTIME" --set directory="$DUMPS" --set hold=freeze \
		--set brake=70% --set lease=10% --set tripwire="$WATCH_TRIPWIRE" \
		--pid "$CG_PID" < /dev/null 2> "$EVENTS" 3>&- &
	WATCH_PID=$!
	wait_event guarantee
	[ "$(event_field target-found CGROUP)" = "$view" ]
	[ "$(event_field guarantee LIMIT_BYTES)" -eq $((64 << 20)) ]
	wait_event captured 1 60
	[ "$(event_field held HOLD)" = ptrace ]
	core_is_whole "$(event_field captured CORE)" $((40 << 20))
	[ "$(cg_value app memory.high)" = max ]
	is_normal app "$CG_PID" $((64 << 20))
	[ "$(cg_oom_kill app)" -eq 0 ]
}

@test "a view that is none is not believed: another file system, another file in the place of one" {
	local fake="mkdir $POINTS.d && mount --bind $POINTS.d /sys/fs/cgroup"
	fake+=' && echo 1000 > /sys/fs/cgroup/memory.max'
	cg_new us 256M
	cg_new app 64M
	cg_spawn app unshare -C -m bash -c "$CONTAINED" "$fake" sleep 1000
	wait_until 10 test -e "$POINTS.d/memory.max"
	run check_from_inside "$CG_PID"
	echo "$output"
	[ "$status" -eq 3 ]
	[[ $output == *'"found":false'* ]]
	cg_spawn app unshare -C -m bash -c "$CONTAINED" \
		"mount --bind $POINTS.d/memory.max /sys/fs/cgroup/memory.max" sleep 1000
	wait_until 10 grep -qx 1000 "/proc/$CG_PID/root/sys/fs/cgroup/memory.max"
	run check_from_inside "$CG_PID"
	echo "$output"
	[ "$status" -eq 3 ]
	[[ $output == *'"found":false'* ]]
}
