#!/usr/bin/env bats
# The tripwire alone: tests/tool/tripwire.c loads and arms it as the watchdog does, the leaker
# allocates as fast as it can, and the kernel's own counters say how far it came. No shield and no
# watchdog stand behind it here.
#
# Where the kernel allows no tripwire at all, the first test fails: every lane's kernel does.

load helpers
load tripwire

CACHE=/var/tmp/$CG_PREFIX-cache

teardown() {
	tripwire_teardown
	rm -f "$CACHE"
}

@test "this kernel allows it, and it says at which function" {
	run "$TRIPWIRE" --probe
	echo "# $output" >&3
	[ "$status" -eq 0 ]
	[[ $output == hook=*/*" reclaim=1 processes=1 victims=1 "* ]]
}

@test "a leaker at full speed is stopped at the threshold" {
	cg_new app "$LIMIT"
	trip_start app
	stopped_in_time app --pattern touch
}

@test "so it is at every other function that this kernel allows" {
	local hook hooks=0
	cg_new app "$LIMIT"
	for hook in fexit/page_counter_try_charge fexit/try_charge_memcg tp_btf/mm_page_alloc \
		tp_btf/rss_stat; do
		if ! trip_start app --hook "$hook"; then
			status=0
			wait "$TRIP_PID" || status=$?
			equal 4 "$status"
			continue
		fi
		stopped_in_time app --pattern touch
		equal "$hook" "$(field stopped hook)"
		trip_end
		cg_rm app
		cg_new app "$LIMIT"
		hooks=$((hooks + 1))
	done
	[ "$hooks" -ge 2 ]
}

@test "so are four threads" {
	cg_new app "$LIMIT"
	trip_start app
	stopped_in_time app --pattern threads --threads 4
	equal 1 "$(figure stops)"
}

@test "so is malloc" {
	cg_new app "$LIMIT"
	trip_start app
	stopped_in_time app --pattern malloc
}

@test "so is shared memory" {
	cg_new app "$LIMIT"
	trip_start app
	stopped_in_time app --pattern memfd
}

@test "huge pages come 2 MiB at a time" {
	cg_new app "$LIMIT"
	trip_start app
	EXTRA=$((2 * MIB)) stopped_in_time app --pattern thp
}

@test "each process of a tree is stopped at its own next page" {
	cg_new app "$LIMIT"
	trip_start app
	leak app --pattern fork --threads 4
	wait_until 20 more_events stopped 3
	at_most $((SLACK + 4 * 256 * 1024)) $(($(cg_peak app) - THRESHOLD))
	equal 0 "$(cg_oom_kill app)"
}

@test "a target holds the groups below it" {
	cg_new pod "$LIMIT"
	cg_new pod/app
	trip_start pod
	TARGET=pod stopped_in_time pod/app --pattern touch
	equal "$(stat -c %i "$(cg_path pod)")" "$(field stopped cgroup)"
}

@test "other groups run on" {
	cg_new app "$LIMIT"
	cg_new other "$LIMIT"
	trip_start app
	runs_in other "$LEAKER" --pattern touch --rate max --total 112M --hold no
	equal 0 "$(events stopped)"
	stopped_in_time app --pattern touch
}

@test "without an armed target nothing is stopped, or even attached" {
	cg_new app "$LIMIT"
	trip_start app --unarmed
	runs_in app "$LEAKER" --pattern touch --rate max --total 112M --hold no
	equal 0 "$(attached)"
	trip arm
	[ "$(attached)" -ge 2 ]
	trip disarm
	runs_in app "$LEAKER" --pattern touch --rate max --total 112M --hold no
	trip rest
	equal 0 "$(attached)"
	runs_in app "$LEAKER" --pattern touch --rate max --total 112M --hold no
	equal 0 "$(figure stops)"
}

# How many programs the loader has attached at the moment.
attached() {
	cat "/proc/$TRIP_PID/fdinfo/"* | grep -c '^link_type' || true
}

@test "a process is stopped once, and again when it is forgotten or armed anew" {
	cg_new app 512M
	trip_start app
	leak app --pattern touch --total 120M --hold yes
	wait_until 20 all_stopped "$CG_PID"
	trip forget
	kill -CONT "$CG_PID"
	wait_until 20 more_events stopped 1
	wait_until 5 all_stopped "$CG_PID"
	trip arm
	kill -CONT "$CG_PID"
	wait_until 20 more_events stopped 2
	wait_until 5 all_stopped "$CG_PID"
	kill -CONT "$CG_PID"
	wait_until 20 usage_at_least app $((120 * MIB))
	equal 3 "$(events stopped)"
	equal 3 "$(figure stops)"
}

usage_at_least() {
	[ "$(cg_usage "$1")" -ge "$2" ]
}

@test "PID 1 of a pid namespace is stopped" {
	cg_new app "$LIMIT"
	trip_start app
	cg_spawn app unshare --pid --fork "$LEAKER" --pattern touch --rate max --total 512M --hold no
	wait_until 20 more_events stopped 0
	wait_until 5 all_stopped "$(field stopped tgid)"
	equal 1 "$(awk '$1 == "NSpid:" {print $NF}' "/proc/$(field stopped tgid)/status")"
	at_most "$SLACK" $(($(cg_peak app) - THRESHOLD))
	equal 0 "$(cg_oom_kill app)"
}

@test "what the loader could not continue is not stopped" {
	cg_new app 256M
	TRIP_BY=(unshare --pid --fork --kill-child --mount-proc)
	trip_start app
	runs_in app "$LEAKER" --pattern touch --rate max --total 120M --hold no
	equal 0 "$(figure stops)"
	[ "$(figure unseen)" -gt 0 ]
}

@test "a loader in a pid namespace sees its processes by the numbers there" {
	local pid
	cg_new app "$LIMIT"
	# shellcheck disable=SC2016 # expanded in there
	TRIP_BY=(unshare --pid --fork --kill-child --mount-proc bash -c '"$1" --start-paused \
		--pattern touch --rate max --total 112M --hold no --ready-file "$2" \
		< /dev/null > /dev/null & shift 2; exec "$@"' _ "$LEAKER" "$BATS_TEST_TMPDIR/ready")
	trip_start app
	pid=$(pgrep -P "$(pgrep -P "$TRIP_PID")")
	echo "$pid" > "$(cg_path app)/cgroup.procs"
	wait_until 10 test -s "$BATS_TEST_TMPDIR/ready"
	kill -USR1 "$pid"
	wait_until 20 more_events stopped 0
	wait_until 5 all_stopped "$pid"
	equal "$(awk '$1 == "NSpid:" {print $NF}' "/proc/$pid/status")" "$(field stopped tgid)"
	[ "$(field stopped tgid)" -ne "$pid" ]
	trip undo
	wait_until 20 cg_empty app
	equal 0 "$(cg_oom_kill app)"
}

@test "a loader that is killed leaves no tripwire" {
	cg_new app "$LIMIT"
	trip_start app
	trip_end
	runs_in app "$LEAKER" --pattern touch --rate max --total 112M --hold no
}

@test "not even where a child of it holds the descriptors" {
	local child
	cg_new app "$LIMIT"
	trip_start app --child
	child=$(pgrep -P "$TRIP_PID")
	trip_end
	kill -0 "$child"
	runs_in app "$LEAKER" --pattern touch --rate max --total 112M --hold no
	kill -KILL "$child"
}

@test "a child with nothing but the shared memory undoes it, and ends it" {
	cg_new app 256M
	trip_start app
	leak app --pattern threads --threads 4 --total 120M --hold yes
	wait_until 20 all_stopped "$CG_PID"
	trip undo
	equal "undone 1 left 0" "$(grep ^undone "$TRIP_OUT")"
	wait_until 20 usage_at_least app $((120 * MIB))
	equal 1 "$(events stopped)"
}

@test "it can tell without stopping" {
	cg_new app "$LIMIT"
	trip_start app --tell
	runs_in app "$LEAKER" --pattern touch --rate max --total 112M --hold no
	wait_until 5 more_events reached 0
	equal 1 "$(events reached)"
	equal 0 "$(figure stops)"
}

@test "it tells of a mark below the threshold, once until it is asked anew, and stops nobody for it" {
	cg_new app "$LIMIT"
	trip_start app
	trip "notice $((40 * MIB))"
	runs_in app "$LEAKER" --pattern touch --rate max --total 30M --hold no
	equal 0 "$(events reached)"
	runs_in app "$LEAKER" --pattern touch --rate max --total 60M --hold no
	wait_until 5 more_events reached 0
	runs_in app "$LEAKER" --pattern touch --rate max --total 60M --hold no
	equal 1 "$(events reached)"
	trip "notice $((40 * MIB))"
	leak app --pattern mlockall --rate max --total 60M --hold yes
	wait_until 20 usage_at_least app $((60 * MIB))
	wait_until 5 more_events reached 1
	trip "notice $((400 * MIB))"
	equal 2 "$(events reached)"
	equal 0 "$(figure stops)"
}

# The cache is clean: dirty pages that a reclaim meets become active, and those count. /tmp may be memory,
# whose pages are no cache.
@test "inactive page cache does not count where used memory is asked for" {
	cg_new app "$LIMIT"
	trip_start app --used
	runs_in app dd if=/dev/zero of="$CACHE" bs=1M count=110 conv=fsync status=none
	runs_in app cat "$CACHE"
	usage_at_least app "$THRESHOLD"
	equal 0 "$(events stopped)"
	leak app --pattern touch
	wait_until 20 more_events stopped 0
	wait_until 5 all_stopped "$CG_PID"
	rm "$CACHE"
	# Had the cache counted, nothing else would be there; what of it is active does count.
	usage_at_least app $((THRESHOLD - 16 * MIB))
	equal 0 "$(cg_oom_kill app)"
}

@test "a kill by the OOM killer is told, with the process" {
	cg_new app "$LIMIT"
	trip_start app
	leak app --pattern populate --total 256M
	wait_until 20 more_events victim 0
	wait_until 20 gone "$CG_PID"
	equal "$CG_PID" "$(field victim tgid)"
	equal 1 "$(cg_oom_kill app)"
}

@test "new processes of a target are told" {
	local pid
	cg_new app "$LIMIT"
	trip_start app --processes --unarmed
	cg_spawn app sh -c '"$1" --pattern touch --rate max --total 8M --hold no; true' _ "$LEAKER"
	pid=$CG_PID
	wait_until 20 gone "$pid"
	wait_until 5 more_events forked 0
	wait_until 5 grep -q "^moved tgid=$pid " "$TRIP_OUT"
	wait_until 5 grep -q "^execed tgid=$pid " "$TRIP_OUT"
	wait_until 5 grep -q "^execed tgid=$(field forked tgid) " "$TRIP_OUT"
}

@test "without the right to it says so, and what to do" {
	run setpriv --inh-caps=-all --bounding-set=-all "$TRIPWIRE" --probe
	echo "# $output" >&3
	equal 3 "$status"
	[[ $output == *CAP_BPF*CAP_PERFMON* ]]
}
