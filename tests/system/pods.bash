# shellcheck shell=bash
# Pods and containers made by podman from our own image. Loaded after helpers and watch.
#
# The image is the Containerfile's: its frame (what is said of it) with the files that
# deploy/image/assemble picks, taken from this build instead of one in a container, which costs
# minutes; OOMSNAP_IMAGE names another one, as `make image` makes it. No network is used.

POD_DIR=$BUILD/pods
POD=$CG_PREFIX
POD_IMAGE=localhost/$POD-image # of this run alone: another tree may run the same at the same time
export CONTAINERS_CONF=$POD_DIR/containers.conf

# The machines have podman's storage as tests/vm/run made it, with the image in it: to build it takes
# half a minute there.
[ "$OOMSNAP_LANE" = host ] || export CONTAINERS_STORAGE_CONF=$POD_DIR/storage.conf

# MB/s at which a program leaks until its end: without a shield we must be faster, also where every
# instruction is emulated.
POD_RATE=20
[ "$OOMSNAP_LANE" = host ] || POD_RATE=10

# Where limits of processes and files cannot be raised, podman's own defaults are refused. On cgroup v2
# podman 4.3 forbids a pod's group every device unless systemd makes it.
pods_configure() {
	local manager=cgroupfs
	mkdir -p "$POD_DIR"
	[ "$OOMSNAP_LANE" != vm-systemd ] || manager=systemd
	cat > "$CONTAINERS_CONF" <<- END
		[containers]
		default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=4096:4096"]
		log_driver = "k8s-file"
		[engine]
		cgroup_manager = "$manager"
		events_logger = "file"
		runtime = "$(command -v runc > /dev/null && echo runc || echo crun)"
	END
	[ "$OOMSNAP_LANE" = host ] || pods_storage_conf "$POD_DIR" > "$CONTAINERS_STORAGE_CONF"
}

pods_storage_conf() {
	printf '[storage]\ndriver = "overlay"\ngraphroot = "%s"\nrunroot = "%s"\n' "$1/storage" "$1/run"
}

pods_image() {
	if [ "$OOMSNAP_LANE" != host ]; then
		podman tag localhost/oomsnap "$POD_IMAGE"
		return
	elif [ -n "${OOMSNAP_IMAGE:-}" ]; then
		podman tag "$OOMSNAP_IMAGE" "$POD_IMAGE"
		return
	fi
	make -s -C "$TOP" static > /dev/null
	image_with "$POD_IMAGE"
}

# image_with NAME [PROGRAM...]: our image, with programs of this machine in it.
image_with() {
	local name=$1
	shift
	"$TOP/deploy/image/assemble" "$BUILD" "$POD_DIR/root" "$@" 3>&-
	podman build -q --target frame -t "$POD_IMAGE-frame" -f "$TOP/Containerfile" "$POD_DIR/root" \
		3>&- > /dev/null
	printf 'FROM %s\nCOPY / /\n' "$POD_IMAGE-frame" > "$POD_DIR/Containerfile"
	podman build -q -t "$name" -f "$POD_DIR/Containerfile" "$POD_DIR/root" 3>&- > /dev/null
}

# pods_storage DIR: DIR/storage is a storage of podman with the image, and the one for the first
# container of a pod, in it. For tests/vm/run.
pods_storage() {
	POD_DIR=$1
	CONTAINERS_CONF=$POD_DIR/containers.conf
	export CONTAINERS_STORAGE_CONF=$POD_DIR/storage.conf
	rm -rf "$POD_DIR"
	mkdir -p "$POD_DIR"
	pods_storage_conf "$POD_DIR" > "$CONTAINERS_STORAGE_CONF"
	pods_configure
	pods_image && podman tag "$POD_IMAGE" localhost/oomsnap &&
		podman pod rm "$(podman pod create)" > /dev/null && rm -rf "$POD_DIR/storage/libpod"
}

# The manifests on stdin, with the image and the names of this run.
pod_names() {
	sed -e "s|localhost/oomsnap\$|$POD_IMAGE|" -e "s/name: leaker\$/name: $POD/" \
		-e "s/oomsnap-dumps/$POD-dumps/" -e "s/^\( *\)name: oomsnap\$/\1name: $POD-config/"
}

# page_run PAGE SED...: the commands that a page of deploy gives for podman, all of them, from top to
# bottom, in a directory in which they find deploy and build; with the image and the names of this run
# and no network. What they leave there is left in PAGE_DIR. Each SED changes them further.
page_run() {
	local page=$TOP/deploy/$1 edit=()
	shift
	for one in "$@"; do
		edit+=(-e "$one")
	done
	PAGE_DIR=$POD_DIR/page
	rm -rf "$PAGE_DIR"
	mkdir -p "$PAGE_DIR"
	ln -s "$TOP/deploy" "$BUILD" "$PAGE_DIR"
	# shellcheck disable=SC2016 # for the shell of the page
	sed -n '/^```sh podman$/,/^```$/{/^```/!p}' "$page" |
		sed -e "s|localhost/oomsnap\b|$POD_IMAGE|" -e "s/\bleaker-\([ad]\|oomsnap\)/$POD-\1/g" \
			-e "s/\(pod rm .*\) leaker\$/\1 $POD/" -e 's/podman run /&--network none /' \
			-e 's|^make |&-s -C "$TOP" |' "${edit[@]}" > "$PAGE_DIR/commands"
	[ -s "$PAGE_DIR/commands" ]
	(cd "$PAGE_DIR" && umask 077 && timeout 280 bash -euxo pipefail commands 3>&-)
}

