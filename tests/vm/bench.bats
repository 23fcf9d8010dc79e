#!/usr/bin/env bats
# One benchmark where memory is cgroup v2's. tests/vm/bench runs this and says which; no lane does.
# Trials of the matrix that were done before come and go with /out, for RESUME. Each new one is told at
# once besides, as a comment of TAP: should the machine end early, tests/vm/bench has them from there.

# bats file_tags=lane:vm

@test "the benchmark ends well" {
	export BUILD=/t/build
	mkdir -p "$OOMSNAP_OUT/bench"
	[ ! -d "$BUILD/bench" ] || cp -r "$BUILD/bench/." "$OOMSNAP_OUT/bench"
	rm -rf "$BUILD/bench"
	ln -s "$OOMSNAP_OUT/bench" "$BUILD/bench"
	tail -q --pid=$$ -n "$([ -n "$RESUME" ] && echo 0 || echo +1)" -F \
		"$OOMSNAP_OUT/bench/matrix-trials-$OOMSNAP_LANE-$OOMSNAP_KERNEL${LEVEL:+-$LEVEL}" 2> /dev/null |
		sed -u 's/^/# /' >&3 &
	"/t/tests/bench/bench-$BENCH" > "$OOMSNAP_OUT/bench/table" 2>&1
}
