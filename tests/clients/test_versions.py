"""The fields of documents that depend on the API version in the path."""

from __future__ import annotations

import pytest


def test_clients_of_api_1_48_get_the_fields_of_networks(service):
    only6 = {"EnableIPv4": False, "EnableIPv6": True, "IPAM": {"Config": [{"Subnet": "fd00:7::/64"}]}}
    assert service.ask("POST", "/v1.48/networks/create", {"Name": "app"}).status == 201
    assert service.ask("POST", "/v1.48/networks/create", {"Name": "six", **only6}).status == 201
    endpoints = {"app": {"GwPriority": 7}, "six": {}}
    body = {"Image": "bb", "Cmd": ["true"], "HostConfig": {"NetworkMode": "app"}}
    body["NetworkingConfig"] = {"EndpointsConfig": endpoints}
    assert service.ask("POST", "/v1.48/containers/create?name=c1", body).status == 201
    networks = service.ask("GET", "/v1.48/networks").json
    assert {n["Name"]: n["EnableIPv4"] for n in networks} == {
        "app": True, "six": False, "bridge": True, "host": True, "none": True,
    }  # fmt: skip
    assert service.ask("GET", "/v1.48/networks/six").json["EnableIPv4"] is False
    inspected, (listed,) = (service.ask("GET", f"/v1.48/containers/{p}").json for p in ("c1/json", "json?all=1"))
    for document in (inspected, listed):
        settings = document["NetworkSettings"]["Networks"]
        assert {name: each["GwPriority"] for name, each in settings.items()} == {"app": 7, "six": 0}
    assert "EnableIPv4" not in service.ask("GET", "/v1.47/networks/six").json
    old = service.ask("GET", "/v1.47/containers/c1/json").json["NetworkSettings"]["Networks"]
    assert not any("GwPriority" in each for each in old.values())


@pytest.mark.parametrize(
    ("version", "netfilter", "firewall"),
    [("1.47", {False, True}, None), ("1.48", {False}, None), ("1.49", {False}, {"Driver": "nftables"}),
     ("1.50", {None}, {"Driver": "nftables"})],
)  # fmt: skip
def test_info_has_the_fields_of_the_version(service, version, netfilter, firewall):
    info = service.ask("GET", f"/v{version}/info").json
    old = version < "1.49"
    assert {info.get("BridgeNfIptables"), info.get("BridgeNfIp6tables")} <= netfilter
    assert info.get("FirewallBackend") == firewall
    assert all(("Expected" in info[name]) is old for name in ("ContainerdCommit", "RuncCommit", "InitCommit"))
    assert ("AllowNondistributableArtifactsCIDRs" in info["RegistryConfig"]) is old
    assert ("AllowNondistributableArtifactsHostnames" in info["RegistryConfig"]) is old


def test_info_counts_no_nodes_without_a_swarm(service):
    """dockerd 26.1.5 gave the same document."""
    nothing = {"NodeID": "", "NodeAddr": "", "ControlAvailable": False, "Error": "", "RemoteManagers": None}
    assert service.ask("GET", "/info").json["Swarm"] == {**nothing, "LocalNodeState": "inactive"}


def test_clients_of_api_1_50_get_no_fields_of_a_container_in_the_config_of_an_image(service):
    old, new = (service.ask("GET", f"/v{version}/images/bb/json").json["Config"] for version in ("1.49", "1.50"))
    assert set(new) == {"User", "Env", "Cmd", "Volumes", "WorkingDir", "Entrypoint", "OnBuild", "Labels"}
    assert new.items() <= old.items() and {"Hostname", "Tty", "Image"} <= set(old)


def test_clients_of_api_1_51_get_the_number_of_containers_of_each_image(service):
    service.docker("create", "bb", "true")
    counts = [
        [each["Containers"] for each in service.ask("GET", f"/v{version}/images/json").json]
        for version in ("1.50", "1.51")
    ]
    assert counts == [[-1], [1]]


def test_old_clients_get_the_fields_that_docker_has_dropped_since(service):
    """dockerd 26.1.5 gave documents of the same form."""

    def entry(version: str, path: str) -> dict:
        documents = service.ask("GET", f"/v{version}{path}").json
        return next(d for d in (documents["Images"] if "df" in path else documents) if d["RepoTags"] == ["bb:latest"])

    for version, container_config, virtual_size in (
        ("1.45", False, False),
        ("1.44", True, False),
        ("1.43", True, True),
    ):
        document = service.ask("GET", f"/v{version}/images/bb/json").json
        assert ("ContainerConfig" in document, "VirtualSize" in document) == (container_config, virtual_size)
    assert [entry(v, "/images/json")["RepoDigests"] for v in ("1.43", "1.42")] == [[], None]
    sizes = [entry(v, "/system/df").get("VirtualSize") for v in ("1.44", "1.43")]
    assert sizes == [None, entry("1.43", "/images/json")["Size"]]
    info = [service.ask("GET", f"/v{version}/info").json for version in ("1.25", "1.24")]
    assert [i["SecurityOptions"] for i in info] == [["name=seccomp,profile=builtin"], ["seccomp"]]
    assert [i.get("ExecutionDriver") for i in info] == [None, "<not supported>"]
