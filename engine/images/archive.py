"""Detect the format of an image archive: ``docker save`` output, an OCI image layout, or a plain root file system.

An image that skopeo has downloaded into a directory is read in the same way.

This module reads the JSON files of an archive and finds the layers of the archive's images. It unpacks no layer. It
opens no file outside the archive, because links are resolved only by the names of other members. Each JSON document is
compared with the digest and size in its descriptor. The layers are compared with their digests and sizes later, when
they are unpacked.
"""

from __future__ import annotations

import hashlib
import io
import os
import posixpath
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from typing import Any

from msgspec import Struct, field

from engine.errors import InvalidArgument, shown
from engine.images.config import diff_ids_of, parse_config
from engine.images.document import (
    DIGEST,
    LIST_TYPES,
    SIZE_LIMIT,
    list_at,
    mismatch,
    object_at,
    parse_document,
    text_at,
    texts_at,
)
from engine.images.extract import Layer
from engine.images.limits import Limits
from engine.images.tar import BLOCK_BYTES, CUT_SHORT, HARD_LINK, REGULAR, SYMBOLIC_LINK, TarReader
from engine.render.version import architecture

_REF_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
_BLOB_NAME = re.compile(r"(?:.*/)?blobs/sha256/([0-9a-f]{64})")
_CONFIG_NAME = re.compile(r"(?:sha256:)?([0-9a-f]{64})(?:\.json)?")
_MANIFESTS, _LAYOUT, _INDEX = "manifest.json", "oci-layout", "index.json"
_FILES_LIMIT = 100_000  # maximum number of files in an image archive
_IMAGES_LIMIT = 1000  # maximum number of images in an archive
_DOCUMENTS_LIMIT = 8 * SIZE_LIMIT  # maximum bytes of all JSON documents that are read from one archive
_LINKS_LIMIT = 8  # maximum number of names that are tried to find a file: its own, and the targets of up to 7 links
_INDEX_DEPTH = 3  # maximum depth of OCI indexes that are nested in the archive's index


class ArchivedImage(Struct, frozen=True):
    """One image of an archive; ``references`` are the names that the archive gives the image.

    ``layers`` are in order, the lowest layer first. ``config`` is the image configuration in bytes, or b"" for a plain
    root file system.
    """

    layers: Sequence[Layer]
    config: bytes = b""
    references: Sequence[str] = field(default_factory=tuple)


def read_archive(file: io.BufferedRandom, limits: Limits) -> list[ArchivedImage]:
    """Return the images of an archive file, which must be uncompressed and seekable.

    Raises `InvalidArgument` if the archive is invalid or exceeds a limit. No layer is unpacked.
    """
    names = {name.encode(): name for name in (_MANIFESTS, _LAYOUT, _INDEX)}
    present: set[str] = set()
    for member in _members(file, limits.members):
        if member.type == REGULAR:
            present.add(names.get(_plain(member.name), ""))
    if _MANIFESTS not in present and not {_LAYOUT, _INDEX} <= present:
        return [ArchivedImage([Layer(lambda: _Slice(file, 0, _size(file)))])]
    archive = _Archive(file)
    if _MANIFESTS in present:
        found = _saved_images(archive)
    else:
        found = _from_index(archive, object_at(archive.document(_INDEX), "value", "v1.Index"))
    images = list(islice(found, _IMAGES_LIMIT + 1))
    if len(images) > _IMAGES_LIMIT:
        raise InvalidArgument(f"the archive has more than {_IMAGES_LIMIT} images")
    return images


@contextmanager
def downloaded_image(directory: str, digest: str) -> Iterator[ArchivedImage]:
    """Read the image in a directory that skopeo has written (``dir:``); raises `InvalidArgument`.

    ``digest`` is the hexadecimal digest of the image's manifest. The layers can be read inside the ``with`` block.
    """
    with ExitStack() as stack:
        files = _Directory(directory, stack)
        manifest = object_at(files.document(_MANIFESTS, digest), "value", "v1.Manifest")
        yield _from_manifest(files, manifest, "")


