"""Keeps packets of others out of unencrypted overlay networks: who may send VXLAN to this host, and that no bridge may.

A network's VXLAN ids are in the set ``tunnels`` from before the cluster hears of this host's part in it. They stay when
the network goes down, because other hosts accept this host's packets until they have heard of that. The other hosts'
underlay addresses are in ``tunnel_peers4`` and ``tunnel_peers6``, for each VXLAN id, as long as the network is up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from drivers.api import IPAddress
from drivers.firewall import batch, table
from drivers.firewall.elements import Element

TUNNELS, PEERS = "tunnels", {4: "tunnel_peers4", 6: "tunnel_peers6"}
STATE_SETS = (TUNNELS, *PEERS.values())
WHOLE = f"tunnels, as of {table.VERSION_SET}"
ADDRESS_SIZE = {4: 4, 6: 16}  # bytes
ID_SIZE = 3  # bytes


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


def resync(wanted: Iterable[Element], unsettled: Sequence[Gate] = ()) -> None:
    """Make the sets hold ``wanted``, and let in no others but those of networks that are not settled."""
    target, present = set(wanted), set(_present())
    gone = [e for e in present - target if e.set != TUNNELS and not any(gate.concerns(e) for gate in unsettled)]
    table.change(add=sorted(target - present), remove=gone)
    if not is_whole():
        table.mark(WHOLE)


def is_whole() -> bool:
    """Tell whether the sets are as the last `resync` left them; they are not where the table was lost since."""
    return WHOLE in table.noted()


def _present() -> list[Element]:
    """All elements of the sets, as the kernel has them."""
    found = [Element(TUNNELS, _place(key)) for key in batch.keys(table.TABLE, TUNNELS)]
    for version, name in PEERS.items():
        size = ADDRESS_SIZE[version]
        keys = batch.keys(table.TABLE, name)
        found += [Element(name, f"{ip_address(key[:size])} . {_place(key[size:])}") for key in keys]
    return found


def _place(key: bytes) -> str:
    """The port, which fills four bytes, and the VXLAN id."""
    return f"{int.from_bytes(key[:2])} . {int.from_bytes(key[4 : 4 + ID_SIZE])}"
