"""Redirection of the resolver's port 53 inside a sandbox to the port that the resolver is bound to.

The resolver is the DNS server of the agent. A sandbox is a container's network namespace. A container may run its own
name server on the wildcard address and port 53. The kernel refuses that bind while another socket is bound to port 53
of any address. Therefore, the resolver is bound to another port, and two short chains per sandbox change the port
numbers in packets. The chains do not use connection tracking. Queries are changed before they reach the container's own
rules. Answers are changed after they have passed the container's own rules.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import cache
from ipaddress import IPv4Address
from typing import Any, NamedTuple

from drivers.errors import Busy
from drivers.firewall import table_structure, transaction
from drivers.firewall.notifications import GROUP, NEW_GENERATION, Author
from drivers.firewall.table_structure import DELETE_TABLE, Structure
from drivers.linux import libnftables, listeners, netns, nfnetlink
from drivers.linux.attributes import read
from drivers.linux.link_notifications import READS
from drivers.linux.netlink import HEADER, Message, follow, in_background, pending
from drivers.linux.nfnetlink import NETFILTER, NFGENMSG, table_header
from drivers.model import Difference

TABLE = "hawse_resolver"
PROTOCOLS = ("udp", "tcp")
PORT, LAST_PORT = 53, 65535
CHAINS = ("asks", "answers")
LIMIT = 64
"""The maximum number of objects of one kind that are read from the table, to which root in the sandbox can add any."""
SAMPLE_PORT = 0xABCD
"""A port number whose bytes occur in the rules only as that port, so that `_with_port` can replace them."""
TIMEOUT_SECONDS = 0.5
"""Maximum seconds for which the agent waits until the kernel has changed the rules of one sandbox."""
WAITING_LIMIT = 8
"""The maximum number of changes of one network namespace that have not ended yet."""
DELETION = Message(DELETE_TABLE, 0, table_header(f"ip {TABLE}"))


def bound_port() -> int:
    """Return the port to which the present rules redirect port 53, or 0 if rules are missing.

    Runs in the calling thread's network namespace.
    """
    asks, answers = (nfnetlink.comments(f"ip {TABLE}", chain, LIMIT) for chain in CHAINS)
    port = asks[-1] if asks else ""
    whole = asks == answers == ["", *[port] * len(PROTOCOLS)]
    # Because a process in the namespace may have made the rules, their comments may be any text.
    return int(port) if whole and port.isascii() and port.isdigit() and int(port) <= LAST_PORT else 0


def reusable_port() -> int:
    """Return `bound_port`, or 0 while a change of the rules has not ended, because the change may remove the rules.

    The agent binds this port again after a restart, because new rules take milliseconds for each sandbox. Runs in the
    calling thread's network namespace.
    """
    return 0 if _waiting_changes.has_any() else bound_port()


def serving_port(address: IPv4Address) -> int:
    """Return the UDP port other than 53 to which a socket at ``address`` is bound, or 0 if there is no such socket.

    Runs in the calling thread's network namespace.
    """
    return next((port for port in listeners.udp_ports(address) if port != PORT), 0)


def redirect(address: IPv4Address, bound: int) -> None:
    """Redirect port 53 of the resolver's ``address`` to port ``bound``, replacing an earlier redirection.

    Runs in the calling thread's network namespace. Raises `DriverError` if the kernel refuses the redirection. Waits
    for the kernel at most `TIMEOUT_SECONDS` (`_in_time`). libnftables is not used, because it takes tens of
    milliseconds, and could crash on tables that a hostile program has made in the namespace.
    """
    messages = [_for_port(message, bound) for message in _sample(address).messages]

    def make() -> None:
        try:
            transaction.send(messages)
        except libnftables.Refused as error:
            if not error.taken:
                raise
            # Delete the table only if it exists. Deleting a table is slow: when the nftables socket is closed after a
            # deletion, the kernel first waits milliseconds for all readers of the table.
            transaction.send([DELETION, *messages])

    _in_time(make)


def _in_time(change: Callable[[], None]) -> None:
    """Change the rules in a separate thread, and wait at most `TIMEOUT_SECONDS` for the change.

    Runs in the calling thread's network namespace, which the separate thread inherits. If the change fails within
    `TIMEOUT_SECONDS`, its error is raised. If it fails later, the error is ignored, because the agent's repair adds
    missing rules. Raises `Busy` if `WAITING_LIMIT` changes of the namespace already wait.

    The kernel makes only one nftables transaction of a namespace at a time. The owner of the namespace can therefore
    delay the change without limit, but the agent must serve the other sandboxes.
    """
    failures: list[Exception] = []
    done = threading.Event()

    def run() -> None:
        try:
            change()
        except Exception as error:
            failures.append(error)
        finally:
            done.set()

    _waiting_changes.add(run)
    done.wait(TIMEOUT_SECONDS)
    if failures:
        raise failures[0]


class _WaitingChanges:
    """The changes that have not ended yet, by the inode number of their network namespace.

    One thread for each namespace makes the namespace's changes in the order in which they were added. Otherwise, a slow
    redirection could be made after the removal that was meant to delete it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changes: dict[int, list[Callable[[], None]]] = {}

    def add(self, change: Callable[[], None]) -> None:
        """Add a change of the calling thread's network namespace; start the namespace's thread if no thread runs.

        Raises Busy if `WAITING_LIMIT` changes of this namespace have not ended yet.
        """
        namespace = _namespace()
        with self._lock:
            changes = self._changes.setdefault(namespace, [])
            if len(changes) == WAITING_LIMIT:
                raise Busy(f"nftables: {WAITING_LIMIT} earlier changes of this network namespace still wait")
            changes.append(change)
            if len(changes) > 1:
                return
        in_background(lambda: self._make(namespace, changes))

    def has_any(self) -> bool:
        """Return whether a change of the calling thread's network namespace has not ended yet."""
        with self._lock:
            return _namespace() in self._changes

    def _make(self, namespace: int, changes: list[Callable[[], None]]) -> None:
        while True:
            changes[0]()
            with self._lock:
                del changes[0]
                if not changes:
                    del self._changes[namespace]
                    return


