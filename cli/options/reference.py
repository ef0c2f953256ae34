"""Image references, by the grammar of Docker's distribution: ``[domain/]path[:tag][@digest]``."""

from __future__ import annotations

import re

_SEPARATED = r"[a-z0-9]+(?:(?:[.]|_|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"(?P<name>(?:{_DOMAIN}/)?{_SEPARATED}(?:/{_SEPARATED})*)(?::(?P<tag>\w[\w.-]{{0,127}}))?(?:@{_DIGEST})?", re.ASCII
)
_IDENTIFIER = re.compile(r"(sha256:)?[0-9a-f]{64}")
_DEFAULT_DOMAIN, _OFFICIAL = "docker.io", "library/"
_LONGEST = 255


def is_identifier(text: str) -> bool:
    """Tell whether the text is a full image id rather than a name."""
    return bool(_IDENTIFIER.fullmatch(text))


def check_reference(text: str) -> str:
    """Check an image reference; the familiar form with a tag, ``app`` as ``app:latest``; ids stay as they are."""
    if is_identifier(text):
        return text
    domain, remainder = _split_domain(text)
    path = remainder.partition(":")[0]
    if path.lower() != path:
        raise ValueError(f"invalid reference format: repository name ({path}) must be lowercase")
    found = _REFERENCE.fullmatch(f"{domain}/{remainder}")
    if not found:
        raise ValueError("invalid reference format")
    if len(found["name"]) > _LONGEST:
        raise ValueError("repository name must not be more than 255 characters")
    familiar = f"{domain}/{remainder}".removeprefix(f"{_DEFAULT_DOMAIN}/").removeprefix(_OFFICIAL)
    return familiar if found["tag"] or "@" in text else f"{familiar}:latest"


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    named = slash and (any(c in first for c in ".:") or first == "localhost" or first.lower() != first)
    domain, remainder = (first, rest) if named else (_DEFAULT_DOMAIN, text)
    if domain == "index.docker.io":
        domain = _DEFAULT_DOMAIN
    if domain == _DEFAULT_DOMAIN and "/" not in remainder:
        remainder = _OFFICIAL + remainder
    return domain, remainder
