"""Root in a sandbox makes the kernel's lists long. hawse decodes only the objects that it needs, up to a limit."""

from __future__ import annotations

import subprocess
import tracemalloc
from collections.abc import Callable
from ipaddress import ip_interface
from typing import TypeVar

import pytest

from drivers.errors import KernelError
from drivers.linux import address, link, neighbor, route
from drivers.linux import netns as namespaces
from drivers.linux.netlink import Session
from drivers.linux.rtnetlink import SANDBOX_LIMIT

pytestmark = pytest.mark.netns
NUMBER = SANDBOX_LIMIT + 1
T = TypeVar("T")


@pytest.fixture
def sandbox(netns):
    """A namespace with an interface "own", which is up."""
    ip(netns, "link add own type veth peer name far", "addr add 10.0.0.1/8 dev own", "link set own up")
    ip(netns, "link set far up")
    return netns


def ip(netns, *lines: str) -> None:
    subprocess.run(["ip", "-n", netns.name, "-batch", "-"], input="\n".join(lines), text=True, check=True)


def within(netns, action: Callable[[Session], T]) -> T:
    """Return the result of ``action``, which is called in the namespace with a session there."""

    def run() -> T:
        with Session() as opened:
            return action(opened)

    return namespaces.run_in_netns(netns.path, run)


def addresses(number: int) -> list[str]:
    return [f"10.1.{n >> 8}.{n & 255}" for n in range(number)]


def test_answered_neighbours_are_not_kept_in_memory(sandbox):
    known = "lladdr 02:00:00:00:00:01 dev own nud"
    ip(sandbox, *(f"neigh add {n} {known} permanent" for n in addresses(NUMBER)), f"neigh add 10.2.0.1 {known} probe")

    def forget(opened: Session) -> int:
        tracemalloc.start()
        try:
            neighbor.forget_unresolved(opened, link.index("own"))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert within(sandbox, forget) < 100 * NUMBER
    listed = sandbox.sh("ip neigh show dev own")
    assert "10.1.0.1 " in listed
    assert "10.2.0.1 " not in listed


def test_the_addresses_of_a_link_have_a_limit(sandbox):
    ip(sandbox, *(f"addr add {n}/32 dev own" for n in addresses(NUMBER)), "addr add 10.3.0.1/32 dev far")
    with pytest.raises(KernelError, match="list addresses"):
        within(sandbox, lambda opened: address.of_link(opened, link.index("own")))
    held = within(sandbox, lambda opened: address.of_link(opened, link.index("far")))
    assert [str(item) for item in held if item.version == 4] == ["10.3.0.1/32"]


def test_default_routes_have_a_limit_in_the_main_table_only(sandbox):
    others = [f"route add default dev own table {n}" for n in range(300, 300 + NUMBER)]
    ip(sandbox, "route add default via 10.0.0.2", *others)
    assert [str(r.gateway) for r in within(sandbox, route.widest)] == ["10.0.0.2"]
    ip(sandbox, *(f"route add default dev own metric {n}" for n in range(1, NUMBER)))
    with pytest.raises(KernelError, match="list routes"):
        within(sandbox, route.widest)


def test_a_connected_subnet_is_found_among_other_routes(sandbox):
    ip(sandbox, *(f"route add {n}/32 dev own" for n in addresses(NUMBER)))
    ip(sandbox, "rule add pref 1 from all unreachable")  # so that a look-up of the route fails
    there, missing = ip_interface("10.0.0.1/8"), ip_interface("10.4.0.1/16")
    assert within(sandbox, lambda opened: route.has_connected(opened, there, "own"))
    assert not within(sandbox, lambda opened: route.has_connected(opened, missing, "own"))


def test_links_are_found_by_alias_and_by_mac(sandbox):
    ip(sandbox, "link set own alias mark", "link set far address 02:42:00:00:00:09", "link add x type veth peer name y")
    find = link.with_alias_or_mac
    assert [found.name for found in within(sandbox, lambda opened: find(opened, "mark", ""))] == ["own"]
    found = within(sandbox, lambda opened: find(opened, "mark", "02:42:00:00:00:09"))
    assert {interface.name for interface in found} == {"own", "far"}
