"""The tests check the TCP connections of the port proxy, and the keepalive probes that the kernel sends on them."""

from __future__ import annotations

import socket

import pytest

from engine.portproxy.tcp import connecting

KEEPALIVE = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)


def test_a_connection_attempt_to_a_container_fails_after_seconds():
    """A connection attempt without an answer of the container ends after 15 seconds.

    With the kernel's default, the attempt would last two minutes and keep two file descriptors open.
    """
    with socket.create_server(("127.0.0.1", 0)) as server, connecting(server.getsockname()) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        idle, interval, count = (sock.getsockopt(socket.IPPROTO_TCP, option) for option in KEEPALIVE)
        assert idle + interval * count <= 150
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT) == 3  # one attempt and 3 retries: 1 + 2 + 4 + 8 s


def test_a_missing_route_is_an_immediate_error():
    with pytest.raises(OSError, match="no way to"):
        connecting(("255.255.255.255", 80))
