"""Giving back what a container holds: endpoints, addresses and ports. All of it idempotent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from engine.cluster import endpoint_hooks
from engine.endpoints import links, sandbox
from engine.endpoints.sandbox import JoinedEndpoint
from engine.errors import EngineError
from engine.host import Host
from engine.model import ContainerRecord


def memberships(host: Host, container_id: str) -> list[JoinedEndpoint]:
    """The container's endpoints with their networks, in the order of their creation."""
    with host.store.read() as reader:
        pairs = [(reader.network(e.network_id), e) for e in reader.endpoints(container_id=container_id)]
    return [JoinedEndpoint(network, endpoint) for network, endpoint in pairs if network is not None]


def release_endpoints(host: Host, record: ContainerRecord, *, alive: bool) -> None:
    """Take every endpoint out of the sandbox and forget it; errors of one do not keep the others."""
    failures: list[EngineError] = []
    members = memberships(host, record.id)
    for number, member in enumerate(members, 1):
        try:
            release_endpoint(host, record, member, members[number:], alive=alive)
        except EngineError as error:
            failures.append(error)
    if failures:
        raise failures[0]


def release_endpoint(
    host: Host, record: ContainerRecord, member: JoinedEndpoint, others: Sequence[JoinedEndpoint], *, alive: bool
) -> None:
    """Take one endpoint out: ports first (nobody new comes in), then the interface, then the record.

    ``others`` are the container's endpoints that are still there.
    """
    with host.store.write() as tx:
        # From here on a repair of the firewall puts nothing of it back.
        tx.put_endpoint(replace(member.endpoint, phase="leaving"))
    try:
        sandbox.dismiss_siblings(host, member, others)
        links.close_links(host, record, member)
        sandbox.unpublish(host, record, member, member.endpoint.ports, leaving=True)
        sandbox.leave(host, record, member, alive=alive)
    finally:
        with host.store.write() as tx:
            tx.delete_endpoint(member.endpoint.id)
        endpoint_hooks.release_endpoint(host, member.network, member.endpoint)


def close_sandbox(record: ContainerRecord) -> None:
    """Take away the sandbox's path; the record keeps telling where it was, as Docker's does."""
    path = Path(record.sandbox_path)
    if record.kind == "process" and path.is_symlink():
        path.unlink(missing_ok=True)
