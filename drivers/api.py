"""The contract that every network driver fulfils, and the value types that drivers receive.

A driver owns every network of its type and all kernel resources of those networks. A driver does not know users' names,
the engine's database or containers. The engine gives the driver immutable values. The driver reports errors as
`DriverError`. A driver changes kernel objects in the calling process's network namespace (the *host*) and in sandboxes,
which are the network namespaces of containers. The engine gives the path of each sandbox.

Endpoints are set up in two phases, as in Docker's libnetwork. ``create_endpoint`` reserves what the endpoint needs
outside the sandbox. ``join`` adds the endpoint's interface to the sandbox, and can be repeated with the same values at
any time. The calls ``delete_*``, ``leave`` and ``unpublish`` are idempotent, and do not need the container's process or
network namespace. After an error, such a call does its remaining steps, and then raises the first error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct, field

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network


class DriverError(Exception):
    """Base class of all driver errors.

    ``str(error)`` is the text that hawse prints after Docker's prefix "Error response from daemon: ". ``hint`` says
    more about the cause, or what the user may do; only a terminal shows it.
    """

    def __init__(self, text: object = "", hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


class BadOption(DriverError):
    """A network or endpoint option has a key or value that this driver does not accept."""


class UnusableOption(BadOption):
    """An option has a value that dockerd's driver or the kernel refuses, for which Docker's API answers 500."""


class Exists(DriverError):
    """The kernel object to create already exists and was not made by hawse."""


class Missing(DriverError):
    """A required object (parent interface, sandbox) does not exist."""


class Busy(DriverError):
    """An object is in use: the bridge has its maximum number of ports, or the kernel reports the parent interface as
    busy (EBUSY).
    """


class Unsupported(DriverError):
    """This kernel or this driver does not support the operation (a kernel module is missing, for example)."""


class NoPermission(DriverError):
    """The process lacks the required privilege (root or CAP_NET_ADMIN)."""


class KernelError(DriverError):
    """The kernel refused an operation; the text names the operation and the object."""

    def __init__(self, operation: str, target: str, errno: int) -> None:
        super().__init__(f"{operation} {target}: {os.strerror(errno).lower()}")
        self.errno = errno


class InterfaceRefused(KernelError):
    """The kernel refused to create a sandbox's interface, because the requested MAC address is not valid."""


class Pool(Struct, frozen=True):
    """One subnet of a network. ``gateway`` is the network's gateway in this subnet, or None without a gateway.

    The gateway of a bridge network is the bridge's own address. The gateway of a macvlan or ipvlan network is a router.
    If ``next_hop`` is set, the default routes of a bridge network's endpoints lead to this router, not to ``gateway``.
    """

    subnet: IPNetwork
    gateway: IPInterface | None = None
    next_hop: IPAddress | None = None


class NetworkSpec(Struct, frozen=True):
    """The description of a network that the engine gives to the driver. ``options`` are the options that the user gave
    with -o, unknown keys included.
    """

    id: str
    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    pools: Sequence[Pool] = ()
    internal: bool = False
    ipv4: bool = True
    ipv6: bool = False


class PortBinding(Struct, frozen=True):
    """One published port range of the host and the equally long port range of the container.

    The last port of each range is part of the range. ``protocol`` is tcp, udp or sctp. ``host_ip`` is always set;
    ``0.0.0.0`` and ``::`` mean every local address of the family.
    """

    protocol: str
    host_ip: IPAddress
    host_port: int
    host_port_end: int
    port: int
    port_end: int


MAC_TEXT = len("02:42:00:00:00:00")


class EndpointSpec(Struct, frozen=True):
    """A virtual interface that connects one sandbox to one network.

    ``siblings`` are the addresses that the same sandbox has on other networks.
    """

    id: str
    mac: str
    ipv4: IPv4Interface | None = None
    ipv6: IPv6Interface | None = None
    link_local: Sequence[IPInterface] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    ports: Sequence[PortBinding] = ()
    exposed: Sequence[tuple[str, int, int]] = ()  # (protocol, first port, last port); port ranges do not overlap
    siblings: Sequence[IPAddress] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)  # the sysctls that the user chose, by path below /proc/sys

    @property
    def link_mac(self) -> str:
        """The MAC that the kernel gives to a link made with ``mac``: the first six bytes of a longer address."""
        return self.mac[:MAC_TEXT]


