"""Each host has one supervisor, which uses little memory. A new supervisor can replace it at any time."""

from __future__ import annotations

import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.eventloop.readiness import wait_readable
from engine.model import LogOptions
from engine.runtime import protocol
from engine.runtime.api import RuntimeFailure, Stdio
from engine.runtime.directory import ContainerDirectory
from engine.runtime.local import LocalRuntime
from tests.netns.engine.killing import processes

pytestmark = pytest.mark.netns


def test_only_root_can_use_the_files(lab):
    lab.launch("one", "sleep", "60")
    assert stat.S_IMODE(lab.run_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((lab.run_dir / "supervisor.sock").stat().st_mode) == 0o600
    assert stat.S_IMODE(Path(lab.log("one")).stat().st_mode) == 0o600
    for file in (lab.run_dir / "containers" / "one").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_commands_that_race_start_one_supervisor(lab):
    code = (
        "import sys; from pathlib import Path; from engine.runtime.supervisor_client import connect; "
        "connect(Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, str(lab.run_dir)]
    racers = [subprocess.Popen(command, cwd=Path(__file__).parents[3]) for _ in range(6)]
    assert [racer.wait(20) for racer in racers] == [0] * 6
    end = f"{lab.run_dir}\0".encode()
    assert len(processes(lambda line: line.endswith(end) and b"supervisor" in line)) == 1


def test_a_supervisor_without_file_descriptors_waits_idle_for_one(lab):
    lab.launch("one", "sleep", "60")
    pid = lab.supervisor_pid()
    limit = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limit[1]))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(lab.run_dir / "supervisor.sock"))
        before = processor_time(pid)
        time.sleep(2)
        assert processor_time(pid) - before < 0.1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)
    lab.launch("two", "sleep", "60")
    assert lab.supervisor_pid() == pid


