"""Docker's legacy links (``--link``) on the default bridge: find the linked containers, and allow traffic between them.

If the daemon.json key icc is false, containers on the default bridge are isolated from each other. Only in this case, a
link must allow the traffic between the linked containers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from drivers.api import Linker
from engine.endpoints.sandbox import JoinedEndpoint
from engine.host import Host, endpoint_spec, translate_driver_errors
from engine.model import ContainerRecord, EndpointRecord, NetworkRecord
from engine.names import parse_link
from engine.store.api import Reader
from engine.validate.container import check_link_at_start, link_target, link_to_stopped

# A legacy link: the linking container and its endpoint, then the linked container and its endpoint.
Pair = tuple[ContainerRecord, EndpointRecord, ContainerRecord, EndpointRecord]


class Linked(Struct, frozen=True):
    """A running container that is the target of another container's legacy link.

    ``alias`` is the target's name in the link. ``address`` and ``address6`` are the target's IPv4 and IPv6 addresses on
    the default bridge; ``address6`` is "" without IPv6.
    """

    alias: str
    address: str
    address6: str
    target: ContainerRecord


def linked(host: Host, record: ContainerRecord) -> list[Linked]:
    """Return the containers that are targets of a container's legacy links on the default bridge.

    Raises an EngineError if a target does not exist, or is not running on the default bridge.
    """
    if record.host.network_mode != "bridge":
        return []
    links = []
    with host.store.read() as reader:
        for text in record.host.links or ():
            name, alias = parse_link(text)
            matches = reader.find_containers(name)
            if not matches:
                raise link_to_stopped(name, record.name, alias)
            target = link_target(matches, name)
            check_link_at_start(target, record.name, alias)
            for endpoint in reader.endpoints(container_id=target.id):
                network = reader.network(endpoint.network_id)
                if network is not None and network.predefined and endpoint.ipv4:
                    address, address6 = (text.partition("/")[0] for text in (endpoint.ipv4, endpoint.ipv6))
                    links.append(Linked(alias, address, address6, target))
    return links


def linking(host: Host, record: ContainerRecord) -> Iterator[tuple[ContainerRecord, str, str]]:
    """Yield (linking container, alias, address) for each legacy link to the container ``record``.

    Only containers on the default bridge are linked in this way. ``alias`` is the name that the link gives to
    ``record``. ``address`` is an address of ``record`` on the default bridge, without a prefix length. A link gives one
    result for the IPv4 address, and one for the IPv6 address if there is one.
    """
    with host.store.read() as reader:
        for endpoint in reader.endpoints(container_id=record.id):
            network = reader.network(endpoint.network_id)
            if network is not None and network.predefined and endpoint.ipv4:
                for source, *_ in _incoming(reader, network, record, endpoint):
                    for text in source.host.links or ():
                        if _leads_to(reader, text, record):
                            for address in filter(None, (endpoint.ipv4, endpoint.ipv6)):
                                yield source, parse_link(text)[1], address.partition("/")[0]


def renamed(reader: Reader, record: ContainerRecord, target: ContainerRecord, name: str) -> ContainerRecord:
    """Return a copy of ``record`` in which its legacy links to ``target`` have the target's new ``name``.

    If the container of ``record`` does not link to ``target``, the result is ``record`` itself.
    """
    if record.host.network_mode != "bridge":
        return record
    old = record.host.links or ()
    texts = tuple(f"{name}:{parse_link(t)[1]}" if _leads_to(reader, t, target) else t for t in old)
    return record if texts == old else replace(record, host=replace(record.host, links=texts))


def link_names(reader: Reader, records: Iterable[ContainerRecord]) -> dict[str, list[str]]:
    """Return the names that legacy links give to each container, by container id.

    Such a name is "web/db" for the alias ``db`` in a link of the container ``web``. Only links on the default bridge
    are included.
    """
    names: dict[str, list[str]] = {}
    for record in records:
        if record.host.network_mode == "bridge":
            for name, alias in map(parse_link, record.host.links or ()):
                for target in reader.find_containers(name)[:1]:
                    names.setdefault(target.id, []).append(f"{record.name}/{alias}")
    return names


def open_links(host: Host, record: ContainerRecord, member: JoinedEndpoint) -> None:
    """Allow the traffic of all legacy links from and to a container on the default bridge; idempotent.

    ``member`` is the container's endpoint. If it is on another network, nothing is changed.
    """
    driver = host.driver(member.network.driver)
    if not (member.network.predefined and isinstance(driver, Linker)):
        return
    with host.store.read() as reader:
        links = _concerning(reader, record, member)
    for source, source_end, target, target_end in links:
        with translate_driver_errors():
            driver.link(member.spec, endpoint_spec(source_end, source), endpoint_spec(target_end, target))


def close_links(host: Host, record: ContainerRecord, member: JoinedEndpoint) -> None:
    """Forbid the traffic of all legacy links from and to a container that leaves the default bridge; idempotent.

    ``member`` is the container's endpoint.
    """
    with host.store.read() as reader:
        links = _concerning(reader, record, member)
    _close(host, member, links)


def end_links(host: Host, before: ContainerRecord, after: ContainerRecord, members: Sequence[JoinedEndpoint]) -> None:
    """Forbid the traffic of the legacy links that are in ``before`` but not in ``after``; idempotent.

    ``before`` and ``after`` are two records of one container, and ``members`` are its endpoints.
    """
    for member in members:
        with host.store.read() as reader:
            kept = [target.id for _, _, target, _ in _outgoing(reader, after, member.endpoint)]
            links = [pair for pair in _outgoing(reader, before, member.endpoint) if pair[2].id not in kept]
        _close(host, member, links)


def _close(host: Host, member: JoinedEndpoint, links: Sequence[Pair]) -> None:
    driver = host.driver(member.network.driver)
    if not (member.network.predefined and isinstance(driver, Linker)):
        return
    for source, source_end, target, target_end in links:
        with translate_driver_errors():
            driver.unlink(member.spec, endpoint_spec(source_end, source), endpoint_spec(target_end, target))


def pairs(reader: Reader, network: NetworkRecord) -> Iterator[Pair]:
    """Yield each legacy link between two endpoints of a network. Only the default bridge has such links."""
    for record in reader.containers(with_links=True) if network.predefined else ():
        for endpoint in _on(reader, network, record):
            yield from _outgoing(reader, record, endpoint)


def _concerning(reader: Reader, record: ContainerRecord, member: JoinedEndpoint) -> list[Pair]:
    """Return the legacy links from and to the container's endpoint ``member``."""
    outgoing = _outgoing(reader, record, member.endpoint)
    return [*outgoing, *_incoming(reader, member.network, record, member.endpoint)]