Link = tuple[EndpointSpec, EndpointSpec]
"""A legacy link (``--link``) as a pair of endpoints: the first endpoint may reach the exposed ports of the second."""


Members = Sequence[tuple[NetworkSpec, Sequence[EndpointSpec]]]
"""A list of networks, each with some of the network's endpoints."""


class Desired(Struct, frozen=True):
    """The state that the engine's database requires for all networks of one driver on this host.

    ``networks`` and ``links`` must exist. Other commands are now creating or removing the networks in ``unsettled`` and
    the links in ``unsettled_links``. A kernel object of such a network or link is correct whether it exists or not.
    ``saved_state`` holds the text lines that the driver's method `Repairer.saved_state` returned earlier. ``relay``
    maps a protocol to the port on which the agent's proxy for that protocol listens. ``relay`` is None in a process
    that does not know these ports.
    """

    networks: Members = ()
    unsettled: Members = ()
    links: Sequence[Link] = ()
    unsettled_links: Sequence[Link] = ()
    saved_state: Sequence[str] = ()
    relay: Mapping[str, int] | None = None


UP, ARP, MASTER, NAME, ISOLATED = "up", "arp", "master", "name", "isolated"
MAC, MTU, KIND, MODE = "mac", "mtu", "kind", "mode"
"""Values of `Difference.setting`. The other values are the flags of bridge ports (`drivers.linux.link`)."""


class Difference(Struct, frozen=True):
    """One difference between the desired state and the kernel's state.

    ``kind`` is one of:

    - ``missing``: a required object does not exist
    - ``foreign``: another program made the object
    - ``unexpected``: no record requires the object
    - ``changed``: the object exists, but differs from the required object
    - ``superseded``: a newer version of hawse made the object
    - ``upkeep``: a normal update is due; nothing is damaged

    ``place`` is the type of the object, or the table that contains it. ``what`` names the object in words. ``opens`` is
    True if the difference lets packets pass that must not pass. Two equal differences describe the same fault. Only the
    driver uses ``detail``.

    ``subject`` is the name of a link, an address, or the destination of a route; "" for other objects. If a setting of
    an existing link is wrong, ``setting`` names the setting. For a flag of a bridge port, ``value`` is the present
    value.
    """

    kind: str
    place: str
    what: str
    opens: bool = False
    detail: object = None
    subject: str = ""
    setting: str = ""
    value: int = 0

    @property
    def is_damage(self) -> bool:
        """True if an object is damaged; False for the kind ``upkeep`` (a normal update)."""
        return self.kind != "upkeep"

    @property
    def line(self) -> str:
        """The difference as a line for users, without its place."""
        return f"{self.kind}: {self.what}"


class Sandbox(Struct, frozen=True):
    """A container's network namespace, named by a path that opens it (``/proc/PID/ns/net`` or a bind mount).

    ``inode`` is the inode number of the network namespace, or 0 if unknown. Before a process enters the sandbox, it
    checks that the path still leads to that namespace (`drivers.linux.netns.netns_fd`).
    """

    id: str
    path: str
    inode: int = 0


class JoinInfo(Struct, frozen=True):
    """The result of a join: the interface's name in the sandbox, the interface's MAC, and the network's gateway
    addresses.

    If ``on_link`` is True, the default route leads out of the interface without a next hop.
    """

    interface: str
    mac: str
    gateway4: IPv4Address | None = None
    gateway6: IPv6Address | None = None
    on_link: bool = False


class Peer(Struct, frozen=True):
    """An endpoint of the same network on another host: the endpoint's MAC and addresses.

    ``vtep`` is the address of the other host on the underlay, the network between the hosts. ``tunnel`` is the other
    host's address inside the tunnels of encrypted networks. Several hosts may have published the same ``vtep``, but
    each host has a different ``tunnel``.
    """

    endpoint_id: str
    mac: str
    ipv4: IPv4Address | None
    ipv6: IPv6Address | None
    vtep: IPAddress
    tunnel: IPAddress | None = None


