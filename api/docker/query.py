"""Read the query of a request as Go does (net/url, ParseQuery)."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from api.docker.errors import bad_request
from engine.golang.strconv import quote

BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}")
UNCHECKED = re.compile(
    r"/(_ping|version|info|auth|swarm|swarm/(init|join|unlockkey))"
    r"|/containers/.+/(json|changes|export)|/exec/[^/]+/json|/images/.+/(json|history)|/plugins/.+/json"
    r"|/(nodes|services|tasks|secrets|configs)/[^/]+"
)
"""The paths whose handlers in Docker do not check the query (dockerd 26.1.5), except for DELETE."""


def parse(text: str, method: str, path: str) -> dict[str, list[str]]:
    """Return all values of each key in a query; raises ApiError (400) for a semicolon and for a bad escape.

    ``text`` is the query without the "?". ``path`` is the path of the request. For the paths that match `UNCHECKED`,
    Docker checks only the query of a DELETE request. With another method, wrong parts of the query are left out, and no
    error is raised.
    """
    values: dict[str, list[str]] = {}
    semicolon, bad_escape = False, ""
    for pair in text.split("&"):
        if ";" in pair:
            semicolon = True
        elif bad := BAD_ESCAPE.search(pair):
            bad_escape = bad_escape or bad[0]
        elif pair:
            name, value = (unquote_plus(part, errors="surrogateescape") for part in pair.partition("=")[::2])
            values.setdefault(name, []).append(value)
    if (semicolon or bad_escape) and not (method != "DELETE" and UNCHECKED.fullmatch(path)):
        raise bad_request(
            "invalid semicolon separator in query" if semicolon else f"invalid URL escape {quote(bad_escape)}"
        )
    return values
