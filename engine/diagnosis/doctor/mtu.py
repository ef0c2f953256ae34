"""Check that the MTU of each network is not too large for the host interface that sends the packets on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from drivers.errors import DriverError
from drivers.linux import features
from drivers.options import MTU
from drivers.overlay import options as overlay_options
from drivers.overlay.namespace import OverlayNamespace
from engine.api import Check
from engine.diagnosis.doctor.checks import Examined, fault, ok, warning
from engine.host import Host, network_spec
from engine.model import NetworkRecord

FRAGMENTS = "large packets are split or lost on the way out"


def check(examined: Examined) -> Iterator[Check]:
    """Yield a finding for each network whose MTU is too large.

    - A bridge network sends by the interface of the default route. The finding is a warning, because the kernel can
      fragment some of the large packets.
    - An overlay network sends by the interface with the underlay address. The finding is a fault.
    """
    outward = [n for n in examined.networks if n.driver == "bridge" and not n.internal]
    overlays = [n for n in examined.networks if n.driver == "overlay"]
    try:
        findings = [*_bridges(examined, outward), *_overlays(examined.host, overlays)]
    except DriverError as error:
        yield warning("mtu", f"cannot be read: {error}")
        return
    if not findings and (outward or overlays):
        yield ok("mtu", "packets of all networks fit through the interfaces below them")
    yield from findings


def _bridges(examined: Examined, networks: Sequence[NetworkRecord]) -> Iterator[Check]:
    uplink, limit = features.uplink() if networks else ("", 0)
    for network in networks if limit else ():
        mtu = features.mtu_of(examined.bridges[network.id])
        if mtu > limit:
            what = f"its MTU {mtu} is larger than the MTU {limit} of {uplink}, the way out"
            fix = f"create it again with -o {MTU}={limit}"
            yield warning(f"network {network.name}", what, FRAGMENTS, fix)


def _overlays(host: Host, networks: Sequence[NetworkRecord]) -> Iterator[Check]:
    for network in networks:
        spec = network_spec(network)
        options, namespace = overlay_options.parse(spec), OverlayNamespace(spec, host.run)
        interface, underlay = features.holder_of(options.vtep) if options.vtep else ("", 0)
        if not underlay or not namespace.exists():
            continue  # the check of the cluster reports a lost underlay address
        mtu, limit = namespace.mtu(), underlay - options.overhead
        if mtu > limit:
            what = f"its MTU {mtu} is larger than {limit}, which fits through {interface} (MTU {underlay})"
            fix = f"raise the MTU of {interface}, or create the network again"
            yield fault(f"network {network.name}", what, "large packets to other hosts are lost", fix)
