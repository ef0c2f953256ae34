"""The tests check the netlink requests that hawse sends to a kernel with WireGuard.

A double replaces this kernel, so the tests send no packet through a tunnel.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL
from pyroute2.netlink.rtnl import RTM_NEWLINK
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from drivers.errors import DriverError, KernelError, NoPermission, Unsupported
from drivers.linux import rtnetlink
from drivers.model import NetworkSpec, Sandbox
from drivers.overlay import wireguard
from drivers.overlay.wireguard import Tunnel, interface_name

NETWORK = NetworkSpec("ab" * 32, "o1", {}, ())
NAME = interface_name(Path("/run/hawse"), NETWORK.id)
NAMESPACE = 7


class Kernel:
    """A double of a kernel with WireGuard, which records the requests of the netlink session.

    With ``refusal``, the double raises this error for each request.
    """

    def __init__(self, refusal: DriverError | None = None) -> None:
        self.refusal = refusal
        self.requests: list[tuple[int, int, ifinfmsg]] = []

    def request(self, kind: int, body: bytes, flags: int = 0) -> list[bytes]:
        self.requests.append((kind, flags, rtnetlink.decode(ifinfmsg, body)))
        if self.refusal:
            raise self.refusal
        return []


def ask(kernel: Kernel) -> bool:
    return Tunnel(NETWORK, NAME, Sandbox(NETWORK.id, "/proc/self/ns/net"))._in_kernel(kernel, NAMESPACE)


def test_the_interface_is_created_in_the_networks_namespace():
    kernel = Kernel()
    assert ask(kernel)
    ((kind, flags, message),) = kernel.requests
    assert (kind, flags) == (RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL)
    assert message.get_attr("IFLA_IFNAME") == NAME
    assert message.get_attr("IFLA_NET_NS_FD") == NAMESPACE
    assert message.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND") == "wireguard"


def test_a_program_that_hangs_is_an_error_of_the_driver(tmp_path, monkeypatch):
    for name in ("wg", "wireguard-go"):
        (tmp_path / name).write_text("#!/bin/sh\nexec sleep 30\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(wireguard, "TIMEOUT", 0.1)
    tunnel = Tunnel(NETWORK, NAME, Sandbox(NETWORK.id, "/proc/self/ns/net"))
    with pytest.raises(Unsupported, match="wg did not end within"):
        tunnel._wg("show", NAME)
    with pytest.raises(Unsupported, match="wireguard-go did not end within"):
        tunnel._start_process()


def test_without_wireguard_in_the_kernel_the_kernel_creates_no_tunnel():
    assert not ask(Kernel(KernelError("create wireguard", NAME, errno.EOPNOTSUPP)))


@pytest.mark.parametrize(
    "refusal", [NoPermission("create wireguard"), KernelError("create wireguard", NAME, errno.EEXIST)]
)
def test_any_other_refusal_is_reported_as_an_error(refusal):
    with pytest.raises(type(refusal)):
        ask(Kernel(refusal))
