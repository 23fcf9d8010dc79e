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

# More threads than the watchdog reads the registers of (REGISTERS_THREADS_MAX in
# watchdog/os/registers.h): their process is handed over to the capturer.
MANY=1100

# held POINT ACTION [BUSY]: a target of several processes that all stand still, as ours did ACTION at
# POINT. BUSY: with two that compute and one that forks, both as fast as they can.
held() {
	cg_new app 64M
	OOMSNAP_FAULT="$1=$2" watch_start app
	others_new
	[ -z "${3:-}" ] || others_new 'while :; do :; done' 'while :; do :; done' 'while :; do (:); done'
	cg_spawn app "$LEAKER" --pattern threads --threads 4 --rate 200 --total 58M --hold yes
	wait_event armed
	wait_until 10 all_stopped
}

# many_new [OPTION...]: a target whose process has MANY threads, which leaks past its trip and stops
# short of its limit; OOMSNAP_FAULT is the watchdog's.
many_new() {
	cg_new app 256M
	watch_start app "$@"
	others_new
	cg_spawn app "$LEAKER" --pattern threads --threads "$MANY" --rate 300 --total 205M --hold yes
}

# killed_at POINT: a target that leaks, and who comes to that point is killed there: a process that
# is handed over has MANY threads.
killed_at() {
	case $1 in
		hand-over | verdict-wait)
			OOMSNAP_FAULT="$1=kill" many_new
			return
			;;
	esac
	cg_new app 64M
	OOMSNAP_FAULT="$1=kill" watch_start app
	others_new
	cg_spawn app "$LEAKER" --pattern threads --threads 4 --rate 100 --total 57M --hold yes
}

