#!/usr/bin/env bats
# bats file_tags=lane:host
# What trip = auto has to tell apart in managed programs, beside the captures of services.bats.

load ../system/helpers
load ../system/watch
load services
load runtimes

# full_collections PID: as the JVM's own tool counts them.
full_collections() {
	jstat -gcutil "$1" | awk 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "FGC") at = i } NR == 2 { print $at }'
}

has_collected() {
	[ "$(full_collections "$SERVICE_PID")" -ge "$1" ]
}

@test "Java: a heap that fills with what is dropped again is no leak" {
	[ -z "$(runtime_missing java)" ] || skip "not here: $(runtime_missing java)"
	runtime_prepare java
	runtime_command java
	service_start garbage 256 "${RUNTIME_COMMAND[@]}"
	watch_start garbage
	wait_event runtime-found
	get "/triggerMemoryLeak?kind=garbage&rate=150"
	wait_until 30 has_collected 4
	[ "$(event_count tripped)" -eq 0 ]
	is_healthy
}

@test "Java: a heap that ZGC maps three times is in the core once" {
	[ -z "$(runtime_missing java)" ] || skip "not here: $(runtime_missing java)"
	runtime_prepare java
	service_start zgc 512 java -XX:+UseZGC -Xmx128m -cp "$BUILD/interop/java" LeakService
	service_capture zgc managed 60
	is_healthy
	"$OOMSNAP" inspect "$CAPTURE/core" > /dev/null
	local segments shown taken on_disk
	read -r segments shown taken < <(python3 -B "$TOP/tests/tool/places.py" "$CAPTURE/core" \
		/memfd:java_heap)
	on_disk=$(event_field captured FILE_BYTES)
	echo "$segments segments show $shown bytes, which take $taken of the file; on disk $on_disk"
	[ "$taken" -gt $((64 << 20)) ]
	[ "$shown" -gt $((2 * taken)) ] # all three views, or nearly
	[ "$on_disk" -lt $((2 * taken)) ]
	jhsdb jstack --exe "$(readlink -f "$(command -v java)")" --core "$CAPTURE/core" \
		> "$BATS_TEST_TMPDIR/stacks" 2>&1 || tail -5 "$BATS_TEST_TMPDIR/stacks"
	# Stopped in a collection, it may miss the frames: once in 35 captures.
	grep -q 'JVM version is' "$BATS_TEST_TMPDIR/stacks"
	grep 'sun.net.httpserver.ServerImpl\|LeakService' "$BATS_TEST_TMPDIR/stacks" || cat "$BATS_TEST_TMPDIR/stacks"
}

@test "Go: captured as it leaves GOMEMLIMIT behind; dlv finds the goroutines and the leaked objects" {
	[ -z "$(runtime_missing go)" ] || skip "no Go here ($(runtime_missing go | paste -sd ' '))"
	runtime_prepare go
	runtime_command go
	service_start go 256 env GOMEMLIMIT=64MiB "${RUNTIME_COMMAND[@]}"
	service_capture go managed 30
	[ "$(event_field runtime-found RUNTIME)" = go ]
	[ "$(event_field runtime-found HEAP_BYTES)" -eq $((64 << 20)) ]
	[ "$(event_field tripped USED_BYTES)" -lt $((96 << 20)) ]
	is_healthy
	runtime_read go "$CAPTURE/core" > "$BATS_TEST_TMPDIR/read" 2>&1
	grep -q ' in main.main$' "$BATS_TEST_TMPDIR/read"
	# Stopped deep in the runtime, its frames may be missed: once in 30 captures on a busy machine.
	grep -q ' in main.run$' "$BATS_TEST_TMPDIR/read" || cat "$BATS_TEST_TMPDIR/read"
	read -r type count < <(runtime_leaked go "$BATS_TEST_TMPDIR/read")
	[ "$type" = main.LeakedChunk ]
	is_the_count "$count"
}

# A leak beside the heap: the runtime does not see it, and the container's limit comes first.
native_leak() {
	local name=$1 limit=$2
	[ -z "$(runtime_missing "$name")" ] || skip "not here: $(runtime_missing "$name")"
	runtime_prepare "$name"
	runtime_command "$name"
	service_start "$name" "$limit" "${RUNTIME_COMMAND[@]}"
	service_capture "$name" native 60
	[ "$(event_field runtime-found RUNTIME)" = "$name" ]
	is_healthy
	[ "$(cg_oom_kill "$name")" -eq 0 ]
	"$OOMSNAP" inspect "$CAPTURE/core"
}

@test ".NET: a native leak is captured, and the service is healthy" {
	native_leak dotnet 256
	[ "$(event_field tripped USED_BYTES)" -gt $((220 << 20)) ] # and not at 95% of 192 MiB
}

@test "Node: Buffers do not count for its heap limit" {
	native_leak node 256
	[ "$(event_field runtime-found HEAP_BYTES)" -eq $((64 << 20)) ]
	[ "$(event_field tripped USED_BYTES)" -gt $((220 << 20)) ]
}

@test "Java: a native leak is captured, and the service is healthy" {
	native_leak java 128
}

@test "Go: a native leak is captured, and the service is healthy" {
	[ -z "$(runtime_missing go)" ] || skip "no Go here ($(runtime_missing go | paste -sd ' '))"
	native_leak go 128
	[ "$(event_field tripped USED_BYTES)" -gt $((100 << 20)) ]
}

# runtime_line NAME: what check says of the runtime in the group.
runtime_line() {
	"$OOMSNAP" check --cgroup "$(cg_path "$1")" | grep 'runtime .*heap limit'
}

@test "a heap limit that follows from the container's is a guess for a process that is older" {
	[ -z "$(runtime_missing node)" ] || skip "not here: $(runtime_missing node)"
	local node guess=', if the limit was the same when it started)'
	node=$(readlink -f "$(command -v node)")
	service_start older 600 "$node" "$SERVICES/leak_service.js"
	[[ $(runtime_line older) == *"heap limit 300 MiB (its default$guess"* ]]
	service_start set 600 "$node" --max-old-space-size=64 "$SERVICES/leak_service.js"
	[[ $(runtime_line set) == *"heap limit 64 MiB (its command line)"* ]]
	# One that starts under our eyes.
	cg_new younger 600M
	watch_start younger
	cg_spawn younger "$node" "$SERVICES/leak_service.js"
	wait_event runtime-found
	[[ $(event_line runtime-found) == *"heap limit 300 MiB (its default)"* ]]
}
