"""Parse image references by the grammar of Docker's distribution library: ``[domain/]path[:tag][@digest]``."""

from __future__ import annotations

import re

from msgspec import Struct

from engine.errors import InvalidArgument, shown

_SEPARATED = r"[a-z0-9]+(?:(?:[.]|_|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?P<domain>{_DOMAIN})/(?P<path>{_SEPARATED}(?:/{_SEPARATED})*)"
    rf"(?::(?P<tag>\w[\w.-]{{0,127}}))?(?:@(?P<digest>{_DIGEST}))?",
    re.ASCII,
)
_HEXADECIMAL = re.compile(r"[0-9a-f]{64}")
_DEFAULT_DOMAIN, _OFFICIAL = "docker.io", "library/"
_PATH_LIMIT = 255  # maximum characters of a reference's path


class ImageReference(Struct, frozen=True):
    """The parts of an image reference. ``name`` is the short name, without ``docker.io/`` and ``library/``.

    ``tag`` and ``digest`` (such as "sha256:...") are "" if the reference has none.
    """

    name: str
    tag: str = ""
    digest: str = ""

    @property
    def domain(self) -> str:
        """The registry, such as ``docker.io`` or ``127.0.0.1:5000``."""
        return _split_domain(self.name)[0]

    @property
    def path(self) -> str:
        """The name inside the registry, such as ``library/alpine``."""
        return _split_domain(self.name)[1]

    @property
    def canonical(self) -> str:
        """The reference with its registry, such as ``docker.io/library/alpine:latest``."""
        return f"{self.domain}/{self.path}{str(self).removeprefix(self.name)}"

    def __str__(self) -> str:
        if self.digest:
            return f"{self.name}{self.tag and ':'}{self.tag}@{self.digest}"
        return f"{self.name}:{self.tag or 'latest'}"


def parse_reference(text: str) -> ImageReference:
    """Parse an image reference; raises `InvalidArgument` with Docker's message."""
    if _HEXADECIMAL.fullmatch(text):
        raise InvalidArgument(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    domain, remainder = _split_domain(text)
    path = remainder.partition(":")[0]
    match = _REFERENCE.fullmatch(f"{domain}/{remainder}")
    if match is None:
        if path.lower() != path:
            raise InvalidArgument(f"invalid reference format: repository name ({shown(path)}) must be lowercase")
        raise InvalidArgument("invalid reference format")
    if len(match["path"]) > _PATH_LIMIT:
        raise InvalidArgument("repository name must not be more than 255 characters")
    name = f"{domain}/{match['path']}".removeprefix(f"{_DEFAULT_DOMAIN}/").removeprefix(_OFFICIAL)
    return ImageReference(name, match["tag"] or "", match["digest"] or "")


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    named = slash and (any(c in first for c in ".:") or first == "localhost" or first.lower() != first)
    domain, remainder = (first, rest) if named else (_DEFAULT_DOMAIN, text)
    if domain == "index.docker.io":
        domain = _DEFAULT_DOMAIN
    if domain == _DEFAULT_DOMAIN and "/" not in remainder:
        remainder = _OFFICIAL + remainder
    return domain, remainder
