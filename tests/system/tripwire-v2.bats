#!/usr/bin/env bats
# bats file_tags=lane:vm
# What the tripwire does with cgroup v2 alone: memory.high as its brake, oom_score_adj as the shield
# behind it. The rest of it is tripwire.bats, which runs on any tree; its core is here once more.

load helpers
load tripwire

@test "this kernel allows it and everything beside it" {
	need_lane vm
	run "$TRIPWIRE" --probe
	echo "# $output" >&3
	[ "$status" -eq 0 ]
	[[ $output == *" oom=1 reclaim=1 processes=1 victims=1 "* ]]
}

# links: the loader's attached programs, by the kernel's numbers.
links() {
	sed -n 's/^link_id:[[:space:]]*//p' "/proc/$TRIP_PID/fdinfo/"* | sort
}

@test "what the kernel patches its functions for stays, so that arming waits for nothing" {
	local before
	need_lane vm
	cg_new app "$LIMIT"
	trip_start app --oom --unarmed
	before=$(links)
	equal 2 "$(wc -w <<< "$before")"
	trip arm
	[ "$(wc -w <<< "$(links)")" -gt 2 ]
	trip disarm
	trip rest
	[ "$(links)" = "$before" ]
}

@test "with a v2 group, a leaker at full speed is stopped at the threshold" {
	need_lane vm
	cg_new app "$LIMIT"
	trip_start app
	stopped_in_time app --pattern touch
}

@test "under a brake the first reclaim stops it" {
	need_lane vm
	cg_new app "$LIMIT"
	echo "$THRESHOLD" > "$(cg_path app)/memory.high"
	trip_start app --reclaim
	stopped_in_time app --pattern touch
}

@test "with every process shielded, the OOM killer's beginning stops it" {
	need_lane vm
	cg_new app "$LIMIT"
	trip_start app --oom
	cg_spawn app choom -n -1000 -- "$LEAKER" --pattern populate --rate max --total 256M --hold yes
	wait_until 20 more_events stopped 0
	wait_until 20 all_stopped "$CG_PID"
	equal 0 "$(cg_oom_kill app)"
	equal fentry/mem_cgroup_out_of_memory "$(field stopped hook)"
}