class OptionFacts(Struct, frozen=True):
    """One option of a driver (``-o key=value``), as shell completion offers it.

    ``kind`` is the type of the value: ``text``, ``boolean``, ``interface`` (an interface name) or ``flag`` (the key has
    no value). If the option accepts only fixed values, ``kind`` is a name that the driver gives to this set of values.
    Options with equal ``values`` have the same ``kind``. ``values`` maps each offered value to its description, or to
    "".
    """

    summary: str
    kind: str = "text"
    values: Mapping[str, str] = field(default_factory=dict)


class DriverFacts(Struct, frozen=True):
    """The properties of a network type, which the engine reads before it creates networks of that type.

    - ``scope`` is ``local`` or ``swarm``.
    - ``publishes_ports``: endpoints can publish ports, by the driver itself or through docker_gwbridge.
    - ``offers_gateway``: endpoints can reach other networks through this network.
    - ``singleton``: a host has only one network of this type. That network has no subnet, and its endpoints have no
      addresses and no names.
    - ``has_modes``: the interfaces have a mode, which a process in the sandbox can change.
    - ``has_parent``: the interfaces are subinterfaces of a host's interface, which the option ``parent`` names.
    - ``shares_mac``: the interfaces have the MAC address of their parent.
    - ``compares_mac``: `LinkRepairer.compare_endpoint` reports an interface with another MAC address.
    - ``owns_subnets``: only endpoints and gateways have addresses in the subnets of a network.
    - ``link_kinds`` are the kinds of links that the kernel must support.
    """

    scope: str = "local"
    summary: str = ""
    publishes_ports: bool = False
    offers_gateway: bool = False
    singleton: bool = False
    has_modes: bool = False
    has_parent: bool = False
    shares_mac: bool = False
    compares_mac: bool = False
    owns_subnets: bool = False
    link_kinds: Sequence[str] = ()
    options: Mapping[str, OptionFacts] = field(default_factory=dict)


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
    `DriverFacts`. A class with only an attribute ``scope`` gets these defaults with that scope.
    """

    type: str

    def check_network(self, network: NetworkSpec, others: Sequence[NetworkSpec]) -> None:
        """Raise an error for bad options and for conflicts with other networks; changes nothing.

        ``others`` are this driver's existing networks.
        """

    def create_network(self, network: NetworkSpec) -> None:
        """Create the network's kernel objects; idempotent, so a second call completes an interrupted creation."""

    def delete_network(self, network: NetworkSpec) -> None:
        """Remove all kernel objects that `create_network` made; idempotent."""

    def create_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Reserve what the endpoint needs outside any sandbox; idempotent."""

    def delete_endpoint(self, network: NetworkSpec, endpoint: EndpointSpec) -> None:
        """Release what `create_endpoint` reserved; idempotent."""

    def join(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox, interface: str) -> JoinInfo:
        """Add the endpoint's interface to the sandbox with the name ``interface``.

        The interface is up and has its addresses. No default route is added.
        """

    def leave(self, network: NetworkSpec, endpoint: EndpointSpec, sandbox: Sandbox | None) -> None:
        """Remove the endpoint's interface from the sandbox; idempotent.

        ``sandbox`` is None if the sandbox no longer exists.
        """


@runtime_checkable
class Publisher(Protocol, metaclass=_ExaminedOnce):
    """Optional driver protocol: publish ports of an endpoint on the host."""

    def publish(self, network: NetworkSpec, endpoint: EndpointSpec, ports: Sequence[PortBinding]) -> None:
        """Publish ``ports`` in one atomic firewall transaction."""

    def unpublish(
        self, network: NetworkSpec, endpoint: EndpointSpec, ports: Sequence[PortBinding], *, leaving: bool = False
    ) -> None:
        """Stop publishing ``ports`` and delete their conntrack entries; idempotent.

        A range in ``ports`` may be a part of a published range. With ``leaving``, the conntrack entries remain, and
        `Driver.delete_endpoint` later deletes all entries of the endpoint.
        """


@runtime_checkable
class BulkRemover(Protocol, metaclass=_ExaminedOnce):
    """Optional driver protocol: remove many kernel objects with few requests to the kernel."""

    def delete_endpoints(self, endpoints: Sequence[tuple[NetworkSpec, EndpointSpec]]) -> None:
        """Remove endpoints whose sandboxes no longer exist, with their published ports; idempotent.

        For each endpoint, the call does the work of `Publisher.unpublish`, `Driver.leave` and `Driver.delete_endpoint`.
        """

    def delete_networks(self, networks: Sequence[NetworkSpec]) -> None:
        """Remove all kernel objects of the networks, as `Driver.delete_network` does for each network; idempotent."""

    def retire_networks(self, networks: Sequence[NetworkSpec]) -> Sequence[str]:
        """Disable the networks, but leave the slow part of their removal to `delete_networks`; idempotent.

        Returns the ids of the networks that still have kernel objects. The caller later passes these networks to
        `delete_networks`, in `NetworkSpec` values that contain only the ids.
        """


class Settings(Struct, frozen=True):
    """The settings that apply to all networks of this host.

    - ``run`` is HAWSE_RUN, the directory of files that last until the next boot.
    - ``direct_routing``: if True, other machines on the host's networks can reach published ports at a container's own
      address. This includes ports that are published on a single host address, and excludes ports that are published on
      a loopback address.
    - ``accept_mark``: the firewall accepts packets with this firewall mark, written "mark" or "mark/mask"; "" for none.
    - ``forwarding``: if True, the driver enables forwarding between the host's interfaces for a network that needs it.
    """

    run: Path = Path("/run/hawse")
    direct_routing: bool = False
    accept_mark: str = ""
    forwarding: bool = True


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
        """Accept packets that a container sends with source addresses from its other networks; idempotent.

        Each item of ``siblings`` is a network, and the source addresses from which packets are accepted on that
        network.
        """

    def dismiss(self, siblings: Sequence[tuple[NetworkSpec, Sequence[IPAddress]]]) -> None:
        """Stop accepting packets that a container sends with source addresses from its other networks; idempotent.

        Each item of ``siblings`` is a network, and the source addresses that are no longer accepted on that network.
        """


@runtime_checkable
class Linker(Protocol, metaclass=_ExaminedOnce):
    """Optional driver protocol: legacy links (``--link``) on a network whose containers cannot reach each other
    (icc=false).

    A link allows one endpoint to reach the exposed ports of another endpoint.
    """

    def link(self, network: NetworkSpec, source: EndpointSpec, target: EndpointSpec) -> None:
        """Allow ``source`` to reach the exposed ports of ``target``; idempotent."""

    def unlink(self, network: NetworkSpec, source: EndpointSpec, target: EndpointSpec) -> None:
        """Stop ``source`` from reaching the exposed ports of ``target``; idempotent."""


@runtime_checkable
class Repairer(Protocol, metaclass=_ExaminedOnce):
    """Optional driver protocol: repair kernel state that all networks of a host share.

    Other programs may have changed that state, for example by flushing firewall rules.
    """

    def compare(self, desired: Desired) -> Sequence[Difference]:
        """Return the differences between the kernel and the desired state; changes nothing."""

    def repair(self, desired: Desired, differences: Sequence[Difference]) -> None:
        """Repair the ``differences`` that `compare` found, and change nothing else; idempotent.

        Live connections continue.
        """

    def saved_state(self) -> Sequence[str]:
        """Return lines of text that record the shared kernel state added by this process; usually no lines.

        The caller must store these lines, because no other record contains that state. `repair` later gets them in
        `Desired.saved_state`.
        """

    def needs_repair(self) -> bool:
        """Return whether another program has removed shared kernel state since the last `repair`. The check is fast."""

    def watch(self) -> Watch:
        """Start to watch the shared kernel state of the calling thread's network namespace, and return the watch."""


