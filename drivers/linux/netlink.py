"""A netlink session in one network namespace; its methods raise OSError if the kernel refuses a request.

The module sends messages and receives answers (netlink(7)), in the same way for rtnetlink, nftables and connection
tracking. The module does not know the contents of messages. `drivers.linux.rtnetlink` encodes and decodes the messages
of rtnetlink with pyroute2.
"""

from __future__ import annotations

import _thread
import errno
import os
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from fcntl import ioctl
from itertools import count
from typing import NamedTuple, Self, TypeVar

from drivers.linux import names, netns, recording, socket_filter
from drivers.linux.errors import kernel_errors

DUMP_ATTEMPTS, DUMP_SECONDS = 5, 2.0
"""The minimum number of attempts, and the minimum time, in which a list that other processes change is read again."""
REQUEST, ACK, DUMP_INTERRUPTED, DUMP = 0x1, 0x4, 0x10, 0x300  # message flags (kernel constants NLM_F_*)
ERROR, DONE = 2, 3  # message types (kernel constants NLMSG_*)
HEADER, CODE = struct.Struct("=IHHII"), struct.Struct("=i")
SOL_NETLINK, ADD_MEMBERSHIP, CAP_ACK = 270, 1, 10
NAMESPACE_OF_SOCKET = 0x894C  # request number for ioctl(2): SIOCGSKNS
INDEX_OF_NAME, NAME_OF_INDEX = 0x8933, 0x8910  # request numbers for ioctl(2): SIOCGIFINDEX, SIOCGIFNAME
IFREQ, TIMEVAL = struct.Struct("=16si20x"), struct.Struct("@ll")
RECEIVE = 1 << 17  # maximum number of bytes of one read
SEND = 1 << 16  # bytes; data of at most this size fits into the send buffer of a new socket
FORCING = {socket.SO_SNDBUF: 32, socket.SO_RCVBUF: 33}
"""The socket options SO_SNDBUFFORCE and SO_RCVBUFFORCE, which set the same sizes without the limit for every user."""
TIMEOUT = 60  # seconds to wait for an answer of the kernel
POLL_INTERVAL_SECONDS = 0.0003  # seconds between two checks of whether a request has taken effect
T = TypeVar("T")


class Message(NamedTuple):
    """One netlink request: its type, its flags besides NLM_F_REQUEST, and its body."""

    kind: int
    flags: int
    body: bytes


