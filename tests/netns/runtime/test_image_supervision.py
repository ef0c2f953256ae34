"""Containers that crun creates: any of their processes may be killed at any time, even during the creation.

No part of a killed container is left.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from drivers.linux import process
from engine.runtime import crun
from engine.runtime.api import RuntimeFailure
from engine.runtime.local import LocalRuntime
from tests.conftest import install_busybox, loaded, until

pytestmark = pytest.mark.netns

VANISHED = "the process ended before it was started"


@pytest.fixture
def image(tmp_path: Path) -> dict[str, str]:
    root = tmp_path / "image"
    install_busybox(root, "sh", "sleep", "true", "echo")
    return {"rootfs": str(root), "overlay_dir": str(tmp_path / "layer")}


def parts(lab) -> list[str]:
    """Return what is left of containers: processes, files and mounts."""
    bundles = os.fsencode(f"{lab.run_dir}/containers/")
    lines = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and bundles in (entry / "cmdline").read_bytes():
                state = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                lines.append(f"process {entry.name} {state} {(entry / 'cmdline').read_bytes()!r}")
    for place in ("containers", "crun"):
        if (lab.run_dir / place).exists():
            lines += [str(path) for path in (lab.run_dir / place).iterdir() if path.name != ".cache"]
    return lines + [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(lab.run_dir) in line]


def children(pid: int) -> list[int]:
    """Return the pids of a supervisor's children, without the guard that the supervisor has started."""
    pids = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [each for each in pids if b"engine.runtime.guard" not in Path(f"/proc/{each}/cmdline").read_bytes()]


def test_ended_and_deleted_containers_leave_nothing(lab, image):
    for number in range(3):
        assert lab.run(f"c{number}", "sh", "-c", f"exit {number}", **image)[0] == number
    lab.launch("long", "sleep", "60", **image)
    for name in ("c0", "c1", "c2", "long"):
        lab.runtime.delete(name)
    assert parts(lab) == []
    assert children(lab.supervisor_pid()) == []


def test_container_starts_while_its_supervisor_has_thousands_of_descriptors(lab, image):
    """The process that makes the container inherits a descriptor whose number is too high for select(2)."""
    lab.launch("one", "sleep", "60", **image)
    with ExitStack() as waiting:
        for _ in range(1200):
            waiting.callback(lab.runtime.watch_end("one", next_run=False).close)
        assert lab.run("two", "sh", "-c", "exit 7", **image)[0] == 7


def test_container_that_was_never_started_goes_with_its_supervisor(lab, image):
    lab.runtime.create(lab.spec("one", "sleep", "60", **image))
    waiting = lab.runtime.prepared("one")
    lab.kill_supervisor()
    lab.await_death(waiting.pid)
    runtime = LocalRuntime(lab.state / "root", lab.run_dir)
    assert not runtime.state("one").running
    runtime.delete("one")
    assert parts(lab) == []


def test_start_reports_that_the_created_process_was_killed(lab, image):
    lab.runtime.create(lab.spec("one", "sleep", "60", **image))
    waiting = lab.runtime.prepared("one")
    os.kill(waiting.pid, signal.SIGKILL)
    lab.await_death(waiting.pid)
    with pytest.raises(RuntimeFailure, match=VANISHED):
        lab.runtime.start("one")
    lab.runtime.delete("one")
    assert parts(lab) == []
    assert children(lab.supervisor_pid()) == []


def test_created_container_may_be_deleted_at_any_moment_and_created_again(lab, image):
    for delay in (0, 0.005, 0.01, 0.02, 0.1):
        lab.runtime.create(lab.spec("one", "sleep", "60", **image))
        time.sleep(delay)
        began = time.monotonic()
        lab.runtime.delete("one")
        assert time.monotonic() - began < loaded(5)
        assert parts(lab) == []
    assert children(lab.supervisor_pid()) == []


def test_process_that_makes_the_container_may_be_killed(lab, image):
    """The process that creates the container is killed before, during and after the setup of the container's network.

    No process, file or mount of the container may be left.
    """
    for delay in (0, 0.005, 0.01, 0.02, 0.1):
        maker = lab.runtime.create(lab.spec("one", "sleep", "60", **image))
        time.sleep(delay)
        os.kill(maker.pid, signal.SIGKILL)
        with pytest.raises(RuntimeFailure, match=VANISHED):
            lab.runtime.prepared("one")
            lab.runtime.start("one")
        lab.runtime.delete("one")
        assert parts(lab) == []
    assert children(lab.supervisor_pid()) == []


