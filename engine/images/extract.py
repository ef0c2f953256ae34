"""Unpack the layers of an image into a directory, and verify the layers, which may be malicious.

A child process unpacks the layers, with the directory as its root directory. Therefore the kernel resolves every path
inside the directory. Nothing outside it can be reached through ``..``, an absolute name, a symbolic link or a hard
link. Each layer is hashed while it is unpacked, and compared with the digests and size that the archive states.
Whiteouts (entries that delete files of lower layers) follow the OCI image specification.
"""

from __future__ import annotations

import errno
import io
import json
import os
import signal
from collections.abc import Callable, Sequence
from typing import NoReturn

from msgspec import Struct
from msgspec.structs import asdict

from engine.errors import EngineError, InvalidArgument, reason_of, shown
from engine.images import zstd
from engine.images.compression import Measured, decompressed
from engine.images.limits import Limits
from engine.images.place import Placer
from engine.images.tar import TarReader
from engine.runtime import syscalls

_BUFFER_BYTES = 1 << 18
# Errors of system calls for which the host is the cause (for example a full disk), not the image.
_OF_THE_HOST = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EROFS, errno.EMFILE, errno.ENFILE)


class Layer(Struct, frozen=True):
    """A layer as its archive describes it. Digests are hexadecimal SHA-256, or "" if the archive states no digest.

    - ``open``: returns a stream of the layer as the archive stores it, perhaps compressed.
    - ``digest`` and ``size``: the digest and the number of bytes of this stream; a size of -1 is unknown.
    - ``diff_id``: the digest of the uncompressed layer.
    - ``name``: the layer's file name in the archive, for error messages.
    """

    open: Callable[[], io.RawIOBase]
    name: str = ""
    digest: str = ""
    size: int = -1
    diff_id: str = ""


class Unpacked(Struct, frozen=True):
    """The result of unpacking the layers of an image.

    - ``size`` is the number of bytes in all unpacked files.
    - ``read`` is the number of bytes in all layers; `Limits.size` is its maximum. A layer counts with its compressed or
      its decompressed size, whichever is larger. A large compressed layer can have a small content, because zeros may
      follow the compressed data.
    - ``members`` is a total: the members, the layers, and the parent directories that were missing. `Limits.members` is
      its maximum.
    - ``diff_ids`` are the hexadecimal SHA-256 digests of the uncompressed layers.
    """

    size: int
    read: int
    members: int
    diff_ids: Sequence[str]


def unpack(layers: Sequence[Layer], root: str, limits: Limits) -> Unpacked:
    """Unpack layers into ``root``, the lowest layer first, and verify them.

    Needs root privileges. Raises:

    - `InvalidArgument` if a layer is broken, malicious or too large, or differs from its stated digests or size.
    - EngineError if the host is the cause, for example a full disk.
    """
    read_end, write_end = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        _unpack_inside(layers, root, limits, write_end, parent)
    os.close(write_end)
    try:
        with open(read_end, encoding="utf-8", errors="replace") as file:
            answer = file.read()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if not answer:
        raise EngineError("unpacking the image was interrupted")
    document = json.loads(answer)
    if "invalid" in document:
        raise InvalidArgument(document["invalid"])
    if "failed" in document:
        raise EngineError(document["failed"])
    return Unpacked(**document)


def _unpack_inside(layers: Sequence[Layer], root: str, limits: Limits, report: int, parent: int) -> NoReturn:
    """Unpack layers in the child process, with ``root`` as its root directory; never returns.

    The result, or the error, is written as JSON to the file descriptor ``report``. ``parent`` is the pid of the parent
    process.
    """
    try:
        syscalls.die_with_parent(parent)
        zstd.load()
        os.umask(0)
        os.chroot(root)
        os.chdir("/")
        answer = asdict(_unpack_all(layers, limits))
    except InvalidArgument as error:
        answer = {"invalid": str(error)}
    except EngineError as error:
        answer = {"failed": str(error)}
    except BaseException as error:
        answer = {"failed": f"unpacking the image failed: {error or type(error).__name__}"}
    with open(report, "w", encoding="utf-8", errors="backslashreplace") as file:
        json.dump(answer, file)
    os._exit(0)


def _unpack_all(layers: Sequence[Layer], limits: Limits) -> Unpacked:
    placer, diff_ids, read = Placer(limits), [], 0
    for number, layer in enumerate(layers):
        with layer.open() as file:
            blob = Measured(file, limits.size - read, limits.too_large("image"))
            stream, compressed = decompressed(blob)
            content = Measured(stream, limits.size - read, limits.too_large("image")) if compressed else blob
            _unpack_one(stream if content is blob else content, placer, limits)
        read += max(blob.size, content.size)
        _verify(layer, number, blob, content.digest())
        diff_ids.append(content.digest())
    return Unpacked(placer.size, read, placer.members, diff_ids)


def _unpack_one(stream: io.RawIOBase, placer: Placer, limits: Limits) -> None:
    """Unpack one layer from ``stream``, then read the rest of the stream, which the layer's digest covers too."""
    buffered = io.BufferedReader(stream, _BUFFER_BYTES)
    reader = TarReader(buffered, limits.members - placer.members)
    placer.begin_layer(reader)
    for member in reader:
        try:
            placer.place(member)
        except OSError as error:
            reason = reason_of(error)
            if error.errno in _OF_THE_HOST:
                raise EngineError(f"unpacking {shown(member.name)} failed: {reason}") from error
            raise InvalidArgument(f"{placer.describe(member)}: {reason}") from error
    placer.end_layer()
    while buffered.read(_BUFFER_BYTES):
        pass


def _verify(layer: Layer, number: int, blob: Measured, diff_id: str) -> None:
    """Compare an unpacked layer with the size and digests that its archive states; raises `InvalidArgument`.

    ``number`` is the layer's position, starting at 0. ``blob`` is the layer as stored, and ``diff_id`` the digest of
    its uncompressed form. The error has Docker's message if Docker has one.
    """
    if layer.size not in (-1, blob.size):
        raise InvalidArgument(f"{shown(layer.name)} has {blob.size} bytes instead of {layer.size}")
    if layer.digest not in ("", blob.digest()):
        raise InvalidArgument(f"{shown(layer.name)} has digest sha256:{blob.digest()}")
    if layer.diff_id not in ("", diff_id):
        raise InvalidArgument(
            f'invalid diffID for layer {number}: expected "sha256:{layer.diff_id}", got "sha256:{diff_id}"'
        )
