#!/usr/bin/env bats
# Our cores in the hands of readers that we did not write: each must find the threads, the functions
# that they were in, and the leaked bytes. The last ones hold our core against the kernel's own.
#
# One process leaks and is captured for the whole file. What its memory must hold is computed from
# its seed by tests/tool/leaked.py; corediff.py holds the table of what may differ from the kernel.

load ../system/helpers
load ../system/watch

PYTHON=/usr/bin/python3 # the one that Debian's python3-drgn belongs to
THREADS=5               # main, the one that leads the workers, and three of these
PATTERN_FILE=/proc/sys/kernel/core_pattern

# Bytes of each thread's general and floating point registers, and what stands beside them.
case $(uname -m) in
aarch64) PRSTATUS=392 FPREGSET=528 BESIDE='ARM_TLS|AARCH64_TLS' ;;
*) PRSTATUS=336 FPREGSET=512 BESIDE=X86_XSTATE ;;
esac

leak() {
	local dir=$1
	shift
	mkdir -p "$dir"
	"$LEAKER" --threads 3 --rate max --total 24M --seed 77 --ready-file "$dir/ready" "$@" \
		> "$dir/log" 2>&1 < /dev/null 3>&- &
	LEAK_PID=$!
	wait_until 20 grep -q 'total reached' "$dir/log"
	wait_until 20 all_wait "$LEAK_PID" # where the readers are to find them
}

all_wait() {
	! grep -hs '^State:' "/proc/$1/task/"*/status | grep -qv '[SZ] ('
}

setup_file() {
	export SHARED=$DUMPS-interop
	rm -rf "$SHARED"
	leak "$SHARED" --pattern threads
	"$PYTHON" "$TOP/tests/tool/leaked.py" "$SHARED/ready" 50 > "$SHARED/expected"
	"$OOMSNAP" dump "$LEAK_PID" -o "$SHARED/core"
	kill -KILL "$LEAK_PID"
	if [ -n "${OOMSNAP_OUT:-}" ]; then # for readers outside of this machine
		cp "$SHARED/core" "$SHARED/expected" "$OOMSNAP_OUT/"
	fi
}

teardown_file() {
	# Where something before has failed it still runs, and bats would wait for it.
	[ -z "${LEAK_PID:-}" ] || kill -KILL "$LEAK_PID" 2> /dev/null || true
	rm -rf "$SHARED"
}

setup() {
	CORE=$SHARED/core
	OUT=$BATS_TEST_TMPDIR/out
}

teardown() {
	if [ -f "$BATS_TEST_TMPDIR/core_pattern" ]; then
		cat "$BATS_TEST_TMPDIR/core_pattern" > "$PATTERN_FILE"
	fi
	rm -rf "$DUMPS-kernel"
	watch_teardown
}

need() {
	command -v "$1" > /dev/null || skip "$1 is not installed"
}

# saw COUNT PATTERN: so often in what the reader said.
saw() {
	[ "$(grep -cE "$2" "$OUT")" -eq "$1" ] || {
		echo "not $1 x $2:" >&2
		head -60 "$OUT" >&2
		return 1
	}
}

# found_all FILE: "address word" lines that a reader printed, against what must be there.
found_all() {
	[ "$(wc -l < "$SHARED/expected")" -eq 50 ]
	diff "$SHARED/expected" "$1"
}

@test "the core is complete" {
	core_is_whole "$CORE" $((24 << 20))
}

@test "gdb finds the threads, their functions and the leaked bytes" {
	need gdb
	sed 's|^\([^ ]*\) .*|printf "\1 0x%016lx\\n", *(unsigned long *)\1|' "$SHARED/expected" \
		> "$BATS_TEST_TMPDIR/commands"
	gdb -nx -batch -ex 'info threads' -ex 'thread apply all bt' -ex 'echo data\n' \
		-x "$BATS_TEST_TMPDIR/commands" "$LEAKER" "$CORE" > "$OUT" 2> /dev/null
	saw "$THREADS" '^[* ] +[0-9]+ +Thread 0x'
	saw 3 '^#[0-9]+ .*\bworkers_park \('
	saw 1 '^#[0-9]+ .*\bsignal_loop \('
	saw 1 '^#[0-9]+ .*\bmain \('
	grep -E '^0x[0-9a-f]+ 0x[0-9a-f]{16}$' "$OUT" > "$BATS_TEST_TMPDIR/found"
	found_all "$BATS_TEST_TMPDIR/found"
}

@test "lldb finds the threads, their functions and the leaked bytes" {
	need lldb
	sed 's|^\([^ ]*\) .*|memory read --size 8 --format x --count 1 \1|' "$SHARED/expected" \
		> "$BATS_TEST_TMPDIR/commands"
	lldb --no-lldbinit --batch -o "target create $LEAKER --core $CORE" -o 'thread list' \
		-o 'thread backtrace all' -s "$BATS_TEST_TMPDIR/commands" > "$OUT" 2>&1
	saw "$THREADS" '^[* ] thread #[0-9]+: tid = '
	saw 1 'frame #[0-9]+: .*leaker`signal_loop'
	saw 1 'frame #[0-9]+: .*leaker`main\('
	[ "$(grep -cE 'leaker`workers_park\(' "$OUT")" -eq 3 ]
	sed -nE 's/^(0x[0-9a-f]+): (0x[0-9a-f]{16})$/\1 \2/p' "$OUT" > "$BATS_TEST_TMPDIR/found"
	found_all "$BATS_TEST_TMPDIR/found"
}

