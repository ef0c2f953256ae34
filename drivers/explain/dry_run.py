"""The recorder of ``--dry-run``: it records the command for each change, and does not make the change.

If an earlier step would have made or deleted a link, or set a sysctl, the recorder answers later reads of this object.
All other reads go to the kernel.

Each firewall transaction is sent without its end mark, so that the kernel checks the transaction and then discards it.
To find out whether the kernel supports a kind of link, the recorder creates such a link in a temporary network
namespace. A parameter ``namespace`` is the inode number of the session's network namespace.
"""

from __future__ import annotations

import errno
import os
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import TypeVar

from pyroute2.netlink import NLM_F_CREATE
from pyroute2.netlink.rtnl import RTM_DELLINK, RTM_GETLINK, RTM_GETROUTE
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from drivers.explain import imagined, kinds, links
from drivers.explain.imagined import ImaginedLinks
from drivers.explain.links import NameLookup
from drivers.explain.recorder import HERE, TRANSLATIONS, CommandRecorder
from drivers.firewall.encoding import FILES
from drivers.firewall.transaction import ADD, BEGIN, DESTROY, END, SIGNATURE
from drivers.linux import link, nfnetlink, sysctl
from drivers.linux.conntrack import DELETE
from drivers.linux.netlink import ACK, Message, Session
from drivers.linux.nfnetlink import NETFILTER
from drivers.linux.rtnetlink import decode

T = TypeVar("T")
NFT_CHANGES = (BEGIN, END, ADD, DESTROY)


