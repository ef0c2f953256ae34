"""What the gateway bridge, docker_gwbridge, is: how containers of overlay networks reach the world.

It is an ordinary bridge network (without communication between its containers) that a sandbox joins while one of its
networks is an overlay with a way out and none of them brings a gateway of its own. No attachment of a container names
it, so it never shows among the container's networks.
"""

from __future__ import annotations

from collections.abc import Sequence

from drivers.registry import facts
from engine.model import ContainerRecord, NetworkRecord

NAME = "docker_gwbridge"
INGRESS_SANDBOX = "ingress-sbox"


def is_gateway(network: NetworkRecord) -> bool:
    """Whether a network is the gateway bridge."""
    return network.name == NAME and network.driver == "bridge"


def is_needed(joined: Sequence[NetworkRecord]) -> bool:
    """Whether a sandbox on these networks needs the gateway bridge."""
    outward = [n for n in joined if not n.internal and not is_gateway(n)]
    return any(n.driver == "overlay" for n in outward) and not any(facts(n.driver).offers_gateway for n in outward)


def shown_name(network: NetworkRecord, container: ContainerRecord) -> str:
    """What inspect calls a container's endpoint: on the gateway bridge by its sandbox, else by the container."""
    return f"gateway_{container.sandbox_id[:12]}" if is_gateway(network) else container.name
