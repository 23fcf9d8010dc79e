#!/usr/bin/env bats
# A core from another processor, in the hands of readers on this one. The machine of
# tests/vm/aarch64 has left the core and what its memory must hold; the program is the one that was
# cross-compiled, and its libraries are those that it was linked with.

TOP=$(readlink -f "$BATS_TEST_DIRNAME/../..")
BUILD=$(readlink -m "${BUILD:-$TOP/build}")
HOME_OUT=$BUILD/vm/out/aarch64/out
CORE=$HOME_OUT/core
EXPECTED=$HOME_OUT/expected
PROGRAM=$BUILD/aarch64/leaker
SYSROOT=$BUILD/vm/image-base-aarch64/sysroot
THREADS=5 # as in tests/interop/interop.bats

setup() {
	OUT=$BATS_TEST_TMPDIR/out
	[ "$(wc -l < "$EXPECTED")" -eq 50 ]
}

# saw COUNT PATTERN: so often in what the reader said.
saw() {
	[ "$(grep -cE "$2" "$OUT")" -eq "$1" ] || {
		echo "not $1 x $2:" >&2
		head -80 "$OUT" >&2
		return 1
	}
}

@test "oomsnap inspect: complete, and for arm64" {
	"$BUILD/oomsnap" inspect "$CORE" > "$OUT"
	saw 1 'complete, arm64, written by oomsnap'
	saw 1 "^threads +$THREADS$"
}

@test "gdb-multiarch finds the threads, their functions and the leaked bytes" {
	sed 's|^\([^ ]*\) .*|printf "\1 0x%016lx\\n", *(unsigned long *)\1|' "$EXPECTED" \
		> "$BATS_TEST_TMPDIR/commands"
	gdb-multiarch -nx -batch -iex "set sysroot $SYSROOT" -ex 'info threads' \
		-ex 'thread apply all bt' -ex 'info auxv' -ex 'thread 1' -ex 'info registers' \
		-ex 'p $_siginfo.si_signo' -ex 'echo data\n' -x "$BATS_TEST_TMPDIR/commands" \
		"$PROGRAM" "$CORE" > "$OUT" 2> /dev/null
	saw "$THREADS" '^[* ] +[0-9]+ +(Thread 0x|LWP)'
	saw 3 '^#[0-9]+ .*\bworkers_park \('
	saw 1 '^#[0-9]+ .*\bsignal_loop \('
	saw 1 '^#[0-9]+ .*\bmain \('
	saw 1 '^33 +AT_SYSINFO_EHDR .* 0x[0-9a-f]+$'
	saw 1 '^5 +AT_PHNUM .* [0-9]+$'
	saw 31 '^x[0-9]+ +0x[0-9a-f]+ '
	saw 1 '^sp +0xffff[0-9a-f]+ '
	saw 1 '^\$1 = 9$'
	grep -E '^0x[0-9a-f]+ 0x[0-9a-f]{16}$' "$OUT" | diff "$EXPECTED" -
}

@test "drgn finds the threads and the leaked bytes" {
	/usr/bin/python3 -c 'import drgn' 2> /dev/null || skip "python3-drgn is not installed"
	/usr/bin/python3 - "$CORE" "$EXPECTED" "$THREADS" <<- 'END' | diff "$EXPECTED" -
		import sys
		import drgn
		core, expected, threads = sys.argv[1:]
		program = drgn.Program()
		program.set_core_dump(core)
		assert program.platform.arch == drgn.Architecture.AARCH64, program.platform
		assert len({thread.tid for thread in program.threads()}) == int(threads)
		for line in open(expected):
		    address = int(line.split()[0], 16)
		    print(f"{address:#x} {program.read_u64(address):#018x}")
	END
}

@test "lldb finds the threads and the leaked bytes" {
	command -v lldb > /dev/null || skip "lldb is not installed"
	sed 's|^\([^ ]*\) .*|memory read --size 8 --format x --count 1 \1|' "$EXPECTED" \
		> "$BATS_TEST_TMPDIR/commands"
	lldb --no-lldbinit --batch -o "target create $PROGRAM --core $CORE" -o 'thread list' \
		-s "$BATS_TEST_TMPDIR/commands" > "$OUT" 2>&1
	saw "$THREADS" '^[* ] thread #[0-9]+: tid = '
	sed -nE 's/^(0x[0-9a-f]+): (0x[0-9a-f]{16})$/\1 \2/p' "$OUT" | diff "$EXPECTED" -
}

@test "eu-readelf finds every note, and no fault in the file" {
	eu-readelf -h -l -n "$CORE" > "$OUT" 2> "$BATS_TEST_TMPDIR/errors"
	[ ! -s "$BATS_TEST_TMPDIR/errors" ]
	saw 1 'Machine: +AARCH64'
	saw "$THREADS" '^  CORE +392  PRSTATUS'
	saw "$THREADS" '^  CORE +528  FPREGSET'
	saw 1 '^  CORE +[0-9]+  AUXV'
	saw 1 '^  CORE +[0-9]+  FILE'
}
