"""The packet that `drivers.firewall.rule_reading` and `drivers.firewall.legacy_rules` compare with firewall rules."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from drivers.model import IPAddress

ARP, DISCOVERY = "arp", "ndp"
"""The values of `Packet.protocol` for packets by which IPv4 and IPv6 search for a neighbour's MAC."""
ICMP = {("icmp", 4): "icmp", ("icmp", 6): "ipv6-icmp", (DISCOVERY, 6): "ipv6-icmp"}
ICMP_TYPES = {
    "icmp": ("echo-request", "echo-reply"),
    DISCOVERY: ("nd-neighbor-solicit", "nd-neighbor-advert"),
    ARP: ("request", "reply"),
}
"""The types (for ARP, the operations) of a question and of its answer, by `Packet.protocol`."""


class Packet(Struct, frozen=True):
    """The examined packet. ``state`` is its connection tracking state. ``dnat`` says whether DNAT has changed it.

    Port 0 means that the port is unknown. Only an answer has a source port. ``translated`` is the packet after DNAT.
    The chains that run after DNAT at the same hook see this packet. ``translated`` is None without DNAT at the hook.
    """

    protocol: str
    source: IPAddress | None
    destination: IPAddress
    port: int
    received: str = ""
    sent: str = ""
    state: str = "new"
    dnat: bool = False
    source_port: int = 0
    translated: Packet | None = None

    @property
    def version(self) -> int:
        """The IP version."""
        return self.destination.version

    @property
    def l4(self) -> str:
        """The protocol's name in nftables."""
        return ICMP.get((self.protocol, self.version), self.protocol)

    @property
    def ether_type(self) -> str:
        """The name of the protocol above Ethernet in nftables."""
        return "arp" if self.protocol == ARP else "ip6" if self.version == 6 else "ip"

    def at(self, received: str, sent: str = "") -> Packet:
        """Return the packet with the interface that received it, and the interface that will send it ("" if none)."""
        return replace(self, received=received, sent=sent)
