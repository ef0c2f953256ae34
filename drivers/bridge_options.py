"""Parser for the options of a bridge network.

The parser knows Docker's option names, including those of newer releases (gateway modes), and hawse's own options.
The engine stores unknown options, and the parser ignores them, as Docker does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from msgspec import Struct

from drivers import options
from drivers.errors import BadOption, UnusableOption
from drivers.linux import names
from drivers.model import IPAddress, NetworkSpec, OptionFacts

PREFIX = "com.docker.network.bridge."
NAME = PREFIX + "name"
SPOOF_GUARD = "com.hawse.bridge.spoof_guard"
TRUSTED = PREFIX + "trusted_host_interfaces"
HOST_IPV4, HOST_IPV6 = "com.docker.network.host_ipv4", "com.docker.network.host_ipv6"
MAX_MTU, MIN_MTU = 65535, 68

GatewayMode = Literal["nat", "nat-unprotected", "routed", "isolated"]
_MODES: Mapping[str, str] = {
    "nat": "Masqueraded, only published ports open",
    "nat-unprotected": "Masqueraded, every port open",
    "routed": "Not masqueraded, only published ports open",
    "isolated": "No address on the bridge (internal networks)",
}
_BINDINGS = {"127.0.0.1": "Ports open to this host only", "0.0.0.0": "Ports open on every address"}

FACTS = {
    PREFIX + "enable_icc": OptionFacts("Let containers reach each other", "boolean"),
    PREFIX + "enable_ip_masquerade": OptionFacts("Masquerade packets to the outside", "boolean"),
    PREFIX + "inhibit_ipv4": OptionFacts("Leave the bridge without an IPv4 address", "boolean"),
    PREFIX + "gateway_mode_ipv4": OptionFacts("Ports that IPv4 packets from outside can reach", "gateway-mode", _MODES),
    PREFIX + "gateway_mode_ipv6": OptionFacts("Ports that IPv6 packets from outside can reach", "gateway-mode", _MODES),
    PREFIX + "host_binding_ipv4": OptionFacts("Default address of published ports", "host-binding", _BINDINGS),
    NAME: OptionFacts("Name of the bridge"),
    TRUSTED: OptionFacts("Interfaces whose neighbours may reach containers directly", "interface"),
    options.MTU: options.MTU_FACTS,
    options.HEAL: options.HEAL_FACTS,
    HOST_IPV4: OptionFacts("Source address of IPv4 packets to the outside"),
    HOST_IPV6: OptionFacts("Source address of IPv6 packets to the outside"),
    SPOOF_GUARD: OptionFacts("Drop packets with source addresses that are not the container's", "boolean"),
}


class BridgeOptions(Struct, frozen=True):
    """The parsed options of a bridge network.

    - ``bridge`` is the name of the bridge.
    - ``mtu``: 0 keeps the kernel's default.
    - ``icc``: the network's containers can reach each other.
    - ``masquerade``: hawse replaces the source address of packets that leave the network.
    - ``inhibit_ipv4``: the bridge gets no IPv4 address.
    - ``mode4`` and ``mode6`` are the gateway modes of the IP versions.
    - ``source4`` and ``source6`` are the source addresses that SNAT sets in packets that leave the host. None means the
      address of the outgoing interface.
    - ``spoof_guard``: the firewall drops packets that containers send with a forged MAC or source address.
    - ``trusted`` are interfaces of the host. Machines behind these interfaces can reach published ports at the
      containers' own addresses. This includes ports that are published on a single host address. It excludes ports that
      are published on a loopback address.
    """

    bridge: str
    mtu: int = 0
    icc: bool = True
    masquerade: bool = True
    inhibit_ipv4: bool = False
    mode4: GatewayMode = "nat"
    mode6: GatewayMode = "nat"
    source4: IPAddress | None = None
    source6: IPAddress | None = None
    spoof_guard: bool = False
    trusted: tuple[str, ...] = ()

    def mode(self, version: int) -> GatewayMode:
        """Return the gateway mode of an IP version (4 or 6), such as "nat" or "routed"."""
        return self.mode4 if version == 4 else self.mode6

    def host_has_address(self, version: int) -> bool:
        """Return whether the bridge gets the address of the network's gateway for an IP version, 4 or 6."""
        return self.mode(version) != "isolated" and not (version == 4 and self.inhibit_ipv4)

    def masquerades(self, version: int) -> bool:
        """Return whether hawse replaces the source address of packets that leave the network, for IP version 4 or 6."""
        return self.masquerade and self.mode(version).startswith("nat")

    def source(self, version: int) -> IPAddress | None:
        """Return the address that SNAT sets for an IP version (4 or 6); None means the outgoing interface's address."""
        return self.source4 if version == 4 else self.source6


