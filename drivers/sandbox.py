"""Operations inside a sandbox (a container's network namespace), the same for all drivers.

A function with a parameter ``sandbox`` moves the calling thread into the sandbox's network namespace, acts, and moves
the thread back. All other functions expect the calling thread in the sandbox (`inside`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from itertools import count
from typing import TypeVar

from msgspec.structs import replace

from drivers import link_comparison
from drivers.errors import BadOption
from drivers.linux import address, default_routes, link, names, neighbor, neighbor_announcement, netns, route, sysctl
from drivers.linux.default_routes import DefaultRoute
from drivers.linux.netlink import Session
from drivers.model import ARP, NAME, Difference, EndpointSpec, IPAddress, Sandbox

LOOPBACK_INDEX = 1  # lo is the first link of each network namespace
SYSCTLS_OPTION = "com.docker.network.endpoint.sysctls"
LOST = object()
"""A value of `Difference.detail`: the interface does not exist, so the endpoint must join again."""
T = TypeVar("T")


def inside(sandbox: Sandbox, action: Callable[[Session], T]) -> T:
    """Run ``action`` in the sandbox, with a netlink session of the sandbox, and return the result of ``action``.

    Raises `Missing` if the sandbox no longer exists.
    """

    def run() -> T:
        with Session() as opened:
            return action(opened)

    return netns.run_in_netns(sandbox.path, run, sandbox.inode)


def raise_loopback(sandbox: Sandbox) -> None:
    """Bring the sandbox's ``lo`` up; idempotent."""
    inside(sandbox, lambda opened: link.change(opened, LOOPBACK_INDEX, state="up"))


def configure(opened: Session, endpoint: EndpointSpec, interface: str) -> None:
    """Configure an interface (sysctls, addresses), and bring the interface and ``lo`` up.

    The kernel announces the addresses to the neighbours.
    """
    index = link.index(interface)
    for path, value in _sysctls(endpoint, interface).items():
        sysctl.write_if_present(path, value)
    for path, value in endpoint_sysctls(endpoint.options, interface).items():
        sysctl.write(path, value)
    link.change(opened, LOOPBACK_INDEX, state="up")
    for item in endpoint.all_addresses:
        address.add(opened, index, item)
    link.change(opened, index, state="up")


def compare(opened: Session, endpoint: EndpointSpec, interface: str) -> list[Difference]:
    """Return how an interface differs from the state that `configure` makes.

    Three results are special:

    - A lost interface gives one difference with the detail `LOST`. The caller must then join the endpoint again.
    - A renamed interface gives one difference. Its detail is the present name.
    - An interface that a user of the sandbox has put into a bond or bridge gives no difference.
    """
    endpoint = _with_chosen_families(endpoint, interface)
    present = link.find(opened, interface)
    if present is None:
        other = next(iter(_links_of(opened, endpoint)), None)
        if other is None:
            return [Difference("missing", "interface", interface, detail=LOST)]
        named = f"{interface} is named {other.name}"
        return [Difference("changed", "interface", named, detail=other.name, subject=interface, setting=NAME)]
    if _is_taken_over(present):
        return []
    down = [
        n
        for n, candidate in ((interface, present), ("lo", link.find(opened, "lo")))
        if candidate is not None and not candidate.up
    ]
    differences = [link_comparison.down("interface", name) for name in down]
    if present.kind == "veth" and not present.has_arp:
        differences.append(link_comparison.without_arp("interface", interface))
    wrong = _wrong_attributes(endpoint, present)
    if "address" in wrong:
        differences.append(link_comparison.wrong_mac("interface", interface, present.mac))
    if "mtu" in wrong:
        differences.append(link_comparison.small_mtu(interface, present.mtu))
    differences += link_comparison.addresses(opened, present.index, interface, endpoint.all_addresses)
    return differences + link_comparison.sysctls(_sysctls(endpoint, interface) | _chosen(endpoint, interface))


