"""Names for the numbers of links and network namespaces in netlink messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Names(NamedTuple):
    """Functions that return the name for a number in a netlink message.

    ``link`` returns the name of the link with an index in the session's namespace. ``namespace`` returns the path of
    the network namespace that a file descriptor refers to.
    """

    link: Callable[[int], str]
    namespace: Callable[[int], str]
