"""hawse obeys a container's restart policy even if the process that waits to restart the container is killed."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.netns


def waiting(host, container, count):
    """Return the pid of the process that waits to start the container again after ``count`` restarts."""
    for _ in range(300):
        document = json.loads(host.hawse("inspect", container).stdout)[0]
        settled = not (host.run_dir / "containers" / container).exists()
        pids = [pid for pid in filter(str.isdigit, os.listdir("/proc")) if ends(pid) == container]
        if document["RestartCount"] >= count and settled and pids:
            return int(pids[0])
        time.sleep(0.05)
    raise AssertionError(document["State"])


def ends(pid):
    """Return the id of the container for whose exit the process ``pid`` was started, or None.

    Such a process runs the command ``hawse __exited``.
    """
    try:
        *_, verb, container = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    except (OSError, ValueError):
        return None
    return container if verb == "__exited" else None


def status(host):
    return host.hawse("ps", "-a", "--format", "{{.State}}").stdout.strip()


@pytest.mark.parametrize("command", [("network", "create", "any"), ("start", "again")])
def test_the_next_command_that_changes_something_makes_up_for_the_restart(host, tmp_path, command):
    script = f"test -e {tmp_path}/go && exec sleep 99"
    container = host.hawse("run", "-d", "--name", "again", "--restart", "always", "hostfs", "sh", "-c", script)
    os.kill(waiting(host, container.stdout.strip(), 5), signal.SIGKILL)
    (tmp_path / "go").touch()
    assert status(host) == "restarting"
    host.hawse(*command)
    assert status(host) == "running"


def test_a_stopped_container_stays_stopped(host):
    container = host.hawse("run", "-d", "--name", "again", "--restart", "always", "hostfs", "false").stdout.strip()
    os.kill(waiting(host, container, 5), signal.SIGKILL)
    host.hawse("stop", "again")
    host.hawse("network", "create", "any")
    assert status(host) == "exited"
