"""The DNS settings of each sandbox (SandboxView), computed only from the local store's records. Opens no socket and no
file.

The rules are those of Docker's embedded resolver:

- The resolver serves sandboxes on a user-defined network.
- Networks are searched in the order of `engine.endpoints.sandbox.gateway_priority`.
- Links are aliases that only one sandbox knows.
- Names that no network has are forwarded to the container's ``--dns`` servers or to the host's servers. If all networks
  of the container are internal, queries are sent only from the sandbox, and reach only servers on these networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from drivers.registry import facts
from engine.agent.service import ResultCache, Snapshot
from engine.dns.wire import PORT
from engine.endpoints.sandbox import Rank, disables_ipv6, gateway_priority
from engine.errors import EngineError
from engine.model import ContainerRecord, EndpointRecord, NetworkAttachment, NetworkRecord
from engine.names import is_container_mode, reaches_stub
from engine.resolv_conf import (
    HostFiles,
    Overrides,
    ResolvConf,
    Transform,
    Upstream,
    address_families,
    resolv_conf,
)
from engine.runtime.credentials import normalised

PUBLISHED = "published"
"""The group (`SandboxView.neighbours`) of the sandboxes that ask a published port of another sandbox."""
MAX_UPSTREAMS = 3  # name servers, as many as resolv.conf(5) allows (MAXNS)


class LinkAlias(Struct, frozen=True):
    """A legacy link (--link): on one network, one sandbox may use the name ``alias`` for the container ``target``."""

    alias: str
    target: str
    network_id: str


class SandboxView(Struct, frozen=True):
    """The networks, links and upstream servers of one sandbox.

    - ``netns_inode``: the expected inode of the network namespace, or 0 for any.
    - ``pid``: a process of the sandbox, or 0 if none is known.
    - ``pid_start``: the start time of this process in clock ticks since boot.
    - ``networks``: network ids in search order.
    - ``ndots``: True if the user set ndots; names of one label are then not forwarded.
    - ``adopted``: True if hawse did not create the namespace, which then remains after the sandbox has ended.
    - ``apart``: True if the sandbox's own firewall rules may delay the agent when it sends there.
    - ``neighbours``: "" if the firewall rules of other sandboxes cannot delay the agent when it forwards queries of
      this sandbox. Otherwise, the group of sandboxes that the same rules may delay: a network's id, or `PUBLISHED`.
    """

    id: str
    netns_path: str
    netns_inode: int = 0
    pid: int = 0
    pid_start: int = 0
    networks: tuple[str, ...] = ()
    links: tuple[LinkAlias, ...] = ()
    upstreams: tuple[Upstream, ...] = ()
    ndots: bool = False
    adopted: bool = False
    apart: bool = False
    neighbours: str = ""


class Administered(NamedTuple):
    """The administered sandboxes, in which other programs than hawse may make firewall rules, and the ways to them.

    - ``joined``: the inodes of the sandboxes that a container with CAP_NET_ADMIN has joined.
    - ``networks``: the ids of the networks on which an administered sandbox is. This sandbox may get packets of all
      other members, because it can claim to have the gateway's address.
    - ``servers``: the host addresses whose port 53 leads to an administered sandbox. A wildcard (0.0.0.0 or ::) means
      every address of the host.
    """

    joined: frozenset[int] = frozenset()
    networks: frozenset[str] = frozenset()
    servers: frozenset[str] = frozenset()


class Defaults(Struct, frozen=True):
    """The DNS settings for containers that have none of their own.

    ``host`` has the host's resolv.conf files. ``dns`` and ``options`` are the keys dns and dns-opts of daemon.json.
    """

    host: HostFiles = HostFiles()
    dns: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


class ContainerView(NamedTuple):
    """The DNS settings of a container's sandbox.

    ``is_named`` is True if the sandbox is on a network where containers find each other by name. Any other sandbox gets
    no new resolver, but keeps a resolver that it already has.
    """

    view: SandboxView
    is_named: bool


class Views(ResultCache[ContainerView]):
    """The DNS settings of all sandboxes that exist now, except those in the host's network namespace.

    ``results`` maps a container's id to the settings.
    """

    def __init__(self) -> None:
        super().__init__(lambda c, endpoints, n, defaults: _view(c, endpoints, n, defaults, self._administered))
        self._administered = Administered()

    def follow(self, state: Snapshot, defaults: Defaults) -> dict[str, ContainerView]:
        """Update ``results`` from a snapshot of the local store; return the settings that are new or have changed.

        The returned dict maps a container's id to the settings of its sandbox. ``defaults`` are for containers without
        DNS settings of their own.
        """
        networks = {network.id: network for network in state.networks}
        administered = _administered(state)
        if administered != self._administered:
            for container in _concerned(state, self._administered, administered):
                self.forget(container.id)
            self._administered = administered
        return self.update(state.joined, networks, defaults)


def has_names(network: NetworkRecord) -> bool:
    """Return whether containers on this network find each other by name."""
    return not network.predefined and not facts(network.driver).singleton


def _is_open(container: ContainerRecord) -> bool:
    """Return whether the container's sandbox exists now.

    The path of the sandbox in the container's record does not show this, because the path remains after the container
    has ended.
    """
    return bool(container.sandbox_path) and (container.pid != 0 or container.kind == "adopted")


def sandbox_id(container: ContainerRecord) -> str:
    """Return the id of a container's sandbox, or the container's id if the record has no sandbox id."""
    return container.sandbox_id or container.id


def _view(
    container: ContainerRecord,
    endpoints: Sequence[EndpointRecord],
    networks: Mapping[str, NetworkRecord],
    defaults: Defaults,
    administered: Administered,
) -> ContainerView | None:
    if not _is_open(container) or container.host.network_mode == "host":
        return None
    joined = [endpoint for endpoint in endpoints if endpoint.network_id in networks]
    members = [networks[endpoint.network_id] for endpoint in joined]
    conf = servers(container, defaults, **address_families(_usable(container, joined)))
    upstreams = _upstreams(members, conf)
    apart = _is_administered(container, administered.joined)
    searched = sorted((n for n in members if has_names(n)), key=lambda n: _search_key(n, container))
    view = SandboxView(
        id=sandbox_id(container),
        netns_path=container.sandbox_path,
        netns_inode=container.sandbox_inode,
        pid=container.pid,
        pid_start=container.pid_start,
        networks=tuple(n.id for n in searched),
        links=tuple(_links(container, searched)),
        upstreams=upstreams,
        ndots=conf.ndots_from not in ("", "internal"),
        adopted=container.kind == "adopted",
        apart=apart,
        neighbours="" if apart else _neighbours(container, joined, upstreams, administered),
    )
    return ContainerView(view, bool(searched))


def _may_administer(container: ContainerRecord) -> bool:
    """Return whether the container's programs may have CAP_NET_ADMIN, with which they can make firewall rules."""
    host = container.host
    added = normalised(host.cap_add) if host.cap_add else set()
    return host.privileged or container.administered or not added.isdisjoint(("ALL", "NET_ADMIN"))


