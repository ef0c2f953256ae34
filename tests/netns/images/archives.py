"""Helpers that build image archives byte by byte, genuine ones and forged ones."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from typing import Any

from engine.render.version import architecture

CREATED = "2026-01-02T03:04:05.6Z"


def make_tar(*entries: tuple[str, object]) -> bytes:
    """Return a tar with these entries: (name, content).

    A file has bytes or (bytes, mode) as content. None stands for a directory, "-> target" for a symbolic link, and "=
    target" for a hard link. The content may also be a TarInfo.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in entries:
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            data = b""
            if isinstance(content, tuple):
                content, info.mode = content
            if content is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(content, str):
                kind, _, info.linkname = content.partition(" ")
                info.type = {"->": tarfile.SYMTYPE, "=": tarfile.LNKTYPE}[kind]
            elif isinstance(content, bytes):
                data, info.size = content, len(content)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def special(kind: bytes, **fields: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo("x")
    info.type = kind
    for name, value in fields.items():
        setattr(info, name, value)
    return info


def blob(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def diff_id(layer: bytes) -> str:
    """Return the digest of a layer's uncompressed content."""
    content = gzip.decompress(layer) if layer.startswith(b"\x1f\x8b") else layer
    return f"sha256:{blob(content)}"


def image_config(
    layers: Sequence[bytes],
    config: Mapping[str, Any] | None = None,
    *,
    claimed: Sequence[bytes] | None = None,
    **more: Any,
) -> bytes:
    """Return an image configuration with the digests of ``layers``, or of ``claimed`` to forge the digests."""
    rootfs = {"type": "layers", "diff_ids": [diff_id(layer) for layer in (layers if claimed is None else claimed)]}
    platform = {"os": "linux", "architecture": architecture()}
    document = {"created": CREATED, **platform, "config": config or {}, "rootfs": rootfs, **more}
    return json.dumps(document).encode()


def saved(
    *layers: bytes,
    config: Mapping[str, Any] | bytes | None = None,
    tags: object = ("app:1",),
    claimed: Sequence[bytes] | None = None,
    more: Sequence[tuple[str, object]] = (),
) -> bytes:
    """Return an archive in the form that ``docker save`` writes. ``more`` are additional members of the archive."""
    document = config if isinstance(config, bytes) else image_config(layers, config, claimed=claimed)
    names = [f"blobs/sha256/{blob(layer)}" for layer in layers]
    manifest = [{"Config": f"blobs/sha256/{blob(document)}", "RepoTags": tags, "Layers": names}]
    files = {f"blobs/sha256/{blob(document)}": document, **dict(zip(names, layers, strict=True))}
    return make_tar(*files.items(), ("manifest.json", json.dumps(manifest).encode()), *more)


def old_saved(layers: Mapping[str, object], config: bytes, names: Sequence[str], name: str = "") -> bytes:
    """Return an archive in the form that ``docker save`` wrote before Docker 25.

    ``layers`` are entries as for `make_tar`. ``names`` are the paths of the image's layers, the lowest first.
    """
    name = name or f"{blob(config)}.json"
    manifest = [{"Config": name, "RepoTags": ["old:1"], "Layers": list(names)}]
    return make_tar(*layers.items(), (name, config), ("manifest.json", json.dumps(manifest).encode()))


def layout(
    layer: bytes,
    *,
    stored: Mapping[str, bytes] | None = None,
    name: str = "oci:2",
    sizes: Mapping[str, int] | None = None,
    claimed: bytes | None = None,
) -> bytes:
    """Return an archive with an OCI image layout.

    ``stored`` replaces blobs (config, manifest, layer) by content that does not match their digests. ``sizes`` replaces
    sizes in descriptors by wrong sizes. ``claimed`` is the layer whose digest the image configuration states.
    """
    stored, sizes = stored or {}, sizes or {}
    config = image_config([layer], {"Cmd": ["sh"]}, claimed=None if claimed is None else [claimed])
    parts = {"config": config, "layer": layer}

    def descriptor(kind: str) -> dict[str, Any]:
        return {"digest": f"sha256:{blob(parts[kind])}", "size": sizes.get(kind, len(parts[kind]))}

    manifest = {"config": descriptor("config"), "layers": [descriptor("layer")]}
    parts["manifest"] = json.dumps(manifest).encode()
    notes = {"org.opencontainers.image.ref.name": name}
    index = {"manifests": [{**descriptor("manifest"), "annotations": notes}]}
    blobs = [(f"blobs/sha256/{blob(data)}", stored.get(kind, data)) for kind, data in parts.items()]
    return make_tar(
        ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'), ("index.json", json.dumps(index).encode()), *blobs
    )


def pax_member(name: str, records: Mapping[str, str], content: bytes = b"", **fields: Any) -> bytes:
    """Return a tar archive with one member that has a pax header."""
    info = tarfile.TarInfo(name)
    info.size, info.pax_headers = len(content), dict(records)
    for key, value in fields.items():
        setattr(info, key, value)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()
