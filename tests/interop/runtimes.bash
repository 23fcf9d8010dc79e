# shellcheck shell=bash
# The leaking services and their readers, one runtime a function of each kind: what has to be here, the
# program, its command, and what the runtime's own reader finds in a core of it. For tests/demo and the
# scenarios; TOP and BUILD are set by who loads it.
#
# NAME is dotnet, java, node, python or go.

RUNTIMES_DIR=$TOP/tests/interop/services
RUNTIMES_BUILD=$BUILD/interop
DOTNET_BIN=$RUNTIMES_BUILD/dotnet/bin

runtime_have() {
	command -v "$1" > /dev/null
}

# Prints the packages that are missing for NAME and its reader; nothing where all is here. 1 for an
# unknown name.
runtime_missing() {
	case $1 in
	dotnet) runtime_have dotnet || echo "the .NET SDK 10 (dotnet-sdk-10.0 of Microsoft's repository; Debian has none)" ;;
	java) runtime_have jhsdb && runtime_have javac || echo openjdk-17-jdk-headless ;;
	node)
		runtime_have node || echo nodejs
		runtime_have gdb || echo gdb
		;;
	python)
		[ -x /usr/bin/python3.11 ] || echo python3
		[ -e /usr/share/gdb/auto-load/usr/bin/python3.11-gdb.py ] || echo python3-dbg
		runtime_have gdb || echo gdb
		;;
	go)
		runtime_have go || echo golang-go
		runtime_have dlv || echo delve
		;;
	*) return 1 ;;
	esac
}

# Builds what has to be built, once.
runtime_prepare() {
	mkdir -p "$RUNTIMES_BUILD/java" "$RUNTIMES_BUILD/go"
	case $1 in
	dotnet)
		[ -z "$(find "$RUNTIMES_DIR/dotnet" -type f -newer "$DOTNET_BIN/Reader/release/heap-reader.dll" \
			2>&1)" ] || DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 dotnet build -c Release -v quiet --nologo \
			--artifacts-path "$RUNTIMES_BUILD/dotnet" "$RUNTIMES_DIR/dotnet/dotnet.slnx"
		;;
	java)
		javac -nowarn -XDignore.symbol.file -d "$RUNTIMES_BUILD/java" "$RUNTIMES_DIR/LeakService.java"
		;;
	go)
		GOCACHE=$RUNTIMES_BUILD/go/cache GO111MODULE=off go build \
			-o "$RUNTIMES_BUILD/go/leak-service" "$RUNTIMES_DIR/leak_service.go"
		;;
	esac
}

# Sets RUNTIME_COMMAND to the service of NAME.
runtime_command() {
	case $1 in
	dotnet) RUNTIME_COMMAND=(dotnet "$DOTNET_BIN/Service/release/leak-service.dll") ;;
	java) RUNTIME_COMMAND=(java -XX:+UseSerialGC -XX:+ExitOnOutOfMemoryError
		-cp "$RUNTIMES_BUILD/java" LeakService) ;;
	node) RUNTIME_COMMAND=("$(readlink -f "$(command -v node)")" --expose-gc
		--max-old-space-size=64 "$RUNTIMES_DIR/leak_service.js") ;;
	python) RUNTIME_COMMAND=(/usr/bin/python3.11 "$RUNTIMES_DIR/leak_service.py") ;;
	go) RUNTIME_COMMAND=("$RUNTIMES_BUILD/go/leak-service") ;;
	esac
}

# What NAME's own reader says of CORE, in its own words.
runtime_read() {
	local name=$1 core=$2 program
	case $name in
	dotnet) dotnet "$DOTNET_BIN/Reader/release/heap-reader.dll" "$core" LeakedChunk Leak Count ;;
	java)
		program=$(readlink -f "$(command -v java)")
		jhsdb jmap --histo --exe "$program" --core "$core"
		;;
	node)
		gdb -nx -batch -iex 'set debuginfod enabled off' -ex 'py CLASS="LeakedChunk"' \
			-x "$TOP/deploy/runtimes/v8heap.py" -ex 'thread apply 1 bt 6' \
			"$(readlink -f "$(command -v node)")" "$core"
		;;
	python)
		gdb -nx -batch -iex 'set debuginfod enabled off' -ex 'py CLASS="LeakedChunk"' \
			-x "$TOP/deploy/runtimes/pyheap.py" -ex 'thread apply all py-bt' /usr/bin/python3.11 "$core"
		;;
	go)
		printf '%s\n' 'goroutines -t 20' 'print len(main.chunks)' exit > "$RUNTIMES_BUILD/go/commands"
		dlv core "$RUNTIMES_BUILD/go/leak-service" "$core" --init "$RUNTIMES_BUILD/go/commands" \
			--allow-non-terminal-interactive=true < /dev/null
		;;
	esac
}

# The number of leaked objects in what runtime_read printed into FILE: "TYPE COUNT".
runtime_leaked() {
	case $1 in
	dotnet | node | python) sed -n 's/^wanted \(.*\) count=\([0-9]*\).*/\1 \2/p' "$2" ;;
	go) awk '/^\[[0-9]+ goroutines\]/ { getline; print "main.LeakedChunk", $1 }' "$2" ;;
	java) awk '$NF == "LeakService$LeakedChunk" { print $NF, $2 }' "$2" ;;
	esac
}

# leaked_by BUNDLE LOG: what the program says that it had leaked when its threads stood still.
leaked_by() {
	local seized
	seized=$(grep -o '"seized_ns": *[0-9]*' "$1/report.json" | head -1 | grep -o '[0-9]*$')
	awk -v at="$seized" '$1 == "leaked" && $3 == "at" && $4 <= at { n = $2 } END { print n + 0 }' "$2"
}

# runtime_show NAME FILE: the part of runtime_read's FILE that a person wants to see.
runtime_show() {
	case $1 in
	dotnet) grep '^type\|^root\|^thread' "$2" | cut -c 1-130 | head -8 ;;
	java) grep '^ *[1-4]:\|LeakedChunk' "$2" ;;
	node | python) grep '^wanted\|^#\|^Thread\|^Traceback\|^  File' "$2" | cut -c 1-130 | head -10 ;;
	esac
}