def _is_administered(container: ContainerRecord, joined: frozenset[int]) -> bool:
    """Return whether other programs than hawse may make firewall rules in the container's sandbox.

    ``joined`` has the inodes of the sandboxes that a container with CAP_NET_ADMIN has joined.
    """
    return container.kind == "adopted" or _may_administer(container) or container.sandbox_inode in joined


def _administered(state: Snapshot) -> Administered:
    guests = (container for container in state.containers if is_container_mode(container.host.network_mode))
    joined = frozenset(guest.sandbox_inode for guest in guests if guest.sandbox_inode and _may_administer(guest))
    endpoints = [e for container, owned in state.joined if _is_administered(container, joined) for e in owned]
    ports = (ports for endpoint in endpoints for ports in endpoint.ports)
    servers = frozenset(p.host_ip for p in ports if p.host_port <= PORT <= p.host_port_end)
    return Administered(joined, frozenset(endpoint.network_id for endpoint in endpoints), servers)


def _concerned(state: Snapshot, before: Administered, after: Administered) -> Iterator[ContainerRecord]:
    """Yield the containers whose settings may differ because the administered sandboxes have changed.

    Because a host may have thousands of containers, the other containers are not yielded. For example, a change on one
    network concerns only the members of this network.
    """
    joined, networks = before.joined ^ after.joined, before.networks ^ after.networks
    for container, endpoints in state.joined:
        asks = before.servers != after.servers and container.host.dns
        if asks or container.sandbox_inode in joined or any(e.network_id in networks for e in endpoints):
            yield container


