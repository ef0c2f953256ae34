"""Parser for the options of an overlay network: Docker's option names, and options with this host's settings."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from drivers import options
from drivers.errors import BadOption, Missing, Unsupported
from drivers.model import IPAddress, NetworkSpec, OptionFacts, Peer
from drivers.options import ENCRYPTED, VNIS, VTEP, WIREGUARD
from drivers.overlay import wireguard_config
from drivers.overlay.wireguard_config import WireguardConfig
from drivers.scalars import whole_number

FACTS = {
    ENCRYPTED: OptionFacts("Encrypt packets between hosts", "flag"),
    VNIS: OptionFacts("VXLAN ids, one per subnet, separated by commas"),
    options.MTU: replace(
        options.MTU_FACTS, summary="MTU of the network between the hosts, in bytes; endpoints get 50 to 150 bytes less"
    ),
    options.HEAL: options.HEAL_FACTS,
}
MAX_VNI = 2**24 - 1
VXLAN_OVERHEAD = {4: 50, 6: 70}  # bytes of outer headers and inner Ethernet header, by outer IP version (RFC 7348)
WIREGUARD_OVERHEAD = {4: 60, 6: 80}


class OverlayOptions(Struct, frozen=True):
    """The parsed options of an overlay network; a value that the cluster has not chosen yet is None or empty.

    - ``vtep``: this host's address on the underlay, the network between the hosts
    - ``vnis``: the VXLAN ids, one per subnet
    - ``mtu``: the MTU of the underlay; 0 means the MTU of the device with the address ``vtep``
    - ``encrypted``: whether the user asked for encryption
    - ``wireguard``: this host's WireGuard keys and peers
    """

    vtep: IPAddress | None
    vnis: tuple[int, ...]
    mtu: int = 0
    encrypted: bool = False
    wireguard: WireguardConfig | None = None

    @property
    def local(self) -> IPAddress:
        """The source address of VXLAN packets: the tunnel address if encrypted, else the underlay address."""
        assert self.vtep is not None
        return self.wireguard.address if self.wireguard else self.vtep

    def tunnel_mtu(self, underlay: int) -> int:
        """Return the MTU of the device that sends VXLAN packets: the tunnel's interface or the underlay device.

        ``underlay`` is the MTU of the underlay device. If the field ``mtu`` is not 0, it is used instead.
        """
        assert self.vtep is not None
        return (self.mtu or underlay) - (WIREGUARD_OVERHEAD[self.vtep.version] if self.wireguard else 0)

    def inner_mtu(self, underlay: int) -> int:
        """Return the MTU of containers' interfaces; ``underlay`` is the MTU of the underlay device."""
        return self.tunnel_mtu(underlay) - VXLAN_OVERHEAD[self.local.version]

    @property
    def overhead(self) -> int:
        """The number of bytes that VXLAN and WireGuard add to a container's packet on the underlay.

        For an encrypted network, the tunnel need not exist yet, and the addresses inside the tunnel are assumed to be
        IPv4.
        """
        assert self.vtep is not None
        tunnel = WIREGUARD_OVERHEAD[self.vtep.version] if self.encrypted else 0
        return tunnel + VXLAN_OVERHEAD[4 if self.encrypted else self.vtep.version]

    def remote(self, peer: Peer) -> IPAddress | None:
        """Return the destination address of VXLAN packets to the host of ``peer``.

        Returns None if an encrypted network has no tunnel to that host, because the packets must not be sent
        unencrypted.
        """
        if self.wireguard is None:
            return peer.vtep
        return peer.tunnel if peer.tunnel in self.wireguard.tunnels else None


def parse(network: NetworkSpec) -> OverlayOptions:
    """Parse a network's options; raises `BadOption`, with Docker's error text if Docker has one."""
    values = network.options
    options.check_heal(values)
    wireguard = options.read(values, WIREGUARD, wireguard_config.parse, None) if is_encrypted(network) else None
    if wireguard is not None:
        _check_tunnel_addresses(network, wireguard)
    return OverlayOptions(
        vtep=options.read(values, VTEP, options.address, None),
        vnis=vnis(network),
        mtu=options.read(values, options.MTU, _mtu, 0),
        encrypted=is_encrypted(network),
        wireguard=wireguard,
    )


def vnis(network: NetworkSpec) -> tuple[int, ...]:
    """Return the network's VXLAN ids; an empty tuple while neither the user nor the cluster has chosen ids."""
    return options.read(network.options, VNIS, _vnis, ())


def is_encrypted(network: NetworkSpec) -> bool:
    """Return whether the user asked for encryption."""
    return ENCRYPTED in network.options


def complete(network: NetworkSpec) -> OverlayOptions:
    """Parse the options of an overlay network that is being brought up on this host.

    Raises a `DriverError` if a required option is missing.
    """
    parsed = parse(network)
    if parsed.vtep is None:
        raise Missing(f"network {network.name} has no underlay address on this host ({VTEP})")
    if not parsed.vnis:
        raise BadOption("no VNI provided")
    if len(parsed.vnis) < len(network.pools):
        raise BadOption(f"insufficient vnis({len(parsed.vnis)}) passed to overlay")
    if parsed.encrypted and parsed.wireguard is None:
        raise Unsupported(f"network {network.name} is encrypted, and this host was given no keys for it ({WIREGUARD})")
    return parsed


def _vnis(label: str, value: str) -> tuple[int, ...]:
    numbers = []
    for text in value.split(","):
        number = whole_number(text) if text.isascii() and text.isdecimal() else 0
        if not 0 < number <= MAX_VNI:
            raise BadOption(f'invalid vxlan id value "{text}" passed')
        numbers.append(number)
    if len(set(numbers)) < len(numbers):
        raise BadOption(f"a vxlan id is given twice in {label}: {value}")
    return tuple(numbers)


def _mtu(label: str, value: str) -> int:
    number = options.integer(label, value)
    if number < 0:
        raise BadOption(f"invalid MTU value: {number}")
    return number


def _check_tunnel_addresses(network: NetworkSpec, config: WireguardConfig) -> None:
    for address in (config.address, *config.tunnels):
        pool = next((p.subnet for p in network.pools if address in p.subnet), None)
        if pool is not None:
            raise BadOption(f"tunnel address {address} is in the network's own subnet {pool}")
        if address.version != config.address.version:
            raise BadOption(f"tunnel addresses of two families: {config.address} and {address}")
