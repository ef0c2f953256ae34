"""The recorder of ``--explain``: it makes each change, and records the equivalent command.

A change that the kernel refuses is not recorded. Names of links are looked up before the change, because the change may
remove or rename a link.
"""

from __future__ import annotations

import os
import shlex
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from pyroute2.netlink import rtnl

from drivers.explain import links, netfilter, routes
from drivers.explain.links import NameLookup
from drivers.linux import conntrack
from drivers.linux.netlink import Message, Session
from drivers.linux.nfnetlink import NETFILTER

T = TypeVar("T")
TRANSLATIONS: dict[int, Callable[[Message, NameLookup], list[str]]] = {
    **dict.fromkeys((rtnl.RTM_NEWLINK, rtnl.RTM_SETLINK, rtnl.RTM_DELLINK), links.command),
    **dict.fromkeys((rtnl.RTM_NEWADDR, rtnl.RTM_DELADDR), routes.address),
    **dict.fromkeys((rtnl.RTM_NEWROUTE, rtnl.RTM_DELROUTE), routes.ip_route),
    **dict.fromkeys((rtnl.RTM_NEWNEIGH, rtnl.RTM_DELNEIGH), routes.neighbour),
}
HERE = "/proc/thread-self/ns/net"
OWN = ("/proc/thread-self/", "/proc/self/")
END = "\0"  # the end of a command in the recorder's file
NAMED = "/run/netns/"  # directory of the namespaces that ip-netns(8) knows by name


class CommandRecorder:
    """Records the commands for the changes of this process, in order, as a user types them in a shell.

    The commands are for a shell in the network namespace where the recorder was created. A change in another namespace
    is recorded only if that namespace was opened by its path (`opened`). All other namespaces are temporary namespaces
    of this process.
    """

    is_dry_run = False

    def __init__(self) -> None:
        self._log = os.memfd_create("explained", os.MFD_CLOEXEC)  # a file, because forked children write to it too
        self._paths = {os.stat(HERE).st_ino: ""}

    @property
    def commands(self) -> Sequence[str]:
        """The commands of this process and of its forked children, in the order of the changes."""
        text = os.pread(self._log, os.fstat(self._log).st_size, 0)
        return text.decode("utf-8", "surrogateescape").split(END)[:-1]

    def netlink(self, session: Session, messages: Sequence[Message], act: Callable[[], T], nothing: T) -> T:
        """Send ``messages`` by calling ``act``, record the equivalent commands, and return the result of ``act``.

        The commands of messages that the kernel refused are not recorded.
        """
        texts = self._described(session, messages)
        result = act()
        refused = {item[0] for item in result if isinstance(item, tuple)} if isinstance(result, list) else ()
        self._keep(text for number, text in enumerate(texts) if number not in refused)
        return result

    def sysctl(self, path: str, value: str, act: Callable[[], object]) -> None:
        """Set a sysctl by calling ``act``, and record the equivalent command; ``path`` is below /proc/sys."""
        name = path if "." in path else path.replace("/", ".")
        self._changed(["sysctl", "-w", f"{name}={value}"], "", act)

    def nft(self, script: str, act: Callable[[], object]) -> None:
        """Run an nftables script by calling ``act``, and record the equivalent nft(8) command."""
        if script.strip():
            self._changed(*netfilter.nft(script), act)
        else:
            act()

    def command(self, argv: Sequence[str], act: Callable[[], object], *, secret: bool = False) -> None:
        """Make the change by calling ``act``, and record the command line ``argv``.

        With ``secret``, the command's input contains secrets, and the command is recorded as a comment.
        """
        prefix = self._prefix(os.stat(HERE).st_ino)
        act()
        if prefix is not None:
            line = shlex.join([*prefix, *argv])
            if secret:
                self.comment(f"{line}  (its input has secret keys, which are not shown)")
            else:
                self._keep([line])

    def comment(self, text: str) -> None:
        """Record a comment line. A line break becomes a space, because a shell would execute the text after it."""
        self._keep([f"# {' '.join(text.splitlines())}"])

    def opened(self, path: str, inode: int) -> None:
        """Record the path by which a network namespace can be entered; ``inode`` is its inode number.

        Only the first path of a namespace is used. A path below /proc/self or /proc/thread-self is ignored.
        """
        if not path.startswith(OWN):
            self._paths.setdefault(inode, path)

    def sysctl_value(self, path: str) -> str | None:
        """Return None: the caller must ask the kernel, because this recorder has already made each change there."""
        return None

    def link_index(self, name: str, session: Session | None = None) -> int | None:
        """Return None: the caller must ask the kernel, because this recorder has already made each change there."""
        return None

    def rule_comments(self, table: str, chain: str) -> list[str]:
        """Return an empty list, because this recorder's rules are already in the kernel.

        The caller (`drivers.linux.nfnetlink.comments`) also lists the kernel's rules. Only a dry run returns comments
        here, because it adds no rule to the kernel.
        """
        return []

    def listed(self, session: Session, kind: int, bodies: list[bytes]) -> list[bytes]:
        """Return ``bodies``, the kernel's list of objects, unchanged, because this recorder makes each change."""
        return bodies

    def _changed(self, words: Sequence[str], script: str, act: Callable[[], object]) -> None:
        prefix = self._prefix(os.stat(HERE).st_ino)
        act()
        if prefix is not None:
            self._keep([netfilter.quoted([*prefix, *words], script)])

    def _keep(self, texts: Iterable[str]) -> None:
        kept = "".join(f"{text}{END}" for text in texts if text)
        os.write(self._log, kept.encode("utf-8", "surrogateescape"))

    def _prefix(self, inode: int) -> list[str] | None:
        """Return the words that run a command in a network namespace, or None for a temporary namespace.

        ``inode`` is the namespace's inode number. The result is empty for the namespace of the shell. Temporary
        namespaces are those that this process creates and does not keep.
        """
        path = self._paths.get(inode)
        if path is None:
            return None
        if path.startswith(NAMED):
            return ["ip", "netns", "exec", path.removeprefix(NAMED)]
        return ["nsenter", f"--net={path}"] if path else []

    def _path(self, namespace: int) -> str:
        return self._paths.get(os.fstat(namespace).st_ino) or f"/proc/{os.getpid()}/fd/{namespace}"

    def _names(self, session: Session) -> NameLookup:
        return NameLookup(session.name, self._path)

    def _described(self, session: Session, messages: Sequence[Message]) -> list[str]:
        """Return the command for each message.

        The command is "" if the message changes nothing, or if it was sent in a temporary namespace. A firewall
        transaction has one command for all its messages. It has none if it changes no set element, or if it was sent in
        a temporary namespace.
        """
        if session.protocol == NETFILTER and not any(message.kind == conntrack.DELETE for message in messages):
            text = netfilter.script(messages)
            prefix = self._prefix(session.namespace()) if text else None
            if prefix is None:
                return []
            words, script = netfilter.nft(text)
            return [netfilter.quoted([*prefix, *words], script)]
        names = self._names(session)
        commands = [self._words(session, message, names) for message in messages]
        prefix = self._prefix(session.namespace()) if any(commands) else None
        return [shlex.join([*prefix, *words]) if words and prefix is not None else "" for words in commands]

    def _words(self, session: Session, message: Message, names: NameLookup) -> list[str]:
        if session.protocol == NETFILTER:
            return netfilter.conntrack(message)
        if session.protocol != socket.NETLINK_ROUTE or message.kind not in TRANSLATIONS:
            return []
        return TRANSLATIONS[message.kind](message, names)
