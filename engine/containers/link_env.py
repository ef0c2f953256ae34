"""The variables that tell a container of the default bridge where the containers it links to listen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.model import ContainerRecord
from engine.ports import exposed

Port = tuple[int, str]
"""Number and protocol."""
NOT_PASSED_ON = ("HOME", "PATH")


def link_variables(parent: str, alias: str, address: str, target: ContainerRecord) -> Iterator[str]:
    """Give NAME=value pairs for one link of the container named ``parent``; later ones of a name repeat the earlier."""
    prefix = alias.rpartition("/")[2].upper().replace("-", "_")
    ports = _exposed(target)
    if ports:
        number, protocol = ports[0]
        yield f"{prefix}_PORT={protocol}://{address}:{number}"
    yield from _ranges(prefix, address, ports)
    for number, protocol in ports:
        name = f"{prefix}_PORT_{number}_{protocol.upper()}"
        yield f"{name}={protocol}://{address}:{number}"
        yield f"{name}_ADDR={address}"
        yield f"{name}_PORT={number}"
        yield f"{name}_PROTO={protocol}"
    yield f"{prefix}_NAME=/{parent}/{alias}"
    for variable in target.config.env or ():
        name, equals, _ = variable.partition("=")
        if equals and name not in NOT_PASSED_ON:
            yield f"{prefix}_ENV_{variable}"


def _exposed(target: ContainerRecord) -> list[Port]:
    spans = exposed.exposed_ranges(target.config.exposed_ports)
    found = [(port, protocol) for protocol, first, last in spans for port in range(first, last + 1)]
    return sorted(found, key=lambda p: (p[0], p[1] != "tcp"))


def _ranges(prefix: str, address: str, ports: Sequence[Port]) -> Iterator[str]:
    """Describe runs of three ports and more as Docker counts them: it does not care about protocols."""
    first = 0
    while first < len(ports):
        last = _end_of_run(ports, first)
        if last <= first + 1:
            first += 1
            continue
        (low, protocol), (high, other) = ports[first], ports[last]
        name = f"{prefix}_PORT_{low}"
        yield f"{name}_{protocol.upper()}_START={protocol}://{address}:{low}"
        yield f"{name}_{protocol.upper()}_ADDR={address}"
        yield f"{name}_{protocol.upper()}_PROTO={protocol}"
        yield f"{name}_{protocol.upper()}_PORT_START={low}"
        yield f"{name}_{other.upper()}_END={other}://{address}:{high}"
        yield f"{name}_{other.upper()}_PORT_END={high}"
        first = last + 1


def _end_of_run(ports: Sequence[Port], first: int) -> int:
    value = ports[first][0]
    for index in range(first + 1, len(ports)):
        if ports[index][0] > value + 1:
            return index - 1
        value += 1
    return len(ports) - 1
