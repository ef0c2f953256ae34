"""Protection of unencrypted overlay networks: only certain hosts may send VXLAN packets to this host.

VXLAN packets of these networks are dropped if they arrive from a bridge, because a container may have forged them. A
network's VXLAN ids are added to the set ``tunnels`` before the cluster learns that this host joins the network. While
the network is up, the sets ``tunnel_peers4`` and ``tunnel_peers6`` hold the other hosts' underlay addresses for each
VXLAN id. The underlay is the network between the hosts.

When the network goes down on this host, its VXLAN ids stay in the set ``tunnels``. The other hosts learn only later,
from the cluster's store, that this host has left the network. Until then, they accept VXLAN packets from this host.
Therefore, this host must still drop VXLAN packets that arrive from its bridges.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from msgspec import Struct

from drivers.firewall import table
from drivers.firewall.elements import Element
from drivers.linux.link import VXLAN_PORT
from drivers.model import Difference, IPAddress

TUNNELS, PEERS = "tunnels", {4: "tunnel_peers4", 6: "tunnel_peers6"}
STATE_SETS = (TUNNELS, *PEERS.values())
WHOLE = f"tunnels, as of {table.VERSION_SET}"


class Gate(Struct, frozen=True):
    """The firewall's elements for the VXLAN packets of one network, which has the VXLAN ids ``vnis``."""

    vnis: tuple[int, ...]

    def shutting(self) -> list[Element]:
        """Return the set elements by which the firewall drops the network's VXLAN packets.

        The firewall still accepts packets from the hosts of `admitting`, unless they arrive from a bridge.
        """
        return [Element(TUNNELS, f"{VXLAN_PORT} . {vni}") for vni in self.vnis]

    def admitting(self, hosts: Iterable[IPAddress]) -> list[Element]:
        """Return the set elements by which the firewall accepts VXLAN packets from the underlay addresses ``hosts``."""
        return [Element(PEERS[host.version], f"{host} . {VXLAN_PORT} . {vni}") for host in hosts for vni in self.vnis]

    def difference(self, hosts: Collection[IPAddress]) -> tuple[Sequence[Element], Sequence[Element]]:
        """Return the set elements to add and to remove, so that only ``hosts`` can send VXLAN packets of this network.

        ``hosts`` are underlay addresses. The elements are compared with those in the kernel, in the calling thread's
        network namespace.
        """
        present = {e for e in _present() if self.concerns(e)}
        expected = {*self.shutting(), *self.admitting(hosts)}
        return sorted(expected - present), sorted(present - expected)

    def concerns(self, element: Element) -> bool:
        """Return whether a set element has the UDP port of VXLAN and a VXLAN id of this network."""
        *_, port, vni = element.key.split(" . ")
        return int(port) == VXLAN_PORT and int(vni) in self.vnis


def compare(expected: Iterable[Element], unsettled: Sequence[Gate] = ()) -> list[Difference]:
    """Return how the VXLAN sets in the kernel differ from the ``expected`` elements.

    Three kinds of differences are reported: a missing element, an element for an unexpected host, and a missing
    comment. The comment marks the sets as complete. ``unsettled`` has the gates of networks that a command may be
    creating or removing now. Elements of these networks are not reported as unexpected.
    """
    target, present = set(expected), set(_present())
    gone = [e for e in present - target if e.set != TUNNELS and not any(gate.concerns(e) for gate in unsettled)]
    return [
        *(Difference("missing", _place(e), e.key, e.set == TUNNELS, e) for e in sorted(target - present)),
        *(Difference("foreign", _place(e), e.key, opens=True, detail=e) for e in sorted(gone)),
        *(() if is_whole() else [Difference("upkeep", table.TABLE, f"the note: {WHOLE}")]),
    ]


def repair(differences: Iterable[Difference]) -> None:
    """Repair the ``differences`` of the VXLAN sets that `compare` found."""
    elements = [(d.kind, d.detail) for d in differences if isinstance(d.detail, Element)]
    missing = [element for kind, element in elements if kind == "missing"]
    table.change(add=missing, remove=[element for kind, element in elements if kind == "foreign"])
    if not is_whole():
        table.record_state(WHOLE)


def is_whole() -> bool:
    """Return whether the VXLAN sets are complete; False if the nftables table was lost since the last `repair`."""
    return WHOLE in table.read_state()


def _present() -> list[Element]:
    """Return the elements that the kernel has in the VXLAN sets (`STATE_SETS`)."""
    return table.elements(*STATE_SETS)


def _place(element: Element) -> str:
    return f"{table.TABLE} {element.set}"
