"""Settings in daemon.json that apply to all bridge networks.

A changed setting takes effect with the next hawse command that changes the host's state.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.netns.drivers.conftest import Server, ask

pytestmark = pytest.mark.netns
WEB = "172.30.0.2"
ONE_ADDRESS, UNPUBLISHED = 90, 99


def reached(host) -> list[int]:
    """Return the container's ports that the peer (another machine) reaches at the container's own address."""
    return [port for port in (ONE_ADDRESS, UNPUBLISHED) if ask(host.peer.path, WEB, port, wait=0.5)]


@pytest.fixture
def hawse(host, tmp_path: Path):
    """Return a function that runs a command with the given daemon.json settings."""
    config = tmp_path / "daemon.json"

    def run(settings: dict[str, object], *argv: str, **kw):
        config.write_text(json.dumps(settings))
        return host.hawse(*argv, env={"HAWSE_CONFIG": str(config)}, **kw)

    return run


def test_settings_are_heeded_by_the_next_command(host, hawse):
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


FORWARDING_OFF = "WARNING: IPv4 forwarding is disabled. Networking will not work.\n"


def test_forwarding_is_left_alone_where_daemon_json_says_so(host, hawse):
    off = {"ip-forward": False}
    switches = "sysctl -n net.ipv4.ip_forward net.ipv6.conf.all.forwarding"

    def pinged(container: str, address: str) -> bool:
        command = ("exec", container, "ping", "-c1", "-W1", address)
        return hawse(off, *command, check=False).returncode == 0

    created = hawse(off, "network", "create", "--ipv6", "--subnet", "172.30.0.0/16", "app")
    assert created.stderr == ""
    for name in ("web", "client"):
        started = hawse(off, "run", "-d", "--name", name, "--network", "app", "hostfs", "sleep", "1000")
        assert started.stderr == FORWARDING_OFF
    for mode in ("host", "none"):
        assert hawse(off, "create", "--network", mode, "hostfs", "true").stderr == ""
    assert hawse(off, "info").stderr == "WARNING: IPv4 forwarding is disabled\n"
    assert host.sh(switches) == "0\n0\n"
    assert pinged("client", "172.30.0.2") and not pinged("client", "192.168.99.99")
    host.sh("sysctl -qw net.ipv4.ip_forward=1")
    assert pinged("client", "192.168.99.99")
    assert hawse(off, "create", "--network", "app", "hostfs", "true").stderr == ""
    host.sh("sysctl -qw net.ipv4.ip_forward=0")
    assert hawse({}, "create", "--network", "app", "hostfs", "true").stderr == ""
    hawse({}, "network", "create", "--ipv6", "other")
    assert host.sh(switches) == "1\n1\n"


MTU = "com.docker.network.driver.mtu"
DEFAULTS = {
    "default-network-opts": {
        "bridge": {MTU: "1400", "com.docker.network.bridge.enable_icc": "false"},
        "macvlan": {"macvlan_mode": "private"},
    }
}


def test_default_options_of_networks(host, hawse):
    def options(*argv: str) -> dict[str, str]:
        hawse(DEFAULTS, "network", "create", *argv)
        return json.loads(hawse({}, "network", "inspect", "-f", "{{json .Options}}", argv[-1]).stdout)

    defaults = DEFAULTS["default-network-opts"]["bridge"]
    assert options("-o", "com.docker.network.bridge.name=app0", "app") == {
        **defaults, "com.docker.network.bridge.name": "app0",
    }  # fmt: skip
    assert host.sh("cat /sys/class/net/app0/mtu") == "1400\n"
    hawse({}, "run", "-d", "--name", "web", "--network", "app", "hostfs", "sleep", "1000")
    assert hawse({}, "exec", "web", "cat", "/sys/class/net/eth0/mtu").stdout == "1400\n"
    assert options("-o", f"{MTU}=1300", "mine") == {**defaults, MTU: "1300"}
    assert options("-d", "macvlan", "--config-only", "wire") == {"macvlan_mode": "private"}
    assert options("--config-only", "--subnet", "172.31.0.0/16", "configured") == defaults
    hawse({}, "network", "create", "--config-only", "plain")
    assert options("--config-from", "plain", "copied") == {}
    assert hawse(DEFAULTS, "network", "inspect", "-f", f'{{{{index .Options "{MTU}"}}}}', "bridge").stdout == "1500\n"


@pytest.mark.parametrize("key", ["iptables", "ip6tables"])
def test_a_firewall_without_hawse_is_refused_by_name(hawse, key):
    refused = hawse({key: False}, "network", "ls", check=False)
    assert refused.returncode == 1
    assert f"daemon.json: {key}: false is not supported" in refused.stderr
    assert hawse({key: True}, "network", "ls").returncode == 0
