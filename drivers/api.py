"""The driver contract, and the value types that drivers receive.

A driver owns every network of its type and all kernel resources of those networks. It knows nothing of names,
stores or containers: it gets immutable values, acts on the kernel of the calling process's network namespace (the
*host*) and on sandboxes given by path, and raises `DriverError`. Two phases on purpose, as in Docker's libnetwork:
``create_endpoint`` reserves, ``join`` plumbs; ``join`` can be redone from the values at any time. Every ``delete_*``,
``leave`` and ``unpublish`` is idempotent, needs neither the process nor the namespace to be alive, goes on after
errors, and raises the first one at the end.
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
    """Base of all driver failures; ``str(error)`` is the text below Docker's prefix."""


class BadOption(DriverError):
    """An option's key or value is wrong for this driver."""


class Exists(DriverError):
    """The kernel object to be made is there already and is not ours."""


class Missing(DriverError):
    """An object the request depends on (parent interface, sandbox) is not there."""


class Busy(DriverError):
    """The object is in use: bridge full, port taken, link enslaved elsewhere."""


class Unsupported(DriverError):
    """This kernel or this driver cannot do it (missing module, operation not of this driver)."""


class NoPermission(DriverError):
    """Root or CAP_NET_ADMIN is missing."""


class KernelError(DriverError):
    """The kernel refused: which operation, on what object, with which errno."""

    def __init__(self, operation: str, target: str, errno: int) -> None:
        super().__init__(f"{operation} {target}: {os.strerror(errno).lower()}")
        self.operation, self.target, self.errno = operation, target, errno


class InterfaceRefused(KernelError):
    """The kernel would not have a sandbox's interface as asked: no interface may have such a MAC address."""


@dataclass(frozen=True, slots=True)
class Pool:
    """One subnet of a network. ``gateway`` is the bridge's own address, or None where the network has none."""

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
    """One published range, host side and container side of equal length; ports inclusive, ``protocol`` tcp|udp|sctp.

    ``host_ip`` is concrete; ``0.0.0.0`` and ``::`` mean every local address of the family.
    """

    protocol: str
    host_ip: IPAddress
    host_port: int
    host_port_end: int
    port: int
    port_end: int


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """A virtual interface that joins one sandbox to one network.

    ``siblings`` are the addresses of the sandbox's other endpoints.
    """

    id: str
    mac: str
    ipv4: IPv4Interface | None = None
    ipv6: IPv6Interface | None = None
    link_local: Sequence[IPInterface] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    ports: Sequence[PortBinding] = ()
    exposed: Sequence[tuple[str, int, int]] = ()  # protocol, first and last port; ranges apart from each other
    siblings: Sequence[IPAddress] = ()
    accept_ra: str = "0"  # the interface's net.ipv6.conf.*.accept_ra: routers are believed only where that was asked


Link = tuple[EndpointSpec, EndpointSpec]
"""A legacy link: who may reach whose exposed ports."""


