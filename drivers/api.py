"""The contract that every network driver fulfils. `drivers.model` has the values, and `drivers.errors` the errors.

A driver owns every network of its type and all kernel resources of those networks. A driver does not know users' names,
the engine's database or containers. The engine gives the driver immutable values. The driver reports errors as
`DriverError`. A driver changes kernel objects in the calling process's network namespace (the *host*) and in sandboxes,
which are the network namespaces of containers. The engine gives the path of each sandbox.

Endpoints are set up in two phases, as in Docker's libnetwork. ``create_endpoint`` checks the endpoint's options, and
reserves what the endpoint needs outside the sandbox. ``join`` adds the endpoint's interface to the sandbox, and can be
repeated with the same values at any time. The calls ``delete_*``, ``leave`` and ``unpublish`` are idempotent, and do
not need the container's process or network namespace. After an error, such a call does its remaining steps, and then
raises the first error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from drivers.model import (
    Desired,
    Difference,
    EndpointSpec,
    IPAddress,
    JoinInfo,
    NetworkSpec,
    News,
    Peer,
    PortBinding,
    Sandbox,
    Settings,
)

_examined: dict[tuple[type, type], bool] = {}
"""Cached results of isinstance(), by protocol and class of driver."""


class _ExaminedOnce(type(Protocol)):  # type: ignore[misc]
    """The metaclass of the driver protocols. It caches the result of isinstance() for each class of driver.

    Python 3.11 needs 25 us for each isinstance() with a protocol, and the result for a class does not change.
    """

    def __instancecheck__(cls, instance: Any) -> bool:
        key = cls, type(instance)
        known = _examined.get(key)
        if known is None:
            known = _examined[key] = super().__instancecheck__(instance)
        return known


@runtime_checkable
class Driver(Protocol, metaclass=_ExaminedOnce):
    """The calls that every driver implements. All calls run in the calling process's network namespace.

    A driver's class has an attribute ``facts`` (`DriverFacts`). A class without ``facts`` gets the defaults of
    `DriverFacts`. The attribute ``scope`` of such a class replaces the default scope.
    """

    type: str

    def check_network(self, network: NetworkSpec, others: Sequence[NetworkSpec]) -> None:
        """Check a new network for bad options and for conflicts with ``others``; raises `DriverError`. Changes nothing.

        ``others`` are this driver's existing networks.
        """

    def create_network(self, network: NetworkSpec) -> None:
        """Create the network's kernel objects; idempotent, so a second call completes an interrupted creation."""

    def delete_network(self, network: NetworkSpec) -> None:
        """Remove all kernel objects that `create_network` made; idempotent."""

    def create_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Check the endpoint's options, and reserve what the endpoint needs outside any sandbox; idempotent."""

    def delete_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Remove the endpoint's kernel objects that are in no sandbox, such as its bridge port; idempotent."""

    def join(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox, interface: str) -> JoinInfo:
        """Add the endpoint's interface to the sandbox; return the interface's name and MAC, and the network's gateways.

        The interface gets the name ``interface``. It is up and has its addresses. No default route is added.
        """

    def leave(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox | None) -> None:
        """Remove the endpoint's interface from the sandbox; idempotent.

        ``sandbox`` is None if the sandbox no longer exists.
        """


@runtime_checkable
class Publisher(Protocol, metaclass=_ExaminedOnce):
    """Optional driver protocol: publish ports of an endpoint on the host."""

    def publish(self, network: NetworkSpec, endpoint: EndpointSpec, ports: Sequence[PortBinding]) -> None:
        """Make the endpoint reachable at the published ``ports``, in one atomic firewall transaction."""

    def unpublish(
        self, network: NetworkSpec, endpoint: EndpointSpec, ports: Sequence[PortBinding], *, leaving: bool = False
    ) -> None:
        """Stop publishing ``ports``, and delete the conntrack entries of the flows to these ports; idempotent.

        A range in ``ports`` may be a part of a published range. ``leaving`` is True if the endpoint is deleted next.
        The conntrack entries then remain, because `Driver.delete_endpoint` deletes all entries of the endpoint.
        """


