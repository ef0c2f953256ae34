"""The PORTS column of ``ps``, in which consecutive ports of a container are shown as one range.

A published port whose host port differs from the container port is not part of a range.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Port = Mapping[str, Any]
"""One port in the answer of GET /containers/json, with the keys PrivatePort and Type.

A published port also has the keys IP and PublicPort.
"""


def displayed_ports(ports: Iterable[Port]) -> str:
    """Return the PORTS cell of a container, such as ``0.0.0.0:80->80/tcp, 9000-9002/udp``.

    A published port whose host port differs from the container port is shown separately, after the ranges.
    """
    ranges: dict[tuple[str, str], tuple[int, int]] = {}
    done, mapped = [], []
    for port in sorted(ports, key=_order):
        number, address, protocol = port["PrivatePort"], port.get("IP", ""), port["Type"]
        if address and port.get("PublicPort", 0) != number:
            mapped.append(f"{address}:{port.get('PublicPort', 0)}->{number}/{protocol}")
            continue
        key = (address, protocol)
        first, last = ranges.get(key, (number, number))
        if number > last + 1:
            done.append(_entry(key, first, last))
            first = number
        ranges[key] = (first, number)
    return ", ".join([*done, *(_entry(key, *bounds) for key, bounds in ranges.items()), *mapped])


def _order(port: Port) -> tuple[int, str, int, str]:
    return port["PrivatePort"], port.get("IP", ""), port.get("PublicPort", 0), port["Type"]


def _entry(key: tuple[str, str], first: int, last: int) -> str:
    address, protocol = key
    ports = f"{first}-{last}" if last > first else str(first)
    return f"{address}:{ports}->{ports}/{protocol}" if address else f"{ports}/{protocol}"
