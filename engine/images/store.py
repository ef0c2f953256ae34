"""The verbs of /images: imported root file systems under HAWSE_ROOT/images, named in the store.

An image is ``images/<64 hex>`` with ``rootfs`` and ``config.json``; it appears there in one step,
unpacked and complete.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from engine import timestamps
from engine.api import Documents, Json
from engine.errors import Conflict, InvalidArgument, NotFound
from engine.images.archive import ArchivedImage, read_archive
from engine.images.config import make_record, parse_config, plain_config, render_inspect, render_summary
from engine.images.extract import unpack
from engine.images.filters import filter_images
from engine.images.reference import id_prefix, normalise
from engine.model import ContainerRecord, Filters, ImageRecord
from engine.private import make_private
from engine.runtime import process
from engine.store.api import Store, Transaction

LIMIT_VARIABLE = "HAWSE_IMAGE_LIMIT"
DEFAULT_LIMIT = 32 << 30  # bytes

_CHUNK = 1 << 20
_INCOMING = ".incoming-"


class ImageStore:
    """Implements `engine.api.Images`; ``limit`` is the most bytes an image may have (else HAWSE_IMAGE_LIMIT)."""

    def __init__(self, store: Store, root: Path, limit: int | None = None) -> None:
        self._store, self._directory = store, root / "images"
        self._limit = limit or int(os.environ.get(LIMIT_VARIABLE, DEFAULT_LIMIT))

    def import_archive(self, source: BinaryIO, reference: str) -> str:
        """Import a ``docker save``, OCI or plain root file system tar (gzip too); the first image's id.

        With a reference, the first image alone is imported, under that name.
        """
        name = normalise(reference) if reference else ""
        with self._incoming() as work, open(work / "archive", "w+b") as archive:
            self._spool(source, archive)
            images = read_archive(archive)
            if not images:
                raise InvalidArgument("the archive holds no image")
            if name:
                return self._import(images[0], [name], work)
            ids = [self._import(image, [normalise(ref) for ref in image.references], work) for image in images]
        return ids[0]

    def list(self, filters: Filters) -> Documents:
        """Documents of GET /images/json."""
        with self._store.read() as reader:
            images = reader.images()
        chosen = filter_images(images, filters, lambda reference: self._get(reference).created)
        return [render_summary(image, int(timestamps.to_seconds(image.created))) for image in chosen]

    def inspect(self, reference: str) -> Json:
        """One document of GET /images/{name}/json."""
        record = self._get(reference)
        config = Path(record.rootfs).parent / "config.json"
        return render_inspect(record, parse_config(config.read_bytes()))

    def remove(self, reference: str, *, force: bool = False) -> Documents:
        """Remove or untag; the entries say what happened, in Docker's order."""
        with self._store.write() as transaction:
            record, name = self._find(transaction.images(), reference)
            if record is None:
                raise _missing(reference)
            users = [c for c in transaction.containers() if c.image_id == record.id]
            _check_removal(record, reference, name, users, force=force)
            dropped = [name] if name else list(record.references)
            kept = [ref for ref in record.references if ref not in dropped]
            deleted = not kept and not users
            if deleted:
                transaction.delete_image(record.id)
            else:
                transaction.put_image(replace(record, references=kept))
        if deleted:
            with self._incoming():
                pass  # what no record knows any more goes with it
        untagged: Documents = [{"Untagged": ref} for ref in dropped]
        return untagged + ([{"Deleted": record.id}] if deleted else [])

    def resolve(self, reference: str) -> ImageRecord | None:
        """The image of a name, an id or the unique beginning of an id."""
        with self._store.read() as reader:
            return self._find(reader.images(), reference)[0]

    # ------------------------------------------------------------------------------------------ import

    @contextmanager
    def _incoming(self) -> Iterator[Path]:
        """A directory to work in, gone at the end; so is what killed imports and removals left, and lost images."""
        make_private(self._directory)
        for left in self._directory.glob(_INCOMING + "*"):
            pid, _, started = left.name.removeprefix(_INCOMING).partition("-")
            if not process.is_alive(int(pid), int(started.partition("-")[0])):
                shutil.rmtree(left, ignore_errors=True)
        owner = f"{_INCOMING}{os.getpid()}-{process.start_time(os.getpid())}-"
        with tempfile.TemporaryDirectory(prefix=owner, dir=self._directory) as work:
            self._take_lost(Path(work))
            yield Path(work)

    def _take_lost(self, work: Path) -> None:
        """Take images that have no record out of the way, in one step: half an image is never taken for a whole one.

        As a writer, like whoever moves one into place, so that each of those is somebody's.
        """
        with self._store.write() as transaction:
            known = {image.id.removeprefix("sha256:") for image in transaction.images()}
            for entry in self._directory.iterdir():
                if not entry.name.startswith(_INCOMING) and entry.name not in known:
                    entry.rename(work / entry.name)

    def _spool(self, source: BinaryIO, target: BinaryIO) -> None:
        """Copy to a file, since archives are read more than once and a pipe can't be."""
        size = 0
        while data := source.read(_CHUNK):
            size += len(data)
            if size > self._limit:
                raise InvalidArgument(f"the archive is larger than {self._limit} bytes")
            target.write(data)
        target.seek(0)

    def _import(self, image: ArchivedImage, names: Sequence[str], work: Path) -> str:
        """Unpack, move into place in one step, and name."""
        unpacked = Path(tempfile.mkdtemp(dir=work))
        rootfs = unpacked / "rootfs"
        rootfs.mkdir(mode=0o755)
        size = unpack(image.layers, str(rootfs), self._limit)
        config = image.config or plain_config(timestamps.now(), size)
        digest = hashlib.sha256(config).hexdigest()
        place = self._directory / digest
        record = make_record(f"sha256:{digest}", config, size=size, rootfs=str(place / "rootfs"))
        (unpacked / "config.json").write_bytes(config)
        with self._store.write() as transaction:
            if all(other.id != record.id for other in transaction.images()):
                if place.exists():  # lost since we began
                    place.rename(work / "lost")
                unpacked.rename(place)
            _name(transaction, record, names)
        return record.id

    # ------------------------------------------------------------------------------------------ look-up

    def _get(self, reference: str) -> ImageRecord:
        record = self.resolve(reference)
        if record is None:
            raise _missing(reference)
        return record

    @staticmethod
    def _find(images: Sequence[ImageRecord], reference: str) -> tuple[ImageRecord | None, str]:
        """(image, its name if it was found by one), by name, else by the beginning of its id."""
        try:
            name = normalise(reference)
        except InvalidArgument:
            name = ""
        for image in images:
            if name in image.references:
                return image, name
        digits = id_prefix(reference)
        matching = [image for image in images if digits and image.id.removeprefix("sha256:").startswith(digits)]
        return (matching[0] if len(matching) == 1 else None), ""


