"""The table ``bridge hawse``: containers may send only with the MAC and the addresses they were given.

Made when the first network asks for it (com.hawse.bridge.spoof_guard). The table grows by elements: per guarded port
one in ``ports``, one in ``macs``, and one per address. Filtering by port name needs no support for bridge metadata.
Ports in ``muted`` may send all but what routers tell their neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address
from pathlib import Path

from drivers.api import EndpointSpec, Unsupported
from drivers.firewall import nft, rules, table
from drivers.firewall.elements import name

TABLE = "bridge hawse"


def guard(port: str, endpoint: EndpointSpec) -> None:
    """Hold the container behind a bridge port to the endpoint's MAC and addresses; idempotent."""
    _add(_commands("add", port, endpoint))


def mute(port: str) -> None:
    """Drop the router advertisements and redirects of the container behind a bridge port; idempotent."""
    _add(_muting("add", port))


def resync(guarded: Iterable[tuple[str, EndpointSpec]], muted: Iterable[str]) -> None:
    """Write the rules anew and guard and mute these ports, where they are not already."""
    elements = [_commands("add", port, endpoint) for port, endpoint in guarded]
    install("".join([*elements, *(_muting("add", port) for port in muted)]))


def is_whole() -> bool:
    """Tell whether the rules are there."""
    return bool(rules.comments(TABLE, "prerouting"))


def release(port: str, endpoint: EndpointSpec) -> None:
    """Forget a guarded port; idempotent."""
    _destroy(_commands("destroy", port, endpoint))


def unmute(port: str) -> None:
    """Forget a muted port; idempotent."""
    _destroy(_muting("destroy", port))


def remove_all() -> None:
    """Remove the table; idempotent."""
    nft.run(f"destroy table {TABLE}")


def link_local(mac: str) -> IPv6Address:
    """The link-local address that the kernel derives from a MAC (RFC 4291, modified EUI-64)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return IPv6Address(b"\xfe\x80" + bytes(6) + identifier)


def install(elements: str = "") -> None:
    """Write the rules anew with ``elements`` added to those there are, in one transaction."""
    ruleset = (Path(__file__).parent / "spoofing.nft").read_text()
    try:
        nft.run(f"add table {TABLE}\nflush table {TABLE}\n{ruleset}\n{elements}")
    except nft.Refused as error:
        raise Unsupported(f"this kernel can't guard against spoofing: {error}") from error


def _add(elements: str) -> None:
    """Add elements, with the rules where there are none yet."""
    try:
        nft.run(elements)
    except nft.Refused as error:
        if not error.nothing_there:
            raise
        install(elements)
        table.mark(table.GUARDED)


def _destroy(elements: str) -> None:
    try:
        nft.run(elements)
    except nft.Refused as error:
        if not error.nothing_there:
            raise


def _muting(verb: str, port: str) -> str:
    return f"{verb} element {TABLE} muted {{ {name(port)} }}\n"


def _commands(verb: str, port: str, endpoint: EndpointSpec) -> str:
    interface = name(port)
    given = [a.ip for a in (endpoint.ipv4, endpoint.ipv6, *endpoint.link_local) if a is not None]
    addresses = [*given, *([link_local(endpoint.mac)] if any(a.version == 6 for a in given) else [])]
    keys: Iterable[tuple[str, str]] = [
        ("ports", interface),
        ("macs", f"{interface} . {endpoint.mac}"),
        *((f"addresses{a.version}", f"{interface} . {a}") for a in addresses),
    ]
    return "".join(f"{verb} element {TABLE} {where} {{ {key} }}\n" for where, key in keys)
