"""The creation and the removal of an overlay network can be repeated, also after a kill at any function call.

After the removal, no object of the network is left on the host.
"""

from __future__ import annotations

import pickle
import sys

import pytest

from drivers import firewall
from drivers.errors import Exists, Missing
from drivers.linux import host_namespace, netns
from drivers.model import Sandbox
from tests.netns.drivers.overlay.conftest import VNIS

pytestmark = pytest.mark.netns

DUAL = ("10.0.1.0/24", "fd00:1::/64")
KERNEL_STATE = r"""
ip -d -o link | sed -E 's/^[0-9]+: //; s/timer +[0-9.]+//g'; ip -o addr | sed -E 's/^[0-9]+: //'; ip route; ip -6 route
nft list ruleset; ss -lunH; cat /proc/sys/net/ipv4/ip_forward
"""
KILLS = range(1, 2000, 25)


def state(host) -> str:
    return host.sh(KERNEL_STATE)


def test_nothing_is_left_behind(cluster):
    host = cluster.some(1)[0]
    before = state(host)
    o1 = cluster.network("o1", *DUAL, hosts=1)
    c1 = o1.container(0)
    assert "4789" in state(host)
    for _ in range(2):
        o1.leave(c1)
        o1.members[0].act("delete_network")
    assert "eth0" not in c1.sh("ip link")
    cluster.forget(c1)
    o1.members[0].here(firewall.teardown)  # the firewall blocks VXLAN from containers until the last network is gone
    assert state(host) == before
    assert list(host.run_dir.rglob("*")) == []


def test_the_overlay_namespace_is_distinguished_from_a_sandbox(cluster):
    o1 = cluster.network("o1", *DUAL, hosts=1)
    with netns.netns_fd(o1.members[0].place.sandbox.path) as opened:
        assert host_namespace.of(opened, ("agent.sock",))[0] == "networks of hawse: br0"


def test_a_network_in_use_is_made_and_joined_again_without_harm(cluster):
    o1 = cluster.network("o1", *DUAL)
    here, there = o1.container(0), o1.container(1)
    o1.members[0].act("create_network")
    o1.members[0].act("join", here.endpoint, Sandbox(here.namespace, here.path), "eth0")
    assert o1.members[0].verify() == []
    assert here.pings(there.ipv4)
    assert here.pings(there.ipv6)


def test_a_failed_creation_does_not_change_a_network_in_use(cluster):
    o1 = cluster.network("o1", "10.0.1.0/24")
    here, there = o1.container(0), o1.container(1)
    member = o1.members[0]
    member.inside("ip link del vxlan0")
    member.host.sh(f"ip link add other0 type vxlan id {member.network.options[VNIS]} dstport 4789")
    with pytest.raises(Exists, match="error creating vxlan interface: file exists"):
        member.act("create_network")
    assert member.place.file.exists()
    member.host.sh("ip link del other0")
    member.verify(fix=True)
    member.act("join", here.endpoint, Sandbox(here.namespace, here.path), "eth0")
    assert here.pings(there.ipv4)


def test_programming_peers_repairs_a_network_but_does_not_create_it(cluster):
    o1 = cluster.network("o1", *DUAL)
    here, there = o1.container(0), o1.container(1)
    member = o1.members[0]
    member.inside("ip link del vxlan0")
    member.program()
    assert member.verify() == []
    assert here.pings(there.ipv4, wait=5)
    member.act("delete_network")
    with pytest.raises(Missing, match=r"^network o1 is not up on this host"):
        member.program()
    assert not member.place.file.exists()


def test_leaving_needs_neither_sandbox_nor_network(cluster):
    o1 = cluster.network("o1", *DUAL)
    c1, c2 = o1.container(0), o1.container(0)
    member = o1.members[0]
    member.act("leave", c1.endpoint, None)
    member.act("leave", c1.endpoint, None)
    assert "eth0" not in c1.sh("ip link")
    cluster.forget(c2)
    member.act("leave", c2.endpoint, None)
    member.act("delete_network")
    member.act("leave", c2.endpoint, None)
    member.act("delete_endpoint", c2.endpoint)
    member.act("remove_peer", o1.peer(c2))
    with pytest.raises(Missing, match=r"^network o1 is not up on this host"):
        member.act("join", c1.endpoint, Sandbox(c1.namespace, c1.path), "eth0")


def test_a_failed_join_leaves_nothing(cluster):
    o1 = cluster.network("o1", *DUAL, hosts=1)
    c1 = o1.container(0)
    other = o1.endpoint()
    before = o1.members[0].inside("ip -o link")
    with pytest.raises(Exists, match=r"^the sandbox has an interface eth0 already"):
        o1.members[0].act("join", other, Sandbox(c1.namespace, c1.path), "eth0")
    assert o1.members[0].inside("ip -o link") == before


@pytest.mark.parametrize("verb", ["create_network", "delete_network"])
def test_a_command_killed_anywhere_is_completed_by_the_next(cluster, verb):
    o1 = cluster.network("o1", *DUAL)
    member = o1.members[0]
    member.kill_throughout(verb, KILLS)
    member.act("create_network")
    here, there = o1.container(0), o1.container(1)
    member.program()
    assert member.verify() == []
    assert here.pings(there.ipv6)


def test_a_network_outlives_the_mount_namespace_it_was_made_in(cluster):
    o1 = cluster.network("o1", *DUAL)
    member = o1.members[0]
    member.act("delete_network")
    # `ip netns exec` runs every command in a new mount namespace. This mount namespace ends together with the command.
    _by_command(member, "create_network")
    assert member.verify() == []
    here, there = o1.container(0), o1.container(1)
    assert here.pings(there.ipv4)
    _by_command(member, "delete_network")
    assert not member.place.file.exists()


def _by_command(member, verb: str) -> None:
    script = (
        "import pickle, sys; from drivers.overlay import OverlayDriver; network, settings = sys.argv[1:];"
        "driver = OverlayDriver(); driver.configure(pickle.loads(bytes.fromhex(settings)));"
        f"driver.{verb}(pickle.loads(bytes.fromhex(network)))"
    )
    argv = (
        sys.executable,
        "-c",
        script,
        pickle.dumps(member.network).hex(),
        pickle.dumps(member.driver.settings).hex(),
    )
    member.host.run(*argv, env=member.host.env())
