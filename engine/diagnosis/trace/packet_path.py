"""The path of the packet that a trace examines: its source, its target, and the endpoints at which they are."""

from __future__ import annotations

from msgspec import Struct

from drivers.model import IPAddress
from drivers.registry import facts
from engine.diagnosis.trace.records import HOST, OUTSIDE, Place, address_of, addresses
from engine.diagnosis.trace.state import bridge_at
from engine.endpoints.sandbox import JoinedEndpoint
from engine.model import PortRecord

LOCAL, BRIDGED, ROUTED, REMOTE, EXTERNAL = "local", "bridged", "routed", "remote", "external"


class PacketPath(Struct, frozen=True):
    """The path of a packet: its source, the endpoint by which it leaves, its destination address, and the target.

    - ``address`` and ``port``: the destination to which the source sends; port 0 means ICMP
    - ``kind``: ``local`` (within one namespace), ``bridged`` (within one network), ``routed`` (through the host's IP
      layer), ``remote`` (an overlay endpoint on another host) or ``external``
    - ``source_member``, ``target_member``: the endpoints of the source and of the target, or None
    - ``target``: the target's namespace, or None if the target is not on this host
    - ``inner_port``: the port in the target's namespace; differs from ``port`` for a published port
    - ``binding``: the record of the published port, or None
    """

    source: Place
    address: IPAddress
    port: int
    protocol: str
    kind: str
    source_member: JoinedEndpoint | None = None
    target: Place | None = None
    target_member: JoinedEndpoint | None = None
    inner_port: int = 0
    binding: PortRecord | None = None

    @property
    def inner_address(self) -> IPAddress:
        """The packet's destination after DNAT: the address of the target's endpoint.

        If the target has no endpoint, such as an external machine, this is ``address``.
        """
        if self.target_member is None:
            return self.address
        endpoint = self.target_member.endpoint
        if self.binding is None and self.address in addresses(endpoint):
            return self.address
        return next((a for v in (self.address.version, 4, 6) if (a := address_of(endpoint, v))), self.address)

    @property
    def source_address(self) -> IPAddress | None:
        """The address of the source's endpoint that has the same IP version as the target's address, or None."""
        return address_of(self.source_member.endpoint, self.inner_address.version) if self.source_member else None

    @property
    def avoids_host(self) -> bool:
        """Whether the packets pass no hook and no route of the host.

        This is true for packets between another machine and a macvlan or ipvlan endpoint. The packets that an endpoint
        in the ipvlan mode l3 or l3s sends are an exception, because the host routes them.
        """
        near, far = self.source_member, self.target_member
        if self.kind == EXTERNAL:
            mode = (near.network.options or {}).get("ipvlan_mode", "l2") if near is not None else ""
            return near is not None and facts(near.network.driver).has_parent and mode == "l2"
        return self.source.kind == OUTSIDE and far is not None and facts(far.network.driver).has_parent

    @property
    def members(self) -> list[JoinedEndpoint]:
        """The endpoints of the source and of the target; a missing endpoint is left out."""
        return [member for member in (self.source_member, self.target_member) if member is not None]

    @property
    def ends(self) -> list[tuple[Place, JoinedEndpoint]]:
        """The place and endpoint of the source, then the place and endpoint of the target.

        A side that has no place or no endpoint is left out.
        """
        pairs = ((self.source, self.source_member), (self.target, self.target_member))
        return [(place, member) for place, member in pairs if place is not None and member is not None]

    @property
    def source_bridge(self) -> str:
        """The name of the bridge of the source's network, or "" if the source is on no bridge network."""
        return bridge_at(self.source_member)

    @property
    def target_bridge(self) -> str:
        """The name of the bridge of the target's network, or "" if the target is on no bridge network."""
        return bridge_at(self.target_member)

    @property
    def bridges(self) -> list[str]:
        """The bridge of the source, then the bridge of the target; a missing bridge is left out."""
        return [bridge for bridge in (self.source_bridge, self.target_bridge) if bridge]

    @property
    def places(self) -> list[Place]:
        """The places on this host that the packet passes: the source's place, the host, the target's place."""
        passed = (self.source, HOST, self.target)
        return list(dict.fromkeys(place for place in passed if place is not None and place.kind != OUTSIDE))

    @property
    def target_name(self) -> str:
        """The name of the target: of the container, the host or the external machine."""
        return self.target.name if self.target is not None else str(self.address)

    @property
    def service(self) -> str:
        """The target's port as text, such as ``80/tcp``, or ``icmp``."""
        return f"{self.inner_port}/{self.protocol}" if self.inner_port else self.protocol
