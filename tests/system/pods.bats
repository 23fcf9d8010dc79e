#!/usr/bin/env bats
# The sidecar beside a leaking container, and the four options of deploy/options, with real
# containers: podman, our own image, the manifests of deploy/podman. In the machine each container has
# a private view of its own group, as Kubernetes gives it, and crun and systemd make them.

load helpers
load watch
load pods

setup_file() {
	[ "$OOMSNAP_LANE" != vm-plain ] || skip "podman makes no pods on cgroup v2 without systemd"
	pods_configure
	pods_image
}

teardown_file() {
	pods_image_remove
}

setup() {
	# podman's conmon leaves an empty file "oom" in the directory in which podman was called, when the
	# kernel killed in its container.
	cd "$POD_DIR" || return
	DISK='' LISTENER=''
}

teardown() {
	[ -z "$LISTENER" ] || kill "$LISTENER" 2> /dev/null || true
	pods_teardown
	[ -z "$DISK" ] || umount -l "$DISK.mnt" 2> /dev/null || true
	rm -rf "${DISK:-/nonexistent}" "${DISK:-/nonexistent}.mnt" "$POD_DIR/page" "$POD_DIR/$POD.yaml"
}

restarted() {
	[ "$(podman inspect --format '{{.RestartCount}}' "$1")" -ge 1 ]
}

# bats test_tags=lane:host
@test "the image runs as any user on a read-only root, and is small" {
	local size
	run podman run --rm --network none --read-only --user 12345 --cap-drop all "$POD_IMAGE" --version
	[ "$status" -eq 0 ]
	[[ $output == "oomsnap "* ]]
	podman run --rm --network none --entrypoint /usr/bin/leaker "$POD_IMAGE" --list-patterns | grep -qx populate
	podman run --rm --network none --entrypoint /bin/sh "$POD_IMAGE" -c 'tar c /etc/oomsnap' | tar t > /dev/null
	size=$(podman image inspect --format '{{.Size}}' "$POD_IMAGE")
	echo "$size bytes"
	[ "$size" -lt $((30 << 20)) ]
}

