"""The temporary network namespaces that act as hosts: one host for each product.

All hosts are connected to one neighbour, a namespace that acts as another machine on the hosts' network.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.conftest import Host, Netns, Peer

COUNTER = itertools.count(1)


def unique(kind: str) -> str:
    """Return a namespace name that no other benchmark run uses; the name contains ``kind``."""
    return f"hwb{os.getpid()}{kind}{next(COUNTER)}"


@contextmanager
def hosts(state: Path, number: int) -> Iterator[tuple[Netns, list[Host]]]:
    """Yield a neighbour namespace (another machine on the network), and ``number`` hosts that are connected to it."""
    with ExitStack() as stack:
        neighbour = Peer(unique("p"), ipv6=False)
        stack.callback(neighbour.delete)
        neighbour.sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
        made = []
        for index in range(1, number + 1):
            made.append(Host(unique("h"), neighbour, state, index))
            stack.callback(made[-1].delete)
        yield neighbour, made
