"""If a `stop`, `restart` or `kill` command is killed, either it has no effect, or the supervisor finishes its work.

Each test checks the result before any other command changes something.
"""

import signal
import subprocess
import time

import pytest

from tests.commands import COLD, WARM
from tests.conftest import loaded, until
from tests.netns.engine.killing import kill_supervisor, killed, killed_at_call, start_supervisor
from tests.netns.engine.services import Service

pytestmark = pytest.mark.netns

POINTS = 6  # number of points at which one command is killed
OBEDIENT = "trap 'exit 0' TERM; sleep 1d & wait"  # the first process of a pid namespace ignores SIGTERM by default
RESTARTED_MEANWHILE = """
import contextlib, os, time
from drivers.linux import process
from engine.containers import stop
original = stop._ended
@contextlib.contextmanager
def ended(host, record, *arguments, **options):
    stop._ended = original
    os.kill(record.pid, 9)
    while process.is_running(record.pid, record.pid_start):
        time.sleep(0.01)
    with original(host, record, *arguments, **options):
        pass
    pid = record.pid
    while pid in (0, record.pid):
        time.sleep(0.01)
        with host.store.read() as reader:
            pid = reader.container(record.id).pid
    yield
stop._ended = ended
"""
"""A program for a `stop` command: the process ends by itself, and is started again before `stop` takes the lock."""
STUBBORN = "trap '' TERM; sleep 1d"


@pytest.fixture
def host(shared_host):
    """One host for all tests."""
    return shared_host


@pytest.fixture
def service(host):
    return Service(host, OBEDIENT)


def points(host, *command):
    """Return the numbers of the function calls at which to kill a command, evenly spread over all its calls."""
    total = killed_at_call(host, signal.SIGKILL, 0, *command)
    return [total * n // POINTS for n in range(1, POINTS)]


def test_a_killed_restart_leaves_a_running_service(host, service):
    for turn, point in enumerate(points(host, "restart", service.id)):
        number = (signal.SIGKILL, signal.SIGHUP)[turn % 2]
        assert killed_at_call(host, number, point, "restart", service.id) == 0
        assert service.settle() == "running", point
        assert service.obeys_its_policy(), point


def test_a_killed_stop_has_not_begun_or_is_finished(host, service):
    chosen, seen = points(host, "stop", service.id), set()
    for turn, point in enumerate(chosen):
        host.hawse("start", service.id)
        number = (signal.SIGKILL, signal.SIGHUP)[turn % 2]
        assert killed_at_call(host, number, point, "stop", service.id) == 0
        status = service.settle()
        seen.add(status)
        assert status == "exited" or service.obeys_its_policy(), point
    assert seen == {"running", "exited"}


def begun(service, *command, number=signal.SIGKILL, launcher=()):
    """Begin a command, and send it a signal when the supervisor has received the order.

    Return the time of the command's end, on the monotonic clock.
    """
    argv = ["ip", "netns", "exec", service.host.name, *(launcher or service.host.launcher), *command, service.id]
    running = subprocess.Popen(argv, env=service.host.env(), stdout=subprocess.DEVNULL)
    until((service.host.run_dir / "containers" / service.id / "stop").exists)
    running.send_signal(number)
    assert running.wait() != 0
    return time.monotonic()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
@pytest.mark.parametrize("launcher", [COLD, WARM], ids=["cold", "warm"])
def test_the_supervisor_waits_for_the_grace_period_and_restarts(host, launcher, number):
    stubborn = Service(host, STUBBORN)
    before = stubborn.pid()
    end = begun(stubborn, "restart", "-t", "1", number=number, launcher=launcher)
    assert stubborn.pid() == before
    until(lambda: stubborn.pid() not in (0, before))
    assert 0.5 < time.monotonic() - end < loaded(5)
    assert stubborn.obeys_its_policy()


def test_the_next_supervisor_continues_a_stop(host):
    stubborn = Service(host, STUBBORN)
    begun(stubborn, "stop", "-t", "1")
    kill_supervisor(host)
    start_supervisor(host)
    assert stubborn.pid()
    until(lambda: stubborn.status() == "exited")


def test_the_next_supervisor_continues_a_restart(host):
    stubborn = Service(host, STUBBORN)
    before = stubborn.pid()
    begun(stubborn, "restart", "-t", "1")
    kill_supervisor(host)
    start_supervisor(host)
    until(lambda: stubborn.pid() not in (0, before))
    assert stubborn.obeys_its_policy()


def test_a_stop_also_ends_a_run_that_the_restart_policy_has_started_meanwhile(host):
    service = Service(host, "exec sleep 1d")
    host.hawse("stop", service.id, code=RESTARTED_MEANWHILE)
    assert service.record().status == "exited"
    assert service.record().stopped_by_user


def test_a_killed_kill_ends_the_service_for_good(host, service):
    killed(host, "engine.runtime.local.LocalRuntime.wait", "kill", service.id)
    assert service.settle() == "exited"


def test_a_restart_of_a_container_that_waits_for_its_restart_is_not_lost(host, tmp_path):
    waiting = Service(host, f"test -e {tmp_path}/go && exec sleep 1d")
    until(lambda: waiting.status() == "restarting")
    (tmp_path / "go").touch()
    killed(host, "engine.containers.stop.start", "restart", waiting.id)
    until(waiting.pid)


def test_a_container_with_rm_is_restarted_and_removed_only_at_its_end(host):
    container = host.hawse("run", "-d", "--rm", "hostfs", "sh", "-c", OBEDIENT).stdout.strip()
    host.hawse("restart", container)
    killed(host, "engine.containers.stop.start", "restart", container)
    until(lambda: host.hawse("inspect", "-f", "{{.State.Status}}", container).stdout == "running\n")
    host.hawse("stop", container)
    until(lambda: host.hawse("ps", "-aq").stdout == "")


def test_a_stop_during_an_interrupted_restart_stops(host):
    stubborn = Service(host, STUBBORN)
    begun(stubborn, "restart", "-t", "30")
    host.hawse("stop", "-t", "0", stubborn.id)
    assert stubborn.settle() == "exited"