def parse(network: NetworkSpec) -> BridgeOptions:
    """Parse a network's options; raises `BadOption` with Docker's error text for a wrong value."""
    values = network.options
    options.check_heal(values)
    for label in ("default_bridge", "host_binding_ipv4"):  # only check these values: the engine uses them, not drivers
        options.read(values, PREFIX + label, options.boolean if label == "default_bridge" else options.address, None)
    for label in ("enable_ipv4", "enable_ipv6"):
        options.read(values, "com.docker.network." + label, options.boolean, None)
    return BridgeOptions(
        bridge=values.get(NAME) or names.bridge_name(network.id),
        mtu=options.read(values, options.MTU, _mtu, 0),
        icc=options.read(values, PREFIX + "enable_icc", options.boolean, True),
        masquerade=options.read(values, PREFIX + "enable_ip_masquerade", options.boolean, True),
        inhibit_ipv4=options.read(values, PREFIX + "inhibit_ipv4", options.boolean, False),
        mode4=_mode(network, "gateway_mode_ipv4"),
        mode6=_mode(network, "gateway_mode_ipv6"),
        source4=options.read(values, HOST_IPV4, options.address_of(4), None),
        source6=options.read(values, HOST_IPV6, options.address_of(6), None),
        spoof_guard=options.read(values, SPOOF_GUARD, options.boolean, False),
        trusted=_interfaces(values.get(TRUSTED, "")),
    )


def check_kernel_limits(parsed: BridgeOptions) -> None:
    """Check that the kernel accepts the bridge's name and MTU; raises `UnusableOption` with the kernel's error text."""
    if not names.fits(parsed.bridge):
        raise UnusableOption("numerical result out of range", f"{NAME} is longer than {names.MAX_BYTES} bytes")
    if not names.valid(parsed.bridge):
        raise UnusableOption("invalid argument", f"{NAME} is no valid name of an interface")
    if parsed.mtu and not MIN_MTU <= parsed.mtu <= MAX_MTU:
        raise UnusableOption("invalid argument", f"{options.MTU} must be between {MIN_MTU} and {MAX_MTU}")


def _interfaces(text: str) -> tuple[str, ...]:
    """Split a list of interface names at colons, as Docker does.

    Omits names that the kernel refuses, because no interface can have such a name.
    """
    return tuple(dict.fromkeys(n for n in text.split(":") if n and names.fits(n) and names.valid(n)))


def _mtu(label: str, value: str) -> int:
    number = options.integer(label, value)
    if number < 0:
        raise BadOption(f"invalid MTU number: {number}")
    return number


def _mode(network: NetworkSpec, key: str) -> GatewayMode:
    label = PREFIX + key
    value = network.options.get(label) or "nat"
    for mode in get_args(GatewayMode):
        if value == mode:
            if mode == "isolated" and not network.internal:
                raise BadOption(f"gateway mode 'isolated' can only be used for an internal network ({label})")
            return mode  # type: ignore[no-any-return]
    raise BadOption(f"failed to parse {label} value: {value} (unknown gateway mode {value})")