def processor_time(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_an_endless_writer_to_the_pipe_of_an_ended_container_stops_nothing(lab):
    """Another process, to which an ended container has passed its output pipe, still writes to the pipe."""
    lab.launch("one", "sleep", "60")
    supervisor = lab.supervisor_pid()
    with (lab.run_dir / "containers" / "one" / "stdout").open("wb") as pipe:
        writer = subprocess.Popen(["yes"], stdout=pipe)
    try:
        os.kill(lab.pid("one"), signal.SIGKILL)
        assert lab.runtime.wait("one", timeout=20) == 128 + signal.SIGKILL
        assert lab.run("two", "echo", "works") == (0, "works\n")
    finally:
        writer.kill()
        writer.wait()
    assert lab.supervisor_pid() == supervisor


def test_a_process_killed_before_its_start_is_reported(lab):
    created = lab.runtime.create(lab.spec("one", "true"))
    os.kill(created.pid, signal.SIGKILL)
    lab.await_death(created.pid)
    time.sleep(0.2)  # time for the supervisor to record the end of the process
    with pytest.raises(RuntimeFailure, match="the process ended before it was started"):
        lab.runtime.start("one")


def test_a_new_supervisor_keeps_nothing_of_ended_containers_open(lab):
    lab.run("one", "true")
    old = lab.supervisor_pid()
    os.kill(old, signal.SIGKILL)
    lab.await_death(old)
    lab.launch("two", "sleep", "60")
    fds = Path(f"/proc/{lab.supervisor_pid()}/fd")
    logs = {os.readlink(fd) for fd in fds.iterdir()} & {lab.log("one"), lab.log("two")}
    assert logs == {lab.log("two")}


def test_supervisor_ends_when_nothing_needs_it(lab, monkeypatch):
    monkeypatch.setenv("HAWSE_SUPERVISOR_IDLE", "0.2")
    lab.launch("one", "sleep", "0.6")
    pid = lab.supervisor_pid()
    assert lab.runtime.wait("one", timeout=5) == 0
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            break
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
    assert not (lab.run_dir / "supervisor.sock").exists()
    assert lab.run("two", "true")[0] == 0


def test_supervisor_ignores_an_idle_time_that_is_no_number(lab, monkeypatch):
    monkeypatch.setenv("HAWSE_SUPERVISOR_IDLE", "abc")
    lab.launch("one", "sleep", "60")
    pid = lab.supervisor_pid()
    time.sleep(0.5)
    assert lab.run("two", "true")[0] == 0
    assert lab.supervisor_pid() == pid


def test_containers_survive_their_supervisor_and_the_next_one_records_the_exit_code(lab):
    lab.launch(
        "one",
        "sh",
        "-c",
        "echo before; while [ ! -e /tmp/go.$0 ]; do sleep 0.05; done; echo after; exit 9",
        lab.run_dir.parent.name,
    )
    lab.await_output("one", "before")
    lab.kill_supervisor()
    runtime = LocalRuntime(lab.state / "root", lab.run_dir)
    assert runtime.state("one").running
    go = Path(f"/tmp/go.{lab.run_dir.parent.name}")
    go.touch()
    try:
        assert runtime.wait("one", timeout=10) == 9
    finally:
        go.unlink()
    assert lab.output("one") == "before\nafter\n"
    assert runtime.state("one").exit_code == 9


def test_output_while_there_is_no_supervisor_is_not_lost(lab):
    lab.launch("one", "sh", "-c", "echo before; sleep 0.6; echo between; sleep 60")
    lab.await_output("one", "before")
    lab.kill_supervisor()
    time.sleep(0.9)
    LocalRuntime(lab.state / "root", lab.run_dir).state("one")
    lab.await_output("one", "between")


def test_an_unknown_exit_code_is_recorded_as_255(lab):
    lab.launch("one", "sleep", "60")
    pid = lab.runtime.state("one").pid
    lab.kill_supervisor()
    os.kill(pid, signal.SIGKILL)
    while Path(f"/proc/{pid}").exists():  # wait until init has reaped the process
        time.sleep(0.05)
    state = LocalRuntime(lab.state / "root", lab.run_dir).state("one")
    assert (state.running, state.exit_code) == (False, 255)


def test_waiter_outlives_the_supervisor(lab):
    lab.launch("one", "sh", "-c", "sleep 0.8; exit 3")
    os.kill(lab.supervisor_pid(), signal.SIGKILL)
    assert lab.runtime.wait("one", timeout=10) == 3


def test_container_that_was_never_started_goes_with_its_supervisor(lab):
    created = lab.runtime.create(lab.spec("one", "sleep", "60"))
    lab.kill_supervisor()
    lab.await_death(created.pid)
    runtime = LocalRuntime(lab.state / "root", lab.run_dir)
    assert not runtime.state("one").running
    runtime.delete("one")
    assert lab.run("one", "true")[0] == 0


@pytest.mark.parametrize("name", ["spec", "process", "exit", "stop"])
@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"pid": [], "rootfs": 1}'])
def test_a_damaged_file_of_one_container_affects_no_other(lab, name, text):
    for container_id in ("one", "bad"):
        lab.launch(container_id, "sleep", "60")
    lab.kill_supervisor()
    damaged = lab.run_dir / "containers" / "bad" / name
    good = damaged.read_text() if damaged.exists() else ""
    damaged.write_text(text)
    (lab.run_dir / "containers" / ".x").mkdir()
    try:
        assert LocalRuntime(lab.state / "root", lab.run_dir).state("one").running
        assert lab.supervisor_pid()
    finally:
        damaged.write_text(good)
        (lab.run_dir / "containers" / ".x").rmdir()
    lab.runtime.signal("one", signal.SIGKILL)
    assert lab.runtime.wait("one", timeout=5) == 128 + signal.SIGKILL


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"argv": 1, "env": {}, "at": 1, "delay": 1}'])
def test_a_damaged_file_of_a_restart_affects_no_container(lab, text):
    restarts = lab.run_dir / "restarts"
    restarts.mkdir(parents=True)
    (restarts / "x").write_text(text)
    assert lab.run("one", "true")[0] == 0


@pytest.mark.parametrize("request_text", [b"[]", b"1", b'{"op": []}', b'{"op": "stop", "id": []}'])
def test_a_malformed_request_ends_only_its_connection(lab, request_text):
    lab.launch("one", "sleep", "60")
    supervisor = lab.supervisor_pid()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(lab.run_dir / "supervisor.sock"))
        client.sendall(protocol.frame(protocol.CONTROL, request_text))
        assert client.recv(1) == b""
    assert lab.run("two", "true")[0] == 0
    assert lab.supervisor_pid() == supervisor


