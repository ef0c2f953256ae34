"""A signal or key for the launcher has the same effect on the command with and without a warm server."""

from __future__ import annotations

import os
import signal
import time

import pexpect
import pytest

from tests.installation import script
from tests.netns.warm.conftest import WarmHost

pytestmark = pytest.mark.netns


@pytest.fixture(params=["off", "only"], ids=["cold", "warm"])
def mode(request):
    return request.param


@pytest.fixture(scope="module")
def job(module_host):
    """A running container that writes a line every 0.1 s, on a host with a warm server."""
    warm = WarmHost(module_host, script())
    warm.start()
    warm.run("run", "-d", "--name", "job", "-i", "hostfs", "sh", "-c", "while :; do echo tick; sleep 0.1; done")
    return warm


def following(job, mode):
    """Start a process that prints the container's output until the test stops the process. Wait until the process has
    printed something.
    """
    process = job.popen("logs", "-f", "job", HAWSE_WARM=mode)
    assert process.stdout.readline() == "tick\n"
    return process


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, -15), (signal.SIGHUP, -1), (signal.SIGQUIT, -3), (signal.SIGKILL, -9)],
)
def test_a_signal_to_the_launcher_ends_the_command_in_the_same_way(job, mode, number, code):
    process = following(job, mode)
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == code


def test_an_interrupted_command_is_done_or_says_that_it_is_not(warm):
    for moment in range(60):
        process = warm.popen("network", "ls", "-q")
        time.sleep(moment / 4000)
        process.send_signal(signal.SIGINT)
        output, complaint = process.communicate(timeout=20)
        not_done = (130, -signal.SIGINT, 1) if complaint else (130, -signal.SIGINT)
        assert process.returncode in not_done or (process.returncode == 0 and output)
        assert "site-packages" not in complaint  # no traceback of hawse's code; the interpreter may print its own error


def test_a_killed_launcher_leaves_no_command_behind(job):
    following(job, "only").kill()
    job.wait_for(lambda: not [p for p in children(job.pid()) if state(p) in "RS" and opens_log(p)])


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def state(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def opens_log(pid):
    try:
        return any("log" in os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False


def test_a_command_ends_with_sigpipe_if_its_reader_has_closed_the_pipe(job, mode):
    process = following(job, mode)
    process.stdout.close()
    assert process.wait(20) == 141


@pytest.fixture
def person(job, mode):
    """A user's interactive shell that finds ``hawse`` on its PATH."""
    environment = {
        **job.env(HAWSE_WARM=mode),
        "PS1": "ready> ",
        "TERM": "dumb",
        "PATH": f"{job.script.parent}:{os.environ['PATH']}",
    }
    terminal = pexpect.spawn(
        "ip",
        ["netns", "exec", job.host.name, "bash", "--norc", "--noediting", "-i"],
        env=environment,
        encoding="utf-8",
        timeout=20,
        dimensions=(31, 97),
    )
    terminal.expect("ready> ")
    yield terminal
    terminal.close(force=True)


def test_control_z_stops_and_fg_continues(person):
    person.sendline("hawse logs -f job")
    person.expect("tick")
    person.sendcontrol("z")
    person.expect("Stopped")
    person.expect("ready> ")
    person.sendline("fg")
    person.expect("tick")
    person.sendcontrol("c")
    person.expect("ready> ")
    person.sendline("echo code $?")
    person.expect("code 130")


def test_a_terminal_session_has_the_terminals_size_and_gets_its_keys(person):
    person.sendline("hawse run -it --rm hostfs bash --norc")
    person.expect("# ")
    person.sendline("stty size")
    person.expect("31 97")
    person.setwinsize(40, 120)
    time.sleep(0.3)
    person.sendline("stty size")
    person.expect("40 120")
    # The line uses bash, because dash can lose a SIGINT that arrives while dash starts its child.
    person.sendline("bash -c 'echo be\"\"gun; exec sleep 100'")
    person.expect("begun")
    person.sendcontrol("c")
    person.expect("# ")
    person.sendline("exit 6")
    person.expect("ready> ")
    person.sendline("echo code $?; stty -a | grep -c -- -icanon")
    person.expect("code 6")
    person.expect("ready> ")
    assert person.before.strip() == "0"


def test_exec_on_a_terminal(person):
    person.sendline("hawse exec -it job sh -c 'tty; read line; echo got $line; exit 3'")
    person.expect("/dev/")
    person.sendline("words")
    person.expect("got words")
    person.expect("ready> ")
    person.sendline("echo code $?")
    person.expect("code 3")


def test_a_detached_command_keeps_its_terminal(person, job, tmp_path):
    person.sendline(f"hawse exec -it job sh -c 'echo be''gun; sleep 1; tty > {tmp_path}/tty; sleep 9'")
    person.expect("begun")
    person.send("\x10\x11")
    person.expect("read escape sequence")
    person.expect("ready> ")
    job.run("exec", "-dt", "job", "sh", "-c", f"sleep 0.5; tty > {tmp_path}/other")
    for name in ("tty", "other"):
        job.wait_for(lambda name=name: (tmp_path / name).exists() and (tmp_path / name).read_text())
        assert (tmp_path / name).read_text().startswith("/dev/pts/")


def test_a_session_in_the_background_does_not_touch_the_terminal(person):
    person.sendline("hawse exec -it job sh & until [[ $(jobs) == *Stopped* ]]; do sleep 0.1; done")
    person.expect("ready> ")
    person.sendline("jobs; echo typed")
    person.expect("Stopped")
    person.expect("typed")