@test "SYS_PTRACE: captured, killed by the kernel with 137, started again, captured again" {
	pod_play ptrace 's/verdict = resume/verdict = oom/' \
		"s/LEAK/--start-paused, --pattern, touch, --rate, \"$POD_RATE\"/"
	leak_now 1
	leak_now 2
	wait_captures 2
	[ "$(event_field guarantee GUARANTEE)" = best-effort ]
	[ "$(event_field held HOLD)" = ptrace ]
	[ "$(event_count hold-failed)" -eq 0 ]
	core_is_whole "$(pod_core)" $((40 << 20))
	[ "$(event_field target-found TARGET)" = pod-leaker ]
	[ "$CG_VERSION" -eq 1 ] || [[ $(event_field target-found CGROUP) == /proc/*/root/sys/fs/cgroup ]]
	[ "$(event_count killed)" -ge 1 ]
	[ "$(event_count lost)" -eq 0 ]
	wait_until 10 restarted "$POD-app"
	podman events --stream=false --filter "container=$POD-app" --filter event=died \
		--format '{{.ContainerExitCode}}' | grep -qx 137
	wait_until 10 grep -q "^oomsnap: leaker (pid .*core in $(event_field captured PATH)" "$POD_DIR/termination-log"
}

# bats test_tags=lane:systemd
@test "guaranteed by SYS_RESOURCE: a leak by MAP_POPULATE is captured, then killed by the kernel" {
	need_lane systemd
	pod_play guaranteed 's/verdict = resume/verdict = oom/' 's/restartPolicy: .*/restartPolicy: Never/' \
		's/LEAK/--start-paused, --pattern, populate, --rate, "10", --chunk, 4M/'
	leak_now
	wait_captures 1
	[ "$(event_field guarantee GUARANTEE)" = guaranteed ]
	core_is_whole "$(pod_core)" $((30 << 20))
	wait_event killed 1 60
	[ "$(event_count lost)" -eq 0 ]
	[ "$(podman wait "$POD-app")" -eq 137 ]
}

@test "same uid, no capability: two leaking containers at once" {
	# A second application like the first.
	pod_play same-uid 's/gid: "0"/gid: "1001"/' 's/uid: "0"/uid: "1001"/' \
		'/^  containers:/a\    - {name: other, image: '"$POD_IMAGE"', imagePullPolicy: Never, command: [/usr/bin/leaker], args: [--pattern, malloc, --rate, "40", --total, 58M], resources: {limits: {memory: 64Mi}}, securityContext: {runAsUser: 1001, runAsGroup: 1001, capabilities: {drop: [ALL]}}}'
	wait_captures 2 90
	[ "$(grep -c '"OOMSNAP_EVENT":"guarantee".*best-effort' "$EVENTS")" -ge 2 ]
	[ "$(find "$DUMPS/oomsnap" -maxdepth 1 -name 'pod-leaker-2*' | wc -l)" -ge 1 ]
	core_is_whole "$(pod_core)" $((40 << 20))
	[ "$(event_count lost)" -eq 0 ]
	for pid in $(pod_pids app other); do
		pod_released "$pid"
	done
}

@test "the sidecar is killed during a hold: the application runs on, the next one captures it" {
	local app sidecar mib=320
	[ "$OOMSNAP_LANE" = host ] || mib=128
	pod_play same-uid 's/gid: "0"/gid: "1001"/' 's/uid: "0"/uid: "1001"/' "s/LIMIT/${mib}Mi/" \
		"s/LEAK/--start-paused, --pattern, touch, --rate, \"$((mib / 2))\", --total, $((mib - 8))M/"
	read -r app sidecar < <(pod_pids app oomsnap | xargs)
	wait_event guarantee 1 60
	wait_until 20 awaits_usr1 "$app"
	kill -USR1 "$app"
	"$BUILD/tool/aftermath" --await 200000 --kill "$sidecar" --target "$app" --within 20000
	wait_until 20 is_running "$app"
	wait_until 30 restarted "$POD-oomsnap"
	wait_captures 1
	core_is_whole "$(pod_core)" $(((mib * 2 / 3) << 20))
	pod_released "$app" $((mib << 20))
}

@test "the volume is full: a partial core or none, told as such, and the application runs on" {
	DISK=$POD_DIR/disk
	truncate -s 40M "$DISK"
	mke2fs -q -t ext4 -O ^has_journal "$DISK"
	mkdir -p "$DISK.mnt"
	[ "$OOMSNAP_LANE" = host ] || modprobe loop
	mount -o loop "$DISK" "$DISK.mnt"
	pod_play ptrace 's/keep_free = 64M/keep_free = 0/' \
		'/persistentVolumeClaim:/,/claimName/c\      hostPath: {path: '"$DISK.mnt"'}'
	wait_event capture-partial 1 60
	[[ $(event_line capture-partial) == *space* ]]
	run "$OOMSNAP" inspect "$(event_field capture-partial CORE | sed "s|^/dumps|$DISK.mnt|")"
	[ "$status" -eq 6 ]
	[ "$(event_count lost)" -eq 0 ]
	pod_released "$(pod_pids app)"
}

# bats test_tags=lane:host
@test "a sidecar of 64 MiB writes a core many times its size" {
	local mib=${OOMSNAP_BIG_MIB:-512}
	pod_play ptrace "s/LIMIT/$((mib * 115 / 100))Mi/" \
		"s/LEAK/--pattern, touch, --rate, max, --total, $((mib * 108 / 100))M/"
	grep -qx ' *memory: 64Mi' "$POD_DIR/$POD.yaml"
	wait_captures 1 180
	core_is_whole "$(pod_core)" $(((mib * 95 / 100) << 20))
	# Who enters it is charged to it: some 20 MiB for each, with runc.
	podman exec "$POD-oomsnap" sh -c 'oomsnap inspect /dumps/oomsnap/*/core' > /dev/null
	podman inspect --format '{{.State.Running}} {{.RestartCount}} {{.State.OOMKilled}}' "$POD-oomsnap" | grep -qx 'true 0 false'
	[ "$(event_count lost)" -eq 0 ]
}

# bats test_tags=lane:host
@test "option A: the page, from top to bottom" {
	page_run options/A-in-the-container.md
	core_is_whole "$PAGE_DIR/leaker.core" $((50 << 20))
}

# bats test_tags=lane:host
@test "option B: the page, from top to bottom" {
	local port
	port=$(/usr/bin/python3 -c 'import socket; print(socket.create_server(("", 0)).getsockname()[1])')
	declare -fx pod_names
	export POD POD_IMAGE
	page_run options/B-sidecar.md "s/volume rm .*/volume rm $POD-config $POD-dumps/" "s/8080/$port/" 's/rate=50/rate=100/' \
		"s#| podman kube play#| pod_names | sed -e /ports:/,/hostIP/d -e s,8080,$port, | podman kube play --network host#"
	core_is_whole "$(echo "$PAGE_DIR"/captures/*/core)" $((200 << 20))
}

# bats test_tags=lane:host
@test "option C: the page, from top to bottom" {
	page_run options/C-sidecar-by-patch.md
	core_is_whole "$(echo "$PAGE_DIR"/captures/*/core)" $((40 << 20))
}

# bats test_tags=lane:host
@test "option D: the page, from top to bottom" {
	page_run options/D-ephemeral-container.md
	core_is_whole "$(echo "$PAGE_DIR"/captures/*/core)" $((50 << 20))
	core_is_whole "$PAGE_DIR/app.core" $((50 << 20))
}

# bats test_tags=lane:host
# seccomp: podman's own profile in Debian 12 allows bpf(2) to CAP_SYS_ADMIN alone.
@test "with KILL, BPF and PERFMON the sidecar's tripwire stops it inside the kernel" {
	local app watchdog guardian
	mkdir -p "$POD_DIR/page/out"
	podman run -d --name "$POD-app" --network none --memory 128m --user 1001 --cap-drop all \
		--entrypoint /usr/bin/leaker "$POD_IMAGE" --start-paused --pattern touch --rate max --total 110M > /dev/null 3>&-
	podman run -d --name "$POD-debug" --network none --pid "container:$POD-app" --user 0 --cap-drop all \
		--cap-add SYS_PTRACE --cap-add KILL --cap-add BPF --cap-add PERFMON --security-opt seccomp=unconfined \
		--security-opt no-new-privileges --read-only --tmpfs /run/oomsnap -v "$POD_DIR/page/out:/dumps" \
		"$POD_IMAGE" watch --siblings --set directory=/dumps --set trip=100M > /dev/null 3>&-
	EVENTS=$(podman inspect --format '{{.HostConfig.LogConfig.Path}}' "$POD-debug")
	DUMPS=$POD_DIR/page/out
	wait_event guarantee 1 60
	app=$(podman inspect --format '{{.State.Pid}}' "$POD-app")
	watchdog=$(podman inspect --format '{{.State.Pid}}' "$POD-debug")
	guardian=$(children_named "$watchdog" oomsnap-guard)
	# They stand still meanwhile: a look of theirs may come before the kernel's at the same memory.
	kill -STOP "$guardian" "$watchdog"
	leak_now
	wait_until 20 is_stopped "$app"
	kill -CONT "$guardian" "$watchdog"
	wait_captures 1 60
	[ "$(event_field guarantee GUARANTEE)" = kernel-stop ]
	[ "$(event_field captured REASON)" = tripwire ]
	core_is_whole "$(pod_core)" $((80 << 20))
	podman exec "$POD-debug" oomsnap status | grep -q kernel-stop
}

# readme_ini N: the Nth block of settings in deploy/README.md.
readme_ini() {
	awk -v wanted="$1" '/^```ini$/ { n++; on = n == wanted; next } /^```$/ { on = 0 } on' "$TOP/deploy/README.md"
}

# ship IMAGE: the sidecar of that image ships what it captures as $POD_DIR/page/etc says, to what listens
# on this machine.
ship() {
	printf 'directory = /dumps\ntrip = 50M\n[target pod]\nsiblings = on\n' >> "$POD_DIR/page/etc/oomsnap.ini"
	podman run -d --name "$POD-app" --network none --memory 128m --user 1001 --cap-drop all \
		--entrypoint /usr/bin/leaker "$POD_IMAGE" --pattern touch --rate max --total 60M > /dev/null 3>&-
	podman run -d --name "$POD-debug" --network host --pid "container:$POD-app" --user 0 --cap-drop all \
		--cap-add SYS_PTRACE --security-opt no-new-privileges --read-only --tmpfs /run/oomsnap \
		--add-host collector:127.0.0.1 --add-host store.example:127.0.0.1 -v "$POD_DIR/page/etc:/etc/store:ro" \
		-v "$POD_DIR/page/out:/dumps" -v "$POD_DIR/page/etc:/etc/oomsnap:ro" "$1" watch > /dev/null 3>&-
	EVENTS=$(podman inspect --format '{{.HostConfig.LogConfig.Path}}' "$POD-debug")
	wait_event captured 1 60
}

# listen SCRIPT ARGUMENT...: python runs it in the background; it writes its port to $POD_DIR/page/port.
listen() {
	mkdir -p "$POD_DIR/page/out" "$POD_DIR/page/etc"
	/usr/bin/python3 "$@" < /dev/null > /dev/null 2> "$POD_DIR/page/listener" 3>&- &
	LISTENER=$!
	wait_until 20 test -s "$POD_DIR/page/port"
}

# bats test_tags=lane:host
@test "captures are shipped out by the on_capture of the README" {
	listen -c 'import shutil, socket, sys
with socket.create_server(("127.0.0.1", 0)) as server:
    with open(sys.argv[1] + "/port", "w") as file:
        print(server.getsockname()[1], file=file)
    with server.accept()[0] as peer, open(sys.argv[1] + "/sunk", "wb") as file:
        shutil.copyfileobj(peer.makefile("rb"), file)' "$POD_DIR/page"
	readme_ini 1 | sed "s/collector 9000/collector $(cat "$POD_DIR/page/port")/" > "$POD_DIR/page/etc/oomsnap.ini"
	ship "$POD_IMAGE"
	wait_until 60 is_gone "$LISTENER"
	tar t -f "$POD_DIR/page/sunk" | grep -qx ./core
}

# bats test_tags=lane:host
@test "captures are put into an object store by the README's curl, signed" {
	local object port
	listen "$TOP/tests/tool/store.py" "$POD_DIR/page" KEY SECRET us-east-1
	port=$(cat "$POD_DIR/page/port")
	readme_ini 2 | sed "s|https://store.example|http://store.example:$port|" > "$POD_DIR/page/etc/oomsnap.ini"
	readme_ini 3 > "$POD_DIR/page/etc/curl"
	image_with "$POD_IMAGE-with" curl
	[ "$(podman image inspect --format '{{.Size}}' "$POD_IMAGE-with")" -lt $((30 << 20)) ]
	ship "$POD_IMAGE-with"
	object=$POD_DIR/page/objects/captures%$(basename "$(event_field captured PATH)")%
	wait_until 60 test -s "${object}core"
	wait_until 20 cmp "${object}core" "$(event_field captured CORE | sed "s|^/dumps|$POD_DIR/page/out|")"
	wait_until 20 grep -q '"complete":' "${object}report.json"
	wait_until 20 grep -q '<html' "${object}report.html"
	[ "$(grep -c ' 403 ' "$POD_DIR/page/listener")" -eq 0 ]
}

# bats test_tags=lane:host
@test "the README: the image travels as a file, without a registry" {
	page_run README.md
	tar t -f "$PAGE_DIR/oomsnap.tar" | grep -q manifest.json
}
