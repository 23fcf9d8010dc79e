#!/usr/bin/env bats
# The capturer on its own: what becomes of a capture when the watchdog is no longer there, and that
# old captures are cleared up.

load helpers
load watch

finished() {
	compgen -G "$DUMPS/*Z-*[0-9]" > /dev/null
}

@test "the watchdog dies before the release: the capturer finishes the bundle as an orphan" {
	cg_new app 64M
	OOMSNAP_WATCH=$TEST_OOMSNAP OOMSNAP_FAULT=release-before=kill watch_start app
	cg_spawn app "$LEAKER" --pattern touch --rate 50 --total 60M --hold yes
	wait "$WATCH_PID" || true
	WATCH_PID=
	wait_until 20 finished
	wait_until 10 is_normal app "$CG_PID" $((64 << 20))
	local bundle=("$DUMPS"/*Z-*)
	[ ${#bundle[@]} -eq 1 ]
	core_is_whole "${bundle[0]}/core" $((40 << 20))
	"$OOMSNAP" inspect "${bundle[0]}/core" > /dev/null
	python3 - "${bundle[0]}/report.json" <<- 'END'
		import json, sys
		r = json.load(open(sys.argv[1]))
		assert r["incident"]["orphaned"] is True, r["incident"]
		assert r["capture"]["complete"] is True, r["capture"]
		assert len(r["history"]) > 1
	END
	grep -q "the watchdog died" "${bundle[0]}/report.html"
}

@test "keep: the oldest bundles of the target go, and no others" {
	cg_new app 64M
	mkdir -m 700 "$DUMPS"
	local name
	name=$(basename "$(cg_path app)")
	mkdir "$DUMPS/$name-20200101T000000Z-1" "$DUMPS/$name-20200102T000000Z-1" \
		"$DUMPS/other-20200101T000000Z-1" "$DUMPS/$name-20200101T000000Z-7.partial"
	echo old > "$DUMPS/$name-20200101T000000Z-1/core"
	watch_start app --set keep=2
	cg_spawn app "$LEAKER" --pattern touch --rate 50 --total 60M --hold yes
	wait_event captured
	wait_until 10 test ! -e "$DUMPS/$name-20200101T000000Z-1"
	wait_until 10 test ! -e "$DUMPS/$name-20200101T000000Z-7.partial"
	[ -d "$DUMPS/$name-20200102T000000Z-1" ]
	[ -d "$DUMPS/other-20200101T000000Z-1" ]
	watch_stop
}
