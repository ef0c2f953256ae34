"""How each kind of name is found in a host's records.

A finder gets the arguments before and behind the place that is completed, so that ``disconnect`` can offer the
networks of a container and the containers of a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from engine.model import ContainerRecord, NetworkRecord, PortRecord
from engine.store.api import Reader

Names = Iterable[tuple[str, str]]
"""Names with descriptions."""
Words = Sequence[str]
Finder = Callable[[Reader, Words, Words], Names]


def networks(test: Callable[[NetworkRecord], bool] = lambda _: True) -> Finder:
    """Make the finder of networks that pass a test."""
    return lambda reader, *_: map(network_entry, filter(test, reader.networks()))


def containers(*statuses: str) -> Finder:
    """Make the finder of containers with one of these statuses, or of all."""
    return lambda reader, *_: (
        container_entry(container)
        for container in reader.containers()
        if not statuses or container.status in statuses
    )  # fmt: skip


def network_entry(network: NetworkRecord) -> tuple[str, str]:
    """A network's name, driver and subnets."""
    return network.name, " ".join([network.driver, *(pool.subnet for pool in network.pools)])


def container_entry(container: ContainerRecord) -> tuple[str, str]:
    """A container's name, image and status."""
    return container.name, f"{container.config.image} {container.status}".strip()


def users(reader: Reader, network: NetworkRecord) -> set[str]:
    """The ids of the containers that are on a network, or will be when they start."""
    return {
        container.id
        for container in reader.containers()
        if any(network.id == a.network_id or a.network in (network.id, network.name) for a in container.attachments)
    }


def used_networks(reader: Reader, before: Words, behind: Words) -> Names:
    """Networks with containers; those of one container, where it is named already."""
    named = {container.id for word in behind for container in reader.find_containers(word)}
    for network in reader.networks():
        found = users(reader, network)
        if found & named if named else found:
            yield network_entry(network)


def members(reader: Reader, before: Words, behind: Words) -> Names:
    """Containers on the network named before."""
    inside = users_of_named(reader, before)
    return (container_entry(container) for container in reader.containers() if container.id in inside)


def strangers(reader: Reader, before: Words, behind: Words) -> Names:
    """Containers that are not on the network named before."""
    inside = users_of_named(reader, before)
    return (container_entry(container) for container in reader.containers() if container.id not in inside)


def users_of_named(reader: Reader, words: Words) -> set[str]:
    """The ids of the containers on the networks that the words name."""
    named = [network for word in words for network in reader.find_networks(word)]
    return {container_id for network in named for container_id in users(reader, network)}


def ports(reader: Reader, before: Words, behind: Words) -> Names:
    """Published ports of the container named before, with their places on the host."""
    for container in reader.find_containers(before[0]) if before else ():
        places: dict[str, list[str]] = {
            f"{port}/{spec.protocol}": [] for spec in container.host.port_bindings for port in spec.ports
        }
        for endpoint in reader.endpoints(container_id=container.id):
            for name, place in (pair for port in endpoint.ports for pair in each_port(port)):
                places.setdefault(name, []).append(place)
        yield from ((name, " ".join(found)) for name, found in places.items())


def each_port(port: PortRecord) -> Iterator[tuple[str, str]]:
    """The single ports of a range: ``80/tcp`` and ``0.0.0.0:8080``."""
    for offset in range(port.port_end - port.port + 1):
        yield f"{port.port + offset}/{port.protocol}", f"{port.host_ip}:{port.host_port + offset}"


def labels(holders: Iterable[Mapping[str, str] | None]) -> Names:
    """Every label that is set."""
    return (
        (text, "") for text in sorted({f"{key}={value}" for found in holders for key, value in (found or {}).items()})
    )


def images(reader: Reader, *_: Any) -> Names:
    """Names of images, as short as they may be typed, with their short ids."""
    return (
        (reference.removesuffix(":latest"), image.id.removeprefix("sha256:")[:12])
        for image in reader.images()
        for reference in image.references
    )


FINDERS: Mapping[str, Finder] = {
    "networks": networks(),
    "custom-networks": networks(lambda network: not network.predefined),
    "config-networks": networks(lambda network: network.config_only),
    "connectable-networks": networks(lambda n: n.driver not in ("host", "null") and not n.config_only),
    "joinable-networks": networks(lambda network: not network.predefined and not network.config_only),
    "used-networks": used_networks,
    "network-labels": lambda reader, *_: labels(network.labels for network in reader.networks()),
    "containers": containers(),
    "running": containers("running", "restarting"),
    "stopped": containers("created", "exited"),
    "container-labels": lambda reader, *_: labels(container.config.labels for container in reader.containers()),
    "members": members,
    "strangers": strangers,
    "ports": ports,
    "images": images,
}