def test_supervisor_and_all_its_descendants_may_be_killed_at_any_moment(lab, image):
    for step in range(12):
        runtime = LocalRuntime(lab.state / "root", lab.run_dir)
        runtime.create(lab.spec("one", "sleep", "60", **image))
        supervisor = lab.supervisor_pid()
        starting = threading.Thread(target=lambda runtime=runtime: suppressed(runtime))
        starting.start()
        time.sleep(step * 0.004)
        for pid in (supervisor, *descendants(supervisor)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        starting.join()
        LocalRuntime(lab.state / "root", lab.run_dir).delete("one")
        assert parts(lab) == [], step
        assert lab.run("one", "true", **image)[0] == 0
        lab.runtime.delete("one")


def suppressed(runtime: LocalRuntime) -> None:
    with suppress(RuntimeFailure):
        runtime.prepared("one")
        runtime.start("one")


def descendants(pid: int) -> list[int]:
    """Return all descendants of a process except a container's first process.

    A test kills these descendants, so that the first process becomes an orphan. The runtime must then find the first
    process by the container's files.
    """
    pids = []
    for child in children(pid):
        with suppress(OSError):
            if b"--bundle" not in Path(f"/proc/{child}/cmdline").read_bytes():
                pids += [child, *descendants(child)]
    return pids


def test_new_supervisor_records_the_exit_code_of_an_inherited_container(lab, image, tmp_path):
    lab.launch("one", "sh", "-c", "echo before; sleep 1; echo after; exit 9", **image)
    lab.await_output("one", "before")
    lab.kill_supervisor()
    runtime = LocalRuntime(lab.state / "root", lab.run_dir)
    assert runtime.state("one").running
    assert runtime.wait("one", timeout=10) == 9
    assert lab.output("one") == "before\nafter\n"


def test_the_reported_pid_is_that_of_the_first_process(lab, image):
    created = lab.runtime.create(lab.spec("one", "sleep", "60", **image))
    prepared = lab.runtime.prepared("one")
    assert os.readlink(created.netns) == os.readlink(prepared.netns)
    lab.runtime.start("one")
    state = lab.runtime.state("one")
    assert (state.running, state.pid) == (True, prepared.pid)
    assert process.is_running(prepared.pid, prepared.pid_start)
    for _ in range(100):
        if Path(f"/proc/{prepared.pid}/cmdline").read_bytes() == b"sleep\x0060\x00":
            break
        time.sleep(0.02)
    assert Path(f"/proc/{prepared.pid}/cmdline").read_bytes() == b"sleep\x0060\x00"
    assert process.start_time(created.pid) != created.pid_start  # the process that created the container has ended
    assert crun.unstarted(str(lab.run_dir / "containers" / "one")) == []


def test_orphans_of_other_programs_are_reaped(lab, image):
    """The supervisor must reap orphans that are not its own children.

    The supervisor becomes the parent of all orphans among the descendants of its children.
    """
    lab.launch("one", "true", on_exit=["/bin/sh", "-c", "(sleep 0.3; exit 5) & exit 0"], **image)
    assert lab.runtime.wait("one", timeout=5) == 0
    for _ in range(100):
        if not children(lab.supervisor_pid()):
            break
        time.sleep(0.05)
    assert children(lab.supervisor_pid()) == []


@pytest.mark.parametrize(
    ("command", "fields", "kind", "text"),
    [
        ("nosuch", {}, "not-found", 'exec: "nosuch": executable file not found in $PATH'),
        ("", {}, "not-found", 'exec: "": executable file not found in $PATH'),
        ("/no/x", {}, "not-found", 'exec: "/no/x": stat /no/x: no such file or directory'),
        ("/bin", {}, "permission", 'exec: "/bin": is a directory: unknown: permission denied'),
        ("/plain", {}, "permission", 'exec: "/plain": permission denied'),
        ("true", {"cwd": "/plain"}, "bad-cwd", "^Cannot mkdir: /plain is not a directory$"),
        ("true", {"cwd": "/plain/x"}, "bad-cwd", "^Cannot mkdir: /plain/x is not a directory$"),
        ("true", {"user": "x"}, "bad-user", "^unable to find user x: no matching entries in passwd file$"),
        ("true", {"sysctls": {"net.nosuch": "1"}}, "not-found", "open /proc/sys/net/nosuch: no such file or directory"),
    ],
)
def test_failures_are_in_dockers_words_and_no_output(lab, image, command, fields, kind, text):
    (Path(image["rootfs"]) / "plain").write_text("no program\n")
    began = time.monotonic()
    with pytest.raises(RuntimeFailure, match=text.replace("$P", r"\$P")) as failure:
        lab.launch("one", command, **image, **fields)
    assert time.monotonic() - began < loaded(3)
    assert failure.value.kind == kind
    assert lab.output("one") == ""
    lab.runtime.delete("one")
    assert parts(lab) == []


@pytest.mark.parametrize(
    ("command", "fields", "kind", "text"),
    [
        ("nosuch", {}, "not-found", 'exec: "nosuch": executable file not found in $PATH'),
        ("/bin", {}, "permission", 'exec: "/bin": is a directory: unknown: permission denied'),
        ("/plain", {}, "permission", 'exec: "/plain": permission denied'),
        ("true", {"working_dir": "/nosuch"}, "not-found", r'chdir to cwd \("/nosuch"\) .*no such file or directory'),
        ("true", {"working_dir": "/plain"}, "bad-cwd", r'chdir to cwd \("/plain"\) .*not a directory'),
        ("nosuch", {"tty": True}, "not-found", 'exec: "nosuch": executable file not found in $PATH'),
        ("nosuch", {"detach": True}, "not-found", 'exec: "nosuch": executable file not found in $PATH'),
    ],
)
def test_failures_of_other_commands_are_in_dockers_words_and_no_output(lab, image, command, fields, kind, text):
    (Path(image["rootfs"]) / "plain").write_text("no program\n")
    lab.launch("one", "sleep", "60", **image)
    with pytest.raises(RuntimeFailure, match=text.replace("$P", r"\$P")) as failure:
        lab.exec("one", command, **fields)
    assert failure.value.kind == kind
    assert lab.exec("one", "echo", "chdir to `x`: Not a directory") == (0, "chdir to `x`: Not a directory\n")


def test_program_that_the_kernel_cannot_execute_is_reported_in_the_containers_output(lab, image):
    for name, content, why in (
        ("script", "#!/no/such/interpreter\n", "no such file or directory"),
        ("data", "no program\n", "exec format error"),
    ):
        file = Path(image["rootfs"]) / name
        file.write_text(content)
        file.chmod(0o755)
        assert lab.run("one", f"/{name}", **image) == (1, f"exec /{name}: {why}\n")
        lab.runtime.delete("one")
        Path(lab.log("one")).unlink()
        lab.launch("one", "sleep", "60", **image)
        assert lab.exec("one", f"/{name}") == (1, f"exec /{name}: {why}\n")
        lab.runtime.delete("one")
        Path(lab.log("one")).unlink(missing_ok=True)


def test_the_first_words_of_a_container_harm_neither_the_supervisor_nor_exec(lab, image):
    """A hostile image writes text that looks like a message of crun."""
    lab.launch("long", "sleep", "60", **image)
    supervisor, began = lab.supervisor_pid(), time.monotonic()
    begin = '{"msg":"exec container process"'
    for words in (f'{begin},"msg":5}}', f'{begin},"x":{"[" * 4000}', f"a{'`' * 4000}", f"a{'`: A' * 4000}:"):
        say = ("sh", "-c", 'echo "$0" >&2', words)
        assert lab.run("one", *say, **image) == (0, f"{words}\n")
        assert lab.exec("long", *say) == (0, f"{words}\n")
        lab.runtime.delete("one")
        Path(lab.log("one")).unlink()
    assert lab.supervisor_pid() == supervisor
    assert time.monotonic() - began < loaded(15)


def test_processes_that_look_like_crun_delay_no_removal_for_long(tmp_path, monkeypatch):
    """A hostile container may start processes with the command line of crun again and again."""
    monkeypatch.setattr(crun, "KILL_SECONDS", 0.3)
    bundle = str(tmp_path)
    again = subprocess.Popen(["sh", "-c", f'while :; do sh -c "sleep 5; :" crun --bundle {bundle}; done'])
    try:
        until(lambda: crun.unstarted(bundle))
        began = time.monotonic()
        crun.kill_unstarted(bundle)
        assert time.monotonic() - began < loaded(3)
    finally:
        again.kill()
        again.wait()
        until(lambda: not crun.unstarted(bundle) or crun.kill_unstarted(bundle))
