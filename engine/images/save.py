"""Write images as an archive that ``docker load`` and ``hawse load`` read (the format of ``docker save``).

hawse keeps the root file system of an image, not its layers. The archive therefore has one layer for each image, and a
configuration that names this layer. The image has another id after it is loaded, because the id is the digest of the
configuration.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from msgspec import Struct, field

from engine.errors import InvalidArgument
from engine.images.config import stored_config
from engine.model import ImageRecord
from engine.paths import no_follow
from engine.validate.image_reference import parse_reference

_XATTR = "SCHILY.xattr."
"""The prefix of extended attributes in the pax records of a tar member, as GNU tar and Go write them."""


class SavedImage(Struct, frozen=True):
    """An image, and the names that it has in the archive."""

    record: ImageRecord
    names: list[str] = field(default_factory=list)

    def add(self, names: Iterable[str]) -> None:
        """Add ``names`` to the image's names in the archive.

        Texts that are not tags of the image are left out, and so are names that were added before.
        """
        self.names.extend(name for name in names if name in self.record.references and name not in self.names)


def tags_of_repository(images: Iterable[ImageRecord], reference: str) -> Mapping[str, list[str]]:
    """Return a map from the id of each image to its names in the repository ``reference``.

    Images without a name in the repository are left out. If ``reference`` is invalid, or has a tag or a digest, the map
    is empty.
    """
    try:
        parsed = parse_reference(reference)
    except InvalidArgument:
        return {}
    if parsed.tag or parsed.digest:
        return {}
    names = {image.id: [ref for ref in image.references if ref.rpartition(":")[0] == parsed.name] for image in images}
    return {image_id: tags for image_id, tags in names.items() if tags}


def write_archive(images: Sequence[SavedImage], target: BinaryIO, work: Path) -> None:
    """Write images into an archive; ``work`` is a directory for temporary files.

    ``target`` need not be seekable. Raises OSError.
    """
    manifest: list[dict[str, Any]] = []
    written: set[str] = set()
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for image in images:
            record = image.record
            with tempfile.TemporaryFile(dir=work) as layer:
                digest = _write_layer(record.rootfs, layer)
                blob = f"blobs/sha256/{digest}"
                if digest not in written:
                    archive.addfile(_member(blob, layer.seek(0, os.SEEK_END)), _rewound(layer))
            config = _config(record, digest)
            name = f"blobs/sha256/{hashlib.sha256(config).hexdigest()}"
            archive.addfile(_member(name, len(config)), io.BytesIO(config))
            written.add(digest)
            manifest.append({"Config": name, "RepoTags": image.names or None, "Layers": [blob]})
        data = json.dumps(manifest, separators=(",", ":")).encode()
        archive.addfile(_member("manifest.json", len(data)), io.BytesIO(data))


def _config(record: ImageRecord, diff_id: str) -> bytes:
    """Return the configuration of an image for the archive, in which the image has only one layer.

    ``diff_id`` is the hexadecimal SHA-256 digest of this layer.
    """
    document = stored_config(record)
    document["rootfs"] = {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]}
    document["history"] = [{"created": document.get("created"), "comment": "hawse save: all layers as one"}]
    return json.dumps(document, separators=(",", ":")).encode()


def _write_layer(root: str, target: io.BufferedRandom) -> str:
    """Write the files below ``root`` as a tar archive in a fixed order; return the archive's SHA-256 digest."""
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as layer:
        for path, name in _entries(root):
            info = layer.gettarinfo(path, name)
            if info is None:
                continue  # a socket, which tar cannot store
            info.uname = info.gname = ""
            info.mtime = int(info.mtime)
            info.pax_headers = {} if info.issym() else _xattrs(path)
            if info.isreg():
                with open(path, "rb", opener=no_follow) as file:
                    layer.addfile(info, file)
            else:
                layer.addfile(info)
    target.seek(0)
    return hashlib.file_digest(target, "sha256").hexdigest()


def _entries(root: str) -> Iterator[tuple[str, str]]:
    """Yield the path of each file below ``root`` with its name in the archive; a directory comes before its files."""
    waiting = [""]
    while waiting:
        directory = waiting.pop()
        with os.scandir(os.path.join(root, directory)) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        for entry in listed:
            name = os.path.join(directory, entry.name)
            yield entry.path, name
            if entry.is_dir(follow_symlinks=False):
                waiting.append(name)


def _xattrs(path: str) -> dict[str, str]:
    """Return the extended attributes of a file as pax records for its tar member."""
    return {
        f"{_XATTR}{name}": os.getxattr(path, name, follow_symlinks=False).decode("utf-8", "surrogateescape")
        for name in os.listxattr(path, follow_symlinks=False)
    }


def _member(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info


def _rewound(file: BinaryIO) -> BinaryIO:
    file.seek(0)
    return file
