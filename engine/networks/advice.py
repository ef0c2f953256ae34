"""Advice about a new network: what Docker accepts silently, but a person may not want."""

from __future__ import annotations

from collections.abc import Iterator

from drivers.registry import available
from engine.api import Strings
from engine.host import Host
from engine.model import NetworkCreate
from engine.nearest import nearest

DOCKERS_OPTIONS = "com.docker.network."


def lines(host: Host, request: NetworkCreate) -> Strings:
    """Return one line for each fact about the network that ``request`` made."""
    return [*_unknown_options(request)]


def _unknown_options(request: NetworkCreate) -> Iterator[str]:
    known = {key for facts in available().values() for key in facts.options}
    for key in request.options:
        if key.startswith(DOCKERS_OPTIONS) and key not in known:
            meant = nearest(key, known)
            yield f"The option {key} has no effect{f'. Did you mean {meant}?' if meant else ''}"
