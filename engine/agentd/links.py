"""Watches the links of hawse's networks on the host and in each sandbox, and repairs changes by other programs.

The kernel reports each change of a link, an address or a route. The agent's loop reads these reports. If a report
concerns hawse, `engine.agentd.link_thread` compares the kernel with the records.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from ipaddress import ip_interface
from typing import NamedTuple

from msgspec import Struct

from drivers.errors import DriverError
from drivers.firewall.resolver_redirect import RedirectWatch
from drivers.linux import link_notifications
from drivers.linux.link_notifications import Change, LinkListener
from drivers.registry import facts
from engine.agent.service import ResultCache, Snapshot
from engine.agentd.host_links import HostLinks
from engine.agentd.link_thread import LinkThread
from engine.agentd.switch_links import SwitchLinks, SwitchSysctls
from engine.eventloop.inotify import Inotify
from engine.eventloop.loop import Loop
from engine.eventloop.netns import PinnedNamespace, inside
from engine.host import network_spec
from engine.model import ContainerRecord, EndpointRecord, NetworkRecord
from engine.recovery.link_repair import CONTAINER, ENDPOINT, NETWORK, LinkRepair, Subject, heals


class Place(NamedTuple):
    """A watched network namespace: its path, its inode number, and a process in it with the process's start time.

    ``inode``, ``pid`` and ``pid_start`` (clock ticks since boot) are 0 if they are unknown. ``resolves`` is True if the
    redirection of DNS queries to hawse's resolver is also watched.
    """

    path: str
    inode: int = 0
    pid: int = 0
    pid_start: int = 0
    resolves: bool = False


class KnownNetwork(Struct, frozen=True):
    """A network, its link on the host (``link``), and the path of its own network namespace (``path``).

    ``link`` or ``path`` is "" if the network has none.
    """

    record: NetworkRecord
    link: str
    path: str

    @property
    def subject(self) -> Subject:
        """This network, as a `Subject` (kind and id) for the thread that compares it."""
        return Subject(NETWORK, self.record.id)


class Watched(Struct):
    """A watched network namespace, and the objects that watch it.

    ``listener`` receives the kernel's reports of changes. ``concerns`` returns the network, endpoint or container that
    must be compared after a change. It returns None if the change does not matter to hawse. ``redirection`` watches the
    redirection of DNS queries; it is None in a namespace without the redirection. ``sysctls`` is None if no sysctls are
    watched.
    """

    place: Place
    namespace: PinnedNamespace
    listener: LinkListener
    redirection: RedirectWatch | None
    concerns: Callable[[Change], Subject | None]
    sysctls: SwitchSysctls | None = None


class Ours(Struct, frozen=True):
    """The names, MACs and IP addresses of hawse's interfaces in one sandbox; ``subject`` is its container.

    An address is packed: 4 or 16 bytes in network byte order. ``with_modes`` are the names of macvlan and ipvlan
    interfaces. A process in the sandbox can change the mode of these interfaces.
    """

    subject: Subject
    names: frozenset[str]
    with_modes: frozenset[str]
    macs: frozenset[str]
    addresses: frozenset[bytes]

    def concerns(self, change: Change) -> Subject | None:
        """Return the sandbox's container if the change may have damaged one of hawse's interfaces, else None."""
        return self.subject if self._may_damage(change) else None

    def _may_damage(self, change: Change) -> bool:
        if change.kind == "link":
            ours = change.name in self.names or change.mac in self.macs
            altered = (change.mac in self.macs) != (change.name in self.names) or change.name in self.with_modes
            return (ours and (change.gone or not change.on or altered)) or (change.name == "lo" and not change.on)
        if change.kind == "address":
            return change.gone and change.address in self.addresses
        return change.kind == "route" and (
            change.gone or change.prefix <= 1
        )  # a new route with the prefix length 0 or 1 may take over the packets of hawse's default route


class KnownSandbox(Struct, frozen=True):
    """A container's live endpoints, hawse's interfaces in its sandbox, and the namespace of the sandbox."""

    endpoints: Sequence[EndpointRecord]
    ours: Ours
    place: Place


def _known_sandbox(
    record: ContainerRecord, endpoints: Sequence[EndpointRecord], networks: Mapping[str, KnownNetwork]
) -> KnownSandbox | None:
    """Return a container's endpoints, interfaces and namespace, or None if the agent does not repair its links.

    ``networks`` has the networks with links that the agent repairs, by network id.
    """
    endpoints = [e for e in endpoints if e.interface and e.network_id in networks]
    if not (endpoints and record.sandbox_path and (record.pid or record.kind == "adopted") and heals(record)):
        return None
    joined = [(endpoint.interface, networks[endpoint.network_id].record) for endpoint in endpoints]
    with_modes = frozenset(interface for interface, network in joined if facts(network.driver).has_modes)
    path = f"/proc/{record.pid}/ns/net" if record.pid else record.sandbox_path
    resolves = any(not network.predefined for _, network in joined)
    place = Place(path, record.sandbox_inode, record.pid, record.pid_start, resolves)
    return KnownSandbox(endpoints, _ours(record, endpoints, with_modes), place)


class LinkService:
    """The service that keeps the links of all networks as the records require.

    ``repair`` compares and repairs one network or container.
    """

    name = "links"

    def __init__(
        self,
        loop: Loop,
        inotify: Inotify,
        repair: LinkRepair,
        heal: Callable[[], bool],
    ) -> None:
        self._loop, self._inotify, self._heal = loop, inotify, heal
        self._repair = repair
        self._thread: LinkThread | None = None
        self._host: HostLinks | None = None
        self._watched: dict[Subject, Watched] = {}
        self._networks: dict[str, KnownNetwork] = {}
        self._sandboxes = ResultCache(_known_sandbox)  # by container id
        self._followed: dict[str, KnownSandbox] = {}  # by container id
        self._unwatched: set[str] = set()  # containers whose namespace cannot be watched now
        self._containers: dict[str, Subject] = {}  # by endpoint id, the container that has the endpoint
        self._spaces: dict[Subject, Place] = {}  # the namespaces of networks

    def reconcile(self, state: Snapshot) -> None:
        """Watch the host and the namespaces of the networks and containers in ``state``, and no others.

        If daemon.json switches repairs off, or no network is active, nothing is watched.
        """
        self._networks = self._known_networks(state) if state.of_this_boot and self._heal() else {}
        if not self._networks:
            self.close()
            return
        thread = self._thread = self._thread or LinkThread(self._repair.put_right, self._repair.tell_resting)
        self._host = self._host or HostLinks(self._loop, self._inotify, self._suspect)
        self._host.follow({known.link: known.subject for known in self._networks.values() if known.link})
        with self._sandboxes.emptied_on_error():
            changed = self._sandboxes.update(state.joined, self._networks)
            for container_id in self._followed.keys() - self._sandboxes.results.keys():
                self._leave(container_id)
            for container_id in {*changed, *self._unwatched}:
                self._follow(container_id, self._sandboxes.results[container_id])
        spaces = {known.subject: Place(known.path) for known in self._networks.values() if known.path}
        for subject in self._spaces.keys() - spaces.keys():
            self._forget(subject)
        self._spaces = spaces
        for subject, place in spaces.items():
            self._watch(subject, place)
        containers = {Subject(CONTAINER, container_id) for container_id in self._followed}
        thread.follow(containers.union(known.subject for known in self._networks.values()))

    def _follow(self, container_id: str, known: KnownSandbox) -> None:
        """Watch the sandbox of a container; if it cannot be watched now, try again at the next snapshot.

        ``known`` has the sandbox's namespace and the names and addresses of hawse's interfaces in it.
        """
        self._leave_endpoints(container_id)
        self._followed[container_id] = known
        subject = known.ours.subject
        self._containers.update((endpoint.id, subject) for endpoint in known.endpoints)
        self._unwatched.discard(container_id)
        self._watch(subject, known.place, known.ours)
        if subject not in self._watched:
            self._unwatched.add(container_id)

    def _leave(self, container_id: str) -> None:
        self._leave_endpoints(container_id)
        self._forget(self._followed.pop(container_id).ours.subject)
        self._unwatched.discard(container_id)

    def _leave_endpoints(self, container_id: str) -> None:
        known = self._followed.get(container_id)
        for endpoint in known.endpoints if known is not None else ():
            self._containers.pop(endpoint.id, None)

    def _known_networks(self, state: Snapshot) -> dict[str, KnownNetwork]:
        known = {}
        for record in state.networks:
            before = self._networks.get(record.id)
            known_network = before if before is not None and before.record is record else self._known_network(record)
            if known_network is not None:
                known[record.id] = known_network
        return known

    def _known_network(self, record: NetworkRecord) -> KnownNetwork | None:
        """Return a network with its link and its namespace, or None if the agent does not repair its links."""
        driver = self._repair.driver(record)
        if driver is None:
            return None
        try:
            return KnownNetwork(record, *driver.watched(network_spec(record)))
        except DriverError:
            return None

    def _watch(self, subject: Subject, place: Place, ours: Ours | None = None) -> None:
        """Watch the namespace ``place`` of a container or of an overlay network (``subject``).

        ``ours`` are hawse's interfaces in a container's sandbox; it is None for a network's namespace.
        """
        old = self._watched.get(subject)
        if old is not None and old.place == place:
            if ours is not None:
                old.concerns = ours.concerns
            return
        self._forget(subject)
        try:
            namespace = PinnedNamespace(
                self._loop,
                self._inotify,
                place.path,
                partial(self._ended, subject),
                inode=place.inode,
                pid=place.pid,
                pid_start=place.pid_start,
            )
        except OSError:
            return  # the namespace has ended
        try:
            watched = self._watched_in(namespace, subject, place, ours)
        except (OSError, DriverError) as error:
            namespace.close()
            print(f"cannot watch the links of {subject.kind} {subject.id}: {error}", file=sys.stderr, flush=True)
            return
        namespace.release()  # the listener's socket does not need this descriptor
        self._watched[subject] = watched
        self._loop.watch(watched.listener.fileno(), lambda _: self._heard(subject))
        if watched.redirection is not None:
            self._loop.watch(watched.redirection.fileno(), lambda _: self._heard(subject))

    def _watched_in(self, namespace: PinnedNamespace, subject: Subject, place: Place, ours: Ours | None) -> Watched:
        groups = link_notifications.SWITCH if ours is None else link_notifications.SANDBOX
        with ExitStack() as opened:
            listener = inside(namespace.fd, lambda: LinkListener(groups))
            opened.callback(listener.close)
            links = inside(namespace.fd, link_notifications.present_links) if ours is None else ()
            redirection = inside(namespace.fd, RedirectWatch) if place.resolves else None
            opened.pop_all()
        if ours is not None:
            return Watched(place, namespace, listener, redirection, ours.concerns)
        sysctls = SwitchSysctls(self._inotify, place.path, lambda: self._suspect([subject]))
        return Watched(place, namespace, listener, redirection, SwitchLinks(subject, links, sysctls).concerns, sysctls)

    def _heard(self, subject: Subject) -> None:
        watched = self._watched.get(subject)
        if watched is None:
            return
        changes, lost = watched.listener.read()
        suspects = {suspect for change in changes if (suspect := watched.concerns(change)) is not None}
        if lost or (watched.redirection is not None and watched.redirection.read()):
            suspects.add(subject)
        self._suspect(suspects)

    def _suspect(self, suspects: Iterable[Subject], by: str = "") -> None:
        """Make the thread compare the networks and containers in ``suspects`` with the records.

        For an endpoint in ``suspects``, the thread compares the endpoint's container.

        ``by`` names the program that made the change, or is "". Endpoints that were not live at the last read of the
        store are skipped, because a command is creating or removing them.
        """
        candidates = (self._containers.get(s.id) if s.kind == ENDPOINT else s for s in suspects)
        subjects = [subject for subject in candidates if subject is not None]
        if subjects and self._thread is not None:
            self._thread.suspect(subjects, by)

    def _ended(self, subject: Subject) -> None:
        """Stop watching the ended namespace of a network or container.

        At the next snapshot, the service watches the new namespace of the network or container.
        """
        self._forget(subject)
        if subject.id in self._followed:
            self._unwatched.add(subject.id)

    def _forget(self, subject: Subject) -> None:
        watched = self._watched.pop(subject, None)
        if watched is not None:
            self._loop.forget(watched.listener.fileno())
            watched.listener.close()
            if watched.sysctls is not None:
                watched.sysctls.close()
            if watched.redirection is not None:
                self._loop.forget(watched.redirection.fileno())
                watched.redirection.close()
            watched.namespace.close()

    def fights(self) -> list[str]:
        """Return a sentence about each network or container that another program repeatedly damages."""
        return self._thread.fights() if self._thread is not None else []

    def needed(self) -> bool:
        """Return whether the agent repairs the links of at least one live network."""
        return bool(self._networks)

    def close(self) -> None:
        """End the thread and close all listeners; blocks up to 5 s."""
        for container_id in list(self._followed):
            self._leave(container_id)
        for subject in self._spaces:
            self._forget(subject)
        self._sandboxes.clear()
        self._spaces = {}
        if self._host is not None:
            self._host.close()
        if self._thread is not None:
            self._thread.close()
        self._host = self._thread = None


def _ours(record: ContainerRecord, endpoints: Sequence[EndpointRecord], with_modes: frozenset[str]) -> Ours:
    texts = [text for e in endpoints for text in (e.ipv4, e.ipv6, *e.link_local) if text]
    return Ours(
        Subject(CONTAINER, record.id),
        frozenset(e.interface for e in endpoints),
        with_modes,
        frozenset(e.link_mac for e in endpoints if e.mac),
        frozenset(ip_interface(text).ip.packed for text in texts),
    )
