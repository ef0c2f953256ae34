"""Legacy links of the default bridge: who may reach whose exposed ports where containers are kept apart (icc=false)."""

from __future__ import annotations

from collections.abc import Iterator

from drivers.api import Linker
from engine import endpoints
from engine.host import Host
from engine.model import ContainerRecord, EndpointRecord, NetworkRecord
from engine.sandbox import Membership
from engine.store.api import Reader
from engine.translation import translated
from engine.validate.links import parse_link

Pair = tuple[ContainerRecord, EndpointRecord, ContainerRecord, EndpointRecord]


def open_links(host: Host, record: ContainerRecord, member: Membership) -> None:
    """Let a container that has joined reach those it links to."""
    driver = host.driver(member.network.driver)
    if not (member.network.predefined and record.host.links and isinstance(driver, Linker)):
        return
    with host.store.read() as reader:
        pairs = list(_outgoing(reader, record, member.endpoint))
    for source, source_end, target, target_end in pairs:
        with translated():
            driver.link(
                endpoints.network_spec(member.network),
                endpoints.endpoint_spec(source_end, source),
                endpoints.endpoint_spec(target_end, target),
            )


def close_links(host: Host, record: ContainerRecord, member: Membership) -> None:
    """Take back what links from and to a leaving container have opened; idempotent."""
    driver = host.driver(member.network.driver)
    if not (member.network.predefined and isinstance(driver, Linker)):
        return
    with host.store.read() as reader:
        pairs = [
            *_outgoing(reader, record, member.endpoint),
            *_incoming(reader, member.network, record, member.endpoint),
        ]
    for source, source_end, target, target_end in pairs:
        with translated():
            driver.unlink(
                endpoints.network_spec(member.network),
                endpoints.endpoint_spec(source_end, source),
                endpoints.endpoint_spec(target_end, target),
            )


def _outgoing(reader: Reader, record: ContainerRecord, endpoint: EndpointRecord) -> Iterator[Pair]:
    for text in record.host.links or ():
        for target in reader.find_containers(parse_link(text)[0])[:1]:
            for other in reader.endpoints(container_id=target.id):
                if other.network_id == endpoint.network_id:
                    yield record, endpoint, target, other


def _incoming(
    reader: Reader, network: NetworkRecord, record: ContainerRecord, endpoint: EndpointRecord
) -> Iterator[Pair]:
    for other in reader.endpoints(network_id=network.id):
        source = reader.container(other.container_id)
        if source is not None and any(parse_link(t)[0] == record.name for t in source.host.links or ()):
            yield source, other, record, endpoint
