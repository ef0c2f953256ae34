"""Finds out which network or endpoint a change in an overlay network's namespace may have damaged."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress

from drivers.linux.link_notifications import Change
from drivers.linux.namespaces import open_namespace
from engine.agentd.host_links import marked
from engine.eventloop.inotify import MODIFY, Inotify, InotifyWatch
from engine.eventloop.netns import inside
from engine.recovery.link_repair import Subject

OF_NAMESPACE = ("ipv4/conf/all", "ipv6/conf/all", "bridge")
"""The directories below /proc/sys/net with sysctls that hawse sets for the namespace of an overlay network."""


class SwitchLinks:
    """The links in one overlay network's namespace: the network's own devices, and the ports of endpoints.

    hawse marks an endpoint's port by the link's alias. Because the kernel reports a port's flags without the alias,
    this object records the link indexes of the marked ports. ``present`` are the links that exist already. ``sysctls``
    watches the sysctls of the network's own devices.
    """

    def __init__(self, network: Subject, present: Iterable[Change], sysctls: SwitchSysctls) -> None:
        self._network, self._sysctls = network, sysctls
        self._ports: dict[int, Subject] = {}
        self._devices: dict[int, str] = {}
        for change in present:
            self._learn(change)
        sysctls.watch(self._devices.values())

    def concerns(self, change: Change) -> Subject | None:
        """Return the endpoint or network that a change may have damaged, or None.

        The result is the same for a change that the agent itself made. The comparison then finds no difference.
        """
        if change.kind in ("link", "port"):
            subject, devices = self._ports.get(change.link, self._network), dict(self._devices)
            concerned = self._learn(change) or subject
            if self._devices != devices:
                self._sysctls.watch(self._devices.values())
            return concerned
        if change.kind == "route":
            # On an encrypted network, packets to other hosts take the default route through the tunnel. Another program
            # may have deleted or replaced this route. The kernel may prefer any new IPv4 route to it, because the
            # hosts' addresses in the tunnel are IPv4.
            is_new = not change.gone and len(change.address) == 4
            return self._network if is_new or not change.prefix else None
        is_lost = change.kind == "neighbor" or (change.kind == "address" and change.gone)
        return self._network if is_lost else None

    def _learn(self, change: Change) -> Subject | None:
        """Record the changed link if it is an endpoint's port or a device of the network; forget a deleted link.

        Returns the endpoint or network that the link's alias names, or None for another alias.
        """
        subject = marked(change)
        if change.gone and change.kind == "link":
            self._ports.pop(change.link, None)
            self._devices.pop(change.link, None)
        elif subject is not None:
            self._ports[change.link] = subject
        if change.kind == "link" and not change.gone and self._ports.get(change.link, self._network) == self._network:
            self._devices[change.link] = change.name
        return subject


class SwitchSysctls:
    """The watch on the sysctls of an overlay network, which calls ``changed`` after each change.

    ``path`` is the path of the network's namespace. The watch uses inotify(7), because netlink reports few changes of
    sysctls. inotify reports only changes by programs that use the same /proc file system as the agent.
    """

    def __init__(self, inotify: Inotify, path: str, changed: Callable[[], None]) -> None:
        self._inotify, self._path, self._changed = inotify, path, changed
        self._watches: list[InotifyWatch] = []

    def watch(self, devices: Iterable[str]) -> None:
        """Watch the sysctls of the network's namespace and of the interfaces named in ``devices``, and no others."""
        self.close()
        with suppress(OSError):  # the namespace has ended
            fd = open_namespace(self._path)
            try:
                inside(fd, lambda: self._add([*OF_NAMESPACE, *(f"ipv6/conf/{name}" for name in devices)]))
            finally:
                os.close(fd)

    def _add(self, directories: Iterable[str]) -> None:
        for directory in directories:
            with suppress(OSError):  # the kernel has no such sysctls, or the link was deleted
                seen = lambda _name, _mask: self._changed()  # noqa: E731
                self._watches.append(self._inotify.add(f"/proc/sys/net/{directory}", MODIFY, seen))

    def close(self) -> None:
        """Stop watching; idempotent."""
        for watch in self._watches:
            self._inotify.remove(watch)
        self._watches = []
