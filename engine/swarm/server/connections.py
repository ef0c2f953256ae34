"""The connections to a manager's server: limits on their number and their duration.

A *guest* is a client that has shown neither a certificate nor a valid token. A guest has one deadline for its whole
connection, and the number of guests is limited. If a server has too many guests, the server disconnects the oldest
guest. Therefore waiting guests do not block a host that sends its request immediately. A known host is a host with a
certificate or a valid token. Each known host has its own limit of connections.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv6Address, ip_address

from msgspec import Struct

GUEST_SECONDS = 10.0
"""Maximum seconds that the whole connection of a guest may take."""
KNOWN_SECONDS = 30.0
"""Maximum seconds for one request of a known host.

The time begins when the server has read the request, and ends when the server has sent the answer.
"""
IDLE_SECONDS = 60.0
"""Seconds that a known host has after an answer to send the next request. Then the server closes the connection."""
GUESTS_EACH, GUESTS = 64, 512
"""Maximum number of guests from one IPv4 address or IPv6 /64, and in total."""
CONNECTIONS_EACH = 256
"""Maximum number of connections that a manager's server accepts from one node."""
CHECK_INTERVAL_SECONDS = 0.25
"""Seconds between two checks of all connections' deadlines."""
SITE = 2**64 - 1


class Visit(Struct, eq=False):
    """One connection to a manager's server; ``node`` is "" for a guest.

    ``client`` is the client's address or /64 (`client_of`). ``until`` is the connection's deadline on the monotonic
    clock. ``expires`` is the time when the client's certificate expires, in seconds since 1970; it is infinite without
    a certificate.
    """

    socket: socket.socket
    client: str
    until: float
    node: str = ""
    expires: float = float("inf")
    closed: bool = False

    def close(self) -> None:
        """Shut the connection down; the server thread that serves the connection then wakes up."""
        self.closed = True
        with suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    def allow(self, seconds: float) -> None:
        """Set the connection's deadline to ``seconds`` from now."""
        self.until = time.monotonic() + seconds


def client_of(address: str) -> str:
    """Return the key under which the server counts a client: its IPv4 address, or the /64 of its IPv6 address."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is None:
        return str(IPv6Address(int(ip) & ~SITE))
    return str(ip)


class Visits:
    """All connections of a manager's server; safe for use by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._visits: set[Visit] = set()

    def start(self) -> None:
        """Start the thread that checks the deadlines."""
        threading.Thread(target=self._watch, name="deadlines", daemon=True).start()

    def enter(self, connection: socket.socket, address: str) -> Visit:
        """Add the connection of a guest.

        ``address`` is the guest's IP address. To limit the number of guests, an older guest may be disconnected first
        (`_surplus`).
        """
        visit = Visit(connection, client_of(address), time.monotonic() + GUEST_SECONDS)
        with self._lock:
            surplus = self._surplus(visit.client)
            if surplus is not None:
                surplus.close()
                self._visits.discard(surplus)
            self._visits.add(visit)
        return visit

    def _surplus(self, client: str) -> Visit | None:
        """Return the guest to disconnect before a new guest is added, or None if there is room for the new guest.

        ``client`` is the new guest's IPv4 address or IPv6 /64. The caller holds the lock.

        - If too many guests have this address or /64, the result is the oldest of these guests.
        - Otherwise, if the server has too many guests in total, the result is the oldest guest of the address or /64
          with the most guests.
        """
        counted = Counter(v.client for v in self._visits if not v.node)
        if counted[client] >= GUESTS_EACH:
            crowded = client
        elif counted.total() >= GUESTS:
            crowded = counted.most_common(1)[0][0]
        else:
            return None
        return min((v for v in self._visits if not v.node and v.client == crowded), key=lambda v: v.until)

    def know(self, visit: Visit, node: str, expires: float = float("inf")) -> bool:
        """Record that a connection belongs to the host ``node``; return False if the host has too many connections."""
        with self._lock:
            if sum(v.node == node for v in self._visits) >= CONNECTIONS_EACH:
                return False
            visit.node, visit.expires = node, expires
            return True

    def leave(self, visit: Visit) -> None:
        """Remove a connection that has ended, so that it does not count against the limits."""
        with self._lock:
            self._visits.discard(visit)

    def close_where(self, over: Callable[[Visit], bool]) -> None:
        """Shut down all connections for which the function ``over`` returns True."""
        with self._lock:
            visits = [v for v in self._visits if over(v)]
        for visit in visits:
            visit.close()

    def _watch(self) -> None:
        while True:
            time.sleep(CHECK_INTERVAL_SECONDS)
            now, today = time.monotonic(), time.time()
            self.close_where(lambda v: v.until < now or v.expires < today)  # noqa: B023 (called in this iteration)
