"""Find out whether hawse's firewall lets packets reach a container's own address directly, not by a published port.

The network's gateway mode, its trusted interfaces, and ``allow-direct-routing`` in daemon.json decide.
"""

from __future__ import annotations

from drivers import bridge_options
from drivers.bridge_options import BridgeOptions
from drivers.errors import DriverError
from drivers.firewall.elements import is_open_at_own_address
from engine.diagnosis.trace.records import Records
from engine.diagnosis.trace.target import Target
from engine.endpoints.sandbox import JoinedEndpoint
from engine.host import endpoint_spec, network_spec
from engine.model import NetworkRecord

UNPROTECTED, ROUTED_MODE, ISOLATED_MODE = "nat-unprotected", "routed", "isolated"  # gateway modes of bridge networks


def is_permitted(
    records: Records, far: JoinedEndpoint, target: Target, version: int, *, received: str = "", bridge: str = ""
) -> bool:
    """Return whether hawse's rules let packets reach the endpoint ``far`` at its own address.

    The packets come from another machine by the host's interface ``received``, or from a container on another network
    by the bridge ``bridge``. The parameter that does not apply is "". Only the port and the protocol of ``target`` are
    used; port 0 means ICMP. ``version`` is the IP version.
    """
    if far.network.driver != "bridge":
        return True
    options = options_of(far)
    if options is None or far.network.internal:
        return False
    if options.mode(version) == UNPROTECTED:
        return True
    trusted = (bridge or received) in options.trusted
    if bridge and not trusted:
        return False
    if not target.port:
        return options.mode(version) == ROUTED_MODE and not bridge
    return _is_open(records, far, options, target, version, trusted=trusted)


def _is_open(
    records: Records, far: JoinedEndpoint, options: BridgeOptions, target: Target, version: int, *, trusted: bool
) -> bool:
    container = records.container_of(far)
    if container is None:
        return False
    spec, endpoint = network_spec(far.network), endpoint_spec(far.endpoint, container)
    bindings = [b for b in endpoint.ports if b.protocol == target.protocol and b.port <= target.port <= b.port_end]
    return any(
        is_open_at_own_address(spec, options, endpoint, b, direct=records.direct_routing, trusted=trusted)
        for b in bindings
        if b.host_ip.version == version
    )


def is_isolated(member: JoinedEndpoint, version: int) -> bool:
    """Return whether the gateway mode of an endpoint's network isolates the network from the host, for one IP version.

    The bridge of such a network has no address of this version. ``version`` is 4 or 6.
    """
    options = options_of(member) if member.network.driver == "bridge" else None
    return options is not None and options.mode(version) == ISOLATED_MODE


def has_icc(network: NetworkRecord) -> bool:
    """Return whether the containers on a network reach each other, by the option enable_icc of bridge networks."""
    if network.driver != "bridge":
        return True
    try:
        return bridge_options.parse(network_spec(network)).icc
    except DriverError:
        return True


def options_of(member: JoinedEndpoint) -> BridgeOptions | None:
    """Return the options of an endpoint's bridge network, or None if they cannot be parsed."""
    try:
        return bridge_options.parse(network_spec(member.network))
    except DriverError:
        return None
