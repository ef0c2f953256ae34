"""What the records call for of the kernel state that all networks of a driver share, as the driver sees it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from drivers import boot
from drivers.api import Desired, EndpointSpec, Link, NetworkSpec
from engine import endpoints, keepsakes, links
from engine.model import EndpointRecord
from engine.store.api import Reader

BOOT = "boot"
"""The key of the boot whose kernel state the records tell of."""


def is_of_this_boot(reader: Reader) -> bool:
    """Tell whether live networks are up; after a reboot, not before a command has made them again."""
    return reader.meta(BOOT) == boot.identity()


def of(reader: Reader, driver: str, relay: Mapping[str, int] | None = None) -> Desired:
    """Read it from one state of the store; ``relay`` says where the agent carries ports, which only the agent knows.

    Of networks and endpoints that are being made or removed, all that might be there is unsettled.
    """
    live: list[tuple[NetworkSpec, list[EndpointSpec]]] = []
    unsettled: list[tuple[NetworkSpec, list[EndpointSpec]]] = []
    containers = {container.id: container for container in reader.containers()}
    by_network: defaultdict[str, list[EndpointRecord]] = defaultdict(list)
    by_container: defaultdict[str, list[EndpointRecord]] = defaultdict(list)
    for endpoint in reader.endpoints():
        by_network[endpoint.network_id].append(endpoint)
        by_container[endpoint.container_id].append(endpoint)
    for network in reader.networks(driver=driver):
        if network.config_only:
            continue
        spec, settled = endpoints.network_spec(network), network.phase == "live"
        pairs = [(e, containers[e.container_id]) for e in by_network[network.id] if e.container_id in containers]
        ends = [
            (settled and e.phase == "live", endpoints.endpoint_spec(e, c, _siblings(e, by_container[c.id])))
            for e, c in pairs
        ]
        if settled:
            live.append((spec, [end for is_live, end in ends if is_live]))
        moving = [end for is_live, end in ends if not is_live]
        if moving or not settled:
            unsettled.append((spec, moving))
    pairs_of_links = list(_links(reader, driver))
    return Desired(
        live,
        unsettled,
        links=[specs for specs, settled in pairs_of_links if settled],
        unsettled_links=[specs for specs, settled in pairs_of_links if not settled],
        keepsakes=keepsakes.recall(reader, driver),
        relay=relay,
    )


def _siblings(endpoint: EndpointRecord, of_container: Sequence[EndpointRecord]) -> list[EndpointRecord]:
    """The other endpoints of the same container; of a live one the live ones."""
    others = [e for e in of_container if e.id != endpoint.id]
    return [e for e in others if e.phase == "live" or endpoint.phase != "live"]


def _links(reader: Reader, driver: str) -> Iterator[tuple[Link, bool]]:
    """Legacy links between endpoints, and whether both are live."""
    for network in reader.networks(driver=driver):
        for source, source_end, target, target_end in links.pairs(reader, network) if network.predefined else ():
            specs = endpoints.endpoint_spec(source_end, source), endpoints.endpoint_spec(target_end, target)
            yield specs, source_end.phase == target_end.phase == "live"
