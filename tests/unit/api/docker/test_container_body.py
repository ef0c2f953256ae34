"""The body of POST /containers/create is converted to the engine's request."""

from __future__ import annotations

import json

import pytest

from api.docker.container_body import container_create
from api.docker.errors import ApiError
from api.docker.fields import Fields
from api.docker.request_types import CONTAINER_CREATE
from engine.errors import NotImplementedByHawse
from engine.golang.json_text import decode
from engine.model import EndpointIPAM, EndpointSettings, PortSpec, RestartPolicy
from engine.render.container import config_document

NEW, OLD = (1, 45), (1, 43)


def made(body, version=NEW):
    return container_create(Fields(CONTAINER_CREATE.document(decode(json.dumps(body).encode()))), "web", version)


def test_config_host_config_and_networking_config_become_one_request():
    request, warnings = made({
        "Image": "bb",
        "Cmd": "sleep",
        "Entrypoint": None,
        "env": ["A=1"],
        "Labels": {"a": "b"},
        "ExposedPorts": {"81": {}, "82/udp": {}},
        "StopTimeout": 3,
        "HostConfig": {
            "NetworkMode": "n1",
            "Binds": ["/a:/b"],
            "Mounts": [{"Type": "bind", "Source": "/c", "Target": "/d", "ReadOnly": True}],
            "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2},
            "MaskedPaths": [],
            "MemorySwappiness": -1,
            "PidsLimit": 0,
            "IpcMode": "private",
            "ConsoleSize": [24, 80],
        },
        "NetworkingConfig": {
            "EndpointsConfig": {"n1": {"IPAMConfig": {"IPv4Address": "10.0.0.5"}, "Aliases": ["x"]}, "n2": {}}
        },
    })  # fmt: skip
    assert warnings == []
    config, host = request.config, request.host
    assert (request.name, config.image, config.cmd, config.entrypoint, config.env) == (
        "web",
        "bb",
        ("sleep",),
        None,
        ("A=1",),
    )
    assert (config.exposed_ports, config.stop_timeout) == (("81/tcp", "82/udp"), 3)
    assert (host.network_mode, host.binds, request.mounts) == ("n1", ("/a:/b", "/c:/d:ro"), ["/c:/d:ro"])
    assert host.restart_policy == RestartPolicy("on-failure", 2)
    assert host.system_paths and host.console_size == (24, 80)
    assert request.networks == {
        "n1": EndpointSettings(ipam=EndpointIPAM("10.0.0.5"), aliases=("x",)),
        "n2": EndpointSettings(),
    }


def test_consecutive_ports_become_one_range():
    bindings = {f"{port}/tcp": [{"HostIp": "", "HostPort": str(port + 1000)}] for port in range(80, 90)}
    bindings["80/tcp"].append({"HostPort": ""})
    bindings["95"] = [{"HostIp": "127.0.0.1", "HostPort": "9000-9010"}]
    bindings["99/udp"] = None
    request, _ = made({"Image": "bb", "HostConfig": {"PortBindings": bindings}})
    assert sorted(request.host.port_bindings, key=str) == [
        PortSpec("tcp", 80),
        PortSpec("tcp", 80, "", "1080-1089", 89),
        PortSpec("tcp", 95, "127.0.0.1", "9000-9010"),
    ]
    assert request.host.empty_bindings == {"99/udp": None}


def test_the_bindings_of_a_port_keep_their_order():
    both = [{"HostIp": "::", "HostPort": "80"}, {"HostIp": "0.0.0.0", "HostPort": "80"}]
    request, _ = made({"Image": "bb", "HostConfig": {"PortBindings": {"80/tcp": both, "9/tcp": []}}})
    assert request.host.port_bindings == (PortSpec("tcp", 80, "::", "80"), PortSpec("tcp", 80, "0.0.0.0", "80"))
    assert request.host.empty_bindings == {"9/tcp": ()}


def test_exposed_ports_are_written_in_one_form():
    keys = ["80", "081/TCP", "82/", "90-92/udp", "7-7/sctp"]
    request, _ = made({"Image": "bb", "ExposedPorts": {key: {} for key in keys}})
    assert sorted(request.config.exposed_ports) == ["7/sctp", "80/tcp", "81/tcp", "82/tcp", "90-92/udp"]
    shown = config_document(request.config)["ExposedPorts"]
    assert sorted(shown) == sorted(keys), "Docker 26.1.5 shows the keys of the client"


@pytest.mark.parametrize(
    "settings",
    [{"Devices": [{"PathOnHost": "/dev/x"}]}, {"PidMode": "container:x"}, {"SecurityOpt": ["apparmor=mine"]},
     {"Mounts": [{"Type": "volume", "Source": "v", "Target": "/v"}]}],
)  # fmt: skip
def test_settings_for_devices_namespaces_and_volumes_are_refused(settings):
    with pytest.raises(NotImplementedByHawse):
        made({"Image": "bb", "HostConfig": settings})


