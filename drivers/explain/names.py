"""Names for the numbers of links and network namespaces in netlink messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class NameLookup(NamedTuple):
    """Functions that return the name for a number in a netlink message.

    ``link`` takes the index of a link in the session's network namespace, and returns the link's name. ``namespace``
    takes a file descriptor of a network namespace, and returns the namespace's path.
    """

    link: Callable[[int], str]
    namespace: Callable[[int], str]
