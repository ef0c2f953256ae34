"""Remove ports from a container's port settings (``-p``).

The module finds the setting that published each port, and computes what remains of the setting.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from drivers import port_ranges
from drivers.scalars import socket_text
from engine.errors import NotFound
from engine.model import PortRecord, PortSpec
from engine.ports.allocation import around, part, recorded_address


def without(
    name: str, specs: Sequence[PortSpec], requested: PortSpec, published: Sequence[PortRecord]
) -> tuple[PortSpec, ...]:
    """Return a container's port settings ``specs`` without the ports of ``requested``.

    ``name`` is the container's name, and ``published`` has its published ports. Raises NotFound if one of the requested
    ports is not published.
    """
    left: list[PortSpec] = []
    removed: list[range] = []
    for spec, own in zip(specs, _origins(specs, requested, published), strict=True):
        ranges = _removed(spec, requested, own)
        left += _left(spec, requested, own, ranges)
        removed += ranges
    missing = _uncovered(requested.ports, removed)
    if missing is not None:
        where = f"{requested.host_port and requested.host_port + ':'}{missing}/{requested.protocol}"
        where = socket_text(requested.host_ip, where) if requested.host_ip else where
        raise NotFound(f"No public port '{where}' published for {name}")
    return tuple(left)


def with_chosen_ports(
    specs: Sequence[PortSpec], requested: PortSpec, published: Sequence[PortRecord]
) -> list[PortSpec]:
    """Replace the range of host ports in ``requested`` by the host ports that hawse chose from this range.

    hawse chose these host ports for the settings in ``specs`` that have the same range. The result has one item for
    each such host port. If there is none, or if ``requested`` leaves no choice of host ports, the result has only
    ``requested``.
    """
    if requested.is_fixed or not requested.host_ports:
        return [requested]
    chosen = [
        replace(requested, host_ip=requested.host_ip or spec.host_ip, host_port=str(port.host_port))
        for spec, own in zip(specs, _origins(specs, requested, published), strict=True)
        if _has_ports(spec, requested)
        for port in split(own, replace(requested, host_port=""))[0]
        if port.host_port
    ]
    return list(dict.fromkeys(chosen)) or [requested]


def split(published: Iterable[PortRecord], requested: PortSpec) -> tuple[list[PortRecord], list[PortRecord]]:
    """Split published port ranges into the ports that match ``requested`` and the other ports.

    A host address or host port in ``requested`` must match too.
    """
    first, last = requested.ports[0], requested.ports[-1]
    matching: list[PortRecord] = []
    others: list[PortRecord] = []
    for port in published:
        if _has_part(port, requested):
            matching += port_ranges.part(port, first, last)
            others += port_ranges.around(port, first, last)
        else:
            others.append(port)
    return matching, others


def closed(
    published: Iterable[PortRecord], requested: PortSpec, left: Iterable[PortSpec]
) -> tuple[list[PortRecord], list[PortRecord]]:
    """Return two lists of published ports: those to close if a user unpublishes ``requested``, and those to keep open.

    ``left`` are the port settings that remain. A port without a host port (gateway mode "routed") can come from several
    settings. It stays open as long as one of them remains.
    """
    matching, others = split(published, requested)
    routed = [port for port in matching if not port.host_port]
    for spec in left:
        kept, routed = split(routed, replace(spec, host_port=""))
        others += kept
    return [port for port in matching if port.host_port] + routed, others


def _has_part(port: PortRecord, requested: PortSpec) -> bool:
    """Return whether the published range ``port`` contains at least one port of ``requested``."""
    is_there = not requested.host_ports or not port.host_port
    is_there = is_there or (requested.is_fixed and port.host_port - port.port == _shift(requested))
    is_there = is_there and recorded_address(requested.host_ip) in ("", port.host_ip)
    is_overlapping = port.port <= requested.ports[-1] and requested.port <= port.port_end
    return port.protocol == requested.protocol and is_there and is_overlapping


def _shift(spec: PortSpec) -> int:
    """Return the first host port of a port setting minus its first container port.

    The setting must have host ports.
    """
    return spec.host_ports[0] - spec.port


def _has_ports(spec: PortSpec, requested: PortSpec) -> bool:
    """Return whether ``spec`` and ``requested`` have the same host ports for the container ports that both have.

    ``requested`` must have host ports.
    """
    return spec.choices == requested.choices and _shift(spec) == _shift(requested)


def _origins(specs: Sequence[PortSpec], requested: PortSpec, published: Iterable[PortRecord]) -> list[list[PortRecord]]:
    """Find the setting in ``specs`` from which each published port comes; return one list of ports for each setting.

    The lists are in the order of ``specs``, and have only container ports of ``requested``. If several settings allow a
    published port, the port is in the lists of these settings:

    - A port without a host port: each of the settings.
    - Any other port: the setting that leaves no choice of host ports. If there is no such setting: one of the settings,
      chosen such that each setting gets a port if possible.
    """
    first, last = requested.ports[0], requested.ports[-1]
    origins = [list[PortRecord]() for _ in specs]
    rest = [cut for port in published for cut in port_ranges.part(port, first, last)]
    for index in sorted(range(len(specs)), key=lambda index: _rank(specs[index])):
        origins[index], rest = _share(specs[index], rest)
        rest += [port for port in origins[index] if not port.host_port]
    return origins


def _rank(spec: PortSpec) -> tuple[bool, bool, float]:
    """Return the key by which `_origins` sorts the settings; the first setting gets its published ports first.

    First come settings without a choice of host ports, then settings for all host addresses, then the others. Within
    each group, the setting whose range of host ports has the lowest end is first. With this order, as many settings as
    possible get a published port.
    """
    return not spec.is_fixed, bool(spec.host_ip), spec.host_ports[-1] if spec.host_ports else math.inf


def _share(spec: PortSpec, published: Iterable[PortRecord]) -> tuple[list[PortRecord], list[PortRecord]]:
    """Split published port ranges into the ports that the setting ``spec`` published and the other ports.

    If ``spec`` allows several host ports, hawse chose one host port for each container port. It used this host port at
    all host addresses. Other settings may also have published host ports that ``spec`` allows. Therefore the function
    must decide which host port hawse chose for ``spec``. It takes the host port that is published at the most host
    addresses. Of several such host ports, it takes the lowest. Ports without a host port always count for ``spec``.
    """
    if spec.is_fixed:
        return split(published, spec)
    similar, others = split(published, replace(spec, host_port=""))
    ports = [one for p in similar for port in range(p.port, p.port_end + 1) for one in port_ranges.part(p, port, port)]
    addresses = Counter((port.port, port.host_port) for port in ports)
    allowed = [port for port in ports if port.host_port in (spec.host_ports or range(1, 1 << 16))]
    chosen: dict[int, int] = {}
    for port in sorted(allowed, key=lambda port: (-addresses[port.port, port.host_port], port.host_port)):
        chosen.setdefault(port.port, port.host_port)
    own = {port for port in ports if port.host_port in (0, chosen.get(port.port))}
    return [port for port in ports if port in own], [*others, *(port for port in ports if port not in own)]


def _removed(spec: PortSpec, requested: PortSpec, own: Iterable[PortRecord]) -> list[range]:
    """Return the container ports, as ranges, that the setting ``spec`` loses if ``requested`` is unpublished.

    ``own`` are the published ports of ``spec``. If ``requested`` names another host address or host port than ``spec``,
    the result has the ports in ``own`` that match ``requested``. Otherwise, the result has all container ports that
    both settings have.
    """
    first, last = max(spec.port, requested.port), min(spec.ports[-1], requested.ports[-1])
    if spec.protocol != requested.protocol or first > last:
        return []
    is_same_port = not requested.host_ports or _has_ports(spec, requested)
    if is_same_port and recorded_address(requested.host_ip) in ("", recorded_address(spec.host_ip)):
        return [range(first, last + 1)]
    ports = [port for port in split(own, requested)[0] if is_same_port or port.host_port]
    spans = port_ranges.merged((("", port.port, port.port_end) for port in ports), touching=True)
    return [range(start, end + 1) for _, start, end in spans]


def _left(spec: PortSpec, requested: PortSpec, own: Iterable[PortRecord], removed: Iterable[range]) -> list[PortSpec]:
    """Remove the container ports ``removed`` from the port setting ``spec``; return the settings that remain.

    ``own`` are the published ports of ``spec``. A setting without a host address is published at several host
    addresses. If ``requested`` has only one of these addresses, the ports ``removed`` stay published at the other
    addresses.
    """
    left, others = [spec], split(own, requested)[1]
    for ports in removed:
        left = [rest for kept in left for rest in around(kept, ports[0], ports[-1])]
        same = [cut for port in others for cut in port_ranges.part(port, ports[0], ports[-1])]
        spans = port_ranges.merged(((port.host_ip, port.port, port.port_end) for port in same), touching=True)
        left += [replace(part(spec, first, last), host_ip=address) for address, first, last in spans]
    return left


def _uncovered(ports: range, held: Iterable[range]) -> int | None:
    """Return the lowest number in ``ports`` that no range in ``held`` contains, or None if there is no such number."""
    port = ports[0]
    for ports_held in sorted(held, key=lambda ports_held: ports_held.start):
        if port in ports_held:
            port = ports_held.stop
    return port if port in ports else None
