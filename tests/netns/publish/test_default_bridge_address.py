"""Containers of other networks reach services and published ports through the default bridge's address."""

from __future__ import annotations

import pytest

from tests.netns.drivers.conftest import Server, ask

pytestmark = pytest.mark.netns
MODE = "com.docker.network.bridge.gateway_mode_ipv4"
GATEWAY = "172.17.0.1"


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
