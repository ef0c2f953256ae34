"""A host with containers, and sockets in every network namespace.

hawse commands create the containers. A question is a datagram or a connection to a server. The server's answer is the
client's address. The tests send many questions in parallel.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import NamedTuple

import pytest

from drivers.linux import netns as namespaces
from tests.conftest import COUNTER, Host, Netns, Peer, require_root

KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}
PATIENCE, SILENCE = 10.0, 0.8
"""PATIENCE: seconds to wait for expected answers. SILENCE: minimum seconds to wait when no answer may come."""
AGAIN = 0.3
"""Seconds after which a datagram without an answer is sent again."""
FILTERED = ("bridge-nf-call-iptables", "bridge-nf-call-ip6tables")


def open_socket(path: str, address: str, protocol: str) -> socket.socket:
    """Return a non-blocking socket that belongs to the network namespace ``path``, even if the calling thread is in
    another namespace.
    """
    family = socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6
    made = namespaces.run_in_netns(path, lambda: socket.socket(family, KINDS[protocol]))
    made.setblocking(False)
    return made


class Question(NamedTuple):
    """A test message that a client in the namespace ``path`` sends to ``address`` and ``port``.

    The server answers with the client's address. The field ``source`` sets the client's own source address. A
    link-local address includes the number of the interface: ``fe80::1%2``.
    """

    path: str
    address: str
    port: int
    protocol: str = "tcp"
    source: str = ""

    @property
    def place(self) -> tuple[str, int] | tuple[str, int, int, int]:
        """The question's target address in the tuple form that Python's sockets use."""
        host, _, zone = self.address.partition("%")
        return (host, self.port, 0, int(zone)) if zone else (host, self.port)

    @property
    def payload(self) -> bytes:
        """The bytes of the datagram by which the client asks this question."""
        return repr(self).encode()


class Servers:
    """Servers on many ports; one thread runs all servers. A server answers each client with the client's address."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._stopped = False
        self.heard: set[bytes] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def serve(self, path: str, address: str, port: int, protocol: str) -> None:
        sock = open_socket(path, address, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        if protocol == "tcp":
            sock.listen(500)
        self._selector.register(sock, selectors.EVENT_READ, self._accept if protocol == "tcp" else self._answer)

    def _run(self) -> None:
        while not self._stopped:
            for key, _ in self._selector.select(0.05):
                with contextlib.suppress(OSError):
                    key.data(key.fileobj)

    def _accept(self, sock: socket.socket) -> None:
        channel, client = sock.accept()
        with channel:
            channel.send(client[0].encode())

    def _answer(self, sock: socket.socket) -> None:
        data, client = sock.recvfrom(500)
        self.heard.add(data)
        sock.sendto(client[0].encode(), client)

    def close(self) -> None:
        self._stopped = True
        self._thread.join(5)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()


class Asking:
    """Questions (test messages to servers) that are sent in parallel.

    The dictionary ``answers`` maps each answered question to the client address that the server saw.
    """

    def __init__(self, questions: Iterable[Question]) -> None:
        self.answers: dict[Question, str] = {}
        self._selector = selectors.DefaultSelector()
        self._open: dict[Question, socket.socket] = {}
        for question in questions:
            self._ask(question)

    def _ask(self, question: Question) -> None:
        sock = open_socket(question.path, question.address, question.protocol)
        self._open[question] = sock
        with contextlib.suppress(OSError):
            if question.source:
                sock.bind((question.source, 0))
            sock.connect_ex(question.place)
            self._selector.register(sock, selectors.EVENT_READ, question)

    def collect(self, expected: Callable[[Question], bool]) -> dict[Question, str]:
        """Wait until all expected answers have come, and for at least `SILENCE` seconds; return all answers.

        ``expected`` returns whether a given question (test message) must get an answer.
        """
        start, repeated = time.monotonic(), 0.0
        missing = {q for q in self._open if expected(q)}
        while (past := time.monotonic() - start) < PATIENCE and (missing - self.answers.keys() or past < SILENCE):
            if past >= repeated:
                repeated = past + AGAIN
                self._repeat()
            for key, _ in self._selector.select(AGAIN / 3):
                self._hear(key.data, key.fileobj)
        self._selector.close()
        for sock in self._open.values():
            sock.close()
        return self.answers

    def _repeat(self) -> None:
        for question, sock in self._open.items():
            if question.protocol == "udp" and question not in self.answers:
                with contextlib.suppress(OSError):
                    sock.send(question.payload)

    def _hear(self, question: Question, sock: socket.socket) -> None:
        try:
            answer = sock.recv(100).decode()
        except OSError:  # refused or unreachable: a UDP question is sent again
            answer = ""
        if answer:
            self.answers[question] = answer
        if question.protocol == "tcp" or answer:
            self._selector.unregister(sock)


class World:
    """A host, and its neighbour (another machine on the virtual wire). The tests control the host by hawse commands."""

    question = Question

    def __init__(self, host: Host, peer: Netns) -> None:
        self.host, self.peer = host, peer
        self.servers = Servers()

    def hawse(self, *argv: str) -> str:
        return self.host.hawse(*argv).stdout.strip()

    def at_once(self, *commands: Sequence[str]) -> None:
        """Run hawse commands in parallel on the host."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda argv: self.hawse(*argv), commands))

    def networks(self, **options: Sequence[str]) -> None:
        """Create networks in parallel. Each keyword is a network's name; the keyword's value is the list of flags."""
        self.at_once(*(["network", "create", *flags, name] for name, flags in options.items()))

    def containers(self, **options: Sequence[str]) -> dict[str, str]:
        """Start containers that do nothing, and return the path of each container's network namespace."""
        self.at_once(*(["run", "-d", "--name", n, *flags, "hostfs", "sleep", "1000"] for n, flags in options.items()))
        return self.paths(*options)

    def paths(self, *names: str) -> dict[str, str]:
        """Return the paths of the network namespaces of these running containers."""
        pids = self.hawse("inspect", "-f", "{{.State.Pid}}", *names).split()
        return {name: f"/proc/{pid}/ns/net" for name, pid in zip(names, pids, strict=True)}

    def inside(self, path: str, script: str) -> str:
        """Run a shell script in the network namespace ``path``, and return the output. The script uses the host's
        programs.
        """
        return namespaces.run_in_netns(
            path, lambda: subprocess.check_output(["sh", "-ec", script], text=True, timeout=20)
        )

    def serve(self, path: str, port: int, *, addresses: Iterable[str] = ("0.0.0.0", "::")) -> None:
        """Start TCP and UDP servers on a port in a network namespace."""
        for address in addresses:
            for protocol in KINDS:
                self.servers.serve(path, address, port, protocol)

    def ask(self, expected: Mapping[Question, str]) -> dict[Question, str]:
        """Send the questions (test messages) in ``expected``; return the client address that each server saw, or "" for
        no answer.
        """
        self.servers.heard.clear()
        answers = Asking(expected).collect(lambda q: bool(expected[q]))
        return {question: answers.get(question, "") for question in expected}

    def reaches(self, path: str, address: str, port: int, protocol: str = "tcp", source: str = "") -> str:
        """Send one question (a test message) and return the client address that the server saw, or "" without an
        answer.
        """
        question = Question(path, address, port, protocol, source)
        return self.ask({question: "?"})[question]

    def silent(self, *questions: Question) -> bool:
        """Return whether no question (test message) gets an answer, and none of the datagrams reaches a server."""
        answered = any(self.ask(dict.fromkeys(questions, "")).values())
        return not answered and self.servers.heard.isdisjoint(question.payload for question in questions)

    def filter_bridged(self, on: bool) -> None:
        """Switch br_netfilter on or off, if the kernel has br_netfilter. With br_netfilter on, bridged packets pass the
        firewall.
        """
        self.host.sh(f"cd /proc/sys/net/bridge 2>/dev/null && echo {int(on)} | tee {' '.join(FILTERED)} || true")

    def close(self) -> None:
        self.servers.close()
        self.host.delete()
        self.peer.delete()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A host with two IPv4 and two IPv6 addresses, and its neighbour (another machine on the virtual wire)."""
    require_root()
    peer = Peer(f"hwt{os.getpid()}wp{next(COUNTER)}", ipv6=True)
    host = Host(f"hwt{os.getpid()}wh{next(COUNTER)}", peer, tmp_path_factory.mktemp("publish"))
    host.sh("ip addr add 192.168.99.77/24 dev ext0; ip -6 addr add fd99::77/64 dev ext0 nodad preferred_lft 0")
    made = World(host, peer)
    yield made
    made.close()
