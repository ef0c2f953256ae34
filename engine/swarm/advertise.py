"""Choose the addresses that other hosts use to reach this host: Docker's --advertise-addr and its defaults."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from drivers.linux import host as linux_host
from drivers.linux import marked_links
from drivers.scalars import socket_text, whole_number
from engine.errors import InvalidArgument, reason_of

DEFAULT_PORT = 2377
BAD_ADVERTISED = "advertise address must be a non-zero IP address or network interface (with optional port number)"
BAD_DATA_PATH = "data path address must be a non-zero IP address or network interface (without a port number)"


def advertise_address(text: str) -> tuple[str, int]:
    """Return the IP address and the port of ``IP|INTERFACE[:PORT]``; the default port is `DEFAULT_PORT`.

    If the text has only a port or is empty, the address is the one that `_sole_address` returns. Raises InvalidArgument
    if the text is malformed, or if no address is found.
    """
    host, port = split(text)
    return _resolved(host, BAD_ADVERTISED) if host else _sole_address(), port


def data_path(text: str) -> str:
    """Return the IP address for ``text``, an IP address or the name of an interface.

    For an interface, it is the address that `of_interface` returns. Raises InvalidArgument for any other text, and for
    0.0.0.0 and ``::``.
    """
    return _resolved(text, BAD_DATA_PATH)


def _resolved(host: str, refusal: str) -> str:
    """Return the address for ``host``, an IP address or the name of an interface.

    Raises InvalidArgument with the message ``refusal`` for any other text, and for 0.0.0.0 and ``::``.
    """
    try:
        ip = ip_address(host)
    except ValueError:
        return of_interface(host, refusal)
    if ip.is_unspecified:
        raise InvalidArgument(refusal)
    return str(ip)


def split(text: str) -> tuple[str, int]:
    """Split ``HOST[:PORT]`` into host and port; the default port is `DEFAULT_PORT`.

    Brackets around an IPv6 address are removed. Raises InvalidArgument if the port is not a number from 1 to 65535.
    """
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]") or (":" in host and not text.startswith("[")):
        return text.strip("[]"), DEFAULT_PORT
    if not (port.isascii() and port.isdigit() and 0 < whole_number(port) < 65536):
        raise InvalidArgument(BAD_ADVERTISED)
    return host.strip("[]"), int(port)


def of_interface(name: str, refusal: str) -> str:
    """Return the IPv4 address of the interface ``name``, or the IPv6 address if the interface has no IPv4 address.

    Raises InvalidArgument with the message ``refusal`` if the interface has no address.
    """
    addresses = [a for i, a in linux_host.interface_addresses() if i == name]
    if not addresses:
        raise InvalidArgument(refusal)
    return str(min(addresses, key=lambda a: a.version))


def _sole_address() -> str:
    """Return the only address at which other hosts can reach this host.

    Loopback addresses, link-local addresses and the addresses of hawse's own interfaces are ignored. If an IPv4 address
    remains, all IPv6 addresses are ignored too. If no address or several addresses remain, raises InvalidArgument with
    Docker's message.
    """
    hawse_links = {link.name for link in marked_links.of_host()}
    candidates = [
        (i, a)
        for i, a in linux_host.interface_addresses()
        if i not in hawse_links and not a.is_loopback and not a.is_link_local
    ]
    by_version = [[(i, a) for i, a in candidates if a.version == version] for version in (4, 6)]
    addresses = by_version[0] or by_version[1]
    if not addresses:
        raise InvalidArgument("could not find the system's IP address - specify one with --advertise-addr")
    if len({i for i, _ in addresses}) > 1:
        (first, a), (second, b) = addresses[0], next(c for c in addresses if c[0] != addresses[0][0])
        raise InvalidArgument(
            "could not choose an IP address to advertise since this system has multiple addresses on different "
            f"interfaces ({a} on {first} and {b} on {second}) - specify one with --advertise-addr"
        )
    if len(addresses) > 1:
        raise InvalidArgument(
            "could not choose an IP address to advertise since this system has multiple addresses on interface "
            f"{addresses[0][0]} ({addresses[0][1]} and {addresses[1][1]}) - specify one with --advertise-addr"
        )
    return str(addresses[0][1])


def source_address_for(host: str, port: int) -> str:
    """Return the address from which this host sends to the port ``port`` of the host ``host``.

    Raises InvalidArgument if this host has no route to ``host``, or if there is no such host.
    """
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(target)
            return str(probe.getsockname()[0])
    except UnicodeError as error:  # no DNS name: a label is empty or too long
        raise InvalidArgument(f"could not find local IP address: dial udp: lookup {host}: no such host") from error
    except OSError as error:
        problem = f"dial udp {socket_text(host, port)}: connect: {reason_of(error)}"
        raise InvalidArgument(f"could not find local IP address: {problem}") from error
