"""Telling the resident agent that names, ports or peers have changed."""

from __future__ import annotations

from collections.abc import Iterable

from engine.agent.client import notify
from engine.host import Host
from engine.model import NetworkRecord


def announce(host: Host, joined: Iterable[NetworkRecord] = ()) -> None:
    """Have the agent bring its services up to date before the command goes on.

    An agent is started only where a network was ``joined`` that it has to serve: containers of the default bridge have
    no embedded resolver, and a host that has none but these needs no agent.
    """
    notify(host.run, host.root, start=any(not network.predefined for network in joined))
