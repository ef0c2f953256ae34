"""The agent's DNS service: keeps the resolvers of all sandboxes up to date with the local store and the host's
resolv.conf.

A resolver's sockets stay open while the service changes the DNS tables or the resolver's settings. A sandbox whose
network namespace no longer exists is removed. If a socket cannot be opened, the service tries again later. Possible
reasons are that another program uses the port, or that the agent has no free file descriptor.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterable, Mapping
from functools import partial
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import replace

from drivers.errors import DriverError
from drivers.firewall.resolver_redirect import remove
from engine.agent.service import Snapshot
from engine.config import number_from_environment
from engine.dns.file_watch import FileWatch
from engine.dns.resolver import SandboxResolver
from engine.dns.responder import Responder
from engine.dns.sandbox_view import PUBLISHED, ContainerView, Defaults, SandboxView, Views, has_names
from engine.dns.serving import ServingLoop, ServingLoops
from engine.dns.table import NetworkTable
from engine.eventloop.descriptor_budget import DescriptorBudget
from engine.eventloop.inotify import Inotify
from engine.eventloop.loop import Loop, Timer
from engine.eventloop.netns import PinnedNamespace, inside
from engine.model import EndpointRecord, NetworkRecord
from engine.resolv_conf import BEHIND_STUB, SYSTEM, read_host_files

DEFAULT_TTL = 5
"""TTL of DNS answers in seconds; short, because names change as soon as an endpoint joins or leaves."""
RETRY_SECONDS = 2.0
"""Seconds until the service tries again to bind the sockets of a sandbox after a failure.

The time is doubled after each failure, up to `LAST_RETRY_SECONDS`.
"""
LAST_RETRY_SECONDS = 60.0
FILL_SECONDS = 0.2
"""Maximum seconds for which the service opens sockets of new sandboxes before the event loop calls other handlers."""
PLACE, GROUP = attrgetter("netns_path", "netns_inode", "pid", "pid_start"), attrgetter("apart", "neighbours")
"""PLACE: where a sandbox is. GROUP: which loop serves it."""


class ServedSandbox(Struct):
    """A sandbox with its resolver, its open network namespace, and the loop that serves it.

    The loop may run in another thread. Only the loop's thread uses the resolver's sockets after the construction.
    ``former`` has the resolvers that served the sandbox before and may still answer queries, with their loops.
    """

    view: SandboxView
    namespace: PinnedNamespace
    resolver: SandboxResolver
    serving: ServingLoop
    former: list[tuple[SandboxResolver, ServingLoop]] = []

    def start(self) -> None:
        """Answer the sandbox's queries from now on."""
        self.serving.sandboxes += 1
        self.serving.call(self.resolver.start)

    def move(self, serving: ServingLoop, budget: DescriptorBudget) -> None:
        """Let another loop answer the sandbox's queries; the present loop only answers those that it has received.

        Raises OSError, without effect, if no file descriptor is free.
        """
        former, netns = self.resolver, os.dup(self.namespace.fd)
        shared = serving.loop, serving.datagrams, budget, self.namespace.fd, former.responder, former
        try:
            self.resolver = SandboxResolver(*shared)
        except OSError:
            os.close(netns)
            raise
        former.own(netns)
        self.former = [each for each in self.former if not each[0].is_closed]
        self.former.append((former, self.serving))
        self.serving.sandboxes -= 1
        self.serving.call(former.retire)
        self.serving = serving
        self.start()

    def leave(self) -> None:
        """Remove the redirection of port 53 from a namespace that hawse did not create.

        Such a namespace remains after the sandbox has ended.
        """
        if not self.view.adopted:
            return
        try:
            inside(self.namespace.fd, lambda: remove(self.resolver.redirected))
        except (OSError, DriverError) as error:
            print(f"port 53 stays redirected in {self.view.netns_path}: {error}", file=sys.stderr, flush=True)

    def use(self, tables: Mapping[str, NetworkTable]) -> None:
        """Discard the cached replies and rebuild the link aliases, because the DNS tables may have changed.

        ``tables`` has the DNS tables of all networks by network id.
        """
        if self.view.links:
            self.resolver.responder = Responder(self.view, tables)
        else:
            # Replace the cache and do not clear it, because the resolver's thread may add a reply of the old tables.
            self.resolver.responder.ready = {}

    def close(self) -> None:
        """Close the sandbox's sockets and its network namespace; does not wait for a loop in another thread."""
        self.namespace.unwatch()
        self.serving.sandboxes -= 1
        for former, serving in self.former:
            serving.call(former.close)
        self.serving.call(self._close)

    def _close(self) -> None:
        self.resolver.close()
        self.namespace.release()  # only now, because the resolver makes sockets in the namespace


