"""The agent's port proxy service, for published ports without address translation (`drivers.firewall.proxied_ports`).

All published ports of a protocol (TCP or UDP) share one socket of the agent. The firewall redirects the ports to the
socket. The proxy learns the original port of each connection from connection tracking. As with Docker's proxy, the
container sees the gateway address of its network as the client's address.

The proxy has a loop in a thread of its own. When the agent sends to a container, the kernel may apply the firewall
rules of the container's namespace to the packet before the agent's system call returns. Slow rules must not delay DNS
and commands.
"""

from __future__ import annotations

from itertools import chain
from typing import Protocol

from drivers.firewall import proxy_redirect
from engine.agent.service import ResultCache, Snapshot
from engine.eventloop.descriptor_budget import DescriptorBudget
from engine.eventloop.loop_thread import LoopThread, close_all
from engine.portproxy.tcp import StreamListener
from engine.portproxy.udp import DatagramListener
from engine.ports.proxied import Forwards, Origin, Target, forwards_of, publishing


class ProxyListener(Protocol):
    """The proxy's listening socket for one protocol (TCP or UDP); the firewall redirects all proxied ports to it.

    The constructor makes the socket. All methods run in the proxy's thread.
    """

    port: int

    def start(self) -> None:
        """Serve clients from now on."""

    def prune(self) -> None:
        """Close the connections or flows of ports that are no longer published."""

    def close(self) -> None:
        """Close the socket and all its connections or flows."""


class ForwardService:
    """The port proxy service. It listens in the host's network namespace, where the agent was started."""

    name = "forward"

    def __init__(self, budget: DescriptorBudget) -> None:
        self._thread, self._budget = LoopThread("proxy"), budget
        self._listeners: dict[str, ProxyListener] = {}
        self._forwards, self._of_endpoints = Forwards(), ResultCache(forwards_of)

    def reconcile(self, state: Snapshot) -> None:
        """Update the listeners from the published ports in ``state``.

        If a port now has another target, its existing TCP connections keep the old target. Connections of ports that
        are no longer published are closed soon.
        """
        self._of_endpoints.update(publishing(state.networks, state.endpoints))
        self._forwards = Forwards(chain.from_iterable(self._of_endpoints.results.values()))
        protocols = self._forwards.protocols()
        idle = not protocols and not self._listeners
        for protocol in self._listeners.keys() - protocols:
            self._thread.call(self._listeners.pop(protocol).close)
        for protocol in protocols - self._listeners.keys():
            self._thread.start()
            self._listeners[protocol] = self._listen(protocol)
            self._thread.call(self._listeners[protocol].start)
        for listener in self._listeners.values():
            self._thread.call(listener.prune)
        if not idle:
            proxy_redirect.redirect_to(self.ports())

    def _listen(self, protocol: str) -> ProxyListener:
        if protocol == "tcp":
            return StreamListener(self._thread.loop, self._target, self._budget.connections)
        return DatagramListener(self._thread.loop, self._target, self._budget.flows)

    def ports(self) -> dict[str, int]:
        """Return the port of the proxy's socket for each protocol; safe to call from any thread."""
        return {protocol: listener.port for protocol, listener in list(self._listeners.items())}

    def _target(self, origin: Origin) -> Target | None:
        return self._forwards.target(origin)

    def needed(self) -> bool:
        """Return whether any port is proxied."""
        return bool(self._listeners)

    def close(self) -> None:
        """Close the sockets, and remove the firewall rules that redirect packets to them; blocks up to 0.1 s."""
        for listener in self._listeners.values():
            self._thread.call(listener.close)
        if self._listeners:
            self._listeners.clear()
            proxy_redirect.redirect_to({})
        close_all([self._thread])
