"""Run hawse commands of a host on the shared server, without a process for the launcher.

`tests.shared_launcher` is a program: it needs 20 ms of processor time for each command, because ``ip netns exec`` and
the Python interpreter start first. This module sends the same request from the test process. The server's child enters
the namespaces of the request, so the test process need not be in the host's namespaces.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from cli.launcher.launch import (
    EXITED,
    FORWARDED,
    GO,
    KILLED,
    LOST,
    LOST_TEXT,
    MESSAGE,
    READY,
    SOCKET,
    STOPPED,
    UNINSTALL,
    WELCOME,
    encoded,
    message,
    names_descriptor,
    receive_message,
)  # fmt: skip
from tests import commands

ANSWER_TIMEOUT_SECONDS = 20.0
READ_BYTES = 65536
MARK = b"x"


class NotAccepted(Exception):
    """Raised when the shared server does not run a command. The command has not been started."""


class Context:
    """A mount namespace of a host, as ``ip netns exec`` makes it: with the host's files of /etc/netns in /etc.

    The object keeps the namespace and its root directory open. The processes of ``ip netns exec`` have ended.
    """

    def __init__(self, name: str) -> None:
        self.facts = facts_of(name)
        with subprocess.Popen(["ip", "netns", "exec", name, "cat"], stdin=-1, stdout=-1, bufsize=0) as cat:
            assert cat.stdin and cat.stdout
            cat.stdin.write(MARK)
            if cat.stdout.read(len(MARK)) != MARK:
                raise NotAccepted
            self.mounts = os.open(f"/proc/{cat.pid}/ns/mnt", os.O_RDONLY)
            self.root = os.open(f"/proc/{cat.pid}/root", os.O_PATH)

    def close(self) -> None:
        os.close(self.mounts)
        os.close(self.root)


def facts_of(name: str) -> list[object]:
    """Return the mounts of this process, and the inodes of a host's network namespace and of its files in /etc/netns.

    If these values change, the host needs a new mount namespace. Mounts in /run/netns do not count, because the kernel
    makes them in all mount namespaces.
    """
    mounts = Path("/proc/self/mountinfo").read_bytes().splitlines()
    facts: list[object] = [mount for mount in mounts if b" /run/netns/" not in mount]
    facts.append(os.stat(f"/run/netns/{name}").st_ino)
    with contextlib.suppress(OSError):
        for file in sorted(os.listdir(f"/etc/netns/{name}")):
            with contextlib.suppress(OSError):
                facts.append((file, os.stat(f"/etc/netns/{name}/{file}").st_ino))
    return facts


def suits(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Return whether a command may run on the server. The conditions are those of `cli.launcher.launch.main`."""
    return (
        environment.get("HAWSE_WARM") != "off"
        and not names_descriptor([os.fspath(argument) for argument in arguments])
        and UNINSTALL not in arguments
    )


class Client:
    """Runs the commands of one host on the shared server. Threads may use it at the same time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._context: Context | None = None
        self._lock = threading.Lock()

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run one command without input and return the completed process.

        Raises `NotAccepted` if the server does not accept the command, and `subprocess.TimeoutExpired` after
        ``timeout`` seconds. The end of the connection then ends the command.
        """
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            ends = [os.pipe(), os.pipe()]
            outputs = [stack.enter_context(open(read, "rb", buffering=0)) for read, _ in ends]
            try:
                self._start(server, [write for _, write in ends], arguments, environment)
            finally:
                for _, write in ends:
                    os.close(write)
            texts, returncode = collect(server, outputs, timeout, arguments)
        return subprocess.CompletedProcess(["hawse", *arguments], returncode, *texts)

    def _start(
        self, server: socket.socket, outputs: list[int], arguments: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        """Let the server start a command whose standard output and standard error are ``outputs``."""
        try:
            server.settimeout(ANSWER_TIMEOUT_SECONDS)
            server.connect(f"{commands.shared_server().run_dir}/{os.fsdecode(SOCKET)}")
            answer, descriptors, _, _ = socket.recv_fds(server, MESSAGE, 1)
            for descriptor in descriptors:
                os.close(descriptor)
            if answer[:1] != WELCOME:
                raise NotAccepted
            self._send_request(server, outputs, self._request(arguments, environment))
            if receive(server)[0] != READY:
                raise NotAccepted
            server.sendall(message(GO))
        except OSError as error:
            raise NotAccepted from error

    def _request(self, arguments: Sequence[str], environment: Mapping[str, str]) -> bytes:
        ignored = [number for number in FORWARDED if signal.getsignal(number) == signal.SIG_IGN]
        variables = [os.fsencode(f"{name}={value}") for name, value in environment.items()]
        identity = commands.shared_server().identity
        return encoded(identity, umask(), range(3), ignored, [*map(os.fsencode, arguments)], variables)

    def _send_request(self, server: socket.socket, outputs: list[int], request: bytes) -> None:
        context = self._current_context()
        opened: list[int] = []
        try:
            for path, flags, directory in (
                (os.devnull, os.O_RDONLY, None),
                (os.getcwd()[1:] or ".", os.O_PATH, context.root),
                (f"/run/netns/{self.name}", os.O_RDONLY, None),
            ):
                opened.append(os.open(path, flags, dir_fd=directory))
            quiet, current, network = opened
            rights = [quiet, *outputs, current, context.root, context.mounts, network]
            sent = socket.send_fds(server, [request], rights)
            server.sendall(request[sent:])
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def _current_context(self) -> Context:
        with self._lock:
            if self._context is None or self._context.facts != facts_of(self.name):
                self.close()
                self._context = Context(self.name)
            return self._context

    def close(self) -> None:
        """Close the host's mount namespace; idempotent."""
        if self._context is not None:
            self._context.close()
            self._context = None


def umask() -> int:
    """Return the umask of this process without changing it, because other threads may create files."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("Umask:")[2].split()[0], 8)


def receive(server: socket.socket) -> tuple[bytes, int]:
    """Receive one message of the server: its letter and its number. The letter is b"" at the end of the connection."""
    event = receive_message(server)
    return event[:1], int.from_bytes(event[1:], "big")


def collect(
    server: socket.socket, outputs: Sequence[object], timeout: float, arguments: Sequence[str]
) -> tuple[list[str], int]:
    """Wait for the end of a command and of its outputs. Return the outputs' texts and the exit code.

    The exit code is negative if a signal ended the command, as `subprocess` shows it.
    """
    texts, returncode, deadline = dict.fromkeys(outputs, b""), 0, time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        for source in (server, *outputs):
            selector.register(source, selectors.EVENT_READ)
        while selector.get_map():
            if (left := deadline - time.monotonic()) <= 0:
                raise subprocess.TimeoutExpired(["hawse", *arguments], timeout, *texts.values())
            for key, _ in selector.select(left):
                if key.fileobj is not server:
                    data = os.read(key.fd, READ_BYTES)
                    texts[key.fileobj] += data
                    if not data:
                        selector.unregister(key.fileobj)
                    continue
                event, number = receive(server)
                if event != STOPPED:
                    selector.unregister(server)
                    returncode = {EXITED: number, KILLED: -number}.get(event, LOST)
                    texts[outputs[1]] += b"" if event in (EXITED, KILLED) else LOST_TEXT
    return [text.decode().replace("\r\n", "\n").replace("\r", "\n") for text in texts.values()], returncode