@test "drgn finds the threads and the leaked bytes" {
	"$PYTHON" -c 'import drgn' 2> /dev/null || skip "python3-drgn is not installed"
	"$PYTHON" - "$CORE" "$SHARED/expected" "$THREADS" > "$BATS_TEST_TMPDIR/found" <<- 'END'
		import sys
		import drgn
		core, expected, threads = sys.argv[1:]
		program = drgn.Program()
		program.set_core_dump(core)
		tids = [thread.tid for thread in program.threads()]
		assert len(set(tids)) == int(threads), tids
		assert program.main_thread().tid in tids
		for line in open(expected):
		    address = int(line.split()[0], 16)
		    print(f"{address:#x} {program.read_u64(address):#018x}")
	END
	found_all "$BATS_TEST_TMPDIR/found"
}

@test "eu-stack finds the threads and their functions" {
	need eu-stack
	eu-stack --core "$CORE" -e "$LEAKER" > "$OUT" 2>&1
	saw "$THREADS" '^TID [0-9]+:'
	saw 3 '^#[0-9]+ .* workers_park$'
	saw 1 '^#[0-9]+ .* signal_loop$'
	saw 1 '^#[0-9]+ .* main$'
}

@test "eu-readelf finds every note, and no fault in the file" {
	need eu-readelf
	eu-readelf -h -l -n "$CORE" > "$OUT" 2> "$BATS_TEST_TMPDIR/errors"
	[ ! -s "$BATS_TEST_TMPDIR/errors" ]
	saw 1 'Type: +CORE'
	saw "$THREADS" "^  CORE +$PRSTATUS  PRSTATUS"
	saw "$THREADS" "^  CORE +$FPREGSET  FPREGSET"
	saw "$THREADS" "^  LINUX +[0-9]+  ($BESIDE)"
	saw 1 '^  CORE +136  PRPSINFO'
	saw 1 '^  CORE +128  SIGINFO'
	saw 1 '^  CORE +[0-9]+  AUXV'
	saw 1 '^  CORE +[0-9]+  FILE'
}

@test "eu-unstrip finds the program and its libraries by their build-ids" {
	need eu-unstrip
	local id
	id=$(eu-readelf -n "$LEAKER" | sed -n 's/ *Build ID: //p')
	[ -n "$id" ]
	eu-unstrip -n --core "$CORE" > "$OUT"
	saw 1 "^0x[0-9a-f]+\+0x[0-9a-f]+ $id@"
	saw 1 ' linux-vdso\.so\.1$'
	grep -qE '/libc\.so\.6 ' "$OUT"
}

# same_as_the_kernel: of LEAK_PID, stopped: our core in $1/ours, and then the kernel's.
same_as_the_kernel() {
	local d=$1 failed=0
	kill -STOP "$LEAK_PID"
	wait_until 5 is_stopped "$LEAK_PID"
	"$OOMSNAP" dump "$LEAK_PID" -o "$d/ours"
	is_stopped "$LEAK_PID"
	prlimit --core=unlimited --pid "$LEAK_PID"
	# The pattern is the whole machine's: for the moment that one core takes.
	cat "$PATTERN_FILE" > "$BATS_TEST_TMPDIR/old"
	mv "$BATS_TEST_TMPDIR/old" "$BATS_TEST_TMPDIR/core_pattern"
	echo "$d/kernel.%p" > "$PATTERN_FILE"
	"$PYTHON" "$TOP/tests/tool/kernelcore.py" "$LEAK_PID" || failed=1
	cat "$BATS_TEST_TMPDIR/core_pattern" > "$PATTERN_FILE"
	rm "$BATS_TEST_TMPDIR/core_pattern"
	[ "$failed" -eq 0 ]
	"$PYTHON" -B "$TOP/tests/tool/corediff.py" "$d/ours" "$d/kernel.$LEAK_PID"
}

# leak_as_the_kernel PATTERN: a leaker's memory of that kind.
leak_as_the_kernel() {
	[ -w "$PATTERN_FILE" ] || skip "the kernel's core_pattern cannot be set here"
	leak "$DUMPS-kernel" --pattern "$1" --dontdump 64K --protnone 64K --reserve 1G
	same_as_the_kernel "$DUMPS-kernel"
}

@test "the kernel's own core of the same threads holds the same, each difference explained" {
	leak_as_the_kernel threads
}

@test "so it does with malloc's heap" {
	leak_as_the_kernel malloc
}

@test "so it does with shared memory that has holes" {
	leak_as_the_kernel memfd
}

# The value stands in a note of the core as often as the register is long, or more: a note of the
# short vectors is shorter.
@test "so it does with vector registers, each thread's in its own length" {
	local d=$DUMPS-kernel registers value
	[ -w "$PATTERN_FILE" ] || skip "the kernel's core_pattern cannot be set here"
	mkdir -p "$d"
	"$BUILD/tool/vectors" > "$d/log" 2>&1 < /dev/null 3>&- &
	LEAK_PID=$!
	wait_until 20 grep -q ready "$d/log"
	same_as_the_kernel "$d"
	while read -r registers value; do
		echo "$registers: $("$PYTHON" -B - "$TOP/tests/tool" "$d/ours" "$value" <<- 'END'
			import sys
			sys.path.insert(0, sys.argv[1])
			from elfcore import Core
			word = int(sys.argv[3], 16).to_bytes(8, "little")
			print(max(data.count(word) for of in Core(sys.argv[2]).threads().values()
			          for kind, data in of.items() if kind != 1))
		END
		)"
	done < <(grep -v ready "$d/log") > "$OUT"
	cat "$OUT"
	[ -s "$OUT" ]
	[ "$(grep -cE ': [1-9]' "$OUT")" -eq "$(wc -l < "$OUT")" ]
	if grep -q scalable "$OUT"; then
		[ "$(sed -n 's/scalable: //p' "$OUT")" -gt "$(sed -n 's/short: //p' "$OUT")" ]
	fi
}
