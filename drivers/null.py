"""The ``null`` driver: sandboxes on its network ``none`` have only a loopback interface."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.errors import Exists
from drivers.model import DriverFacts, EndpointSpec, JoinInfo, NetworkSpec, Sandbox
from drivers.sandbox import raise_loopback


class NullDriver:
    """The driver of the network ``none``, which has no kernel object outside the sandbox.

    A host has at most one network of this type.
    """

    type = "null"
    facts = DriverFacts("local", "No network", singleton=True)

    def check_network(self, network: NetworkSpec, others: Sequence[NetworkSpec]) -> None:
        """Check that no other network of this type exists, as Docker does; raises `Exists`."""
        if any(other.id != network.id for other in others):
            raise Exists(f'only one instance of "{self.type}" network is allowed')

    def create_network(self, network: NetworkSpec) -> None:
        """Do nothing, because the network has no kernel objects."""

    def delete_network(self, network: NetworkSpec) -> None:
        """Do nothing, because the network has no kernel objects."""

    def create_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Do nothing, because the endpoint needs nothing outside the sandbox."""

    def delete_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Do nothing, because `create_endpoint` reserves nothing."""

    def join(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox, interface: str) -> JoinInfo:
        """Bring the sandbox's loopback up; the result is empty, because no interface is added."""
        raise_loopback(sandbox)
        return JoinInfo("", "")

    def leave(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox | None) -> None:
        """Do nothing; the sandbox's loopback stays up."""
