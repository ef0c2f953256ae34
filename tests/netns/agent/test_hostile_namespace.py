"""The owner of a connected namespace, who has all rights in this namespace, attacks the agent from there."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from pathlib import Path

import pytest

from drivers.linux import netns as namespaces
from engine.dns import wire

pytestmark = pytest.mark.netns

ENDLESS = struct.pack("=IHHII", 0, 99, 0, 0, 0) + bytes(64)  # a netlink message whose header says that its length is 0
GROUPS = {socket.NETLINK_ROUTE: 1, 12: 1 << 6}  # bits of RTNLGRP_LINK and, of netfilter, NFNLGRP_NFTABLES


def answer(path: str, name: str) -> bytes:
    """Return what the DNS server of a container answers to a query for a name."""
    encoded = wire.encode_name(name)
    assert encoded is not None
    with namespaces.run_in_netns(path, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
        client.settimeout(5)
        client.sendto(wire.make_query(b"id", encoded, wire.A), ("127.0.0.11", wire.PORT))
        return client.recv(512)


def send_to_all_netlink_sockets(data: bytes) -> None:
    """Send data to each netlink socket of the calling thread's namespace, and to the groups of these sockets."""
    for line in Path("/proc/thread-self/net/netlink").read_text().splitlines()[1:]:
        protocol, port = map(int, line.split()[1:3])
        if protocol in GROUPS and port:
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol) as sender:
                with suppress(ConnectionRefusedError):
                    sender.sendto(data, (port, 0))
                sender.sendto(data, (0, GROUPS[protocol]))


def test_netlink_messages_of_a_connected_namespace_do_not_stop_the_agent(host, netns):
    for network in ("app", "other"):
        host.hawse("network", "create", network)
    host.hawse("run", "-d", "--name", "web", "--network", "other", "hostfs", "sleep", "600")
    host.hawse("network", "connect", "app", f"netns:{netns.path}")
    sandbox = f"/proc/{host.hawse('inspect', '-f', '{{.State.Pid}}', 'web').stdout.strip()}/ns/net"
    known = answer(sandbox, "web")
    namespaces.run_in_netns(netns.path, lambda: send_to_all_netlink_sockets(ENDLESS))
    assert answer(sandbox, "web") == known
