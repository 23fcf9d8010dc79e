# shellcheck shell=bash
# Common ground of the system scenarios: control groups, the same on cgroup v1 and v2, and waiting.
# Loaded by every file here with `load helpers`.
#
# A group is called by a short NAME ("app", "pod/app"); its directory is oomsnap-PID-NAME at the
# root of the tree, with PID of the bats run, so that two runs on one machine do not meet. On v1
# the group exists under the memory and the freezer controller, and cg_run enters both. Every
# group of a test is removed, with all processes in it, by the teardown below; a file that needs
# its own teardown calls cg_rm_all there.
#
# Set for scenarios by tests/vm/run, or here on the host: OOMSNAP_LANE (host, vm-plain,
# vm-systemd), OOMSNAP_KERNEL. Set here: CG_VERSION, CG_ROOT, TOP, OOMSNAP, LEAKER.
#
# A test that makes sense in some lanes only carries a tag lane:host, lane:vm (either mode) or
# lane:systemd, and says the same with need_lane. Lanes leave out by tag what is not theirs, so
# that what they count as skipped is something else; need_lane skips where bats is run by hand.

TOP=$(readlink -f "$BATS_TEST_DIRNAME/../..")
BUILD=$(readlink -m "${BUILD:-$TOP/build}")
OOMSNAP=${OOMSNAP:-$BUILD/oomsnap}
LEAKER=${LEAKER:-$BUILD/leaker}
OOMSNAP_LANE=${OOMSNAP_LANE:-host}
OOMSNAP_KERNEL=${OOMSNAP_KERNEL:-$(uname -r)}
export TOP BUILD OOMSNAP LEAKER OOMSNAP_LANE OOMSNAP_KERNEL

# How long the processes of a group may take to die before its removal fails.
CG_RM_SECONDS=20

if grep -qsw memory /sys/fs/cgroup/cgroup.controllers; then
	CG_VERSION=2
	CG_ROOT=/sys/fs/cgroup
else
	CG_VERSION=1
	CG_ROOT=/sys/fs/cgroup/memory
fi
CG_FREEZER=/sys/fs/cgroup/freezer
CG_PREFIX=oomsnap-${BATS_ROOT_PID:-$$}

# wait_until's seconds are those of a machine that has nothing else to do. A busy one takes many times as
# long for everything: nothing fails before so many times as many.
PATIENCE=${PATIENCE:-5}
# But at most so many: a test that waits for ever is to say for what, before bats ends it.
WAIT_MOST=$((${BATS_TEST_TIMEOUT:-300} * 4 / 5))

# wait_until SECONDS COMMAND...: runs the command until it succeeds; fails when the time is up. What is
# to be so soon, and not only some time, is measured by `within`.
wait_until() {
	local seconds=$(($1 * PATIENCE))
	shift
	within $((seconds < WAIT_MOST ? seconds : WAIT_MOST)) "$@"
}

# within SECONDS COMMAND...: the same, and the seconds are the product's promise.
within() {
	local deadline=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@"; do
		if [ "${EPOCHREALTIME/./}" -ge "$deadline" ]; then
			echo "wait_until: still not so: $*" >&2
			return 1
		fi
		sleep 0.02
	done
}

# awaits_usr1 PID: SIGUSR1 would not end the leaker any more, as it does while that is just starting. A
# thread that waits for signals shows none of them as blocked: the others do.
awaits_usr1() {
	local mask
	while read -r mask; do
		((0x$mask >> 9 & 1)) && return 0
	done < <(sed -n 's/^SigBlk:.//p' "/proc/$1/task/"*/status)
	return 1
}

# need_lane host|vm|systemd: skips the test in other lanes.
need_lane() {
	case $1:$OOMSNAP_LANE in
	host:host | vm:vm-* | systemd:vm-systemd) ;;
	*) skip "not for lane $OOMSNAP_LANE" ;;
	esac
}

# cg_path NAME: the group's directory (of the memory controller).
cg_path() {
	echo "$CG_ROOT/$CG_PREFIX-$1"
}

cg_freezer_path() {
	echo "$CG_FREEZER/$CG_PREFIX-$1"
}

# cg_new NAME [LIMIT]: makes the group; its parents must exist. LIMIT as the kernel takes it: bytes,
# or with K, M, G.
cg_new() {
	local dir
	dir=$(cg_path "$1")
	if [ "$CG_VERSION" -eq 2 ]; then
		echo +memory > "$(dirname "$dir")/cgroup.subtree_control" || return
	else
		mkdir "$(cg_freezer_path "$1")" || return
	fi
	mkdir "$dir" || return
	if [ -n "${2:-}" ]; then
		cg_limit "$1" "$2"
	fi
}