def test_volumes_are_refused_but_targets_of_binds_are_accepted():
    with pytest.raises(NotImplementedByHawse, match="hawse keeps no volumes"):
        made({"Image": "bb", "Volumes": {"/data": {}}})
    made({"Image": "bb", "Volumes": {"/data": {}}, "HostConfig": {"Binds": ["/srv:/data:ro"]}})


def test_limits_are_ignored_with_a_warning():
    _, warnings = made({
        "Image": "bb", "Healthcheck": {"Test": ["CMD", "true"]},
        "HostConfig": {"Memory": 10_000_000, "NanoCpus": 0, "LogConfig": {"Type": "syslog"}},
    })  # fmt: skip
    assert warnings == ["hawse ignores Memory", "hawse ignores LogConfig.Type syslog", "hawse ignores Healthcheck"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "config cannot be empty in order to create a container"),
        ({"HostConfig": {}}, "config cannot be empty in order to create a container"),
        ({"Image": ""}, "no command specified"),
        ({"Image": "bb", "HostConfig": {"ShmSize": -1}}, "SHM size can not be less than 0"),
        ({"Image": "bb", "HostConfig": {"IpcMode": "x"}}, "invalid IPC mode: x"),
        ({"Image": "bb", "HostConfig": {"PortBindings": {"x/tcp": []}}}, 'invalid port specification: "x"'),
        *(({"Image": "bb", "ExposedPorts": {port: {}}}, text) for port, text in [
            ("", 'invalid port specification: ""'), ("x", 'invalid port specification: "x"'),
            ("5-3/tcp", 'invalid port specification: "5-3"'), ("-1/tcp", 'invalid port specification: "-1"'),
            ("65536", 'invalid port specification: "65536"'), ("80/tcp/x", "invalid proto: tcp/x")]),
        ({"Image": "bb", "HostConfig": {"Mounts": [{}]}},
         'invalid mount config for type "": field Target must not be empty'),
        ({"Image": "bb", "HostConfig": {"Mounts": [{"Type": "bind", "Source": "x", "Target": "/t"}]}},
         "invalid mount config for type \"bind\": invalid mount path: 'x' mount path must be absolute"),
    ],
)  # fmt: skip
def test_wrong_bodies_are_refused_in_docker_s_words(body, text):
    with pytest.raises(ApiError) as refused:
        made(body)
    assert (refused.value.status, str(refused.value)) == (400, text)


def test_before_1_44_a_container_has_one_network_and_one_mac():
    body = {"Image": "bb", "MacAddress": "02:00:00:00:00:01", "HostConfig": {"NetworkMode": "n1"}}
    request, _ = made(body, OLD)
    assert request.config.mac_address == ""
    assert request.networks == {"n1": EndpointSettings(mac_address="02:00:00:00:00:01")}
    both = {"EndpointsConfig": {"n1": {"MacAddress": "02:00:00:00:00:02"}, "n2": {}}}
    with pytest.raises(ApiError, match="Container cannot be created with multiple network endpoints: n1, n2"):
        made({**body, "NetworkingConfig": both}, OLD)
    networks = made({**body, "NetworkingConfig": both})[0].networks
    assert [settings.mac_address for settings in networks.values()] == ["02:00:00:00:00:02", ""]
    del both["EndpointsConfig"]["n1"]
    assert made({**body, "NetworkingConfig": both})[0].networks["n2"].mac_address == ""
    assert made({**body, "NetworkingConfig": both}, OLD)[0].networks["n2"].mac_address == "02:00:00:00:00:01"


@pytest.mark.parametrize("address", ["bad", " 127.0.0.1", "[::1]", "127.0.0.1/32"])
def test_an_invalid_host_address_of_a_port_is_refused(address):
    bindings = {"80/tcp": [{"HostIp": address, "HostPort": "8080"}]}
    with pytest.raises(ApiError, match="invalid IP address: ") as refused:
        made({"Image": "bb", "HostConfig": {"PortBindings": bindings}})
    assert refused.value.status == 400


@pytest.mark.parametrize("mode", ["host", "none", "container:c1"])
def test_before_1_44_a_mac_address_needs_a_network(mode):
    body = {"Image": "bb", "MacAddress": "02:00:00:00:00:01", "HostConfig": {"NetworkMode": mode}}
    with pytest.raises(ApiError, match="conflicting options: mac-address and the network mode"):
        made(body, OLD)
    assert made(body)[0].networks == {}


def test_a_network_without_settings_is_refused():
    with pytest.raises(ApiError, match="invalid config for network n1: EndpointsConfig is nil"):
        made({"Image": "bb", "NetworkingConfig": {"EndpointsConfig": {"n1": None}}})
