#!/usr/bin/env bats
# processes = all: each process of a target ends in a core or in an event that says why not, one
# capturer or two, and the target goes on.

load helpers
load watch

# family COUNT: that many processes in the target, of which the last one leaks. PIDS are theirs.
family() {
	local i
	PIDS=()
	for ((i = 1; i < $1; i++)); do
		cg_spawn app "$LEAKER" --pattern touch --rate max --total 4M --seed "$i" \
			--ready-file "$BATS_TEST_TMPDIR/ready$i"
		PIDS+=("$CG_PID")
		wait_until 10 test -e "$BATS_TEST_TMPDIR/ready$i"
	done
	cg_spawn app "$LEAKER" --pattern touch --rate 100 --total $((64 - 4 * $1))M --seed 99
	PIDS+=("$CG_PID")
}

family_is_normal() {
	local pid
	for pid in "${PIDS[@]}"; do
		is_normal app "$pid" $((64 << 20)) || return
	done
}

# captured_pids: of whom there is a core, one a line.
captured_pids() {
	grep '"OOMSNAP_EVENT":"captured"' "$EVENTS" | sed 's/.*"OOMSNAP_PID":"\{0,1\}\([0-9]*\).*/\1/'
}

@test "five processes are five whole cores of one incident, and all of them run on" {
	cg_new app 64M
	# Fewer are kept than there are processes, and together they are above max_use, with what
	# others have there: an incident's cores stay together.
	mkdir -m 700 "$DUMPS" "$DUMPS/other-20260101T000000Z-1"
	# The command is slower than the cores are finished.
	watch_start app --set processes=all --set keep=2 --set max_use=96M \
		--set on_capture="sleep 0.1; echo \$OOMSNAP_PID \$OOMSNAP_CORE >> $BATS_TEST_TMPDIR/safe"
	fallocate -l 96M "$DUMPS/other-20260101T000000Z-1/core"
	family 5
	wait_event captured 5
	family_is_normal
	[ "$(captured_pids | sort)" = "$(printf '%s\n' "${PIDS[@]}" | sort)" ]
	[ "$(captured_pids | head -1)" = "${PIDS[4]}" ] # who leaks comes first
	[ "$(event_count capture-failed)" -eq 0 ]
	[ "$(event_count released)" -eq 1 ]
	[ "$(cg_oom_kill app)" -eq 0 ]
	local i core incident
	incident=$(event_field captured INCIDENT 1)
	for i in 1 2 3 4 5; do
		core=$(event_field captured CORE "$i")
		core_is_whole "$core" $((2 << 20))
		"$OOMSNAP" inspect "$core" > /dev/null
		[ "$(event_field captured INCIDENT "$i")" = "$incident" ]
		python3 - "$(dirname "$core")/report.json" <<- 'END'
			import json, sys
			r = json.load(open(sys.argv[1]))
			assert r["incident"]["orphaned"] is False, r["incident"]
			assert r["capture"]["complete"] is True, r["capture"]
		END
	done
	wait_event command-result 5
	for i in 1 2 3 4 5; do
		grep -qx "$(event_field captured PID "$i") $(event_field captured CORE "$i")" \
			"$BATS_TEST_TMPDIR/safe"
	done
	watch_stop
	family_is_normal
	all_finished 6
}

unfinished() {
	compgen -G "$DUMPS/*.partial" > /dev/null
}