def is_taken_over(sandbox: Sandbox, interface: str) -> bool:
    """Return whether a user of the sandbox has put the interface into a bond or bridge.

    The bond or bridge then sets the interface's MAC and state. A repair would undo these changes, which the user wants.
    """
    return inside(sandbox, lambda opened: _is_taken_over(link.find(opened, interface)))


def _is_taken_over(present: link.Link | None) -> bool:
    return present is not None and present.master > 0


def repair(opened: Session, endpoint: EndpointSpec, interface: str, differences: Sequence[Difference]) -> None:
    """Repair the ``differences`` that `compare` returned, except a lost interface.

    Does nothing if a user of the sandbox has put the interface into a bond or bridge.
    """
    if _is_taken_over(link.find(opened, interface)):
        return
    for difference in differences:
        if difference.place == "interface" and isinstance(difference.detail, str):
            rename(opened, difference.detail, interface)
        if difference.setting == ARP:
            link.switch_arp_on(opened, link.index(interface))
    endpoint = _with_chosen_families(endpoint, interface)
    present = link.find(opened, interface)
    wrong = _wrong_attributes(endpoint, present) if present is not None else {}
    if present is not None and wrong:
        link.change(opened, present.index, **wrong)
    configure(opened, endpoint, interface)
    set_sysctls(_chosen(endpoint, interface))
    if any(difference.place == "route" for difference in differences):
        index = link.index(interface)
        for item in endpoint.all_addresses:
            route.add_connected(opened, item, index)
    announce(opened, endpoint, interface)


def _wrong_attributes(endpoint: EndpointSpec, present: link.Link) -> dict[str, str | int]:
    """Return the right value of each wrong attribute of a veth interface, by the attribute's name.

    ``address`` is the MAC. ``mtu`` is wrong only if the endpoint has an IPv6 address, and the MTU is so small that the
    kernel disables IPv6. A macvlan or ipvlan interface is not compared, because its MTU follows the parent's MTU.
    """
    wrong: dict[str, str | int] = {}
    if present.kind != "veth":
        return wrong
    if endpoint.mac and present.mac != endpoint.link_mac:
        wrong["address"] = endpoint.link_mac
    if present.mtu < link.LEAST_IPV6_MTU and _speaks_ipv6(endpoint):
        wrong["mtu"] = link.LEAST_IPV6_MTU
    return wrong


def announce(opened: Session, endpoint: EndpointSpec, interface: str) -> None:
    """Announce the interface's addresses to the neighbours, and delete the interface's unresolved neighbour entries.

    After a repair, packets in both directions then pass immediately. Otherwise, they would wait for the next ARP
    request or neighbour solicitation.
    """
    present = link.find(opened, interface)
    if present is not None:
        neighbor.forget_unresolved(opened, present.index)
        neighbor_announcement.announce(interface, ((present.mac, item.ip) for item in endpoint.all_addresses))


def is_lost(differences: Sequence[Difference]) -> bool:
    """Return whether ``differences`` say that an endpoint's interface, or the host end of its veth pair, is missing."""
    return any(difference.detail is LOST for difference in differences)


def discard(sandbox: Sandbox, endpoint: EndpointSpec) -> None:
    """Delete the endpoint's interface in the sandbox; idempotent.

    The caller calls `discard` if the other end of the interface's veth pair is lost.
    """

    def remove(opened: Session) -> None:
        for found in _links_of(opened, endpoint):
            link.delete(opened, found.name)

    inside(sandbox, remove)


def _links_of(opened: Session, endpoint: EndpointSpec) -> list[link.Link]:
    """Return the links in the sandbox that belong to the endpoint, even if they were renamed.

    These are the links with hawse's mark (alias) of the endpoint, and the veth links with the endpoint's MAC.
    """
    mark, mac = names.endpoint_mark(endpoint.id), endpoint.link_mac
    candidates = link.with_alias_or_mac(opened, mark, mac)
    return [found for found in candidates if found.alias == mark or (found.kind == "veth" and found.mac == mac)]


