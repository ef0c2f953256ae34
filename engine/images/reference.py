"""Names of images: ``[registry/]path[:tag][@digest]``, as the distribution project defines and Docker shortens them."""

from __future__ import annotations

import re

from engine.errors import InvalidArgument

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REGISTRY = r"(?:localhost|[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+|\[[0-9a-fA-F:]+\]|[a-zA-Z0-9-]+(?=:[0-9]+/))(?::[0-9]+)?"
_REFERENCE = re.compile(
    rf"(?P<name>(?:{_REGISTRY}/)?{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>[a-z0-9]+:[0-9a-f]{32,}))?"
)
_IDENTIFIER = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})")
_FAMILIAR_PREFIXES = ("docker.io/", "index.docker.io/")


def normalise(reference: str) -> str:
    """``name:tag`` as Docker shows it, tag ``latest`` where none is given; raises `InvalidArgument`."""
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        name = reference.partition(":")[0]
        if name != name.lower() and _REFERENCE.fullmatch(name.lower()):
            raise InvalidArgument(f"invalid reference format: repository name ({_full(name)}) must be lowercase")
        raise InvalidArgument("invalid reference format")
    name = match["name"]
    for prefix in _FAMILIAR_PREFIXES:
        name = name.removeprefix(prefix)
    return f"{name.removeprefix('library/')}:{match['tag'] or 'latest'}"


def _full(name: str) -> str:
    return name if "/" in name else f"library/{name}"


def id_prefix(reference: str) -> str | None:
    """The hexadecimal digits of an id or of its beginning; None when ``reference`` cannot be one."""
    match = _IDENTIFIER.fullmatch(reference)
    return match[1] if match else None
