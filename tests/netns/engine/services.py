"""Helper for tests of restart policies: kill a container, and read the container's state in the store."""

import os
import signal
import time

from drivers.linux import process
from engine.store.sqlite import SqliteStore
from tests.conftest import until

PATIENCE = 30  # seconds


class Service:
    """A container with a restart policy, and its state in the store, which is read without a hawse command."""

    def __init__(self, host, script):
        self.host = host
        self.id = host.hawse("run", "-d", "--restart", "always", "hostfs", "sh", "-c", script).stdout.strip()

    def record(self):
        with SqliteStore(self.host.root / "hawse.db").read() as reader:
            return reader.container(self.id)

    def status(self):
        """Return the container's status, or "ended" if the end of its process is not recorded yet."""
        record = self.record()
        if record.status == "running" and not process.is_running(record.pid, record.pid_start):
            return "ended"
        return record.status

    def pid(self):
        """Return the pid of the running process, or 0."""
        return self.record().pid if self.status() == "running" else 0

    def settle(self):
        """Wait until the supervisor has done each stop and restart that it was told to do; return the status."""
        time.sleep(0.1)
        order = self.host.run_dir / "containers" / self.id / "stop"
        restart = self.host.run_dir / "restarts" / self.id
        until(lambda: not order.exists() and not restart.exists(), PATIENCE)
        return until(lambda: (status := self.status()) in ("running", "exited") and status, PATIENCE)

    def obeys_its_policy(self):
        """Kill the process, and return whether the container is started again."""
        pid = self.pid()
        os.kill(pid, signal.SIGKILL)
        return bool(until(lambda: self.pid() not in (0, pid), PATIENCE))
