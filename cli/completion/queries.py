"""Find names of each kind (networks, containers, images, labels) in the records of this host's local store.

Each finder gets the arguments ``before`` and ``behind`` the position that is completed. Therefore ``disconnect`` can
offer the networks of a container and the containers of a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from engine.model import ContainerRecord, NetworkRecord, PortRecord
from engine.store.api import Reader

Names = Iterable[tuple[str, str]]
"""Pairs of an object's name and the description that the shell shows beside the name."""
Words = Sequence[str]
Finder = Callable[[Reader, Words, Words], Names]


def networks(test: Callable[[NetworkRecord], bool] = lambda _: True) -> Finder:
    """Return a finder of the networks that pass ``test``."""
    return lambda reader, *_: map(network_entry, filter(test, reader.networks()))


def containers(*statuses: str) -> Finder:
    """Return a finder of the containers with one of ``statuses``, or of all containers without ``statuses``."""
    return lambda reader, *_: (
        container_entry(container)
        for container in reader.containers()
        if not statuses or container.status in statuses
    )  # fmt: skip


def network_entry(network: NetworkRecord) -> tuple[str, str]:
    """Return a network's name and its description: the driver and the subnets."""
    return network.name, " ".join([network.driver, *(pool.subnet for pool in network.pools)])


def container_entry(container: ContainerRecord) -> tuple[str, str]:
    """Return a container's name and its description: the image and the status."""
    return container.name, f"{container.config.image} {container.status}".strip()


def users(reader: Reader, network: NetworkRecord) -> set[str]:
    """Return the ids of the containers that are on a network, or will be on the network when they start."""
    return {
        container.id
        for container in reader.containers()
        if any(network.id == a.network_id or a.network in (network.id, network.name) for a in container.attachments)
    }


def used_networks(reader: Reader, before: Words, behind: Words) -> Names:
    """Yield the networks that have containers; if ``behind`` names containers, only the networks of these."""
    named = {container.id for word in behind for container in reader.find_containers(word)}
    for network in reader.networks():
        holders = users(reader, network)
        if holders & named if named else holders:
            yield network_entry(network)


def members(reader: Reader, before: Words, behind: Words) -> Names:
    """Return the containers that are on a network named in ``before``."""
    inside = users_of_named(reader, before)
    return (container_entry(container) for container in reader.containers() if container.id in inside)


def strangers(reader: Reader, before: Words, behind: Words) -> Names:
    """Return the containers that are on no network named in ``before``."""
    inside = users_of_named(reader, before)
    return (container_entry(container) for container in reader.containers() if container.id not in inside)


def users_of_named(reader: Reader, words: Words) -> set[str]:
    """Return the ids of all containers on the networks named in ``words``."""
    named = [network for word in words for network in reader.find_networks(word)]
    return {container_id for network in named for container_id in users(reader, network)}


def ports(reader: Reader, before: Words, behind: Words) -> Names:
    """Yield the published ports of the container that ``before`` names, each with its host addresses."""
    for container in reader.find_containers(before[0]) if before else ():
        published: dict[str, list[str]] = {
            f"{port}/{spec.protocol}": [] for spec in container.host.port_bindings for port in spec.ports
        }
        for endpoint in reader.endpoints(container_id=container.id):
            for name, address in (pair for port in endpoint.ports for pair in each_port(port)):
                published.setdefault(name, []).append(address)
        yield from ((name, " ".join(addresses)) for name, addresses in published.items())


def each_port(port: PortRecord) -> Iterator[tuple[str, str]]:
    """Yield a pair such as ("80/tcp", "0.0.0.0:8080") for each port of a published range.

    The second item is "" if the range has no host ports.
    """
    for number in range(port.port, port.port_end + 1):
        yield f"{number}/{port.protocol}", port.host_socket(number) if port.host_port else ""


def published_ports(reader: Reader, *_: Any) -> Names:
    """Return the host ports that containers publish, such as ``8080`` or ``53/udp``, each with its container's name."""
    containers = {container.id: container.name for container in reader.containers()}
    ports: dict[str, str] = {}
    for endpoint in reader.endpoints():
        for port in (published for published in endpoint.ports if published.host_port):
            for number in range(port.host_port, port.host_port_end + 1):
                name = str(number) if port.protocol == "tcp" else f"{number}/{port.protocol}"
                ports.setdefault(name, containers.get(endpoint.container_id, ""))
    return ports.items()


def labels(holders: Iterable[Mapping[str, str] | None]) -> Names:
    """Return the labels in ``holders`` as ``key=value``, sorted and without duplicates.

    ``holders`` has the labels of each object; None means that an object has no labels.
    """
    return (
        (text, "") for text in sorted({f"{key}={value}" for holder in holders for key, value in (holder or {}).items()})
    )


def images(reader: Reader, *_: Any) -> Names:
    """Return the names of all images, each with the image's short id; the tag ``latest`` is left out of a name."""
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
    "published-ports": published_ports,
    "images": images,
}