class _Files(ABC):
    """Base class: reads the files of an image by their names, from an archive or from a directory."""

    # Total bytes of the documents read so far. The size of each document is rounded up to whole tar blocks. A document
    # that is read twice counts twice.
    _read_bytes = 0

    @abstractmethod
    def open(self, name: str) -> _Slice:
        """Open the file ``name`` of the image for reading; raises `InvalidArgument` if the file is missing."""

    def read(self, name: str, digest: str = "", size: int = -1) -> bytes:
        """Return the content of a small file of the image after checking its size in bytes and its digest.

        A ``digest`` of "" or a ``size`` of -1 means that the value is unknown. If ``digest`` is unknown but the file's
        name contains a digest, the content is compared with the digest in the name. Raises `InvalidArgument` if the
        content has another size or digest, or is too large.
        """
        with self.open(name) as file:
            data = file.read(SIZE_LIMIT + 1)
        if len(data) > SIZE_LIMIT:
            raise InvalidArgument(f"{shown(name)} is larger than {SIZE_LIMIT} bytes")
        self._read_bytes += len(data) + -len(data) % BLOCK_BYTES
        if self._read_bytes > _DOCUMENTS_LIMIT:
            raise InvalidArgument(f"the archive's documents are larger than {_DOCUMENTS_LIMIT} bytes")
        if size not in (-1, len(data)):
            raise InvalidArgument(f"{shown(name)} has {len(data)} bytes instead of {size}")
        if (digest or _digest_of(_BLOB_NAME, name)) not in ("", actual := hashlib.sha256(data).hexdigest()):
            raise InvalidArgument(f"{shown(name)} has digest sha256:{actual}")
        return data

    def document(self, name: str, digest: str = "", size: int = -1) -> Any:
        """Return the parsed content of a JSON file of the image; size and digest are checked as in `read`."""
        return parse_document(self.read(name, digest, size), name)