# others_new [PROGRAM...]: others in the target; one that forks now and then, and one that waits.
others_new() {
	local program
	if [ $# -eq 0 ]; then
		set -- 'while :; do sleep 0.05; done' 'sleep 1000; :'
		OTHERS=()
	fi
	for program; do
		cg_spawn app bash -c "$program"
		OTHERS+=("$CG_PID")
	done
}

all_stopped() {
	local pid
	while read -r pid; do
		is_stopped "$pid" || return 1
	done < "$(cg_path app)/cgroup.procs"
}

all_run() {
	local pid
	for pid in "${OTHERS[@]}" "$CG_PID"; do
		is_running "$pid" || return 1
	done
}

tracer() {
	awk '$1 == "TracerPid:" {print $2}' "/proc/$1/status"
}

# none_has_grown: nobody of the target has taken memory from its hold to its release. A little more than
# before may be left: the kernel takes back what a processor had charged ahead.
none_has_grown() {
	[ "$(event_field released HEADROOM_END_BYTES)" -ge "$(event_field held HEADROOM_HOLD_BYTES)" ]
}

# none_has_run: nor, to its end, has the group ever had more than at the hold and those charges ahead.
none_has_run() {
	[ "$(cg_peak app)" -le $((LIMIT - $(event_field held HEADROOM_HOLD_BYTES) + (2 << 20))) ]
}

# What each process of the target has computed so far, and who they are.
progress() {
	local pid
	while read -r pid; do
		awk '{print $1, $14, $15}' "/proc/$pid/stat" /proc/"$pid"/task/*/stat
	done < <(sort -n "$(cg_path app)/cgroup.procs")
}

# normal_after_kill PID...: kills them; the target runs within 100 ms. The sidecar needs SYS_NICE for
# that: a guardian without priority has its turn when the machine has time for it.
normal_after_kill() {
	local arguments=() pid
	for pid; do arguments+=(--kill "$pid"); done
	"$BUILD/tool/aftermath" "${arguments[@]}" --target "$CG_PID" --within 100
	wait_until 1 all_run
}

@test "every process of the target stands still for the capture: none computes, none is born; all run on" {
	local before
	held capture-seized stop busy
	[ "$(tracer "$CG_PID")" = "$WATCH_PID" ] # and not the capturer, which copies it
	before=$(progress)
	sleep 0.5 # what they would compute and fork in it is what is tested
	[ "$(progress)" = "$before" ]
	all_stopped
	watch_stop
	all_run
	went_on() { [ "$(progress)" != "$before" ]; }
	wait_until 5 went_on
	[ "$(cg_oom_kill app)" -eq 0 ]
}

@test "64 threads that never wait: none runs from the hold to the end of the capture" {
	cg_new app 128M
	# Whoever were let go for a moment would fill much of what is left in one of these.
	OOMSNAP_FAULT=take-over=wait,capture-seized=wait,capture-copied=wait \
		watch_start app --set arm=50% --set trip=60% --set verdict=kill
	cg_spawn app "$LEAKER" --pattern threads --threads 64 --rate max --hold yes
	wait_event captured
	[ "$(event_field held HOLD)" = ptrace ]
	core_is_whole "$(event_field captured CORE)" $((64 << 20))
	none_has_grown
	[ "$(cg_oom_kill app)" -eq 0 ]
	watch_stop
}

@test "a process of more threads than we read the registers of is handed over, and captured whole" {
	OOMSNAP_FAULT=capture-seized=stop many_new
	local capturer
	capturer=$(children_named "$WATCH_PID" oomsnap-capture)
	handed_over() { [ -e "/proc/$capturer/task/$(tracer "$CG_PID")" ] && is_stopped "$capturer"; }
	wait_until 10 handed_over
	kill -CONT "$capturer"
	wait_event captured 1 60
	core_is_whole "$(event_field captured CORE)" $((150 << 20))
	wait_until 2 all_run
	[ "$(cg_oom_kill app)" -eq 0 ]
	watch_stop
}

@test "the watchdog is killed while the capturer copies: the target runs, and its core is not called whole" {
	local core status
	sidecar_new "$SIDECAR_RIGHTS,+sys_nice"
	held capture-pages stop
	normal_after_kill "$WATCH_PID"
	wait "$WATCH_PID" || true
	WATCH_PID=
	gone_or_woken() {
		pkill -CONT -f -- "--runtime-dir $RUNTIME"
		none_of_ours
	}
	wait_until 20 gone_or_woken
	for core in "$DUMPS"/*/core; do
		status=0
		"$OOMSNAP" inspect "$core" > /dev/null || status=$?
		[ "$status" -eq 6 ]
	done
}

@test "shared memory that only others of the target have touched is in the core of who has not" {
	local child
	cg_new app 64M
	watch_start app
	cg_spawn app "$LEAKER" --pattern fork --threads 4 --rate 200 --total 57M --hold yes
	wait_event captured
	child=$(event_field captured PID)
	[ "$child" != "$CG_PID" ]
	grep -q "rw-s .*/dev/zero" "/proc/$child/maps"
	core_is_whole "$(event_field captured CORE)" 0
	watch_stop
}

@test "five processes leak at once: all are held, and all are killed before one runs again" {
	local i
	cg_new app 128M
	OOMSNAP_FAULT=capture-copied=wait watch_start app --set arm=50% --set trip=60% --set verdict=kill
	for i in 1 2 3 4; do
		cg_spawn app "$LEAKER" --pattern touch --rate 5 --hold yes
	done
	cg_spawn app "$LEAKER" --pattern touch --rate 400 --hold yes --seed 5
	wait_event captured
	core_is_whole "$(event_field captured CORE)" $((4 << 20))
	none_has_grown
	target_is_empty() { [ -z "$(cat "$(cg_path app)/cgroup.procs")" ]; }
	wait_until 5 target_is_empty
	[ "$(cg_oom_kill app)" -eq 0 ]
	watch_stop
}

@test "a process that moves in during the hold is held, too" {
	held capture-seized stop
	cg_spawn app sleep 1000
	OTHERS+=("$CG_PID")
	wait_until 1 is_stopped "$CG_PID"
	watch_stop
	all_run
}

@test "one of us is killed during the hold: the target runs within 100 ms" {
	sidecar_new "$SIDECAR_RIGHTS,+sys_nice"
	held capture-seized stop
	normal_after_kill "$WATCH_PID"
}

@test "watchdog and guardian, guardian and capturer are killed together: likewise" {
	sidecar_new "$SIDECAR_RIGHTS,+sys_nice"
	held capture-pages wait
	normal_after_kill "$WATCH_PID" "$(children_named "$WATCH_PID" oomsnap-guard)"
	wait "$WATCH_PID" || true
	WATCH_PID=
	cg_rm app
	wait_until 20 none_of_ours
	held capture-seized stop
	normal_after_kill "$(children_named "$WATCH_PID" oomsnap-guard)" \
		"$(children_named "$WATCH_PID" oomsnap-capture)"
	watch_stop
}

@test "the watchdog is killed at every point of a hold by ptrace" {
	local point
	for point in seize-noted hold-on registers-read hand-over release-before release-mid released; do
		killed_at "$point"
		wait_until 30 is_gone "$WATCH_PID"
		wait_until 2 all_run || {
			echo "not all run after a death at $point" >&2
			return 1
		}
		wait "$WATCH_PID" || true
		WATCH_PID=
		cg_rm app
		wait_until 20 none_of_ours
	done
}

@test "the capturer is killed at every point of a hold by ptrace" {
	local point
	for point in take-over capture-seized capture-copied verdict-wait; do
		killed_at "$point"
		wait_event released 1 60
		wait_until 2 all_run || {
			echo "not all run after a death at $point" >&2
			return 1
		}
		watch_stop
		cg_rm app
	done
}

@test "a watchdog that hangs while it holds by ptrace is ended by the guardian" {
	held registers-read stop
	wait_until 5 is_stopped "$WATCH_PID"
	wait_until 15 is_gone "$WATCH_PID"
	wait_until 1 all_run
}

@test "an answer for which a capturer waits no longer is none: its core is kept, and nobody hangs" {
	local guardian
	cg_new app 64M
	OOMSNAP_FAULT=registers-read=stop watch_start app --set processes=all --set hold_timeout=500ms
	guardian=$(children_named "$WATCH_PID" oomsnap-guard)
	others_new
	cg_spawn app "$LEAKER" --pattern touch --rate 100 --total 57M --hold yes
	wait_until 10 is_stopped "$WATCH_PID"
	# On a busy machine what follows may take so long that the watchdog were ended as hung.
	kill -STOP "$guardian"
	copied() { compgen -G "$DUMPS/*.partial/cgroup.*" > /dev/null; }
	wait_until 3 copied
	kill -CONT "$WATCH_PID" "$guardian"
	wait_event released 1 20
	wait_until 2 all_run
	wait_event capture-partial
	[[ $(event_line capture-failed) == *"holds another process of the target by ptrace"* ]]
	watch_stop
}

@test "a capturer that hangs is given up at its deadline, and everybody runs" {
	cg_new app 64M
	OOMSNAP_FAULT=take-over=stop watch_start app --set deadline=1s --set hold_timeout=500ms
	others_new
	cg_spawn app "$LEAKER" --pattern touch --rate 100 --total 57M --hold yes
	wait_event capture-failed 1 10
	wait_event released
	wait_until 1 all_run
	watch_stop
}

@test "a capturer that hangs with all copied, and does not hear the verdict, is ended: everybody runs" {
	OOMSNAP_FAULT=verdict-wait=stop many_new
	wait_event released 1 60
	within 20 all_run
	wait_event capture-failed
	watch_stop
}

@test "who was stopped before us stays stopped" {
	cg_new app 64M
	cg_spawn app sleep 1000
	local stopped=$CG_PID
	kill -STOP "$stopped"
	wait_until 5 is_stopped "$stopped"
	watch_start app
	cg_spawn app "$LEAKER" --pattern touch --rate 100 --total 58M --hold yes
	wait_event captured
	is_running "$CG_PID"
	[ "$(state "$stopped")" = T ]
	watch_stop
	[ "$(state "$stopped")" = T ]
}

@test "verdict kill ends every process of the target in the hold" {
	cg_new app 64M
	OOMSNAP_FAULT=release-before=wait watch_start app --set arm=65% --set trip=75% --set verdict=kill
	others_new
	cg_spawn app "$LEAKER" --pattern touch --rate 200 --hold yes
	wait_event released
	none_has_run
	target_is_empty() { [ -z "$(cat "$(cg_path app)/cgroup.procs")" ]; }
	wait_until 5 target_is_empty
	[ "$(cg_oom_kill app)" -eq 0 ]
	wait_event captured
	watch_stop
}

@test "verdict kill without the right to send a signal: killed in the hold, before it runs again" {
	cg_new app 64M
	# The verdict's way takes 40 ms more, in which it would take 8 MB.
	OOMSNAP_FAULT=release-before=wait,verdict-kill=wait \
		watch_start app --set arm=65% --set trip=75% --set verdict=kill
	[ "$(event_field guarantee GUARANTEE)" = best-effort ]
	cg_spawn app "$LEAKER" --pattern touch --rate 200 --hold yes
	wait_event captured
	[ "$(event_field held HOLD)" = ptrace ]
	wait_until 5 is_gone "$CG_PID"
	none_has_run
	[ "$(cg_oom_kill app)" -eq 0 ]
	core_is_whole "$(event_field captured CORE)" $((40 << 20))
	watch_stop
}

@test "verdict kill of a process that was handed over: killed in the capturer's hold" {
	OOMSNAP_FAULT=release-before=wait,verdict-kill=wait many_new --set verdict=kill
	wait_event captured 1 60
	wait_until 5 is_gone "$CG_PID"
	[ "$(cg_oom_kill app)" -eq 0 ]
	core_is_whole "$(event_field captured CORE)" $((150 << 20))
	watch_stop
}

@test "verdict resume: nothing that happens to us kills the process" {
	local point
	for point in capture-seized release-before capture-copied; do
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
