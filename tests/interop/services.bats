#!/usr/bin/env bats
# bats file_tags=lane:host
# Services on managed runtimes, captured on the way up before their runtime gives up by itself (trip =
# auto), and their cores in the hands of the runtimes' own readers: the leaked type is found, as often
# as the program says that it leaked it, and the service is healthy afterwards.
#
# In CI each runs under one small limit; RUNTIMES=all (make test-runtimes) goes through 128 MiB,
# 512 MiB and 2 GiB, with the native leak as well.

load ../system/helpers
load ../system/watch
load services

DOTNET_BIN=$BUILD/interop/dotnet/bin

build_dotnet() {
	DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 dotnet build -c Release -v quiet \
		--artifacts-path "$BUILD/interop/dotnet" "$SERVICES/dotnet/dotnet.slnx"
}

# Both programs, once for the file. Their packages come over the network, which may fail once.
setup_file() {
	command -v dotnet > /dev/null || return 0
	mkdir -p "$BUILD/interop"
	build_dotnet || {
		sleep 10
		build_dotnet
	}
}

# A leak beside the heap, which only the container's limit or the same trip ends: captured, healthy.
native_leak() {
	local name=$1
	shift
	service_start "$name" "$@"
	service_capture "$name" native 30
	is_healthy
	watch_stop
	cg_rm "$name"
}

count_of() {
	sed -n 's/^wanted .* count=\([0-9]*\).*/\1/p' "$1"
}

@test ".NET: captured before its hard limit; ClrMD finds the leaked type, its root and the stacks" {
	need dotnet "the .NET SDK 10"
	local limit
	for limit in $(runtime_limits 128); do
		service_start "net$limit" "$limit" dotnet "$DOTNET_BIN/Service/release/leak-service.dll"
		service_capture "net$limit" managed 30
		[ "$(event_field runtime-found RUNTIME)" = dotnet ]
		[ "$(event_field runtime-found HEAP_BYTES)" -eq $((limit * 786432)) ]
		is_healthy
		dotnet "$DOTNET_BIN/Reader/release/heap-reader.dll" "$CAPTURE/core" LeakedChunk Leak Count \
			> "$BATS_TEST_TMPDIR/heap"
		cat "$BATS_TEST_TMPDIR/heap"
		is_the_count "$(count_of "$BATS_TEST_TMPDIR/heap")"
		grep -q '^root .*List<LeakedChunk> -> LeakedChunk\[\] -> LeakedChunk$' "$BATS_TEST_TMPDIR/heap"
		[ "$(grep -c '^thread .* frames=[1-9]' "$BATS_TEST_TMPDIR/heap")" -ge 2 ]
		grep -q 'Leak.Run\|Leak.One\|LeakedChunk' "$BATS_TEST_TMPDIR/heap"
		watch_stop
		cg_rm "net$limit"
		[ "${RUNTIMES:-}" != all ] || native_leak "net$limit-native" "$limit" \
			dotnet "$DOTNET_BIN/Service/release/leak-service.dll"
	done
}

@test ".NET: memory that is allocated and never touched does not hide the end" {
	need dotnet "the .NET SDK 10"
	service_start untouched 512 dotnet "$DOTNET_BIN/Service/release/leak-service.dll"
	service_capture untouched untouched 5
	[ "$(event_field tripped USED_BYTES)" -lt $((128 << 20)) ]
	[ "$(event_count runtime-died)" -eq 0 ]
	is_healthy
}

@test "Java: captured before OutOfMemoryError; jhsdb finds the leaked class and the threads" {
	need jhsdb openjdk-17-jdk-headless
	local limit
	javac -nowarn -XDignore.symbol.file -d "$BATS_TEST_TMPDIR" "$SERVICES/LeakService.java"
	for limit in $(runtime_limits 256); do
		service_start "java$limit" "$limit" java -XX:+UseSerialGC \
			-cp "$BATS_TEST_TMPDIR" LeakService
		service_capture "java$limit" managed 30
		[ "$(event_field runtime-found RUNTIME)" = java ]
		is_healthy
		! grep -q OutOfMemoryError "$SERVICE_LOG" || return 1
		jhsdb jmap --histo --exe "$(readlink -f "$(command -v java)")" --core "$CAPTURE/core" \
			> "$BATS_TEST_TMPDIR/histo" 2>&1
		grep 'LeakedChunk' "$BATS_TEST_TMPDIR/histo"
		is_the_count "$(awk '$NF == "LeakService$LeakedChunk" {print $2}' "$BATS_TEST_TMPDIR/histo")"
		jhsdb jstack --exe "$(readlink -f "$(command -v java)")" --core "$CAPTURE/core" \
			> "$BATS_TEST_TMPDIR/stacks" 2>&1 || tail -5 "$BATS_TEST_TMPDIR/stacks"
		grep -q 'LeakService.run' "$BATS_TEST_TMPDIR/stacks"
		watch_stop
		cg_rm "java$limit"
		[ "${RUNTIMES:-}" != all ] || native_leak "java$limit-native" "$limit" \
			java -XX:+UseSerialGC -cp "$BATS_TEST_TMPDIR" LeakService
	done
}