def _missing(reference: str) -> NotFound:
    """Docker's error; raises `InvalidArgument` where the reference could not be one."""
    return NotFound(f"No such image: {reference if reference.startswith('sha256:') else normalise(reference)}")


def _name(transaction: Transaction, record: ImageRecord, names: Sequence[str]) -> None:
    """Store the record with the names it has, and the new ones taken from whoever had them."""
    for other in transaction.images():
        if other.id == record.id:
            names = [*other.references, *names]
        elif set(names) & set(other.references):
            kept = [ref for ref in other.references if ref not in names]
            transaction.put_image(replace(other, references=kept))
    transaction.put_image(replace(record, references=list(dict.fromkeys(names))))


def _check_removal(
    record: ImageRecord, reference: str, name: str, users: Sequence[ContainerRecord], *, force: bool
) -> None:
    """Refuse what Docker refuses."""
    short = record.id.removeprefix("sha256:")[:12]
    if not name and len(record.references) > 1 and not force:
        raise Conflict(
            f"conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
        )
    if not users or (name and (force or len(record.references) > 1)):
        return
    user = users[0].id[:12]
    if name:
        raise Conflict(
            f'conflict: unable to remove repository reference "{reference}" (must force) - '
            f"container {user} is using its referenced image {short}"
        )
    running = next((c.id[:12] for c in users if c.status == "running"), "")
    if running:
        what = f"(cannot be forced) - image is being used by running container {running}"
    elif not force:
        what = f"(must be forced) - image is being used by stopped container {user}"
    else:
        return
    raise Conflict(f"conflict: unable to delete {short} {what}")
