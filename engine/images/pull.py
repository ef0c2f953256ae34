"""Download an image from a registry, and report the progress in the messages of Docker's POST /images/create."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.errors import InvalidArgument, quoted
from engine.images.document import DIGEST, LIST_TYPES, digest_of, list_at, object_at, parse_document, text_at
from engine.images.limits import Limits
from engine.images.platform import Platform, choose, mismatch, platform_of
from engine.images.skopeo import Skopeo
from engine.names import short_id
from engine.validate.image_reference import ImageReference

Message = dict[str, Any]
"""A message of POST /images/create, such as {"status": "Download complete", "progressDetail": {}, "id": "…"}."""

_LAYERS_LIMIT = 500


class Pull:
    """The download of one image.

    ``digest`` is the digest (``sha256:…``) of the manifest that the reference names. This manifest may be a list of
    manifests for several platforms. ``manifest_digest`` is the digest of the manifest for the requested platform.
    `resolve` sets both to the same value. For a list, `download` then replaces ``manifest_digest``.
    """

    def __init__(self, reference: ImageReference, platform: Platform, skopeo: Skopeo, limits: Limits) -> None:
        self.reference, self.digest = reference, ""
        self._platform, self._skopeo, self._limits = platform, skopeo, limits
        self._manifest: Message = {}
        self.manifest_digest = ""

    @property
    def shown_tag(self) -> str:
        """The tag or the digest that Docker prints before "Pulling from"."""
        return self.reference.digest or self.reference.tag or "latest"

    @property
    def is_list(self) -> bool:
        """Whether the reference names a list with an image for each platform."""
        return self._manifest.get("mediaType") in LIST_TYPES or "manifests" in self._manifest

    def resolve(self) -> Message:
        """Ask the registry for the manifest of the reference; return the progress message "Pulling from …".

        Raises `EngineError` if skopeo fails, or if the manifest is invalid or has another digest than the reference.
        """
        tag = f"@{self.reference.digest}" if self.reference.digest else f":{self.reference.tag or 'latest'}"
        data = self._skopeo.manifest(tag)
        self.digest = digest_of(data)
        if self.reference.digest not in ("", self.digest):
            raise InvalidArgument(f"manifest verification failed for digest {self.reference.digest}")
        self._manifest, self.manifest_digest = _parsed(data), self.digest
        return {"status": f"Pulling from {self.reference.path}", "id": self.shown_tag}

    def download(self, directory: Path) -> Iterator[Message]:
        """Download the image into a new directory, and yield the messages of the progress; raises `EngineError`."""
        if self.is_list:
            self._choose_platform()
        layers = self._layers()
        yield from (_layer_message("Pulling fs layer", digest) for digest in dict(layers))
        progress = _Progress(layers)
        for sizes in self._skopeo.download(self.manifest_digest, directory):
            yield from progress.messages(sizes)
        yield from progress.completed()

    def finished(self) -> Iterator[Message]:
        """Yield the message "Pull complete" for each layer; the caller does this after it has unpacked all layers."""
        yield from (_layer_message("Pull complete", digest) for digest in dict(self._layers()))

    def check_platform(self, config: Mapping[str, Any]) -> None:
        """Check that the image runs on the requested platform; raises NotFound if not.

        ``config`` is the image configuration, which states the image's platform.
        """
        if not self._platform.runs(platform_of(config)):
            raise mismatch(str(self.reference), self._platform, config)

    def _choose_platform(self) -> None:
        entry = choose(self._manifest.get("manifests"), self._platform)
        digest = _checked(text_at(entry.get("digest"), "struct field Descriptor.digest"))
        data = self._skopeo.manifest(f"@{digest}")
        if digest_of(data) != digest:
            raise InvalidArgument(f"manifest verification failed for digest {digest}")
        self._manifest, self.manifest_digest = _parsed(data), digest

    def _layers(self) -> Sequence[tuple[str, int]]:
        """Return the digest and the size in bytes of each layer of the image.

        Raises `InvalidArgument` if the manifest is invalid, or if the number or the total size of the layers is above a
        limit.
        """
        if "config" not in self._manifest:
            raise InvalidArgument(
                f"{self.reference}: its manifest has no configuration (schema 1 manifests are not supported)"
            )
        layers, where = [], "struct field Manifest.layers"
        for value in list_at(self._manifest.get("layers"), where, "[]v1.Descriptor"):
            entry = object_at(value, where, "v1.Descriptor")
            size = entry.get("size")
            if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                raise InvalidArgument(f"{self.reference}: a layer has no size")
            layers.append((_checked(text_at(entry.get("digest"), where)), size))
        if len(layers) > _LAYERS_LIMIT:
            raise InvalidArgument(f"{self.reference} has more than {_LAYERS_LIMIT} layers")
        if sum(size for _, size in layers) > self._limits.size:
            raise InvalidArgument(self._limits.too_large("image"))
        return layers


class _Progress:
    """The progress of a download, computed from the sizes of the downloaded files and of the layers."""

    def __init__(self, layers: Sequence[tuple[str, int]]) -> None:
        self._missing = dict(layers)
        self._reported: dict[str, int] = {}

    def messages(self, sizes: Mapping[str, int]) -> Iterator[Message]:
        """Yield a message for each layer that has grown or is complete since the last call.

        ``sizes`` maps the name of each file of the download to its size in bytes. skopeo writes each layer to a file
        ``dir-put-blob…``. When the layer is complete, the digest becomes the file's name. Until then, nothing says
        which file has which layer. This method guesses: the largest of these files belongs to the first layer of the
        image that is not complete, the next largest to the second, and so on.
        """
        yield from self._complete([d for d in self._missing if d.removeprefix("sha256:") in sizes])
        growing = sorted((size for name, size in sizes.items() if name.startswith("dir-put-blob")), reverse=True)
        for (digest, total), current in zip(self._missing.items(), growing, strict=False):
            if 0 < current <= total and self._reported.get(digest, 0) < current:
                self._reported[digest] = current
                yield _layer_message("Downloading", digest, {"current": current, "total": total})

    def completed(self) -> Iterator[Message]:
        """Yield the final messages of each layer for which `messages` has not yielded them yet."""
        yield from self._complete(list(self._missing))

    def _complete(self, digests: Sequence[str]) -> Iterator[Message]:
        for digest in digests:
            del self._missing[digest]
            for status in ("Verifying Checksum", "Download complete"):
                yield _layer_message(status, digest)


def _layer_message(status: str, digest: str, detail: Mapping[str, int] | None = None) -> Message:
    return {"status": status, "progressDetail": detail or {}, "id": short_id(digest)}


def _parsed(data: bytes) -> Message:
    return object_at(parse_document(data, "manifest"), "value", "v1.Manifest")


def _checked(digest: str) -> str:
    """Return a digest from a manifest; raises `InvalidArgument` if it is not a SHA-256 digest."""
    if not DIGEST.fullmatch(digest):
        raise InvalidArgument(f"unsupported digest {quoted(digest)}")
    return digest
