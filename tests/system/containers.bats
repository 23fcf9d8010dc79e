#!/usr/bin/env bats
# Selectors that stand for containers: siblings (the sidecar in a pod) and kubepods (one watchdog a
# node). Real processes in real control groups, laid out as a pod and as a node are; containers
# made by podman are pods.bats'.

load helpers
load watch

D=/var/tmp/$CG_PREFIX-node

teardown() {
	[ -z "${HOLDER:-}" ] || kill -KILL "$HOLDER" 2> /dev/null || true
	watch_teardown
	rm -rf "$D"
}

# --- a pod -----------------------------------------------------------------------------------------

# pod_start: a pid namespace; its first process sits in our own group, as nothing else does.
pod_start() {
	cg_new us 256M
	(
		cg_enter us
		exec unshare --pid --fork --mount-proc --kill-child sleep 1000
	) < /dev/null > /dev/null 2>&1 3>&- &
	HOLDER=$!
	wait_until 10 pod_init
}

pod_init() {
	POD_INIT=$(pgrep -P "$HOLDER" -x sleep)
}

# pod_spawn NAME COMMAND...: a process of the pod in that group; its id here is in POD_PID. Until it is
# the command it has the name under which runc enters a container: no container is called that.
pod_spawn() {
	local name=$1
	shift
	# shellcheck disable=SC2016 # for the inner shell
	nsenter -t "$POD_INIT" -p -m bash -c 'printf "runc:[2:INIT]" > /proc/self/comm
		echo 0 > "$0/cgroup.procs" && exec "$@"' \
		"$(cg_path "$name")" "$@" < /dev/null > /dev/null 2>> "${POD_ERR:-/dev/null}" 3>&- &
	wait_until 20 pod_arrived "$name"
}

pod_arrived() {
	POD_PID=$(cg_procs "$1" | tail -n 1)
	[ -n "$POD_PID" ] && [[ $(cat "/proc/$POD_PID/comm") != runc:* ]]
}

# pod_watch: the sidecar. WATCH_PID stays empty: it ends with its namespace.
pod_watch() {
	: > "$EVENTS"
	POD_ERR=$EVENTS pod_spawn us "$OOMSNAP" watch --json --siblings --runtime-dir "$RUNTIME" \
		--set tripwire="$WATCH_TRIPWIRE" \
		--set directory="$DUMPS"
}

has_event() {
	event_line "$1" | grep -q "$2" || grep "\"OOMSNAP_EVENT\":\"$1\"" "$EVENTS" | grep -q "$2"
}

core_of() {
	grep '"OOMSNAP_EVENT":"captured"' "$EVENTS" | grep "\"OOMSNAP_TARGET\":\"$1\"" | tail -n 1 |
		sed -n 's/.*"OOMSNAP_CORE":"\([^"]*\)".*/\1/p'
}

@test "siblings: two containers leak at once, both are captured; one starts again and is found again" {
	cg_new app 64M
	cg_new web 64M
	pod_start
	pod_watch
	pod_spawn app "$LEAKER" --pattern touch --rate 40 --total 62M
	cp "$LEAKER" "$D.web"
	pod_spawn web "$D.web" --pattern touch --rate 40 --total 62M
	rm -f "$D.web"
	wait_event captured 2 60
	core_is_whole "$(core_of siblings-leaker)" $((40 << 20))
	core_is_whole "$(core_of "siblings-$(basename "$D.web" | cut -c 1-15)")" $((40 << 20))
	[ "$(cg_oom_kill app)" -eq 0 ]
	[ "$(cg_oom_kill web)" -eq 0 ]
	[ "$(event_count lost)" -eq 0 ]
	cg_rm app
	wait_event target-gone
	cg_new app 64M
	pod_spawn app "$LEAKER" --pattern touch --rate 40 --total 62M
	wait_event captured 3 60
	[ "$(event_field captured TARGET)" = siblings-leaker ]
	core_is_whole "$(event_field captured CORE)" $((40 << 20))
}

# What a container runtime mounts for a container with a cgroup namespace of its own.
CONTAINED='umount /sys/fs/cgroup && mount -t cgroup2 -o ro none /sys/fs/cgroup && exec "$@"'

# The container's processes have become the leaker, which is told to begin once it is watched.
app_waits() {
	local pid
	pid=$(cg_procs app)
	[ "$(cat "/proc/$pid/comm" 2> /dev/null)" = leaker ] && awaits_usr1 "$pid"
}