@test "Node: captured before heap out of memory; gdb finds its native frames" {
	need node nodejs
	need gdb gdb
	local node limit
	node=$(readlink -f "$(command -v node)")
	for limit in $(runtime_limits 512); do
		service_start "node$limit" "$limit" "$node" --expose-gc \
			--max-old-space-size=$((limit / 4)) "$SERVICES/leak_service.js"
		service_capture "node$limit" managed 30
		[ "$(event_field runtime-found RUNTIME)" = node ]
		[ "$(event_field runtime-found HEAP_BYTES)" -eq $((limit * 262144)) ]
		is_healthy
		gdb -nx -batch -iex 'set debuginfod enabled off' -ex 'thread apply all bt' "$node" "$CAPTURE/core" \
			> "$BATS_TEST_TMPDIR/frames" 2>&1
		grep -q ' in .*node::' "$BATS_TEST_TMPDIR/frames"
		watch_stop
		cg_rm "node$limit"
		[ "${RUNTIMES:-}" != all ] || native_leak "node$limit-native" "$limit" \
			"$node" --expose-gc "$SERVICES/leak_service.js"
	done
}

@test "v8heap.py says what it misses of a program that is no node" {
	need gdb gdb
	run gdb -nx -batch -ex 'py CLASS="LeakedChunk"' -x "$TOP/deploy/runtimes/v8heap.py" /bin/sleep
	[[ $output == *"/sleep has no symbol v8dbg_*: name the node that the core is of"* ]]
}

@test "Python: captured before the OOM killer; gdb finds the leaked objects and the Python stack" {
	[ -e /usr/share/gdb/auto-load/usr/bin/python3.11-gdb.py ] || skip "no gdb helpers (python3-dbg)"
	local limit
	for limit in $(runtime_limits 128); do
		service_start "py$limit" "$limit" /usr/bin/python3 "$SERVICES/leak_service.py"
		service_capture "py$limit" managed 30
		[ "$(event_field runtime-found RUNTIME)" = python ]
		is_healthy
		gdb -nx -batch -iex 'set debuginfod enabled off' -ex 'py CLASS="LeakedChunk"' \
			-x "$TOP/deploy/runtimes/pyheap.py" -ex 'thread apply all py-bt' \
			"$(readlink -f /usr/bin/python3)" "$CAPTURE/core" > "$BATS_TEST_TMPDIR/heap" 2>&1
		grep '^wanted' "$BATS_TEST_TMPDIR/heap"
		is_the_count "$(count_of "$BATS_TEST_TMPDIR/heap")"
		grep -q 'leak_service.py", line [0-9]*, in run' "$BATS_TEST_TMPDIR/heap"
		watch_stop
		cg_rm "py$limit"
		[ "${RUNTIMES:-}" != all ] || native_leak "py$limit-native" "$limit" \
			/usr/bin/python3 "$SERVICES/leak_service.py"
	done
}

@test "a runtime that gives up all the same is told, with its exit status" {
	need node nodejs
	service_start died 256 "$(command -v node)" --max-old-space-size=60 "$SERVICES/leak_service.js"
	watch_start died --set trip=95%
	wait_event runtime-found
	[[ $(event_line runtime-found) == *"IT MAY GIVE UP BEFORE THE TRIP"* ]]
	get "/triggerMemoryLeak?rate=50"
	wait_event runtime-died 1 60
	[ "$(event_field runtime-died EXIT_STATUS)" = -6 ]
	[[ $(event_line runtime-died) == *--max-old-space-size* ]]
	[ "$(event_count tripped)" -eq 0 ]
}
