"""The forwarder: listens on the host for published ports that address translation alone cannot serve.

The container sees its network's gateway as client, as behind Docker's proxy. One service for all ports, one listening
socket a port: a range costs as many descriptors as it has ports.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol

from engine.agent.datagram_relay import DatagramListener
from engine.agent.forwarding import Listen, Target, forwards
from engine.agent.loop import Loop
from engine.agent.services import Snapshot
from engine.agent.stream_relay import StreamListener


class Listener(Protocol):
    """An open port; ``target`` may be changed while it serves (connections under way keep theirs)."""

    target: Target

    def close(self) -> None:
        """Close the port and all that came through it."""


KINDS: dict[str, Callable[[Loop, str, int, Target], Listener]] = {"tcp": StreamListener, "udp": DatagramListener}


class ForwardService:
    """Listens on the host, in the namespace the agent was started in."""

    name = "forward"

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._listeners: dict[Listen, Listener] = {}

    def reconcile(self, state: Snapshot) -> None:
        """Open, move and close ports by difference; one that is taken is reported and tried again next time."""
        wanted = dict(forwards(state.networks, state.endpoints))
        for listen in [known for known in self._listeners if known not in wanted]:
            self._listeners.pop(listen).close()
        for listen, target in wanted.items():
            if listen in self._listeners:
                self._listeners[listen].target = target
            else:
                self._open(listen, target)

    def _open(self, listen: Listen, target: Target) -> None:
        try:
            listener = KINDS[listen.protocol](self._loop, listen.address, listen.port, target)
        except OSError as error:
            place = f"[{listen.address}]:{listen.port}/{listen.protocol}"
            print(f"cannot forward {place}: {error}", file=sys.stderr, flush=True)
        else:
            self._listeners[listen] = listener

    def needed(self) -> bool:
        """Whether any port is open."""
        return bool(self._listeners)

    def close(self) -> None:
        """Close every port."""
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
