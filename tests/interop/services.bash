# shellcheck shell=bash
# The leaking services of tests/interop/services under oomsnap: start, leak, capture, compare. Loaded
# after ../system/helpers and ../system/watch.
#
# A service runs in a group of its own under a real limit; CAPTURE is then the bundle, SERVICE_PID
# the process. What is checked in every runtime's file the same way stands here.

SERVICES=$TOP/tests/interop/services

# Limits in MiB that the tests go through: one in CI, more with RUNTIMES=all (make test-runtimes), or
# those of RUNTIME_LIMITS.
runtime_limits() {
	if [ "${RUNTIMES:-}" = all ]; then
		echo "${RUNTIME_LIMITS:-128 512 2048}"
	else
		echo "${1:-128}"
	fi
}

listens() {
	grep -q 'listening on' "$SERVICE_LOG"
}

# service_start NAME LIMIT_MIB COMMAND...
service_start() {
	local name=$1 limit=$2
	shift 2
	SERVICE_LOG=$BATS_TEST_TMPDIR/service.log
	cg_new "$name" "${limit}M"
	cg_spawn "$name" "$@" > "$SERVICE_LOG" 2>&1
	SERVICE_PID=$CG_PID
	wait_until 30 listens || {
		tail -5 "$SERVICE_LOG" >&2
		return 1
	}
	SERVICE_URL=http://$(sed -n 's/.*listening on //p' "$SERVICE_LOG" | head -1)
}

get() {
	curl -fsS --max-time 100 "$SERVICE_URL$1"
}

# service_capture NAME KIND RATE [OPTION...]: leaks under oomsnap until it is captured; stops the leak
# as soon as the service is let go. CAPTURE: the bundle.
service_capture() {
	local name=$1 kind=$2 rate=$3
	shift 3
	watch_start "$name" --set cooldown=60s "$@"
	wait_event runtime-found
	get "/triggerMemoryLeak?kind=$kind&rate=$rate"
	wait_event tripped 1 180 # 2 GiB at 30 MB/s
	get "/stop?free=1"
	wait_event captured 1 60
	CAPTURE=$(dirname "$(event_field captured CORE)")
	[ "${RUNTIMES:-}" != all ] || note_point "$name" "$kind"
}

# One line a capture in BUILD/log/runtimes: name and kind, then in MiB the limit, the runtime's heap
# limit (-: none), used at the trip, headroom at the end; the pause in ms; what the kernel killed.
note_point() {
	local heap
	mkdir -p "$BUILD/log"
	heap=$(event_field runtime-found HEAP_BYTES)
	printf '%s %s %d %s %d %d %d %d\n' "$1" "$2" $(($(cg_limit "$1") >> 20)) \
		"$([ -z "$heap" ] && echo - || echo $((heap >> 20)))" \
		$(($(event_field tripped USED_BYTES) >> 20)) \
		$(($(event_field released HEADROOM_END_BYTES) >> 20)) \
		$(($(event_field released HELD_NS) / 1000000)) "$(cg_oom_kill "$1")" >> "$BUILD/log/runtimes"
}

# leaked_at_hold: what the program says that it had leaked when its threads stood still.
leaked_at_hold() {
	local seized
	seized=$(grep -o '"seized_ns": *[0-9]*' "$CAPTURE/report.json" | head -1 | grep -o '[0-9]*$')
	awk -v at="$seized" '$1 == "leaked" && $3 == "at" && $4 <= at { n = $2 } END { print n + 0 }' \
		"$SERVICE_LOG"
}

# is_the_count N: N objects in the core; one may be there whose line was not written yet.
is_the_count() {
	local said
	said=$(leaked_at_hold)
	echo "in the core: $1; the program said: $said"
	[ "$said" -gt 10 ] && [ "$1" -ge "$said" ] && [ "$1" -le $((said + 1)) ]
}

# is_healthy: it answers and collects, and nothing of it died.
is_healthy() {
	get /healthz | grep -q ok
	[ "$(event_count runtime-died)" -eq 0 ]
	[ "$(event_count lost)" -eq 0 ]
	is_running "$SERVICE_PID"
}

# need COMMAND PACKAGE: skips where a runtime or reader is not installed.
need() {
	command -v "$1" > /dev/null || skip "no $1 here (package $2)"
}