class DnsService:
    """The DNS service for every sandbox of this host on a user-defined network.

    Answers have a TTL of ``ttl`` seconds. ``dns`` and ``options`` are the keys dns and dns-opts of daemon.json.
    """

    name = "dns"

    def __init__(
        self,
        loop: Loop,
        inotify: Inotify,
        budget: DescriptorBudget,
        *,
        ttl: int = DEFAULT_TTL,
        dns: tuple[str, ...] = (),
        options: tuple[str, ...] = (),
    ) -> None:
        self._loop, self._inotify, self._budget, self._ttl = loop, inotify, budget, ttl
        self._loops = ServingLoops(loop)
        self._defaults = Defaults(read_host_files(), dns, options)
        self._tables: dict[str, NetworkTable] = {}
        self._served: dict[str, ServedSandbox] = {}
        self._views = Views()
        self._followed: dict[str, SandboxView] = {}  # by container id: the latest settings of each container's sandbox
        self._required: dict[str, SandboxView] = {}  # by sandbox id: the settings of the sandboxes that need a resolver
        self._state = Snapshot()
        self._unserved: deque[SandboxView] = deque()
        self._filling: Timer | None = None
        self._failed = False
        self._retry: Timer | None = None
        self._host_retry: Timer | None = None
        self._pause = RETRY_SECONDS
        self._watches = [FileWatch(loop, inotify, str(f), self._host_changed) for f in (SYSTEM, BEHIND_STUB)]

    def reconcile(self, state: Snapshot) -> None:
        """Update the DNS tables, sandboxes and sockets from a snapshot of the local store."""
        self._state = state
        self._update_tables(state.networks, state.endpoints)
        with self._views.emptied_on_error():
            changed = self._views.follow(state, self._defaults)
            for container_id in self._followed.keys() - self._views.results.keys():
                self._leave(self._followed.pop(container_id))
            for container_id, required in changed.items():
                self._follow(container_id, required)
        for served in self._served.values():
            served.use(self._tables)
        fresh = [view for identity, view in self._required.items() if identity not in self._served]
        # Serve the newest sandboxes first, because a command may wait for its new sandbox.
        self._unserved = deque(sorted(fresh, key=lambda view: view.pid_start, reverse=True))
        self._failed = False
        self._fill()

    def _fill(self) -> None:
        """Open the sockets of new sandboxes, one after the other; stop after `FILL_SECONDS`.

        A timer then calls this method again for the remaining sandboxes. As a result, a starting agent serves
        commands and the first sandboxes before all sockets are open.
        """
        if self._filling is not None:
            self._filling.cancel()
        end = time.monotonic() + FILL_SECONDS
        while self._unserved and time.monotonic() < end:
            self._failed |= not self._open(self._unserved.popleft())
        self._filling = self._loop.after(0, self._fill) if self._unserved else None
        if not self._unserved:
            self._try_again(self._failed)

    def _try_again(self, failed: bool) -> None:
        if self._retry is not None:
            self._retry.cancel()
        self._retry = self._loop.after(self._pause, lambda: self.reconcile(self._state)) if failed else None
        self._pause = min(self._pause * 2, LAST_RETRY_SECONDS) if failed else RETRY_SECONDS

    def _update_tables(self, networks: Iterable[NetworkRecord], endpoints: Iterable[EndpointRecord]) -> None:
        named = {n.id: n for n in networks if has_names(n)}
        live: dict[str, list[EndpointRecord]] = {identity: [] for identity in named}
        for endpoint in endpoints:
            if endpoint.phase == "live" and endpoint.network_id in live:
                live[endpoint.network_id].append(endpoint)
        for identity in [i for i in self._tables if i not in named]:
            del self._tables[identity]
        for identity, network in named.items():
            table = self._tables.get(identity)
            if table is None:
                table = self._tables[identity] = NetworkTable(network.name, self._ttl)
            table.update(live[identity])

    def _follow(self, container_id: str, required: ContainerView) -> None:
        """Use a container's new DNS settings; if the container has a new sandbox, stop serving its earlier one.

        ``required`` has the new settings. `_fill` opens the sockets of the new sandbox.
        """
        view, before = required.view, self._followed.get(container_id)
        if before is not None and before.id != view.id:
            self._leave(before)
        served = self._served.get(view.id)
        if served is not None:
            # Because earlier firewall rules may still exist, the sandbox stays with its thread. Exception: a sandbox
            # that has left the network of its group.
            apart, group = view.apart or served.view.apart, served.view.neighbours
            stays = group in (*view.networks, PUBLISHED)
            view = replace(view, apart=apart, neighbours="" if apart else group if stays else view.neighbours)
        self._followed[container_id] = view
        if required.is_named or served is not None:
            self._required[view.id] = view
        else:
            self._required.pop(view.id, None)
        if served is not None and PLACE(served.view) == PLACE(view):
            moves, served.view = GROUP(served.view) != GROUP(view), view
            served.resolver.responder = Responder(view, self._tables)
            if moves:
                self._move(served)
        else:
            self._drop(view.id)

    def _move(self, served: ServedSandbox) -> None:
        """Let another loop serve a sandbox, because its changed settings require another loop.

        If this fails, the sandbox's sockets are closed, and `_fill` opens new ones.
        """
        try:
            served.move(self._loops.choose(apart=served.view.apart, neighbours=served.view.neighbours), self._budget)
        except (OSError, RuntimeError):
            self._drop(served.view.id)

    def _leave(self, view: SandboxView) -> None:
        """Stop serving a sandbox whose container has ended, or is now in another sandbox."""
        self._required.pop(view.id, None)
        if view.id in self._served:
            self._served[view.id].leave()
        self._drop(view.id)

    def _open(self, view: SandboxView) -> bool:
        """Open the DNS sockets of a new sandbox; return False if the sockets cannot be opened yet.

        Returns True without sockets if the sandbox has already ended.
        """
        try:
            namespace = self._pin(view)
        except (FileNotFoundError, ProcessLookupError):
            return True  # the sandbox has ended and needs no DNS service
        except OSError as error:
            _say_unserved(view, error)
            return False
        try:
            serving = self._loops.choose(apart=view.apart, neighbours=view.neighbours)
            responder = Responder(view, self._tables)
            resolver = SandboxResolver(serving.loop, serving.datagrams, self._budget, namespace.fd, responder)
        except Exception as error:  # after any error with this sandbox, the service must serve the others
            namespace.close()
            _say_unserved(view, error)
            return False
        self._served[view.id] = ServedSandbox(view, namespace, resolver, serving)
        self._served[view.id].start()
        return True

    def _pin(self, view: SandboxView) -> PinnedNamespace:
        identity = {"inode": view.netns_inode, "pid": view.pid, "pid_start": view.pid_start}
        return PinnedNamespace(self._loop, self._inotify, view.netns_path, partial(self._drop, view.id), **identity)

    def _drop(self, identity: str) -> None:
        served = self._served.pop(identity, None)
        if served is not None:
            served.close()

    def _host_changed(self) -> None:
        try:
            host = read_host_files()
        except OSError:  # file descriptors or memory are used up: keep the present servers meanwhile
            if self._host_retry is not None:
                self._host_retry.cancel()
            self._host_retry = self._loop.after(RETRY_SECONDS, self._host_changed)
            return
        if host != self._defaults.host:
            self._defaults = replace(self._defaults, host=host)
            self.reconcile(self._state)

    def redirected(self, sandbox_id: str) -> int:
        """Return the port to which port 53 of a sandbox is redirected; safe to call from any thread.

        Returns 0 if the sandbox has no resolver, or if the resolver is bound to port 53 itself.
        """
        served = self._served.get(sandbox_id)
        return served.resolver.redirected if served is not None else 0

    def needed(self) -> bool:
        """Return whether any sandbox has a resolver, or still waits for its first or next attempt to open sockets."""
        return bool(self._served) or bool(self._unserved) or self._retry is not None

    def close(self) -> None:
        """Close all DNS sockets, and stop watching the host's resolv.conf files; blocks up to 0.1 s."""
        for watch in self._watches:
            watch.close()
        for identity in list(self._served):
            self._drop(identity)
        self._loops.close()


def _say_unserved(view: SandboxView, error: Exception) -> None:
    print(f"cannot serve names in sandbox {view.id}: {error}", file=sys.stderr, flush=True)


def ttl_from_environment() -> int:
    """Return the TTL in HAWSE_DNS_TTL, in seconds; without the variable, return `DEFAULT_TTL`."""
    return min(number_from_environment("HAWSE_DNS_TTL", DEFAULT_TTL), 0x7FFFFFFF)