class News(Struct, frozen=True):
    """A summary of the changes that a `Watch` has seen since its last `read`.

    ``foreign`` is True if another program changed the shared kernel state, or if the watch may have missed such a
    change. ``by`` names the other program that made the latest change ("nft (4711)", "" if unknown). ``lost`` is True
    if a change by another program may have removed shared state. ``by_hawse`` is True if hawse changed the shared
    state.
    """

    foreign: bool = False
    lost: bool = False
    by_hawse: bool = False
    by: str = ""


class Watch(Protocol, metaclass=_ExaminedOnce):
    """A watch on the kernel state that a driver's networks share.

    All calls must come from one thread, which stays in the namespace where the watch started.
    """

    def fileno(self) -> int:
        """Return the file descriptor that becomes readable when changes can be read."""

    def read(self) -> News:
        """Return a summary of the changes since the last call of `read`; never blocks."""

    def missed(self) -> bool:
        """Return whether a change has happened for which `read` gets no notification. The check is fast."""

    def block(self, networks: Sequence[NetworkSpec], saved_state: Sequence[str]) -> None:
        """Block new connections through these networks until `unblock` is called; idempotent.

        New connections stay blocked even if another program removes the shared kernel state, such as firewall rules.
        Established connections continue. ``saved_state`` holds the lines that `Repairer.saved_state` returned.
        """

    def unblock(self) -> None:
        """Stop the blocking that `block` started; idempotent."""

    def close(self) -> None:
        """Close all resources of the watch."""


