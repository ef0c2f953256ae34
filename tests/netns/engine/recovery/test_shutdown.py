"""``hawse system shutdown`` ends all containers, and the next boot starts them again by their restart policies."""

from __future__ import annotations

import json
import sys
import time

import pytest

from tests.conftest import CHECKOUT, until
from tests.netns.engine.killing import killed
from tests.netns.engine.recovery.test_boot import addresses, reboot, run, states

pytestmark = pytest.mark.netns
SLEEPS = ("sh", "-c", "trap 'echo ended > $0; exit 7' TERM; echo ready; sleep 1d & wait")


@pytest.fixture
def running(host, tmp_path):
    """Three containers that end at SIGTERM with the exit code 7; the end of the first writes a file."""
    host.hawse("network", "create", "app")
    run(host, "first", "--network", "app", "--restart", "unless-stopped", command=(*SLEEPS, str(tmp_path / "ended")))
    run(host, "second", "--network", "app", "--restart", "always", command=(*SLEEPS, "/dev/null"))
    run(host, "once", command=(*SLEEPS, "/dev/null"))
    until(lambda: all("ready" in host.hawse("logs", name).stdout for name in ("first", "second", "once")))
    return addresses(host, "app")


def end_all(host):
    assert host.hawse("system", "shutdown").stdout == "Containers: 3\n"
    time.sleep(1)  # restart policies would start the containers within 0.1 s
    assert states(host) == dict.fromkeys(("first", "second", "once"), "exited")


def test_containers_end_by_their_stop_signal_and_are_restored_by_the_next_boot(host, running, tmp_path):
    end_all(host)
    assert (tmp_path / "ended").read_text() == "ended\n"
    reboot(host)
    assert host.hawse("system", "boot").stdout == "Networks: 2, containers: 2, namespaces: 0\n"
    assert states(host) == {"first": "running", "second": "running", "once": "exited"}
    assert addresses(host, "app") == running


def test_exit_codes_and_end_times_outlive_the_boot(host, running):
    """dockerd 26.1.5 shows the same after a clean end and a start."""
    zero = ("sh", "-c", "trap 'exit 0' TERM; echo ready; sleep 1d & wait")
    run(host, "succeeds", "--restart", "on-failure", command=zero)
    until(lambda: "ready" in host.hawse("logs", "succeeds").stdout)
    host.hawse("system", "shutdown")

    def ends():
        text = host.hawse("inspect", "-f", "{{.Name}} {{json .State}}", "once", "succeeds").stdout
        for name, _, document in (line.partition(" ") for line in text.splitlines()):
            state = json.loads(document)
            yield name, state["Status"], state["ExitCode"], state["Pid"], state["FinishedAt"]

    before = list(ends())
    assert [end[:4] for end in before] == [("/once", "exited", 7, 0), ("/succeeds", "exited", 0, 0)]
    reboot(host)
    assert list(ends()) == before
    assert host.hawse("system", "boot").stdout == "Networks: 2, containers: 2, namespaces: 0\n"
    assert list(ends()) == before
    assert "Exited (7) " in host.hawse("ps", "-a", "--filter", "name=once", "--format", "{{.Status}}").stdout


def test_containers_that_wait_for_a_restart_do_not_start_before_the_next_boot(host):
    run(host, "fails", "--restart", "always", command=("false",))
    until(lambda: states(host) == {"fails": "restarting"})
    host.hawse("system", "shutdown")
    count = host.hawse("inspect", "-f", "{{.RestartCount}}", "fails").stdout
    time.sleep(1)
    assert host.hawse("inspect", "-f", "{{.RestartCount}}", "fails").stdout == count
    reboot(host)
    assert host.hawse("system", "boot").stdout == "Networks: 1, containers: 1, namespaces: 0\n"


def test_a_process_that_does_not_end_is_named(host):
    """The test does not wait for SIGKILL, because no process of a test can outlive it."""
    run(host, "endless")  # the first process of a PID namespace ignores SIGTERM by default
    code = "from engine.core import open_engine; from engine.recovery import shutdown; shutdown.MARGIN_SECONDS = -10\n"
    code += "print(shutdown.end_all(open_engine().host))"
    result = host.run(sys.executable, "-c", code, env=host.env(), cwd=CHECKOUT)
    assert result.stdout == "(0, ['container endless: the process has not ended after SIGKILL'])\n"


def test_a_boot_command_without_a_boot_starts_the_containers_again(host, running):
    end_all(host)
    assert host.hawse("system", "boot").stdout == "Networks: 0, containers: 2, namespaces: 0\n"
    assert states(host) == {"first": "running", "second": "running", "once": "exited"}


def test_a_boot_command_waits_for_the_containers_that_a_killed_shutdown_is_ending(host):
    """Without the wait, the containers would end after the command, and would stay so."""
    run(host, "service", "--restart", "always", "--stop-timeout", "2")  # the process ignores SIGTERM
    killed(host, "engine.recovery.shutdown._has_ended", "system", "shutdown")
    assert states(host) == {"service": "running"}
    assert host.hawse("system", "boot").stdout == "Networks: 0, containers: 1, namespaces: 0\n"
    time.sleep(3)
    assert states(host) == {"service": "running"}


def test_a_cancelled_shutdown_restarts_a_container_whose_restart_was_due_meanwhile(host, tmp_path):
    run(host, "fails", "--restart", "always", command=("sh", "-c", f"test -e {tmp_path}/go && exec sleep 1d"))
    waiting = host.run_dir / "restarts" / host.hawse("ps", "-aq", "--no-trunc").stdout.strip()
    late = "{{and (ge .RestartCount 4) .State.Restarting}}"  # the next restart is due after more than a second
    until(lambda: host.hawse("inspect", "-f", late, "fails").stdout == "true\n" and waiting.exists())
    host.hawse("system", "shutdown")
    assert waiting.exists()
    until(lambda: not waiting.exists())  # the supervisor has dropped the due restart
    (tmp_path / "go").touch()
    host.hawse("system", "boot")
    until(lambda: states(host) == {"fails": "running"})


def test_an_interrupted_boot_command_does_not_record_a_stop_of_the_user(host):
    run(host, "service", "--restart", "unless-stopped", command=(*SLEEPS, "/dev/null"))
    until(lambda: "ready" in host.hawse("logs", "service").stdout)
    host.hawse("system", "shutdown")
    killed(host, "engine.containers.finalize.announce", "system", "boot")
    assert states(host) == {"service": "exited"}
    assert host.hawse("system", "boot").stdout == "Networks: 0, containers: 1, namespaces: 0\n"
    assert states(host) == {"service": "running"}
