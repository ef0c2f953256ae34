"""The driver contract, and the value types that drivers receive.

A driver owns every network of its type and all kernel resources of those networks. It knows nothing of names, stores or
containers. It receives immutable values and raises `DriverError`. It acts on the kernel of the calling process's
network namespace (the *host*) and on sandboxes given by path.

Endpoints are set up in two phases, as in Docker's libnetwork: ``create_endpoint`` reserves, ``join`` plumbs. ``join``
can be repeated from the values at any time. Every ``delete_*``, ``leave`` and ``unpublish`` is idempotent and works
without the container's process and network namespace. It continues after errors and raises the first one at the end.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import Protocol, runtime_checkable

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network


class DriverError(Exception):
    """Base class of all driver errors; ``str(error)`` is the message that follows Docker's prefix."""


class BadOption(DriverError):
    """A network or endpoint option has a key or value that this driver does not accept."""


class Exists(DriverError):
    """The kernel object to create already exists and was not made by hawse."""


class Missing(DriverError):
    """A required object (parent interface, sandbox) does not exist."""


class Busy(DriverError):
    """The object is in use: the bridge is full, the port is taken, or the link belongs to another bridge."""


class Unsupported(DriverError):
    """This kernel or this driver does not support the operation (a kernel module is missing, for example)."""


class NoPermission(DriverError):
    """The process lacks the required privilege: root or CAP_NET_ADMIN."""


class KernelError(DriverError):
    """The kernel refused an operation; the error holds the operation, the object and the errno."""

    def __init__(self, operation: str, target: str, errno: int) -> None:
        super().__init__(f"{operation} {target}: {os.strerror(errno).lower()}")
        self.operation, self.target, self.errno = operation, target, errno


class InterfaceRefused(KernelError):
    """The kernel refused a sandbox's interface because no interface may have such a MAC address."""


@dataclass(frozen=True, slots=True)
class Pool:
    """One subnet of a network. ``gateway`` is the bridge's own address, or None if the network has no gateway."""

    subnet: IPNetwork
    gateway: IPInterface | None = None


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A network as its driver sees it. ``options`` are the user's -o labels, unknown keys included."""

    id: str
    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    pools: Sequence[Pool] = ()
    internal: bool = False
    ipv4: bool = True
    ipv6: bool = False


@dataclass(frozen=True, slots=True)
class PortBinding:
    """One published port range; host side and container side have equal length, and the last ports are included.

    ``protocol`` is tcp, udp or sctp. ``host_ip`` is always set; ``0.0.0.0`` and ``::`` mean every local address of the
    family.
    """

    protocol: str
    host_ip: IPAddress
    host_port: int
    host_port_end: int
    port: int
    port_end: int


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """A virtual interface that connects one sandbox to one network.

    ``siblings`` are the addresses of the sandbox's other endpoints.
    """

    id: str
    mac: str
    ipv4: IPv4Interface | None = None
    ipv6: IPv6Interface | None = None
    link_local: Sequence[IPInterface] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    ports: Sequence[PortBinding] = ()
    exposed: Sequence[tuple[str, int, int]] = ()  # (protocol, first port, last port); the ranges do not overlap
    siblings: Sequence[IPAddress] = ()
    accept_ra: str = "0"  # value of net.ipv6.conf.*.accept_ra; routers are accepted only on request


Link = tuple[EndpointSpec, EndpointSpec]
"""A legacy link: the first endpoint may reach the exposed ports of the second."""


Members = Sequence[tuple[NetworkSpec, Sequence[EndpointSpec]]]
"""Networks, each with some of its endpoints."""