all_finished() {
	local bundles=("$DUMPS"/*Z-*)
	[ ${#bundles[@]} -eq "$1" ] && ! unfinished
}

# bats test_tags=lane:host
@test "the watchdog dies before the release: its capturer finishes all of them" {
	cg_new app 64M
	OOMSNAP_WATCH=$TEST_OOMSNAP OOMSNAP_FAULT=release-before=kill watch_start app \
		--set processes=all
	family 4
	wait "$WATCH_PID" || true
	WATCH_PID=
	wait_until 20 all_finished 4
	wait_until 10 family_is_normal
	local bundle
	for bundle in "$DUMPS"/*Z-*; do
		core_is_whole "$bundle/core" $((2 << 20))
		"$OOMSNAP" inspect "$bundle/core" > /dev/null
		grep -q '"orphaned": *true' "$bundle/report.json"
	done
}

# bats test_tags=lane:host
@test "the watchdog is stopped while one is copied: that one is cut off, those before it are whole" {
	local bundle whole=0
	cg_new app 64M
	OOMSNAP_WATCH=$TEST_OOMSNAP OOMSNAP_FAULT=capture-pages=wait watch_start app \
		--set processes=all
	family 6
	third() { [ "$(compgen -G "$DUMPS/*.partial" | wc -l)" -ge 3 ]; }
	wait_until 20 third
	watch_stop
	family_is_normal
	finished() { ! unfinished; }
	wait_until 20 finished
	for bundle in "$DUMPS"/*Z-*; do
		! core_is_whole "$bundle/core" $((2 << 20)) || whole=$((whole + 1))
		grep -q '"orphaned": *false' "$bundle/report.json"
	done
	[ "$whole" -ge 2 ]
}

# bats test_tags=lane:host
@test "the capturer dies before it has finished any: that is told, and the cores open" {
	cg_new app 64M
	OOMSNAP_WATCH=$TEST_OOMSNAP OOMSNAP_FAULT=capture-sync=kill watch_start app \
		--set processes=all
	family 3
	wait_event capture-failed
	[[ $(event_line capture-failed) == *"3 captures of this incident were left unfinished, as .partial in $DUMPS"* ]]
	wait_event released
	family_is_normal
	local core
	for core in "$DUMPS"/*.partial/core; do
		core_is_whole "$core" $((2 << 20))
	done
	[ "$(event_count captured)" -eq 0 ]
	watch_stop
}

# bats test_tags=lane:host
@test "a disk that fails once all are copied makes each of them partial, in its note too" {
	local i status
	cg_new app 64M
	OOMSNAP_WATCH=$TEST_OOMSNAP OOMSNAP_FAULT=capture-sync=eio watch_start app \
		--set processes=all --set compress=zstd
	family 3
	wait_event capture-partial 3
	for i in 1 2 3; do
		status=0
		"$OOMSNAP" inspect "$(event_field capture-partial CORE "$i")" > /dev/null || status=$?
		[ "$status" -eq 6 ]
	done
	family_is_normal
	watch_stop
}

# bats test_tags=lane:host
@test "one that cannot be captured does not cost the others theirs" {
	cg_new app 64M
	watch_start app --set processes=all
	cg_spawn app sleep 1000
	local traced=$CG_PID
	strace -qq -o /dev/null -p "$traced" 3>&- &
	local tracer=$!
	is_traced() { ! grep -q '^TracerPid:.0$' "/proc/$traced/status"; }
	wait_until 5 is_traced
	family 3
	wait_event captured 3
	[ "$(event_count capture-failed)" -eq 1 ]
	[ "$(event_field capture-failed PID)" = "$traced" ]
	[[ $(event_line capture-failed) == *"traced"* ]]
	[ "$(event_count released)" -eq 1 ]
	family_is_normal
	is_traced
	kill "$tracer"
	wait "$tracer" || true
	wait_until 5 is_running "$traced"
	watch_stop
}

# bats test_tags=lane:host
@test "where ptrace is the hold so are they" {
	cg_new app 64M
	# Whom the tripwire stops is not seized, and a capturer takes it over.
	watch_start app --set processes=all --set hold=ptrace --set tripwire=off
	family 4
	wait_event captured 4
	[ "$(event_field captured PID 1)" = "${PIDS[3]}" ]
	[ "$(event_count capture-failed)" -eq 0 ]
	[ "$(event_count released)" -eq 1 ]
	local i
	for i in 1 2 3 4; do
		core_is_whole "$(event_field captured CORE "$i")" $((2 << 20))
	done
	wait_until 5 family_is_normal
	watch_stop
}
