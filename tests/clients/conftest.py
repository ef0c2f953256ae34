"""One host with hawse's API for all tests of a module, and real clients of Docker that use it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import docker
import pytest

from tests import commands
from tests.conftest import Host, Peer, install_busybox, require_root, until


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(self.path)


@dataclass(frozen=True)
class Answer:
    """One answer of the API: status, headers with names in lower case, and the body."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return self.json["message"]


class Service:
    """A running ``hawse system service`` on a host."""

    def __init__(self, host: Host, *flags: str) -> None:
        self.host, self.socket = host, host.run_dir / "docker.sock"
        self.log = host.state / "service.log"
        self.start(*flags)

    def start(self, *flags: str, **variables: str) -> None:
        """Start the service with these environment variables, and wait until it listens."""
        launcher, environment = commands.in_own_process(self.host.launcher)
        with self.log.open("ab") as log:
            before = log.tell()
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", self.host.name, *launcher, "system", "service", *flags],
                env=self.host.env(**environment, **variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(lambda: self.process.poll() is not None or b"API listen on" in self.log.read_bytes()[before:])
        assert self.process.poll() is None, self.log.read_text()
        commands.offer_server(self.host.launcher, self.host.run_dir)

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which docker's own command line uses this service."""
        return {**os.environ, "DOCKER_HOST": self.url, "DOCKER_CONFIG": str(self.host.state)}

    def docker(
        self, *argv: str, check: bool = True, input: str | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run docker's own command line on this service."""
        environment = {**self.environment, **variables}
        kw = {"input": input} if input is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run(
            ["docker", *argv], env=environment, capture_output=True, text=True, timeout=60, cwd=self.host.state, **kw
        )
        if check and done.returncode:
            raise AssertionError(f"docker {argv}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        """Send one request over a new connection; ``body`` is bytes, or a value that is sent as JSON."""
        connection = UnixConnection(str(self.socket))
        if body is not None and not isinstance(body, bytes):
            body, headers = json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        connection.close()
        return answer

    def connect(self, seconds: float = 30) -> socket.socket:
        """Return a new connection to the service; ``seconds`` is the time limit of each later operation."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.socket))  # without the limit, because connect would then fail if the queue is full
        connection.settimeout(seconds)
        return connection

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def front_of(service: Service) -> int:
    """Return the pid of the front: the child of the service with several threads, or 0."""
    return next((pid for pid, threads in children(service.process.pid) if threads > 1), 0)


def children(service: int) -> list[tuple[int, int]]:
    """Return the pid and the number of threads of each child of the process ``service`` that works on no job.

    A worker with a job has its own session. It is left out, because it exists for a moment after the client's answer.
    """
    command = ["ps", "-o", "pid=,nlwp=,sess=,stat=", "--ppid", str(service)]
    rows = [line.split() for line in subprocess.run(command, capture_output=True, text=True).stdout.splitlines()]
    return [
        (int(pid), int(threads))
        for pid, threads, session, state in rows
        if session != pid and not state.startswith("Z")
    ]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A host whose API has the image ``bb:latest``, a root file system with busybox."""
    require_root()
    peer = Peer(f"hwc{os.getpid()}p", ipv6=False)
    host = Host(f"hwc{os.getpid()}h", peer, tmp_path_factory.mktemp("clients"))
    try:
        load(host, tmp_path_factory.mktemp("rootfs"))
        running = Service(host)
        yield running
        running.stop()
    finally:
        host.delete()
        peer.delete()


def load(host: Host, root: Path) -> None:
    """Import the image bb:latest."""
    install_busybox(root, "sh", "sleep", "cat", "ls", "echo", "ping", "wget", "nc", "httpd", "true", "false")
    tar = root.with_suffix(".tar")
    subprocess.run(["tar", "-C", str(root), "-cf", str(tar), "."], check=True)
    host.hawse("import", str(tar), "bb:latest")


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[docker.DockerClient]:
    """docker-py, connected to the service."""
    made = docker.DockerClient(base_url=service.url)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def clean(service: Service) -> Iterator[None]:
    """Remove the objects that a test has left."""
    yield
    kinds = ("/containers/json?all=1", "rm", "-f"), ('/networks?filters={"type":["custom"]}', "network", "rm")
    for path, *command in kinds:  # because docker's own command line takes long to start, it does not list the objects
        if left := service.ask("GET", path).json:
            service.docker(*command, *(each["Id"] for each in left))