def _sysctls(endpoint: EndpointSpec, interface: str) -> dict[str, str]:
    """Return the sysctls that hawse sets for every interface, by path; the kernel may lack some of them.

    The interface ignores router advertisements, unless the user sets net.ipv6.conf.default.accept_ra for the container.
    Because of arp_notify and ndisc_notify, the kernel announces the interface's addresses when the interface comes up.
    """
    return {
        sysctl.conf("ipv6", interface, "disable_ipv6"): "0" if _speaks_ipv6(endpoint) else "1",
        sysctl.conf("ipv6", interface, "accept_ra"): endpoint.sysctls.get(
            sysctl.conf("ipv6", "default", "accept_ra"), "0"
        ),
        sysctl.conf("ipv4", interface, "arp_notify"): "1",
        sysctl.conf("ipv6", interface, "ndisc_notify"): "1",
    }


def _chosen(endpoint: EndpointSpec, interface: str) -> dict[str, str]:
    """Return the sysctls that the user set for this interface, as a mapping from paths below /proc/sys to values.

    The user sets sysctls by options of the container or of the endpoint. If both set a sysctl, the endpoint's value
    applies.
    """
    of_interface = [f"net/{family}/{kind}/{interface}/" for family in ("ipv4", "ipv6") for kind in ("conf", "neigh")]
    chosen = {path: value for path, value in endpoint.sysctls.items() if path.startswith(tuple(of_interface))}
    return chosen | endpoint_sysctls(endpoint.options, interface)


def _with_chosen_families(endpoint: EndpointSpec, interface: str) -> EndpointSpec:
    """Return the endpoint without IPv6 addresses if the container's sysctls have disabled IPv6 on the interface.

    In all other cases, returns the endpoint unchanged. As in Docker, the sysctl net.ipv6.conf.all.disable_ipv6 acts
    only on interfaces that exist when the container starts. Interfaces that join later have IPv6.
    """
    chosen = (endpoint.sysctls.get(sysctl.conf("ipv6", name, "disable_ipv6"), "0") for name in ("all", interface))
    if all(value == "0" for value in chosen) or _has_ipv6(interface):
        return endpoint
    return replace(endpoint, ipv6=None, link_local=tuple(item for item in endpoint.link_local if item.version == 4))


def _has_ipv6(interface: str) -> bool:
    """Return whether the kernel allows IPv6 on an interface."""
    return sysctl.read(sysctl.conf("ipv6", interface, "disable_ipv6")) in (None, "0")


def endpoint_sysctls(options: Mapping[str, str], interface: str) -> dict[str, str]:
    """Return the sysctls in the endpoint's driver options, with IFNAME replaced by the interface.

    The result maps paths below /proc/sys to values. An option has the form ``net.ipv4.conf.IFNAME.log_martians=1,…``.
    Raises `BadOption` for other forms.
    """
    sysctls = {}
    for item in filter(None, options.get(SYSCTLS_OPTION, "").split(",")):
        key, equals, value = item.partition("=")
        parts = key.split(".", 4)
        if not equals or len(parts) != 5 or parts[0] != "net" or parts[2] not in ("conf", "neigh", "iface"):
            raise BadOption(f"unrecognised network interface sysctl '{item}'")
        if parts[3].upper() != "IFNAME":  # Docker's client sends IFNAME in lower case with driver-opt=…
            raise BadOption(f"interface sysctl '{item}' must use 'IFNAME' as interface name")
        sysctls["/".join((*parts[:3], interface, parts[4]))] = value
    for path in sysctls:
        sysctl.user_path(path)
    return sysctls


