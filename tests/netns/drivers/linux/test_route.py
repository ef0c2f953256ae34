"""hawse reads the default routes of a namespace whose owner has added very many routes."""

from __future__ import annotations

import subprocess
import tracemalloc

import pytest

from drivers.linux import netns as namespaces
from drivers.linux import route
from drivers.linux.netlink import Session

pytestmark = pytest.mark.netns
NUMBER = 20_000


def test_only_the_default_routes_are_kept_in_memory(netns):
    lines = ["link add own type veth peer name far", "addr add 10.0.0.1/24 dev own", "link set own up"]
    lines += ["link set far up", "route add default via 10.0.0.2", "route add 128.0.0.0/1 via 10.0.0.3"]
    lines += [f"route add 11.0.{n >> 8}.{n & 255}/32 dev own" for n in range(NUMBER)]
    subprocess.run(["ip", "-n", netns.name, "-batch", "-"], input="\n".join(lines), text=True, check=True)

    def read() -> tuple[list[route.Route], int]:
        with Session() as opened:
            route.widest(opened)  # the first call makes objects that stay
            tracemalloc.start()
            try:
                return route.widest(opened), tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    routes, peak_bytes = namespaces.run_in_netns(netns.path, read)
    assert [str(r.destination) for r in routes] == ["0.0.0.0/0", "128.0.0.0/1"]
    assert peak_bytes < 10 * NUMBER
