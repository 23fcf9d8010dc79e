#!/usr/bin/env bats
# One benchmark where memory is cgroup v2's. tests/vm/bench runs this and says which; no lane does.
# Trials of the matrix that were done before come and go with /out, for RESUME.

# bats file_tags=lane:vm

@test "the benchmark ends well" {
	export BUILD=/t/build
	mkdir -p "$OOMSNAP_OUT/bench"
	[ ! -d "$BUILD/bench" ] || cp -r "$BUILD/bench/." "$OOMSNAP_OUT/bench"
	rm -rf "$BUILD/bench"
	ln -s "$OOMSNAP_OUT/bench" "$BUILD/bench"
	"/t/tests/bench/bench-$BENCH" > "$OOMSNAP_OUT/bench/table" 2>&1
}
