"""Find the handler of a request by method and path, as Docker's router does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote

from msgspec import Struct

from api.docker.messages import Handler

UNQUOTED = "$&+,/:;=@"
"""Characters of a path that Go does not escape, beside letters, digits and "-._~" (net/url, EscapedPath)."""


class Route(NamedTuple):
    """One route: ``path`` is a pattern such as "/networks/{id}/connect"; ``{name:.*}`` also matches slashes."""

    method: str
    path: str
    handler: Handler


class Match(Struct, frozen=True):
    """The handler of a request, and the values of the route's parameters in the path, such as {"id": "web"}."""

    handler: Handler
    parameters: Mapping[str, str]


class Router:
    """The routes of the API.

    A route whose path has no placeholder takes precedence over routes with placeholders, such as ``{id}``. Of several
    routes of the same kind, the first that matches a request serves it.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[tuple[str, str], Handler] = {}
        self._patterns: list[tuple[str, re.Pattern[str], Handler]] = []
        for method, path, handler in routes:
            if "{" in path:
                self._patterns.append((method, _pattern(path), handler))
            else:
                self._exact.setdefault((method, path), handler)

    def find(self, method: str, path: str) -> Match | None:
        """Return the handler for a method and a path (without the version), or None if no route matches."""
        handler = self._exact.get((method, path))
        if handler is not None:
            return Match(handler, {})
        for accepted, pattern, handler in self._patterns:
            if accepted == method and (match := pattern.fullmatch(path)) is not None:
                return Match(handler, match.groupdict())
        return None


def _pattern(path: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)(?::(\.\*))?\}", path)
    text = ""
    for index in range(0, len(pieces), 3):
        text += re.escape(pieces[index])
        if index + 1 < len(pieces):
            text += f"(?P<{pieces[index + 1]}>{pieces[index + 2] or '[^/]+'})"
    return re.compile(text)


def location(path: str) -> str | None:
    """Return the path to which Docker's router redirects a client, or None for a clean path.

    ``path`` and the result are escaped. A clean path begins with "/", and has no empty, "." or ".." element. A slash at
    the end is allowed. The escapes "%2F" and "%2E" count as "/" and "." (gorilla/mux, cleanPath).
    """
    unescaped = unquote(path, "latin-1")
    if unescaped.startswith("/") and "//" not in unescaped and "/." not in unescaped:
        return None
    clean = _clean(unescaped)
    return None if clean == unescaped else quote(clean, UNQUOTED, "latin-1")


def _clean(path: str) -> str:
    """Return an absolute path without empty, "." and ".." elements; a slash at the end stays."""
    elements: list[str] = []
    for element in path.split("/"):
        if element == "..":
            del elements[-1:]
        elif element not in ("", "."):
            elements.append(element)
    end = "/" if elements and path.endswith("/") else ""
    return "/" + "/".join(elements) + end
