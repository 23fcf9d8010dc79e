#!/usr/bin/env python3
"""Judges rendered manifests without an API server. usage: manifests.py FILE...

Each FILE is one whole rendering. Told, one a line, and exit status 1:
- what is no YAML, or no object with a kind and a name
- what a pod refers to and the rendering lacks: service account, config map, volume claim, mounts
- a Namespace whose enforced Pod Security level is not the lowest that admits its pods (privileged or
  restricted: that is all that we use)
- a pod pinned to a SecurityContextConstraints that would not admit it, or that its service account may
  not use
- a container without a memory limit
"""
import sys

import yaml

RESTRICTED_VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret",
                      "downwardAPI", "csi", "ephemeral"}


def containers(pod):
    return pod.get("initContainers", []) + pod["containers"]


def added(container):
    return container.get("securityContext", {}).get("capabilities", {}).get("add", [])


def of_pod(pod, container, key):
    return container.get("securityContext", {}).get(key, pod.get("securityContext", {}).get(key))


def volume_kinds(pod):
    return {key for volume in pod.get("volumes", []) for key in volume if key != "name"}


def is_restricted(pod):
    """Whether Pod Security's level restricted admits it, as far as our manifests go."""
    def container_is(c):
        context = c.get("securityContext", {})
        return (of_pod(pod, c, "runAsNonRoot") is True and of_pod(pod, c, "runAsUser") != 0
                and of_pod(pod, c, "seccompProfile") == {"type": "RuntimeDefault"}
                and context.get("allowPrivilegeEscalation") is False
                and context.get("capabilities", {}).get("drop") == ["ALL"]
                and set(added(c)) <= {"NET_BIND_SERVICE"}
                and of_pod(pod, c, "seLinuxOptions") is None)
    return (all(map(container_is, containers(pod))) and volume_kinds(pod) <= RESTRICTED_VOLUMES
            and not any(pod.get(key) for key in ("hostPID", "hostIPC", "hostNetwork")))


def scc_refusals(scc, pod):
    for c in containers(pod):
        for capability in added(c):
            if capability not in scc["allowedCapabilities"]:
                yield f"does not allow {capability} of {c['name']}"
        if of_pod(pod, c, "seLinuxOptions") and scc["seLinuxContext"]["type"] != "RunAsAny":
            yield f"does not allow the SELinux type of {c['name']}"
        if of_pod(pod, c, "runAsUser") is not None and scc["runAsUser"]["type"] != "RunAsAny":
            yield f"does not allow the user of {c['name']}"
    if pod.get("hostPID") and not scc["allowHostPID"]:
        yield "does not allow hostPID"
    for kind in volume_kinds(pod) - set(scc["volumes"]):
        yield f"does not allow volumes of kind {kind}"
    if "hostPath" in volume_kinds(pod) and not scc["allowHostDirVolumePlugin"]:
        yield "does not allow hostPath"


def references(pod):
    if "serviceAccountName" in pod:
        yield "ServiceAccount", pod["serviceAccountName"]
    for volume in pod.get("volumes", []):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]


def may_use(objects, scc, account, namespace):
    roles = {o["metadata"]["name"] for o in objects if o["kind"] == "Role"
             for rule in o["rules"] if "use" in rule["verbs"] and scc in rule["resourceNames"]}
    wanted = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    return any(o["roleRef"]["name"] in roles and wanted in o["subjects"]
               for o in objects if o["kind"] == "RoleBinding")


def judge(objects):
    by_name = {(o["kind"], o["metadata"]["name"]): o for o in objects}
    level = "restricted"
    for o in objects:
        template = o.get("spec", {}).get("template") if isinstance(o.get("spec"), dict) else None
        if not template:
            continue
        pod, who = template["spec"], f"{o['kind']} {o['metadata']['name']}"
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        if not is_restricted(pod):
            level = "privileged"
        for reference in references(pod):
            if reference not in by_name:
                yield f"{who}: there is no {' '.join(reference)}"
        for c in containers(pod):
            if "memory" not in c.get("resources", {}).get("limits", {}):
                yield f"{who}: {c['name']} has no memory limit"
            for mount in c.get("volumeMounts", []):
                if mount["name"] not in volumes:
                    yield f"{who}: {c['name']} mounts {mount['name']}, which is no volume"
        pinned = template["metadata"].get("annotations", {}).get("openshift.io/required-scc")
        if pinned:
            scc = by_name.get(("SecurityContextConstraints", pinned))
            for refusal in scc_refusals(scc, pod) if scc else ["is not there"]:
                yield f"{who}: {pinned} {refusal}"
            if not may_use(objects, pinned, pod["serviceAccountName"], o["metadata"]["namespace"]):
                yield f"{who}: its service account may not use {pinned}"
    for o in objects:
        if o["kind"] == "Namespace":
            enforced = o["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
            if enforced != level:
                yield f"Namespace {o['metadata']['name']} enforces {enforced}; its pods are {level}"


def main():
    bad = 0
    for name in sys.argv[1:]:
        try:
            with open(name, encoding="utf-8") as file:
                objects = [o for o in yaml.safe_load_all(file) if o]
            complaints = list(judge(objects))
        except (yaml.YAMLError, KeyError, TypeError) as error:
            complaints = [f"not as a manifest should be: {error!r}"]
        for complaint in complaints:
            print(f"{name}: {complaint}")
        bad += len(complaints)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
