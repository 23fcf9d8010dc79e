#!/usr/bin/env bats
# The tripwire in oomsnap watch: whom it stops inside the kernel is captured, told, and goes on,
# whatever becomes of us. The tripwire alone is tripwire.bats. In these tests there is no shield:
# kernel-stop is all that is promised.

load helpers
load watch

WATCH_TRIPWIRE=on
MIB=$((1 << 20))
LIMIT=$((128 * MIB))
TRIP=$((LIMIT * 9 / 10))
# What a process may charge beyond the trip: 1 MiB for each processor that allocates.
SLACK=$(($(nproc) * MIB))
# As in undo.bats: a bound in milliseconds is held on real hardware.
WITHIN_MS=100
[ "$OOMSNAP_LANE" = host ] || WITHIN_MS=1000
SOON=2
[ "$OOMSNAP_LANE" = host ] || SOON=10

# wire_start NAME [OPTION...]: watched without a shield.
wire_start() {
	OOMSNAP_WATCH=${OOMSNAP_WATCH:-$OOMSNAP} watch_start "$@" --set shield=off --set hold=stop
}

# overshoot: bytes beyond the trip that were used when the target stood still.
overshoot() {
	echo $((LIMIT - $(event_field held HEADROOM_HOLD_BYTES) - TRIP))
}

# wired_leak NAME OPTION...: a leaker that the tripwire stops while the watchdog, itself stopped, can
# neither look nor be told. Its guardian stands still meanwhile, too: on a busy machine it may be long
# enough to be taken for hung.
wired_leak() {
	local name=$1 guardian
	shift
	guardian=$(crew oomsnap-guard)
	kill -STOP "$guardian" "$WATCH_PID"
	cg_spawn "$name" "$LEAKER" --rate max "$@"
	wait_until 10 any_is_stopped "$name"
	kill -CONT "$guardian"
}

any_is_stopped() {
	local pid
	for pid in $(cg_procs "$1"); do
		! is_stopped "$pid" || return 0
	done
	return 1
}

# wired NAME: the same, from the start.
wired() {
	cg_new "$1" 128M
	wire_start "$1"
	wired_leak "$1" --pattern touch --total 124M
}

# links: the watchdog's attached programs, by the kernel's numbers.
links() {
	sed -n 's/^link_id:[[:space:]]*//p' "/proc/$WATCH_PID/fdinfo/"* | sort
}

crew() {
	children_named "$WATCH_PID" "$1"
}

goes_on() {
	is_running "$1" && is_running_still "$1"
}

# A process that is continued and stopped again at once would be seen running.
is_running_still() {
	sleep 0.05
	is_running "$1"
}