class _Directory(_Files):
    """The files in a directory that skopeo has written: the manifest and the blobs. A blob's file name is its digest.

    The constructor opens all files, because the process that unpacks layers has another root directory and cannot open
    them.
    """

    def __init__(self, directory: str, stack: ExitStack) -> None:
        self._files: dict[str, io.FileIO] = {}
        for name in os.listdir(directory):
            descriptor = os.open(os.path.join(directory, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            self._files[name] = stack.enter_context(io.FileIO(descriptor))

    def open(self, name: str) -> _Slice:
        """Open the file ``name`` of the directory for reading; raises `InvalidArgument` if the file is missing."""
        file = self._files.get(posixpath.basename(name))
        if file is None:
            raise InvalidArgument(f"the download lacks {shown(name)}")
        return _Slice(file, 0, _size(file))


class _Archive(_Files):
    """The files of an archive. If several files have the same name, the last of them is used, as in tar."""

    def __init__(self, file: io.BufferedRandom) -> None:
        self._file = file
        self._places: dict[str, tuple[int, int]] = {}
        self._links: dict[str, str] = {}
        for member in _members(file, _FILES_LIMIT):
            name = _plain(member.name).decode("utf-8", "replace")
            self._links.pop(name, None)
            self._places.pop(name, None)
            if member.type == REGULAR and member.sparse is None:
                self._places[name] = (file.tell(), member.size)
            elif member.type in (SYMBOLIC_LINK, HARD_LINK):
                start = posixpath.dirname(name) if member.type == SYMBOLIC_LINK else ""
                self._links[name] = posixpath.join(start, member.linkname.decode("utf-8", "replace"))

    def open(self, name: str) -> _Slice:
        """Open the file ``name`` of the archive for reading; raises `InvalidArgument` if it is missing.

        Links are followed, but only to other members of the archive.
        """
        path = posixpath.normpath(name.lstrip("/"))
        for _ in range(_LINKS_LIMIT):
            if path in self._places:
                return _Slice(self._file, *self._places[path])
            if path not in self._links:
                break
            path = posixpath.normpath(self._links[path])
        raise InvalidArgument(f"the archive lacks {shown(name)}")


class _Slice(io.RawIOBase):
    """A part of an archive file, as a stream.

    The part is read with pread(2), because the parent and the unpacking child process share the position of the open
    file.
    """

    def __init__(self, file: io.BufferedRandom | io.FileIO, start: int, size: int) -> None:
        self._fd, self._position, self._left = file.fileno(), start, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = os.pread(self._fd, min(len(buffer), self._left), self._position)
        if self._left and not data:
            raise InvalidArgument(CUT_SHORT)
        buffer[: len(data)] = data
        self._position += len(data)
        self._left -= len(data)
        return len(data)


def _members(file: io.BufferedRandom, limit: int) -> TarReader:
    file.seek(0)
    return TarReader(file, limit)


def _size(file: io.BufferedRandom | io.FileIO) -> int:
    return os.fstat(file.fileno()).st_size


def _plain(name: bytes) -> bytes:
    return name.removeprefix(b"./").rstrip(b"/")


def _saved_images(archive: _Archive) -> Iterator[ArchivedImage]:
    entries = list_at(archive.document(_MANIFESTS), "value", "[]tarexport.manifestItem")
    return (_saved(archive, entry) for entry in entries)


def _saved(archive: _Archive, entry: Any) -> ArchivedImage:
    if not isinstance(entry, dict):
        raise mismatch(entry, "value", "tarexport.manifestItem")
    where = "struct field manifestItem."
    name = text_at(entry.get("Config"), f"{where}Config")
    if not name:
        raise InvalidArgument(f"{_MANIFESTS}: an image without Config")
    config = archive.read(name, _digest_of(_CONFIG_NAME, name))
    names = texts_at(entry.get("Layers"), f"{where}Layers") or []
    layers = [(name, _digest_of(_BLOB_NAME, name), -1) for name in names]
    references = texts_at(entry.get("RepoTags"), f"{where}RepoTags") or []
    return ArchivedImage(_with_diff_ids(archive, layers, config), config, references)


def _from_index(archive: _Files, index: Mapping[str, Any], name: str = "", depth: int = 0) -> Iterator[ArchivedImage]:
    """Yield the images of an OCI index, and of the indexes nested in it.

    A nested index lists one image for several platforms. `_of_this_platform` chooses from the entries of a nested
    index. Images for another operating system than Linux are left out. ``name`` is the image name in the outer index,
    or "". ``depth`` is 0 for the archive's own index.
    """
    where = "struct field Index.manifests"
    entries = [object_at(e, where, "v1.Descriptor") for e in list_at(index.get("manifests"), where, "[]v1.Descriptor")]
    for entry in _of_this_platform(entries) if depth else entries:
        own_name = _reference(entry) or name
        document = object_at(archive.document(*_descriptor(entry)), "value", "v1.Manifest")
        if entry.get("mediaType") in LIST_TYPES or ("manifests" in document and "layers" not in document):
            if depth == _INDEX_DEPTH:
                raise InvalidArgument(f"{_INDEX}: nested too deeply")
            yield from _from_index(archive, document, own_name, depth + 1)
        elif _platform(entry)[0] in ("", "linux"):
            yield _from_manifest(archive, document, own_name)


def _from_manifest(archive: _Files, manifest: Mapping[str, Any], reference: str) -> ArchivedImage:
    where = "struct field Manifest."
    config = archive.read(*_descriptor(object_at(manifest.get("config"), f"{where}config", "v1.Descriptor")))
    entries = list_at(manifest.get("layers"), f"{where}layers", "[]v1.Descriptor")
    layers = [_descriptor(object_at(entry, f"{where}layers", "v1.Descriptor")) for entry in entries]
    if reference and ":" not in posixpath.basename(reference):
        reference += ":latest"
    return ArchivedImage(_with_diff_ids(archive, layers, config), config, [reference] if reference else [])


def _with_diff_ids(archive: _Files, layers: Sequence[tuple[str, str, int]], config: bytes) -> list[Layer]:
    """Return a `Layer` for each item of ``layers``.

    An item has the file name, the digest and the size in bytes (-1 if unknown) of one layer. The digest of the
    uncompressed layer comes from ``config``, the image configuration. Raises InvalidArgument if ``config`` states
    another number of layers.
    """
    diff_ids = diff_ids_of(parse_config(config))
    if len(diff_ids) != len(layers):
        raise InvalidArgument(f"invalid manifest, layers length mismatch: expected {len(layers)}, got {len(diff_ids)}")
    return [
        Layer(partial(archive.open, name), name, digest, size, diff_id)
        for (name, digest, size), diff_id in zip(layers, diff_ids, strict=True)
    ]


def _descriptor(entry: Mapping[str, Any]) -> tuple[str, str, int]:
    """Return the file name, the digest and the size (-1 if unknown) of the blob that the descriptor ``entry`` names."""
    text = text_at(entry.get("digest"), "struct field Descriptor.digest")
    match = DIGEST.fullmatch(text)
    if match is None:
        raise InvalidArgument(f"unsupported digest {shown(text)}")
    size = entry.get("size")
    if not isinstance(size, int | None) or isinstance(size, bool):
        raise mismatch(size, "struct field Descriptor.size", "int64")
    if size is not None and size < 0:
        raise InvalidArgument(f"{shown(text)} has a size of {size}")
    return f"blobs/sha256/{match[1]}", match[1], -1 if size is None else size


def _reference(entry: Mapping[str, Any]) -> str:
    notes = object_at(entry.get("annotations"), "struct field Descriptor.annotations", "map[string]string")
    return next((text_at(notes[key], "struct field Descriptor.annotations") for key in _REF_NAMES if key in notes), "")


def _platform(entry: Mapping[str, Any]) -> tuple[str, str]:
    where = "struct field Descriptor.platform"
    platform = object_at(entry.get("platform"), where, "v1.Platform")
    return text_at(platform.get("os"), f"{where}.os"), text_at(platform.get("architecture"), f"{where}.architecture")


def _of_this_platform(entries: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Return those entries of an OCI index that fit this machine's platform, or all entries if none fits.

    An entry that states no platform fits too.
    """
    fitting = [entry for entry in entries if _platform(entry) in (("linux", architecture()), ("", ""))]
    return fitting or entries


def _digest_of(pattern: re.Pattern[str], name: str) -> str:
    """Return the digest that a file name contains, or "" if the name does not match ``pattern``.

    The first group of ``pattern`` matches the digest.
    """
    match = pattern.fullmatch(name)
    return match[1] if match else ""
