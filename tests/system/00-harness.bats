#!/usr/bin/env bats
# The ground the other scenarios stand on: that helpers.bash makes real groups whose limits the
# kernel enforces, that counters move, that removal always works, and that the machine is what its
# lane's name says.

load helpers

# Fails with both values when they differ.
equal() {
	if [ "$1" != "$2" ]; then
		echo "expected '$1', found '$2'" >&2
		return 1
	fi
}

usage_above() {
	[ "$(cg_usage "$1")" -gt "$2" ]
}

state_is() {
	[[ $(awk '$1 == "State:" {print $2}' "/proc/$1/status") == [$2] ]]
}

@test "a group has the limit it was given" {
	cg_new app 64M
	equal $((64 << 20)) "$(cg_limit app)"
	cg_limit app max
	equal max "$(cg_limit app)"
	equal 0 "$(cg_oom_kill app)"
	cg_empty app
}

@test "a process over the limit is killed, and counted" {
	cg_new app 48M
	run cg_run app "$LEAKER" --pattern touch --rate max --total 256M --hold no
	equal 137 "$status"
	equal 1 "$(cg_oom_kill app)"
	[ "$(cg_peak app)" -gt $((40 << 20)) ]
	[ "$(cg_peak app)" -le $((48 << 20)) ]
	wait_until 20 cg_empty app
}

@test "a process within the limit is left alone" {
	cg_new app 96M
	run cg_run app "$LEAKER" --pattern touch --rate max --total 32M --hold no
	equal 0 "$status"
	equal 0 "$(cg_oom_kill app)"
	[ "$(cg_peak app)" -gt $((32 << 20)) ]
}

@test "usage follows a process that holds its memory" {
	cg_new app 96M
	cg_spawn app "$LEAKER" --pattern touch --rate max --total 32M --hold yes
	equal "$CG_PID" "$(cg_procs app)"
	wait_until 20 usage_above app $((32 << 20))
	kill -0 "$CG_PID"
	cg_rm app
	[ ! -e "$(cg_path app)" ]
	[ ! -e "/proc/$CG_PID" ] || state_is "$CG_PID" Z
}

@test "the limit of a parent holds for its child" {
	cg_new pod 48M
	cg_new pod/app 512M
	run cg_run pod/app "$LEAKER" --pattern touch --rate max --total 256M --hold no
	equal 137 "$status"
	equal 1 "$(cg_oom_kill pod/app)"
}

@test "removal ends stopped and frozen processes" {
	cg_new app 96M
	cg_spawn app "$LEAKER" --pattern touch --rate max --total 8M --hold yes
	kill -STOP "$CG_PID"
	wait_until 20 state_is "$CG_PID" T
	if [ "$CG_VERSION" -eq 2 ]; then
		echo 1 > "$(cg_path app)/cgroup.freeze"
		wait_until 20 grep -q 'frozen 1' "$(cg_path app)/cgroup.events"
	else
		echo FROZEN > "$(cg_freezer_path app)/freezer.state"
		wait_until 20 grep -q FROZEN "$(cg_freezer_path app)/freezer.state"
	fi
	cg_rm app
	[ ! -e "$(cg_path app)" ]
}

@test "waiting ends at its deadline" {
	local before=$SECONDS
	PATIENCE=1 run wait_until 1 false
	equal 1 "$status"
	[ $((SECONDS - before)) -le 30 ]
}

@test "the tree is of the version that the helpers found" {
	local type=cgroupfs
	[ "$CG_VERSION" -eq 1 ] || type=cgroup2fs
	equal "$type" "$(stat -f -c %T "$CG_ROOT")"
}

# bats test_tags=lane:vm
@test "the machine has a pure v2 tree, pressure files, BTF, bpffs and modules" {
	need_lane vm
	equal 2 "$CG_VERSION"
	equal cgroup2fs "$(stat -f -c %T /sys/fs/cgroup)"
	equal bpf_fs "$(stat -f -c %T /sys/fs/bpf)"
	[ -r /proc/pressure/memory ]
	[ -r /sys/kernel/btf/vmlinux ]
	modprobe -n overlay
}

# bats test_tags=lane:vm
@test "what a scenario leaves in the machine's /out comes back" {
	need_lane vm
	echo "$OOMSNAP_LANE" > "$OOMSNAP_OUT/harness"
}

# bats test_tags=lane:systemd
@test "systemd: the system is up, and its journal answers" {
	need_lane systemd
	run systemctl is-system-running --wait
	equal running "$output"
	run systemctl --failed --plain --no-legend
	equal "" "$output"
	busctl --system call org.freedesktop.systemd1 /org/freedesktop/systemd1 \
		org.freedesktop.DBus.Peer Ping
	logger --tag harness "written by the harness"
	journalctl --sync
	run journalctl --quiet --output=cat --identifier=harness
	equal "written by the harness" "$output"
	run coredumpctl --no-pager list
	equal "No coredumps found." "$output"
}

# bats test_tags=lane:systemd
@test "systemd: MemoryMax of a unit is enforced" {
	need_lane systemd
	run systemd-run --wait --quiet --unit=harness-leak -p MemoryMax=32M \
		"$LEAKER" --pattern touch --rate max --total 128M --hold no
	[ "$status" -ne 0 ]
	equal oom-kill "$(systemctl show --property=Result --value harness-leak)"
	systemctl reset-failed harness-leak
}
