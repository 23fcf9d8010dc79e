#!/usr/bin/env bats
# bats file_tags=lane:host
# .NET programs that have the runtime in their own file: published as a single file, and compiled
# ahead of time. No lane runs this file: it needs packages of NuGet (the runtime, 110 MB unpacked; the
# compiler, 700 MB) and minutes to build (make test-runtimes).

load ../system/helpers
load ../system/watch
load ../interop/services

PUBLISHED=$BUILD/interop/published

# publish NAME PROPERTY...: the service, with its runtime in it, once. Skips where it cannot be had.
publish() {
	local name=$1
	shift
	need dotnet "the .NET SDK 10"
	[ -x "$PUBLISHED/$name/leak-service" ] && return
	mkdir -p "$PUBLISHED"
	rm -rf "$PUBLISHED/src-$name"
	cp -r "$SERVICES/dotnet" "$PUBLISHED/src-$name"
	DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 dotnet publish -c Release -r linux-x64 \
		--self-contained -v quiet --nologo -p:UseAppHost=true "$@" -o "$PUBLISHED/$name" \
		"$PUBLISHED/src-$name/service/Service.csproj" > "$PUBLISHED/$name.log" 2>&1 || {
		tail -3 "$PUBLISHED/$name.log"
		skip "the .NET service cannot be published as $name here: see $PUBLISHED/$name.log"
	}
}

# The library that ClrMD needs, of the runtime that was linked in.
dac() {
	local version
	version=$(grep -a -o '"version": "[0-9.]*"' "$PUBLISHED/single/leak-service" | head -1 | cut -d '"' -f 4)
	find "${NUGET_PACKAGES:-$HOME/.nuget/packages}/microsoft.netcore.app.runtime.linux-x64/$version" \
		-name libmscordaccore.so | head -1
}

# captured_whole NAME: the published program, caught before the heap limit that it has by default.
captured_whole() {
	service_start "$1" 256 "$PUBLISHED/$1/leak-service"
	service_capture "$1" managed 30
	[ "$(event_field runtime-found RUNTIME)" = dotnet ]
	[ "$(event_field runtime-found HEAP_BYTES)" -eq $((192 << 20)) ]
	is_healthy
	"$OOMSNAP" inspect "$CAPTURE/core" > /dev/null
}

@test ".NET as a single file: captured before its hard limit; ClrMD finds the leaked type and the stacks" {
	publish single -p:PublishSingleFile=true
	captured_whole single
	DAC=$(dac) dotnet "$BUILD/interop/dotnet/bin/Reader/release/heap-reader.dll" "$CAPTURE/core" \
		LeakedChunk Leak Count > "$BATS_TEST_TMPDIR/heap"
	cat "$BATS_TEST_TMPDIR/heap"
	is_the_count "$(sed -n 's/^wanted .* count=\([0-9]*\).*/\1/p' "$BATS_TEST_TMPDIR/heap")"
	grep -q '^root .*List<LeakedChunk> -> LeakedChunk\[\] -> LeakedChunk$' "$BATS_TEST_TMPDIR/heap"
	[ "$(grep -c '^thread .* frames=[4-9].* unknown=0' "$BATS_TEST_TMPDIR/heap")" -ge 4 ]
}

@test ".NET compiled ahead of time: captured before its hard limit" {
	publish ahead -p:PublishAot=true
	captured_whole ahead
}
