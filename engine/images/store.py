"""The image operations of the API.

Imported root file systems are stored under HAWSE_ROOT/images. The names of images are stored in the local store (an
SQLite file). An image is the directory ``images/<64 hex>`` with ``rootfs`` and ``config.json``. The directory gets this
name by one rename, after the image has been unpacked completely.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from msgspec.structs import replace

from drivers.linux import process
from engine.api import Documents, Json
from engine.errors import Conflict, EngineError, InvalidArgument, NotFound
from engine.events import record as events
from engine.filters.images import filter_images
from engine.filters.prune import check_image_prune, image_prunable
from engine.golang import timestamps
from engine.host import raises_engine_errors
from engine.images import hostfs
from engine.images.archive import read_archive
from engine.images.config import render_inspect, render_summary, stored_config
from engine.images.limits import Limits, limits_for
from engine.images.platform import mismatch, parse_platform, platform_of, stated_platform
from engine.images.pull import Pull
from engine.images.reference import find, missing, new_name
from engine.images.skopeo import Skopeo, is_installed
from engine.images.staging import Staged, spool, stage, stage_download
from engine.images.trees import remove_tree
from engine.model import ContainerRecord, Filters, ImageRecord
from engine.names import generate_id, short_id
from engine.paths import make_private_directory
from engine.store.api import Store, Transaction
from engine.validate.image_reference import parse_reference

_INCOMING = ".incoming-"
PULL = "pull"


@raises_engine_errors
class ImageStore:
    """Implements `engine.api.Images`, which describes the methods.

    The constructor's ``limits`` apply to every import. Without ``limits``, the environment variables and the free space
    set the limits. ``check`` is called before files without a record are deleted. It raises an error if the store is
    new because the earlier store was lost. A repair can then still restore the records of these files.
    """

    def __init__(
        self, store: Store, root: Path, limits: Limits | None = None, check: Callable[[], object] = lambda: None
    ) -> None:
        self._store, self._directory, self._limits, self._check = store, root / "images", limits, check
        self.places = (self._directory,)

    def import_archive(self, source: BinaryIO, reference: str) -> str:
        """Import an image from a tar archive; return the image id.

        All images of an archive are verified before the first image is stored. Raises `InvalidArgument`.
        """
        return self._import(source, new_name(reference) if reference else "")[0].id

    def load(self, source: BinaryIO) -> Sequence[ImageRecord]:
        """Import all images of an archive, as `import_archive` does; return a record of each image."""
        return self._import(source, "", plain=False)

    def _import(self, source: BinaryIO, name: str, *, plain: bool = True) -> Sequence[ImageRecord]:
        with self._incoming() as work, tempfile.TemporaryFile(dir=work) as archive:
            limits = self._limits or limits_for(str(work))
            spool(source, archive, limits)
            images = read_archive(archive, limits)
            if not images:
                raise InvalidArgument("the archive holds no image")
            if not (plain or images[0].config):
                raise InvalidArgument(
                    "the archive has no manifest.json (for a root file system: hawse import FILE NAME)"
                )
            if name:
                images = [replace(images[0], references=(name,))]
            staged = stage(images, work, limits)
            if name:
                staged = [replace(staged[0], tags=[name])]
            self._store_images(staged, work)
        return [replace(image.record, references=image.names) for image in staged]

    def save(self, references: Sequence[str], target: BinaryIO) -> None:
        """Write images to ``target`` as an archive for `load`.

        An image given by its id is written without names. Raises NotFound if an image is missing, and `InvalidArgument`
        for an invalid name.
        """
        from engine.images.save import SavedImage, tags_of_repository, write_archive

        with self._store.read() as reader:
            images = reader.images()
        chosen: dict[str, SavedImage] = {}
        for reference in references:
            record, name = find(images, reference)
            tagged = tags_of_repository(images, reference) or ({record.id: [name]} if record is not None else {})
            if not tagged:
                parse_reference(reference)  # raises the error of an invalid name
                raise NotFound(f"No such image: {reference}")
            for image in images:
                if image.id in tagged:
                    chosen.setdefault(image.id, SavedImage(image)).add(tagged[image.id])
        with self._incoming() as work:
            write_archive(list(chosen.values()), target, work)
        with self._store.write() as transaction:
            for saved in chosen.values():
                events.image(transaction, saved.record.id, "save", saved.record.id, saved.record)

    def can_pull(self) -> bool:
        """Return whether skopeo is installed."""
        return is_installed()

    def pull(self, reference: str, platform: str = "", auth: Mapping[str, Any] | None = None) -> Iterator[Json]:
        """Download an image from a registry and store it; yield the messages of Docker's POST /images/create.

        The limits of an import apply. The download begins after the first message. Raises `EngineError`.
        """
        name, requested = parse_reference(reference), parse_platform(platform)
        with self._incoming() as work:
            limits = self._limits or limits_for(str(work))
            pull = Pull(name, requested, Skopeo(name, work, auth or {}, limits), limits)
            yield pull.resolve()
            digest = f"{name.name}@{pull.digest}"
            known = self.resolve(str(name))
            if known is not None and digest in known.digests and not (platform and pull.is_list):
                outcome = "Image is up to date"
            else:
                yield from pull.download(work / "download")
                staged = stage_download(pull, work, limits)
                names = () if name.digest else (new_name(str(name)),)
                self._store_images([replace(staged, names=names, digests=(digest,), action=PULL)], work)
                yield from pull.finished()
                same = known is not None and known.id == staged.record.id
                outcome = "Image is up to date" if same else "Downloaded newer image"
        yield {"status": f"Digest: {pull.digest}"}
        yield {"status": f"Status: {outcome} for {name}"}
        if platform:
            pull.check_platform(stored_config(self._get(str(name))))

    def check_platform(self, record: ImageRecord, reference: str, platform: str) -> str:
        """Check that an image runs on ``platform``; return a warning for the user, or "" for no warning.

        ``reference`` is the image's name for the error text. If ``platform`` is not "", an image for another platform
        raises NotFound, as in Docker. If it is "", an image for another platform than this host's gives the warning.
        """
        config = stored_config(record)
        requested, actual = parse_platform(platform), platform_of(config)
        if requested.runs(actual):
            return ""
        if platform:
            raise mismatch(reference, requested, config)
        if replace(actual, variant="") == requested:
            return ""  # the variant of this host's processor is not known
        stated = stated_platform(config)
        return (
            f"The requested image's platform ({stated}) does not match the detected host platform ({requested}) and no "
            "specific platform was requested"
        )

    def list(self, filters: Filters) -> Documents:
        """Return the entries of GET /images/json for the images that match ``filters``."""
        with self._store.read() as reader:
            images = reader.images()
        chosen = filter_images(images, filters, lambda reference: self._get(reference).created)
        return [render_summary(image, int(timestamps.to_seconds(image.created))) for image in chosen]

    def inspect(self, reference: str) -> Json:
        """Return the document of GET /images/{name}/json, also for the image ``hostfs``."""
        if reference == hostfs.HOSTFS or (hostfs.means_hostfs(reference) and self.resolve(reference) is None):
            return hostfs.inspect()
        record = self._get(reference)
        return render_inspect(record, stored_config(record))

    def tag(self, reference: str, name: str) -> None:
        """Give the image ``reference`` one more name; if another image has the name, that image loses it."""
        new = new_name(name)
        with self._store.write() as transaction:
            record, _ = find(transaction.images(), reference)
            if record is None:
                raise missing(reference)
            _name(transaction, record, [new])
            events.image(transaction, record.id, "tag", new, record)

    def prune(self, filters: Filters) -> tuple[Documents, int]:
        """Remove unused images; return the removed objects, and the size of the removed images in bytes.

        By default, only images without a tag are removed. With the filter ``dangling=false``, all unused images are
        removed. Raises `InvalidArgument` for an invalid filter.
        """
        check_image_prune(filters)
        with self._store.read() as reader:
            used = {container.image_id for container in reader.containers()}
            images = [image for image in reader.images() if image.id not in used]
        self._delete_lost()  # even if no image is removed, because a killed command may have left files
        removed: Documents = []
        size = 0
        for image in [image for image in images if image_prunable(image, filters)]:
            with suppress(Conflict, NotFound):  # another command has used or removed the image since the listing
                removed += self.remove(image.id, force=True)
                size += image.size
        with self._store.write() as transaction:
            events.pruned(transaction, "image", size)
        return removed, size

    def remove(self, reference: str, *, force: bool = False) -> Documents:
        """Remove an image or one of its names; raises NotFound, and Conflict if the image is in use."""
        with self._store.write() as transaction:
            record, name = find(transaction.images(), reference)
            if record is None:
                raise missing(reference)
            users = [c for c in transaction.containers() if c.image_id == record.id]
            _check_removal(record, reference, name, users, force=force)
            dropped = _dropped_names(record, name)
            kept = replace(
                record,
                references=tuple(ref for ref in record.references if ref not in dropped),
                digests=tuple(digest for digest in record.digests if digest not in dropped),
            )
            deleted = not (kept.references or kept.digests or users)
            if deleted:
                transaction.delete_image(record.id)
            else:
                transaction.put_image(kept)
            for _ in dropped:
                events.image(transaction, record.id, "untag", record.id, record)
            if deleted:
                events.image(transaction, record.id, "delete", record.id)
        if deleted:
            self._delete_lost()  # deletes the files of this image too, because the image now has no record
        untagged: Documents = [{"Untagged": ref} for ref in dropped]
        return untagged + ([{"Deleted": record.id}] if deleted else [])

    def resolve(self, reference: str) -> ImageRecord | None:
        """Return the image that a name, an id or a unique id prefix refers to, or None if there is no such image."""
        with self._store.read() as reader:
            return find(reader.images(), reference)[0]

    # ------------------------------------------------------------------------------------------ import

    @contextmanager
    def _incoming(self) -> Iterator[Path]:
        """Yield a working directory for an import; the directory is deleted afterwards.

        Also calls `_delete_lost`: before the ``with`` block, and after a failure of the block. An import may fail after
        it has moved an image to its final directory.
        """
        self._delete_lost()
        work = Path(tempfile.mkdtemp(prefix=_owner(), dir=self._directory))
        try:
            yield work
        except BaseException:
            with suppress(OSError, EngineError):
                self._delete_lost()
            raise
        finally:
            _discard(work)

    def _delete_lost(self) -> None:
        """Delete the working directories of commands that were killed, and the files of images that have no record.

        An image's directory is first renamed to a working directory of this process. If the deletion is interrupted, no
        partial image remains. No new directory is created, because the disk may be full.

        During the renames, this method holds a write transaction of the local store. `_store_images` also holds one
        while it moves images and stores their records. Therefore an image that another command is storing is never
        deleted.

        After a repair of the store, a container's record may have the path of the image's files instead of the image's
        name. These files are kept.
        """
        self._check()
        make_private_directory(self._directory)
        lost = [left for left in self._directory.glob(_INCOMING + "*") if not _is_owner_running(left)]
        with self._store.write() as transaction:
            known = {image.id.removeprefix("sha256:") for image in transaction.images()}
            known |= {Path(container.config.image).parent.name for container in transaction.containers()}
            for entry in self._directory.iterdir():
                if not entry.name.startswith(_INCOMING) and entry.name not in known:
                    lost.append(entry.rename(self._directory / f"{_owner()}{generate_id()}"))
        for directory in lost:
            _discard(directory)

    def _store_images(self, staged: Sequence[Staged], work: Path) -> None:
        """Move each image to its final directory by one rename, and record all images in one transaction.

        ``work`` is the working directory, which is deleted afterwards.
        """
        with self._store.write() as transaction:
            for image in staged:
                digest = image.record.id.removeprefix("sha256:")
                directory = self._directory / digest
                if _is_needed(transaction, image.record.id):
                    if directory.exists():  # replace files that have no record or were never verified
                        directory.rename(work / f"lost-{digest}")
                    image.directory.rename(directory)
                record = replace(image.record, rootfs=str(directory / "rootfs"), digests=image.digests)
                _name(transaction, record, image.names)
                for name in image.tags:
                    events.image(transaction, record.id, "tag", name, record)
                actor = [*image.names, *image.digests][0] if image.action == PULL else record.id
                events.image(transaction, actor, image.action, actor, record)

    # ------------------------------------------------------------------------------------------ look-up

    def _get(self, reference: str) -> ImageRecord:
        record = self.resolve(reference)
        if record is None:
            raise missing(reference)
        return record


def _is_needed(transaction: Transaction, image_id: str) -> bool:
    """Return whether an import must move an image's files to their final directory.

    The move is needed if the image has no record, or if its present files were never verified. Raises `Conflict` if a
    container uses unverified files, because files in use cannot be replaced.
    """
    present = transaction.image(image_id)
    if present is None or present.verified:
        return present is None
    short = short_id(image_id)
    for container in transaction.containers():
        if container.image_id == image_id:
            raise Conflict(
                f"conflict: unable to replace {short}, whose files were never verified - "
                f"container {short_id(container.id)} is using it"
            )
    return True


def _owner() -> str:
    """Return the first characters of the names of this process's working directories."""
    return f"{_INCOMING}{os.getpid()}-{process.start_time(os.getpid())}-"


