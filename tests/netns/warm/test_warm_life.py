"""The tests check when the warm server runs, which commands it accepts, and how all other commands run."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.launcher.launch import ANSWER_TIMEOUT_SECONDS
from tests.conftest import loaded
from tests.netns.warm.conftest import WarmHost

pytestmark = pytest.mark.netns


def test_a_cold_command_leaves_a_server_and_the_next_one_is_warm(unserved):
    cold = unserved.run("network", "ls", HAWSE_WARM="on")
    unserved.wait_for(unserved.serves)
    assert unserved.run("network", "ls").stdout == cold.stdout
    socket_file = unserved.host.run_dir / "warm.sock"
    assert (socket_file.stat().st_mode & 0o777, unserved.host.run_dir.stat().st_mode & 0o777) == (0o600, 0o700)


def test_no_server_is_left_if_the_warm_server_is_disabled(unserved):
    assert unserved.run("network", "ls", HAWSE_WARM="off").returncode == 0
    time.sleep(0.5)
    assert not (unserved.host.run_dir / "warm.lock").exists()


def test_of_many_first_commands_one_leaves_the_server(unserved):
    many = [unserved.popen("network", "ls", HAWSE_WARM="on") for _ in range(6)]
    assert [p.wait(60) for p in many] == [0] * 6
    unserved.wait_for(unserved.serves)
    # One is the warm server, the other its child that waits for a command. The rest of the servers end by themselves.
    unserved.wait_for(lambda: 0 < len(servers_of(unserved)) <= 2)


def servers_of(warm: WarmHost) -> list[bytes]:
    """Return the command lines of the host's warm servers and of their children."""
    lines = [command_line(process, warm) for process in Path("/proc").glob("[0-9]*")]
    return [line for line in lines if b"cli.warm.__main__" in line]


def command_line(process: Path, warm: WarmHost) -> bytes:
    """Return a process's command line, or b"" if it has ended or belongs to another host."""
    try:
        is_of_host = f"HAWSE_RUN={warm.host.run_dir}".encode() in (process / "environ").read_bytes().split(b"\0")
        return (process / "cmdline").read_bytes() if is_of_host else b""
    except OSError:
        return b""


def test_an_idle_server_ends_and_leaves_nothing(unserved, is_alive):
    pid = unserved.start(HAWSE_WARM_IDLE="0.5")
    unserved.wait_for(lambda: not is_alive(pid))
    assert sorted(p.name for p in unserved.host.run_dir.glob("warm.*")) == ["warm.lock"]
    unserved.start()


def test_a_changed_file_replaces_the_server(own_packages, is_alive):
    pid = own_packages.start()
    version = own_packages.packages / "engine" / "system.py"
    with version.open("a") as file:
        file.write("\n")
    assert own_packages.run("network", "ls").returncode == 125
    own_packages.wait_for(lambda: not is_alive(pid))
    assert own_packages.start() not in (0, pid)


def test_another_copy_of_hawse_does_not_use_the_server(warm, own_packages):
    pid = warm.pid()
    assert own_packages.run("network", "ls").returncode == 125
    assert own_packages.run("network", "ls", HAWSE_WARM="on").returncode == 0
    assert warm.serves()
    assert warm.pid() == pid


def test_a_stale_socket_is_replaced(warm, is_alive):
    pid = warm.pid()
    os.kill(pid, signal.SIGKILL)
    warm.wait_for(lambda: not is_alive(pid))
    assert (warm.host.run_dir / "warm.sock").exists()
    assert warm.start() != pid


def test_a_server_whose_directory_is_gone_is_not_found_and_the_next_one_takes_over(own_warm):
    (own_warm.host.run_dir / "warm.sock").unlink()
    assert own_warm.run("network", "ls").returncode == 125
    assert own_warm.run("network", "ls", HAWSE_WARM="on").returncode == 0


def test_a_stopped_server_is_replaced_and_never_runs_the_command_a_second_time(warm, is_alive):
    stopped = warm.pid()
    os.kill(stopped, signal.SIGSTOP)
    begin = time.monotonic()
    assert warm.run("network", "create", "once", HAWSE_WARM="on").returncode == 0
    assert time.monotonic() - begin < loaded(4 * ANSWER_TIMEOUT_SECONDS)
    warm.wait_for(warm.serves)
    assert (is_alive(stopped), warm.pid() != stopped) == (False, True)
    assert warm.run("network", "rm", "once").returncode == 0
    time.sleep(0.5)
    assert warm.run("network", "ls", "-qf", "type=custom").stdout == ""


HANGING = """

def _hang(self, accept=WarmServer._accept):
    place = os.environ["HAWSE_RUN"] + "/hang"
    while os.path.exists(place) and os.path.getsize(place):
        signal.pause()
    while os.path.exists(place):
        pass
    accept(self)


WarmServer._accept = _hang
"""


