"""Test whether another program uses a host port, by binding a socket to the port.

The test binds the socket in the same way as Docker's port proxy would, and closes the socket immediately. The test runs
in the network namespace of the calling process and changes nothing in that namespace. In a long range, only the ports
listed in /proc/net are tested. Ports that only the agent has bound count as free.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable, Sequence, Set
from functools import cached_property
from pathlib import Path

from engine.errors import SHORTAGES, reason_of
from engine.ports.allocation import IN_USE, NO_PROTOCOL, family

BIND_LIMIT = 256
"""Maximum size of a port range in which each port is tested by a bind.

For a larger range, /proc/net is read once, which takes as much time as a few hundred binds.
"""

LISTEN = "0A"
"""The state of a listening socket in /proc/net/tcp."""

_KINDS = {
    "tcp": (socket.SOCK_STREAM, 0),
    "udp": (socket.SOCK_DGRAM, 0),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_SCTP_TABLES = (("sctp/eps", 5), ("sctp/assocs", 11))
"""The files of listening and of connected SCTP sockets in /proc/net. The number is the column of the local port."""
_PROTOCOL_MISSING = {errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT}


class HostProbe:
    """Implements `engine.ports.allocation.PortProbe` for one allocation.

    ``read_ephemeral`` returns the port ranges from which the kernel may choose a port. ``read_own`` returns the inode
    number of each socket of the agent. A port that only the agent has bound is regarded as free in two cases:

    - A container has just released the port, and the agent still keeps the port bound.
    - The port belongs to the agent's proxy, which gets only packets that the firewall redirects.
    """

    def __init__(
        self,
        read_ephemeral: Callable[[], Sequence[range]],
        proc: Path = Path("/proc/net"),
        read_own: Callable[[], Set[int]] = frozenset,
    ) -> None:
        self._read_ephemeral, self._read_own, self._proc = read_ephemeral, read_own, proc
        self._bindable: set[tuple[str, str]] = set()
        self._asked = 0

    def ephemeral(self) -> Sequence[range]:
        """Return the port ranges from which the kernel may choose a port."""
        return self._read_ephemeral()

    def candidates(self, ports: range) -> Sequence[int]:
        """Return the ports of a range that must be tested by a bind.

        In a short range, every port is tested. In a long range, only the ports that some socket uses are tested,
        because all other ports are free. A used port may still be available, if its socket has another protocol or
        address. The last port of a long range is also tested, to find out whether the address can be bound at all.
        """
        return ports if len(ports) <= BIND_LIMIT else sorted({ports[-1], *self._ports_in_use.intersection(ports)})

    def refusal(self, protocol: str, address: str, port: int) -> str | None:
        """Try to bind a port; return the error, such as ``address already in use``, or None if the port is free.

        A port that only the agent has bound counts as free. After `BIND_LIMIT` calls, some ports count as free without
        a bind. Such a port is not used by any socket, and an earlier bind with the same protocol and address has
        succeeded.
        """
        self._asked += 1
        known = (protocol, address) in self._bindable
        if known and self._asked > BIND_LIMIT and port not in self._ports_in_use:
            return None
        reason = _try_bind(protocol, address, port)
        if reason == IN_USE:
            if self._is_own(protocol, port):
                return None
            reason = _try_bind(protocol, address, port)  # the agent may have closed its socket since the first bind
        if reason is None:
            self._bindable.add((protocol, address))
        return reason

    def _is_own(self, protocol: str, port: int) -> bool:
        """Return whether the agent has bound a port on any address, and no other program has.

        The agent never binds SCTP ports.
        """
        end, holders = f":{port:04X}", set[int]()
        for table in (protocol, f"{protocol}6"):
            for line in self._lines(table):
                fields = line.split()
                if fields[1].endswith(end) and (protocol != "tcp" or fields[3] == LISTEN):
                    holders.add(int(fields[9]))
        return bool(holders) and holders <= self._own

    @cached_property
    def _own(self) -> Set[int]:
        return self._read_own()

    def _lines(self, table: str) -> list[str]:
        """Return the line of each socket in a file of /proc/net; [] if the kernel has no such file.

        ``table`` is the file's name, such as "tcp6".
        """
        try:
            return (self._proc / table).read_text().splitlines()[1:]
        except (FileNotFoundError, IsADirectoryError):  # /proc/net/sctp is a directory
            return []

    @cached_property
    def _ports_in_use(self) -> set[int]:
        """The local ports of all sockets, of any protocol, address and state.

        The caller tests each of these ports by a bind, because a port that is in use may still be publishable.
        """
        ports: set[int] = set()
        for table in ("tcp", "tcp6", "udp", "udp6"):
            lines = self._lines(table)
            ports.update(int(line.split(maxsplit=2)[1].rpartition(":")[2], 16) for line in lines)
        for table, column in _SCTP_TABLES:
            ports.update(int(line.split()[column]) for line in self._lines(table))
        return ports


def free_ports(local: tuple[int, int], reserved: Iterable[tuple[int, int]]) -> list[range]:
    """Return the port ranges from which the kernel chooses ports for sockets.

    ``local`` is net.ipv4.ip_local_port_range as (first port, last port). ``reserved`` has the ranges of
    ip_local_reserved_ports in the same form; the kernel does not choose these ports.
    """
    first, last = local
    free = []
    for low, high in sorted(reserved):
        free.append(range(first, min(low, last + 1)))
        first = max(first, high + 1)
    free.append(range(first, last + 1))
    return [ports for ports in free if ports]


def listens_on_ipv6() -> bool:
    """Return whether this host can listen on IPv6, which the kernel parameter ipv6.disable=1 prevents.

    Raises OSError if file descriptors or memory are used up (`SHORTAGES`). The result False would then be wrong: hawse
    would publish ports on IPv4 only.
    """
    try:
        _bind("tcp", "::", 0)
    except OSError as error:
        if error.errno in SHORTAGES:
            raise
        return False
    return True


def _try_bind(protocol: str, address: str, port: int) -> str | None:
    """Bind a socket as `_bind` does; return the error's text, or None if the bind succeeds."""
    try:
        _bind(protocol, address, port)
    except OSError as error:
        return NO_PROTOCOL if error.errno in _PROTOCOL_MISSING else reason_of(error)
    return None


def _bind(protocol: str, address: str, port: int) -> None:
    """Bind a socket as Docker's port proxy would, and close the socket; raises OSError if the bind fails.

    TCP sockets reuse addresses, so that connections in TIME_WAIT do not block the bind. IPv6 sockets do not bind IPv4.
    """
    domain = socket.AF_INET6 if family(address) == 6 else socket.AF_INET
    kind, number = _KINDS[protocol]
    with socket.socket(domain, kind, number) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if domain == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind((address, port))
