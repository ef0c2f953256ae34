"""Read the request that a launcher (`cli.launcher.launch`) sends to a child of the warm server."""

from __future__ import annotations

import os
import socket

from msgspec import Struct

LIMIT = 16 << 20
MOST_DESCRIPTORS = 7


class MalformedRequest(Exception):
    """Raised when a request is invalid, or comes from a launcher of another hawse installation."""


class WarmRequest(Struct, frozen=True):
    """One command and its context, as the launcher has sent them.

    - ``identity``: the facts that must be the same for the launcher and the server (`cli.launcher.launch.identity`).
    - ``ignored``: the numbers of the signals that the launcher ignores.
    - ``streams``: maps 0, 1 and 2 to the received file descriptors. A stream that is closed in the launcher is missing.
    - ``directory`` and ``root``: file descriptors of the launcher's current directory and root directory.
    - ``mounts`` and ``network``: file descriptors of the launcher's mount namespace and network namespace.

    The receiver of the request must close all file descriptors.
    """

    identity: bytes
    umask: int
    arguments: list[str]
    environment: dict[bytes, bytes]
    ignored: list[int]
    streams: dict[int, int]
    directory: int
    root: int
    mounts: int
    network: int


def receive(connection: socket.socket) -> WarmRequest:
    """Read one request; raises `MalformedRequest` if it is invalid, and OSError if the connection fails."""
    head, descriptors, _, _ = socket.recv_fds(connection, 65536, MOST_DESCRIPTORS)
    if len(head) < 4:
        raise MalformedRequest
    missing = int.from_bytes(head[:4], "big") - (len(head) - 4)
    if not 0 <= missing <= LIMIT:
        raise MalformedRequest
    rest = bytearray()
    while len(rest) < missing:
        part = connection.recv(missing - len(rest))
        if not part:
            raise MalformedRequest
        rest += part
    try:
        return _parse(head[4:] + rest, list(descriptors))
    except (ValueError, IndexError) as error:
        raise MalformedRequest from error


def _parse(body: bytes, descriptors: list[int]) -> WarmRequest:
    identity, numbers, *words = body.split(b"\0")
    (umask, count), streams, ignored = (_numbers(group) for group in numbers.split(b" "))
    directory, root, mounts, network = descriptors[len(streams) :]
    variables = (word.partition(b"=") for word in words[count:])
    return WarmRequest(
        identity=identity,
        umask=umask,
        arguments=[os.fsdecode(word) for word in words[:count]],
        environment={name: value for name, _, value in variables if name},
        ignored=ignored,
        streams=dict(zip(streams, descriptors, strict=False)),
        directory=directory,
        root=root,
        mounts=mounts,
        network=network,
    )


def _numbers(group: bytes) -> list[int]:
    return [int(number) for number in group.split(b",") if number]
