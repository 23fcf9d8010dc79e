# shellcheck shell=bash
# oomsnap watch under test: starting it on a group, its events, its captures. Loaded after helpers.
#
# Events are read as the JSON lines that it writes to stderr, in all lanes. Dumps go to a directory
# on a disk (not /tmp, which may be memory), removed by watch_teardown.

DUMPS=/var/tmp/$CG_PREFIX-dumps
RUNTIME=/var/tmp/$CG_PREFIX-run
EVENTS=/var/tmp/$CG_PREFIX-events
TEST_OOMSNAP=${TEST_OOMSNAP:-$BUILD/test/oomsnap} # with fault points
CORECHECK=$BUILD/tool/corecheck
# Loading the programs takes 5 s where the verifier is emulated: there, only where it is the subject.
WATCH_TRIPWIRE=on
[ "$OOMSNAP_LANE" = host ] || WATCH_TRIPWIRE=off
WATCH_PID=

# watch_start NAME [OPTION...]: watches that group; WATCH_PID is its id. Returns once the target is
# found. OOMSNAP_WATCH names another binary.
watch_start() {
	local name=$1
	shift
	: > "$EVENTS"
	# In its own file from the start: a failing test shows it.
	"${OOMSNAP_WATCH:-$OOMSNAP}" watch --json --runtime-dir "$RUNTIME" --set directory="$DUMPS" \
		--cgroup "$(cg_path "$name")" --set tripwire="$WATCH_TRIPWIRE" "$@" < /dev/null 2> "$EVENTS" 3>&- &
	WATCH_PID=$!
	wait_until 30 found_or_gone
	wait_event guarantee 1 0
}

found_or_gone() {
	event_reached guarantee 1 || is_gone "$WATCH_PID"
}

# watch_stop: SIGTERM, and its exit status.
watch_stop() {
	local status=0
	kill -TERM "$WATCH_PID"
	wait "$WATCH_PID" || status=$?
	WATCH_PID=
	return "$status"
}

# event_count EVENT: how many there were.
event_count() {
	grep -c "\"OOMSNAP_EVENT\":\"$1\"" "$EVENTS" || true
}

event_reached() {
	[ "$(event_count "$1")" -ge "$2" ]
}

# wait_event EVENT [COUNT [SECONDS]]
wait_event() {
	if ! wait_until "${3:-20}" event_reached "$1" "${2:-1}"; then
		tail -5 "$EVENTS" >&2
		return 1
	fi
}

# event_line EVENT [N]: the N-th such event (the last without N).
event_line() {
	grep "\"OOMSNAP_EVENT\":\"$1\"" "$EVENTS" | if [ -n "${2:-}" ]; then
		sed -n "${2}p"
	else
		tail -1
	fi
}

# event_field EVENT FIELD [N]: a field without OOMSNAP_, or MESSAGE.
event_field() {
	event_line "$1" "${3:-}" | sed -n "s/.*\"\(OOMSNAP_\)\{0,1\}$2\":\"\{0,1\}\([^\",}]*\).*/\2/p"
}

# state PID: the letter of its state; nothing when it is gone.
state() {
	awk '$1 == "State:" {print $2}' "/proc/$1/status" 2> /dev/null
}

is_running() {
	[[ $(state "$1") == [RSD] ]]
}

is_stopped() {
	[[ $(state "$1") == [Tt] ]]
}

is_gone() {
	[ ! -e "/proc/$1" ] || [ "$(state "$1")" = Z ]
}

# A target as it was before us: runs, no shield, the limit that it had.
is_normal() {
	local name=$1 pid=$2 limit=$3
	is_running "$pid" && [ "$(cg_limit "$name")" = "$limit" ] && is_unshielded "$name" "$pid" &&
		is_thawed "$name"
}

is_unshielded() {
	if [ "$CG_VERSION" -eq 1 ]; then
		grep -q '^oom_kill_disable 0' "$(cg_path "$1")/memory.oom_control"
	else
		[ "$(cat "/proc/$2/oom_score_adj")" -ne -1000 ]
	fi
}

is_thawed() {
	[ "$CG_VERSION" -eq 1 ] || grep -q '^frozen 0' "$(cg_path "$1")/cgroup.events"
}

is_shielded() {
	! is_unshielded "$1" "$2"
}

# children_named PID NAME: processes of that name below a watchdog. They take it once they run.
children_named() {
	wait_until 10 pgrep -P "$1" -x "$2" > /dev/null
	pgrep -P "$1" -x "$2"
}

# core_is_whole CORE MIN_BYTES: the leaker's memory in it, byte for byte.
core_is_whole() {
	"$CORECHECK" "$1" --min-filled "$2"
}

# files_fail NAME CALL FILE...: from now on each such system call of the watchdog fails on these files.
files_fail() {
	local call=$2 file paths=()
	for file in "${@:3}"; do paths+=(-P "$(cg_path "$1")/$file"); done
	strace -qq -o /dev/null -e trace="$call" "${paths[@]}" -e inject="$call":error=EIO \
		-p "$WATCH_PID" 3>&- &
	FAILS=$!
	wait_until 5 grep -q "^TracerPid:.$FAILS$" "/proc/$WATCH_PID/status"
}

files_work() {
	kill "$FAILS"
	wait "$FAILS" || true
}

# go_on EVENT COUNT: capturers that a fault point has stopped go on; whether there are so many events. One
# point may be passed at the core and again at its bundle: to be called until it is so.
go_on() {
	pkill -CONT -P "$WATCH_PID" -x oomsnap-capture
	event_reached "$1" "$2"
}

none_of_ours() {
	! pgrep -f -- "--runtime-dir $RUNTIME" > /dev/null
}

watch_teardown() {
	if [ -n "$WATCH_PID" ]; then
		kill -KILL "$WATCH_PID" 2> /dev/null || true
		wait "$WATCH_PID" 2> /dev/null || true
	fi
	if [ -z "${BATS_TEST_COMPLETED:-}" ] && [ -f "$EVENTS" ]; then
		echo "events:" >&2
		tail -20 "$EVENTS" >&2
	fi
	cg_rm_all
	# A capturer that outlives its watchdog finishes its bundle: not into the next test's directory.
	if ! wait_until 20 none_of_ours; then
		pkill -KILL -f -- "--runtime-dir $RUNTIME" || true
	fi
	rm -rf "$DUMPS" "$RUNTIME" "$EVENTS"
}

teardown() {
	watch_teardown
}