def test_delete_needs_no_supervisor(lab):
    created = lab.launch("one", "sleep", "60")
    lab.kill_supervisor()
    LocalRuntime(lab.state / "root", lab.run_dir).delete("one")
    assert not Path(f"/proc/{created.pid}/exe").exists()
    assert list((lab.run_dir / "containers").iterdir()) == []


def test_following_a_log_outlives_the_supervisor(lab):
    lab.launch("one", "sh", "-c", "echo a; sleep 0.6; echo b")
    lines = lab.runtime.logs(lab.log("one"), LogOptions(follow=True), "one")
    assert next(lines).data == b"a\n"
    lab.kill_supervisor()
    assert [line.data for line in lines] == [b"b\n"]


def test_supervisor_uses_less_than_16_mib(lab):
    for number in range(5):
        lab.launch(f"c{number}", "sleep", "60")
    modules = read(Path(f"/proc/{lab.supervisor_pid()}/maps"))
    assert b"site-packages" not in modules
    rollup = read(Path(f"/proc/{lab.supervisor_pid()}/smaps_rollup")).decode()
    pss = int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1])
    assert pss < 16 * 1024, "kB"


def test_attachment_ends_when_the_supervisor_is_killed(lab):
    lab.launch("one", "sleep", "60")
    attachment = lab.runtime.open_attachment("one", Stdio(), stdin=False, tty=False)
    lab.kill_supervisor()
    attachment.run()
    assert attachment.exit_code is None


def test_supervisor_that_is_about_to_end_is_replaced(lab, monkeypatch):
    monkeypatch.setenv("HAWSE_SUPERVISOR_IDLE", "0.02")
    for number in range(10):
        assert lab.run(f"c{number}", "true")[0] == 0
        time.sleep(0.005 * number)


def test_supervisor_raises_its_descriptor_limit_and_containers_get_the_usual_one(lab):
    """The supervisor raises its own limit of file descriptors to the maximum. Containers get the limit of a service.

    Each container costs the supervisor four descriptors, so the usual limit of 1024 would allow only 250 containers.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = len(os.listdir("/proc/self/fd")) + 100  # this process may have many open files of other tests
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    try:
        usual = min(1024, resource.prlimit(1, resource.RLIMIT_NOFILE)[0])
        assert lab.sh("ulimit -n") == f"{max(allowed, usual)}\n"
        lab.launch("one", "sleep", "60")
        assert resource.prlimit(lab.supervisor_pid(), resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_clients_that_wait_for_the_next_run_outlive_a_failed_creation(lab, monkeypatch, tmp_path):
    def create(directory: ContainerDirectory, document: dict[str, object]) -> None:
        original(directory, document)
        os.symlink("nosuch", directory.file("stdout"))  # the supervisor refuses to open it

    original = ContainerDirectory.create
    with (tmp_path / "out").open("wb") as out:
        end = lab.runtime.watch_end("one", next_run=True)
        attachment = lab.runtime.open_attachment("one", Stdio(stdout=out.fileno()), stdin=False, tty=False)
        with monkeypatch.context() as patch:
            patch.setattr(ContainerDirectory, "create", create)
            with pytest.raises(RuntimeFailure, match="too many levels of symbolic links"):
                lab.runtime.create(lab.spec("one", "true"))
        assert not wait_readable([end], seconds=0.2)
        lab.launch("one", "sh", "-c", "echo second; exit 7")
        attachment.run()
    assert wait_readable([end], seconds=10)
    assert (end.exit_code(), attachment.exit_code, (tmp_path / "out").read_text()) == (7, 7, "second\n")
    end.close()


FAILED_FORK = """
import os
from engine.runtime import container

def fail():
    raise BlockingIOError("no process left")

own = os.open("/proc/self/ns/pid", os.O_RDONLY)
fork, os.fork = os.fork, fail
for _ in range(2):
    try:
        container._fork({"pid_host": False}, None, own)
    except BlockingIOError as error:
        print(error)
os.fork = fork
print(os.path.samefile("/proc/self/ns/pid_for_children", "/proc/self/ns/pid"))
"""


def test_a_failed_fork_changes_the_pid_namespace_of_no_later_child():
    command = [sys.executable, "-c", FAILED_FORK]
    run = subprocess.run(command, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False)
    assert run.stdout.splitlines() == ["no process left", "no process left", "True"], run.stderr
