"""IPsec policies on kernels that refuse to list them."""

import errno
import os
from ipaddress import ip_address

import pytest

from drivers.errors import NoPermission
from drivers.firewall import ipsec_policies
from drivers.firewall.ipsec_policies import DIRECTIONS
from drivers.firewall.packets import Packet
from drivers.linux import netlink

PACKET = Packet("tcp", ip_address("172.31.0.3"), ip_address("172.31.0.2"), 80)


def refuse(code):
    def open_socket(*_):
        raise OSError(code, os.strerror(code))

    return open_socket


def test_a_kernel_without_ipsec_has_no_policies(monkeypatch):
    monkeypatch.setattr(netlink, "open_socket", refuse(errno.EPROTONOSUPPORT))
    assert ipsec_policies.stopping(PACKET, DIRECTIONS) == ipsec_policies.blocking([PACKET]) == ""


def test_another_error_is_one_of_the_driver(monkeypatch):
    monkeypatch.setattr(netlink, "open_socket", refuse(errno.EPERM))
    with pytest.raises(NoPermission):
        ipsec_policies.stopping(PACKET, DIRECTIONS)
