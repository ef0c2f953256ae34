"""TODO."""

from __future__ import annotations

from engine.cluster import gateway
from engine.containers.lookup import with_actual_state
from engine.endpoints.release import memberships, release_endpoint
from engine.endpoints.sandbox import JoinedEndpoint
from engine.host import Host


def release_orphan_endpoints(host: Host, reference: str) -> None:
    """Release endpoints whose container is gone, so that nobody is told of "active endpoints" that aren't."""
    with host.store.read() as reader:
        matches = reader.find_networks(reference)
        if len(matches) != 1:
            return
        network = matches[0]
        pairs = [(e, reader.container(e.container_id)) for e in reader.endpoints(network_id=network.id)]
        busy = {i.object_id for i in reader.intents()}
    for endpoint, container in pairs:
        if endpoint.container_id == gateway.INGRESS_SANDBOX:
            continue
        if container is None and endpoint.container_id not in busy and endpoint.id not in busy:
            with host.store.write() as tx:
                tx.delete_endpoint(endpoint.id)
            continue
        if container is None or container.status != "running" or container.id in busy:
            continue
        if with_actual_state(host, container).status != "running":
            others = [m for m in memberships(host, container.id) if m.endpoint.id != endpoint.id]
            release_endpoint(host, container, JoinedEndpoint(network, endpoint), others, alive=False)
