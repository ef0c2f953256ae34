"""The trace of one probe through the firewall."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from drivers.firewall import packet_trace
from drivers.linux import netlink
from drivers.linux.probes import TunnelFlow


def test_the_context_is_closed_if_no_socket_can_be_opened(monkeypatch):
    closed = []

    class Context:
        def close(self):
            closed.append(self)

    def open_socket(*_):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(packet_trace, "Context", Context)
    monkeypatch.setattr(netlink, "open_socket", open_socket)
    with pytest.raises(OSError, match="Too many"):
        packet_trace.PacketTrace(TunnelFlow(ip_address("192.0.2.1"), 4789))
    assert len(closed) == 1
