"""Receives and sends many datagrams per call, with recvmmsg(2) and sendmmsg(2), which Python's sockets do not offer.

In memory, a reply overwrites its query, except the first `ID` bytes. These bytes are the id, which is the same in query
and reply. ``recvmmsg`` stores the sender's address of each query in a second buffer, and ``sendmmsg`` sends the reply
to this address. This module does not interpret the content of datagrams.
"""

from __future__ import annotations

import ctypes
import mmap
import socket
from collections.abc import Callable
from ctypes import Structure, addressof, c_int, c_size_t, c_uint, c_void_p, sizeof

ID = 2  # length in bytes of the id, with which each DNS message begins
SIZE = 32
"""Maximum number of datagrams that one call receives or sends."""
ROOM = 4096
"""Bytes reserved for each datagram; the rest of a longer datagram is lost."""
NAME = 16
"""Size of struct sockaddr_in, in bytes."""

Client = tuple[str, int]
Known = Callable[[bytes], "bytes | None"]
Unread = Callable[[bytes, Client], None]


class _Vector(Structure):
    _fields_ = (("base", c_void_p), ("length", c_size_t))


class _Header(Structure):
    """The C struct msghdr."""

    _fields_ = (
        ("name", c_void_p),
        ("name_length", c_uint),
        ("vectors", c_void_p),
        ("count", c_size_t),
        ("control", c_void_p),
        ("control_length", c_size_t),
        ("flags", c_int),
    )


class _Message(Structure):
    """The C struct mmsghdr."""

    _fields_ = (("header", _Header), ("length", c_uint))


_libc = ctypes.CDLL(None)
_receive, _send = _libc.recvmmsg, _libc.sendmmsg
_receive.argtypes = (c_int, c_void_p, c_uint, c_int, c_void_p)
_send.argtypes = (c_int, c_void_p, c_uint, c_int)


class _Messages:
    """An array of the C struct mmsghdr, with one iovec for each element.

    ``names`` is the memory address of the senders' addresses, and ``buffer`` that of the datagrams. Fields that change
    are accessed by memoryview, because access by ctypes is slow.
    """

    def __init__(self, names: int, buffer: int) -> None:
        messages, vectors = (_Message * SIZE)(), (_Vector * SIZE)()
        for slot in range(SIZE):
            vectors[slot].base, vectors[slot].length = buffer + slot * ROOM, ROOM
            header = messages[slot].header
            header.name, header.name_length = names + slot * NAME, NAME
            header.vectors, header.count = addressof(vectors) + slot * sizeof(_Vector), 1
        self.address = addressof(messages)
        whole = memoryview(messages).cast("B")
        self.lengths = whole.cast("I")[_Message.length.offset // sizeof(c_uint) :: sizeof(_Message) // sizeof(c_uint)]
        self.senders = whole.cast("P")[:: sizeof(_Message) // sizeof(c_void_p)]
        self.places = memoryview(vectors).cast("B").cast("P")
        """The fields of all iovecs in order: base address, length, base address, length, and so on."""


class Datagrams:
    """Memory for `SIZE` datagrams, shared by all resolver sockets of a thread."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, SIZE * ROOM)  # the kernel allocates a page only when it is first used
        self._names = bytearray(SIZE * NAME)
        pin = ctypes.c_char.from_buffer
        self._buffer, self._name = addressof(pin(self._memory)), addressof(pin(self._names))
        self._taken, self._replies = (_Messages(self._name, self._buffer) for _ in range(2))

    def answer(self, fd: int, look_up: Callable[[], Known], unknown: Unread) -> None:
        """Receive up to `SIZE` DNS queries from the UDP socket ``fd``, and send the replies that are known.

        IPv4 only. Does not wait if no query has arrived. Replies that the kernel refuses to send are dropped.

        - ``look_up`` is called after the queries have arrived, and returns a function. This function gets a query
          without its id, and returns the reply without its id, or None.
        - ``unknown`` is called if the reply is None. It gets the whole query and the sender's address, and must reply
          itself.
        """
        count: int = _receive(fd, self._taken.address, SIZE, socket.MSG_DONTWAIT, None)
        known = look_up()
        memory, lengths = memoryview(self._memory), self._taken.lengths
        places, senders = self._replies.places, self._replies.senders
        ready = 0
        try:
            for slot in range(count):
                start = slot * ROOM
                message = bytes(memory[start : start + lengths[slot]])
                reply = known(message[ID:])
                if reply is None:
                    unknown(message, self._client(slot))
                    continue
                memory[start + ID : start + ID + len(reply)] = reply
                places[2 * ready] = self._buffer + start
                places[2 * ready + 1] = ID + len(reply)
                senders[ready] = self._name + slot * NAME
                ready += 1
        finally:
            self._deliver(fd, ready)

    def _deliver(self, fd: int, ready: int) -> None:
        done = 0
        while done < ready:
            sent: int = _send(fd, self._replies.address + done * sizeof(_Message), ready - done, socket.MSG_DONTWAIT)
            done += max(sent, 1)  # skip a datagram that the kernel refuses to send

    def _client(self, slot: int) -> Client:
        name = self._names[slot * NAME : (slot + 1) * NAME]
        return socket.inet_ntoa(name[4:8]), int.from_bytes(name[2:4], "big")
