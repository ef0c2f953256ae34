"""How many descriptors the supervisor may have open: four a container, so as many as the system allows.

Its containers keep the limit that they would have had: programs that close all they could have open count on a low one.
"""

from __future__ import annotations

import resource

_found: list[tuple[int, int]] = []


def raise_limit() -> None:
    """Allow this process as many as may be."""
    _found[:] = [resource.getrlimit(resource.RLIMIT_NOFILE)]
    _, most = _found[0]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def restore_limit() -> None:
    """In a child: what was allowed before."""
    for limits in _found:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
