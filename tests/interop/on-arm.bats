#!/usr/bin/env bats
# bats file_tags=lane:host
# The recipes of deploy/runtimes/on-arm, run by on_arm on a leaking service that is armed and still
# runs: each leaves what the runtime's own tool tells of the leak, and the service goes on.

load ../system/helpers
load ../system/watch
load services
load runtimes

# armed NAME LIMIT ARM RECIPE...: leaks until the recipes have run; TOLD is where they left something.
armed() {
	local name=$1 limit=$2 arm=$3 used recipe missing command=true
	shift 3
	TOLD=$BATS_TEST_TMPDIR/told
	missing=$(runtime_missing "$name" | paste -sd ' ')
	if [ -n "$missing" ]; then
		# Only Go's absence is allowed where tests have to run: see tests/README.md.
		[ "$name" = go ] && skip "no Go here ($missing)"
		skip "no $name here ($missing)"
	fi
	runtime_prepare "$name"
	service_start "$name" "$limit" "${RUNTIME_COMMAND[@]}"
	for recipe in "$@"; do
		command+=" && $TOP/deploy/runtimes/on-arm $recipe $TOLD ${SERVICE_URL##*:}"
	done
	watch_start "$name" --set cooldown=60s --set arm="$arm" --set on_arm_timeout=60s \
		--set on_arm="$command"
	get "/triggerMemoryLeak?rate=20"
	wait_event command-result 1 60
	used=$(cg_usage "$name")
	get "/stop?free=1"
	echo "used after it: $((used >> 20)) MiB, at most: $(($(cg_peak "$name") >> 20)) MiB"
	[[ $(event_line command-result) == *'"OOMSNAP_EXIT_STATUS":0'* ]]
	[ "$(find "$TOLD" -type f -size +0 | wc -l)" -eq $# ]
	is_healthy
	[ "$(cg_oom_kill "$name")" -eq 0 ]
}

@test ".NET: the diagnostics port writes a dump of the heap" {
	runtime_command dotnet
	armed dotnet 512 20% dotnet
	runtime_read dotnet "$TOLD"/*.core > "$BATS_TEST_TMPDIR/heap"
	grep '^wanted LeakedChunk count=[1-9]' "$BATS_TEST_TMPDIR/heap"
}

@test "Java: jcmd tells a histogram, and writes the heap" {
	runtime_command java
	armed java 256 20% java-histogram java
	grep '[1-9][0-9]* .*LeakService.LeakedChunk$' "$TOLD"/*.txt
	grep -c LeakedChunk "$TOLD"/*.hprof
}

@test "Node: a heap snapshot by signal" {
	cd "$BATS_TEST_TMPDIR"
	RUNTIME_COMMAND=("$(readlink -f "$(command -v node)")" --expose-gc --heapsnapshot-signal=SIGUSR2
		"$SERVICES/leak_service.js")
	armed node 512 15% node
	grep -c '"LeakedChunk"' "$TOLD"/*.heapsnapshot
}

@test "Go: a heap profile from net/http/pprof" {
	runtime_command go
	armed go 256 15% go
	go tool pprof -top -sample_index=inuse_space "$TOLD"/*.pb.gz 2> /dev/null | grep 'main.leakOne'
}
