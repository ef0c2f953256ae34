"""Parse the JSON of image archives within limits, and check value types with the error texts of Go's encoding/json."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, NoReturn

from engine.errors import InvalidArgument, shown

SIZE_LIMIT = 4 << 20  # maximum bytes of one JSON document
DEPTH_LIMIT = 100  # maximum depth of nested arrays and objects
LIST_TYPES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
"""The media types of documents that list an image for each platform."""
DIGEST = re.compile(r"sha256:([0-9a-f]{64})")

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_KINDS = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", float: "number"}


def parse_document(data: bytes, name: str) -> Any:
    """Parse a JSON document; raises `InvalidArgument` with ``name``, the document's name, and the reason."""
    if len(data) > SIZE_LIMIT:
        raise InvalidArgument(f"{shown(name)} is larger than {SIZE_LIMIT} bytes")
    text = data.decode("utf-8", "replace")  # as in Go, U+FFFD replaces invalid bytes here, and lone surrogates below
    _check_depth(text, name)
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{shown(name)}: {error}") from error
    return _without_surrogates(value) if _SURROGATE.search(text) else value


def digest_of(data: bytes) -> str:
    """Return the digest of ``data`` as manifests name it, such as "sha256:9f86…"."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def mismatch(value: object, where: str, kind: str) -> InvalidArgument:
    """Return the error for a JSON value that does not have the Go type ``kind``; ``where`` names the JSON field."""
    return InvalidArgument(f"json: cannot unmarshal {_KINDS.get(type(value), 'null')} into Go {where} of type {kind}")


def text_at(value: object, where: str) -> str:
    """Return a JSON value as a string; null becomes "", as in Go.

    For any other type, raises `InvalidArgument`, which names the JSON field ``where``.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise mismatch(value, where, "string")
    return value


def texts_at(value: object, where: str) -> list[str] | None:
    """Return a JSON value as a list of strings, or None for null.

    For any other type, raises `InvalidArgument`, which names the JSON field ``where``.
    """
    if value is None:
        return None
    if not isinstance(value, list):
        raise mismatch(value, where, "[]string")
    return [text_at(item, where) for item in value]


def object_at(value: object, where: str, kind: str) -> dict[str, Any]:
    """Return a JSON value as an object; null becomes an empty object.

    For any other type, raises `InvalidArgument`, which names the JSON field ``where`` and its Go type ``kind``.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise mismatch(value, where, kind)
    return value


def list_at(value: object, where: str, kind: str) -> list[Any]:
    """Return a JSON value as a list; null becomes an empty list.

    For any other type, raises `InvalidArgument`, which names the JSON field ``where`` and its Go type ``kind``.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise mismatch(value, where, kind)
    return value


def _check_depth(text: str, name: str) -> None:
    """Check that a JSON document is not nested too deeply; raises InvalidArgument with ``name``, the document's name.

    The caller checks before it parses, because the parser is recursive and needs stack memory for each level.
    """
    depth = 0
    for token in _TOKEN.finditer(text):
        character = token[0]
        if character in "[{":
            depth += 1
            if depth > DEPTH_LIMIT:
                raise InvalidArgument(f"{shown(name)}: invalid character '{character}' exceeded max depth")
        elif character in "]}":
            depth -= 1


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"invalid character '{constant[0]}' looking for beginning of value")


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value
