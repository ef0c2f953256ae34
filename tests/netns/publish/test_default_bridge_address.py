"""Containers of other networks reach services and published ports through the default bridge's address."""

from __future__ import annotations

import pytest

from tests.netns.drivers.conftest import Server, ask

pytestmark = pytest.mark.netns
MODE = "com.docker.network.bridge.gateway_mode_ipv4"
GATEWAY = "172.17.0.1"


def test_the_default_bridge_is_there_for_host_gateway_before_any_container_uses_it(host):
    host.hawse("network", "create", "app")
    host.hawse("run", "-d", "--name", "client", "--network", "app", "--add-host", "gate:host-gateway",
               "hostfs", "sleep", "1d")  # fmt: skip
    server = Server(host.path, "0.0.0.0", 7777, "tcp")
    space = f"/proc/{host.hawse('inspect', '-f', '{{.State.Pid}}', 'client').stdout.strip()}/ns/net"
    try:
        assert ask(space, GATEWAY, 7777)
    finally:
        server.close()


def test_host_gateway_without_a_default_bridge_is_an_error(host, tmp_path):
    config = tmp_path / "daemon.json"
    config.write_text('{"bridge": "none"}')
    run = ("run", "--rm", "--network", "host", "--add-host", "gate:host-gateway", "hostfs", "true")
    refused = host.hawse(*run, env={"HAWSE_CONFIG": str(config)}, check=False)
    assert (refused.returncode, "unable to derive the IP value for host-gateway" in refused.stderr) == (125, True)
    config.write_text('{"bridge": "none", "host-gateway-ip": "192.168.99.11"}')
    assert host.hawse(*run, env={"HAWSE_CONFIG": str(config)}).returncode == 0


@pytest.mark.parametrize("mode", ["nat", "routed", "nat-unprotected"])
def test_the_default_bridges_address_leads_to_services_and_published_ports(host, mode):
    host.hawse("network", "create", "-o", f"{MODE}={mode}", "clients")
    host.hawse("network", "create", "servers")
    for name, network in (("near", "bridge"), ("far", "servers"), ("client", "clients")):
        ports = ("-p", "8088:80") if name == "far" else ("-p", "8089:80") if name == "near" else ()
        hosts = ("--add-host", "gate:host-gateway")
        host.hawse("run", "-d", "--name", name, "--network", network, *ports, *hosts, "hostfs", "sleep", "1d")
    spaces = {
        name: f"/proc/{host.hawse('inspect', '-f', '{{.State.Pid}}', name).stdout.strip()}/ns/net"
        for name in ("near", "far", "client")
    }
    assert f"{GATEWAY}\tgate\n" in host.hawse("exec", "client", "cat", "/etc/hosts").stdout
    servers = [Server(spaces[name], "0.0.0.0", 80, "tcp") for name in ("near", "far")]
    servers.append(Server(host.path, "0.0.0.0", 7777, "tcp"))
    try:
        assert all(ask(spaces["client"], GATEWAY, port) for port in (7777, 8088, 8089))
    finally:
        for server in servers:
            server.close()
