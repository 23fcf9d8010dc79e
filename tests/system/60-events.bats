#!/usr/bin/env bats
# What journald, `oomsnap events`, journalctl -x and coredumpctl make of our entries: a journald of
# the test's own, in a mount namespace with an empty /run/systemd/journal, so that neither the
# machine's journal (if it has one) nor its core_pattern is touched. The same where systemd runs;
# what the service itself writes into the machine's journal is read in 70-systemd.

load helpers

setup() {
	LIVE=$BUILD/unit/test_event_live
	export LIVE BATS_TEST_TMPDIR
	[ -x /lib/systemd/systemd-journald ] || skip "no systemd-journald on this machine"
}

# with_journal COMMAND...: runs it where journald listens; /run and /var/log are private.
with_journal() {
	# shellcheck disable=SC2016
	unshare --mount --propagation private bash -c '
		set -e
		mkdir -p /run/systemd/journal /run/log /var/log/journal
		mount -t tmpfs none /run/systemd/journal
		mount -t tmpfs none /run/log
		mount -t tmpfs none /var/log/journal
		/lib/systemd/systemd-journald 2>"$BATS_TEST_TMPDIR/journald.log" &
		journald=$!
		trap "kill $journald; wait $journald || true" EXIT
		deadline=$((SECONDS + 60))
		until [ -S /run/systemd/journal/socket ] && compgen -G "/run/log/journal/*/system.journal" >/dev/null; do
			[ $SECONDS -lt $deadline ] || { cat "$BATS_TEST_TMPDIR/journald.log"; exit 1; }
			sleep 0.02
		done
		"$@"' -- "$@"
}

deb_get() {
	(cd "$1" && apt-get -q download systemd-coredump) >&2
}

# The coredumpctl of the machine, or one unpacked from its package: installing that would change
# core_pattern.
find_coredumpctl() {
	COREDUMPCTL=$(command -v coredumpctl || true)
	if [ -z "$COREDUMPCTL" ]; then
		local dir=$BUILD/deb/systemd-coredump
		if [ ! -x "$dir/usr/bin/coredumpctl" ]; then
			mkdir -p "$dir"
			# Where the lists of packages are old, the version that they name may be gone.
			deb_get "$dir" || { apt-get -q update >&2 && deb_get "$dir"; } ||
				skip "no coredumpctl, and its package cannot be had"
			dpkg -x "$dir"/systemd-coredump_*.deb "$dir"
		fi
		COREDUMPCTL=$dir/usr/bin/coredumpctl
	fi
	export COREDUMPCTL
}

@test "journald stores our entries with every field" {
	run with_journal "$LIVE"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"ok 1 - test_what_the_journal_stored"* ]]
	[[ $output != *SKIP* ]]
}

@test "oomsnap events shows them, as text and as JSON" {
	# shellcheck disable=SC2016
	run with_journal bash -c '"$LIVE" >/dev/null && "$OOMSNAP" events && "$OOMSNAP" events --json &&
		"$OOMSNAP" events --since 1h | wc -l && "$OOMSNAP" events --since @4000000000 | wc -l'
	echo "$output"
	[ "$status" -eq 0 ]
	[[ ${lines[0]} =~ ^[0-9-]+\ [0-9:]+\ live-[0-9]+\ lost:\ the\ kernel\ killed\ it$ ]]
	[[ ${lines[1]} == *'"OOMSNAP_EVENT":"lost"'* ]]
	grep -q '"OOMSNAP_OOM_KILLS":1[,}]' <<<"${lines[1]}"
	[[ ${lines[1]} == *'"OOMSNAP_COMM":"two\\x0alines"'* ]]
	[ "${lines[2]}" = 1 ]
	[ "${lines[3]}" = 0 ]
}

@test "an entry that another user sent says so" {
	# shellcheck disable=SC2016
	run with_journal bash -c '
		id=$(awk "/^-- / {id = \$2} /before its capture was complete/ {print id}" \
			"$TOP/conf/oomsnap.catalog")
		printf "MESSAGE=forged\nMESSAGE_ID=%s\nOOMSNAP_TARGET=evil\033[2J\n" "$id" |
			setpriv --reuid 65534 --clear-groups logger --journald
		"$LIVE" >/dev/null
		"$OOMSNAP" events'
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *'evil\x1b[2J'*'forged (told by user 65534)'* ]]
	[[ $output != *$'\033'* ]]
}

