"""Echo requests to many addresses at once."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from drivers.linux import echo


def test_the_sockets_are_closed_if_one_of_them_cannot_be_opened(monkeypatch):
    opened = []

    def open_socket(version):
        if opened:
            raise OSError(97, "Address family not supported by protocol")
        opened.append(socket.socket())
        return opened[-1]

    monkeypatch.setattr(echo, "open_socket", open_socket)
    with pytest.raises(OSError, match="not supported"):
        echo.answering([ip_address("10.0.0.1"), ip_address("fd00::1")], 1)
    assert opened[0].fileno() == -1
