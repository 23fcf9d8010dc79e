#!/usr/bin/env bats
# bats file_tags=lane:host
# The manifests of deploy/kustomize render, and say of the sidecar what deploy/README.md says.

load helpers

# render DIRECTORY
render() {
	kubectl kustomize "$TOP/deploy/kustomize/$1"
}

@test "every directory renders, and grants what its line in the README says" {
	command -v kubectl > /dev/null || skip "kubectl, which renders the manifests, is not here"
	render ptrace | grep -q 'SYS_PTRACE'
	[ "$(render same-uid | grep -c 'add:')" -eq 0 ]
	render guaranteed | grep -q SYS_RESOURCE
	render openshift | grep -q 'required-scc: oomsnap-ptrace'
	render openshift | grep -q 'kind: SecurityContextConstraints'
	render node | grep -q 'kubepods = /host'
}
