"""Recognises what an archive holds: ``docker save`` output, an OCI image layout, or a plain root file system.

Reads JSON and finds layers; unpacks nothing. Blobs named by a digest are checked against it.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from engine.errors import InvalidArgument

_LARGEST_JSON = 4 << 20
_CHUNK = 1 << 20
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_REF_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


@dataclass(frozen=True, slots=True)
class ArchivedImage:
    """One image of an archive. ``config`` is the image configuration's bytes, b"" for a plain root file system."""

    layers: Sequence[Callable[[], IO[bytes]]]
    config: bytes = b""
    references: Sequence[str] = field(default_factory=tuple)


def read_archive(file: IO[bytes]) -> list[ArchivedImage]:
    """The images in a seekable tar (gzip, bzip2 or xz too); raises `InvalidArgument`."""
    try:
        archive = tarfile.open(fileobj=file, mode="r:*")  # noqa: SIM115 (layers are read later)
        names = {member.name.removeprefix("./"): member for member in archive if member.isreg()}
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InvalidArgument(f"Error processing tar file: {error}") from error
    blobs = _Blobs(archive, names)
    if "manifest.json" in names:
        return [_saved(blobs, entry) for entry in _list(blobs.json("manifest.json"))]
    if "oci-layout" in names and "index.json" in names:
        return list(_from_index(blobs, blobs.json("index.json")))

    def whole() -> IO[bytes]:
        file.seek(0)
        return file

    return [ArchivedImage([whole])]


class _Blobs:
    """The files of an archive by name."""

    def __init__(self, archive: tarfile.TarFile, members: dict[str, tarfile.TarInfo]) -> None:
        self._archive, self._members = archive, members

    def open(self, name: str) -> IO[bytes]:
        member = self._members.get(name.removeprefix("./"))
        file = self._archive.extractfile(member) if member else None
        if file is None:
            raise InvalidArgument(f"the archive lacks {name}")
        return file

    def read(self, name: str) -> bytes:
        data = self.open(name).read(_LARGEST_JSON + 1)
        if len(data) > _LARGEST_JSON:
            raise InvalidArgument(f"{name} is too large")
        _check(name, hashlib.sha256(data).hexdigest())
        return data

    def json(self, name: str) -> Any:
        try:
            return json.loads(self.read(name))
        except ValueError as error:
            raise InvalidArgument(f"{name}: {error}") from error

    def layer(self, name: str) -> Callable[[], IO[bytes]]:
        """An opener of a layer, whose digest is checked now."""
        digest = hashlib.sha256()
        with self.open(name) as file:
            while data := file.read(_CHUNK):
                digest.update(data)
        _check(name, digest.hexdigest())
        return lambda: self.open(name)


def _check(name: str, digest: str) -> None:
    """Compare a blob with the digest that its name is, if it is one."""
    head, _, base = name.rpartition("/")
    if head.endswith("blobs/sha256") and base != digest:
        raise InvalidArgument(f"{name} has digest sha256:{digest}")


def _saved(blobs: _Blobs, entry: Any) -> ArchivedImage:
    try:
        layers = [blobs.layer(str(name)) for name in entry["Layers"]]
        return ArchivedImage(layers, blobs.read(str(entry["Config"])), _list(entry.get("RepoTags") or []))
    except (KeyError, TypeError) as error:
        raise InvalidArgument(f"manifest.json: {error!r}") from error


def _from_index(blobs: _Blobs, index: Any, depth: int = 0) -> Iterator[ArchivedImage]:
    try:
        for entry in index["manifests"]:
            document = blobs.json(_blob(entry["digest"]))
            if entry.get("mediaType") in _INDEXES and depth < 3:
                yield from _from_index(blobs, document, depth + 1)
            elif entry.get("platform", {}).get("os", "linux") == "linux":
                layers = [blobs.layer(_blob(layer["digest"])) for layer in document["layers"]]
                notes = entry.get("annotations") or {}
                names = [notes[key] for key in _REF_NAMES if key in notes][:1]
                yield ArchivedImage(layers, blobs.read(_blob(document["config"]["digest"])), names)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidArgument(f"index.json: {error!r}") from error


def _blob(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    if algorithm != "sha256" or not value.isalnum():
        raise InvalidArgument(f"unsupported digest {digest}")
    return f"blobs/sha256/{value}"


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidArgument("manifest.json: not a list")
    return value