@pytest.mark.parametrize("text", ["sleeps", ""], ids=["sleeping", "spinning"])
def test_a_server_that_hangs_is_replaced_by_the_command_that_notices(own_packages, is_alive, text):
    with (own_packages.packages / "cli/warm/server.py").open("a") as file:
        file.write(HANGING)
    hung = own_packages.start()
    switch = own_packages.host.run_dir / "hang"
    switch.write_text(text)
    own_packages.wait_for(
        lambda: own_packages.run("network", "ls", HAWSE_WARM="on").returncode == 0 and not is_alive(hung), seconds=30
    )  # on a machine with other load, a spinning server is noticed only after it has used some processor time
    switch.unlink()
    assert own_packages.run("network", "ls", HAWSE_WARM="on").returncode == 0  # no server runs if a new one hung too
    own_packages.wait_for(own_packages.serves)
    assert own_packages.pid() not in (0, hung)
    begin = time.monotonic()
    assert own_packages.run("network", "ls").returncode == 0
    assert time.monotonic() - begin < loaded(ANSWER_TIMEOUT_SECONDS)


def test_a_server_that_is_slow_is_given_up_but_not_killed(warm):
    """A process in the server's place accepts connections and never answers, as on an overloaded machine."""
    pid = warm.pid()
    os.kill(pid, signal.SIGKILL)
    place = warm.host.run_dir / "warm.sock"
    warm.wait_for(lambda: not warm.serves())
    place.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        directory = os.open(warm.host.run_dir, os.O_PATH)
        listener.bind(f"/proc/self/fd/{directory}/warm.sock")
        os.close(directory)
        listener.listen()
        begin = time.monotonic()
        assert warm.run("network", "ls", HAWSE_WARM="on").returncode == 0
        assert ANSWER_TIMEOUT_SECONDS <= time.monotonic() - begin < loaded(4 * ANSWER_TIMEOUT_SECONDS)


def test_a_server_of_another_user_is_not_trusted(unserved):
    run_dir = unserved.host.run_dir
    run_dir.mkdir(parents=True)
    listener = socket.socket(socket.AF_UNIX)
    pid = os.fork()
    if pid == 0:
        os.chdir(run_dir)
        listener.bind("warm.sock")
        os.setresuid(65534, 65534, 65534)
        listener.listen()
        time.sleep(60)
        os._exit(0)
    try:
        unserved.wait_for((run_dir / "warm.sock").exists)
        assert unserved.run("network", "ls").stderr == "hawse: no warm server accepted the command (HAWSE_WARM=only)\n"
        assert unserved.run("network", "ls", HAWSE_WARM="on").returncode == 0
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_caller_with_fewer_rights_gets_no_rights_of_the_server(warm):
    dropped = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]
    command = warm.command("network", "create", "n1")
    fewer = [*command[:4], *dropped, *command[4:]]
    result = subprocess.run(fewer, env=warm.env(HAWSE_WARM="on"), capture_output=True, text=True, timeout=60)
    assert (result.returncode, "permission denied" in result.stderr) == (1, True)


def test_a_killed_server_harms_no_command_that_runs(warm):
    warm.run("run", "-d", "--name", "job", "hostfs", "sleep", "1d")
    running = warm.popen("exec", "job", "sh", "-c", "sleep 1; echo done")
    time.sleep(0.4)
    os.kill(warm.pid(), signal.SIGKILL)
    assert (running.communicate(timeout=30), running.returncode) == (("done\n", ""), 0)
    assert warm.run("rm", "-f", "job", HAWSE_WARM="on").returncode == 0


def test_a_command_killed_at_any_moment_is_put_right_by_the_next(warm):
    for turn in range(12):
        running = warm.popen("network", "create", "k1")
        time.sleep(0.01 + 0.006 * turn)
        running.kill()
        running.communicate()
        warm.run("network", "rm", "k1")
    assert warm.run("network", "ls", "-qf", "type=custom").stdout == ""
    assert "br-" not in warm.host.sh("ip -br link show type bridge up")


def test_an_idle_server_keeps_no_network_namespace_alive(warm):
    assert os.stat(f"/proc/{warm.pid()}/ns/net").st_ino != os.stat(warm.host.path).st_ino


def test_a_command_acts_on_its_callers_namespace_not_on_the_servers(warm, netns):
    command = warm.command("network", "create", "there")
    elsewhere = [*command[:3], netns.name, *command[4:]]
    assert subprocess.run(elsewhere, env=warm.env(), capture_output=True, timeout=60).returncode == 0
    assert "br-" in netns.sh("ip -br link show type bridge")
    assert "br-" not in warm.host.sh("ip -br link show type bridge")
    assert warm.run("network", "rm", "there").returncode == 0


