"""Telling the resident agent that names, ports or peers have changed."""

from __future__ import annotations

from collections.abc import Iterable

from engine.agent.client import notify
from engine.agent.forwarding import forwards
from engine.host import Host
from engine.model import NetworkRecord


def announce(host: Host, joined: Iterable[NetworkRecord] = ()) -> None:
    """Have the agent bring its services up to date before the command goes on.

    An agent is started only where it has something to serve: a network ``joined`` that has names (the default bridge
    has none), or a published port that address translation cannot reach.
    """
    start = any(not network.predefined for network in joined) or _has_forwards(host)
    notify(host.run, host.root, start=start)


def _has_forwards(host: Host) -> bool:
    with host.store.read() as reader:
        published = reader.publishing_endpoints()
        networks = filter(None, map(reader.network, {endpoint.network_id for endpoint in published}))
        return any(forwards(networks, published))