@test "kernel-stop: stopped at the trip at full speed, captured whole, and told" {
	local path over before
	cg_new app 128M
	wire_start app
	before=$(links)
	[ -n "$before" ]
	[ "$(event_field guarantee GUARANTEE)" = kernel-stop ]
	[[ $(event_field guarantee TRIPWIRE) == */* ]]
	[ "$(event_field target-found TRIPWIRE)" = "$(event_field guarantee TRIPWIRE)" ]
	wired_leak app --pattern touch --total 120M
	kill -CONT "$WATCH_PID"
	wait_event captured
	over=$(overshoot)
	echo "# $OOMSNAP_LANE: $((over / 1024)) KiB beyond the trip, $(event_field held HOLD_DELAY_NS) ns from the trip to the hold" >&3
	[ "$over" -le "$SLACK" ]
	[ "$(event_field captured REASON)" = tripwire ]
	[ "$(event_field captured GUARANTEE)" = kernel-stop ]
	[ "$(event_field captured OOM_KILLS)" -eq 0 ]
	core_is_whole "$(event_field captured CORE)" $((100 * MIB))
	path=$(event_field captured PATH)
	grep -q '"reason": *"tripwire"' "$path/report.json"
	grep -q '"kernel-stop"' "$path/report.json"
	wait_until 5 goes_on "$CG_PID"
	[ "$(event_count lost)" -eq 0 ]
	# Neither detached nor attached anew, which the kernel may take seconds for.
	[ "$(links)" = "$before" ]
	watch_stop
	is_running "$CG_PID"
}

@test "kernel-stop: a look that comes before its word of the stop tells the tripwire as the reason" {
	cg_new app 128M
	# Each look begins with 40 ms in which the target, at full speed, gets from nothing to its trip.
	OOMSNAP_FAULT=look=wait OOMSNAP_WATCH=$TEST_OOMSNAP wire_start app
	[ "$(event_field guarantee GUARANTEE)" = kernel-stop ]
	cg_spawn app "$LEAKER" --rate max --pattern touch --total 120M
	wait_event captured
	[ "$(event_field tripped REASON)" = tripwire ]
	[ "$(event_field captured REASON)" = tripwire ]
	core_is_whole "$(event_field captured CORE)" $((100 * MIB))
	wait_until 5 goes_on "$CG_PID"
	watch_stop
}

# bats test_tags=lane:host
@test "so are threads, malloc, shared memory and a tree of processes" {
	need_lane host
	local pattern
	for pattern in threads malloc memfd fork; do
		cg_new "$pattern" 128M
		wire_start "$pattern"
		wired_leak "$pattern" --pattern "$pattern" --threads 4 --total 120M
		kill -CONT "$WATCH_PID"
		wait_event captured
		echo "# $pattern: $(($(overshoot) / 1024)) KiB beyond the trip" >&3
		[ "$(overshoot)" -le $((SLACK + 2 * MIB)) ]
		[ "$(event_count lost)" -eq 0 ]
		[ "$(cg_oom_kill "$pattern")" -eq 0 ]
		wait_until 5 all_go_on "$pattern"
		watch_stop
		cg_rm "$pattern"
	done
}

all_go_on() {
	local pid
	for pid in $(cg_procs "$1"); do
		is_running "$pid" || return
	done
}

# bats test_tags=lane:host
@test "the threshold follows the limit" {
	need_lane host
	cg_new app 128M
	wire_start app
	cg_limit app 192M
	wait_event limit-changed
	LIMIT=$((192 * MIB))
	TRIP=$((LIMIT * 9 / 10))
	wired_leak app --pattern touch --total 180M
	kill -CONT "$WATCH_PID"
	wait_event captured
	[ "$(overshoot)" -gt $((-2 * MIB)) ]
	[ "$(overshoot)" -le "$SLACK" ]
	watch_stop
}

# bats test_tags=lane:host
@test "page cache of a group below, which it does not see, is no leak: told once, and it goes on" {
	need_lane host
	cg_new pod 128M
	cg_new pod/app
	wire_start pod
	# shellcheck disable=SC2016 # expanded by the inner shell
	cg_spawn pod/app bash -c 'exec "$@" > "$0"' "$BATS_TEST_TMPDIR/log" \
		"$LEAKER" --pattern filecache --rate 100 --total 384M --hold yes --dir /var/tmp
	wait_until 60 grep -q 'total reached' "$BATS_TEST_TMPDIR/log"
	wait_until 5 goes_on "$CG_PID"
	[ "$(event_count tripped)" -eq 0 ]
	[ "$(event_count degraded)" -le 3 ]
	echo "# told: $(grep -c '"OOMSNAP_OBJECT":"tripwire"' "$EVENTS")" >&3
	# What leaks beside it is still stopped.
	cg_spawn pod/app "$LEAKER" --pattern touch --rate max --total 120M
	wait_event captured
	[ "$(event_count lost)" -eq 0 ]
	watch_stop
}

@test "a target that the kernel kills after all is told at once, with the process" {
	local i
	cg_new app 128M
	wire_start app --set cooldown=1ms
	# Again: who was told once is not told for the next.
	for i in 1 2; do
		cg_spawn app "$LEAKER" --pattern populate --rate max --total 400M
		wait_event lost "$i"
		[ "$(event_field lost PID "$i")" -eq "$CG_PID" ]
		wait_event released "$i"
		wait_until 10 is_gone "$CG_PID"
	done
	watch_stop
}

@test "the watchdog is killed before it is told: the guardian continues whom it stopped" {
	wired app
	"$BUILD/tool/aftermath" --kill "$WATCH_PID" --target "$CG_PID" --within "$WITHIN_MS"
	within $SOON goes_on "$CG_PID"
}

# bats test_tags=lane:host
@test "watchdog and guardian are killed: a capturer continues it" {
	need_lane host
	wired app
	"$BUILD/tool/aftermath" --kill "$WATCH_PID" --kill "$(crew oomsnap-guard)" \
		--target "$CG_PID" --within "$WITHIN_MS"
	within $SOON goes_on "$CG_PID"
}

# bats test_tags=lane:host
@test "all are killed: the next start continues it, and nobody whom others had stopped" {
	need_lane host
	local leaker sleeper terminal later all
	cg_new app 128M
	cg_spawn app sleep 1000
	sleeper=$CG_PID
	kill -STOP "$sleeper"
	wait_until 5 is_stopped "$sleeper"
	wire_start app
	# And one that somebody stops later, as a terminal does it, and one by SIGSTOP.
	cg_spawn app sleep 1000
	terminal=$CG_PID
	cg_spawn app sleep 1000
	later=$CG_PID
	kill -STOP "$later"
	wait_until 5 is_stopped "$later"
	sleep 8 # looks for such are 5 s apart
	all="$WATCH_PID $(pgrep -P "$WATCH_PID" | tr '\n' ' ')"
	# Stopped first: none of them is to see another one die, or the stop.
	# shellcheck disable=SC2086 # a list
	kill -STOP $all
	kill -TSTP "$terminal"
	wait_until 5 is_stopped "$terminal"
	cg_spawn app "$LEAKER" --pattern touch --rate max --total 124M
	leaker=$CG_PID
	wait_until 10 is_stopped "$leaker"
	# shellcheck disable=SC2086
	kill -KILL $all
	wait "$WATCH_PID" || true
	# While one of them still ends, its ledger counts as held by a living one.
	wait_until 10 none_of_ours
	is_stopped "$leaker"
	watch_start app --dry-run
	wait_event recovered
	wait_until 2 is_running "$leaker"
	is_stopped "$sleeper"
	is_stopped "$terminal"
	is_stopped "$later"
	watch_stop
}

no_ledger() {
	! compgen -G "$RUNTIME/*.ledger" > /dev/null
}

# bats test_tags=lane:host
@test "the watchdog is killed at each point of the tripwire" {
	need_lane host
	local point
	for point in tripwire-noted tripwire-on tripwire-told; do
		cg_new "$point" 128M
		cg_spawn "$point" "$LEAKER" --pattern touch --rate max --total 124M --start-paused
		wait_until 10 awaits_usr1 "$CG_PID"
		: > "$EVENTS"
		OOMSNAP_FAULT="$point=kill" "$TEST_OOMSNAP" watch --json --runtime-dir "$RUNTIME" \
			--set directory="$DUMPS" --cgroup "$(cg_path "$point")" --set shield=off \
			--set hold=stop < /dev/null 2> "$EVENTS" 3>&- &
		WATCH_PID=$!
		if [ "$point" = tripwire-told ]; then
			wait_event guarantee
			# Stopped meanwhile, so that it has no other reason to trip.
			kill -STOP "$WATCH_PID"
			kill -USR1 "$CG_PID"
			wait_until 10 is_stopped "$CG_PID"
			kill -CONT "$WATCH_PID"
		fi
		wait_until 20 is_gone "$WATCH_PID"
		wait "$WATCH_PID" || true
		WATCH_PID=
		within $SOON goes_on "$CG_PID" || {
			echo "not normal after a death at $point" >&2
			return 1
		}
		wait_until 5 none_of_ours
		wait_until 5 no_ledger
		cg_rm "$point"
	done
}

# bats test_tags=lane:host
@test "check says where it stands, and without the right to it why not" {
	need_lane host
	cg_new app 128M
	run "$OOMSNAP" check --cgroup "$(cg_path app)" --set shield=off --set directory="$DUMPS"
	[ "$status" -eq 0 ]
	[[ $output == *"guarantee  kernel-stop"* ]]
	[[ $output == *"tripwire   "*/* ]]
	run setpriv --inh-caps=-all --bounding-set=-sys_admin,-bpf,-perfmon "$OOMSNAP" check \
		--cgroup "$(cg_path app)" --set shield=off --set directory="$DUMPS"
	[ "$status" -eq 0 ]
	[[ $output == *"guarantee  best-effort"* ]]
	[[ $output == *"tripwire   none"*CAP_BPF* ]]
	run "$OOMSNAP" check --json --cgroup "$(cg_path app)" --set tripwire=off --set directory="$DUMPS"
	[[ $output == *'"tripwire":"none"'* ]]
}
