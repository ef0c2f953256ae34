"""The ``null`` driver: the network ``none``, whose sandboxes have nothing but their own loopback."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.api import DriverFacts, EndpointSpec, Exists, JoinInfo, NetworkSpec, Sandbox
from drivers.sandbox import raise_loopback


class NullDriver:
    """One network without any kernel object outside the sandbox."""

    type = "null"
    facts = DriverFacts("local", "No network", singleton=True)

    def check_network(self, network: NetworkSpec, others: Sequence[NetworkSpec]) -> None:
        """Refuse a second network of this type, as Docker does."""
        if any(other.id != network.id for other in others):
            raise Exists(f'only one instance of "{self.type}" network is allowed')

    def create_network(self, network: NetworkSpec) -> None:
        """Make nothing."""

    def delete_network(self, network: NetworkSpec) -> None:
        """Remove nothing."""

    def create_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Reserve nothing."""

    def delete_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Release nothing."""

    def join(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox, interface: str) -> JoinInfo:
        """Bring the sandbox's loopback up; no interface is added."""
        raise_loopback(sandbox)
        return JoinInfo("", "")

    def leave(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox | None) -> None:
        """Leave the loopback as it is."""