Members = Sequence[tuple[NetworkSpec, Sequence[EndpointSpec]]]
"""Networks with endpoints of each."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What the records call for, of all networks of one driver on this host.

    ``networks`` and ``links`` are live. Those ``unsettled`` are being made or removed by other commands: what the
    kernel has of them is right, and so is what it lacks. ``saved_state`` are a driver's own words, kept for it. ``relay``
    says on which port the agent carries each protocol; it is None for a process that does not know.
    """

    networks: Members = ()
    unsettled: Members = ()
    links: Sequence[Link] = ()
    unsettled_links: Sequence[Link] = ()
    saved_state: Sequence[str] = ()
    relay: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference between what is desired and what the kernel has.

    ``kind`` is ``missing``, ``foreign`` (of another program), ``changed``, ``superseded`` (made by another version of
    hawse), or ``upkeep``: what is put right in the course of normal work, and no damage. ``opens`` says that packets
    may pass which must not. Equal differences are one difference seen twice; ``detail`` is the driver's own.
    """

    kind: str
    place: str
    what: str
    opens: bool = False
    detail: object = None


@dataclass(frozen=True, slots=True)
class Sandbox:
    """An isolated network stack, named by a path that opens its namespace (``/proc/PID/ns/net``, a bind mount).

    ``inode`` is the namespace's number, 0 where it is not known. A sandbox is entered only while the path still leads
    to that namespace (`drivers.linux.netns.netns_fd`).
    """

    id: str
    path: str
    inode: int = 0


@dataclass(frozen=True, slots=True)
class JoinInfo:
    """What a join gave: the interface's name in the sandbox, and the next hops its network offers.

    A network that is ``on_link`` is a way out without a next hop: everything may leave by the interface.
    """

    interface: str
    mac: str
    gateway4: IPv4Address | None = None
    gateway6: IPv6Address | None = None
    on_link: bool = False


@dataclass(frozen=True, slots=True)
class Peer:
    """An endpoint of a network on another host: inner MAC and addresses, and the underlay address of its host."""

    endpoint_id: str
    mac: str
    ipv4: IPv4Address | None
    ipv6: IPv6Address | None
    vtep: IPAddress


@dataclass(frozen=True, slots=True)
class OptionFacts:
    """One option of a driver (``-o key=value``), as completion offers it.

    ``kind`` names what the value is: ``text``, ``boolean``, ``interface`` (a name of one), ``flag`` (the key stands
    alone), else a name of the driver's choice, equal for options with equal ``values``. ``values`` are those that are
    offered, each with a description or "".
    """

    summary: str
    kind: str = "text"
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DriverFacts:
    """What the engine knows of a network type without asking for one of its networks.

    ``scope`` is ``local`` or ``swarm``. ``publishes_ports``: published ports of its endpoints lead to them, by its own
    doing or by docker_gwbridge. ``offers_gateway``: its endpoints have a way out. ``singleton``: the type has one
    network a host, which has no subnet, and no addresses and names for endpoints.
    """

    scope: str = "local"
    summary: str = ""
    publishes_ports: bool = False
    offers_gateway: bool = False
    singleton: bool = False
    options: Mapping[str, OptionFacts] = field(default_factory=dict)


@runtime_checkable
class Driver(Protocol):
    """What the engine may ask of every driver. All calls act in the calling process's network namespace.

    A driver's class declares ``facts``, a `DriverFacts`; one without has the default ones, and its own ``scope`` if it
    declares that.
    """

    type: str

    def check_network(self, network: NetworkSpec, others: Sequence[NetworkSpec]) -> None:
        """Refuse bad options and collisions before anything is touched; ``others`` are this driver's live networks."""

    def create_network(self, network: NetworkSpec) -> None:
        """Make the network's kernel objects; idempotent, so that an interrupted creation can be completed."""

    def delete_network(self, network: NetworkSpec) -> None:
        """Remove all that create_network made; idempotent."""

    def create_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Reserve what the endpoint needs outside any sandbox; idempotent."""

    def delete_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Release what create_endpoint reserved; idempotent."""

    def join(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox, interface: str) -> JoinInfo:
        """Plumb the endpoint into the sandbox as ``interface`` (up, addressed, default routes not set)."""

    def leave(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox | None) -> None:
        """Take the endpoint's interface out of the sandbox; idempotent, also when the sandbox is gone (None)."""


