#!/usr/bin/env bats
# bats file_tags=lane:vm,image:pods
# The sidecar beside a leaking container on cgroup v2: podman and crun, our own image, each container
# with a private view of its own group. Run by `tests/vm/run --image pods pods-v2`; pods.bats is the
# same on the host.
#
# Two `podman run` instead of a pod: podman 4.3 without systemd forbids a pod's own group every device,
# on v2, and then no container starts in it. --pid gives the sidecar what shareProcessNamespace does.

load helpers
load watch
load pods

need_podman() {
	need_lane vm
	command -v podman > /dev/null || skip "podman is in the image pods alone"
}

setup_file() {
	need_podman
	pods_configure
	pods_image
}

setup() {
	need_podman
	cd "$POD_DIR" || return
	OUT=$POD_DIR/out
	DUMPS=$OUT/dumps
	EVENTS=$OUT/events
	mkdir -p "$DUMPS"
}

teardown() {
	if [ -z "${BATS_TEST_COMPLETED:-}" ] && [ -f "$EVENTS" ]; then
		grep -o '"MESSAGE":"[^"]*"' "$EVENTS" | tail -n 20 >&2 || true
	fi
	# With the sidecar, which is in its process namespace.
	podman rm -f --depend -t 0 "$POD-app" > /dev/null
	rm -rf "$POD_DIR/out"
}

# app_run OPTION...: a container that leaks so once leak_now says it, with nothing but its user and its
# limit. Sets APP to its process and GROUP to its group, both as this side sees them.
app_run() {
	# As the kubelet makes it: anybody may write.
	install -m 0666 /dev/null "$OUT/termination-log"
	podman run -d --name "$POD-app" --pidfile "$OUT/pid" --network none --memory 64M --user 1001 \
		--cap-drop all --security-opt no-new-privileges -v "$OUT/termination-log:/dev/termination-log" \
		--entrypoint /usr/bin/leaker "$POD_IMAGE" --start-paused "$@" > /dev/null 3>&-
	APP=$(cat "$OUT/pid")
	GROUP=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$APP/cgroup")
}

# A container starts in seconds here: the leak waits for the sidecar.
leak_now() {
	wait_event guarantee 1 60
	kill -USR1 "$APP"
}

# sidecar_says PRIVILEGE KEY: a value of the sidecar in deploy/podman/PRIVILEGE.yaml, lists with commas.
sidecar_says() {
	sed -n "/- name: oomsnap\$/,\$s/^ *$2: //p" "$TOP/deploy/podman/$1.yaml" | head -n 1 | tr -d '[] '
}

# sidecar_run PRIVILEGE SETTING...: oomsnap watch in the application's process namespace, with the
# user, the capabilities and the memory of deploy/podman/PRIVILEGE.yaml.
sidecar_run() {
	local user memory add caps=() options=() one
	user=$(sidecar_says "$1" runAsUser)
	memory=$(sidecar_says "$1" memory)
	add=$(sidecar_says "$1" add)
	for one in ${add//,/ }; do
		caps+=(--cap-add "$one")
	done
	shift
	for one in "$@"; do
		options+=(--set "$one")
	done
	chown "$user" "$DUMPS"
	podman run -d --name "$POD-oomsnap" --pid "container:$POD-app" --network none \
		--memory "${memory%i}" --user "$user" --cap-drop all "${caps[@]}" \
		--security-opt no-new-privileges --read-only --tmpfs /run/oomsnap -v "$DUMPS:/dumps" \
		--log-driver k8s-file --log-opt "path=$EVENTS" "$POD_IMAGE" watch --siblings \
		--set directory=/dumps --set deadline=30s "${options[@]}" > /dev/null 3>&-
}

# The application was captured whole through its own view of its group, and its container's
# termination log says so.
captured_whole() {
	wait_captures 1 60
	[[ $(event_field target-found CGROUP) == /proc/*/root/sys/fs/cgroup ]]
	core_is_whole "$(pod_core)" "$1"
	[ "$(event_count lost)" -eq 0 ]
	grep -q "^oomsnap: leaker (pid .*core in $(event_field captured PATH)" "$OUT/termination-log"
}

# It runs on in its container, and the kernel has killed nobody there.
released() {
	wait_until 20 is_running "$APP"
	grep -qx 'oom_kill 0' "$GROUP/memory.events"
	grep -qx "$((64 << 20))" "$GROUP/memory.max"
	grep -qx 'frozen 0' "$GROUP/cgroup.events"
	[ "$(cat "/proc/$APP/oom_score_adj")" -ne -1000 ]
}

@test "SYS_PTRACE: captured whole, released, nobody killed" {
	app_run --pattern touch --rate 10 --total 61M
	sidecar_run ptrace
	leak_now
	captured_whole $((40 << 20))
	[ "$(event_field guarantee GUARANTEE)" = best-effort ]
	released
}

@test "guaranteed by SYS_RESOURCE: a leak by MAP_POPULATE is captured, then killed by the kernel" {
	app_run --pattern populate --rate 10 --chunk 4M
	sidecar_run guaranteed verdict=oom
	leak_now
	captured_whole $((30 << 20))
	[ "$(event_field guarantee GUARANTEE)" = guaranteed ]
	wait_event killed 1 60
	wait_until 20 is_gone "$APP"
	[ "$(podman inspect --format '{{.State.ExitCode}}' "$POD-app")" -eq 137 ]
}

@test "same uid, no capability: captured whole, released, nobody killed" {
	app_run --pattern malloc --rate 10 --total 58M
	sidecar_run same-uid
	leak_now
	captured_whole $((40 << 20))
	[ "$(event_field guarantee GUARANTEE)" = best-effort ]
	released
}
