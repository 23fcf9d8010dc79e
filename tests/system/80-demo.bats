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

# bats test_tags=lane:host
@test "the demo tells its story on a managed runtime" {
	[ -e /usr/share/gdb/auto-load/usr/bin/python3.11-gdb.py ] || skip "no gdb helpers (python3-dbg)"
	run "$TOP/tests/demo" --runtime python
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"exit code 137: killed by the kernel"* ]]
	[[ $output =~ leaked:\ [0-9]+\ objects\ of\ type\ LeakedChunk\ in\ the\ core ]]
	[[ ${lines[-1]} =~ ^demo:\ ok\ core=(/[^ ]+)\ .*\ oom_kill=0$ ]]
	rm -rf "$(dirname "${BASH_REMATCH[1]}")"
}

# bats test_tags=lane:host
@test "without the runtime the demo names the package" {
	find /usr/bin -maxdepth 1 -not -type d -exec ln -s -t "$BATS_TEST_TMPDIR" {} +
	rm -f "$BATS_TEST_TMPDIR/node"
	PATH=$BATS_TEST_TMPDIR run "$TOP/tests/demo" --runtime node
	echo "$output"
	[ "$status" -eq 1 ]
	[[ $output == *"for node this package is missing: nodejs"* ]]
}
