#!/usr/bin/env bats
# oomsnap as systemd's service, from deploy/systemd and in its sandbox, beside a unit that leaks:
# notification, reload, stop, hang; journal, catalog and coredumpctl; a target that restarts.
#
# The unit under test is installed under /etc with this lane's path of the program; test drop-ins
# live in /run and go with the test. Events are followed in the journal, into the file that
# watch.bash reads.

load helpers
load watch

INI=/etc/oomsnap/oomsnap.ini
DROPINS=/run/systemd/system/oomsnap.service.d
STATE=/var/lib/oomsnap
FOLLOWER=

setup_file() {
	[ "$OOMSNAP_LANE" = vm-systemd ] || return 0
	mkdir -p /etc/oomsnap
	sed "s|@bindir@|$BUILD|" "$TOP/deploy/systemd/oomsnap.service" \
		> /etc/systemd/system/oomsnap.service
	cp "$TOP/conf/oomsnap.catalog" /usr/lib/systemd/catalog/
	journalctl --update-catalog
}

setup() {
	need_lane systemd
	local cursor
	cursor=$(journalctl -q -n 1 -o cat --show-cursor | sed -n 's/^-- cursor: //p')
	journalctl -q -f --no-tail --after-cursor "$cursor" -o json -t oomsnap > "$EVENTS" 3>&- &
	FOLLOWER=$!
}

teardown() {
	[ "$OOMSNAP_LANE" = vm-systemd ] || return 0
	rm -rf "$DROPINS"
	systemctl stop leak.service oomsnap.service
	systemctl reset-failed leak.service oomsnap.service 2> /dev/null || true
	kill "$FOLLOWER"
	if [ -z "${BATS_TEST_COMPLETED:-}" ]; then
		grep -o '"MESSAGE":"[^"]*"' "$EVENTS" | tail -20 >&2
		systemctl status --no-pager -n 5 oomsnap.service >&2 || true
	fi
	rm -rf "$STATE" "$EVENTS"
}

# leak_start OPTION...: the unit that leaks, with those of the leaker's options.
leak_start() {
	cat > /run/systemd/system/leak.service <<-EOF
		[Unit]
		StartLimitIntervalSec=0
		[Service]
		ExecStart=$LEAKER --pattern touch $*
		MemoryMax=64M
		MemorySwapMax=0
		Restart=on-failure
		RestartSec=100ms
	EOF
	systemctl daemon-reload
	systemctl start leak.service
}

# watch_unit LINE...: writes the configuration: the leaking unit, and those lines.
watch_unit() {
	# Loading the tripwire takes 5 s where the verifier is emulated.
	printf '%s\n' '[target leak]' 'unit = leak.service' "$@" 'tripwire = off' > "$INI"
}

# drop_in NAME LINE...: a drop-in of the service under test.
drop_in() {
	local name=$1
	shift
	mkdir -p "$DROPINS"
	printf '%s\n' '[Service]' "$@" > "$DROPINS/$name.conf"
	systemctl daemon-reload
}

# Makes the service run the build with fault points, with that fault.
with_fault() {
	drop_in fault ExecStart= "ExecStart=$TEST_OOMSNAP watch" "Environment=OOMSNAP_FAULT=$1"
}

property() {
	systemctl show --property="$2" --value "$1"
}

leak_pid() {
	property leak.service MainPID
}

# The leaking process as it was before us: runs, untraced, unshielded, thawed.
is_free() {
	local dir=/sys/fs/cgroup/system.slice/leak.service
	is_running "$1" && grep -q '^TracerPid:.0$' "/proc/$1/status" &&
		[ "$(cat "/proc/$1/oom_score_adj")" -eq 0 ] && [ "$(cat $dir/cgroup.freeze)" -eq 0 ] &&
		[ "$(cat $dir/memory.max)" -eq $((64 << 20)) ]
}

# has_fields EVENT FIELD...: in the last such event, filled.
has_fields() {
	local event=$1 line field
	line=$(event_line "$event")
	shift
	for field in MESSAGE MESSAGE_ID PRIORITY SYSLOG_IDENTIFIER "${@/#/OOMSNAP_}"; do
		if [[ $line != *"\"$field\":\""?* ]]; then
			echo "$event has no $field: $line" >&2
			return 1
		fi
	done
}