@runtime_checkable
class BulkRemover(Protocol, metaclass=_ExaminedOnce):
    """Optional driver protocol: remove many kernel objects with few requests to the kernel."""

    def delete_endpoints(self, endpoints: Sequence[tuple[NetworkSpec, EndpointSpec]]) -> None:
        """Remove endpoints and unpublish their ports; idempotent. The endpoints' sandboxes no longer exist.

        For each endpoint, the call does the work of `Publisher.unpublish`, `Driver.leave` and `Driver.delete_endpoint`.
        """

    def delete_networks(self, networks: Sequence[NetworkSpec]) -> None:
        """Remove all kernel objects of the networks, as `Driver.delete_network` does for each network; idempotent."""

    def retire_networks(self, networks: Sequence[NetworkSpec]) -> Sequence[str]:
        """Stop the traffic of networks, as the first part of their removal; idempotent.

        Returns the ids of the networks that still have kernel objects. Later, the caller passes these networks to
        `delete_networks` for the slow part of the removal, in `NetworkSpec` values that contain only the ids.
        """


@runtime_checkable
class Configurable(Protocol, metaclass=_ExaminedOnce):
    """Optional driver protocol: apply the settings of this host."""

    def configure(self, settings: Settings) -> None:
        """Store the settings; the engine makes this call before any other call.

        A changed setting takes effect in the kernel when `Repairer.repair` runs.
        """


@runtime_checkable
class Multihomed(Protocol, metaclass=_ExaminedOnce):
    """Optional driver protocol for containers with endpoints on several networks.

    Such a container may send a packet through one endpoint with the source address of another endpoint. The driver must
    not drop this packet as spoofed.
    """

    def admit(self, siblings: Sequence[tuple[NetworkSpec, Sequence[IPAddress]]]) -> None:
        """Let containers send packets on one network from their addresses on another network; idempotent.

        Each item of ``siblings`` is the network on which the packets are sent, and the source addresses to accept.
        """

    def dismiss(self, siblings: Sequence[tuple[NetworkSpec, Sequence[IPAddress]]]) -> None:
        """No longer let containers send packets on one network from their addresses on another network; idempotent.

        Each item of ``siblings`` is the network on which the packets are sent, and the source addresses that are no
        longer accepted.
        """


@runtime_checkable
class Linker(Protocol, metaclass=_ExaminedOnce):
    """Optional driver protocol: legacy links (``--link``) on a network with icc=false.

    The containers of such a network cannot reach each other. A link allows one endpoint to reach the exposed ports of
    another endpoint.
    """

    def link(self, network: NetworkSpec, source: EndpointSpec, target: EndpointSpec) -> None:
        """Allow ``source`` to reach the exposed ports of ``target``, but no other ports of ``target``; idempotent."""

    def unlink(self, network: NetworkSpec, source: EndpointSpec, target: EndpointSpec) -> None:
        """Stop ``source`` from reaching the exposed ports of ``target``; idempotent."""


@runtime_checkable
class Repairer(Protocol, metaclass=_ExaminedOnce):
    """Optional driver protocol: repair kernel state that all networks of a host share.

    Other programs may have changed that state, for example by flushing firewall rules.
    """

    def compare(self, desired: Desired) -> Sequence[Difference]:
        """Return the differences between the shared kernel state and the desired state; changes nothing."""

    def repair(self, desired: Desired, differences: Sequence[Difference]) -> None:
        """Repair the ``differences`` that `compare` found, and change nothing else; idempotent.

        Live connections continue.
        """

    def saved_state(self) -> Sequence[str]:
        """Return lines of text that record the shared kernel state added by this process; usually no lines.

        An example is a sysctl that the driver changed to enable IP forwarding. The caller must store these lines,
        because no other record contains that state. `repair` later gets them in `Desired.saved_state`.
        """

    def needs_repair(self) -> bool:
        """Return whether another program has removed shared kernel state since the last `repair`. The check is fast."""

    def watch(self) -> Watch:
        """Start to watch the kernel state that a driver's networks share, and return the watch.

        Firewall rules are an example of such state. Only the calling thread's network namespace is watched.
        """


class Watch(Protocol, metaclass=_ExaminedOnce):
    """A watch on the kernel state that a driver's networks share.

    All calls must come from one thread, which stays in the namespace where the watch started.
    """

    def fileno(self) -> int:
        """Return the file descriptor that becomes readable when changes can be read."""

    def read(self) -> News:
        """Return a summary of the changes since the last call of `read`; never blocks."""

    def missed(self) -> bool:
        """Return whether the kernel has made a change without a notification to this watch. The check is fast."""

    def block(self, networks: Sequence[NetworkSpec], saved_state: Sequence[str]) -> None:
        """Block new connections through these networks until `unblock` is called; idempotent.

        New connections stay blocked even if another program removes the shared kernel state, such as firewall rules.
        Established connections continue. ``saved_state`` holds the lines that `Repairer.saved_state` returned.
        """

    def unblock(self) -> None:
        """Let new connections through the networks again, after a call of `block`; idempotent."""

    def close(self) -> None:
        """Close all resources of the watch."""


