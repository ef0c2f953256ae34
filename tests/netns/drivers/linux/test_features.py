"""hawse reads interfaces of the host for the diagnosis."""

import subprocess
import sys
from functools import partial
from ipaddress import ip_address

import pytest

from drivers.linux import features, names
from drivers.linux import netns as namespaces
from tests.conftest import CHECKOUT

pytestmark = pytest.mark.netns


def test_an_interface_with_an_alias_of_the_administrator_leads_outside(netns):
    mark = names.endpoint_mark("e" * 64)
    netns.sh(
        "ip link add up0 type veth peer name up1; ip link set up0 up alias uplink; ip link set up1 up; "
        f"ip link add ours0 type veth peer name ours1; ip link set ours0 up alias '{mark}'; "
        "ip link add br0 type bridge; ip link set br0 up; ip link set lo up"
    )
    assert sorted(namespaces.run_in_netns(netns.path, features.outside_interfaces)) == ["up0", "up1"]


def test_the_interfaces_of_an_address_and_of_the_default_route_are_named(netns):
    assert namespaces.run_in_netns(netns.path, features.uplink) == ("", 0)
    netns.sh(
        "ip link add up0 mtu 1400 type veth peer name up1; ip link set up0 up; ip addr add 192.0.2.1/24 dev up0; "
        "ip route add default via 192.0.2.2"
    )
    assert namespaces.run_in_netns(netns.path, features.uplink) == ("up0", 1400)
    for address, holder in (("192.0.2.1", ("up0", 1400)), ("192.0.2.2", ("", 0))):
        assert namespaces.run_in_netns(netns.path, partial(features.holder_of, ip_address(address))) == holder


LEAVE = """
import os
from drivers.errors import NoPermission
from drivers.linux import features, netns

def here():
    return os.readlink("/proc/thread-self/ns/net")

home = here()
try:
    features.missing(["bridge"])
except NoPermission as error:
    print(error, here() == home)
"""


def test_the_root_of_a_user_namespace_does_not_leave_a_namespace_that_it_cannot_enter(netns):
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c", LEAVE]
    done = subprocess.run(["nsenter", f"--net={netns.path}", *command], cwd=CHECKOUT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("operation not permitted (root or CAP_NET_ADMIN is needed) True\n")
