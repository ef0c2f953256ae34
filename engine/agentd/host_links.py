"""Watches the links, addresses and sysctls of hawse's networks in the host's network namespace."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from drivers.linux import link, link_notifications
from drivers.linux.link_notifications import BUFFER_BYTES, DELETED_ENTRIES, HOST, NEIGHBORS, Change, LinkListener
from drivers.linux.names import ENDPOINT_MARK, NETWORK_MARK
from engine.eventloop.inotify import MODIFY, Inotify, InotifyWatch
from engine.eventloop.loop import Loop
from engine.recovery.link_repair import ENDPOINT, NETWORK, Subject

SYSCTLS = frozenset((
    "accept_dad", "accept_ra", "accept_source_route", "disable_ipv6", "forwarding", "proxy_arp_pvlan", "route_localnet",
))  # fmt: skip
"""The sysctls that hawse sets for a network's bridge. The kernel does not report changes of most of them by netlink.
inotify(7) reports only changes by programs that use the same /proc as the agent.
"""


class HostLinks:
    """The watch on the host's network namespace, in which the agent runs.

    After a change, it calls ``suspect`` with the networks and endpoints that may be damaged. The second argument of
    ``suspect`` names the program that made the change, or is "".
    """

    def __init__(self, loop: Loop, inotify: Inotify, suspect: Callable[[Iterable[Subject], str], None]) -> None:
        self._loop, self._inotify, self._suspect = loop, inotify, suspect
        self._bridges: dict[int, Subject] = {}
        self._ports: dict[int, Subject] = {}
        self._macs: dict[int, str] = {}
        self._port_names: dict[int, str] = {}
        self._names: Mapping[str, Subject] = {}
        self._sysctls: dict[Subject, list[InotifyWatch]] = {}
        self._listener = LinkListener(HOST, BUFFER_BYTES)
        self._entries = LinkListener(NEIGHBORS, accepts=DELETED_ENTRIES)
        for change in link_notifications.present_links():
            self._learn(change)
        loop.watch(self._listener.fileno(), lambda _: self._heard(self._listener))
        loop.watch(self._entries.fileno(), lambda _: self._heard(self._entries))

    def follow(self, names: Mapping[str, Subject]) -> None:
        """Watch the links in ``names``, which maps the name of a network's link to the network.

        ``names`` may contain links that hawse did not make. Links that hawse made are also watched without this call,
        because their alias marks them. Stops watching the sysctls of networks that are not in ``names``.
        """
        self._names = names
        known = set(self._bridges.values())
        for name, subject in names.items():
            index = link.index(name) if subject not in known else 0
            if index:
                self._learn(Change("link", False, index, name, NETWORK_MARK + subject.id))
        for subject in self._sysctls.keys() - set(names.values()):
            self._forget_sysctls(subject)

    def _heard(self, listener: LinkListener) -> None:
        changes, lost = listener.read()
        suspects: dict[Subject, str] = {}
        for change in changes:
            for subject in self._concerned(change):
                suspects[subject] = _author(change) or suspects.get(subject, "")
        if lost:
            suspects |= dict.fromkeys(self._names.values(), "")
        for subject, by in suspects.items():
            self._suspect([subject], by)

    def _concerned(self, change: Change) -> Iterable[Subject]:
        """Return the networks and endpoints that a change may have damaged."""
        if change.kind == "link":
            subject = marked(change) or self._bridges.get(change.link)
            is_same = self._macs.get(change.link, change.mac) == change.mac
            is_same = is_same and self._port_names.get(change.link, change.name) == change.name
            self._learn(change)
            return [subject] if subject is not None and (not is_same or self._is_damaged(change, subject)) else []
        if change.kind == "port":
            return [self._ports[change.link]] if change.link in self._ports else []
        if change.kind == "forwarding" and not change.on and change.link == link_notifications.ALL_LINKS:
            return self._names.values()
        lost = change.gone if change.kind in ("address", "route", "neighbor") else not change.on
        return [self._bridges[change.link]] if lost and change.link in self._bridges else []

    def _is_damaged(self, change: Change, subject: Subject) -> bool:
        if change.gone or not change.on:
            return True
        if subject.kind == ENDPOINT:
            return change.master not in self._bridges
        return change.name not in self._names and subject in self._names.values()

    def _learn(self, change: Change) -> None:
        """Record the link index of the network or endpoint that ``change`` concerns, or forget a deleted link.

        For a network, also record the MAC address and watch the sysctls. For an endpoint, also record the original name
        of the link.
        """
        subject = marked(change) or self._bridges.get(change.link)
        if subject is None:
            return
        if subject.kind == ENDPOINT:
            if change.gone:
                self._ports.pop(change.link, None)
                self._port_names.pop(change.link, None)
            else:
                self._ports[change.link] = subject
                self._port_names.setdefault(change.link, change.name)
        elif change.gone:
            self._bridges.pop(change.link, None)
            self._macs.pop(change.link, None)
            self._forget_sysctls(subject)
        else:
            if change.link not in self._bridges:
                self._bridges[change.link] = subject
                self._forget_sysctls(subject)
                self._sysctls[subject] = self._watch_sysctls(change.name, subject)
            if change.mac:
                self._macs[change.link] = change.mac

    def _watch_sysctls(self, name: str, subject: Subject) -> list[InotifyWatch]:
        def seen(changed: str, _mask: int) -> None:
            if changed in SYSCTLS:
                self._suspect([subject], "")

        watches = []
        for family in ("ipv4", "ipv6"):
            with suppress(OSError):  # no IPv6, or the link was deleted
                watches.append(self._inotify.add(f"/proc/sys/net/{family}/conf/{name}", MODIFY, seen))
        return watches

    def _forget_sysctls(self, subject: Subject) -> None:
        for watch in self._sysctls.pop(subject, ()):
            self._inotify.remove(watch)

    def close(self) -> None:
        """Close the listener and the watches."""
        for subject in list(self._sysctls):
            self._forget_sysctls(subject)
        for listener in (self._listener, self._entries):
            self._loop.forget(listener.fileno())
            listener.close()


def marked(change: Change) -> Subject | None:
    """Return the network or endpoint that the alias of the changed link names, or None for another alias.

    hawse writes the id of the network or endpoint into the alias of each link that it makes.
    """
    for mark, kind in ((NETWORK_MARK, NETWORK), (ENDPOINT_MARK, ENDPOINT)):
        if change.alias.startswith(mark):
            return Subject(kind, change.alias.removeprefix(mark))
    return None


def _author(change: Change) -> str:
    """Return the name and id of the process that made a change; "" for an unknown process and the agent itself."""
    if change.author in (0, os.getpid()):
        return ""
    with suppress(OSError), open(f"/proc/{change.author}/comm", encoding="utf-8", errors="replace") as file:
        return f"{file.read().strip()} ({change.author})"
    return ""