@runtime_checkable
class LinkRepairer(Protocol, metaclass=_ExaminedOnce):
    """Optional driver protocol: repair the links, addresses and sysctls of one network or of one endpoint.

    The engine makes these calls only for networks and endpoints that no command is creating or removing.
    """

    def watched(self, network: NetworkSpec) -> tuple[str, str]:
        """Return (name of the network's link on the host, path of the network's own namespace); a missing value is "".

        The agent watches this link and this namespace for changes by other programs. It may call this method from
        another thread, during any other call.
        """

    def compare_network(self, network: NetworkSpec, publishing: Sequence[EndpointSpec]) -> Sequence[Difference]:
        """Return the differences between the network's kernel objects and those that `create_network` makes.

        Endpoints are not compared. ``publishing`` are the network's endpoints with published ports.
        """

    def repair_network(self, network: NetworkSpec, endpoints: Sequence[EndpointSpec]) -> None:
        """Repair the differences that `compare_network` finds, and attach the ``endpoints`` again; idempotent.

        Other faults of an endpoint remain until `repair_endpoint` repairs them.
        """

    def compare_endpoint(
        self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox, interface: str
    ) -> Sequence[Difference]:
        """Return how the endpoint's interface differs from the interface that `join` makes.

        Raises `Missing` if the sandbox no longer exists.
        """

    def repair_endpoint(
        self,
        network: NetworkSpec,
        endpoint: EndpointSpec,
        sandbox: Sandbox,
        interface: str,
        differences: Sequence[Difference],
    ) -> None:
        """Repair the ``differences`` that `compare_endpoint` found, and change nothing else in the sandbox."""


@runtime_checkable
class HealthReporter(Protocol, metaclass=_ExaminedOnce):
    """Optional driver protocol: report other programs' settings, such as firewall rules, that stop hawse's traffic.

    hawse must not change these settings itself.
    """

    def health_warnings(self, networks: Sequence[NetworkSpec]) -> Sequence[str]:
        """Return warnings about other programs' settings that stop the traffic of these networks. The check is fast.

        Each warning is a clause that the caller puts into a sentence.
        """


@runtime_checkable
class PeerProgrammer(Protocol, metaclass=_ExaminedOnce):
    """Optional driver protocol: program the peers of a network, which are the network's endpoints on other hosts."""

    def program_peers(self, network: NetworkSpec, peers: Sequence[Peer]) -> None:
        """Make the forwarding and neighbour tables contain exactly these peers; idempotent.

        Table entries that are already correct are not touched.
        """

    def add_peer(self, network: NetworkSpec, peer: Peer) -> None:
        """Add the table entries of one peer; idempotent.

        Older entries for the peer's MAC or addresses are replaced. Raises `Missing` if the network is not up on this
        host.
        """

    def remove_peer(self, network: NetworkSpec, peer: Peer) -> None:
        """Remove the table entries of one peer; idempotent.

        If the peer's MAC or address has moved to a third host, the entry for that host remains.
        """

    def verify(
        self, network: NetworkSpec, peers: Sequence[Peer], fix: bool, *, tunnels: bool = True
    ) -> list[Difference]:
        """Return how the network's kernel objects and tables differ from what the network and its ``peers`` require.

        With ``fix``, the driver also repairs the differences. An encrypted network needs a tunnel to the host of each
        peer. With ``tunnels``, each missing tunnel is a difference too, but ``fix`` cannot repair this difference.
        `Difference.place` is "namespace", "bridge", "interface", "address", "sysctl", "tunnel", "firewall" or "table".
        """


@runtime_checkable
class TunnelGuard(Protocol, metaclass=_ExaminedOnce):
    """Optional driver protocol: accept a network's tunnel packets only from hosts with endpoints of the network."""

    def shut(self, network: NetworkSpec) -> None:
        """Block the network's tunnel packets, except from the hosts of programmed peers; idempotent.

        Programmed peers are those that calls of `PeerProgrammer` have added. The engine calls this method before other
        hosts learn that this host joins the network.
        """


def examine(driver: object) -> None:
    """Cache the result of isinstance() for ``driver`` and each driver protocol, so that later calls are fast."""
    for protocol in (
        Driver, Publisher, BulkRemover, Configurable, Multihomed, Linker, Repairer, LinkRepairer, HealthReporter,
        PeerProgrammer, TunnelGuard,
    ):  # fmt: skip
        isinstance(driver, protocol)