# bats test_tags=lane:vm
@test "siblings on cgroup v2: seen through their own view, and guaranteed by SYS_RESOURCE" {
	need_lane vm
	cg_new app 64M
	pod_start
	pod_spawn app unshare -C -m bash -c "$CONTAINED" - "$LEAKER" --pattern populate --rate 10 --chunk 4M \
		--start-paused
	wait_until 20 app_waits
	: > "$EVENTS"
	POD_ERR=$EVENTS pod_spawn us unshare -C -m bash -c "$CONTAINED" - "$OOMSNAP" watch --json --siblings \
		--runtime-dir "$RUNTIME" --set directory="$DUMPS" --set verdict=oom \
		--set tripwire="$WATCH_TRIPWIRE"
	wait_event guarantee
	kill -USR1 "$(cg_procs app)"
	wait_event captured 1 60
	[[ $(event_field target-found CGROUP) == /proc/*/root/sys/fs/cgroup ]]
	[ "$(event_field guarantee GUARANTEE)" = guaranteed ]
	core_is_whole "$(event_field captured CORE)" $((30 << 20))
	wait_event killed 1 60
	cg_rm app # as a container's runtime does
	wait_event target-gone 1 60
	[ "$(event_count lost)" -eq 0 ]
}

@test "siblings outside of a pod would be every service: refused, in words" {
	: > "$EVENTS"
	"$OOMSNAP" watch --json --siblings --runtime-dir "$RUNTIME" --set directory="$DUMPS" \
		< /dev/null 2> "$EVENTS" 3>&- &
	WATCH_PID=$!
	wait_event degraded
	[[ $(event_line degraded) == *"not of one pod"* ]]
	[ "$(event_count target-found)" -eq 0 ]
	watch_stop
}

@test "the reason is in the termination log of the container, behind what was there" {
	cg_new app 64M
	: > "$EVENTS"
	mkdir -p "$D"
	echo "from the program" > "$D/log"
	watch_start app --set verdict=oom
	# shellcheck disable=SC2016 # for the inner shell
	cg_spawn app unshare -m bash -c 'mount -t tmpfs none /dev && touch /dev/termination-log &&
		mount --bind "$0" /dev/termination-log && exec "$@"' "$D/log" \
		"$LEAKER" --pattern touch --rate 60
	wait_event captured
	wait_until 20 is_gone "$CG_PID"
	wait_event killed
	cat "$D/log"
	[ "$(head -n 1 "$D/log")" = "from the program" ]
	[[ $(tail -n 1 "$D/log") == "oomsnap: leaker (pid "*"core in $(event_field captured PATH)" ]]
	[ "$(wc -l < "$D/log")" -eq 2 ]
	watch_stop
}

@test "a termination log that is a link, a FIFO or too long is left alone" {
	local kind
	for kind in 'ln -s "$0" /dev/termination-log' 'mkfifo /dev/termination-log' \
		'ln "$0" "$0.2" && touch /dev/termination-log && mount --bind "$0" /dev/termination-log' \
		'head -c 4096 /dev/zero > /dev/l && mv /dev/l /dev/termination-log'; do
		rm -rf "$D" "$EVENTS"
		mkdir -p "$D"
		echo untouched > "$D/log"
		cg_new app 64M
		cg_spawn app unshare -m bash -c "mount -t tmpfs none /mnt && mknod -m 666 /mnt/zero c 1 5 &&
			mount --move /mnt /dev && $kind && exec \"\$@\"" "$D/log" \
			"$LEAKER" --pattern touch --rate max --total 60M
		watch_start app
		wait_event captured
		[ "$(cat "$D/log")" = untouched ]
		watch_stop
		cg_rm app
	done
}

# --- a node ----------------------------------------------------------------------------------------

# A container's id from a word: 64 hexadecimal digits.
id_of() {
	printf '%s' "$1" | sha256sum | cut -d ' ' -f 1
}

# node_start: a node's tree of control groups and its /, the one below a group of ours.
node_start() {
	cg_new node
	mkdir -p "$D/sys/fs"
	if [ "$CG_VERSION" -eq 1 ]; then
		mkdir "$D/sys/fs/cgroup"
		ln -s "$(cg_path node)" "$D/sys/fs/cgroup/memory"
	else
		ln -s "$(cg_path node)" "$D/sys/fs/cgroup"
	fi
}

# group_path NAME [LIMIT]: the group and its parents.
group_path() {
	local name=$1 limit=${2:-} so_far='' part
	local -a parts
	IFS=/ read -r -a parts <<< "$name"
	for part in "${parts[@]}"; do
		so_far=${so_far:+$so_far/}$part
		[ -d "$(cg_path "$so_far")" ] || cg_new "$so_far"
	done
	[ -z "$limit" ] || cg_limit "$name" "$limit"
}

# crio_container WORD NAMESPACE POD CONTAINER ANNOTATIONS [TYPE]: what CRI-O leaves of one. The group
# is in GROUP; crun's own group below it in which the processes live, too.
crio_container() {
	local id dir
	id=$(id_of "$1")
	dir=$D/run/containers/storage/overlay-containers/$id/userdata
	mkdir -p "$dir"
	cat > "$dir/config.json" <<- END
		{"ociVersion":"1.0.2-dev","process":{"user":{"uid":1000,"gid":0},"args":["/leaker"],"env":["PATH=/bin","HOSTNAME=$3"],"cwd":"/"},
		"root":{"path":"/var/lib/containers/storage/overlay/x/merged"},"hostname":"$3","mounts":[{"destination":"/proc","type":"proc","source":"proc","options":["nosuid"]}],
		"annotations":{"io.kubernetes.cri-o.Annotations":"$5","io.kubernetes.cri-o.ContainerType":"${6:-container}","io.kubernetes.container.name":"$4","io.kubernetes.pod.name":"$3","io.kubernetes.pod.namespace":"$2","io.kubernetes.cri-o.Labels":"{\\"app\\":\\"x\\"}"},
		"linux":{"resources":{"memory":{"limit":67108864}}}}
	END
	GROUP=node/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0a1b_2c.slice/crio-$id.scope
	group_path "$GROUP/container"
	cg_limit "$GROUP" 64M
}

# containerd_container WORD NAMESPACE POD CONTAINER WATCH [PARENT]: the same by containerd. PARENT is
# the pod's group where the kubelet's driver is cgroupfs, which names a container by its id alone.
containerd_container() {
	local id dir
	id=$(id_of "$1")
	dir=$D/run/containerd/io.containerd.runtime.v2.task/k8s.io/$id
	mkdir -p "$dir"
	cat > "$dir/config.json" <<- END
		{"ociVersion":"1.1.0","process":{"user":{"uid":0,"gid":0},"args":["leaker"],"env":["PATH=/bin","OOMSNAP_WATCH=$5"],"cwd":"/"},
		"annotations":{"io.kubernetes.cri.container-name":"$4","io.kubernetes.cri.container-type":"container","io.kubernetes.cri.sandbox-id":"$id","io.kubernetes.cri.sandbox-name":"$3","io.kubernetes.cri.sandbox-namespace":"$2"}}
	END
	GROUP=${6:+node/$6/$id}
	GROUP=${GROUP:-node/kubepods.slice/kubepods-pod77.slice/cri-containerd-$id.scope}
	group_path "$GROUP" 64M
}

@test "kubepods: opted-in containers of CRI-O and containerd, by namespace, pod and container; no others" {
	local crio other ctr leak=("$LEAKER" --pattern touch --rate 40 --total 62M)
	node_start
	crio_container sandbox shop web-7d9 POD '{\"oomsnap/watch\":\"on\"}' sandbox
	crio_container conmon shop web-7d9 app '{}'
	other=$GROUP
	crio_container app shop web-7d9 app '{\"oomsnap/watch\":\"on\",\"x\":\"y\"}'
	crio=$GROUP
	mkdir -p "$D"
	printf '[defaults]\ndirectory = %s\n[target node]\nkubepods = %s\n' "$DUMPS" "$D" > "$D/ini"
	: > "$EVENTS"
	"$OOMSNAP" watch --json -c "$D/ini" --runtime-dir "$RUNTIME" \
		--set tripwire="$WATCH_TRIPWIRE" < /dev/null 2> "$EVENTS" 3>&- &
	WATCH_PID=$!
	wait_event target-found
	[ "$(event_field target-found POD)" = shop/web-7d9 ]
	[ "$(event_field target-found CONTAINER)" = app ]
	cg_spawn "$other" "$LEAKER" --pattern touch --rate max --total 62M
	cg_spawn "$crio/container" "${leak[@]}"
	containerd_container ctr pay till-0 cashier on
	ctr=$GROUP
	wait_event target-found 2
	cg_spawn "$ctr" "${leak[@]}"
	wait_event captured 2 60
	has_event captured '"OOMSNAP_POD":"pay/till-0".*"OOMSNAP_CONTAINER":"cashier"'
	has_event captured '"OOMSNAP_POD":"shop/web-7d9".*"OOMSNAP_CONTAINER":"app"'
	core_is_whole "$(core_of node-shop.app)" $((40 << 20))
	core_is_whole "$(core_of node-pay.cashier)" $((40 << 20))
	# The kubelet starts it again: another id, another group.
	cg_rm "$crio"
	wait_event target-gone
	crio_container app-again shop web-7d9 app '{\"oomsnap/watch\":\"on\"}'
	wait_event target-found 3
	cg_spawn "$GROUP/container" "${leak[@]}"
	wait_event captured 3 60
	[ "$(event_field captured TARGET)" = node-shop.app ]
	core_is_whole "$(event_field captured CORE)" $((40 << 20))
	[ "$(event_count lost)" -eq 0 ]
	# Nobody else was looked at: the sandbox, the one without the annotation.
	[ "$(event_count target-found)" -eq 3 ]
	run "$OOMSNAP" check --json -c "$D/ini"
	echo "$output"
	[ "$(grep -c '"found":true' <<< "$output")" -eq 2 ]
	watch_stop
}

# capturer_hangs: the first of the crew stands stopped, at a core that is still to be finished.
capturer_hangs() {
	local pid
	for pid in $(pgrep -P "$WATCH_PID" -x oomsnap-capture); do
		! is_stopped "$pid" || return 0
	done
	return 1
}

# bats test_tags=lane:host
@test "kubepods: a core that is still being finished keeps its container's names and history" {
	need_lane host
	local old
	node_start
	crio_container app shop web-7d9 app '{\"oomsnap/watch\":\"on\"}'
	old=$GROUP
	printf '[defaults]\ndirectory = %s\n[target node]\nkubepods = %s\n' "$DUMPS" "$D" > "$D/ini"
	: > "$EVENTS"
	OOMSNAP_FAULT=capture-sync=stop "$TEST_OOMSNAP" watch --json -c "$D/ini" \
		--runtime-dir "$RUNTIME" --set tripwire="$WATCH_TRIPWIRE" < /dev/null 2> "$EVENTS" 3>&- &
	WATCH_PID=$!
	wait_event guarantee
	cg_spawn "$old/container" "$LEAKER" --pattern touch --rate 40 --total 62M
	wait_event released
	wait_until 10 capturer_hangs
	cg_rm "$old"
	wait_event target-gone
	containerd_container ctr pay till-0 cashier on
	wait_event target-found 2
	[ "$(event_field target-found POD)" = pay/till-0 ]
	wait_until 20 go_on captured 1
	[ "$(event_field captured TARGET)" = node-shop.app ]
	[ "$(event_field captured POD)" = shop/web-7d9 ]
	[ "$(event_field captured CONTAINER)" = app ]
	python3 - "$(event_field captured PATH)/report.json" <<- 'END'
		import json, sys
		r = json.load(open(sys.argv[1]))
		assert max(p["used_bytes"] for p in r["history"]) > 40 << 20, r["history"]
	END
	# Its place is the next one's now.
	crio_container app-again shop web-7d9 app '{\"oomsnap/watch\":\"on\"}'
	wait_event target-found 3
	watch_stop
}

@test "kubepods: the tree of the driver cgroupfs, in each class of service; status names the containers" {
	local burst
	node_start
	containerd_container other shop cart-1 helper off kubepods/burstable/pod1d-2e
	containerd_container burst shop cart-1 app on kubepods/burstable/pod1d-2e
	burst=$GROUP
	containerd_container best batch job-9 work on kubepods/besteffort/pod3f
	containerd_container sure bank till-1 app on kubepods/pod55
	: > "$EVENTS"
	printf '[defaults]\ndirectory = %s\n[target node]\nkubepods = %s\n' "$DUMPS" "$D" > "$D/ini"
	"$OOMSNAP" watch --json -c "$D/ini" --runtime-dir "$RUNTIME" \
		--set tripwire="$WATCH_TRIPWIRE" < /dev/null 2> "$EVENTS" 3>&- &
	WATCH_PID=$!
	wait_event guarantee 3
	cg_spawn "$burst" "$LEAKER" --pattern touch --rate 40 --total 62M
	wait_event captured 1 60
	[ "$(event_field captured POD)" = shop/cart-1 ]
	[ "$(event_field captured CONTAINER)" = app ]
	core_is_whole "$(event_field captured CORE)" $((40 << 20))
	"$OOMSNAP" status --json --runtime-dir "$RUNTIME" > "$D/status"
	cat "$D/status"
	[ "$(wc -l < "$D/status")" -eq 3 ]
	grep '"pod":"batch/job-9","container":"work"' "$D/status" | grep -q '"captures":0'
	grep '"pod":"shop/cart-1","container":"app"' "$D/status" | grep -q '"captures":1'
	grep -q '"pod":"bank/till-1","container":"app"' "$D/status"
	watch_stop
}

@test "kubepods: no such tree is said in words" {
	mkdir -p "$D"
	printf '[target node]\nkubepods = %s\n' "$D" > "$D/ini"
	run "$OOMSNAP" check -c "$D/ini"
	[ "$status" -eq 3 ]
	[[ $output == *"there is no kubepods group here"* ]]
}
