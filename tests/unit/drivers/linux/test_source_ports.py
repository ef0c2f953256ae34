"""A connection in TIME_WAIT counts as a use of its port, unless the kernel may use the port again."""

from ipaddress import ip_address

import pytest

from drivers.linux import host, listeners, source_ports

LOOPBACK, LAN = (ip_address("127.0.0.1"), 80), (ip_address("10.0.0.1"), 80)
SYSCTLS = {host.PORT_RANGE: "40000 40009"}


@pytest.mark.parametrize(
    ("reuse", "loopback", "lan"), [("0", 3, 3), ("1", 1, 1), ("2", 1, 3)], ids=["never", "always", "loopback only"]
)
def test_which_connections_in_time_wait_count(monkeypatch, reuse, loopback, lan):
    sockets = [
        listeners.Socket(port, state, *target)
        for target in (LOOPBACK, LAN, (ip_address("::1"), 80))
        for port, state in ((40000, "01"), (40001, source_ports.TIME_WAIT), (40002, source_ports.TIME_WAIT))
    ]
    monkeypatch.setattr(listeners, "sockets", lambda file: sockets if file == "tcp" else [])
    monkeypatch.setattr(source_ports.sysctl, "read", (SYSCTLS | {"net/ipv4/tcp_tw_reuse": reuse}).get)
    assert source_ports.use(LOOPBACK).tcp == loopback
    assert source_ports.use((ip_address("::1"), 80)) == (10, 0, loopback, "[::1]:80")
    assert source_ports.use(LAN).tcp == lan
