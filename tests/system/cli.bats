#!/usr/bin/env bats
# The command line of every command: what is refused with which sentence and which exit status, and
# what becomes of output that nobody takes.

load helpers
load watch

COMMANDS="watch dump check status inspect events"

teardown() {
	watch_teardown
}

# refused STATUS TEXT COMMAND [ARGUMENT...]: one sentence of ours that has TEXT in it.
refused() {
	local expected=$1 text=$2
	shift 2
	run "$OOMSNAP" "$@"
	echo "oomsnap $*: $status: $output"
	[ "$status" -eq "$expected" ]
	[ "${#lines[@]}" -eq 1 ]
	[[ $output == "oomsnap: "*"$text"* ]]
}

@test "each command refuses what it does not know in one sentence, and says where to look" {
	for c in $COMMANDS; do
		refused 2 "there is no option --nonsense; see oomsnap $c --help" "$c" --nonsense
	done
	refused 2 "there is no command 'nonsense'" nonsense
	refused 2 "--cgroup needs a value; see oomsnap watch --help" watch --cgroup
	refused 2 "--set needs a value; see oomsnap check --help" check --set
	refused 2 "--since needs a value; see oomsnap events --help" events --since
	refused 2 "--runtime-dir needs a value; see oomsnap status --help" status --runtime-dir
	refused 2 "unexpected argument 'more'" watch more
	refused 2 "events takes no 'more'" events more
	refused 2 "a time above 0" dump $$ --deadline 0s
	refused 3 "/nonexistent: " events -D /nonexistent
	refused 1 "a directory; name the core in it" inspect /
	refused 1 "not a regular file; name the core itself" inspect /dev/null
}

@test "each command's help names its exit statuses and is no longer than a screen is wide" {
	for c in $COMMANDS; do
		run "$OOMSNAP" "$c" --help
		[ "$status" -eq 0 ]
		[[ ${lines[0]} == "Usage: oomsnap $c"* ]]
		[[ $output == *"Exit status: 0 "* ]]
		[[ $output == *"-h, --help"* ]]
		[ "$(grep -cE '.{97}' <<< "$output")" -eq 0 ]
	done
}

@test "output that cannot be written is a failure, however much it is" {
	local core=/var/tmp/$CG_PREFIX-core
	sleep 1000 3>&- &
	"$OOMSNAP" dump $! -o "$core"
	kill $!
	for c in "inspect $core" "inspect --json $core" "check --cgroup $CG_ROOT/none" --help --version \
		"dump --help" "events --help"; do
		status=0
		# shellcheck disable=SC2086 # words
		"$OOMSNAP" $c > /dev/full 2> "$EVENTS" || status=$?
		echo "$c: $status: $(cat "$EVENTS")"
		[ "$status" -ne 0 ]
		[ "$(cat "$EVENTS")" = "oomsnap: cannot write to standard output" ]
	done
	rm "$core"
}

@test "check: a target that cannot be is not said to come" {
	run bash -c '"$0" check --cgroup /tmp 2> "$1"' "$OOMSNAP" "$EVENTS"
	echo "$output"
	[ "$status" -eq 3 ]
	[[ $output == *"not watched: standard error says why"* ]]
	[[ $output != *"when it comes"* ]]
	grep -q "/tmp: it is not a directory of a mounted cgroup file system" "$EVENTS"
	run "$OOMSNAP" check --cgroup "$CG_ROOT/none"
	echo "$output"
	[ "$status" -eq 3 ]
	[[ $output == *"not there: cgroup = $CG_ROOT/none finds no cgroup at the moment"* ]]
}
