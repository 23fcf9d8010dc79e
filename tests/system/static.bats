#!/usr/bin/env bats
# oomsnap-dump, the static program: alone in an empty root it dumps and inspects.

load helpers

D=/var/tmp/$CG_PREFIX-static

setup() {
	make -s -C "$TOP" static > /dev/null
	mkdir -p "$D/root/proc" "$D/root/out"
	chmod 700 "$D/root/out"
	PID=
}

teardown() {
	[ -z "$PID" ] || kill -KILL "$PID" 2> /dev/null || true
	rm -rf "$D"
	cg_rm_all
}

# inside ARGUMENT...: the program in a root that holds nothing but it and /proc.
inside() {
	unshare -m bash -c 'mount -t proc proc "$0/proc" && exec chroot "$0" /oomsnap-dump "$@"' "$D/root" "$@"
}

@test "in an empty root, without a library, it dumps and inspects; at most 3 MB" {
	cp "$BUILD/oomsnap-dump" "$D/root/"
	[ "$(stat -c %s "$D/root/oomsnap-dump")" -le 3000000 ]
	[ "$(readelf -d "$D/root/oomsnap-dump" | grep -c NEEDED)" -eq 0 ]
	cg_new app 64M
	cg_spawn app "$LEAKER" --pattern touch --rate max --total 20M --ready-file "$D/ready"
	PID=$CG_PID
	wait_until 20 test -s "$D/ready"
	inside dump "$PID" --output /out/core
	inside inspect /out/core | grep -q leaker
	"$BUILD/tool/corecheck" "$D/root/out/core"
	run inside dump --unit web.service
	echo "$output"
	[ "$status" -ne 0 ]
	run inside watch
	[ "$status" -eq 2 ]
}
