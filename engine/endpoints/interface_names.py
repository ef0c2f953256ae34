"""Choose the names of a container's interfaces: a prefix of the network, and a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from drivers import sandbox as kernel
from drivers.api import Sandbox
from engine.host import attachment_of
from engine.model import ContainerRecord, NetworkRecord

PREFIX_OPTION = "com.docker.network.container_iface_prefix"
IFNAME_OPTION = "com.docker.network.endpoint.ifname"


def interface_prefix(network: NetworkRecord) -> str:
    """Return the beginning of the names of a network's interfaces in containers."""
    return (network.options or {}).get(PREFIX_OPTION) or "eth"


def next_numbers(container: ContainerRecord) -> Mapping[str, int]:
    """Return the numbers of a container's next interfaces, by prefix; "" has the number for all other prefixes.

    Without "", the other prefixes begin with 0. An older version of hawse recorded one number for all prefixes.
    """
    if not container.next_interface:
        return container.next_interfaces
    return {"": container.next_interface, **container.next_interfaces}


def counted(numbers: Mapping[str, int], *networks: NetworkRecord) -> Mapping[str, int]:
    """Return the numbers of the next interfaces, by prefix, after an interface on each network got its name.

    Each prefix has its own numbers, as in Docker: two networks with the prefixes lan and wan give lan0 and wan0.
    """
    taken = Counter(interface_prefix(network) for network in networks if network.driver != "null")
    return {**numbers, **{prefix: _number(numbers, prefix) + count for prefix, count in taken.items()}}


def _number(numbers: Mapping[str, int], prefix: str) -> int:
    return numbers.get(prefix, numbers.get("", 0))


def interface_name(
    network: NetworkRecord, container: ContainerRecord, sandbox: Sandbox, numbers: Mapping[str, int]
) -> str:
    """Return the name for the container's next interface on a network.

    A name that the user chose is used unchanged. If the user chose none, the name is the network's interface prefix
    followed by its number in ``numbers``. In a network namespace that hawse did not create, the next free name is used
    instead.
    """
    settings = attachment_of(container, network.id).settings
    chosen = (settings.driver_opts or {}).get(IFNAME_OPTION, "")
    prefix = interface_prefix(network)
    number = _number(numbers, prefix)
    if container.kind == "adopted" and not chosen:
        return kernel.free_name(sandbox, prefix, number)
    return chosen or f"{prefix}{number}"
