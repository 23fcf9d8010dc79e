#!/usr/bin/env bats
# make demo's script on this lane's machine: with and without systemd, on cgroup v1 and v2.

load helpers

@test "the demo tells its story" {
	command -v curl > /dev/null || skip "no curl"
	command -v gdb > /dev/null || skip "no gdb"
	run "$TOP/tests/demo"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ ${lines[-1]} =~ ^demo:\ ok\ core=(/[^ ]+)\ .*\ oom_kill=0$ ]]
	[ -s "${BASH_REMATCH[1]}" ]
	[ -s "$(dirname "${BASH_REMATCH[1]}")/report.json" ]
	rm -rf "$(dirname "${BASH_REMATCH[1]}")"
}
