"""Find the handler of a request by method and path, as Docker's router does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from api.docker.messages import Handler


class Route(NamedTuple):
    """One route: ``path`` is a pattern such as "/networks/{id}/connect"; ``{name:.*}`` also matches slashes."""

    method: str
    path: str
    handler: Handler


@dataclass(frozen=True, slots=True)
class Match:
    """The handler of a request, and the parts of the path that the route names."""

    handler: Handler
    parameters: Mapping[str, str]


class Router:
    """The routes of the API. The first route that matches a request serves it."""

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
        for wanted, pattern, handler in self._patterns:
            if wanted == method and (match := pattern.fullmatch(path)) is not None:
                return Match(handler, match.groupdict())
        return None


def _pattern(path: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)(?::(\.\*))?\}", path)
    text = ""
    for place in range(0, len(pieces), 3):
        text += re.escape(pieces[place])
        if place + 1 < len(pieces):
            text += f"(?P<{pieces[place + 1]}>{pieces[place + 2] or '[^/]+'})"
    return re.compile(text)
