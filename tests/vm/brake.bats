#!/usr/bin/env bats
# bats file_tags=lane:vm
# A managed program behind the brake (memory.high below the limit, cgroup v2): it leaks under a limit,
# is armed and braked, creeps to the trip, is captured, and then answers and collects as before. No lane
# runs this file: it needs the image `runtimes` and takes minutes (tests/vm/brake, make test-brake).
#
# The tripwire is off; the brake is 2% of the limit below the trip. Each test leaves a line
# in $OOMSNAP_OUT/brake; see brake_figures.

load ../system/helpers
load ../system/watch
load ../interop/services
load ../interop/runtimes

setup() {
	need_lane vm
	export PATH=/t/dotnet:$PATH DOTNET_ROOT=/t/dotnet
	LATENCIES=$BATS_TEST_TMPDIR/latencies
	ASKER=
}

teardown() {
	[ -z "$ASKER" ] || kill "$ASKER" 2> /dev/null || true
	[ -z "${BATS_TEST_COMPLETED:-}" ] && tail -n 3 "$SERVICE_LOG" "$LATENCIES" >&2
	watch_teardown
}

high() {
	cat "$(cg_path "$1")/memory.high"
}

# How long one answer takes, in seconds, again and again; 000 before it: there was none within 60 s.
ask() {
	while :; do
		curl -sS --max-time 60 -o /dev/null -w '%{http_code} %{time_total}\n' "$SERVICE_URL/count" \
			>> "$LATENCIES" 2> /dev/null || true
		sleep 0.2
	done
}

# A leak that has not crept to the trip after so long is met half way, by a lower limit.
CREEP_SECONDS=${CREEP_SECONDS:-40}

# trips NAME: has it tripped? Says now and then where it is.
trips() {
	event_reached tripped 1 && return
	sleep 2
	say "used $(($(cg_usage "$1") >> 10)) KiB; $(tail -1 "$SERVICE_LOG"); answers $(tail -1 "$LATENCIES");" \
		"$(grep -o 'high [0-9]*' "$(cg_path "$1")/memory.events"); $(tr '\n' ' ' < "/proc/$SERVICE_PID/wchan")"
	return 1
}

# at WHAT: when an intervention was made (CLOCK_MONOTONIC, ns), from the report.
at() {
	tr -d ' \n' < "$CAPTURE/report.json" | grep -o "\"what\":\"$1\"[^}]*\"at_ns\":[0-9]*" | head -1 |
		grep -o '[0-9]*$'
}

# brake_figures NAME: from the program's own lines, MiB/s leaked before the brake and behind it, MiB
# leaked behind it, seconds from brake to hold, the longest time between two chunks there, and the
# longest answer there.
brake_figures() {
	local seized
	seized=$(grep -o '"seized_ns": *[0-9]*' "$CAPTURE/report.json" | head -1 | grep -o '[0-9]*$')
	awk -v what="$1" -v braked="$(at brake)" -v seized="$seized" \
		-v limit="$(($(cg_limit "$1") >> 20))" \
		-v used="$(($(event_field tripped USED_BYTES) >> 20))" \
		-v answers="$(grep -c '^200' "$LATENCIES")" \
		-v answer="$(sort -k2 -n "$LATENCIES" | tail -1)" '
		$1 == "leaked" && $3 == "at" {
			if ($4 <= braked) {
				if (!first) { first = $4; from = $2 }
				last = $4; to = $2
			} else if ($4 <= seized) {
				behind++
				gap = $4 - previous
				if (gap > longest) longest = gap
			}
			if ($4 <= seized) previous = $4
		}
		END {
			if (seized - previous > longest) longest = seized - previous
			seconds = (seized - braked) / 1e9
			printf "%s: limit %d used at the trip %d; MiB/s before %.2f behind %.2f; " \
				"behind %.1f MiB in %.1f s; longest gap %.1f s; answers %d, longest %s\n", what, limit, used,
				(to - from) / 16 / ((last - first) / 1e9), behind / 16 / seconds,
				behind / 16, seconds, longest / 1e9, answers, answer
		}' "$SERVICE_LOG"
}

