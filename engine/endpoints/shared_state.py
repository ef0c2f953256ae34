"""Compute the desired state of the kernel objects that all networks of a driver share, from the store's records.

Such an object is, for example, the nft table of the bridge driver.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from drivers.model import Desired, EndpointSpec, Link, NetworkSpec
from engine.endpoints import links
from engine.host import endpoint_spec, load_driver_state, network_spec
from engine.model import EndpointRecord
from engine.store.api import Reader


def of(reader: Reader, driver: str, relay: Mapping[str, int] | None = None) -> Desired:
    """Return the desired shared kernel state of a driver's networks, from one snapshot of the store.

    ``relay`` maps each protocol, such as "tcp", to the port of the agent's proxy socket for this protocol. Only the
    agent knows these ports; other callers pass None. Networks and endpoints that are being created or removed are in
    the field ``unsettled`` of the result.
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
        spec, settled = network_spec(network), network.phase == "live"
        pairs = [(e, containers[e.container_id]) for e in by_network[network.id] if e.container_id in containers]
        ends = [
            (settled and e.phase == "live", endpoint_spec(e, c, _siblings(e, by_container[c.id]))) for e, c in pairs
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
        saved_state=load_driver_state(reader, driver),
        relay=relay,
    )


def _siblings(endpoint: EndpointRecord, of_container: Sequence[EndpointRecord]) -> list[EndpointRecord]:
    """Return the other endpoints of the container to which ``endpoint`` belongs.

    ``of_container`` are all endpoints of this container. If ``endpoint`` is in a sandbox (phase ``live``), only
    endpoints in this phase are returned.
    """
    others = [e for e in of_container if e.id != endpoint.id]
    return [e for e in others if e.phase == "live" or endpoint.phase != "live"]


def _links(reader: Reader, driver: str) -> Iterator[tuple[Link, bool]]:
    """Yield each legacy link between two endpoints, and whether both endpoints are in their sandboxes.

    Only networks of the driver ``driver`` are searched. Such links exist only on the default bridge.
    """
    for network in reader.networks(driver=driver):
        for source, source_end, target, target_end in links.pairs(reader, network) if network.predefined else ():
            specs = endpoint_spec(source_end, source), endpoint_spec(target_end, target)
            yield specs, source_end.phase == target_end.phase == "live"
