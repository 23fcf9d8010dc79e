#!/usr/bin/env bats
# The third promise: between trip and release we take nothing: no allocation, no fork, no exec. And
# the memory that we hold is there, locked, before.

load helpers
load watch

@test "from trip to release nothing is allocated, forked or exec'd" {
	local points=/var/tmp/$CG_PREFIX-points
	cg_new app 64M
	: > "$points"
	LD_PRELOAD=$BUILD/preload/calm.so OOMSNAP_FAULT_FILE=$points \
		OOMSNAP_FAULT=trip=mark,capture-start=mark,capture-sync=mark,released=mark \
		OOMSNAP_WATCH=$TEST_OOMSNAP watch_start app --set cooldown=1ms
	cg_spawn app "$LEAKER" --pattern threads --threads 2 --rate 200 --total 60M
	wait_event captured 2
	watch_stop
	tail -20 "$points"
	# Both windows were open and closed at least twice, and nothing was counted in them.
	[ "$(grep -c '^calm [0-9]* watchdog ' "$points")" -ge 2 ]
	[ "$(grep -c '^calm [0-9]* capturer ' "$points")" -ge 2 ]
	! grep -v 'allocations 0 mappings 0 forks 0 execs 0$' <(grep '^calm ' "$points") || return 1
	rm -f "$points"
}

# memory_of PID...: the least address space and locked memory of each within a second, in kB. Between
# captures a finished core is mapped for a moment, for what the report says about it.
memory_of() {
	local pid i
	for pid; do
		for i in {1..40}; do
			awk '$1 == "VmSize:" || $1 == "VmLck:" {printf "%s %s ", $1, $2}' "/proc/$pid/status"
			echo
			sleep 0.025
		done | sort -k 2,2n -k 4,4n | head -n 1
	done
}

@test "our memory is locked, and does not grow from one capture to the next" {
	local pid before after
	cg_new app 64M
	watch_start app --set cooldown=1ms --set compress=zstd
	cg_spawn app "$LEAKER" --pattern touch --rate 200 --total 60M
	# The first ones warm up what finishes a bundle after its release, which may allocate.
	wait_event captured 3 60
	for pid in "$WATCH_PID" $(pgrep -P "$WATCH_PID"); do
		[ "$(awk '$1 == "VmLck:" {print $2}' "/proc/$pid/status")" -gt 0 ]
	done
	pid=$(children_named "$WATCH_PID" oomsnap-capture)
	# The address space: older kernels count resident pages thread by thread, and lazily.
	before=$(memory_of "$WATCH_PID" "$pid")
	wait_event captured 8 90
	after=$(memory_of "$WATCH_PID" "$pid")
	echo "before $before after $after"
	[ "$before" = "$after" ]
	watch_stop
}
