"""Check and unpack the images of an archive into a working directory, before the store takes them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct
from msgspec.structs import replace

from engine.golang import timestamps
from engine.images.archive import ArchivedImage, downloaded_image
from engine.images.compression import Bounded, decompressed
from engine.images.config import plain_config, read_record
from engine.images.document import digest_of
from engine.images.extract import unpack
from engine.images.limits import Limits, within_free_space
from engine.images.pull import Pull
from engine.images.reference import archived_name
from engine.model import ImageRecord
from engine.render.version import architecture

_CHUNK_BYTES = 1 << 20


class Staged(Struct, frozen=True):
    """An unpacked and verified image that has not been moved to its final directory yet.

    - ``directory``: has the image's root file system and configuration.
    - ``names``: all names that the image gets.
    - ``action``: the action of Docker's event: "pull", "load", or "import" for a plain root file system.
    - ``tags``: the names that the user has given to an imported archive; Docker reports each as an event "tag".
    - ``digests``: an item ``name@sha256:…`` for each pull of the image, as in `ImageRecord.digests`.
    """

    record: ImageRecord
    directory: Path
    names: Sequence[str]
    action: str
    tags: Sequence[str] = ()
    digests: Sequence[str] = ()


def spool(source: BinaryIO, target: BinaryIO, limits: Limits) -> None:
    """Decompress an archive from the stream ``source`` into the file ``target``.

    Because the archive is read more than once, it must be in a file. Raises `InvalidArgument` if the archive is larger
    than the limit, or cannot be decompressed.
    """
    too_large = limits.too_large("archive")
    stream, _ = decompressed(Bounded(source, limits.size, too_large))
    content = Bounded(stream, limits.size, too_large)
    while data := content.read(_CHUNK_BYTES):
        target.write(data)
    target.flush()


def stage_download(pull: Pull, work: Path, limits: Limits) -> Staged:
    """Check and unpack the image that ``pull`` has downloaded into the working directory ``work``.

    Raises `InvalidArgument` for an invalid image, or above a limit.
    """
    manifest_digest = pull.manifest_digest.removeprefix("sha256:")
    with downloaded_image(str(work / "download"), manifest_digest) as image:
        (staged,) = stage([image], work, limits)
    return staged


def stage(images: Sequence[ArchivedImage], work: Path, limits: Limits) -> Sequence[Staged]:
    """Check and unpack all images of an archive into new directories below ``work``.

    The limits apply to the sum of all images. Raises `InvalidArgument` for an invalid image, or above a limit.
    """
    records = [read_record(digest_of(image.config), image.config) if image.config else None for image in images]
    names = [[archived_name(name) for name in image.references] for image in images]
    staged = []
    for image, record, own_names in zip(images, records, names, strict=True):
        directory = Path(tempfile.mkdtemp(dir=work))
        rootfs = directory / "rootfs"
        rootfs.mkdir(mode=0o755)
        limits = within_free_space(limits, str(work))
        unpacked = unpack(image.layers, str(rootfs), limits)
        limits = replace(limits, size=limits.size - unpacked.read, members=max(0, limits.members - unpacked.members))
        config = image.config or plain_config(timestamps.now(), architecture(), unpacked.diff_ids)
        (directory / "config.json").write_bytes(config)
        record = replace(record or read_record(digest_of(config), config), size=unpacked.size, verified=True)
        staged.append(Staged(record, directory, own_names, "load" if image.config else "import"))
    return staged