@test "oomsnap events -f shows what comes, with --since and --json too" {
	# shellcheck disable=SC2016
	run with_journal bash -c '
		"$LIVE" >/dev/null
		"$OOMSNAP" events -f >"$BATS_TEST_TMPDIR/follow" &
		follower=$!
		"$OOMSNAP" events -f --since 1h --json >"$BATS_TEST_TMPDIR/json" &
		json=$!
		for n in 1 2; do
			deadline=$((SECONDS + 60))
			until [ "$(wc -l <"$BATS_TEST_TMPDIR/follow")" -eq $n ] &&
				[ "$(grep -c "^{.*\"OOMSNAP_EVENT\":\"lost\".*}$" "$BATS_TEST_TMPDIR/json")" -eq $n ]; do
				[ $SECONDS -lt $deadline ] || exit 1
				sleep 0.02
			done
			[ $n -eq 2 ] || "$LIVE" >/dev/null
		done
		kill $follower $json'
	[ "$status" -eq 0 ]
}

@test "without a journal oomsnap events says where to look" {
	run unshare --mount --propagation private bash -c '
		mount -t tmpfs none /run && mount -t tmpfs none /var/log && "$OOMSNAP" events'
	echo "$output"
	[ "$status" -eq 3 ]
	[[ $output == *"there is no journal here"*"JSON lines"* ]]
}

@test "journalctl -x explains every event" {
	local catalog=$BATS_TEST_TMPDIR/catalog
	mkdir -p "$catalog/usr/lib/systemd/catalog" "$catalog/var/lib/systemd/catalog"
	cp "$TOP/conf/oomsnap.catalog" "$catalog/usr/lib/systemd/catalog/"
	journalctl --root="$catalog" --update-catalog
	# shellcheck disable=SC2016
	run with_journal bash -c '
		mkdir -p /var/lib/systemd/catalog
		mount --bind "$0/var/lib/systemd/catalog" /var/lib/systemd/catalog
		"$LIVE" >/dev/null
		journalctl -x --no-pager -o short' "$catalog"
	echo "$output"
	[ "$status" -eq 0 ]
	[[ $output == *"The kernel killed a process of live-"* ]]
}

@test "coredumpctl lists, describes and opens our core" {
	find_coredumpctl
	command -v gdb >/dev/null || skip "no gdb"
	# shellcheck disable=SC2016
	run with_journal bash -c '
		set -e
		cd "$BATS_TEST_TMPDIR"
		sleep 300 & victim=$!
		trap "kill $victim" EXIT
		deadline=$((SECONDS + 60))
		until [ "$(cat /proc/$victim/comm)" = sleep ]; do
			[ $SECONDS -lt $deadline ] || exit 1
			sleep 0.02
		done
		"$OOMSNAP" dump "$victim" -o "$PWD/core.$victim" --allow-memory >/dev/null 2>&1
		"$LIVE" coredump $victim /usr/bin/sleep "$PWD/core.$victim"
		"$LIVE" coredump 77 /usr/bin/sleep "$PWD/core.$victim" partial
		"$LIVE" coredump 78 /usr/bin/sleep "$PWD/missing"
		deadline=$((SECONDS + 60))
		until [ "$("$COREDUMPCTL" --no-legend list 2>/dev/null | wc -l)" -eq 3 ]; do
			[ $SECONDS -lt $deadline ] || exit 1
			sleep 0.05
		done
		"$COREDUMPCTL" --no-legend list
		"$COREDUMPCTL" --no-pager info $victim
		echo "info proc exe" | "$COREDUMPCTL" gdb $victim 2>&1'
	echo "$output"
	[ "$status" -eq 0 ]
	[[ ${lines[0]} == *" 1001 1001 SIGKILL present "*"/usr/bin/sleep"* ]]
	[[ ${lines[1]} == *" 77 1001 1001 SIGKILL truncated "* ]]
	[[ ${lines[2]} == *" 78 1001 1001 SIGKILL missing "* ]]
	[[ $output == *"was captured by oomsnap before it ran out of memory"* ]]
	[[ $output == *"Core was generated by"*sleep* ]]
}