def _is_owner_running(directory: Path) -> bool:
    """Return whether the process that made a working directory still runs."""
    pid, started, _ = directory.name.removeprefix(_INCOMING).split("-", 2)
    return process.is_running(int(pid), int(started))


def _discard(directory: Path) -> None:
    """Remove a working directory. Errors are ignored, because another command may be removing the directory too."""
    with suppress(OSError):
        remove_tree(os.fspath(directory))


def _name(transaction: Transaction, record: ImageRecord, names: Sequence[str]) -> None:
    """Store an image's record; the image keeps its present names and also gets the new names ``names``.

    If another image has one of the new names, that image loses it.
    """
    digests = list(record.digests)
    for other in transaction.images():
        if other.id == record.id:
            names, digests = [*other.references, *names], [*other.digests, *digests]
        elif set(names) & set(other.references):
            kept = tuple(ref for ref in other.references if ref not in names)
            transaction.put_image(replace(other, references=kept))
    unique = tuple(dict.fromkeys(names)), tuple(dict.fromkeys(digests))
    transaction.put_image(replace(record, references=unique[0], digests=unique[1]))


def _dropped_names(record: ImageRecord, name: str) -> list[str]:
    """Return the tags and digests that an image loses if the user removes ``name``.

    ``name`` is "" if the user removes the image by its id. As in Docker, the digests of a repository are removed with
    its last tag.
    """
    if not name:
        return [*record.references, *record.digests]
    repository = name.partition("@")[0] if "@" in name else name.rpartition(":")[0]
    if "@" in name or any(ref != name and ref.rpartition(":")[0] == repository for ref in record.references):
        return [name]
    return [name, *(digest for digest in record.digests if digest.partition("@")[0] == repository)]


def _check_removal(
    record: ImageRecord, reference: str, name: str, users: Sequence[ContainerRecord], *, force: bool
) -> None:
    """Check that Docker would allow the removal of an image; raises Conflict if Docker would refuse it.

    ``name`` is the name to remove, or "" for a removal by id. ``users`` are the containers that use the image. Docker
    refuses these removals:

    - By id, if a running container uses the image. This holds even with ``force``.
    - By id, without ``force``, if the image has several names or a stopped container uses it.
    - By name, without ``force``, if a container uses the image and the image has no other name.
    """
    short = short_id(record.id)
    if not name and len(record.references) > 1 and not force:
        raise Conflict(
            f"conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
        )
    if not users or (name and (force or len(record.references) > 1)):
        return
    user = short_id(users[0].id)
    if name:
        raise Conflict(
            f'conflict: unable to remove repository reference "{reference}" (must force) - '
            f"container {user} is using its referenced image {short}"
        )
    running = next((short_id(c.id) for c in users if c.status == "running"), "")
    if running:
        what = f"(cannot be forced) - image is being used by running container {running}"
    elif not force:
        what = f"(must be forced) - image is being used by stopped container {user}"
    else:
        return
    raise Conflict(f"conflict: unable to delete {short} {what}")
