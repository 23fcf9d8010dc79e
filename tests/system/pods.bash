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

# Where limits of processes and files cannot be raised, podman's own defaults are refused.
pods_configure() {
	mkdir -p "$POD_DIR"
	cat > "$CONTAINERS_CONF" <<- END
		[containers]
		default_ulimits = ["nofile=$(ulimit -Hn):$(ulimit -Hn)", "nproc=4096:4096"]
		[engine]
		cgroup_manager = "cgroupfs"
		events_logger = "file"
		runtime = "$(command -v runc > /dev/null && echo runc || echo crun)"
	END
}

pods_image() {
	if [ -n "${OOMSNAP_IMAGE:-}" ]; then
		podman tag "$OOMSNAP_IMAGE" "$POD_IMAGE"
		return
	fi
	# A machine has no compiler: tests/vm/run packs what was built.
	[ "$OOMSNAP_LANE" != host ] || make -s -C "$TOP" static > /dev/null
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
	(cd "$PAGE_DIR" && umask 077 && timeout 120 bash -euxo pipefail commands 3>&-)
}

# pod_play PRIVILEGE SED...: deploy/podman's pod of that privilege with small limits, no network and
# a program that leaks by itself, under the name of this run. Each SED changes it further.
pod_play() {
	local file=$1 edit=()
	shift
	for one in "$@"; do
		edit+=(-e "$one")
	done
	cat "$TOP/deploy/podman/config.yaml" "$TOP/deploy/podman/$file.yaml" | pod_names |
		sed -e '/ports:/,/hostIP/d' -e 's/memory: 256Mi/memory: 64Mi/' \
			-e 's/args: \[--listen.*/args: [--pattern, touch, --rate, "40"]/' "${edit[@]}" \
			> "$POD_DIR/$POD.yaml"
	podman kube play --network none "$POD_DIR/$POD.yaml" > /dev/null 3>&-
	EVENTS=$(podman inspect --format '{{.HostConfig.LogConfig.Path}}' "$POD-oomsnap")
	DUMPS=$(podman volume inspect --format '{{.Mountpoint}}' "$POD-dumps" 2> /dev/null || true)
}

pod_main_pid() {
	podman inspect --format '{{.State.Pid}}' "$POD-$1"
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

# Removes the containers of this run. Where one was still being used podman has forgotten it and its
# storage is left, under its name (--external), until it is asked again.
pods_containers_gone() {
	local ids
	ids=$(podman ps -aq --external --filter "name=^$POD")
	[ -n "$ids" ] || return 0
	# shellcheck disable=SC2086 # a list
	podman rm -f -t 0 $ids > /dev/null 2>&1 || true
	[ -z "$(podman ps -aq --external --filter "name=^$POD")" ]
}

pods_teardown() {
	if [ -z "${BATS_TEST_COMPLETED:-}" ] && [ -f "$EVENTS" ]; then
		grep -o '"MESSAGE":"[^"]*"' "$EVENTS" | tail -n 20 >&2 || true
	fi
	podman pod rm -f -t 0 "$POD" > /dev/null 2>&1 || true
	wait_until 15 pods_containers_gone || true
	podman volume rm -f "$POD-dumps" "$POD-config" > /dev/null 2>&1 || true
}
