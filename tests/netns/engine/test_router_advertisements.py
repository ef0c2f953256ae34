"""Containers accept router advertisements only if ``--sysctl`` or an endpoint option enables that."""

import json
from functools import partial

import pytest

from tests.netns.routers import advertise, learnt

pytestmark = pytest.mark.netns

DEFAULT, OWN = "net.ipv6.conf.default.accept_ra=2", "net.ipv6.conf.eth0.accept_ra=1"


class Inside:
    """A container's network namespace, in which a test can run shell commands."""

    def __init__(self, host, name) -> None:
        self.host, self.pid = host, json.loads(host.hawse("inspect", name).stdout)[0]["State"]["Pid"]
        self.path = f"/proc/{self.pid}/ns/net"

    def sh(self, script):
        return self.host.run("nsenter", "-t", str(self.pid), "-n", "sh", "-c", script).stdout


@pytest.fixture
def app(host):
    for name, number in (("app", 30), ("zoo", 31)):
        host.hawse("network", "create", "--ipv6", "--subnet", f"fd00:{number}::/64", name)
    return host


def test_containers_accept_router_advertisements_only_where_this_is_enabled(app):
    flags = {"rogue": (), "plain": (), "all": ("--sysctl", DEFAULT), "one": ("--sysctl", OWN)}
    for name, options in flags.items():
        app.hawse("run", "-d", "--name", name, "--network", "app", *options, "hostfs", "sleep", "1d")
    inside = {name: Inside(app, name) for name in flags}
    sends = partial(advertise, inside["rogue"].path)
    assert [name for name in ("all", "one") if learnt(inside[name], 10, again=sends)] == ["all", "one"]
    assert learnt(inside["plain"]) == []
    for name in ("plain", "all", "one"):
        app.hawse("network", "connect", "zoo", name)
    later = [inside[name].sh("cat /proc/sys/net/ipv6/conf/eth1/accept_ra").strip() for name in ("plain", "all", "one")]
    assert later == ["0", "2", "0"]


def test_an_adopted_namespace_accepts_only_its_own_routers(app, netns, peer):
    peer.sh(f"ip link add lab0 type veth peer name eth0 netns {netns.name}; ip link set lab0 master br0 up")
    netns.sh("ip link set eth0 up")
    app.hawse("network", "connect", "app", f"netns:{netns.name}")
    app.hawse("run", "-d", "--name", "rogue", "--network", "app", "hostfs", "sleep", "1d")
    assert learnt(netns, again=partial(advertise, Inside(app, "rogue").path)) == []
    assert "dev eth0" in learnt(netns, 10, again=partial(advertise, peer.path, "br0"))[0]
