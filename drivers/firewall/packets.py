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
        """The packet's transport protocol, as nftables names it, such as ``tcp`` or ``ipv6-icmp``."""
        return ICMP.get((self.protocol, self.version), self.protocol)

    @property
    def ether_type(self) -> str:
        """The protocol that Ethernet carries, as nftables names it: ``arp``, ``ip`` or ``ip6``."""
        return "arp" if self.protocol == ARP else "ip6" if self.version == 6 else "ip"

    def at(self, received: str, sent: str = "") -> Packet:
        """Return the packet as it arrives at the interface ``received``, to leave by the interface ``sent``.

        ``sent`` is "" for a packet that does not leave.
        """
        return replace(self, received=received, sent=sent)
