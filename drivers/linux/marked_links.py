"""Find hawse's own links by their marks, and the interfaces of a sandbox (a container's network namespace).

A mark is the alias that names the link's network or endpoint (`drivers.linux.names`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from drivers.linux import address, link, names, netns
from drivers.linux.netlink import Session
from drivers.model import IPInterface


class FoundLink(NamedTuple):
    """A link with its addresses, except link-local addresses.

    - ``network_id``: the network's id if hawse's mark names a network, else ""
    - ``endpoint_id``: the endpoint's id if hawse's mark names an endpoint, else ""
    - ``number``: the link's index
    - ``master``: the index of the bridge that has the link as a port, or 0
    - ``peer``: the index of the link's other end (veth) or parent, or 0 if it has neither. The index is valid in the
      namespace of that other end or parent.
    """

    name: str
    kind: str
    number: int
    master: int
    peer: int
    mac: str
    network_id: str
    endpoint_id: str
    addresses: tuple[IPInterface, ...]


def of_host() -> list[FoundLink]:
    """Return the links in the calling thread's namespace that have hawse's mark (an alias) of a network or endpoint."""
    return [candidate for candidate in _links() if candidate.network_id or candidate.endpoint_id]


def host_end(opened: Session, endpoint_id: str) -> link.Link | None:
    """Return the host end of an endpoint's veth pair, or None if it does not exist.

    The calling thread is in the session's namespace.
    """
    mark = names.endpoint_mark(endpoint_id)
    return next((candidate for candidate in host_end_candidates(opened, endpoint_id) if candidate.alias == mark), None)


def host_end_candidates(opened: Session, endpoint_id: str) -> Iterator[link.Link]:
    """Yield the links with one of the names that an endpoint's host end may have; another program may have made them.

    The calling thread is in the session's namespace.
    """
    for name in names.host_end_names(endpoint_id):
        candidate = link.find(opened, name) if link.index(name) else None
        if candidate is not None:
            yield candidate


def of_sandbox(path: str, inode: int = 0) -> list[FoundLink]:
    """Return all links in a sandbox; raises `drivers.errors.Missing` if the sandbox no longer exists.

    ``path`` opens the sandbox's network namespace. ``inode`` is the inode number of this namespace, or 0 if it is
    unknown. If ``path`` leads to a namespace with another inode number, the sandbox no longer exists.
    """
    with netns.netns_fd(path, inode) as namespace, netns.enter_netns(namespace):
        return _links()


def _links() -> list[FoundLink]:
    with Session() as opened:
        links, addresses = link.all_links(opened), address.by_link(opened)
    return [
        FoundLink(
            each.name,
            each.kind,
            each.index,
            each.master,
            each.peer,
            each.mac,
            each.network_id,
            each.endpoint_id,
            tuple(a for a in addresses[each.index] if not a.ip.is_link_local),
        )
        for each in links
    ]
