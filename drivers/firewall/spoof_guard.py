"""The table ``bridge hawse``: containers may send only with the MAC and the addresses assigned to them.

hawse creates the table for the first guarded or muted port. A port is guarded if its network has the option
com.hawse.bridge.spoof_guard. For each guarded port, the sets ``ports`` and ``macs`` have one element each. The sets of
addresses have one element for each address of the container. The rules filter by port name, so they need no kernel
support for bridge metadata. Muted ports (set ``muted``) may send everything except router advertisements and redirects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv6Address

from msgspec import Struct

from drivers.errors import Unsupported
from drivers.firewall import table, table_repair, transaction
from drivers.firewall.elements import Element, name
from drivers.firewall.table_repair import Contents
from drivers.linux import libnftables, nfnetlink
from drivers.model import Difference, EndpointSpec

TABLE = "bridge hawse"


class Held(Struct, frozen=True):
    """The bridge ports that the table ``bridge hawse`` filters.

    ``guarded`` has pairs of port name and endpoint. Such a port may send only with the endpoint's MAC and addresses.
    ``muted`` has port names. Such a port may send everything except router advertisements and redirects.
    """

    guarded: Sequence[tuple[str, EndpointSpec]] = ()
    muted: Sequence[str] = ()


def guard(port: str, endpoint: EndpointSpec) -> None:
    """Allow the container behind a bridge port to send only with its endpoint's MAC and addresses; idempotent."""
    _add(list(_elements(port, endpoint)))


def mute(port: str) -> None:
    """Drop IPv6 router advertisements and ICMPv6 redirects that the container at a bridge port sends; idempotent."""
    _add([_muted(port)])


def release(port: str, endpoint: EndpointSpec) -> None:
    """Remove the elements of a guarded port from the table; idempotent."""
    _destroy(_elements(port, endpoint))


def unmute(port: str) -> None:
    """Remove the element of a muted port from the table; idempotent."""
    _destroy([_muted(port)])


def contents(held: Held, unsettled: Held) -> Contents:
    """Return the required contents of the table ``bridge hawse``.

    The table must have the elements of the ports in ``held``. The elements of the ports in ``unsettled`` may exist or
    be missing.
    """
    return Contents(list(_of(held)), list(_of(unsettled)))


def compare(expected: Contents) -> list[Difference]:
    """Return how the table ``bridge hawse`` differs from its ``expected`` contents.

    If ``expected`` contains no required elements, a missing table is not reported.
    """
    differences = table_repair.compare(TABLE, expected)
    return differences if expected.required or not any(d.kind == "missing" for d in differences) else []


def repair(expected: Contents, differences: Sequence[Difference]) -> None:
    """Repair the ``differences`` that `compare` found in the table ``bridge hawse``.

    If a chain or set is wrong, the whole table is deleted and created again.
    """
    if differences:
        table_repair.repair(TABLE, expected, differences)


def is_whole() -> bool:
    """Return whether the table ``bridge hawse`` still exists with its rules."""
    return bool(nfnetlink.comments(TABLE, "prerouting"))


def remove_all() -> None:
    """Remove the table ``bridge hawse``; idempotent."""
    libnftables.run(f"destroy table {TABLE}")


def link_local(mac: str) -> IPv6Address:
    """Return the link-local address that the kernel derives from a MAC (RFC 4291, modified EUI-64)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return IPv6Address(b"\xfe\x80" + bytes(6) + identifier)


def install(elements: Sequence[Element] = ()) -> None:
    """Create the table ``bridge hawse`` or rewrite its rules, and add ``elements``, in one transaction.

    Raises `Unsupported` if nftables refuses the table.
    """
    try:
        libnftables.run(table_repair.install_script(TABLE) + table_repair.script(TABLE, elements))
    except libnftables.Refused as error:
        raise Unsupported(f"this kernel can't guard against spoofing: {error}") from error


def _add(elements: Sequence[Element]) -> None:
    """Add elements to the table ``bridge hawse``.

    If the table does not exist yet, the table is first created with its rules.
    """
    try:
        transaction.change(TABLE, elements, ())
    except libnftables.Refused as error:
        if not error.nothing_there:
            raise
        install(elements)
        table.record_state(table.SPOOF_GUARDED)


def _destroy(elements: Iterable[Element]) -> None:
    try:
        transaction.change(TABLE, (), elements)
    except libnftables.Refused as error:
        if not error.nothing_there:
            raise


def _of(ports: Held) -> Iterator[Element]:
    for port, endpoint in ports.guarded:
        yield from _elements(port, endpoint)
    yield from map(_muted, ports.muted)


def _muted(port: str) -> Element:
    return Element("muted", name(port))


def _elements(port: str, endpoint: EndpointSpec) -> Iterator[Element]:
    interface, mac = name(port), endpoint.link_mac
    addresses = [address.ip for address in endpoint.all_addresses]
    yield Element("ports", interface)
    yield Element("macs", f"{interface} . {mac}")
    for address in [*addresses, *([link_local(mac)] if any(a.version == 6 for a in addresses) else [])]:
        yield Element(f"addresses{address.version}", f"{interface} . {address}")