# pod_play PRIVILEGE SED...: deploy/podman's pod of that privilege without a network, under the name of
# this run. The application has the limit LIMIT, 64Mi, and leaks by itself with LEAK, which ends before
# the limit; each SED says otherwise, or more. The termination log is as the kubelet makes it.
pod_play() {
	local file=$1 edit=()
	shift
	for one in "$@"; do
		edit+=(-e "$one")
	done
	install -m 0666 /dev/null "$POD_DIR/termination-log"
	cat "$TOP/deploy/podman/config.yaml" "$TOP/deploy/podman/$file.yaml" | pod_names |
		sed -e '/ports:/,/hostIP/d' -e 's/memory: 256Mi/memory: LIMIT/' \
			-e 's/args: \[--listen.*/args: [LEAK]/' \
			-e '/- name: app$/a\      volumeMounts: [{name: log, mountPath: /dev/termination-log}]' \
			-e '/^  volumes:/a\    - {name: log, hostPath: {path: '"$POD_DIR"'/termination-log, type: File}}' \
			"${edit[@]}" -e 's/LIMIT/64Mi/' -e 's/LEAK/--pattern, touch, --rate, "40", --total, 61M/' \
			> "$POD_DIR/$POD.yaml"
	podman kube play --network none "$POD_DIR/$POD.yaml" > /dev/null 3>&-
	read -r EVENTS DUMPS < <(podman inspect --format '{{.HostConfig.LogConfig.Path}} {{range .Mounts}}{{if eq .Destination "/dumps"}}{{.Source}}{{end}}{{end}}' "$POD-oomsnap")
}

# pod_pids NAME...: the first processes of containers, as this side sees them. A call of podman costs
# seconds where it is emulated: one for all.
pod_pids() {
	podman inspect --format '{{.State.Pid}}' "${@/#/$POD-}"
}

# leak_now [N]: a program that was started with --start-paused leaks once it is watched, for the Nth time.
leak_now() {
	local pid=0
	wait_event guarantee "${1:-1}" 60
	wait_until 20 app_waits
	kill -USR1 "$pid"
}

# app_waits: for leak_now, whose pid it sets. That of a container which starts again is 0 until it runs.
app_waits() {
	[ -e "/proc/$pid" ] || pid=$(pod_pids app)
	[ -e "/proc/$pid" ] && awaits_usr1 "$pid"
}

# pid_group PID: its control group as this side sees it.
pid_group() {
	sed -n -e "s|^0::|$CG_ROOT|p" -e "s|^[0-9]*:memory:|$CG_ROOT|p" "/proc/$1/cgroup" | tail -n 1
}

# pod_released PID [LIMIT]: it runs on in a container with the limit that it had, in which the kernel has
# killed nobody.
pod_released() {
	local group
	group=$(pid_group "$1")
	wait_until 20 is_running "$1"
	grep -qx 'oom_kill 0' "$group"/memory.{events,oom_control} 2> /dev/null
	grep -qx "${2:-$((64 << 20))}" "$group"/memory.{max,limit_in_bytes} 2> /dev/null
	[ "$(cat "/proc/$1/oom_score_adj")" -ne -1000 ]
}

# The core of the last capture, by its path on this side.
pod_core() {
	event_field captured CORE | sed "s|^/dumps|$DUMPS|"
}

captures_reached() {
	[ "$(event_count captured)" -ge "$1" ]
}

# wait_captures COUNT [SECONDS]
wait_captures() {
	if ! wait_until "${2:-60}" captures_reached "$1"; then
		grep -o '"MESSAGE":"[^"]*"' "$EVENTS" | tail -n 12 >&2
		return 1
	fi
}

pods_image_remove() {
	podman rmi -f "$POD_IMAGE" "$POD_IMAGE-frame" "$POD_IMAGE-with" > /dev/null 2>&1 || true
}

# The containers of this run. Where one was still being used podman has forgotten it and its storage is
# left, under its name (--external). The filter for names passes all of those by, images that are being
# built elsewhere among them: it is ours.
pods_containers() {
	podman ps -a --external --format '{{.ID}} {{.Names}}' | sed -n "s/^\([0-9a-f]*\) $POD-.*/\1/p"
}

pods_containers_gone() {
	local ids
	ids=$(pods_containers)
	[ -n "$ids" ] || return 0
	# shellcheck disable=SC2086 # a list
	podman rm -f -t 0 $ids > /dev/null 2>&1 || true
	[ -z "$(pods_containers)" ]
}

# A pod whose container starts again just then is refused, or is left without it.
pod_gone() {
	podman pod rm -f -t 0 "$POD" > /dev/null 2>&1 || true
	podman pod exists "$POD" || return 0
	pods_containers_gone || true
	return 1
}

pods_teardown() {
	if [ -z "${BATS_TEST_COMPLETED:-}" ] && [ -f "$EVENTS" ]; then
		grep -o '"MESSAGE":"[^"]*"' "$EVENTS" | tail -n 20 >&2 || true
	fi
	wait_until 15 pod_gone || true
	[ "$OOMSNAP_LANE" != host ] || wait_until 15 pods_containers_gone || true
	podman volume rm -f "$POD-dumps" "$POD-config" > /dev/null 2>&1 || true
}
