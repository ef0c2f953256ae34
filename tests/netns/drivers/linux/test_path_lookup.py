"""The neighbours of an interface, as a lookup of the path of a packet needs them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from drivers.linux import netns as namespaces
from drivers.linux import path_lookup

pytestmark = pytest.mark.netns


def test_a_route_over_an_interface_that_was_just_deleted_has_no_interface(netns, monkeypatch):
    netns.sh("ip link add a0 type veth peer name b0; ip link set a0 up; ip addr add 192.0.2.1/24 dev a0")
    request = path_lookup.Session.request

    def deleting(session, *arguments):
        answer = request(session, *arguments)
        netns.sh("ip link delete a0")
        return answer

    monkeypatch.setattr(path_lookup.Session, "request", deleting)
    found = namespaces.run_in_netns(netns.path, lambda: path_lookup.route(ip_address("192.0.2.7")))
    assert (found.kind, found.interface) == ("unicast", "")


def test_the_neighbours_of_an_interface_are_those_of_both_ip_versions_and_of_no_other_interface(netns):
    netns.sh("ip link add a0 type veth peer name b0; ip link set a0 up; ip link set b0 up")
    for address, interface in (("192.0.2.7", "a0"), ("2001:db8::7", "a0"), ("192.0.2.8", "b0")):
        netns.sh(f"ip neigh add {address} lladdr 02:00:00:00:00:07 dev {interface} nud permanent")
    found = namespaces.run_in_netns(netns.path, lambda: path_lookup.neighbours("a0"))
    assert [entry.address for entry in found] == [ip_address("192.0.2.7"), ip_address("2001:db8::7")]
