"""The forwarder: carries published ports that packets cannot be rewritten for (`drivers.firewall.proxied_ports`).

One socket a protocol for all ports: the firewall leads them there, and the flow's tracking tells which one was asked.
The container sees its network's gateway as client, as behind Docker's proxy.
"""

from __future__ import annotations

from typing import Protocol

from drivers.firewall import proxy_redirect
from engine.agent.service import Snapshot
from engine.eventloop.descriptor_budget import Budget
from engine.eventloop.loop import Background, Loop
from engine.portproxy.tcp import StreamListener
from engine.portproxy.udp import DatagramListener
from engine.ports.proxied import Forwards, Origin, Target, forwards


class Listener(Protocol):
    """The open socket of a protocol."""

    port: int

    def prune(self) -> None:
        """End what came through ports that lead nowhere any more."""

    def close(self) -> None:
        """Close the socket and all that came through it."""


class ForwardService:
    """Listens on the host, in the namespace the agent was started in."""

    name = "forward"

    def __init__(self, loop: Loop, budget: Budget) -> None:
        # Because clients send as much as they like, what is copied for them gives way to names and commands.
        self._background, self._budget = Background(loop), budget
        self._listeners: dict[str, Listener] = {}
        self._forwards = Forwards()

    def reconcile(self, state: Snapshot) -> None:
        """Follow the published ports: connections to a port that moved keep their target, those of lost ones end."""
        self._forwards = Forwards(forwards(state.networks, state.endpoints))
        wanted = self._forwards.protocols()
        idle = not wanted and not self._listeners
        for protocol in self._listeners.keys() - wanted:
            self._listeners.pop(protocol).close()
        for protocol in wanted - self._listeners.keys():
            self._listeners[protocol] = self._listen(protocol)
        for listener in self._listeners.values():
            listener.prune()
        if not idle:
            self._lead()

    def _listen(self, protocol: str) -> Listener:
        if protocol == "tcp":
            return StreamListener(self._background, self._target, self._budget.connections)
        return DatagramListener(self._background, self._target, self._budget.flows)

    def ports(self) -> dict[str, int]:
        """The port of each protocol's socket; may be called by any thread."""
        return {protocol: listener.port for protocol, listener in list(self._listeners.items())}

    def _target(self, origin: Origin) -> Target | None:
        return self._forwards.target(origin)

    def _lead(self) -> None:
        proxy_redirect.redirect_to(self.ports())

    def needed(self) -> bool:
        """Whether any port is carried."""
        return bool(self._listeners)

    def close(self) -> None:
        """Close the sockets, and lead nothing there any more."""
        for listener in self._listeners.values():
            listener.close()
        if self._listeners:
            self._listeners.clear()
            self._lead()