class DryRunRecorder(CommandRecorder):
    """Records the commands for the changes that this process would make."""

    is_dry_run = True

    def __init__(self) -> None:
        super().__init__()
        self._home = os.stat(HERE).st_ino
        self._links = ImaginedLinks()
        self._sysctls: dict[tuple[int, str], str] = {}
        self._tables: set[tuple[int, str]] = set()
        self._scripts: defaultdict[int, list[str]] = defaultdict(list)
        self._transactions: defaultdict[tuple[int, str], list[Message]] = defaultdict(list)
        self._lost: set[int] = set()

    def netlink(self, session: Session, messages: Sequence[Message], act: Callable[[], T], nothing: T) -> T:
        """Record a change without making it, or answer a query.

        ``act`` sends the messages to the kernel and returns the answer. For a recorded change, ``nothing`` is returned
        in place of the answer.

        - A change: recorded and not sent. Raises OSError if the kernel would refuse the firewall transaction, or does
          not support the kind of a new link.
        - A change in a temporary namespace of this process: sent and not recorded.
        - A query for a link that the dry run has made or deleted: answered from `ImaginedLinks`. Raises OSError for a
          deleted link.
        - Any other query: sent to the kernel.
        """
        namespace = session.namespace()
        if not any(self._changes(session, message) for message in messages):
            answer = self._answer(session, namespace, messages[0])
            return act() if answer is None else answer  # type: ignore[return-value]
        if self._prefix(namespace) is None:
            return act()  # a temporary namespace ends with this process, so the change does no harm
        texts = self._described(session, messages)
        if session.protocol == NETFILTER and messages[0].kind == BEGIN:
            self._check(session, namespace, messages)
        elif session.protocol != NETFILTER:
            for message in messages:
                if TRANSLATIONS[message.kind] is links.command:
                    self._imagine(session, namespace, message)
        self._keep(texts)
        return nothing

    def listed(self, session: Session, kind: int, bodies: list[bytes]) -> list[bytes]:
        """Return ``bodies``, the objects that the kernel lists, without the routes that the dry run has deleted.

        The kernel deletes the routes of a link together with the link. If the dry run has deleted a veth pair, the
        result has no routes through the sandbox's end. `_lose` has stored the index of this end. ``kind`` is the type
        of the netlink request. Only answers to RTM_GETROUTE are changed.
        """
        if kind != RTM_GETROUTE or not self._lost or session.namespace() == self._home:
            return bodies
        return [body for body in bodies if decode(rtmsg, body).get_attr("RTA_OIF") not in self._lost]

    def sysctl(self, path: str, value: str, act: Callable[[], object]) -> None:
        """Record the command that sets a sysctl, and keep the value for later reads of the dry run."""
        super().sysctl(path, value, lambda: None)
        self._sysctls[os.stat(HERE).st_ino, path] = value

    def sysctl_value(self, path: str) -> str | None:
        """Return the value that a sysctl has in the dry run, or None if the kernel's value applies.

        If the link exists only in the dry run, the result is the kernel's value for new links. It changes when the dry
        run sets another value.
        """
        namespace = os.stat(HERE).st_ino
        value = self._sysctls.get((namespace, path))
        if value is None and self._links.find(namespace, imagined.of_link(path)):
            return sysctl.read(imagined.for_new_links(path))
        return value

    def nft(self, script: str, act: Callable[[], object]) -> None:
        """Record the command that runs an nftables script, but do not run the script.

        Later steps of the dry run use the recorded script and the names of the tables that the script adds. If the
        calling thread is in a temporary namespace of this process, run the script by ``act``, and record nothing.
        """
        namespace = os.stat(HERE).st_ino
        if self._prefix(namespace) is None:
            act()
            return
        super().nft(script, lambda: None)
        self._scripts[namespace].append(script)
        self._tables |= {(namespace, table) for table in FILES if f"add table {table}\n" in script}

    def rule_comments(self, table: str, chain: str) -> list[str]:
        """Return the comments of the rules that the dry run would add to a chain.

        ``table`` is the table's family and name, such as ``inet hawse``.
        """
        adding = re.compile(rf'^add rule {re.escape(f"{table} {chain}")} .*comment "([^"]*)"$', re.MULTILINE)
        return [text for script in self._scripts[os.stat(HERE).st_ino] for text in adding.findall(script)]

    def command(self, argv: Sequence[str], act: Callable[[], object], *, secret: bool = False) -> None:
        """Record the command line ``argv``; does not call ``act``, which would make the change."""
        super().command(argv, lambda: None, secret=secret)

    def link_index(self, name: str, session: Session | None = None) -> int | None:
        """Return a link's index if the dry run has made the link, 0 if it has deleted the link, else None."""
        namespace = session.namespace() if session else os.stat(HERE).st_ino
        if not self._links.knows(namespace, name):
            return None
        imagined = self._links.find(namespace, name)
        return imagined.index if imagined else 0

    def _imagine(self, session: Session, namespace: int, message: Message) -> None:
        """Change the dry run's own links (`ImaginedLinks`) as ``message`` would change the kernel's links.

        Raises OSError if the message creates a link of a kind that the kernel does not support.
        """
        content = decode(ifinfmsg, message.body)
        if message.flags & NLM_F_CREATE:
            kinds.require(content.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND"))
        name = self._names(session).link(content["index"])
        self._lose(session, message, name)
        self._links.apply(namespace, message, name)

    def _lose(self, session: Session, message: Message, name: str) -> None:
        """If ``message`` deletes the veth interface ``name``, store the index of the other end of the veth pair.

        The other end is in a sandbox, and the kernel would delete it too. `listed` leaves out the routes through it.
        """
        if message.kind == RTM_DELLINK and name and (present := link.find(session, name)) and present.kind == "veth":
            self._lost.add(present.peer)

    def _names(self, session: Session) -> NameLookup:
        namespace, real = session.namespace(), super()._names(session)
        return NameLookup(lambda index: self._links.name(namespace, index) or real.link(index), real.namespace)

    def _changes(self, session: Session, message: Message) -> bool:
        if session.protocol == NETFILTER:
            return message.kind in (*NFT_CHANGES, DELETE)
        return message.kind in TRANSLATIONS

    def _answer(self, session: Session, namespace: int, message: Message) -> list[bytes] | None:
        """Return the answer to a request for a link that only the dry run has made, or None for any other request.

        Raises OSError for a link that the dry run has deleted.
        """
        if session.protocol == NETFILTER or message.kind != RTM_GETLINK:
            return None
        name = decode(ifinfmsg, message.body).get_attr("IFLA_IFNAME") or ""
        if not self._links.knows(namespace, name):
            return None
        imagined = self._links.find(namespace, name)
        if imagined is None:
            raise OSError(errno.ENODEV, "refused by the kernel")
        return [imagined.body()]

    def _check(self, session: Session, namespace: int, messages: Sequence[Message]) -> None:
        """Check a firewall transaction without making it; raises OSError if the kernel would refuse it.

        The earlier transactions for the same table are sent again with this one, because the kernel has discarded them.
        A transaction for a table that only the dry run has made is not checked.
        """
        table, changes = nfnetlink.table_of(messages[1].body), messages[1:-1]
        if (namespace, table) not in self._tables:
            earlier = self._transactions[namespace, table]
            session.transact([messages[0], *earlier, *changes], SIGNATURE)
            earlier += [message._replace(flags=message.flags & ~ACK) for message in changes]