# bats test_tags=lane:systemd
@test "the service captures a unit that leaks, again after each of its restarts" {
	local i core
	watch_unit 'verdict = kill' 'cooldown = 1ms' 'keep = 0'
	systemctl start oomsnap.service
	wait_event started
	[ "$(property oomsnap.service StatusText)" = "watching 1 targets" ]
	leak_start --rate 10
	for i in 1 2; do
		wait_event captured $i 60
		core=$(event_field captured CORE $i)
		[[ $core == "$STATE"/leak-*/core ]]
		core_is_whole "$core" $((40 << 20))
	done
	[ "$(event_field captured PID 1)" -ne "$(event_field captured PID 2)" ]
	wait_event target-found 2
	[ "$(event_field guarantee GUARANTEE 1)" = guaranteed ]
	# A busy machine's systemd may be late to say where the unit is (ETIMEDOUT), and its disk to have a core.
	! grep '"OOMSNAP_EVENT":"degraded"' "$EVENTS" |
		grep -v -e '"OOMSNAP_ERRNO":"110"' -e 'still at the last core' || return 1
	[ "$(event_count error)" -eq 0 ]
	[ "$(event_count lost)" -eq 0 ]
	[ "$(stat -c %a "$STATE")" = 700 ]
	systemctl stop leak.service
	wait_event target-gone
	systemctl stop oomsnap.service
	[ "$(property oomsnap.service Result)" = success ]
}

# bats test_tags=lane:systemd
@test "the journal has the fields, the catalog explains, coredumpctl finds and opens the core" {
	local pid field
	watch_unit 'trip = 60%' 'arm = 50%'
	systemctl start oomsnap.service
	leak_start --rate 20 --total 44M
	wait_event captured 1 60
	systemctl stop leak.service
	wait_event target-gone
	systemctl stop oomsnap.service
	wait_event stopping
	pid=$(event_field captured PID)
	has_fields started EVENT VERSION TARGETS CONFIG_FILE
	has_fields target-found EVENT TARGET UNIT CGROUP PRESSURE
	[ "$(event_field target-found PRESSURE)" = target ]
	has_fields guarantee EVENT TARGET UNIT CGROUP GUARANTEE LIMIT_BYTES ARM_BYTES TRIP_BYTES
	has_fields armed EVENT TARGET UNIT CGROUP LIMIT_BYTES USED_BYTES RATE_BYTES_S ARM_BYTES \
		TRIP_BYTES SHIELD
	has_fields tripped EVENT TARGET UNIT CGROUP INCIDENT REASON GUARANTEE TRIP_BYTES LIMIT_BYTES \
		HEADROOM_TRIP_BYTES USED_BYTES RATE_BYTES_S SHIELD
	has_fields held EVENT TARGET UNIT CGROUP INCIDENT HOLD HOLD_DELAY_NS HEADROOM_HOLD_BYTES
	has_fields released EVENT TARGET UNIT CGROUP INCIDENT VERDICT HELD_NS HEADROOM_TRIP_BYTES \
		HEADROOM_HOLD_BYTES HEADROOM_END_BYTES OOM_EVENTS OOM_KILLS
	has_fields captured EVENT TARGET UNIT CGROUP INCIDENT PID COMM GUARANTEE REASON PATH CORE \
		CORE_BYTES FILE_BYTES MEMORY_BYTES SKIPPED_BYTES THREADS HEADROOM_TRIP_BYTES \
		HEADROOM_HOLD_BYTES HEADROOM_END_BYTES LIMIT_BYTES HELD_NS DURABLE_NS OOM_KILLS
	has_fields target-gone EVENT TARGET UNIT CGROUP
	has_fields stopping EVENT NUMBER
	# What occurs is documented, too.
	while read -r field; do
		grep -q "^\.It Li $field\$" "$TOP/deploy/man/oomsnap.8" || {
			echo "$field is not in oomsnap(8)" >&2
			return 1
		}
	done < <(grep -o 'OOMSNAP_[A-Z_]*":' "$EVENTS" | tr -d '":' | sort -u)

	journalctl -q --no-pager -x -t oomsnap -u oomsnap.service -n 30 > "$BATS_TEST_TMPDIR/explained"
	grep -q 'Subject: leak was captured, complete' "$BATS_TEST_TMPDIR/explained"
	grep -q "The core of process $pid (leaker) is safe on disk" "$BATS_TEST_TMPDIR/explained"

	coredumpctl --no-pager info "$pid" > "$BATS_TEST_TMPDIR/info"
	cat "$BATS_TEST_TMPDIR/info"
	grep -q "PID: $pid (leaker)" "$BATS_TEST_TMPDIR/info"
	grep -q 'Unit: leak.service' "$BATS_TEST_TMPDIR/info"
	grep -q "Storage: $STATE/leak-.*/core (present)" "$BATS_TEST_TMPDIR/info"
	coredumpctl --debugger-arguments='-batch -ex bt' gdb "$pid" > "$BATS_TEST_TMPDIR/gdb" 2>&1
	grep -q '^#0 ' "$BATS_TEST_TMPDIR/gdb"
	grep -q ' main (' "$BATS_TEST_TMPDIR/gdb"
}

