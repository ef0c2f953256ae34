"""The values that drivers receive and return: networks, endpoints, sandboxes, differences, settings and properties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path

from msgspec import Struct, field

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network


class Pool(Struct, frozen=True):
    """One subnet of a network. ``gateway`` is the network's gateway in this subnet, or None without a gateway.

    The gateway of a bridge network is the bridge's own address. The gateway of a macvlan or ipvlan network is a router.
    If ``next_hop`` is set, the default routes of a bridge network's endpoints lead to this router, not to ``gateway``.
    """

    subnet: IPNetwork
    gateway: IPInterface | None = None
    next_hop: IPAddress | None = None


class NetworkSpec(Struct, frozen=True):
    """The description of a network that the engine gives to the driver.

    ``options`` are the options that the user gave with -o, unknown keys included, and the options that the engine adds.
    ``pools`` are the network's subnets. ``internal`` is True for a network without a connection to the outside.
    ``ipv4`` and ``ipv6`` say which address families the network has.
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

    ``host_port`` to ``host_port_end`` is the host's range, and ``port`` to ``port_end`` is the container's. The last
    port of each range is part of the range. ``host_port`` is 0 if the network's gateway mode uses no host port.
    ``protocol`` is tcp, udp or sctp. ``host_ip`` is always set; ``0.0.0.0`` and ``::`` mean every local address of the
    family.
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

    - ``mac`` is "" if the interface has no MAC of its own.
    - ``link_local`` are the additional link-local addresses that the user chose.
    - ``options`` are the endpoint's driver options.
    - ``ports`` are the endpoint's published ports.
    - ``exposed`` are the endpoint's exposed ports, each as (protocol, first port, last port), without overlaps.
    - ``siblings`` are the addresses that the same sandbox has on other networks.
    - ``sysctls`` are the sysctls that the user set for the container, by path below /proc/sys.
    """

    id: str
    mac: str
    ipv4: IPv4Interface | None = None
    ipv6: IPv6Interface | None = None
    link_local: Sequence[IPInterface] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    ports: Sequence[PortBinding] = ()
    exposed: Sequence[tuple[str, int, int]] = ()
    siblings: Sequence[IPAddress] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)

    @property
    def addresses(self) -> list[IPInterface]:
        """The addresses in subnets of the network, IPv4 first."""
        return [address for address in (self.ipv4, self.ipv6) if address is not None]

    @property
    def all_addresses(self) -> list[IPInterface]:
        """The addresses in subnets of the network, and the additional link-local addresses."""
        return [*self.addresses, *self.link_local]

    @property
    def link_mac(self) -> str:
        """The MAC of a link that was created with ``mac``; the kernel uses only the first six bytes of ``mac``."""
        return self.mac[:MAC_TEXT]


Link = tuple[EndpointSpec, EndpointSpec]
"""A legacy link (``--link``) as a pair of endpoints: the first endpoint may reach the exposed ports of the second."""


Members = Sequence[tuple[NetworkSpec, Sequence[EndpointSpec]]]
"""A list of networks, each with some of the network's endpoints."""


class Desired(Struct, frozen=True):
    """The state that the engine's database requires for all networks of one driver on this host.

    A link is a legacy link (``--link``), a pair of two endpoints. The state has two parts:

    - ``networks`` and ``links`` must exist. Each network is paired with its endpoints that must exist.
    - ``unsettled`` and ``unsettled_links`` may exist or be missing, usually because another command is now creating or
      removing them. Each network is paired with its endpoints that may exist or be missing. If a network must exist,
      but some of its endpoints may be missing, the network is in both ``networks`` and ``unsettled``.

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

    The other fields are:

    - ``place``: the type of the object, or the table that contains the object
    - ``what``: a description of the object in words
    - ``opens``: whether the difference lets packets pass that must not pass
    - ``detail``: a value that only the driver uses
    - ``subject``: the name of a link, an address, or the destination of a route; "" for other objects
    - ``setting``: the name of the wrong setting of an existing link, or ""
    - ``value``: the present value of a bridge port's flag

    Two equal differences describe the same fault.
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
        """The difference as a line of text for users; the line does not contain ``place``."""
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
    """The result of a join: the interface's name in the sandbox, its MAC, and the network's gateway addresses.

    ``gateway4`` and ``gateway6`` are None for an address family without a gateway. If ``on_link`` is True, the default
    route leads out of the interface without a next hop.
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

    @property
    def addresses(self) -> list[IPAddress]:
        """The endpoint's addresses, IPv4 first."""
        return [address for address in (self.ipv4, self.ipv6) if address is not None]


class OptionFacts(Struct, frozen=True):
    """One option of a driver (``-o key=value``), as shell completion offers it.

    - ``kind`` is the type of the value: ``text``, ``boolean``, ``interface`` (an interface name) or ``flag`` (the key
      has no value). If the option accepts only fixed values, ``kind`` is a name that the driver chooses for this set of
      values. Options with equal ``values`` have the same ``kind``.
    - ``values`` maps each offered value to its description, or to "".
    """

    summary: str
    kind: str = "text"
    values: Mapping[str, str] = field(default_factory=dict)


class DriverFacts(Struct, frozen=True):
    """The properties of a network type, which the engine reads before it creates networks of that type.

    - ``scope`` is ``local`` or ``swarm``.
    - ``summary`` describes the type in completion and in the reference.
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
    - ``options`` are the options that the driver knows, by name.
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


class Settings(Struct, frozen=True):
    """The settings that apply to all networks of this host.

    - ``run`` is HAWSE_RUN, the directory of files that last until the next boot.
    - ``direct_routing``: whether other machines can reach a published port at the container's own address too. The
      setting concerns only the gateway mode "nat", and only ports that are published on one host address. If that host
      address is a loopback address, the port stays closed at the container's own address. A port that is published on
      all addresses is always open at the container's own address.
    - ``accept_mark``: the firewall accepts packets with this firewall mark, written "mark" or "mark/mask"; "" for none.
    - ``forwarding``: if True, the driver enables forwarding between the host's interfaces for a network that needs it.
    """

    run: Path = Path("/run/hawse")
    direct_routing: bool = False
    accept_mark: str = ""
    forwarding: bool = True


class News(Struct, frozen=True):
    """A summary of the changes that a `Watch` has seen since its last `read`.

    - ``foreign``: another program changed the shared kernel state, or the watch may have missed such a change
    - ``lost``: a change by another program may have removed shared state
    - ``by_hawse``: hawse changed the shared state
    - ``by``: the other program that made the latest change ("nft (4711)", "" if unknown)
    """

    foreign: bool = False
    lost: bool = False
    by_hawse: bool = False
    by: str = ""
