"""Who is connected to a manager's server: how many at once, and until when.

A *guest* has shown neither a certificate nor a token that is good. It has one deadline for everything it does, and
guests are bounded: where there are too many, the one that has been there longest has to go, so that a host which comes
to the point at once is never kept out by those that wait. Whoever is known is bounded by node.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

GUEST_SECONDS = 10.0
"""How long a guest may take for all it does."""
KNOWN_SECONDS = 30.0
"""How long one request of a known host may take, from its first byte to the last of the answer."""
IDLE_SECONDS = 60.0
"""How long a known host may keep a connection that it does not use."""
GUESTS_EACH, GUESTS = 64, 512
"""Guests at once from one address (of IPv6: one /64), and in all."""
CONNECTIONS_EACH = 256
"""Connections of one node at once."""
INTERVAL = 0.25
"""Seconds between two looks at the deadlines."""
SITE = 2**64 - 1


@dataclass(eq=False)
class Visit:
    """One connection; ``node`` is "" for a guest. ``until`` is a moment of the monotonic clock."""

    socket: socket.socket
    place: str
    until: float
    node: str = ""
    expires: float = field(default=float("inf"))
    """When the certificate it has shown ends, in seconds since 1970."""
    closed: bool = False

    def close(self) -> None:
        """End the connection, whatever its thread waits for."""
        self.closed = True
        with suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    def allow(self, seconds: float) -> None:
        """Let it go on for so long."""
        self.until = time.monotonic() + seconds


def place_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or the network that an IPv6 host chooses its addresses from."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address) and found.ipv4_mapped is None:
        return str(IPv6Address(int(found) & ~SITE))
    return str(found)


class Visits:
    """All connections of a server."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._visits: set[Visit] = set()

    def start(self) -> None:
        """Begin to watch the deadlines."""
        threading.Thread(target=self._watch, name="deadlines", daemon=True).start()

    def enter(self, connection: socket.socket, address: str) -> Visit:
        """Take in a guest; the oldest one goes where there are too many."""
        visit = Visit(connection, place_of(address), time.monotonic() + GUEST_SECONDS)
        with self._lock:
            surplus = self._surplus(visit.place)
            if surplus is not None:
                surplus.close()
                self._visits.discard(surplus)
            self._visits.add(visit)
        return visit

    def _surplus(self, place: str) -> Visit | None:
        """The guest that has to go for one more from ``place``."""
        counted = Counter(v.place for v in self._visits if not v.node)
        if counted[place] >= GUESTS_EACH:
            crowded = place
        elif counted.total() >= GUESTS:
            crowded = counted.most_common(1)[0][0]
        else:
            return None
        return min((v for v in self._visits if not v.node and v.place == crowded), key=lambda v: v.until)

    def know(self, visit: Visit, node: str, expires: float = float("inf")) -> bool:
        """Take a guest for a node; False where that one has too many connections."""
        with self._lock:
            if sum(v.node == node for v in self._visits) >= CONNECTIONS_EACH:
                return False
            visit.node, visit.expires = node, expires
            return True

    def leave(self, visit: Visit) -> None:
        """Forget a connection."""
        with self._lock:
            self._visits.discard(visit)

    def close_where(self, over: Callable[[Visit], bool]) -> None:
        """End those of which ``over`` is true."""
        with self._lock:
            found = [v for v in self._visits if over(v)]
        for visit in found:
            visit.close()

    def _watch(self) -> None:
        while True:
            time.sleep(INTERVAL)
            now, today = time.monotonic(), time.time()
            self.close_where(lambda v: v.until < now or v.expires < today)  # noqa: B023  # called at once
