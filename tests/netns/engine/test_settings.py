"""Settings of daemon.json that concern all bridge networks take effect with the next command that changes something."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.netns.drivers.conftest import Server, ask

pytestmark = pytest.mark.netns
WEB = "172.30.0.2"
ONE_ADDRESS, UNPUBLISHED = 90, 99


def reached(host) -> list[int]:
    """The container's ports that the peer reaches at the container's own address."""
    return [port for port in (ONE_ADDRESS, UNPUBLISHED) if ask(host.peer.path, WEB, port, wait=0.5)]


def test_settings_are_heeded_by_the_next_command(host, tmp_path: Path):
    config = tmp_path / "daemon.json"

    def hawse(settings: dict[str, object], *argv: str, **kw):
        config.write_text(json.dumps(settings))
        return host.hawse(*argv, env={"HAWSE_CONFIG": str(config)}, **kw)

    host.peer.sh(f"ip route add 172.30.0.0/16 via {host.address}")
    hawse({}, "network", "create", "--subnet", "172.30.0.0/16", "app")
    hawse(
        {}, "run", "-d", "--name", "web", "--network", "app", "-p", f"{host.address}:9090:90", "hostfs", "sleep", "1000"
    )
    pid = hawse({}, "inspect", "-f", "{{.State.Pid}}", "web").stdout.strip()
    servers = [Server(f"/proc/{pid}/ns/net", "0.0.0.0", port, "tcp") for port in (ONE_ADDRESS, UNPUBLISHED)]
    marking = "add table ip o; add chain ip o p { type filter hook prerouting priority raw; }; "
    host.sh(f"nft '{marking} add rule ip o p meta mark set 5'")
    assert reached(host) == []
    for number, (settings, ports) in enumerate((
        ({"allow-direct-routing": True}, [ONE_ADDRESS]),
        ({"bridge-accept-fwmark": "0x1/0x3"}, [ONE_ADDRESS, UNPUBLISHED]),
        ({"bridge-accept-fwmark": "2/3"}, []),
        ({}, []),
    )):  # fmt: skip
        hawse(settings, "network", "create", f"n{number}")
        assert reached(host) == ports, settings
    refused = hawse({"bridge-accept-fwmark": "1/x"}, "network", "create", "no", check=False)
    assert refused.returncode == 1
    assert 'invalid firewall mask "1/x": strconv.ParseUint: parsing "x": invalid syntax' in refused.stderr
    for server in servers:
        server.close()