# cg_limit NAME [LIMIT]: sets the limit, or prints it in bytes; "max" where there is none.
cg_limit() {
	local file value
	file=$(cg_path "$1")/memory.max
	[ "$CG_VERSION" -eq 2 ] || file=$(cg_path "$1")/memory.limit_in_bytes
	if [ -n "${2:-}" ]; then
		if [ "$CG_VERSION" -eq 1 ] && [ "$2" = max ]; then
			echo -1 > "$file"
		else
			echo "$2" > "$file"
		fi
		return
	fi
	read -r value < "$file" || return
	# v1 has no word for it: the largest page-aligned value stands for "none".
	if [ "$CG_VERSION" -eq 1 ] && [ "$value" -gt $((1 << 62)) ]; then
		value=max
	fi
	echo "$value"
}

# cg_usage NAME: bytes charged now.
cg_usage() {
	if [ "$CG_VERSION" -eq 2 ]; then
		cat "$(cg_path "$1")/memory.current"
	else
		cat "$(cg_path "$1")/memory.usage_in_bytes"
	fi
}

# cg_peak NAME: the most bytes ever charged. Linux 5.19 and later on v2.
cg_peak() {
	if [ "$CG_VERSION" -eq 2 ]; then
		cat "$(cg_path "$1")/memory.peak"
	else
		cat "$(cg_path "$1")/memory.max_usage_in_bytes"
	fi
}

# cg_oom_kill NAME: processes that the OOM killer has killed there.
cg_oom_kill() {
	if [ "$CG_VERSION" -eq 2 ]; then
		awk '$1 == "oom_kill" {print $2}' "$(cg_path "$1")/memory.events"
	else
		awk '$1 == "oom_kill" {print $2}' "$(cg_path "$1")/memory.oom_control"
	fi
}

# cg_procs NAME: ids of the processes in it, one a line.
cg_procs() {
	cat "$(cg_path "$1")/cgroup.procs"
}

cg_empty() {
	[ -z "$(cg_procs "$1")" ]
}

# cg_enter NAME: moves this shell into the group.
cg_enter() {
	if [ "$CG_VERSION" -eq 1 ]; then
		echo "$BASHPID" > "$(cg_freezer_path "$1")/cgroup.procs" || return
	fi
	echo "$BASHPID" > "$(cg_path "$1")/cgroup.procs"
}

# cg_run NAME COMMAND...: runs the command in the group, to its end.
cg_run() {
	local name=$1
	shift
	(
		cg_enter "$name" || exit 126
		exec "$@"
	)
}

# cg_spawn NAME COMMAND...: starts the command in the group; its id is in CG_PID. It has left this
# shell's group when cg_spawn returns. Descriptor 3 is bats' own and must not stay open in it.
cg_spawn() {
	local name=$1
	shift
	(
		cg_enter "$name" || exit 126
		exec "$@"
	) < /dev/null 3>&- &
	CG_PID=$!
	wait_until 20 cg_has_or_gone "$name" "$CG_PID"
}

# On v1 the memory controller is entered last: who is there has arrived.
cg_has_or_gone() {
	[ ! -e "/proc/$2" ] || grep -qsx "$2" "$(cg_path "$1")/cgroup.procs"
}

# Ends everything in one group directory and removes it. A stopped, frozen or shielded process dies
# too: the group is thawed, and SIGKILL acts on stopped ones and on those that wait for memory.
cg_end_dir() {
	local dir=$1 freezer=$CG_FREEZER/${1#"$CG_ROOT/"} pid
	if [ "$CG_VERSION" -eq 2 ]; then
		echo 0 > "$dir/cgroup.freeze"
		echo 1 > "$dir/cgroup.kill"
		# Linux 6.1's cgroup.kill passes over a process whose first thread has ended.
		while read -r pid; do
			kill -KILL "$pid" 2> /dev/null || true
		done < "$dir/cgroup.procs"
	else
		[ ! -d "$freezer" ] || echo THAWED > "$freezer/freezer.state"
		while read -r pid; do
			kill -KILL "$pid" 2> /dev/null || true
		done < <(cat "$dir/cgroup.procs" "$freezer/cgroup.procs" 2> /dev/null)
		[ ! -d "$freezer" ] || rmdir "$freezer" 2> /dev/null || return
	fi
	rmdir "$dir" 2> /dev/null
}

# cg_rm NAME: kills what is in the group and in those below it, and removes them. Fails, naming
# what is left, if that takes longer than CG_RM_SECONDS.
cg_rm() {
	local dir
	dir=$(cg_path "$1")
	while read -r dir; do
		if ! wait_until "$CG_RM_SECONDS" cg_end_dir "$dir"; then
			echo "cg_rm: $dir keeps $(tr '\n' ' ' < "$dir/cgroup.procs")" >&2
			return 1
		fi
	done < <(find "$dir" -depth -type d)
}

# cg_rm_all: removes every group of this run.
cg_rm_all() {
	local dir result=0
	for dir in "$CG_ROOT/$CG_PREFIX"-*; do
		[ -d "$dir" ] || continue
		cg_rm "${dir#"$CG_ROOT/$CG_PREFIX-"}" || result=1
	done
	if [ "$CG_VERSION" -eq 1 ]; then
		find "$CG_FREEZER" -mindepth 1 -depth -type d -path "$CG_FREEZER/$CG_PREFIX-*" \
			-exec rmdir {} + || result=1
	fi
	return "$result"
}

teardown() {
	cg_rm_all
}
