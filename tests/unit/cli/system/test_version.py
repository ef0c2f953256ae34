"""``hawse version`` and ``hawse info`` have Docker's structure, with true data about hawse."""

from __future__ import annotations

import json
import platform

import pytest

from engine.errors import Unavailable

VERSION = {
    "Platform": {"Name": "hawse 0.9"},
    "Components": [
        {"Name": "Engine", "Version": "26.1.5", "Details": {"Os": "linux"}},
        {"Name": "nft", "Version": "1.1", "Details": {"GitCommit": "abc"}},
    ],
    "Version": "26.1.5",
    "ApiVersion": "1.45",
    "MinAPIVersion": "1.24",
    "GitCommit": "",
    "GoVersion": "",
    "Os": "linux",
    "Arch": "amd64",
}
INFO = {
    "Containers": 3, "ContainersRunning": 1, "ContainersPaused": 0, "ContainersStopped": 2, "Images": 1,
    "ServerVersion": "26.1.5", "Driver": "hostfs", "Plugins": {"Volume": [], "Network": ["bridge", "host"]},
    "Swarm": {"LocalNodeState": "inactive"}, "MemTotal": 25276510208, "NCPU": 2, "ID": "", "Name": "vm",
}  # fmt: skip


@pytest.fixture
def cli(cli):
    cli.engine.answers["system"] |= {"version": VERSION, "info": INFO}
    return cli


def test_version_prints_client_and_server(cli):
    client, server = cli("version").out.split("\n\n")
    assert client.startswith("Client: hawse 0.1.0\n Version:           26.1.5\n")
    assert f" API version:       1.45\n Python version:    {platform.python_version()}\n OS/Arch: " in client
    assert server == (
        "Server: hawse 0.9\n"
        " Engine:\n"
        "  Version:          26.1.5\n"
        "  API version:      1.45 (minimum version 1.24)\n"
        "  OS/Arch:          linux/amd64\n"
        " nft:\n"
        "  Version:          1.1\n"
        "  Git commit:       abc\n"
    )


def test_version_as_json_is_one_document(cli):
    document = json.loads(cli("version", "--format", "json").out)
    assert document["Server"] == VERSION
    assert document["Client"]["ApiVersion"] == "1.45"


def test_version_without_an_engine_still_shows_the_client(cli):
    cli.engine.answers["system"]["version"] = Unavailable("store is gone")
    result = cli("version")
    assert (result.code, result.err) == (1, "Error response from daemon: store is gone\n")
    assert result.out.startswith("Client: hawse ")
    assert "Server" not in result.out


@pytest.mark.parametrize("command", ["version", "info"])
@pytest.mark.parametrize(("template", "code"), [("{{.Nope", 64), ("{{index .Version}}{{nofunc}}", 64)])
def test_an_invalid_template_is_refused(cli, command, template, code):
    result = cli(command, "-f", template)
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith("template parsing error: template: ")


def test_templates_reach_the_fields_of_version_and_info(cli):
    assert cli("version", "-f", "{{.Server.Version}} {{.Client.APIVersion}}").out == "26.1.5 1.45\n"
    assert cli("info", "-f", "{{.Containers}} {{.ClientInfo.Context}}").out == "3 default\n"


TEMPLATES = [
    ("version", "{{.Server.Nope}}", "", "template: version:1:9: executing \"version\" at <.Server.Nope>: "
     "can't evaluate field Nope in type *types.Version"),
    ("version", "{{.Client.ApiVersion}}", "", "template: version:1:9: executing \"version\" at <.Client.ApiVersion>: "
     "can't evaluate field ApiVersion in type system.clientVersion"),
    ("info", "a{{.Nope}}", "a", "template: :1:3: executing \"\" at <.Nope>: "
     "can't evaluate field Nope in type system.dockerInfo"),
    ("info", "{{index .Swarm.RemoteManagers 0}}", "", "template: :1:2: executing \"\" at "
     "<index .Swarm.RemoteManagers 0>: error calling index: reflect: slice index out of range"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "template", "out", "error"), TEMPLATES)
def test_a_template_that_fails(cli, command, template, out, error):
    """The expected texts are those of Docker 26.1.5, which prints the output before the failure."""
    result = cli(command, "-f", template)
    assert (result.code, result.out, result.err) == (1, f"{out}\n", f"{error}\n")


