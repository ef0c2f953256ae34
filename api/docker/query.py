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
"""The paths for which dockerd 26.1.5 does not check the query, except in a DELETE request."""


def parse(text: str, method: str, path: str) -> dict[str, list[str]]:
    """Return all values of each key in a query; raises ApiError (400) for a semicolon and for a bad escape.

    ``text`` is the query without the "?". ``path`` is the path of the request. Docker does not check the query for the
    paths in `UNCHECKED`, except in a DELETE request. Wrong parts of an unchecked query are left out.
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
