"""The FDB and neighbour entries that an overlay network's peers need, compared with the kernel's entries.

A peer is an endpoint on another host. Each peer needs these entries:

- an FDB entry of the VXLAN device: frames for the peer's MAC go to the peer's host
- an FDB entry of the bridge: frames for the peer's MAC go to that VXLAN device
- a neighbour entry per address: the VXLAN device answers ARP and neighbour solicitations for the peer

For each other host that has peers, the VXLAN device needs one more FDB entry: broadcast and multicast frames go to that
host too. On every host, the size of the tables grows with the number of the network's endpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address

from msgspec import Struct

from drivers.errors import Missing
from drivers.firewall.spoof_guard import link_local
from drivers.linux import link, neighbor
from drivers.linux.neighbor import Row
from drivers.model import Difference, IPAddress, NetworkSpec, Peer
from drivers.overlay import vxlan
from drivers.overlay.options import OverlayOptions

ROW_TEXT = {
    "forward": "frames for {0.key} go to {0.value}",
    "flood": "broadcast and multicast go to {0.key}",
    "port": "the bridge sends frames for {0.key} this way",
    "neighbor": "{0.key} is at {0.value}",
}
ANNOUNCEMENTS_LIMIT = 100  # if more neighbour entries are new, only addresses with a changed MAC are announced


class RowDifference(Struct, frozen=True):
    """The FDB and neighbour entries that the kernel lacks, and the kernel's entries that no peer needs."""

    missing: Sequence[Row]
    unexpected: Sequence[Row]

    def apply(self) -> None:
        """Add the missing entries and remove the unexpected entries, in the calling thread's network namespace."""
        # Do not remove a neighbour entry that a new entry replaces. The kernel removes a neighbour entry by its address
        # alone, so the removal would delete the new entry.
        replaced = {(r.link, r.key) for r in self.missing if r.kind == "neighbor"}
        gone = [r for r in self.unexpected if r.kind != "neighbor" or (r.link, r.key) not in replaced]
        neighbor.change(self.missing, gone)

    def announced(self) -> set[str]:
        """Return the IP addresses to announce to this host's sandboxes, because their MACs are new.

        These are the addresses of the missing neighbour entries. If more than `ANNOUNCEMENTS_LIMIT` entries are
        missing, these are only the addresses with a changed MAC. Therefore a host that fills a large network's tables
        for the first time sends no announcements.
        """
        added = {row.key for row in self.missing if row.kind == "neighbor"}
        before = {row.key for row in self.unexpected if row.kind == "neighbor"}
        return added if len(added) <= ANNOUNCEMENTS_LIMIT else added & before

    def differences(self, names: dict[int, str]) -> list[Difference]:
        """Return a difference for each missing or unexpected entry; ``names`` maps link indexes to device names."""
        return [
            Difference(what, "table", f"{names.get(row.link, row.link)}: {ROW_TEXT[row.kind].format(row)}")
            for what, rows in (("missing", self.missing), ("unexpected", self.unexpected))
            for row in rows
        ]


class Tables:
    """The FDB and neighbour tables of one network on this host.

    The calling thread must be in the network's namespace. The constructor raises `Missing` if a VXLAN device is
    missing.
    """

    def __init__(self, network: NetworkSpec, options: OverlayOptions) -> None:
        self.network, self.options = network, options
        self.names = {link.index(name): name for name in vxlan.devices(network)}
        self.links = list(self.names)
        if 0 in self.names or not self.links:
            raise Missing(f"network {network.name} is not up on this host")

    def difference(self, peers: Iterable[Peer]) -> RowDifference:
        """Return how the kernel's tables differ from the entries that ``peers`` need.

        If two peers have the same address or MAC, the entry of only one of them is expected. The reason is that the
        kernel has only one entry for each address and for each MAC.
        """
        rows = sorted(row for peer in peers for row in self.rows(peer))
        expected = set({(row.kind, row.link, row.key): row for row in rows}.values())
        present = neighbor.rows(self.links)
        return RowDifference(sorted(expected - present), sorted(present - expected))

    def rows(self, peer: Peer) -> Iterator[Row]:
        """Yield the forwarding and neighbour entries that one peer needs.

        Yields nothing if an encrypted network has no tunnel to the peer's host.
        """
        remote = self.options.remote(peer)
        if remote is None:
            return
        home, vtep = self._home(peer), str(remote)
        yield Row("flood", self.links[0], vtep)
        yield Row("forward", home, peer.mac, vtep)
        yield Row("port", home, peer.mac)
        for address in _addresses(peer):
            yield Row("neighbor", home, str(address), peer.mac)

    def add(self, peer: Peer) -> None:
        """Add the forwarding and neighbour entries that one peer needs; idempotent."""
        neighbor.change(self.rows(peer))

    def hosts(self) -> set[IPAddress]:
        """Return the addresses of the hosts to which the kernel sends the network's broadcast frames.

        These are all hosts with a peer. In an encrypted network, these are addresses inside the tunnels.
        """
        return {ip_address(row.key) for row in neighbor.rows(self.links) if row.kind == "flood"}

    def remove(self, peer: Peer) -> list[IPAddress]:
        """Remove a peer's table entries; return the addresses of the hosts that no longer have a peer of this network.

        Keeps entries that other peers need, and entries of a MAC that is now behind another host.
        """
        present, rows = neighbor.rows(self.links), set(self.rows(peer))
        forward = {row for row in rows if row.kind == "forward"}
        # Keep the entries of a MAC that is now behind another host. Updates of peers may arrive in any order, so the
        # kernel's entries may already name the MAC's new host.
        gone = {row for row in rows & present if row.kind == "flood" or forward <= present}
        in_use = {row.value for row in present - gone if row.kind == "forward"}
        unused = [row for row in gone if row.kind != "flood" or row.key not in in_use]
        neighbor.change(remove=unused)
        return [ip_address(row.key) for row in unused if row.kind == "flood"]

    def _home(self, peer: Peer) -> int:
        """Return the link index of the VXLAN device for the peer's subnet.

        Because a MAC can be behind only one bridge port, a peer with two subnets gets the device of the IPv4 subnet. A
        peer outside all subnets gets the first device.
        """
        for address in peer.addresses:
            for number, pool in enumerate(self.network.pools):
                if address in pool.subnet:
                    return self.links[number]
        return self.links[0]


def _addresses(peer: Peer) -> Iterator[IPAddress]:
    yield from peer.addresses
    if peer.ipv6 is not None:
        yield link_local(peer.mac)