# bats test_tags=lane:systemd
@test "reload takes a good file; a bad one is rejected with file and line, the old one stays" {
	watch_unit 'trip = 60%' 'arm = 50%'
	systemctl start oomsnap.service
	leak_start --rate 20 --total 16M
	wait_event guarantee
	watch_unit 'trip = often'
	systemctl reload oomsnap.service
	wait_event config-rejected
	[[ $(event_line config-rejected) == *"$INI:3: "* ]]
	[ "$(event_count target-gone)" -eq 0 ]
	[ "$(event_count guarantee)" -eq 1 ]
	watch_unit 'trip = 20%' 'arm = 10%'
	systemctl reload oomsnap.service
	wait_event config-reloaded
	wait_event captured 1 60
	[ "$(property oomsnap.service ActiveState)" = active ]
	[ "$(property oomsnap.service NRestarts)" -eq 0 ]
	# With the same bad file a start fails once, and is not tried again.
	watch_unit 'trip = often'
	run systemctl restart oomsnap.service
	[ "$status" -ne 0 ]
	[ "$(property oomsnap.service Result)" = exit-code ]
	[ "$(property oomsnap.service NRestarts)" -eq 0 ]
}

# bats test_tags=lane:systemd
@test "stop in the middle of a capture lets the target go" {
	local pid
	watch_unit 'trip = 60%' 'arm = 50%'
	with_fault capture-pages=stop
	systemctl start oomsnap.service
	leak_start --rate 20 --total 44M
	pid=$(leak_pid)
	wait_event held 1 60
	is_shielded_unit "$pid"
	systemctl stop oomsnap.service
	[ "$(property oomsnap.service Result)" = success ]
	is_free "$pid"
	wait_event capture-failed
	wait_event stopping
	[ "$(event_field stopping NUMBER)" -eq 0 ]
	wait_until 10 eval '[ -z "$(pgrep -x "oomsnap.*")" ]'
	[ "$(leak_pid)" = "$pid" ]
}

is_shielded_unit() {
	[ "$(cat "/proc/$1/oom_score_adj")" -eq -1000 ]
}

goes_on_to_its_end() {
	kill -CONT "$1" 2> /dev/null
	is_gone "$1"
}

# bats test_tags=lane:systemd
@test "stop while a core is being made durable does not lose it" {
	local capturer
	watch_unit 'trip = 60%' 'arm = 50%'
	with_fault capture-sync=stop
	systemctl start oomsnap.service
	leak_start --rate 20 --total 44M
	wait_event released 1 60
	capturer=$(pgrep -x 'oomsnap-capt.*')
	wait_until 20 is_stopped "$capturer"
	systemctl stop oomsnap.service
	is_free "$(leak_pid)"
	# That point is passed twice: before the core is synced, and before it gets its name.
	wait_until 20 goes_on_to_its_end "$capturer"
	core_is_whole "$(echo "$STATE"/leak-*[0-9]/core)" $((24 << 20))
}

# hang PROPERTY...: holds the target, stops the watchdog with SIGSTOP, and expects it to be killed
# by whoever is first, the target to be free, and the next start to capture it.
hang() {
	local pid main
	watch_unit 'trip = 60%' 'arm = 50%'
	[ $# -eq 0 ] || drop_in hang "$@"
	with_fault capture-pages=stop
	systemctl start oomsnap.service
	leak_start --rate 20 --total 44M
	pid=$(leak_pid)
	wait_event held 1 60
	main=$(property oomsnap.service MainPID)
	# The next start is to run without the fault.
	rm "$DROPINS/fault.conf"
	systemctl daemon-reload
	kill -STOP "$main"
	wait_event recovered 1 30
	wait_event started 2 30
	wait_event captured 1 60
	core_is_whole "$(event_field captured CORE)" $((24 << 20))
	wait_until 20 is_free "$pid"
	[ "$(leak_pid)" = "$pid" ]
	[ "$(property oomsnap.service NRestarts)" -eq 1 ]
	[ "$(property oomsnap.service MainPID)" -ne "$main" ]
}

# bats test_tags=lane:systemd
@test "a watchdog that hangs is killed by systemd and started again, the target free meanwhile" {
	hang WatchdogSec=3s
	journalctl --sync
	journalctl -q --no-pager -u oomsnap.service -n 100 -o cat > "$BATS_TEST_TMPDIR/log"
	grep -q 'Watchdog timeout (limit 3s)' "$BATS_TEST_TMPDIR/log"
}

# bats test_tags=lane:systemd
@test "a watchdog that hangs is killed by its guardian where systemd is slower" {
	hang WatchdogSec=60s
}

# bats test_tags=lane:systemd
@test "the sandbox is as tight as its README says" {
	systemctl daemon-reload
	systemd-analyze security --no-pager --threshold=24 oomsnap.service > "$BATS_TEST_TMPDIR/score" || {
		tail -1 "$BATS_TEST_TMPDIR/score"
		return 1
	}
	tail -1 "$BATS_TEST_TMPDIR/score" | tee "$OOMSNAP_OUT/security"
}
