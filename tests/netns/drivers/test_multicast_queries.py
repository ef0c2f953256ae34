"""A container sends MLD queries, which a multicast router sends to ask for the members of groups.

A bridge with multicast snooping then treats the container as the network's querier: the bridge sends a multicast packet
only to the members that have answered. IPv6 neighbour discovery uses multicast. A query for one group, sent to an
address that no machine reads, removes the members of the group from the bridge's table. The host then cannot resolve
the members' IPv6 addresses. Docker's bridges have multicast snooping.
"""

from __future__ import annotations

import struct
import time
from ipaddress import IPv6Address

import pytest

from drivers.linux.echo import checksum
from tests.packets import ethernet, send_frame

pytestmark = pytest.mark.netns

MLD_QUERY, ICMPV6 = 130, 58
ALL_NODES, UNREAD = "ff02::1", "ff02::1:ff99:9999"
VICTIM, VICTIMS_GROUP = "fd00:30::3", "ff02::1:ff00:3"  # the group is that of the address's neighbour discovery
TYPES = {
    "icc": {},
    "no icc": {"com.docker.network.bridge.enable_icc": "false"},
    "spoof guard": {"com.hawse.bridge.spoof_guard": "true"},
}


def mld_query(source: str, destination: str, group: str) -> bytes:
    """Return an MLDv1 query for a group, or for all groups if ``group`` is "::"."""
    ends = IPv6Address(source).packed + IPv6Address(destination).packed
    body = struct.pack("!BBHHH", MLD_QUERY, 0, 0, 1, 0) + IPv6Address(group).packed
    summed = checksum(ends + struct.pack("!IHBB", len(body), 0, 0, ICMPV6) + body)
    body = body[:2] + summed.to_bytes(2, "big") + body[4:]
    router_alert = bytes([ICMPV6, 0, 5, 2, 0, 0, 1, 0])
    return struct.pack("!IHBB", 6 << 28, len(router_alert) + len(body), 0, 1) + ends + router_alert + body


@pytest.mark.parametrize("options", TYPES.values(), ids=TYPES)
def test_a_container_that_sends_queries_stops_no_neighbour_discovery_of_another(lab, options):
    network = lab.network("n1", "172.30.0.0/16", "fd00:30::/64", options=options)
    mallory = lab.container(network, 2)
    lab.container(network, 3)
    shown = mallory.run("ip", "-br", "-6", "addr", "show", "dev", "eth0", "scope", "link")
    address = shown.split()[2].partition("/")[0]
    assert lab.pings(lab.host, VICTIM)
    for destination, group in ((ALL_NODES, "::"), *[(UNREAD, VICTIMS_GROUP)] * 6):
        mac = "33:33:" + IPv6Address(destination).packed[-4:].hex(":")
        frame = ethernet(mac, mallory.endpoint.mac, mld_query(address, destination, group))
        send_frame(mallory.path, frame)
        time.sleep(0.5)  # the victim answers the first query, and repeats its first reports for 2 s
    lab.host.sh("ip -6 neigh flush all")
    assert lab.pings(lab.host, VICTIM)
