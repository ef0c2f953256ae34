"""Find the largest echo request (ping) that reaches another machine without fragmentation and is answered.

If routers announce their MTU (ICMP "fragmentation needed"), senders adapt to it. If a firewall drops these messages,
large packets are lost silently.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Collection, Iterator

from drivers.linux import echo
from drivers.model import IPAddress

SIZES = (576, 1280, 1300, 1350, 1380, 1400, 1420, 1440, 1450, 1460, 1480, 1492)
"""The packet sizes to try, in bytes, below the MTU of the outgoing interface."""
FIRST_SECONDS, MORE_SECONDS = 0.4, 0.25  # seconds to wait for the first answer, and then for the other answers
ATTEMPTS = 3  # maximum echo requests of each size; one request is not enough, because a network may lose packets
DONT_FRAGMENT = {4: (socket.IPPROTO_IP, 10), 6: (socket.IPPROTO_IPV6, 23)}  # IP_MTU_DISCOVER, IPV6_MTU_DISCOVER
AS_IS = 3  # value IP_PMTUDISC_PROBE, IPV6_PMTUDISC_PROBE
REPORT = {4: (socket.IPPROTO_IP, 11), 6: (socket.IPPROTO_IPV6, 25)}  # IP_RECVERR, IPV6_RECVERR
IP_HEADER = {4: 20, 6: 40}
ERROR_QUEUE = socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT


def largest(address: IPAddress, mtu: int) -> int | None:
    """Return the largest packet size that ``address`` answers, if larger packets are lost silently.

    Sizes are in bytes and include the IP header. ``mtu`` is the size of the largest packet that is sent. ``mtu`` must
    not be above 65535. The result is None in these cases:

    - the packet of ``mtu`` bytes is answered
    - no packet is answered
    - a router announces its MTU, or the kernel knows a smaller MTU

    Needs CAP_NET_RAW. Runs in the calling thread's network namespace. Usually blocks less than two seconds, and less
    than 0.1 s if all packets are answered.
    """
    sizes = [*(size for size in SIZES if size < mtu), mtu]
    with echo.open_socket(address.version) as sock:
        sock.setsockopt(*DONT_FRAGMENT[address.version], AS_IS)
        sock.setsockopt(*REPORT[address.version], 1)
        answered: set[int] = set()
        for _ in range(ATTEMPTS):
            if not _send(sock, address, [size for size in sizes if size not in answered]):
                return None
            answered |= _answers(sock, address, sizes, answered)
            if mtu in answered or not answered or _is_announced(sock):
                return None
    return max(answered)


def _send(sock: socket.socket, address: IPAddress, sizes: Collection[int]) -> bool:
    """Send an echo request of each size; return False if the kernel knows a smaller MTU and refuses a request.

    ``sizes`` are in bytes and include the IP header.
    """
    for size in sizes:
        payload = bytes(size - IP_HEADER[address.version] - echo.HEADER.size)
        try:
            sock.sendto(echo.request(address.version, _identifier(), size, payload), (str(address), 0))
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # ENOBUFS means only that this packet was lost on the first link
                return False
    return True


def _answers(sock: socket.socket, address: IPAddress, sizes: Collection[int], before: Collection[int]) -> set[int]:
    """Wait for answers to echo requests of the ``sizes``, and return the sizes that were answered during this call.

    ``before`` are the sizes that were answered earlier. Stops when all sizes are answered, after some time without an
    answer, or when a router reports a smaller MTU.
    """
    answered: set[int] = set()
    end = time.monotonic() + (MORE_SECONDS if before else FIRST_SECONDS)
    waiting = select.poll()
    waiting.register(sock, select.POLLIN)
    while len(answered) + len(before) < len(sizes) and time.monotonic() < end:
        events = waiting.poll(max(0.0, end - time.monotonic()) * 1000)
        received = set(_received(sock, address))
        if any(event & select.POLLERR for _, event in events):
            return answered | received
        if received:
            end = time.monotonic() + MORE_SECONDS
        answered |= received
    return answered


def _received(sock: socket.socket, address: IPAddress) -> Iterator[int]:
    """Yield the size of each echo request whose answer has arrived at the socket ``sock``; never blocks.

    The sequence number of an echo request is its size in bytes.
    """
    while True:
        try:
            data, sender = sock.recvfrom(1 << 16)
        except OSError:
            return
        size = echo.number_of_reply(data, address.version, _identifier())
        if size is not None and sender[0].partition("%")[0] == str(address):
            yield size


def _is_announced(sock: socket.socket) -> bool:
    """Return whether a router has announced a smaller MTU for packets of this socket."""
    try:
        sock.recvmsg(1, 512, ERROR_QUEUE)
    except OSError:
        return False
    return True


def _identifier() -> int:
    return os.getpid() & 0xFFFF
