"""hawse obeys a container's restart policy even if one of hawse's own processes is killed.

The supervisor waits for the time of the restart, and then executes a program that starts the container.
"""

import time

import pytest

from tests.conftest import until
from tests.netns.engine.killing import kill_supervisor, processes, start_supervisor
from tests.netns.engine.services import PATIENCE, Service

pytestmark = pytest.mark.netns


@pytest.fixture
def host(shared_host):
    """One host for all tests."""
    return shared_host


def helpers(service):
    """Return the pids of the hawse processes that record the end of a container."""
    return processes(lambda line: b"\0__exited\0" + service.id.encode() in line)


def crash_looping(host, script, count):
    """Return a service whose process ends at once. It waits for its restart ``count``, or for a later restart."""
    service = Service(host, script)
    pending = host.run_dir / "restarts" / service.id
    until(lambda: service.record().restart_count >= count and pending.exists() and not helpers(service), PATIENCE)
    return service


@pytest.fixture
def again(host, tmp_path):
    """A service that runs only if the file ``go`` exists. It waits for its fifth restart, or for a later restart."""
    return crash_looping(host, f"test -e {tmp_path}/go && exec sleep 99", 5)


def test_only_the_supervisor_waits_for_the_restart(host, again, tmp_path):
    assert (helpers(again), again.status()) == ([], "restarting")
    (tmp_path / "go").touch()
    until(again.pid)
    until(lambda: list((host.run_dir / "restarts").iterdir()) == [])


@pytest.mark.parametrize("command", [("network", "create", "any"), ("start",)])
def test_the_next_changing_command_starts_the_container_if_the_supervisor_was_killed(host, again, tmp_path, command):
    kill_supervisor(host)
    (tmp_path / "go").touch()
    assert again.status() == "restarting"
    host.hawse(*command, *([again.id] if command == ("start",) else []))
    assert again.status() == "running"


def test_the_next_supervisor_takes_the_wait_over(host, again, tmp_path):
    kill_supervisor(host)
    (tmp_path / "go").touch()
    start_supervisor(host)
    until(again.pid)


def test_a_helper_that_fails_is_executed_again(host, tmp_path, monkeypatch):
    """The process that records the end of the container fails, because it cannot read the configuration at first."""
    settings = tmp_path / "daemon.json"
    settings.write_text("{}")
    monkeypatch.setenv("HAWSE_CONFIG", str(settings))
    again = Service(host, "sleep 1")
    first = again.pid()
    settings.write_text("broken")
    until(lambda: again.status() == "ended")
    time.sleep(1)
    assert again.status() == "ended"
    settings.write_text("{}")
    until(lambda: again.pid() not in (0, first))


def test_a_stopped_container_stays_stopped(host, tmp_path):
    again = crash_looping(host, f"test -e {tmp_path}/go && exec sleep 99", 2)
    host.hawse("stop", again.id)
    (tmp_path / "go").touch()
    until(lambda: list((host.run_dir / "restarts").iterdir()) == [])
    host.hawse("network", "create", "any")
    time.sleep(0.5)
    assert again.status() == "exited"


def test_nothing_waits_for_a_removed_container(host):
    again = crash_looping(host, "false", 2)
    host.hawse("rm", "-f", again.id)
    until(lambda: list((host.run_dir / "restarts").iterdir()) == [])
    assert host.hawse("ps", "-aq").stdout == ""