_waiting_changes = _WaitingChanges()


def _namespace() -> int:
    """Return the inode number of the calling thread's network namespace."""
    return os.stat("/proc/thread-self/ns/net").st_ino


def _for_port(message: Message, port: int) -> Message:
    """Return a netlink message of the sample table (`_sample`) with ``port`` in place of `SAMPLE_PORT`.

    A message that contains `SAMPLE_PORT` is a rule. The function gives this rule a comment with the port number, which
    `bound_port` reads. Other messages are returned unchanged.
    """
    if SAMPLE_PORT.to_bytes(2) not in message.body:
        return message
    return message._replace(body=_with_port(message.body, port) + nfnetlink.comment(str(port)))


def remove(bound: int) -> None:
    """Delete the redirection of the resolver's port 53, if it leads to port ``bound``; idempotent.

    Runs in the calling thread's network namespace. Raises `DriverError` if the kernel refuses the deletion. Waits for
    the kernel at most `TIMEOUT_SECONDS` (`_in_time`).
    """
    if bound:
        _in_time(lambda: transaction.send([DELETION]) if bound_port() == bound else None)


def compare(address: IPv4Address, bound: int) -> list[Difference]:
    """Return one difference if the resolver's redirection is missing or changed, otherwise an empty list.

    The redirection leads from port 53 of the resolver's ``address`` to port ``bound``. Runs in the calling thread's
    network namespace.
    """
    structure = table_structure.find(f"ip {TABLE}", LIMIT)
    if structure is None:
        return [Difference("missing", "redirection of the resolver", "the table")]
    due = _sample(address).structure
    rules = {chain: _with_port(due.rules[chain], bound) for chain in CHAINS}
    if structure == due._replace(rules=rules):
        return []
    return [Difference("changed", "redirection of the resolver", "the rules")]


class _Sample(NamedTuple):
    """A table that redirects the resolver's port 53 to `SAMPLE_PORT`.

    For each sandbox, `SAMPLE_PORT` is replaced by the port to which the sandbox's resolver is bound. ``structure`` is
    the table as the kernel lists it. ``messages`` are the netlink messages that create the table.
    """

    structure: Structure
    messages: list[Message]


@cache
def _sample(address: IPv4Address) -> _Sample:
    """Return the table that redirects the resolver to `SAMPLE_PORT`, with the messages that create the table.

    ``address`` is the resolver's address. libnftables first creates the table in an empty network namespace, and this
    function reads the table there.
    """
    with netns.new_netns():
        libnftables.run(script(address, SAMPLE_PORT))
        made, messages = table_structure.find(f"ip {TABLE}"), table_structure.messages(f"ip {TABLE}")
    assert made is not None
    return _Sample(made, messages)


def _with_port(value: Any, port: int) -> Any:
    """Return ``value`` with ``port`` in place of each `SAMPLE_PORT`.

    ``value`` is the body of a netlink message, or a chain's rules as nested tuples.
    """
    if isinstance(value, bytes):
        return value.replace(SAMPLE_PORT.to_bytes(2), port.to_bytes(2))
    return tuple(_with_port(part, port) for part in value)


class RedirectWatch:
    """A watch that reports whether another program has changed the rules that redirect the resolver's port 53.

    The watch is for the network namespace of the thread that creates it.
    """

    def __init__(self) -> None:
        self._socket = follow("nftables", (GROUP,), NETFILTER)
        self._touched = False

    def fileno(self) -> int:
        """Return the file descriptor that becomes readable when the kernel has sent notifications."""
        return self._socket.fileno()

    def read(self) -> bool:
        """Read at most `READS` notifications; return whether another program changed the redirection. Never blocks.

        Also returns True if the kernel dropped notifications, because a dropped one may have reported a change.
        """
        changed = False
        for data in pending(self._socket, READS):
            if data is None:
                changed = True
            elif HEADER.unpack_from(data)[1] == NEW_GENERATION:
                attributes = read(data, HEADER.size + NFGENMSG.size)
                changed |= self._touched and not Author.of(attributes).is_this_process()
                self._touched = False
            elif TABLE.encode() + b"\0" in data:
                self._touched = True
        return changed

    def close(self) -> None:
        """Close the watch in a separate thread; idempotent.

        The kernel closes the socket only after all waiting nftables transactions of the namespace.
        """
        in_background(self._socket.close)


def script(address: IPv4Address, bound: int) -> str:
    """Return the nftables script that redirects port 53 of the resolver's ``address`` to port ``bound``.

    The script fails if the table exists.
    """
    asks = [f'ip daddr {address} {p} dport {PORT} {p} dport set {bound} comment "{bound}"' for p in PROTOCOLS]
    answers = [f'ip saddr {address} {p} sport {bound} {p} sport set {PORT} comment "{bound}"' for p in PROTOCOLS]
    chains = zip(CHAINS, (-400, 400), (asks, answers), strict=True)
    table = f"table ip {TABLE} {{\n{''.join(_chain(*chain) for chain in chains)}}}\n"
    return f"create table ip {TABLE}\n{table}"


def _chain(name: str, priority: int, rules: list[str]) -> str:
    body = "\n".join(rules)
    return f"chain {name} {{\ntype filter hook output priority {priority}\noif != lo return\n{body}\n}}\n"