def disables_ipv6(options: Mapping[str, str]) -> bool:
    """Return whether the endpoint's driver options disable IPv6 on its interface.

    As in Docker 28, such an endpoint gets no IPv6 address.
    """
    try:
        sysctls = endpoint_sysctls(options, "IFNAME")
    except BadOption:
        return False  # the option is malformed: the driver refuses it later
    return sysctls.get(sysctl.conf("ipv6", "IFNAME", "disable_ipv6"), "0") != "0"


def set_sysctls(values: Mapping[str, str]) -> None:
    """Set the sysctls in ``values``, which maps names to values.

    A name has dots or slashes. Raises `BadOption` for sysctls outside ``net``, and `KernelError` for sysctls that the
    kernel does not have.
    """
    paths = {sysctl.user_path(key): value for key, value in values.items()}
    for path, value in paths.items():
        sysctl.write(path, value)


def set_default_routes(
    sandbox: Sandbox,
    chosen: Sequence[DefaultRoute],
    offered: Sequence[DefaultRoute],
    protocol: int = default_routes.BOOT,
) -> None:
    """Make ``chosen`` (at most one per family) the sandbox's default routes; idempotent.

    ``offered`` are the default routes of all endpoints of the sandbox. Only hawse's own routes are replaced or removed.
    These routes have the protocol number ``protocol``, and the next hop or interface of an ``offered`` route. A chosen
    IPv6 route is left out if its interface has IPv6 disabled.
    """
    inside(sandbox, lambda opened: default_routes.synchronise(opened, _possible(chosen), offered, protocol))


def _possible(routes: Sequence[DefaultRoute]) -> Sequence[DefaultRoute]:
    """Return the routes that the kernel accepts: all except IPv6 routes through an interface with IPv6 disabled."""
    return [item for item in routes if item.version == 4 or _has_ipv6(item.interface)]


def lost_default_routes(
    sandbox: Sandbox,
    chosen: Sequence[DefaultRoute],
    offered: Sequence[DefaultRoute],
    protocol: int = default_routes.BOOT,
) -> list[Difference]:
    """Return a difference for each of the ``chosen`` default routes that the sandbox no longer has.

    ``offered`` and ``protocol`` are those of `set_default_routes`.
    """
    lost = inside(sandbox, lambda opened: default_routes.lost(opened, _possible(chosen), offered, protocol))
    return [
        Difference(
            "missing",
            "default route",
            f"via {lost_route.gateway or lost_route.interface}",
            subject=str(route.ANYWHERE[lost_route.version]),
        )
        for lost_route in lost
    ]


def free_name(sandbox: Sandbox, prefix: str, first: int, reserved: Collection[str] = ()) -> str:
    """Return the first unused interface name in the sandbox: ``prefix`` and a number, counted from ``first``.

    Example: "eth0", or "eth1" if the sandbox has an interface eth0. The names in ``reserved`` are regarded as used.
    """

    def find() -> str:
        candidates = (f"{prefix}{number}" for number in count(first))
        return next(name for name in candidates if name not in reserved and not link.index(name))

    return netns.run_in_netns(sandbox.path, find, sandbox.inode)


def rename(opened: Session, old: str, new: str) -> None:
    """Rename the interface ``old`` to ``new``; the interface is down for a moment.

    While it is down, the kernel deletes the interface's IPv6 addresses, and its routes through gateways.
    """
    index = link.index(old)
    link.change(opened, index, state="down")
    link.change(opened, index, ifname=new)
    link.change(opened, index, state="up")


def _speaks_ipv6(endpoint: EndpointSpec) -> bool:
    return endpoint.ipv6 is not None or any(a.version == 6 for a in endpoint.link_local)


def first_of_each_version(addresses: Iterable[IPAddress]) -> tuple[IPv4Address | None, IPv6Address | None]:
    """Return the first IPv4 address and the first IPv6 address; None for a version without an address."""
    known = list(addresses)
    first4 = next((address for address in known if isinstance(address, IPv4Address)), None)
    return first4, next((address for address in known if isinstance(address, IPv6Address)), None)