@dataclass(frozen=True, slots=True)
class Desired:
    """The state that the records require for all networks of one driver on this host.

    ``networks`` and ``links`` are live. Other commands are creating or removing the ``unsettled`` ones, so their kernel
    objects may exist or be missing. ``saved_state`` holds lines that the driver itself returned earlier. ``relay`` maps
    each protocol to the port where the agent proxies it; it is None in a process that does not know these ports.
    """

    networks: Members = ()
    unsettled: Members = ()
    links: Sequence[Link] = ()
    unsettled_links: Sequence[Link] = ()
    saved_state: Sequence[str] = ()
    relay: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between the desired state and the kernel's state.

    ``kind`` is one of:

    - ``missing``
    - ``foreign``: made by another program
    - ``changed``
    - ``superseded``: made by another version of hawse
    - ``upkeep``: a normal update, not damage

    ``opens`` is True if packets may pass that must not pass. Equal differences are the same difference seen twice. Only
    the driver uses ``detail``.
    """

    kind: str
    place: str
    what: str
    opens: bool = False
    detail: object = None


@dataclass(frozen=True, slots=True)
class Sandbox:
    """An isolated network stack, named by a path that opens its namespace (``/proc/PID/ns/net``, a bind mount).

    ``inode`` is the inode number of the network namespace, or 0 if unknown. A sandbox is entered only while the path
    still leads to that namespace (`drivers.linux.netns.netns_fd`).
    """

    id: str
    path: str
    inode: int = 0


@dataclass(frozen=True, slots=True)
class JoinInfo:
    """The result of a join: the interface's name in the sandbox, its MAC, and the next hops of the network.

    With ``on_link``, the network routes all traffic out of the interface without a next hop.
    """

    interface: str
    mac: str
    gateway4: IPv4Address | None = None
    gateway6: IPv6Address | None = None
    on_link: bool = False


@dataclass(frozen=True, slots=True)
class Peer:
    """An endpoint of a network on another host: its MAC, its addresses, and the underlay address of its host."""

    endpoint_id: str
    mac: str
    ipv4: IPv4Address | None
    ipv6: IPv6Address | None
    vtep: IPAddress


@dataclass(frozen=True, slots=True)
class OptionFacts:
    """One option of a driver (``-o key=value``), as shell completion offers it.

    ``kind`` is the kind of the value: ``text``, ``boolean``, ``interface`` (an interface name) or ``flag`` (the key has
    no value). Any other kind is a name that the driver chooses. Options with equal ``values`` use the same name.
    ``values`` maps the offered values to their descriptions, or to "".
    """

    summary: str
    kind: str = "text"
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DriverFacts:
    """The properties of a network type that the engine needs without asking about one of its networks.

    - ``scope`` is ``local`` or ``swarm``.
    - ``publishes_ports``: endpoints can publish ports, by the driver itself or through docker_gwbridge.
    - ``offers_gateway``: endpoints can reach other networks through this network.
    - ``singleton``: a host has only one network of this type. It has no subnet, and its endpoints have no addresses and
      no names.
    """

    scope: str = "local"
    summary: str = ""
    publishes_ports: bool = False
    offers_gateway: bool = False
    singleton: bool = False
    options: Mapping[str, OptionFacts] = field(default_factory=dict)


@runtime_checkable
class Driver(Protocol):
    """The calls that every driver implements. All calls run in the calling process's network namespace.

    A driver's class has an attribute ``facts`` (`DriverFacts`). A class without it has the default facts, with the
    class's own ``scope`` if it has one.
    """

    type: str

    def check_network(self, network: NetworkSpec, others: Sequence[NetworkSpec]) -> None:
        """Raise an error for bad options and conflicts; changes nothing.

        ``others`` are this driver's live networks.
        """

    def create_network(self, network: NetworkSpec) -> None:
        """Create the network's kernel objects; idempotent, so that an interrupted creation can be completed."""

    def delete_network(self, network: NetworkSpec) -> None:
        """Remove all that `create_network` made; idempotent."""

    def create_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Reserve what the endpoint needs outside any sandbox; idempotent."""

    def delete_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Release what `create_endpoint` reserved; idempotent."""

    def join(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox, interface: str) -> JoinInfo:
        """Add the endpoint to the sandbox as ``interface``: up, with addresses, without default routes."""

    def leave(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox | None) -> None:
        """Remove the endpoint's interface from the sandbox; idempotent.

        ``sandbox`` is None if the sandbox no longer exists.
        """