def _outgoing(reader: Reader, record: ContainerRecord, endpoint: EndpointRecord) -> Iterator[Pair]:
    for text in record.host.links or ():
        for target in reader.find_containers(parse_link(text)[0])[:1]:
            for other in reader.endpoints(container_id=target.id):
                if other.network_id == endpoint.network_id:
                    yield record, endpoint, target, other


def _incoming(
    reader: Reader, network: NetworkRecord, record: ContainerRecord, endpoint: EndpointRecord
) -> Iterator[Pair]:
    for source in reader.containers(with_links=True):
        if any(_leads_to(reader, text, record) for text in source.host.links or ()):
            for other in _on(reader, network, source):
                yield source, other, record, endpoint


def _on(reader: Reader, network: NetworkRecord, container: ContainerRecord) -> list[EndpointRecord]:
    return [e for e in reader.endpoints(container_id=container.id) if e.network_id == network.id]


def _leads_to(reader: Reader, text: str, record: ContainerRecord) -> bool:
    """Return whether the legacy link ``text``, such as "db:alias", names the container.

    A link contains the name, the id or a prefix of the id of a container. If another container has this prefix as its
    name, the link names that container. If several ids have the prefix, the link names the oldest container.
    """
    target, _ = parse_link(text)
    if target in (record.name, record.id):
        return True
    return record.id.startswith(target) and record.id in (
        candidate.id for candidate in reader.find_containers(target)[:1]
    )
