"""Published ports are held: other programs cannot bind them, and the held socket answers no packet."""

from __future__ import annotations

import json
import os
import signal
import socket
import time

import pytest

from drivers.linux import netns as namespaces
from engine.agent.client import LOCK
from engine.runtime.resident import holder
from tests.conftest import new_host, until
from tests.netns.drivers.conftest import Server, ask

pytestmark = pytest.mark.netns
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A host with the networks aaa, mid and zoo."""
    with new_host(tmp_path_factory.mktemp("held"), ipv6=True) as host:
        for network in ("aaa", "mid", "zoo"):
            host.hawse("network", "create", network)
        yield host


@pytest.fixture(autouse=True)
def _without_containers(host):
    yield
    host.hawse("rm", "-f", "web")


def run(host, name, *flags):
    host.hawse("run", "-d", "--name", name, *flags, "hostfs", "sleep", "1d")


def listed(host, protocol):
    """Return the local addresses and ports that ss shows for sockets that wait for clients."""
    return {line.split()[3] for line in host.sh(f"ss -Hln{protocol[0]}").splitlines()}


def binding(host, protocol, address, port):
    """Bind a port from a host program with all options for sharing; return the error, or "" on success."""

    def attempt():
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, KINDS[protocol]) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            try:
                sock.bind((address, port))
                if protocol == "tcp":
                    sock.listen()
            except OSError as error:
                return os.strerror(error.errno)
        return ""

    return namespaces.run_in_netns(host.path, attempt)


IN_USE = "Address already in use"


def ports(host, name):
    """Return the host ports of a container by container port."""
    lines = (line.split(" -> ") for line in host.hawse("port", name).stdout.splitlines())
    return {inside: int(outside.rpartition(":")[2]) for inside, outside in lines}


def bindings(host, name):
    return json.loads(host.hawse("inspect", "-f", "{{json .NetworkSettings.Ports}}", name).stdout)


def test_a_port_is_held_from_the_start_of_its_container_to_the_end(host):
    run(host, "web", "-p", "8080:80", "-p", "5300:53/udp", "-p", "127.0.0.1:9000:90", "-p", "20000-21999:1000-2999")
    assert {"0.0.0.0:8080", "[::]:8080", "127.0.0.1:9000"} <= listed(host, "tcp")
    assert {"0.0.0.0:5300", "[::]:5300"} <= listed(host, "udp")
    assert "0.0.0.0:20000" not in listed(host, "tcp")  # a range of this length is not held
    for protocol, address, port in (
        ("tcp", "0.0.0.0", 8080), ("tcp", host.address, 8080), ("tcp", "::1", 8080), ("tcp", "127.0.0.1", 9000),
        ("udp", "127.0.0.1", 5300), ("udp", "::", 5300),
    ):  # fmt: skip
        assert binding(host, protocol, address, port) == IN_USE
    assert binding(host, "tcp", host.address, 9000) == ""
    taken = host.hawse("run", "--rm", "-p", "8080:80", "hostfs", "true", check=False).stderr
    assert "Bind for 0.0.0.0:8080 failed: port is already allocated" in taken
    host.hawse("restart", "-t0", "web")
    assert binding(host, "tcp", "0.0.0.0", 8080) == IN_USE
    host.hawse("stop", "-t0", "web")
    assert binding(host, "tcp", "0.0.0.0", 8080) == binding(host, "udp", "0.0.0.0", 5300) == ""
    with_foreign = namespaces.run_in_netns(host.path, lambda: socket.create_server(("0.0.0.0", 8080)))
    with with_foreign:
        refused = host.hawse("start", "web", check=False).stderr
        assert "Error starting userland proxy: listen tcp4 0.0.0.0:8080: bind: address already in use" in refused


def test_clients_reach_the_container_and_never_the_held_socket(host):
    run(host, "web", "-p", "8080:80", "-p", "8080:80/udp")
    space = f"/proc/{host.hawse('inspect', '-f', '{{.State.Pid}}', 'web').stdout.strip()}/ns/net"
    servers = [Server(space, "0.0.0.0", 80, protocol) for protocol in KINDS]
    try:
        for protocol in KINDS:
            for address in (host.address, "127.0.0.1", "::1"):
                assert ask(host.path, address, 8080, protocol), (protocol, address)
            assert ask(host.peer.path, host.address, 8080, protocol)
        agent = holder(str(host.run_dir), LOCK)
        os.kill(agent, signal.SIGSTOP)  # the guard replaces a stopped agent after a while
        host.sh("nft delete table inet hawse")
        client = namespaces.run_in_netns(host.path, socket.socket)
        client.setblocking(False)
        client.connect_ex((host.address, 8080))
        time.sleep(0.3)
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0  # the connection was not refused
        with pytest.raises(OSError):
            client.getpeername()  # the connection was not accepted
        os.kill(agent, signal.SIGCONT)
        until(lambda: is_connected(client))  # the kernel has sent the SYN again
        client.close()
    finally:
        for server in servers:
            server.close()


def is_connected(client):
    try:
        return client.getpeername()
    except OSError:
        return None


def test_the_next_agent_holds_the_ports_again(host):
    run(host, "web", "-p", "127.0.0.1:8080:80")
    os.kill(holder(str(host.run_dir), LOCK), signal.SIGKILL)
    until(lambda: "127.0.0.1:8080" in listed(host, "tcp"))


def test_ports_that_the_user_did_not_choose_change_with_the_gateway_network(host):
    run(host, "web", "--network", "mid", "-p", "80", "-p", "8100-8110:81", "-p", "7000:70")
    before = ports(host, "web")
    seen = [before]
    for argv in (("connect", "zoo"), ("connect", "aaa"), ("disconnect", "aaa")):
        host.hawse("network", *argv, "web")
        seen.append(ports(host, "web"))
        assert {f"0.0.0.0:{port}" for port in seen[-1].values()} <= listed(host, "tcp")
    assert seen[1] == before  # the default route is still on mid
    assert len({published["80/tcp"] for published in seen}) == 3
    assert [published["81/tcp"] for published in seen] == [8100, 8100, 8101, 8102]
    assert {published["70/tcp"] for published in seen} == {7000}
    assert binding(host, "tcp", "0.0.0.0", seen[2]["80/tcp"]) == ""


def test_networks_without_nat_hold_no_ports(host):
    mode = "com.docker.network.bridge.gateway_mode_ipv4=routed"
    host.hawse("network", "create", "-o", mode, "routed")
    run(host, "web", "--network", "routed", "-p", "8080:80")
    assert not {"0.0.0.0:8080", "[::]:8080"} & listed(host, "tcp")


def test_containers_of_a_network_without_nat_can_publish_one_port(host):
    """Each container is reached at its own address, so the host port is not used (as with Docker 27 and later)."""
    mode = "com.docker.network.bridge.gateway_mode_ipv"
    host.hawse("network", "create", "--subnet", "172.30.0.0/24", "-o", f"{mode}4=routed", "open")
    host.hawse("network", "create", "--ipv6", "-o", f"{mode}6=routed", "mixed")
    host.hawse("network", "create", "--ipv6", "--ipv4=false", "six")
    host.peer.sh(f"ip route add 172.30.0.0/24 via {host.address}")
    program = Server(host.path, "0.0.0.0", 8080, "tcp")
    for name, address in (("one", "172.30.0.2"), ("two", "172.30.0.3")):
        run(host, name, "--network", "open", "--ip", address, "-p", "8080:80")
    program.close()
    assert bindings(host, "two") == {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": ""}]}
    assert "80/tcp" in host.hawse("ps", "--filter", "name=two", "--format", "{{.Ports}}").stdout.split()
    for name, address in (("one", "172.30.0.2"), ("two", "172.30.0.3")):
        space = f"/proc/{host.hawse('inspect', '-f', '{{.State.Pid}}', name).stdout.strip()}/ns/net"
        server = Server(space, "0.0.0.0", 80, "tcp")
        try:
            assert ask(host.peer.path, address, 80, "tcp")
            host.hawse("unpublish", name, "80")
            assert not ask(host.peer.path, address, 80, "tcp")
            host.hawse("publish", "-p", "8080:80", name)
            assert ask(host.peer.path, address, 80, "tcp")
        finally:
            server.close()
    run(host, "three", "--network", "mixed", "-p", "8081:80")
    assert bindings(host, "three") == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8081"}, {"HostIp": "::", "HostPort": ""}]
    }
    run(host, "four", "--network", "six", "-p", "8082:80")
    assert bindings(host, "four") == {"80/tcp": [{"HostIp": "::", "HostPort": "8082"}]}
    run(host, "five", "-p", "127.0.0.1:8082:80")
    host.hawse("rm", "-f", "one", "two", "three", "four", "five")
