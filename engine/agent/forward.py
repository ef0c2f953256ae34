"""The forwarder: published ports that address translation alone cannot serve, one service for all of them.

The kernel never routes ``::1`` off the loopback interface, and does not translate between families. So the agent itself
listens on the host for (1) ``::`` and IPv6 addresses published for an endpoint that has IPv4 only, and (2) ``::1``
published for an endpoint with IPv6, and copies to the container. The container sees its network's gateway as client,
as behind Docker's proxy. One listening socket a port: a range costs as many descriptors as it has ports.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address, ip_address, ip_interface
from typing import NamedTuple, Protocol

from engine.agent.datagram_relay import DatagramListener
from engine.agent.loop import Loop
from engine.agent.services import Snapshot
from engine.agent.stream_relay import StreamListener
from engine.model import EndpointRecord, NetworkRecord, PortRecord

Target = tuple[str, int]
"""Address and port in the sandbox."""


class Listen(NamedTuple):
    """Where the host listens: ``protocol`` is tcp or udp, ``address`` an IPv6 one."""

    protocol: str
    address: str
    port: int


class Listener(Protocol):
    """An open port; ``target`` may be changed while it serves (connections under way keep theirs)."""

    target: Target

    def close(self) -> None:
        """Close the port and all that came through it."""


GATEWAY_MODES = tuple(f"com.docker.network.bridge.gateway_mode_ipv{version}" for version in (4, 6))
KINDS: dict[str, Callable[[Loop, str, int, Target], Listener]] = {"tcp": StreamListener, "udp": DatagramListener}


class ForwardService:
    """Listens on the host, in the namespace the agent was started in."""

    name = "forward"

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._listeners: dict[Listen, Listener] = {}

    def reconcile(self, state: Snapshot) -> None:
        """Open, move and close ports by difference; one that is taken is reported and tried again next time."""
        translating = {n.id for n in state.networks if not n.internal and translates(n)}
        endpoints = [e for e in state.endpoints if e.phase == "live" and e.network_id in translating]
        wanted = {listen: target for e in endpoints for listen, target in forwards(e)}
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


def translates(network: NetworkRecord) -> bool:
    """Whether ports of a network are published by translation; a routed or isolated one's are not on the host."""
    options = network.options or {}
    return all(options.get(key, "nat").startswith("nat") for key in GATEWAY_MODES)


def forwards(endpoint: EndpointRecord) -> Iterator[tuple[Listen, Target]]:
    """The ports of one endpoint that need the forwarder."""
    for ports in endpoint.ports:
        address = _listen_address(ports, bool(endpoint.ipv6))
        inside = endpoint.ipv6 or endpoint.ipv4
        if address and inside and ports.protocol in KINDS:
            target = str(ip_interface(inside).ip)
            for offset in range(ports.host_port_end - ports.host_port + 1):
                yield Listen(ports.protocol, address, ports.host_port + offset), (target, ports.port + offset)


def _listen_address(ports: PortRecord, has_ipv6: bool) -> str:
    """The address to listen on, "" where address translation does it all."""
    address = ip_address(ports.host_ip)
    if not isinstance(address, IPv6Address):
        return ""
    if not has_ipv6:
        return str(address)
    return "::1" if address.is_unspecified or address.is_loopback else ""