def test_a_template_may_read_every_field_of_docker(cli):
    template = (
        "{{.ClientInfo.Plugins}}|{{.ClientInfo.APIVersion}}|{{.BridgeNfIptables}}|{{.CPUCfsQuota}}|{{.Labels}}|"
        "{{.Swarm.NodeID}}|{{.Swarm.Nodes}}|{{.Swarm.Cluster}}|{{.RuncCommit}}|{{.Isolation.IsDefault}}|"
        "{{.Isolation.IsValid}}|{{.UserName}}"
    )
    assert cli("info", "-f", template).out == "[]||false|false|[]||0|<nil>|{ }|true|true|\n"


def test_info_prints_client_and_server(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("HAWSE_RUN", str(tmp_path))
    client, server = cli("info").out.split("\n\n", 1)
    assert client.startswith("Client: hawse 0.1.0\n Version:    26.1.5\n")
    assert client.endswith("\n Context:    default\n Debug Mode: false")
    assert server == (
        "Server:\n"
        " Containers: 3\n"
        "  Running: 1\n"
        "  Paused: 0\n"
        "  Stopped: 2\n"
        " Images: 1\n"
        " Server Version: 26.1.5\n"
        " Storage Driver: hostfs\n"
        " Plugins:\n"
        "  Network: bridge host\n"
        " Swarm: inactive\n"
        " CPUs: 2\n"
        " Total Memory: 23.54GiB\n"
        " Name: vm\n"
        " Docker API: not served (start it with: hawse system service)\n"
        "\n"
    )


def test_info_shows_the_log_limits(cli):
    logging = {"LoggingDriver": "json-file", "DefaultLogOpts": {"max-size": "20m", "max-file": "5"}}
    cli.engine.answers["system"]["info"] = INFO | logging
    assert "\n Logging Driver: json-file\n  Default Options: max-file=5 max-size=20m\n Plugins:" in cli("info").out
    cli.engine.answers["system"]["info"] = INFO | {"LoggingDriver": "none", "DefaultLogOpts": {}}
    assert "\n Logging Driver: none\n Plugins:" in cli("info").out


def test_info_without_an_engine(cli):
    cli.engine.answers["system"]["info"] = Unavailable("store is gone")
    result = cli("info")
    assert result.code == 1
    assert result.out.endswith("\nServer:\n")
    assert result.err == "ERROR: Error response from daemon: store is gone\nerrors pretty printing info\n"
    result = cli("info", "-f", "{{.Containers}}")
    assert (result.code, result.out, result.err) == (0, "0\n", "Error response from daemon: store is gone\n")


def test_info_of_a_manager(cli):
    """The layout is that of Docker 26.1.5, without the lines about services."""
    swarm = {
        "NodeID": "n1", "NodeAddr": "192.0.2.1", "LocalNodeState": "active", "ControlAvailable": True, "Error": "",
        "RemoteManagers": [{"NodeID": "n1", "Addr": "192.0.2.1:2377"}], "Nodes": 2, "Managers": 1,
        "Cluster": {"ID": "c1", "DefaultAddrPool": ["10.0.0.0/8"], "SubnetSize": 24, "DataPathPort": 4789},
    }  # fmt: skip
    cli.engine.answers["system"]["info"] = INFO | {"Swarm": swarm}
    assert (
        " Swarm: active\n"
        "  NodeID: n1\n"
        "  Is Manager: true\n"
        "  ClusterID: c1\n"
        "  Managers: 1\n"
        "  Nodes: 2\n"
        "  Default Address Pool: 10.0.0.0/8\n"
        "  SubnetSize: 24\n"
        "  Data Path Port: 4789\n"
        "  Node Address: 192.0.2.1\n"
        "  Manager Addresses:\n"
        "   192.0.2.1:2377\n"
    ) in cli("info").out


def test_info_shows_security_options_as_docker(cli):
    cli.engine.answers["system"]["info"] = INFO | {"SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"]}
    assert "\n Security Options:\n  seccomp\n   Profile: builtin\n  cgroupns\n" in cli("info").out


def test_system_info_is_info(cli):
    assert cli("system", "info").out == cli("info").out
