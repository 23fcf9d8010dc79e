#!/usr/bin/env bats
# bats file_tags=lane:host
# The manifests of deploy/kustomize render and hold together (tests/tool/manifests.py); the patches of
# deploy/options go in and come out again; what the pages say is what is there. No API server.

load helpers

KUSTOMIZE=$TOP/deploy/kustomize
OPTIONS=$TOP/deploy/options
# Strict against the schemas of Kubernetes and OpenShift, where somebody has them: FILE... -> status.
VALIDATE=${OOMSNAP_VALIDATE:-$TOP/../shared/k8s/validate.py}

setup() {
	D=$BATS_TEST_TMPDIR
}

need_kubectl() {
	command -v kubectl > /dev/null || skip "kubectl, which renders the manifests, is not here"
}

# render NAME: into $D/NAME.yaml
render() {
	kubectl kustomize "$KUSTOMIZE/$1" > "$D/$1.yaml"
}

judge() {
	/usr/bin/python3 "$TOP/tests/tool/manifests.py" "$@"
}

# validate FILE...: where there is a validator; python3 is whichever has what it needs.
validate() {
	if [ -f "$VALIDATE" ]; then
		python3 "$VALIDATE" "$@"
	else
		echo "# no schemas here ($VALIDATE): judged by tests/tool/manifests.py alone" >&3
	fi
}

@test "every directory renders and holds together, and grants what its line in the README says" {
	local dir
	need_kubectl
	for dir in "$KUSTOMIZE"/*/; do
		render "$(basename "$dir")"
		grep -q "kustomize/$(basename "$dir")\`" "$TOP/deploy/README.md"
	done
	judge "$D"/*.yaml
	validate "$D"/*.yaml
	[ "$(grep -c 'add:' "$D/base.yaml")" -eq 0 ]
	[ "$(grep -c 'add:' "$D/same-uid.yaml")" -eq 0 ]
	grep -q SYS_PTRACE "$D/ptrace.yaml"
	[ "$(grep -c SYS_RESOURCE "$D/ptrace.yaml")" -eq 0 ]
	grep -q SYS_RESOURCE "$D/guaranteed.yaml"
	grep -q 'kind: Route' "$D/microshift.yaml"
	grep -q 'kubepods = /host' "$D/node.yaml"
}

@test "a manifest that does not hold together is told" {
	local change
	need_kubectl
	render openshift
	judge "$D/openshift.yaml"
	for change in 's/enforce: privileged/enforce: restricted/' '/^- SYS_PTRACE$/d' \
		's/^kind: PersistentVolumeClaim/kind: Secret/' '/limits:/,/memory:/d' \
		's/^- persistentVolumeClaim$/- nfs/' 's/  - use$/  - get/' 's/mountPath: /mountPath: {/'; do
		sed "$change" "$D/openshift.yaml" > "$D/changed.yaml"
		run judge "$D/changed.yaml"
		echo "$change: $output"
		[ "$status" -eq 1 ]
		[ -n "$output" ]
	done
}

# plain FILE: as JSON, in one order, without empty lists: they mean what their absence means.
plain() {
	/usr/bin/python3 -c 'import json, sys, yaml
def bare(x):
    if isinstance(x, dict):
        return {k: bare(v) for k, v in x.items() if v != [] and v is not None}
    return [bare(v) for v in x] if isinstance(x, list) else x
print(json.dumps(bare(yaml.safe_load(sys.stdin)), indent=1, sort_keys=True))' < "$1"
}

@test "option C: the commands for kubectl on the page; both patches do the same, and come out again" {
	local command
	local -a commands
	need_kubectl
	render app
	awk 'BEGIN { RS = "---\n" } /kind: Deployment/' "$D/app.yaml" > "$D/deployment.yaml"
	ln -s "$TOP/deploy" "$D/deploy"
	cd "$D"
	mapfile -t commands < <(sed -n '/^```sh kubectl$/,/^```$/{/^```/!p}' "$OPTIONS"/C-*.md)
	[ ${#commands[@]} -eq 4 ]
	for command in 0 2; do
		bash -euc "${commands[command]}" > patched.yaml
		bash -euc "${commands[command + 1]}" > back.yaml
		diff <(plain deployment.yaml) <(plain back.yaml)
		cp patched.yaml "patched-$command.yaml"
	done
	diff <(plain patched-0.yaml) <(plain patched-2.yaml)
	validate patched-0.yaml
	grep -q 'name: oomsnap$' patched-0.yaml
	# Twice is once.
	bash -euc "${commands[0]/deployment.yaml/patched.yaml}" > twice.yaml
	diff <(plain patched.yaml) <(plain twice.yaml)
}

@test "option C: neither patch touches what is not ours" {
	need_kubectl
	render app
	awk 'BEGIN { RS = "---\n" } /kind: Deployment/' "$D/app.yaml" |
		sed 's/^      containers:/      initContainers: [{name: other, image: x}]\n      volumes: [{name: theirs, emptyDir: {}}]\n&/' \
			> "$D/with.yaml"
	kubectl patch --local -f "$D/with.yaml" --patch-file "$OPTIONS/sidecar-add.yaml" -o yaml > "$D/patched.yaml"
	grep -q 'name: other' "$D/patched.yaml"
	kubectl patch --local -f "$D/patched.yaml" --patch-file "$OPTIONS/sidecar-remove.yaml" -o yaml > "$D/back.yaml"
	diff <(plain "$D/with.yaml") <(plain "$D/back.yaml")
	for file in sidecar-add.json sidecar-remove.json; do
		run kubectl patch --local -f "$D/with.yaml" --type json --patch-file "$OPTIONS/$file" -o yaml
		[ "$status" -ne 0 ]
		echo "$output"
		[[ $output == *"test"* ]]
	done
}

@test "option D: what --custom merges fits a container" {
	need_kubectl
	render ptrace
	# As `kubectl debug` does it: the file under the name of a container.
	printf 'spec:\n  template:\n    spec:\n      containers:\n        - name: debugger\n          image: x\n%s\n' \
		"$(sed 's/^/          /' "$OPTIONS/debug.yaml")" > "$D/patch.yaml"
	awk 'BEGIN { RS = "---\n" } /kind: Deployment/' "$D/ptrace.yaml" > "$D/deployment.yaml"
	kubectl patch --local -f "$D/deployment.yaml" --patch-file "$D/patch.yaml" -o yaml > "$D/debugged.yaml"
	validate "$D/debugged.yaml"
	grep -q 'name: debugger' "$D/debugged.yaml"
}

@test "every command on the pages is for podman, which a test runs, for kubectl, or for a cluster" {
	local page
	for page in "$TOP"/deploy/README.md "$OPTIONS"/*.md; do
		! grep -nE '^```.' "$page" | grep -vE '```(sh (podman|kubectl|cluster)|ini)$' || return 1
		[ "$(sed -n '/^```sh podman$/,/^```$/p' "$page" | grep -cE '^(kubectl|oc) ')" -eq 0 ]
	done
	for page in "$OPTIONS"/*.md; do
		grep -q '^```sh podman$' "$page"
		grep -q "page_run options/$(basename "$page")" "$TOP/tests/system/pods.bats"
		grep -q "options/$(basename "$page")" "$TOP/deploy/README.md"
	done
}
