"""Telling the resident agent that names, ports or peers have changed, and having it run at all."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from drivers.api import Driver, Repairer
from engine.agent.client import launch, notify
from engine.host import Host
from engine.model import NetworkRecord
from engine.ports.proxied import forwards


def announce(host: Host, joined: Sequence[NetworkRecord] = ()) -> None:
    """Have the agent bring its services up to date before the command goes on.

    An agent is started only where it has something to serve: a network ``joined`` that has names (the default bridge
    has none), or a published port that address translation cannot reach. One that has joined none of these is not
    waited for.
    """
    start = any(not network.predefined for network in joined) or _has_forwards(host)
    notify(host.run, host.root, start=start, wait=start or not joined)


def keep_agent(host: Host, driver: Driver) -> None:
    """Have the agent run where networks of this driver are up, to repair what they share; never waits for it.

    Without room for another process there is none now; the next command tries again.
    """
    if isinstance(driver, Repairer):
        with suppress(OSError):
            launch(host.run, host.root)


def _has_forwards(host: Host) -> bool:
    with host.store.read() as reader:
        published = reader.publishing_endpoints()
        networks = filter(None, map(reader.network, {endpoint.network_id for endpoint in published}))
        return any(forwards(networks, published))