class Session:
    """An open netlink socket, by default for rtnetlink; a ``with`` block closes it.

    The socket is opened in the calling thread's network namespace, and stays there. A request blocks until the kernel
    answers. After `TIMEOUT` seconds without an answer, it raises OSError with EAGAIN.
    """

    def __init__(self, protocol: int = socket.NETLINK_ROUTE) -> None:
        self.protocol = protocol
        self._socket = open_socket(protocol)
        self._socket.setsockopt(SOL_NETLINK, CAP_ACK, 1)
        for timeout in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):  # settimeout() would add a poll(2) to each call
            self._socket.setsockopt(socket.SOL_SOCKET, timeout, TIMEVAL.pack(TIMEOUT, 0))
        self._sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the session's socket."""
        self._socket.close()

    def request(self, kind: int, body: bytes, flags: int = 0) -> list[bytes]:
        """Send one message; return the bodies of the kernel's answers before its acknowledgement.

        ``kind`` is the type of the message. ``flags`` are its flags besides NLM_F_REQUEST. Raises OSError if the kernel
        refuses the message.
        """
        messages, nothing = [Message(kind, flags, body)], list[bytes]()
        return self._recorded(messages, lambda: self._answers(self._send(kind, body, flags | ACK)), nothing)

    def request_all(self, messages: Sequence[Message], number: int = 0) -> None:
        """Send messages together, as one transaction; return when the kernel acknowledges one of the messages.

        One message must have the flag `ACK`, which requests the acknowledgement. All messages get the same sequence
        number: ``number`` if it is nonzero, else the session's next number. Raises OSError if the kernel refuses the
        transaction.
        """
        self._recorded(messages, lambda: self.transact(messages, number), None)

    def transact(self, messages: Sequence[Message], number: int) -> None:
        """Send messages as `request_all` does, but do not show them to the recorder, and send them in a dry run too."""
        self._sent = number or self._sent + 1
        data = b"".join([_packed(message, self._sent) for message in messages])
        if len(data) > SEND:
            resize_buffer(self._socket, socket.SO_SNDBUF, 2 * len(data))
        self._socket.send(data)
        self._answers(self._sent)

    def request_each(self, messages: Sequence[Message]) -> list[tuple[int, int]]:
        """Send messages together; return (index in ``messages``, errno) of every message that the kernel refused.

        The kernel continues after a message that it refuses.
        """
        return self._recorded(messages, lambda: self._request_each(messages), list[tuple[int, int]]())

    def _request_each(self, messages: Sequence[Message]) -> list[tuple[int, int]]:
        first = self._sent + 1
        self._sent += len(messages)
        last = messages[-1]._replace(flags=messages[-1].flags | ACK)
        numbered = enumerate((*messages[:-1], last), first)
        self._socket.send(b"".join(_packed(message, number) for number, message in numbered))
        return [(number - first, code) for number, code in self._refusals(first)]

    def request_until_visible(self, kind: int, body: bytes, shows: Callable[[], bool]) -> None:
        """Send one message; return when the kernel has finished the request or ``shows`` returns True.

        ``kind`` is the type of the message. ``shows`` returns whether the effect of the request is visible already.
        Once the effect is visible, the kernel finishes the request even if this process ends. Raises OSError if the
        kernel refuses the request.
        """
        self._recorded([Message(kind, 0, body)], lambda: self._request_until_visible(kind, body, shows), None)

    def _request_until_visible(self, kind: int, body: bytes, shows: Callable[[], bool]) -> None:
        other = self.clone_session()
        failures: list[OSError] = []
        done = _thread.allocate_lock()
        done.acquire()

        def request() -> None:
            try:
                other._answers(other._send(kind, body, ACK))
            except OSError as error:
                failures.append(error)
            finally:
                other.close()
                done.release()

        in_background(request)
        while not done.acquire(timeout=POLL_INTERVAL_SECONDS):
            if shows():
                return
        if failures:
            raise failures[0]

    def _recorded(self, messages: Sequence[Message], act: Callable[[], T], nothing: T) -> T:
        """Send messages by calling ``act``, and return its result; with a recorder, let the recorder do this.

        The result is ``nothing`` if the recorder does not send the messages.
        """
        if recording.recorder is None:
            return act()
        return recording.recorder.netlink(self, messages, act, nothing)

    def clone_session(self) -> Session:
        """Open another session in the network namespace of this session.

        The calling thread may be in another namespace.
        """
        with netns.enter_owned_fd(ioctl(self._socket, NAMESPACE_OF_SOCKET)):
            return Session()

    def index(self, name: str) -> int:
        """Return the index of a link in the session's namespace, or 0 if no link has that name.

        The function never waits for the kernel's locks.
        """
        if recording.recorder is not None:
            known = recording.recorder.link_index(name, self)
            if known is not None:
                return known
        if not names.fits(name):
            return 0  # the name is too long: the kernel would shorten it and might find another link
        try:
            return int(IFREQ.unpack(ioctl(self._socket, INDEX_OF_NAME, IFREQ.pack(name.encode(), 0)))[1])
        except OSError:
            return 0

    def name(self, link_index: int) -> str:
        """Return the name of a link in the session's namespace, or "" if no link has that index."""
        try:
            answer = ioctl(self._socket, NAME_OF_INDEX, IFREQ.pack(b"", link_index))
        except OSError:
            return ""
        return os.fsdecode(IFREQ.unpack(answer)[0].rstrip(b"\0"))

    def namespace(self) -> int:
        """Return the inode number of the session's network namespace."""
        namespace = ioctl(self._socket, NAMESPACE_OF_SOCKET)
        try:
            return os.fstat(namespace).st_ino
        finally:
            os.close(namespace)

    def dump(
        self, kind: int, body: bytes, is_kept: Callable[[bytes], bool] | None = None, limit: int = sys.maxsize
    ) -> list[bytes]:
        """Return the bodies of the messages with which the kernel lists objects; ``kind`` and ``body`` are the request.

        ``is_kept`` gets each body; if it returns False, the body is left out. If another process changes the list
        meanwhile, the function reads the list again. Raises OSError with one of two errnos:

        - EINTR: the list changed during every attempt.
        - EMSGSIZE: more than ``limit`` bodies would be returned. The caller must then close the session.
        """
        for _ in dump_attempts():
            try:
                bodies = self._answers(self._send(kind, body, DUMP), is_kept, limit)
                return bodies if recording.recorder is None else recording.recorder.listed(self, kind, bodies)
            except InterruptedError:
                continue
        raise OSError(errno.EINTR, "list changed while it was read")

    def _send(self, kind: int, body: bytes, flags: int) -> int:
        self._sent += 1
        self._socket.send(_packed(Message(kind, flags, body), self._sent))
        return self._sent

    def _answers(
        self, number: int, is_kept: Callable[[bytes], bool] | None = None, limit: int = sys.maxsize
    ) -> list[bytes]:
        """Return the bodies of the kernel's answers to the message with the sequence number ``number``.

        ``is_kept`` gets each body; if it returns False, the body is left out. Raises OSError if the kernel refuses the
        message, or if more than ``limit`` bodies would be returned. Raises InterruptedError if the listed objects
        changed during the reading.
        """
        bodies: list[bytes] = []
        whole = True
        while True:
            for kind, flags, answered, _, body in messages(self._socket.recv(RECEIVE)):
                if answered != number:
                    continue  # the answer belongs to an earlier request whose caller timed out
                whole = whole and not flags & DUMP_INTERRUPTED
                if kind in (ERROR, DONE):
                    if code := -CODE.unpack_from(body)[0]:
                        raise OSError(code, "refused by the kernel")
                    if not whole:
                        raise InterruptedError
                    return bodies
                if is_kept is None or is_kept(body):
                    if len(bodies) == limit:
                        raise OSError(errno.EMSGSIZE, f"more than {limit} objects")
                    bodies.append(body)

    def _refusals(self, first: int) -> Iterator[tuple[int, int]]:
        """Yield sequence number and errno of every refused message whose sequence number is ``first`` or higher.

        Ends at the acknowledgement of the last message that was sent.
        """
        while True:
            for kind, _, number, _, body in messages(self._socket.recv(RECEIVE)):
                if kind != ERROR or number < first:
                    continue
                if code := -CODE.unpack_from(body)[0]:
                    yield number, code
                if number == self._sent:
                    return


