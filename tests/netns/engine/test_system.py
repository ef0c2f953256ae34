"""The documents of ``version`` and ``info`` have every field of Docker 26.1.5, with this host's values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.netns
RECORDED = Path(__file__).parent / "docker-26.1.5-system.jsonl"  # a real dockerd's answers to version and info -f json
NOT_IN_HAWSE = {"Client.GitCommit", "Client.GoVersion", "Client.BuildTime", "Server.BuildTime"}
NOT_IN_HAWSE |= {f"ClientInfo.{key.partition('.')[2]}" for key in NOT_IN_HAWSE}
OPEN = ("Runtimes", "IndexConfigs", "Status")  # objects whose keys differ from host to host


def fields(document: dict[str, Any], prefix: str = "") -> set[str]:
    """Return the names of all fields of a document, such as ``Client.Version``."""
    names = set()
    for key, value in document.items():
        names.add(prefix + key)
        if isinstance(value, dict) and key not in OPEN:
            names |= fields(value, f"{prefix}{key}.")
    return names


def test_every_field_of_docker_is_there(host):
    version, info = map(json.loads, RECORDED.read_text().splitlines())
    for command, recorded in (("version", version), ("info", info)):
        document = json.loads(host.hawse(command, "-f", "json").stdout)
        assert fields(recorded) - fields(document) - NOT_IN_HAWSE == set()


def test_the_server_version_is_dockers_with_hawses_beside_it(host):
    template = "{{.Server.Version}} {{range .Server.Components}}{{.Name}} {{end}}{{.Server.Platform.Name}}"
    assert host.hawse("version", "-f", template).stdout == "26.1.5 Engine hawse hawse 0.1.0\n"
    assert host.hawse("info", "-f", "{{.ServerVersion}}").stdout == "26.1.5\n"


def test_info_shows_the_kernels_settings(host):
    template = "{{.IPv4Forwarding}} {{.BridgeNfIptables}} {{.BridgeNfIP6tables}} {{.CgroupDriver}}"
    host.sh(
        "sysctl -qw net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=0"
    )
    assert host.hawse("info", "-f", template).stdout == "true true false none\n"
    host.sh("sysctl -qw net.ipv4.ip_forward=0 net.bridge.bridge-nf-call-iptables=0")
    assert host.hawse("info", "-f", template).stdout == "false false false none\n"


def test_the_id_of_a_host_stays(host):
    host_id, other = (host.hawse("info", "-f", "{{.ID}}").stdout for _ in range(2))
    assert host_id == other
    assert [len(part) for part in host_id.strip().split("-")] == [8, 4, 4, 4, 12]


def test_info_shows_the_address_pools_of_daemon_json(host, tmp_path):
    config = tmp_path / "daemon.json"
    config.write_text('{"default-address-pools": [{"base": "10.10.0.0/16", "size": 24}]}')
    shown = host.hawse("info", env={"HAWSE_CONFIG": str(config)}).stdout
    assert "\n Default Address Pools:\n   Base: 10.10.0.0/16, Size: 24\n" in shown
