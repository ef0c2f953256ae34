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
    """A packet with the values that firewall rules at one hook compare.

    - ``protocol``: the protocol, such as "tcp", "udp", "icmp" or "arp"
    - ``source``: the source address, or None if it is unknown
    - ``port``: the destination port, or 0 if it is unknown
    - ``received``, ``sent``: the interfaces at which the packet arrives and leaves, or "" for none
    - ``state``: the connection tracking state, "new" or "established"
    - ``dnat``: whether DNAT has changed the packet
    - ``source_port``: the source port of an answer, or 0 for any other packet
    - ``translated``: the packet after DNAT at this hook, which later chains at this hook see; None without DNAT
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
        """Return the packet with the incoming interface ``received`` and the outgoing interface ``sent``.

        ``sent`` is "" if no interface sends the packet.
        """
        return replace(self, received=received, sent=sent)
