"""IPsec policies on kernels that refuse to list them."""

import errno
import os
from ipaddress import ip_address

import pytest

from drivers.errors import NoPermission
from drivers.linux import ipsec_policies, netlink

PAIR = (ip_address("172.31.0.3"), ip_address("172.31.0.2"))


def refuse(code):
    def open_socket(*_):
        raise OSError(code, os.strerror(code))

    return open_socket


def test_a_kernel_without_ipsec_has_no_policies(monkeypatch):
    monkeypatch.setattr(netlink, "open_socket", refuse(errno.EPROTONOSUPPORT))
    assert ipsec_policies.stopping(*PAIR) == ipsec_policies.blocking([PAIR]) == ""


def test_another_error_is_one_of_the_driver(monkeypatch):
    monkeypatch.setattr(netlink, "open_socket", refuse(errno.EPERM))
    with pytest.raises(NoPermission):
        ipsec_policies.stopping(*PAIR)
