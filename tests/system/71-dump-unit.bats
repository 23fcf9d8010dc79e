#!/usr/bin/env bats
# oomsnap dump --unit: systemd is asked for the unit's control group, by full name or without suffix.

load helpers

D=/var/tmp/$CG_PREFIX-unit

teardown() {
	rm -rf "$D"
	[ "$OOMSNAP_LANE" != vm-systemd ] || systemctl stop dumped 2> /dev/null || true
}

# bats test_tags=lane:systemd
@test "dump --unit: a running unit, a stopped one, none" {
	need_lane systemd
	mkdir -m 700 "$D"
	systemd-run --quiet --unit=dumped -p MemoryAccounting=yes sleep 1000
	"$OOMSNAP" dump --unit dumped -d "$D/out"
	[[ $(ls "$D/out") == dumped-* ]]
	"$OOMSNAP" dump --unit dumped.service -o "$D/core"
	"$OOMSNAP" inspect "$D/core"
	systemctl stop dumped
	run "$OOMSNAP" dump --unit dumped -d "$D/none"
	[ "$status" -eq 3 ]
	[[ $output == *"there is no running unit 'dumped'"* ]]
	run "$OOMSNAP" dump --unit nonsense.service -d "$D/none"
	[ "$status" -eq 3 ]
	[[ $output == *"there is no running unit 'nonsense.service'"* ]]
}
