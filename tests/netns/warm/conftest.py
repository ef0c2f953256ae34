"""A host with a warm server (a resident process that runs commands). Commands that cannot use the warm server fail."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import new_host, until
from tests.installation import install, packages, script


class WarmHost:
    """A host with an installed hawse. By default (HAWSE_WARM=only), its commands fail if no warm server runs."""

    def __init__(self, host, script: Path) -> None:
        self.host, self.script, self.packages = host, script, packages(script.parent.parent)
        host.callbacks_use_server = False

    def command(self, *argv: str) -> list[str]:
        return ["ip", "netns", "exec", self.host.name, str(self.script), *argv]

    def env(self, **extra: str) -> dict[str, str]:
        return self.host.env(**{"HAWSE_WARM": "only", **extra})

    def run(self, *argv: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*argv),
            env=self.env(**extra),
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )

    def popen(self, *argv: str, **extra: str) -> subprocess.Popen[str]:
        """Start a hawse command in a new session and return the command's process."""
        return subprocess.Popen(
            self.command(*argv),
            env=self.env(**extra),
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def start(self, **extra: str) -> int:
        """Run a command while no warm server runs. Wait for the warm server that the command starts, and return its
        pid.

        The command prints the version, because such a command imports least of all.
        """
        assert self.run("--version", HAWSE_WARM="on", **extra).returncode == 0
        self.wait_for(self.serves)
        return self.pid()

    def serves(self) -> bool:
        """Return whether the warm server accepts a command. No command runs if the server's socket does not exist."""
        return (self.host.run_dir / "warm.sock").exists() and self.run("--version").returncode == 0

    def pid(self) -> int:
        """Return the pid of the process that holds the warm server's lock, or 0 if no process holds the lock."""
        lock = self.host.run_dir / "warm.lock"
        if not lock.exists():
            return 0
        inode = f":{lock.stat().st_ino} "
        holders = [line.split() for line in Path("/proc/locks").read_text().splitlines() if inode in line]
        return int(holders[0][4]) if holders else 0

    wait_for = staticmethod(partial(until, seconds=20, pause=0.05))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def unserved(host):
    """A host on which no warm server (resident process that runs commands) runs."""
    return WarmHost(host, script())


@pytest.fixture(scope="module")
def module_host(tmp_path_factory):
    """A host that the tests of one module share."""
    with new_host(tmp_path_factory.mktemp("warm"), ipv6=True) as made:
        yield made


@pytest.fixture
def warm(module_host):
    """The module's host, on which a warm server (resident process that runs commands) runs.

    A test that uses the host removes the objects that it creates.
    """
    made = WarmHost(module_host, script())
    if not made.serves():
        made.start()
    return made


@pytest.fixture
def own_warm(unserved):
    """A host of one test, on which a warm server (resident process that runs commands) runs."""
    unserved.start()
    return unserved


@pytest.fixture
def is_alive():
    return alive


@pytest.fixture
def own_packages(host, tmp_path):
    """A host whose hawse is a separate copy, which a test may change."""
    return WarmHost(host, install(tmp_path / "installed"))