@runtime_checkable
class Publisher(Protocol):
    """Optional driver protocol: publish ports of an endpoint on the host."""

    def publish(self, network: NetworkSpec, endpoint: EndpointSpec, ports: Sequence[PortBinding]) -> None:
        """Publish ``ports`` in one atomic firewall transaction."""

    def unpublish(
        self, network: NetworkSpec, endpoint: EndpointSpec, ports: Sequence[PortBinding], *, leaving: bool = False
    ) -> None:
        """Unpublish ``ports``, or parts of the endpoint's ranges, and delete their conntrack entries; idempotent.

        With ``leaving``, the conntrack entries are left to `Driver.delete_endpoint`, which deletes all of the
        endpoint's.
        """


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that apply to all networks of this host.

    - ``run`` is HAWSE_RUN, the directory of files that last until the next boot.
    - ``direct_routing``: neighbours may reach published ports at a container's own address, on whatever host address the
      ports are published.
    - ``accept_mark``: packets with this firewall mark are accepted; "mark" or "mark/mask", "" for none.
    - ``forwarding``: the driver enables forwarding between the host's interfaces if a network needs it.
    """

    run: Path = Path("/run/hawse")
    direct_routing: bool = False
    accept_mark: str = ""
    forwarding: bool = True


@runtime_checkable
class Configurable(Protocol):
    """Optional driver protocol: apply the settings of this host."""

    def configure(self, settings: Settings) -> None:
        """Store the settings, before any other call; `Repairer.repair` applies their changes to the kernel."""


@runtime_checkable
class Multihomed(Protocol):
    """Optional driver protocol: let a sandbox with several endpoints send by one from the address of another."""

    def admit(self, siblings: Sequence[tuple[NetworkSpec, Sequence[IPAddress]]]) -> None:
        """Accept packets from these addresses on the networks listed with them; idempotent."""

    def dismiss(self, siblings: Sequence[tuple[NetworkSpec, Sequence[IPAddress]]]) -> None:
        """Stop accepting packets from these addresses; idempotent."""


@runtime_checkable
class Linker(Protocol):
    """Optional driver protocol: legacy links between endpoints of an icc=false network.

    A link lets one endpoint reach the exposed ports of another.
    """

    def link(self, network: NetworkSpec, source: EndpointSpec, target: EndpointSpec) -> None:
        """Let ``source`` reach the exposed ports of ``target``; idempotent."""

    def unlink(self, network: NetworkSpec, source: EndpointSpec, target: EndpointSpec) -> None:
        """Remove the permission; idempotent."""


@runtime_checkable
class Repairer(Protocol):
    """Optional driver protocol: repair the host's shared kernel state after other programs changed it.

    Examples are flushed rules and stale entries.
    """

    def compare(self, desired: Desired) -> Sequence[Difference]:
        """Return how the kernel differs from the desired state, or an empty sequence; changes nothing."""

    def repair(self, desired: Desired, differences: Sequence[Difference]) -> None:
        """Repair what `compare` found and change nothing else; idempotent. Live connections continue."""

    def saved_state(self) -> Sequence[str]:
        """Return what this process added to shared state and no record holds, for `repair`; usually empty."""

    def needs_repair(self) -> bool:
        """Return whether shared state was lost since the last `repair`; a fast check."""

    def watch(self) -> Watch:
        """Start to watch other programs' changes of the shared state, in the calling thread's network namespace."""


@dataclass(frozen=True, slots=True)
class News:
    """Changes that a `Watch` has seen since its last `read`.

    ``foreign`` is True if another program changed the shared state, or if that cannot be excluded. ``by`` names the
    last such program ("nft (4711)", "" if unknown). ``lost`` is True if shared state was removed. ``own`` is True if
    hawse changed it.
    """

    foreign: bool = False
    lost: bool = False
    own: bool = False
    by: str = ""


class Watch(Protocol):
    """Detects changes of a driver's shared state. All calls come from one thread, which stays in its namespace."""

    def fileno(self) -> int:
        """Return the file descriptor that becomes readable when there are changes."""

    def read(self) -> News:
        """Return the changes since the last call; never blocks."""

    def missed(self) -> bool:
        """Return whether a change happened that the last `read` did not report; a fast check."""

    def block(self, networks: Sequence[NetworkSpec], saved_state: Sequence[str]) -> None:
        """Block new connections through these networks until `unblock`, whatever happens to the shared state.

        Established connections continue. Idempotent.
        """

    def unblock(self) -> None:
        """End the blocking that `block` started; idempotent."""

    def close(self) -> None:
        """Close all resources of the watch."""


@runtime_checkable
class HealthReporter(Protocol):
    """Optional driver protocol: report obstacles on this host that hawse must not change."""

    def health_warnings(self, networks: Sequence[NetworkSpec]) -> Sequence[str]:
        """Return what other programs do that stops these networks, one clause each; a fast check."""


@runtime_checkable
class PeerProgrammer(Protocol):
    """Optional driver protocol: reach a network's endpoints on other hosts."""

    def program_peers(self, network: NetworkSpec, peers: Sequence[Peer]) -> None:
        """Program exactly these peers into the kernel's tables, changing only what differs; idempotent."""

    def add_peer(self, network: NetworkSpec, peer: Peer) -> None:
        """Add one peer, replacing earlier entries of its MAC and addresses; idempotent."""

    def remove_peer(self, network: NetworkSpec, peer: Peer) -> None:
        """Remove one peer; idempotent. Entries that now name another host are kept."""

    def verify(self, network: NetworkSpec, peers: Sequence[Peer], fix: bool) -> list[str]:
        """Return how the kernel differs from these peers, one line each; with ``fix``, repair it too."""


@runtime_checkable
class TunnelGuard(Protocol):
    """Optional driver protocol: accept a network's tunnel packets only from its peers."""

    def shut(self, network: NetworkSpec) -> None:
        """Block all senders but the admitted peers; idempotent.

        Called before other hosts learn that this host joins the network.
        """