def test_the_run_directory_is_found_from_where_the_caller_is(unserved, tmp_path, is_alive):
    unserved.host.run_dir = tmp_path / "here"
    for mode in ("on", "only"):
        unserved.wait_for(lambda mode=mode: in_directory(unserved, tmp_path, mode) == 0)
    pid = unserved.pid()
    (tmp_path / "here" / "warm.sock").unlink()
    os.kill(pid, signal.SIGTERM)
    unserved.wait_for(lambda: not is_alive(pid))


def in_directory(unserved, directory, mode) -> int:
    command, environment = unserved.command("network", "ls"), unserved.env(HAWSE_RUN="here", HAWSE_WARM=mode)
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, timeout=60).returncode


def test_a_descriptor_in_the_command_line_is_that_of_the_caller(warm):
    """The command line names a file descriptor of the caller, as a shell does for ``<(...)``.

    The warm server must use the caller's descriptor. Its own descriptor with that number is another file.
    """
    reading, writing = os.pipe()
    os.write(writing, b"FROM=the caller\n")
    os.close(writing)
    command = warm.command("create", "--name", "c1", "--env-file", f"/dev/fd/{reading}", "hostfs", "true")
    assert subprocess.run(command, env=warm.env(), pass_fds=[reading], timeout=60).returncode == 0
    os.close(reading)
    assert "FROM=the caller" in warm.run("inspect", "c1").stdout
    assert warm.run("rm", "c1").returncode == 0


def test_many_commands_at_once(warm):
    names = [f"n{i}" for i in range(12)]
    many = [warm.popen("network", "create", name) for name in names]
    assert [(p.communicate(timeout=60)[1], p.returncode) for p in many] == [("", 0)] * 12
    assert warm.run("network", "ls", "-qf", "type=custom").stdout.count("\n") == 12
    assert warm.run("network", "rm", *names).returncode == 0


@contextmanager
def started_by_systemd(host: WarmHost, change: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Start the warm server as systemd does: with the socket as file descriptor 3, and the pid in the environment.

    ``change`` is code that the server's process runs first.
    """
    run_dir = host.host.run_dir
    run_dir.mkdir(parents=True)
    listener = socket.socket(socket.AF_UNIX)
    directory = os.open(run_dir, os.O_PATH)
    listener.bind(f"/proc/self/fd/{directory}/warm.sock")
    os.close(directory)
    listener.listen()
    main = "from cli.warm.__main__ import main; main()"
    boot = f"import sys; sys.path.insert(0, {str(host.packages)!r})\n{change}\n{main}"
    give = "os.dup2(int(sys.argv[1]), 3); os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))"
    interpreter = str(host.script.with_name("python3"))
    script = f"import os, sys; {give}; os.execv({interpreter!r}, [{interpreter!r}, *sys.argv[2:]])"
    server = subprocess.Popen(
        [sys.executable, "-c", script, str(listener.fileno()), "-I", "-c", boot],
        env=host.env(HAWSE_WARM_IDLE="1"), pass_fds=[listener.fileno()],
    )  # fmt: skip
    listener.close()
    try:
        yield server
    finally:
        server.kill()
        server.wait()


def test_started_by_a_socket_of_systemd(unserved):
    with started_by_systemd(unserved) as server:
        assert unserved.run("network", "ls").returncode == 0
        assert server.wait(30) == 0
        assert (unserved.host.run_dir / "warm.sock").exists()  # systemd starts the next server by this file


SLOW_IMPORT = """
import os, time
from cli.warm import preload

def import_all(then=preload.import_all):
    place = os.environ["HAWSE_RUN"] + "/importing"
    while os.path.exists(place):
        time.sleep(0.001 if time.process_time() > 1 else 0)
    then()

preload.import_all = import_all
"""


def test_a_server_of_systemd_that_still_imports_is_not_killed(unserved):
    """After a boot, a command connects to the socket of systemd before the server is ready."""
    with started_by_systemd(unserved, SLOW_IMPORT) as server:
        importing = unserved.host.run_dir / "importing"
        importing.touch()
        assert unserved.run("network", "ls", HAWSE_WARM="use").returncode == 0
        assert server.poll() is None
        importing.unlink()
        unserved.wait_for(unserved.serves)


def test_image_runs_though_the_server_has_another_mount_namespace(warm, tmp_path):
    """``ip netns exec`` gives the command a mount namespace that differs from the warm server's mount namespace.

    The image must run in the command's mount namespace, and the Python interpreter's file must be protected there too.
    """
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
    ran = warm.run("run", "-d", "--name", "one", str(root), "busybox", "sleep", "100")
    assert ran.returncode == 0, ran.stderr
    assert warm.run("exec", "one", "busybox", "echo", "inside").stdout == "inside\n"
    assert warm.run("rm", "-f", "one").returncode == 0
