"""The tests check how hosts and ports are joined."""

import pytest

from drivers.scalars import socket_text


@pytest.mark.parametrize(
    ("host", "port", "joined"),
    [
        ("192.0.2.1", 80, "192.0.2.1:80"),
        ("2001:db8::1", "80-90", "[2001:db8::1]:80-90"),
        ("manager.example", 2377, "manager.example:2377"),
    ],
)
def test_only_an_ipv6_address_gets_brackets(host, port, joined):
    assert socket_text(host, port) == joined
