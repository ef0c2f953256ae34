"""What other programs listen on: the kernel's answer to "could this port be bound now?".

Acts in the network namespace of the calling process and changes nothing in it: a socket is bound as a proxy's would be
and closed at once. For long ranges the tables of /proc/net name the few ports that are worth such a question.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable, Sequence, Set
from functools import cached_property
from pathlib import Path

from engine.ports.allocation import IN_USE, NO_PROTOCOL, family

BIND_LIMIT = 256
"""So many questions are asked one by one; after that /proc/net is read once, which takes as long as some hundreds."""

_KINDS = {
    "tcp": (socket.SOCK_STREAM, 0),
    "udp": (socket.SOCK_DGRAM, 0),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_PROTOCOL_MISSING = {errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT}


class HostProbe:
    """Implements `engine.ports.Probe` for one allocation.

    ``read_ephemeral`` gives what the drivers read of sysctl; ``read_own`` our agent's sockets (protocol and port),
    which stand in nobody's way: the firewall leads a published port of that number past or to them.
    """

    def __init__(
        self,
        read_ephemeral: Callable[[], Sequence[range]],
        proc: Path = Path("/proc/net"),
        read_own: Callable[[], Set[tuple[str, int]]] = frozenset,
    ) -> None:
        self._read_ephemeral, self._read_own, self._proc = read_ephemeral, read_own, proc
        self._bindable: set[tuple[str, str]] = set()
        self._asked = 0

    def ephemeral(self) -> Sequence[range]:
        """Ports the kernel may choose from."""
        return self._read_ephemeral()

    def candidates(self, ports: range) -> Sequence[int]:
        """Of many ports those that some socket has, and one that stands for the address; of few all."""
        return ports if len(ports) <= BIND_LIMIT else sorted({ports[-1], *self._ports_in_use.intersection(ports)})

    def refusal(self, protocol: str, address: str, port: int) -> str | None:
        """Why another program could not bind this port now, or None."""
        self._asked += 1
        known = (protocol, address) in self._bindable
        if known and self._asked > BIND_LIMIT and port not in self._ports_in_use:
            return None
        reason = _try_bind(protocol, address, port)
        if reason == IN_USE and family(address) == 6 and (protocol, port) in self._own:
            return None
        if reason is None:
            self._bindable.add((protocol, address))
        return reason

    @cached_property
    def _own(self) -> Set[tuple[str, int]]:
        return self._read_own()

    @cached_property
    def _ports_in_use(self) -> set[int]:
        """Local ports of all sockets, whatever protocol, address and state: a bind tells which of them matter."""
        ports: set[int] = set()
        for table in ("tcp", "tcp6", "udp", "udp6"):
            try:
                lines = (self._proc / table).read_text().splitlines()[1:]
            except FileNotFoundError:  # a kernel without IPv6
                continue
            ports.update(int(line.split(maxsplit=2)[1].rpartition(":")[2], 16) for line in lines)
        return ports


def free_ports(local: tuple[int, int], reserved: Iterable[tuple[int, int]]) -> list[range]:
    """Give net.ipv4.ip_local_port_range less ip_local_reserved_ports; both come as inclusive pairs."""
    first, last = local
    free = []
    for low, high in sorted(reserved):
        free.append(range(first, min(low, last + 1)))
        first = max(first, high + 1)
    free.append(range(first, last + 1))
    return [ports for ports in free if ports]


def listens_on_ipv6() -> bool:
    """Tell whether this host can listen on IPv6 at all (not booted with ipv6.disable=1)."""
    return _try_bind("tcp", "::", 0) is None


def _try_bind(protocol: str, address: str, port: int) -> str | None:
    """Bind as a proxy would: TCP sockets reuse addresses (TIME_WAIT does not count), IPv6 ones leave IPv4 alone."""
    domain = socket.AF_INET6 if family(address) == 6 else socket.AF_INET
    kind, number = _KINDS[protocol]
    try:
        with socket.socket(domain, kind, number) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if domain == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((address, port))
            return None
    except OSError as error:
        if error.errno in _PROTOCOL_MISSING:
            return NO_PROTOCOL
        return os.strerror(error.errno or 0).lower()
