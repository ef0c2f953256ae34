"""The gateway bridge, docker_gwbridge, through which containers on overlay networks reach external networks.

The gateway bridge is an ordinary bridge network without communication between its containers. A sandbox joins the
gateway bridge while it has a non-internal overlay network and no other network with a gateway. The
record of a container does not list the gateway bridge, so inspect does not show the bridge among its networks.
"""

from __future__ import annotations

from collections.abc import Sequence

from drivers.registry import facts
from engine.model import ContainerRecord, NetworkRecord

NAME = "docker_gwbridge"
INGRESS_SANDBOX = "ingress-sbox"


def is_gateway(network: NetworkRecord) -> bool:
    """Return whether a network is the gateway bridge (docker_gwbridge)."""
    return network.name == NAME and network.driver == "bridge"


def is_needed(joined: Sequence[NetworkRecord]) -> bool:
    """Return whether a sandbox on these networks needs the gateway bridge (docker_gwbridge)."""
    outward = [n for n in joined if not n.internal and not is_gateway(n)]
    return any(n.driver == "overlay" for n in outward) and not any(facts(n.driver).offers_gateway for n in outward)


def shown_name(network: NetworkRecord, container: ContainerRecord) -> str:
    """Return the endpoint's name that inspect shows for a container on ``network``.

    On the gateway bridge, the name is built from the sandbox id. On other networks, the container's name is shown.
    """
    return f"gateway_{container.sandbox_id[:12]}" if is_gateway(network) else container.name
