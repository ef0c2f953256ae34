"""Which rows of forwarding and neighbour tables an overlay network's peers call for, and how the kernel's differ.

Of every peer: a row of the VXLAN device (frames for its MAC go to its host), one of the bridge (they go to that
device), and one per address (the device answers ARP and neighbour solicitations in the peer's place). Of every other
host: a row that sends it broadcast and multicast. So the tables grow with the network's endpoints, on every host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from drivers.api import IPAddress, Missing, NetworkSpec, Peer
from drivers.firewall.spoof_guard import link_local
from drivers.linux import link, neighbor
from drivers.linux.neighbor import Row
from drivers.overlay import vxlan
from drivers.overlay.options import OverlayOptions

ROW_TEXT = {
    "forward": "frames for {0.key} go to {0.value}",
    "flood": "broadcast and multicast go to {0.key}",
    "port": "the bridge sends frames for {0.key} this way",
    "neighbor": "{0.key} is at {0.value}",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """What is to be added to the kernel's tables, and what removed from them."""

    missing: Sequence[Row]
    unexpected: Sequence[Row]

    def apply(self) -> None:
        """Make the tables as they should be, in the calling thread's namespace."""
        # A neighbour's row is removed by its address alone, so the new row would go instead of the one it replaced.
        replaced = {(r.link, r.key) for r in self.missing if r.kind == "neighbor"}
        gone = [r for r in self.unexpected if r.kind != "neighbor" or (r.link, r.key) not in replaced]
        neighbor.change(self.missing, gone)

    def replaced(self) -> set[str]:
        """The addresses that were another MAC's so far."""
        before = {row.key for row in self.unexpected if row.kind == "neighbor"}
        return {row.key for row in self.missing if row.kind == "neighbor"} & before

    def lines(self, names: dict[int, str]) -> list[str]:
        """One line a row, for people; ``names`` are the devices' by index."""
        return [
            f"{what}: {names.get(row.link, row.link)}: {ROW_TEXT[row.kind].format(row)}"
            for what, rows in (("missing", self.missing), ("unexpected", self.unexpected))
            for row in rows
        ]


class Tables:
    """The tables of one network, in its namespace, which the calling thread must be in."""

    def __init__(self, network: NetworkSpec, options: OverlayOptions) -> None:
        self.network, self.options = network, options
        self.names = {link.index(name): name for name in vxlan.devices(network)}
        self.links = list(self.names)
        if 0 in self.names or not self.links:
            raise Missing(f"network {network.name} is not up on this host")

    def difference(self, peers: Iterable[Peer]) -> Difference:
        """How the kernel's tables differ from these peers."""
        wanted = {row for peer in peers for row in self.rows(peer)}
        present = neighbor.rows(self.links)
        return Difference(sorted(wanted - present), sorted(present - wanted))

    def rows(self, peer: Peer) -> Iterator[Row]:
        """The rows of one peer; none where no tunnel leads to its host."""
        remote = self.options.remote(peer.vtep)
        if remote is None:
            return
        home, vtep = self._home(peer), str(remote)
        yield Row("flood", self.links[0], vtep)
        yield Row("forward", home, peer.mac, vtep)
        yield Row("port", home, peer.mac)
        for address in _addresses(peer):
            yield Row("neighbor", home, str(address), peer.mac)

    def add(self, peer: Peer) -> None:
        """Add one peer's rows; idempotent."""
        neighbor.change(self.rows(peer))

    def hosts(self) -> set[IPAddress]:
        """The other hosts that have peers, as the kernel's tables have them."""
        return {ip_address(row.key) for row in neighbor.rows(self.links) if row.kind == "flood"}

    def remove(self, peer: Peer) -> list[IPAddress]:
        """Remove one peer's rows, those excepted that say something else by now or that other peers need too.

        The hosts that have no peer any more.
        """
        present, told = neighbor.rows(self.links), set(self.rows(peer))
        forward = {row for row in told if row.kind == "forward"}
        # A MAC that is behind another host by now keeps its rows, whatever order the news came in.
        gone = {row for row in told & present if row.kind == "flood" or forward <= present}
        in_use = {row.value for row in present - gone if row.kind == "forward"}
        unused = [row for row in gone if row.kind != "flood" or row.key not in in_use]
        neighbor.change(remove=unused)
        return [ip_address(row.key) for row in unused if row.kind == "flood"]

    def _home(self, peer: Peer) -> int:
        """The device of the peer's subnet; of its IPv4 one where it has two, as a MAC is behind one port only."""
        for address in filter(None, (peer.ipv4, peer.ipv6)):
            for number, pool in enumerate(self.network.pools):
                if address in pool.subnet:
                    return self.links[number]
        return self.links[0]


def _addresses(peer: Peer) -> Iterator[IPAddress]:
    if peer.ipv4 is not None:
        yield peer.ipv4
    if peer.ipv6 is not None:
        yield peer.ipv6
        yield link_local(peer.mac)
