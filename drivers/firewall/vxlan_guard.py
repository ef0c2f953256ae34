"""Keeps packets of others out of unencrypted overlay networks: who may send VXLAN to this host, and that no bridge may.

A network's VXLAN ids are in the set ``tunnels`` from before the cluster hears of this host's part in it. They stay when
the network goes down, because other hosts accept this host's packets until they have heard of that. The other hosts'
underlay addresses are in ``tunnel_peers4`` and ``tunnel_peers6``, for each VXLAN id, as long as the network is up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from drivers.api import Difference, IPAddress
from drivers.firewall import table
from drivers.firewall.elements import Element

TUNNELS, PEERS = "tunnels", {4: "tunnel_peers4", 6: "tunnel_peers6"}
STATE_SETS = (TUNNELS, *PEERS.values())
WHOLE = f"tunnels, as of {table.VERSION_SET}"


@dataclass(frozen=True, slots=True)
class Gate:
    """The way into one network's tunnels: the UDP port, and the VXLAN ids. Acts in the host's namespace."""

    port: int
    vnis: tuple[int, ...]

    def shut(self) -> None:
        """Let in nobody but those that `admit` has named, and let no bridge send; idempotent."""
        table.change(add=self.shutting())

    def shutting(self) -> list[Element]:
        """The elements of `shut`."""
        return [Element(TUNNELS, f"{self.port} . {vni}") for vni in self.vnis]

    def admit(self, hosts: Iterable[IPAddress]) -> None:
        """Let in what comes from these underlay addresses; idempotent."""
        table.change(add=self.admitting(hosts))

    def dismiss(self, hosts: Iterable[IPAddress]) -> None:
        """Let in nothing more from these underlay addresses; idempotent."""
        table.change(remove=self.admitting(hosts))

    def admitting(self, hosts: Iterable[IPAddress]) -> list[Element]:
        """The elements of `admit`."""
        return [Element(PEERS[host.version], f"{host} . {self.port} . {vni}") for host in hosts for vni in self.vnis]

    def difference(self, hosts: Collection[IPAddress]) -> tuple[Sequence[Element], Sequence[Element]]:
        """What is missing and what is unexpected where exactly these hosts are to be let in."""
        present = {e for e in _present() if self.concerns(e)}
        wanted = {*self.shutting(), *self.admitting(hosts)}
        return sorted(wanted - present), sorted(present - wanted)

    def concerns(self, element: Element) -> bool:
        """Tell whether an element of the sets is of this network."""
        *_, port, vni = element.key.split(" . ")
        return int(port) == self.port and int(vni) in self.vnis


def compare(wanted: Iterable[Element], unsettled: Sequence[Gate] = ()) -> list[Difference]:
    """Tell what of ``wanted`` is missing and which others are let in, but those of networks that are not settled."""
    target, present = set(wanted), set(_present())
    gone = [e for e in present - target if e.set != TUNNELS and not any(gate.concerns(e) for gate in unsettled)]
    return [
        *(Difference("missing", _place(e), e.key, e.set == TUNNELS, e) for e in sorted(target - present)),
        *(Difference("foreign", _place(e), e.key, opens=True, detail=e) for e in sorted(gone)),
        *(() if is_whole() else [Difference("upkeep", table.TABLE, f"the note: {WHOLE}")]),
    ]


def repair(found: Iterable[Difference]) -> None:
    """Put right what `compare` found."""
    elements = [(d.kind, d.detail) for d in found if isinstance(d.detail, Element)]
    missing = [element for kind, element in elements if kind == "missing"]
    table.change(add=missing, remove=[element for kind, element in elements if kind == "foreign"])
    if not is_whole():
        table.record_state(WHOLE)


def is_whole() -> bool:
    """Tell whether the sets are as the last `repair` left them; they are not where the table was lost since."""
    return WHOLE in table.read_state()


def _present() -> list[Element]:
    """All elements of the sets, as the kernel has them."""
    return [element for name in STATE_SETS for element in table.elements(name)]


def _place(element: Element) -> str:
    return f"{table.TABLE} {element.set}"
