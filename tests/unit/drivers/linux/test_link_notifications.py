"""A listener for the kernel's notifications about links."""

from __future__ import annotations

import socket

from drivers.linux import netlink
from drivers.linux.link_notifications import LINKS, LinkListener
from drivers.linux.netlink import FORCING

SMALL_BYTES = 1 << 16


class Unprivileged(socket.socket):
    """A netlink socket of a process that has no CAP_NET_ADMIN in the machine's first user namespace."""

    def setsockopt(self, level, option, *value):
        if (level, option) == (socket.SOL_SOCKET, FORCING[socket.SO_RCVBUF]):
            raise PermissionError(1, "Operation not permitted")
        super().setsockopt(level, option, *value)


def test_a_process_without_rights_on_the_host_gets_the_buffer_that_every_user_may_have(monkeypatch):
    opened = Unprivileged(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    monkeypatch.setattr(netlink, "open_socket", lambda *_: opened)
    listener = LinkListener(LINKS, SMALL_BYTES)
    size = opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    listener.close()
    assert size == 2 * SMALL_BYTES  # the kernel reserves as much for its own data
