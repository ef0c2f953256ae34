"""The targets that run a scenario: hawse, docker's command line on hawse's API, and a real dockerd.

Each target runs on its own host. The scenarios call every target with the command ``docker``.
"""

from __future__ import annotations

import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import docker

from engine.store.sqlite import SqliteStore
from tests.conftest import Host, until
from tests.installation import CHECKOUT, script

from .normalise import Normaliser
from .scenarios import Scenario

RESIDENT = {"HAWSE_AGENT_IDLE": "600", "HAWSE_SUPERVISOR_IDLE": "600"}
"""Variables by which hawse's agent and supervisor outlive a scenario, because each of their starts takes long."""
WITHOUT_COLLECTION = {"GOGC": "off"}
"""The variable by which docker's command line, a Go program that ends at once, collects no garbage in its memory."""
START_TIME = 60  # seconds within which dockerd must answer after its start
SCENE_TIME = 150  # seconds that one scenario may take


@dataclass(frozen=True)
class Result:
    """Exit code, standard output and standard error of one scenario line."""

    exit_code: int
    stdout: str
    stderr: str


class Target:
    """A product on its own host. Scenarios call the product as ``docker``."""

    program = "docker"
    socket: Path

    def __init__(self, host: Host, state: Path, client: str) -> None:
        self.host, self.state = host, state
        binary = state / "bin" / "docker"
        binary.parent.mkdir()
        binary.write_text(f'#!/bin/sh\nexec {client} "$@"\n')
        binary.chmod(0o755)
        self.scenarios = 0

    def sh(self, script: str, directory: Path) -> subprocess.CompletedProcess[str]:
        path = f"{self.state}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        env = self.host.env(**RESIDENT, **WITHOUT_COLLECTION, PATH=path, COLUMNS="", TZ="UTC")
        return self.host.run("sh", "-c", script, check=False, env=env, cwd=directory, timeout=SCENE_TIME)

    def load(self, rootfs: Path) -> None:
        """Import the image ``bb`` from a tar file."""
        result = self.sh(f"docker import {shlex.quote(str(rootfs))} bb:latest", self.state)
        assert result.returncode == 0, result.stderr

    def play(self, scenario: Scenario) -> list[Result]:
        """Run a scenario in an empty directory, remove what it created, and return the normalised results."""
        self.scenarios += 1
        directory = self.state / f"scenario{self.scenarios}"
        directory.mkdir()
        self.sh(scenario.script(), directory)
        normalise = Normaliser(self.program, {str(directory): "<scenario>", **self.places()})
        results = [self.result(directory, n, normalise) for n in range(len(scenario.lines))]
        self.clean()
        return results

    def clean(self) -> None:
        """Remove all containers and the networks that scenarios created, through the API of Docker.

        A client in this process is used, because docker's own command line takes long to start.
        """
        client = docker.APIClient(f"unix://{self.socket}")
        for container in client.containers(all=True):
            client.remove_container(container["Id"], force=True)
        for network in client.networks(filters={"type": "custom"}):
            client.remove_network(network["Id"])
        client.close()

    def result(self, directory: Path, number: int, normalise: Normaliser) -> Result:
        code, out, err = (directory / f"{kind}.{number}" for kind in "roe")
        texts = (normalise(f.read_bytes().decode("utf-8", "surrogateescape")) for f in (out, err))
        return Result(int(code.read_text()), *texts)

    def places(self) -> dict[str, str]:
        """Return a map from directory to placeholder text.

        Each directory contains files of this target. In the transcript, the placeholder replaces the directory's path.
        """
        return {}


class Hawse(Target):
    program = "hawse"

    def __init__(self, host: Host, state: Path) -> None:
        super().__init__(host, state, shlex.join(host.launcher))

    def clean(self) -> None:
        """Remove all containers and the networks that scenarios created."""
        with SqliteStore(self.host.root / "hawse.db").read() as reader:
            containers = [container.id for container in reader.containers()]
            networks = [network.id for network in reader.networks() if not network.predefined]
        if containers:
            self.host.hawse("rm", "-f", *containers, env=RESIDENT)
        if networks:
            self.host.hawse("network", "rm", *networks, env=RESIDENT)

    def places(self) -> dict[str, str]:
        return {str(self.host.root): "<root>", str(CHECKOUT): "<checkout>"}

    def stop(self) -> None:
        """Do nothing, because the deletion of the host ends the target's processes."""


class Api(Hawse):
    """Docker's own command line on hawse's API."""

    program = "docker"

    def __init__(self, host: Host, state: Path) -> None:
        self.socket = host.run_dir / "docker.sock"
        Target.__init__(self, host, state, f"/usr/bin/docker -H unix://{self.socket}")
        command = ["ip", "netns", "exec", host.name, str(script()), "system", "service"]
        with (state / "service.log").open("wb") as log:
            self.service = subprocess.Popen(
                command, env=host.env(HAWSE_WARM="off", **RESIDENT), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until(self.socket.exists)

    clean = Target.clean

    def load(self, rootfs: Path) -> None:
        """Import the image ``bb`` from a tar file."""
        self.host.hawse("import", str(rootfs), "bb:latest")

    def stop(self) -> None:
        """Stop the service."""
        self.service.terminate()
        self.service.wait(10)


class Docker(Target):
    def __init__(self, host: Host, state: Path) -> None:
        self.socket = state / "docker.sock"
        super().__init__(host, state, f"/usr/bin/docker -H unix://{self.socket}")
        with (state / "dockerd.log").open("wb") as log:
            self.dockerd = host.popen("bash", "-c", self.script(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_until_ready()

    def script(self) -> str:
        """Return the script that starts dockerd.

        dockerd's mounts stay private, because `ip netns exec` runs the script in a new mount namespace.
        """
        flags = f"--data-root {self.state}/root --exec-root {self.state}/exec --pidfile {self.state}/pid"
        return (
            "mkdir -p /run/docker; mount -t tmpfs tmpfs /run/docker; mount -t cgroup2 none /sys/fs/cgroup; "
            f"exec env GOGC=400 dockerd {flags} -H unix://{self.socket}"
        )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIME
        while self.sh("docker version", self.state).returncode:
            if self.dockerd.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"dockerd did not start: {(self.state / 'dockerd.log').read_text()[-2000:]}")
            time.sleep(0.2)

    def places(self) -> dict[str, str]:
        return {str(self.state / "root"): "<root>"}

    def stop(self) -> None:
        """Stop dockerd. Its containers and its containerd end too."""
        self.dockerd.terminate()
        try:
            self.dockerd.wait(30)
        except subprocess.TimeoutExpired:
            self.dockerd.kill()
            self.dockerd.wait()