@runtime_checkable
class LinkRepairer(Protocol, metaclass=_ExaminedOnce):
    """Optional driver protocol: repair the links, addresses and sysctls of one network or of one endpoint.

    The engine makes these calls only for networks and endpoints that no command is creating or removing.
    """

    def watched(self, network: NetworkSpec) -> tuple[str, str]:
        """Return the network's link on the host, and the path of the network's own namespace. A missing value is ""."""

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
        """Repair the given ``differences`` of `compare_endpoint`; the sandbox's other objects stay as they are."""


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
        """Make the forwarding and neighbour tables contain exactly these peers (endpoints on other hosts); idempotent.

        Table entries that are already correct are not touched.
        """

    def add_peer(self, network: NetworkSpec, peer: Peer) -> None:
        """Add the table entries of one peer (an endpoint on another host); idempotent.

        Older entries for the peer's MAC or addresses are replaced.
        """

    def remove_peer(self, network: NetworkSpec, peer: Peer) -> None:
        """Remove the table entries of one peer (an endpoint on another host); idempotent.

        If an entry for the peer's MAC or address names a third host, the MAC or address has moved there. That entry
        remains.
        """

    def verify(
        self, network: NetworkSpec, peers: Sequence[Peer], fix: bool, *, tunnels: bool = True
    ) -> list[Difference]:
        """Return how the network's kernel objects and tables differ from what the network and its ``peers`` require.

        With ``fix``, the driver also repairs the differences. With ``tunnels``, each host to which the network's
        options have no tunnel is also a difference, which no repair can remove. The places are "namespace", "bridge",
        "interface", "address", "tunnel", "firewall" and "table".
        """


@runtime_checkable
class TunnelGuard(Protocol, metaclass=_ExaminedOnce):
    """Optional driver protocol: accept a network's tunnel packets only from hosts that have endpoints of that
    network.
    """

    def shut(self, network: NetworkSpec) -> None:
        """Block the network's tunnel packets from every host, except from the hosts of programmed peers; idempotent.

        The engine calls this method before other hosts learn that this host joins the network.
        """


def examine(driver: object) -> None:
    """Fill the cache `_examined` for a driver's class, by calling isinstance() with each driver protocol."""
    for protocol in (
        Driver, Publisher, BulkRemover, Configurable, Multihomed, Linker, Repairer, LinkRepairer, HealthReporter,
        PeerProgrammer, TunnelGuard,
    ):  # fmt: skip
        isinstance(driver, protocol)
