"""Debian's python3-kubernetes against an API server: kube_client.py KUBECONFIG NAMESPACE SERVICE_IP_PATTERN. Fails with what is not as in a cluster."""

import re
import sys
import threading

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException

config.load_kube_config(sys.argv[1])
core = client.CoreV1Api()
namespace = sys.argv[2]


def config_map(name, **data):
    return {"metadata": {"name": name, "labels": {"test": "ours"}}, "data": data}


for name in ("a", "b", "c"):
    core.create_namespaced_config_map(namespace, config_map(name, n="1"))
# A cluster makes one of its own in each namespace.
OURS = "test=ours"
page = core.list_namespaced_config_map(namespace, label_selector=OURS, limit=2)
rest = core.list_namespaced_config_map(namespace, label_selector=OURS, limit=2, _continue=page.metadata._continue)
names = [item.metadata.name for item in page.items + rest.items]
assert names == ["a", "b", "c"], names
assert page.metadata.resource_version == rest.metadata.resource_version

seen = []


def follow():
    events = watch.Watch().stream(
        core.list_namespaced_config_map,
        namespace,
        label_selector=OURS,
        resource_version=page.metadata.resource_version,
        timeout_seconds=20,
    )
    for event in events:
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "DELETED":
            return


follower = threading.Thread(target=follow)
follower.start()
old = core.read_namespaced_config_map("a", namespace)
core.patch_namespaced_config_map("a", namespace, {"data": {"n": "2"}})
old.data["n"] = "3"
try:
    core.replace_namespaced_config_map("a", namespace, old)
    raise AssertionError("an old version was taken")
except ApiException as error:
    assert error.status == 409, error
core.delete_namespaced_config_map("b", namespace)
follower.join(30)
assert seen == [("MODIFIED", "a"), ("DELETED", "b")], seen

lease = {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "one", "leaseDurationSeconds": 15}}
made = client.CoordinationV1Api().create_namespaced_lease(namespace, lease)
assert made.spec.holder_identity == "one"

service = core.create_namespaced_service(namespace, {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}})
assert re.fullmatch(sys.argv[3], service.spec.cluster_ip), service.spec.cluster_ip
assert service.spec.ports[0].target_port == 80
token = client.AuthenticationV1Api().create_token_review({"spec": {"token": "nobody's"}})
assert not token.status.authenticated
try:
    core.read_namespaced_secret("none", namespace)
    raise AssertionError("a secret that is not there was read")
except ApiException as error:
    assert error.status == 404, error
print("ok")
