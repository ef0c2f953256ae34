"""Each class describes a product under test: how it starts and stops, and how its commands run."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import which

from tests.benchmark.hosts import hosts
from tests.benchmark.runner import Outcome, Runner
from tests.conftest import Host, Netns, install_busybox
from tests.installation import install

POOL, SIZE = "10.0.0.0/9", 24
"""Address pool for the subnets of networks that are created without a given subnet, and the prefix length of these
subnets. The pool has over a thousand subnets.
"""
START_TIME = 90  # seconds to wait until a product has started


class Product:
    """A product on its own host."""

    name = ""

    def __init__(self, host: Host, state: Path) -> None:
        self.host, self.state = host, state
        state.mkdir()
        self.start()
        self.runner = Runner(host, self.environment())

    def start(self) -> None:
        """Start the processes of the product that must run before the product's first command."""

    def stop(self) -> None:
        """Stop the product. If processes of the product are left, they are killed later, when the host is deleted."""
        self.runner.stop()

    def environment(self) -> dict[str, str]:
        """Return the environment of the product's commands."""
        return {**self.host.env(), "PATH": f"{self.state}/bin:/usr/sbin:/usr/bin:/sbin:/bin"}

    def argv(self, *words: str) -> list[str]:
        """Return the argument vector that runs one command of the product."""
        raise NotImplementedError

    def __call__(self, *words: str, check: bool = True, **env: str) -> Outcome:
        """Run one command of the product and return the outcome."""
        return self.runner(*self.argv(*words), check=check, **env)

    def load_image(self) -> None:
        """Import the image ``bb``, which contains only busybox."""
        root = self.state / "rootfs"
        install_busybox(root, "sh", "sleep")
        archive = self.state / "rootfs.tar"
        subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
        self("import", str(archive), "bb:latest")

    def run_sleeper(self, name: str, *flags: str) -> None:
        """Start a container whose only process sleeps."""
        self("run", "-d", "--name", name, *flags, "bb", "sleep", "1d")

    def pid(self, container: str) -> int:
        """Return the pid of the container's first process."""
        return int(self("inspect", "-f", "{{.State.Pid}}", container).output)


class Hawse(Product):
    """hawse as a user installs it.

    Its launcher passes each command to the warm server (a resident process that runs commands). The launcher starts a
    warm server if none runs.
    """

    name = "hawse"

    def start(self) -> None:
        self.binary = install(self.state)
        pools = [{"base": POOL, "size": SIZE}]
        (self.state / "daemon.json").write_text(json.dumps({"default-address-pools": pools}))

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "HAWSE_CONFIG": str(self.state / "daemon.json")}

    def argv(self, *words: str) -> list[str]:
        return [str(self.binary), *words]

    def warm_up(self) -> None:
        """Start the warm server with a first command, and wait until the server is ready."""
        self("network", "ls")
        deadline = time.monotonic() + START_TIME
        while not (self.host.run_dir / "warm.sock").exists():
            if time.monotonic() > deadline:
                raise RuntimeError("no warm server has come up")
            time.sleep(1)
            self("network", "ls")
        self("network", "ls")


class HawseService(Hawse):
    """hawse's service of the Docker API, which docker's own command line uses."""

    def start(self) -> None:
        super().start()
        self.socket = self.host.run_dir / "docker.sock"
        with (self.state / "service.log").open("wb") as log:
            self.service = self.host.popen(
                str(self.binary), "system", "service",
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**self.environment(), "HAWSE_WARM": "off"},
            )  # fmt: skip

    def stop(self) -> None:
        super().stop()
        self.service.terminate()
        self.service.wait()

    def argv(self, *words: str) -> list[str]:
        return ["/usr/bin/docker", "-H", f"unix://{self.socket}", *words]

    def warm_up(self) -> None:
        """Wait until the service answers."""
        deadline = time.monotonic() + START_TIME
        while self("network", "ls", check=False).code:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the service did not start: {(self.state / 'service.log').read_text()[-2000:]}")
            time.sleep(0.2)


class Docker(Product):
    """A real dockerd in the host's network namespace, with its own mount namespace."""

    name = "docker"

    def start(self) -> None:
        self.socket = self.state / "docker.sock"
        flags = f"--data-root {self.state}/root --exec-root {self.state}/exec --pidfile {self.state}/pid"
        script = (  # dockerd needs no unshare: `ip netns exec` gives it a mount namespace
            "mkdir -p /run/docker; mount -t tmpfs tmpfs /run/docker; mount -t cgroup2 none /sys/fs/cgroup; "
            f"exec dockerd {flags} -H unix://{self.socket} --default-address-pool base={POOL},size={SIZE}"
        )
        with (self.state / "dockerd.log").open("wb") as log:
            self.daemon = self.host.popen(
                "bash", "-c", script, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment()
            )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIME
        while subprocess.run(self.argv("version"), capture_output=True).returncode:
            if self.daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"dockerd did not start: {(self.state / 'dockerd.log').read_text()[-2000:]}")
            time.sleep(0.2)

    def stop(self) -> None:
        super().stop()
        self.daemon.terminate()
        try:
            self.daemon.wait(60)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "DOCKER_HOST": f"unix://{self.socket}"}

    def argv(self, *words: str) -> list[str]:
        return ["/usr/bin/docker", "-H", f"unix://{self.socket}", *words]


class Podman(Product):
    """podman as a product. Its networks are only configuration files until a container uses them."""

    name = "podman"

    def argv(self, *words: str) -> list[str]:
        places = (f"--{what}={self.state}/{what}" for what in ("root", "runroot", "network-config-dir", "tmpdir"))
        return ["podman", *places, "--cgroup-manager=cgroupfs", "--events-backend=none", *words]

    def __call__(self, *words: str, check: bool = True, **env: str) -> Outcome:
        """Run one podman command. A failure raises no error, because podman cannot do every operation in a network
        namespace. The bench skips the operations that fail.
        """
        return self.runner(*self.argv(*words), check=False, **env)

    def environment(self) -> dict[str, str]:
        conf = self.state / "containers.conf"
        conf.write_text(f'[network]\ndefault_subnet_pools = [{{base = "{POOL}", size = {SIZE}}}]\n')
        return {**super().environment(), "CONTAINERS_CONF": str(conf)}


@contextmanager
def products(state: Path, *kinds: type[Product]) -> Iterator[tuple[Netns, list[Product]]]:
    """Start each installed product on its own host; yield the neighbour and the started products.

    The neighbour is a namespace that acts as another machine on the hosts' network.
    """
    available = [kind for kind in kinds if issubclass(kind, Hawse) or which(kind.name)]
    with hosts(state, len(available)) as (neighbour, places), ExitStack() as stack:
        made = []
        for number, (kind, host) in enumerate(zip(available, places, strict=True)):
            product = kind(host, state / f"{kind.name}{number}")
            stack.callback(product.stop)
            if isinstance(product, Hawse):
                product.warm_up()
            made.append(product)
        yield neighbour, made


def inside(product: Product, container: str) -> list[str]:
    """Return the command prefix that runs a program in the container's network namespace."""
    return ["nsenter", "-t", str(product.pid(container)), "-n"]


def processes_of(host: Host) -> set[int]:
    """Return the pids of the product's processes on a host, without the processes of containers."""
    mark, inode = f"HAWSE_TEST_HOST={host.name}".encode(), os.stat(host.path).st_ino
    pids = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (
                (entry / "ns/net").stat().st_ino == inode or mark in (entry / "environ").read_bytes().split(b"\0")
            ):
                pids.add(int(entry.name))
        except OSError:
            continue
    return pids
