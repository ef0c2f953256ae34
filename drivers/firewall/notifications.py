"""Notifications from the kernel about nftables changes in one network namespace (NFNLGRP_NFTABLES).

For every transaction, the kernel sends one message per change. The last message of a transaction contains the process
that made the transaction, and the new generation number, which counts the transactions. Other programs may make
thousands of changes to their own tables. To save time, a message without the name of hawse's table is not parsed.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from drivers.firewall.transaction import SIGNATURE
from drivers.linux.attributes import read, read_text
from drivers.linux.errors import kernel_errors
from drivers.linux.netlink import HEADER, Session, follow, messages, pending
from drivers.linux.nfnetlink import FAMILIES, NETFILTER, NFGENMSG
from drivers.linux.process import INITIAL_PID_NAMESPACE
from drivers.model import News

GROUP = 7  # kernel constant NFNLGRP_NFTABLES
BUFFER_BYTES = 1 << 22  # size of the receive buffer
NEW_ELEMENTS, NEW_GENERATION, GET_GENERATION = 10 << 8 | 12, 10 << 8 | 15, 10 << 8 | 16
TABLE = 1  # attribute NFTA_TABLE_NAME; messages about chains, sets, rules and elements use the same number
GENERATION, PROCESS, PROCESS_NAME = 1, 2, 3  # attributes NFTA_GEN_ID, NFTA_GEN_PROC_PID, NFTA_GEN_PROC_NAME
NAME = b"hawse"
OURS = frozenset((FAMILIES["inet"], FAMILIES["bridge"]))


class NftablesListener:
    """A listener for the nftables transactions in the network namespace of the thread that creates the listener.

    The listener receives only transactions that happen after its creation.
    """

    def __init__(self) -> None:
        self._socket = follow("nftables", (GROUP,), NETFILTER, buffer_bytes=BUFFER_BYTES)
        self._asking = Session(NETFILTER)
        self._generation = self.generation()
        self._touched = self._lost = False

    def fileno(self) -> int:
        """Return the file descriptor that becomes readable when the kernel has sent notifications."""
        return self._socket.fileno()

    def read(self) -> News:
        """Return a summary of the changes of hawse's tables since the last call of `read`; never blocks.

        If the kernel dropped notifications (ENOBUFS), `News.foreign` is True, because any program may have made a
        change.
        """
        news = News()
        for data in pending(self._socket):
            if data is not None:
                news = self._heard(news, data)
                continue
            self._touched = self._lost = False
            news = News(True, news.lost, news.by_hawse, news.by)
            self._generation = self.generation()  # `read` has reported the changes up to this generation
        return news

    def missed(self) -> bool:
        """Return whether the kernel has made an nftables transaction without a notification to this listener."""
        now = self.generation()
        missed = now != self._generation and not self._waiting()
        self._generation = now if missed else self._generation
        return missed

    def generation(self) -> int:
        """Return the kernel's current nftables generation number, which changes with every transaction."""
        with kernel_errors("look up", "the generation of nftables"):
            answer = self._asking.request(GET_GENERATION, NFGENMSG.pack(0, 0, 0))
            return int.from_bytes(read(answer[0], NFGENMSG.size)[GENERATION])
        raise AssertionError

    def close(self) -> None:
        """Close the listener's sockets; idempotent."""
        self._socket.close()
        self._asking.close()

    def _waiting(self) -> bool:
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _heard(self, news: News, data: bytes) -> News:
        """Return the summary ``news``, extended by the changes that the kernel's datagram ``data`` reports.

        Only the last datagram of a transaction changes the summary, and only if the transaction changed hawse's tables.
        For any other datagram, ``news`` is returned unchanged.
        """
        _, kind, _, number, _ = HEADER.unpack_from(data)
        if kind != NEW_GENERATION:
            if NAME + b"\0" in data:
                self._look(data)
            return news
        attributes = read(data, HEADER.size + NFGENMSG.size)
        self._generation = int.from_bytes(attributes[GENERATION])
        touched, lost, self._touched, self._lost = self._touched, self._lost, False, False
        if not touched:
            return news
        author = Author.of(attributes)
        if number == SIGNATURE or author.is_this_process():
            return News(news.foreign, news.lost, True, news.by)
        return News(True, news.lost or lost, news.by_hawse, str(author))

    def _look(self, data: bytes) -> None:
        """Record whether the messages in ``data`` change hawse's tables, and whether they may remove rules or elements.

        A message that adds elements removes nothing. All other messages may remove objects.
        """
        for kind, *_, body in messages(data):
            if body[0] in OURS and read(body, NFGENMSG.size).get(TABLE, b"").rstrip(b"\0") == NAME:
                self._touched = True
                self._lost = self._lost or kind != NEW_ELEMENTS


class Author(NamedTuple):
    """The thread that made an nftables transaction: its id in the machine's first PID namespace, and its name.

    If this process is in another PID namespace, as in a container, the id is useless there and replaced by 0.
    """

    thread: int
    name: str

    @classmethod
    def of(cls, attributes: Mapping[int, bytes]) -> Author:
        """Return the author of a transaction; ``attributes`` are those of the kernel's message that ends it."""
        is_first = os.stat("/proc/self/ns/pid").st_ino == INITIAL_PID_NAMESPACE
        thread = int.from_bytes(attributes.get(PROCESS, b"")) if is_first else 0
        return cls(thread, read_text(attributes.get(PROCESS_NAME, b"")))

    def is_this_process(self) -> bool:
        """Return whether a thread of this process made the transaction.

        If the author's id is 0, return whether a thread of this process has the author's name. All threads are
        compared, because a driver's repairs may run in a separate thread.
        """
        if self.thread:
            return os.path.exists(f"/proc/self/task/{self.thread}")
        return self.name in map(_name, os.listdir("/proc/self/task"))

    def __str__(self) -> str:
        return f"{self.name} ({self.thread})" if self.thread else self.name


def _name(thread: str) -> str:
    """Return the name of a thread of this process, or "" if the thread has ended; ``thread`` is its id."""
    try:
        return read_text(Path(f"/proc/self/task/{thread}/comm").read_bytes()[:-1])
    except OSError:
        return ""