def dump_attempts() -> Iterator[int]:
    """Yield the number of each attempt to read a list that other processes may change meanwhile.

    The caller stops after a successful attempt. The numbers end after at least `DUMP_ATTEMPTS` attempts and at least
    `DUMP_SECONDS` seconds. These limits are high: on a host with 600 interfaces, two processes that create interfaces
    interrupt three of four attempts.
    """
    end = time.monotonic() + DUMP_SECONDS
    for number in count():
        if number >= DUMP_ATTEMPTS and time.monotonic() >= end:
            return
        yield number


def _packed(message: Message, number: int) -> bytes:
    """Return a message with its header, ready to send; ``number`` is the sequence number in the header.

    The attributes in the body are padded, so another message can directly follow this message.
    """
    kind, flags, body = message
    return HEADER.pack(HEADER.size + len(body), kind, flags | REQUEST, number, 0) + body


def in_background(action: Callable[[], object]) -> None:
    """Run ``action`` in a separate thread; does not wait for the end of ``action``.

    Only use this function for actions that wait for the kernel. If no thread can be started, ``action`` runs
    immediately in the calling thread.
    """
    try:
        _thread.start_new_thread(action, ())
    except RuntimeError:  # no new thread was started: the machine or the control group has reached its limit of tasks
        action()


def open_socket(protocol: int = socket.NETLINK_ROUTE, flags: int = 0) -> socket.socket:
    """Return a netlink socket in the calling thread's network namespace.

    ``protocol`` is the netlink family, such as NETLINK_ROUTE. ``flags`` are further flags of socket(2).

    Every process with CAP_NET_ADMIN in a namespace may send messages to the netlink sockets of all processes there.
    Because this socket is connected to the kernel, such messages are refused (ECONNREFUSED). Messages that other
    processes send to a multicast group still arrive. A member of a group must read with `pending`, which omits them.
    """
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | flags, protocol)
    try:
        opened.connect((0, 0))
    except BaseException:
        opened.close()
        raise
    return opened


def follow(
    what: str,
    groups: Iterable[int],
    protocol: int = socket.NETLINK_ROUTE,
    *,
    buffer_bytes: int = 0,
    accepts: Sequence[socket_filter.Instruction] = (),
) -> socket.socket:
    """Return a non-blocking socket that receives the notifications of multicast groups; read it with `pending`.

    The notifications are those of the calling thread's network namespace. ``what`` names them in an error.
    ``protocol`` is the netlink family. ``buffer_bytes`` is the size of the receive buffer; 0 keeps the kernel's
    default. The BPF filter ``accepts`` selects messages; an empty filter selects all. Raises `DriverError` if the
    kernel refuses a group.
    """
    opened = open_socket(protocol, socket.SOCK_NONBLOCK)
    try:
        if buffer_bytes:
            resize_buffer(opened, socket.SO_RCVBUF, buffer_bytes)
        if accepts:
            socket_filter.attach(opened, accepts)
        with kernel_errors("follow", what):
            for group in groups:
                opened.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)
    except BaseException:
        opened.close()
        raise
    return opened


def resize_buffer(opened: socket.socket, option: int, size: int) -> None:
    """Set the size of a socket's buffer in bytes; ``option`` is SO_SNDBUF or SO_RCVBUF.

    In a user namespace, root gets only the size that the host allows every user.
    """
    try:
        opened.setsockopt(socket.SOL_SOCKET, FORCING[option], size)
    except PermissionError:
        opened.setsockopt(socket.SOL_SOCKET, option, size)


def pending(opened: socket.socket, limit: int = sys.maxsize) -> Iterator[bytes | None]:
    """Yield the waiting notifications of a non-blocking socket, and None where the kernel has dropped notifications.

    Ends after ``limit`` reads. Data that another process sent is left out.
    """
    for _ in range(limit):
        try:
            data, (sender, _) = opened.recvfrom(RECEIVE)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            yield None
        else:
            if sender == 0:
                yield data


def messages(data: bytes) -> Iterator[tuple[int, int, int, int, bytes]]:
    """Yield type, flags, sequence number, port id and body of each netlink message in the data of one read.

    In a notification, the port id is usually the PID of the process that made the change.
    """
    start = 0
    while start + HEADER.size <= len(data):
        length, kind, flags, number, port = HEADER.unpack_from(data, start)
        if length < HEADER.size:
            return
        yield kind, flags, number, port, data[start + HEADER.size : start + length]
        start += length + 3 & ~3