@runtime_checkable
class Publisher(Protocol):
    """Optional power: publish ports of an endpoint on the host."""

    def publish(self, network: NetworkSpec, endpoint: EndpointSpec, ports: Sequence[PortBinding]) -> None:
        """Make ``ports`` reachable; one atomic firewall transaction."""

    def unpublish(
        self, network: NetworkSpec, endpoint: EndpointSpec, ports: Sequence[PortBinding], *, leaving: bool = False
    ) -> None:
        """Take ``ports``, or parts of the endpoint's ranges, back and forget their connections; idempotent.

        Those of an endpoint that is ``leaving`` are left to `Driver.delete_endpoint`, which forgets all it has.
        """


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for all networks of this host.

    ``run`` is the directory of files that end with the boot. ``direct_routing``: neighbours may reach published ports
    at a container's own address, whatever host address they are published on. ``accept_mark``: packets with this
    firewall mark are let in, "mark" or "mark/mask", "" for none. ``forwarding``: a network that needs it switches
    forwarding between the host's interfaces on.
    """

    run: Path = Path("/run/hawse")
    direct_routing: bool = False
    accept_mark: str = ""
    forwarding: bool = True


@runtime_checkable
class Configurable(Protocol):
    """Optional power: heed the settings of this host."""

    def configure(self, settings: Settings) -> None:
        """Take the settings, before anything else is asked; what they change takes effect by `Repairer.repair`."""


@runtime_checkable
class Multihomed(Protocol):
    """Optional power: let a sandbox that has several endpoints send by one from the address of another."""

    def admit(self, siblings: Sequence[tuple[NetworkSpec, Sequence[IPAddress]]]) -> None:
        """Accept packets from these addresses by the networks they are named with; idempotent."""

    def dismiss(self, siblings: Sequence[tuple[NetworkSpec, Sequence[IPAddress]]]) -> None:
        """Accept no more packets from these addresses; idempotent."""


@runtime_checkable
class Linker(Protocol):
    """Optional power: let one endpoint of an icc=false network reach exposed ports of another (legacy links)."""

    def link(self, network: NetworkSpec, source: EndpointSpec, target: EndpointSpec) -> None:
        """Let ``source`` reach the exposed ports of ``target``; idempotent."""

    def unlink(self, network: NetworkSpec, source: EndpointSpec, target: EndpointSpec) -> None:
        """Take the permission back; idempotent."""


@runtime_checkable
class Repairer(Protocol):
    """Optional power: put right what others did to the host's shared kernel state (flushed rules, stale entries)."""

    def compare(self, desired: Desired) -> Sequence[Difference]:
        """Tell how the kernel differs from what is desired, nothing where it does not; changes nothing."""

    def repair(self, desired: Desired, found: Sequence[Difference]) -> None:
        """Put right what `compare` found, touching nothing else; live connections go on. Idempotent."""

    def saved_state(self) -> Sequence[str]:
        """What this process put into shared state that nothing else tells, for `repair` after a loss; mostly none."""

    def needs_repair(self) -> bool:
        """Tell at little cost whether shared state was lost since the last `repair`."""

    def watch(self) -> Watch:
        """Follow what other programs do to the shared state, in the calling thread's network namespace."""


@dataclass(frozen=True, slots=True)
class News:
    """What a `Watch` has heard since it was last asked.

    ``foreign`` is True where another program than hawse changed the shared state, and where that cannot be excluded;
    ``by`` names the last one ("nft (4711)", "" if unknown). ``lost`` is True where something of it was removed.
    ``own`` is True where hawse changed it.
    """

    foreign: bool = False
    lost: bool = False
    own: bool = False
    by: str = ""


class Watch(Protocol):
    """Notices changes of a driver's shared state. All calls come from one thread, which stays in its namespace."""

    def fileno(self) -> int:
        """The descriptor that is readable when there is news."""

    def read(self) -> News:
        """What has happened since the last call; never waits."""

    def missed(self) -> bool:
        """Tell at little cost whether something has happened that the last `read` did not tell."""

    def block(self, networks: Sequence[NetworkSpec], saved_state: Sequence[str]) -> None:
        """Let no new connection through these networks until `unblock`, whatever becomes of the shared state.

        Established connections go on. Idempotent.
        """

    def unblock(self) -> None:
        """End `block`; idempotent."""

    def close(self) -> None:
        """Let go of everything."""


@runtime_checkable
class HealthReporter(Protocol):
    """Optional power: tell what on this host stands in a network's way, which hawse must not touch."""

    def health_warnings(self, networks: Sequence[NetworkSpec]) -> Sequence[str]:
        """What others do that keeps these networks from working, a clause each; at little cost."""


@runtime_checkable
class PeerProgrammer(Protocol):
    """Optional power: reach the endpoints that a network has on other hosts."""

    def program_peers(self, network: NetworkSpec, peers: Sequence[Peer]) -> None:
        """Make the kernel's tables hold exactly these peers, touching only what differs; idempotent."""

    def add_peer(self, network: NetworkSpec, peer: Peer) -> None:
        """Add one peer; idempotent, and replaces what was known of its MAC and addresses."""

    def remove_peer(self, network: NetworkSpec, peer: Peer) -> None:
        """Remove one peer; idempotent, and leaves entries that name another host by now."""

    def verify(self, network: NetworkSpec, peers: Sequence[Peer], fix: bool) -> list[str]:
        """Tell how the kernel differs from these peers, a line each, none when equal; ``fix`` puts it right too."""


@runtime_checkable
class TunnelGuard(Protocol):
    """Optional power: keep packets of all but peers out of a network that others could send to, too."""

    def shut(self, network: NetworkSpec) -> None:
        """Do so, before other hosts hear that this one takes part in the network; idempotent."""
