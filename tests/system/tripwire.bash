# shellcheck shell=bash
# The tripwire under test: arming it for a group, what it tells, and how far a leaker came. Loaded
# after helpers; a test of one of its own options passes it to trip_start.

TRIPWIRE=$BUILD/tool/tripwire
MIB=$((1 << 20))
LIMIT=$((128 * MIB))
THRESHOLD=$((96 * MIB))
# A CPU charges 64 pages ahead, and may be stopped in the midst of a fault or two.
SLACK=$((MIB * $(nproc)))
# The signal comes by an interrupt, which an emulated processor takes later: 2.8 MiB were seen.
[ "$OOMSNAP_LANE" = host ] || SLACK=$((4 * SLACK))

setup() {
	TRIP_PID=
	TRIP_OUT=$BATS_TEST_TMPDIR/events
	mkfifo "$BATS_TEST_TMPDIR/commands"
}

tripwire_teardown() {
	if [ -n "$TRIP_PID" ]; then
		trip_end
	fi
	cg_rm_all
}

teardown() {
	tripwire_teardown
}

# trip_start NAME [OPTION...]: arms the tripwire for a group, for THRESHOLD unless told otherwise.
trip_start() {
	local dir
	dir=$(cg_path "$1")
	shift
	exec {TRIP_FD}<> "$BATS_TEST_TMPDIR/commands"
	"${TRIP_BY[@]}" "$TRIPWIRE" --cgroup "$dir" --threshold "$THRESHOLD" "$@" \
		< "$BATS_TEST_TMPDIR/commands" > "$TRIP_OUT" 2>&1 3>&- {TRIP_FD}>&- &
	TRIP_PID=$!
	wait_until 60 ready_or_gone
	if ! grep -q '^ready' "$TRIP_OUT"; then
		cat "$TRIP_OUT" >&2
		return 1
	fi
}

ready_or_gone() {
	grep -q '^ready' "$TRIP_OUT" || gone "$TRIP_PID"
}

# trip COMMAND: has it carried out, and answered.
trip() {
	local before
	before=$(events ok)
	echo "$1" >&"$TRIP_FD"
	wait_until 10 more_events ok "$before"
}

trip_end() {
	kill -KILL "$TRIP_PID" 2> /dev/null || true
	wait "$TRIP_PID" 2> /dev/null || true
	TRIP_PID=
}

# events KIND: how many lines begin so.
events() {
	grep -c "^$1" "$TRIP_OUT" || true
}

more_events() {
	[ "$(events "$1")" -gt "$2" ]
}

# field KIND NAME: of the first such line.
field() {
	sed -n "s/^$1 .*\b$2=\([^ ]*\).*/\1/p" "$TRIP_OUT" | head -n 1
}

# figure NAME: of the counters, now.
figure() {
	trip count
	sed -n "s/^count .*\b$1=\([0-9]*\).*/\1/p" "$TRIP_OUT" | tail -n 1
}

equal() {
	if [ "$1" != "$2" ]; then
		echo "expected '$1', found '$2'" >&2
		cat "$TRIP_OUT" >&2
		return 1
	fi
}

at_most() {
	if [ "$2" -gt "$1" ]; then
		echo "$2 is more than $1" >&2
		cat "$TRIP_OUT" >&2
		return 1
	fi
}

# Every thread of the process is in state T.
all_stopped() {
	local states
	states=$(awk '$1 == "State:" {print $2}' "/proc/$1/task/"*/status | sort -u)
	[ "$states" = T ]
}

gone() {
	[ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"
}

# runs_in NAME COMMAND...: in the group it ends by itself, with success; nobody stops it.
runs_in() {
	local name=$1
	shift
	run cg_run "$name" timeout -s KILL 60 "$@"
	equal 0 "$status"
}

leak() {
	local name=$1
	shift
	cg_spawn "$name" "$LEAKER" --rate max --total 512M --hold no "$@"
}

# stopped_in_time NAME PATTERN...: it is, as far beyond the threshold as EXTRA allows. The target is
# the group itself, or TARGET.
stopped_in_time() {
	local name=$1 over
	shift
	leak "$name" "$@"
	wait_until 20 more_events stopped 0
	wait_until 5 all_stopped "$CG_PID"
	over=$(($(cg_peak "${TARGET:-$name}") - THRESHOLD))
	echo "# $* ($(field stopped hook)): $((over / 1024)) KiB beyond the threshold," \
		"told after $(field stopped late_us) us" >&3
	at_most $((SLACK + ${EXTRA:-0})) "$over"
	equal 0 "$(cg_oom_kill "$name")"
	equal "$CG_PID" "$(field stopped tgid)"
	[ -d "/proc/$CG_PID/task/$(field stopped pid)" ]
	equal "$(awk '{print $22}' "/proc/$CG_PID/stat")" "$(field stopped start)"
	[ "$(field stopped usage)" -ge "$THRESHOLD" ]
}