# say WORDS: how far it is, as a comment in the TAP stream; a test takes minutes.
say() {
	echo "# $(cut -d ' ' -f 1 /proc/uptime) s: $*" >&3
}

# braked NAME LIMIT_MIB KIND COMMAND...: the whole story of one service and kind of leak.
braked() {
	local name=$1 limit=$2 kind=$3
	shift 3
	service_start "$name" "$limit" "$@"
	say "$name: listens"
	: > "$LATENCIES"
	watch_start "$name" --set cooldown=600s --set deadline=60s \
		--set arm=88% --set brake=88% --set trip=90%
	wait_event runtime-found 1 60
	[ "$(high "$name")" = max ]
	say "$(event_line runtime-found | cut -c 1-400)"
	get "/triggerMemoryLeak?kind=$kind&rate=30"
	wait_event armed 1 120
	say "armed, used $(($(cg_usage "$name") >> 10)) KiB"
	ask 3>&- &
	ASKER=$!
	wait_until 20 eval '[ "$(high "$name")" != max ]'
	say "braked at $(high "$name")"
	if ! wait_until "$CREEP_SECONDS" trips "$name"; then
		limit=$(($(cg_usage "$name") * 100 / 92 >> 20))
		say "lowers the limit to $limit MiB"
		cg_limit "$name" "${limit}M"
	fi
	wait_event tripped 1 60
	say "tripped, used $(($(cg_usage "$name") >> 10)) KiB"
	wait_event released 1 120
	say released
	kill "$ASKER"
	ASKER=
	[ "$(high "$name")" = max ]
	get "/stop?free=1"
	wait_event captured 1 120
	CAPTURE=$(dirname "$(event_field captured CORE)")
	brake_figures "$name" | tee -a "${OOMSNAP_OUT:-$BATS_TEST_TMPDIR}/brake"
	is_healthy
	is_normal "$name" "$SERVICE_PID" $((limit << 20))
	! grep -q 'OutOfMemory\|heap out of memory\|MemoryError' "$SERVICE_LOG" || return 1
	[ "$(cg_oom_kill "$name")" -eq 0 ]
	# Nothing slows it down any more.
	get "/triggerMemoryLeak?kind=$kind&rate=30"
	wait_until 60 eval '[ "$(get /count)" -gt 100 ]'
	get "/stop?free=1"
}

python_braked() {
	braked "python-$1" 128 "$1" /usr/bin/python3.11 "$SERVICES/leak_service.py"
}

node_braked() {
	braked "node-$1" 192 "$1" "$(readlink -f "$(command -v node)")" --expose-gc \
		--max-old-space-size=512 "$SERVICES/leak_service.js"
}

java_braked() {
	[ -d "$BUILD/interop/java" ] || skip "no LeakService.class (openjdk-17-jdk-headless)"
	braked "java-$1" 192 "$1" java -XX:+UseSerialGC -Xmx160m -XX:+ExitOnOutOfMemoryError \
		-cp "$BUILD/interop/java" LeakService
}

# Under 192 MiB a native leak was captured at the trip, and killed before /stop had reached it.
dotnet_braked() {
	[ -x /t/dotnet/dotnet ] || skip "no .NET on the machine that packed this"
	braked "dotnet-$1" "$2" "$1" env DOTNET_GCHeapHardLimitPercent=5F dotnet \
		"$DOTNET_BIN/Service/release/leak-service.dll"
}

@test "Python behind the brake: a managed leak" {
	python_braked managed
}

@test "Python behind the brake: a native leak" {
	python_braked native
}

@test "Node behind the brake: a managed leak" {
	node_braked managed
}

@test "Node behind the brake: a native leak" {
	node_braked native
}

@test "Java behind the brake: a managed leak" {
	java_braked managed
}

@test "Java behind the brake: a native leak" {
	java_braked native
}

@test ".NET behind the brake: a managed leak" {
	dotnet_braked managed 192
}

@test ".NET behind the brake: a native leak" {
	dotnet_braked native 320
}
