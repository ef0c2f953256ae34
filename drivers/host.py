"""The ``host`` driver: the network ``host``, whose endpoints use the host's own network namespace."""

from __future__ import annotations

from drivers.model import DriverFacts, EndpointSpec, JoinInfo, NetworkSpec, Sandbox
from drivers.null import NullDriver


class HostDriver(NullDriver):
    """The driver of the network ``host``, which adds no kernel objects to the host.

    The network's endpoints use the host's network namespace.
    """

    type = "host"
    facts = DriverFacts("local", "The host's network", singleton=True)

    def join(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox, interface: str) -> JoinInfo:
        """Do nothing, because the host itself manages its interfaces and its loopback; return an empty result."""
        return JoinInfo("", "")
