"""What each sandbox may see, as pure data from the store's records; opens no socket and no file.

Rules of Docker's embedded resolver: it serves sandboxes on a user-defined network; networks are searched in the order
of `engine.endpoints.priority`; links are aliases of one sandbox; names the networks don't know go to the container's ``--dns``
servers or to the host's, unless all its networks are internal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from drivers.registry import facts
from engine.endpoints.sandbox import Rank, gateway_priority
from engine.errors import EngineError
from engine.etc_files.resolv_conf import Overrides, ResolvConf, Transform, Upstream, resolv_conf
from engine.model import ContainerRecord, EndpointRecord, NetworkAttachment, NetworkRecord

MAX_UPSTREAMS = 3


@dataclass(frozen=True, slots=True)
class Link:
    """A legacy link: ``alias`` stands for ``target`` on one network, for one sandbox alone."""

    alias: str
    target: str
    network_id: str


@dataclass(frozen=True, slots=True)
class SandboxView:
    """What one sandbox sees; ``networks`` are ids in the order of search. ``pid`` 0: no process is known."""

    id: str
    netns_path: str
    netns_inode: int = 0
    pid: int = 0
    pid_start: int = 0
    networks: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    upstreams: tuple[Upstream, ...] = ()
    ndots: bool = False  # the user asked for a search domain first: single labels are not forwarded
    forward: bool = True


class Made(NamedTuple):
    """A view and what it was made of."""

    container: ContainerRecord
    members: Sequence[NetworkRecord]
    conf: ResolvConf
    view: SandboxView


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for containers that say nothing: the host's resolv.conf and daemon.json's dns and dns-opts."""

    host: str = ""
    dns: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def views(
    networks: Iterable[NetworkRecord],
    containers: Iterable[ContainerRecord],
    endpoints: Iterable[EndpointRecord],
    defaults: Defaults,
    bound: Collection[str] = (),
    made: dict[str, Made] | None = None,
) -> list[SandboxView]:
    """The views of all sandboxes to be served; those in ``bound`` are served on without a user-defined network.

    One ``made`` at the last call stays where the records and the servers are the same objects; that is kept up to date.
    """
    by_id = {n.id: n for n in networks}
    joined: dict[str, list[NetworkRecord]] = {}
    with_ipv6: set[str] = set()
    for endpoint in endpoints:
        if endpoint.phase == "live" and endpoint.network_id in by_id:
            joined.setdefault(endpoint.container_id, []).append(by_id[endpoint.network_id])
            if endpoint.ipv6:
                with_ipv6.add(endpoint.container_id)
    before, now = made or {}, {}
    for container in containers:
        members = joined.get(container.id, [])
        served = any(has_names(n) for n in members) or sandbox_id(container) in bound
        if _is_open(container) and served and container.host.network_mode != "host":
            conf = servers(container, defaults, ipv6=container.id in with_ipv6)
            known = before.get(container.id)
            if known is None or not (known.container is container and known.conf is conf and known.members == members):
                known = Made(container, members, conf, _view(container, members, conf))
            now[container.id] = known
    if made is not None:
        made.clear()
        made.update(now)
    return [known.view for known in now.values()]


def has_names(network: NetworkRecord) -> bool:
    """Whether a network is one whose endpoints find each other by name."""
    return not network.predefined and not facts(network.driver).singleton


def _is_open(container: ContainerRecord) -> bool:
    """Whether there is a sandbox now: an ended container's record still tells where its sandbox was."""
    return bool(container.sandbox_path) and (container.pid != 0 or container.kind == "adopted")


def sandbox_id(container: ContainerRecord) -> str:
    """The key of a container's view."""
    return container.sandbox_id or container.id


def _view(container: ContainerRecord, members: Sequence[NetworkRecord], conf: ResolvConf) -> SandboxView:
    searched = sorted((n for n in members if has_names(n)), key=lambda n: _search_key(n, container))
    return SandboxView(
        id=sandbox_id(container),
        netns_path=container.sandbox_path,
        netns_inode=container.sandbox_inode,
        pid=container.pid,
        pid_start=container.pid_start,
        networks=tuple(n.id for n in searched),
        links=tuple(_links(container, searched)),
        upstreams=tuple(conf.upstreams[:MAX_UPSTREAMS]),
        ndots=conf.ndots_from not in ("", "internal"),
        forward=any(not n.internal for n in members),
    )


def _search_key(network: NetworkRecord, container: ContainerRecord) -> Rank:
    attachment = _attachment(container, network)
    return gateway_priority(network, attachment.settings.gw_priority if attachment else 0)


def _attachment(container: ContainerRecord, network: NetworkRecord) -> NetworkAttachment | None:
    for attachment in container.attachments:
        if attachment.network_id == network.id or (not attachment.network_id and attachment.network == network.name):
            return attachment
    return None


def _links(container: ContainerRecord, searched: Iterable[NetworkRecord]) -> Iterable[Link]:
    for network in searched:
        attachment = _attachment(container, network)
        for text in (attachment.settings.links or ()) if attachment else ():
            target, _, alias = text.rpartition(":")
            target, alias = target.strip("/"), alias.rpartition("/")[2]
            yield Link(alias, target or alias, network.id)


def servers(container: ContainerRecord, defaults: Defaults, *, ipv6: bool) -> ResolvConf:
    """Where one container's unknown names go, by its flags, the configuration and the host's file."""
    dns, options = tuple(container.host.dns or defaults.dns), tuple(container.host.dns_options or defaults.options)
    return _servers(defaults.host, dns, options, ipv6)


@lru_cache(maxsize=64)
def _servers(host: str, dns: tuple[str, ...], options: tuple[str, ...], ipv6: bool) -> ResolvConf:
    """The same, worked out once for all containers that say the same."""
    try:
        return resolv_conf(host, Transform.INTERNAL, Overrides(dns, (), options), ipv6=ipv6)
    except EngineError:
        return ResolvConf()  # a server that is no address: this container's names stay inside, the others' don't