def _neighbours(
    container: ContainerRecord,
    endpoints: Iterable[EndpointRecord],
    upstreams: Sequence[Upstream],
    administered: Administered,
) -> str:
    """Return the value of `SandboxView.neighbours`: "" if no forwarded query can reach an administered sandbox.

    The kernel applies the rules of the sandbox that a query reaches before the agent's system call returns. A query may
    reach an administered sandbox in two ways:

    - on a common network, unless the agent asks all upstream servers from the host
    - by a published port, if the container has servers of its own (--dns)
    """
    common = [e.network_id for e in endpoints if e.network_id in administered.networks]
    if common and not all(upstream.on_host for upstream in upstreams):
        return min(common)
    servers = [ip_address(u.address.partition("%")[0]) for u in upstreams] if container.host.dns else []
    published = {ip_address(text) for text in administered.servers}
    everywhere = {address.version for address in published if address.is_unspecified}
    return PUBLISHED if any(s in published or s.version in everywhere for s in servers) else ""


def _usable(container: ContainerRecord, endpoints: Iterable[EndpointRecord]) -> list[EndpointRecord]:
    """Return the endpoints, without the IPv6 addresses that the container's sysctls disable.

    The sysctls can disable IPv6 for all interfaces or for an endpoint's interface. If no endpoint keeps an IPv6
    address, the sandbox cannot reach DNS servers with IPv6 addresses. The agent then sends the queries for these
    servers from the host's network namespace. Docker 26.1.5 sends them from the container, without success.
    """
    return [replace(e, ipv6="") if disables_ipv6(container, "all", e.interface) else e for e in endpoints]


def _upstreams(members: Sequence[NetworkRecord], conf: ResolvConf) -> tuple[Upstream, ...]:
    first = conf.upstreams[:MAX_UPSTREAMS]
    leads_out = any(not n.internal for n in members)
    return tuple(upstream for upstream in first if leads_out or not upstream.on_host)


def _search_key(network: NetworkRecord, container: ContainerRecord) -> Rank:
    attachment = _attachment(container, network)
    return gateway_priority(network, attachment.settings.gw_priority if attachment else 0)


def _attachment(container: ContainerRecord, network: NetworkRecord) -> NetworkAttachment | None:
    for attachment in container.attachments:
        if attachment.network_id == network.id or (not attachment.network_id and attachment.network == network.name):
            return attachment
    return None


def _links(container: ContainerRecord, searched: Iterable[NetworkRecord]) -> Iterable[LinkAlias]:
    for network in searched:
        attachment = _attachment(container, network)
        for text in (attachment.settings.links or ()) if attachment else ():
            target, _, alias = text.rpartition(":")
            target, alias = target.strip("/"), alias.rpartition("/")[2]
            yield LinkAlias(alias, target or alias, network.id)


def servers(container: ContainerRecord, defaults: Defaults, *, ipv4: bool = True, ipv6: bool) -> ResolvConf:
    """Return the upstream DNS servers and the DNS options of a container.

    Each of the two comes from the container's own settings, otherwise from daemon.json, otherwise from the host's
    resolv.conf. ``ipv4`` and ``ipv6`` say whether the sandbox has IPv4 addresses and IPv6 addresses.
    """
    dns, options = tuple(container.host.dns or defaults.dns), tuple(container.host.dns_options or defaults.options)
    return _servers(defaults.host, reaches_stub(container.host.network_mode), dns, options, ipv4, ipv6)


@lru_cache(maxsize=64)
def _servers(
    host: HostFiles, reaches_stub: bool, dns: tuple[str, ...], options: tuple[str, ...], ipv4: bool, ipv6: bool
) -> ResolvConf:
    """Return the upstream servers and options for these DNS settings; the result is empty if a server is invalid.

    The results are cached, because many containers have the same settings.

    - ``host``: the host's resolv.conf files.
    - ``reaches_stub``: whether the container's queries reach a server on the host's loopback interface.
    - ``dns``: the servers to use instead of the host's servers; () for the host's servers.
    - ``options``: the DNS options to use instead of the host's options; () for the host's options.
    - ``ipv4`` and ``ipv6``: whether the sandbox has addresses of this IP version.
    """
    _, text = host.chosen(reaches_stub=reaches_stub)
    try:
        return resolv_conf(text, Transform.INTERNAL, Overrides(dns, (), options), ipv4=ipv4, ipv6=ipv6)
    except EngineError:
        return ResolvConf()  # a server address is invalid, so the queries of this container are not forwarded
